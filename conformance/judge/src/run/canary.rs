//! The check before the first case: starts the subject once, completes a login, and measures round trips.
//!
//! If the program does not start or a login fails, the run ends here and no case is judged. A server is started with an
//! unusual timeout, so that a manifest whose timeout does not reach the program is detected. Each kind of subject has a
//! round trip of its own: SRQ to SRS for a server, connection to ATH for a client, and a whole tunnel for a pair. The
//! deadlines of the run grow with these times. The processor time of the start limits how many programs start at once.

use std::time::{Duration, Instant};

use netroxy_specification::message::{Decoded, first_message};
use netroxy_specification::notation::ast::{Side, Transport};
use netroxy_specification::notation::parse;

use super::judge::{DEFAULT_TIMEOUT, client_scene, connected, with_login};
use crate::descriptors::{self, Since};
use crate::manifest::Manifest;
use crate::player::{Player, Scene};
use crate::sut::{
    Announced, Instance, Pair, PairPlan, StartError, Subject, login, start_client, start_server,
};
use crate::times::{RoundTrips, Tempo};
use crate::wire::{Connection, Tls};

/// A subject that can be judged.
#[derive(Debug, Clone)]
pub struct Ready {
    /// How long it took until a login had succeeded on every transport.
    pub after: Duration,
    /// The processor time that it used until then; zero if it is not a process that the suite started.
    pub(crate) effort: Duration,
    /// The round trips that were measured on each transport.
    pub trips: Vec<(Transport, RoundTrips)>,
}

impl Ready {
    /// The round trips on all transports.
    pub(crate) fn all_trips(&self) -> RoundTrips {
        let all = self.trips.iter().flat_map(|(_, trips)| trips.all());
        RoundTrips::new(all.copied().collect())
    }
}

/// Starts the subject once and lets it log in on each of its transports.
///
/// # Errors
/// If it cannot be started, or a login fails.
pub async fn preflight(subject: &Subject, tls: &Tls, scale: f64) -> Result<Ready, StartError> {
    let since = Since::now();
    let ready = measured(subject, tls, scale).await;
    ready.map_err(|error| {
        descriptors::look();
        since.shortage().map_or(error, StartError::Harness)
    })
}

async fn measured(subject: &Subject, tls: &Tls, scale: f64) -> Result<Ready, StartError> {
    match subject {
        Subject::Started(manifest) if manifest.role == Side::Client => {
            client(manifest, tls, scale).await
        }
        Subject::Started(_) | Subject::Running(_) => server(subject, tls, scale).await,
        Subject::Pair(programs) => pair(subject, programs, tls, scale).await,
    }
}

async fn server(subject: &Subject, tls: &Tls, scale: f64) -> Result<Ready, StartError> {
    let begun = Instant::now();
    let instance = start_server(
        subject,
        (timeout(subject), Announced::ByStart),
        tls,
        scale,
        &Transport::ALL,
    )
    .await?;
    let (after, effort) = (begun.elapsed(), instance.effort());
    let mut trips = Vec::new();
    for (transport, _) in &instance.control {
        let measured = round_trips(&instance, *transport, tls, scale).await;
        trips.push((*transport, RoundTrips::new(measured)));
    }
    instance.stop().await;
    Ok(Ready {
        after,
        effort,
        trips,
    })
}

/// Measures up to [`TRIPS`] answers to SRQ. It stops at the first one that is missing or wrong: the cases judge that.
async fn round_trips(
    instance: &Instance,
    transport: Transport,
    tls: &Tls,
    scale: f64,
) -> Vec<Duration> {
    let tempo = Tempo::new(scale);
    let limit = tempo.at_once();
    let credentials = (instance.username.as_str(), instance.password.as_str());
    let mut measured = Vec::new();
    let Some(address) = instance.address(transport) else {
        return measured;
    };
    let until = Instant::now() + tempo.reply();
    let Ok(mut connection) = login(address, transport, tls, credentials, until).await else {
        return measured;
    };
    while measured.len() < TRIPS {
        let begun = Instant::now();
        if !is_answered(&mut connection, limit).await {
            break;
        }
        measured.push(begun.elapsed());
    }
    connection.close(limit).await;
    measured
}

async fn is_answered(connection: &mut Connection, limit: Duration) -> bool {
    if connection
        .send(vec![b"SRQ\n".to_vec()], limit)
        .await
        .is_err()
    {
        return false;
    }
    let answer = connection.inbox.wait(Instant::now() + limit, |state| {
        match first_message(state.unread()) {
            Decoded::Whole { lines, length } => {
                state.take(length);
                Some(lines == [b"SRS"])
            }
            Decoded::Unknown => Some(false),
            Decoded::Partial => state.end.as_ref().map(|_| false),
        }
    });
    answer.await.unwrap_or(false)
}

/// The round trip of a pair is that from a user to a service and back. Each one has a tunnel of its own.
async fn pair(
    subject: &Subject,
    (server, client): &(Manifest, Manifest),
    tls: &Tls,
    scale: f64,
) -> Result<Ready, StartError> {
    let (mut after, mut effort) = (Duration::ZERO, Duration::ZERO);
    let mut trips = Vec::new();
    for transport in [Transport::Plain, Transport::Tls] {
        if !subject.speaks(transport) {
            continue;
        }
        let plan = PairPlan {
            between: None,
            server,
            client,
            transport,
            timeout: unusual(server),
            mappings: Vec::new(),
        };
        let begun = Instant::now();
        let mut pair = Box::pin(Pair::start(plan, tls, scale)).await?;
        after = after.max(begun.elapsed());
        effort = effort.max(pair.effort());
        let mut measured = Vec::new();
        while measured.len() < TRIPS {
            let begun = Instant::now();
            if pair.works(Tempo::new(scale).tunnel()).await.is_err() {
                break;
            }
            measured.push(begun.elapsed());
        }
        trips.push((transport, RoundTrips::new(measured)));
        pair.stop().await;
    }
    Ok(Ready {
        after,
        effort,
        trips,
    })
}

/// The round trip of a client is the time from its connection to its ATH: before that it answers no message.
async fn client(manifest: &Manifest, tls: &Tls, scale: f64) -> Result<Ready, StartError> {
    let (mut after, mut effort) = (Duration::ZERO, Duration::ZERO);
    let mut trips = Vec::new();
    for transport in &manifest.transports {
        let case = parse(LOGIN).map_err(|error| StartError::Harness(error.to_string()))?;
        let (mut scene, vars, plan, (leases, _)) = client_scene(&case, *transport).await?;
        let begun = Instant::now();
        let mut instance = start_client(manifest, &plan).await?;
        instance.hold(leases);
        let mut instance = connected(instance, &mut scene, manifest, scale).await?;
        let accepted = Instant::now();
        effort = effort.max(instance.effort());
        let vars = with_login(vars, &instance);
        let player = Player::new(Scene::Client(scene), tls, Tempo::new(scale), vars);
        let outcome = player.play(&case).await;
        trips.push((*transport, RoundTrips::new(vec![accepted.elapsed()])));
        after = after.max(begun.elapsed());
        let (ended, log) = (instance.ended(), instance.log_tail().await);
        instance.stop().await;
        if let Some(broken) = outcome.broken {
            let ended = ended.map_or_else(String::new, |status| format!("; it ended: {status}"));
            let why = format!(
                "it did not log in over {transport}: expected {}, got {}{ended}",
                broken.expected, broken.got
            );
            return Err(StartError::NotReady { why, log });
        }
    }
    Ok(Ready {
        after,
        effort,
        trips,
    })
}

/// The timeout with which a server is started before a run.
fn timeout(subject: &Subject) -> u64 {
    match subject {
        Subject::Started(manifest) => unusual(manifest),
        Subject::Running(_) | Subject::Pair(_) => UNUSUAL_TIMEOUT,
    }
}

fn unusual(server: &Manifest) -> u64 {
    match server.timeouts.contains(&UNUSUAL_TIMEOUT) {
        true => UNUSUAL_TIMEOUT,
        // Each manifest allows the default.
        false => DEFAULT_TIMEOUT,
    }
}

/// In seconds. A server that ignores the configured timeout is unlikely to use this one.
const UNUSUAL_TIMEOUT: u64 = 37;

/// How many round trips are measured on each transport of a server or a pair.
const TRIPS: usize = 20;

/// What every client does first.
const LOGIN: &str = "title    a client logs in\nrole     client\nrules    auth.first\n\n\
    ctl   accept\nctl   < ATH _ $username $password\n";
