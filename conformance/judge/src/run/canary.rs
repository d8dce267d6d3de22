//! Before the first case: starts the subject once, lets it log in, and measures its round trips.
//!
//! A program that cannot run is not judged at all.

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
    /// How long it took until somebody could log in on every transport.
    pub after: Duration,
    /// The processor time that it needed until then; nothing where it is no program of its own.
    pub(crate) effort: Duration,
    /// What was measured on each transport.
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
/// When it cannot be started, or nobody can log in.
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
        let measured = ask(&instance, *transport, tls, scale).await;
        trips.push((*transport, RoundTrips::new(measured)));
    }
    instance.stop().await;
    Ok(Ready {
        after,
        effort,
        trips,
    })
}

/// Asks SRQ until an answer is missing, which is for the cases to judge.
async fn ask(instance: &Instance, transport: Transport, tls: &Tls, scale: f64) -> Vec<Duration> {
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
        if !answers(&mut connection, limit).await {
            break;
        }
        measured.push(begun.elapsed());
    }
    connection.close(limit).await;
    measured
}

async fn answers(connection: &mut Connection, limit: Duration) -> bool {
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

/// The round trip of a pair is that of a user to a service and back, on a tunnel of its own each time.
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
        Instance::from(pair).stop().await;
    }
    Ok(Ready {
        after,
        effort,
        trips,
    })
}

/// A client cannot be asked anything yet: its round trip is the time from its connection to its ATH.
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
        // The usual one is in the range of each manifest.
        false => DEFAULT_TIMEOUT,
    }
}

/// In seconds. A server that has another one by itself, whatever its manifest says, hardly has this one.
const UNUSUAL_TIMEOUT: u64 = 37;

/// How often a server is asked.
const TRIPS: usize = 20;

/// What a client does first, whatever is judged later.
const LOGIN: &str = "title    a client logs in\nrole     client\nrules    auth.first\n\n\
    ctl   accept\nctl   < ATH _ $username $password\n";
