//! A server and a client that work together.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use netroxy_specification::notation::ast::{Side, Transport};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use super::between::Between;
use super::instance::Instance;
use super::launch::{Announced, ClientPlan, start_client, start_server};
use super::setup::StartError;
use super::subject::Subject;
use crate::descriptors::Noted as _;
use crate::manifest::Manifest;
use crate::ports::Lease;
use crate::times::{PAIR_LONGEST_PAUSE, PAIR_PAUSE, PAIR_TRY, Tempo};
use crate::wire::{Listener, Tls};

/// A running server and client, and a mapping of the suite that shows that they work together.
///
/// The client requests that mapping last. If a user reaches its target, the mappings of the case are set up too.
#[derive(Debug)]
pub(crate) struct Pair {
    server: Instance,
    client: Instance,
    /// How long the two may take from their start until a tunnel works.
    patience: Duration,
    time_scale: f64,
    probe: Probe,
}

/// The mapping of the suite.
#[derive(Debug)]
struct Probe {
    /// The remote port.
    port: u16,
    target: Listener,
    /// The number that the last user sent.
    sent: u64,
    /// The last number that the target received.
    received: u64,
}

/// The programs of a pair and the values that they are started with.
#[derive(Debug)]
pub(crate) struct PairPlan<'a> {
    pub(crate) server: &'a Manifest,
    pub(crate) client: &'a Manifest,
    pub(crate) transport: Transport,
    /// The timeout of the server in seconds.
    pub(crate) timeout: u64,
    /// The remote port, the target and isOpen of each mapping.
    pub(crate) mappings: Vec<(u16, SocketAddr, bool)>,
    /// The relay that the client connects to; `None` if it connects to the server directly.
    pub(crate) between: Option<&'a mut Between>,
}

impl Pair {
    /// Starts the server, then the client, and waits until a tunnel can be used.
    ///
    /// # Errors
    /// If one of the two does not start, or no tunnel works in time.
    pub(crate) async fn start(
        plan: PairPlan<'_>,
        tls: &Tls,
        time_scale: f64,
    ) -> Result<Self, StartError> {
        let harness = |error: io::Error| StartError::Harness(error.to_string());
        let port = Lease::take().map_err(harness)?;
        let target_port = Lease::take().map_err(harness)?;
        let target = Listener::bind(target_port.port()).await.map_err(harness)?;
        let subject = Subject::Started(plan.server.clone());
        let server = start_server(
            &subject,
            (plan.timeout, Announced::ByStart),
            tls,
            time_scale,
            &[plan.transport],
        )
        .await?;
        let control = server.address(plan.transport).ok_or_else(|| {
            StartError::Harness(format!("the server does not speak {}", plan.transport))
        })?;
        let mut between = plan.between;
        let reached = between
            .as_deref_mut()
            .map_or(control, |between| between.lead_to(control, port.port()));
        let mut mappings = plan.mappings;
        mappings.push((port.port(), target.address, true));
        let client_plan = ClientPlan {
            authority: None,
            server: reached,
            verify: false,
            transport: plan.transport,
            mappings,
        };
        let mut client = match start_client(plan.client, &client_plan).await {
            Ok(client) => client,
            Err(error) => {
                server.stop().await;
                return Err(error);
            }
        };
        let probe = Probe {
            port: port.port(),
            target,
            sent: 0,
            received: 0,
        };
        client.hold([port, target_port]);
        let start = plan.server.start_deadline_ms + plan.client.start_deadline_ms;
        let patience = Duration::from_millis(start).mul_f64(time_scale);
        let mut pair = Self {
            server,
            client,
            patience,
            time_scale,
            probe,
        };
        match pair.works(patience).await {
            Ok(()) => Ok(pair),
            Err(why) => {
                let log = pair.log_tail().await;
                if let Some(between) = between {
                    between.cease().await;
                }
                pair.stop().await;
                Err(StartError::NotReady {
                    why: why.to_string(),
                    log,
                })
            }
        }
    }

    /// Waits until the bytes of a new user reach the target.
    ///
    /// # Errors
    /// If a program ends, or no user reaches the target within `limit`. The error names the step that failed last.
    pub(crate) async fn works(&mut self, limit: Duration) -> Result<(), PairError> {
        let until = Instant::now() + limit;
        let mut pause = PAIR_PAUSE;
        loop {
            let why = match self.probe.reach_target(until).await {
                Ok(()) => return Ok(()),
                Err(why) => why,
            };
            if let Some(status) = self.ended() {
                return Err(PairError::Ended(status));
            }
            if Instant::now() >= until {
                return Err(PairError::NoTunnel { limit, why });
            }
            // This is only the pause between two attempts; no verdict depends on it.
            sleep(pause).await;
            pause = (pause * 5 / 4).min(PAIR_LONGEST_PAUSE);
        }
    }

    /// Kills one of the two, starts it again, and waits until a tunnel works.
    ///
    /// # Errors
    /// If it cannot be started again, or no tunnel works in time.
    pub(crate) async fn restart(&mut self, side: Side) -> Result<(), PairError> {
        let program = match side {
            Side::Server => &mut self.server,
            Side::Client => &mut self.client,
        };
        program.restart().await?;
        // A client may pause before it connects again.
        let pause = Tempo::new(self.time_scale).reconnect();
        self.works(self.patience + pause).await
    }

    /// How one of the two ended, if one has.
    pub(super) fn ended(&mut self) -> Option<String> {
        let told = |side, status: Option<String>| status.map(|text| format!("the {side}: {text}"));
        told(Side::Server, self.server.ended()).or_else(|| told(Side::Client, self.client.ended()))
    }

    /// The processor time that both have used.
    pub(crate) fn effort(&self) -> Duration {
        self.server.effort() + self.client.effort()
    }

    /// The end of what both have written to their standard output and error.
    pub(super) async fn log_tail(&mut self) -> String {
        let mut text = String::new();
        for (side, program) in [
            (Side::Server, &mut self.server),
            (Side::Client, &mut self.client),
        ] {
            for line in program.log_tail().await.lines() {
                text.push_str(&format!("{side}: {line}\n"));
            }
        }
        text.trim_end().to_owned()
    }

    /// Reserves ports until the pair has stopped.
    pub(crate) fn hold(&mut self, ports: impl IntoIterator<Item = Lease>) {
        self.client.hold(ports);
    }

    /// Ends both and every process that they have started.
    pub(crate) async fn stop(self) {
        self.client.stop().await;
        self.server.stop().await;
    }
}

/// Why a pair does not work.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PairError {
    /// One of the two cannot be started again.
    #[error(transparent)]
    Start(#[from] StartError),
    /// One of the two has ended.
    #[error("{0}")]
    Ended(String),
    /// No user has reached the target in time.
    #[error("no tunnel within {:.1} s: {why}", .limit.as_secs_f64())]
    NoTunnel {
        /// How long users tried.
        limit: Duration,
        /// Why the last user failed.
        why: UserError,
    },
}

/// Why a user did not reach the target.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UserError {
    #[error("a user cannot connect: {0}")]
    Refused(io::Error),
    #[error("a user cannot connect")]
    NotAnswered,
    #[error("a user is cut off: {0}")]
    CutOff(io::Error),
    #[error("a user does not reach the target")]
    NotJoined,
}

impl Probe {
    /// Connects one user, sends a new number, and waits until the target receives it.
    ///
    /// # Errors
    /// If the user cannot connect or send, or the target receives no new number in time.
    async fn reach_target(&mut self, until: Instant) -> Result<(), UserError> {
        self.sent += 1;
        let left = || {
            until
                .saturating_duration_since(Instant::now())
                .min(PAIR_TRY)
        };
        let user = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
        let mut user = match timeout(left(), user).await {
            Ok(Ok(user)) => user,
            Ok(Err(error)) => {
                return Err(UserError::Refused(error.noted()));
            }
            Err(_) => return Err(UserError::NotAnswered),
        };
        user.write_all(&self.sent.to_le_bytes())
            .await
            .map_err(UserError::CutOff)?;
        loop {
            let Some((mut service, _)) = self.target.next(left()).await else {
                return Err(UserError::NotJoined);
            };
            let mut got = [0; 8];
            let read = timeout(left(), service.read_exact(&mut got)).await;
            // The original server may give a tunnel to a user of an earlier attempt that has left. Then each tunnel
            // carries an earlier number. That is accepted as long as no number comes twice.
            let word = u64::from_le_bytes(got);
            if matches!(read, Ok(Ok(_))) && (self.received + 1..=self.sent).contains(&word) {
                self.received = word;
                return Ok(());
            }
        }
    }
}
