//! The private side of a Netroxy reverse tunnel.
//!
//! [`Client`] drives the state machine of [`netroxy_proto::client`] with real sockets: it logs in
//! to a server, maps ports there, and joins each user who connects to one of them with the service
//! behind it.
//!
//! ```no_run
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let (config, warnings) = netroxy_client::Config::load("client_config.json".as_ref())?;
//! let client = netroxy_client::Client::new(config);
//! client.run(tokio_util::sync::CancellationToken::new()).await;
//! # Ok(())
//! # }
//! ```

pub mod cli;

mod config;
mod dial;
mod eviction;
mod public;
mod refusal;
mod seldom;
mod tunnel;

use std::{
    collections::{BTreeMap, BTreeSet},
    future::Future,
    io,
    pin::Pin,
    sync::Arc,
    time::{Duration, Instant},
};

use netroxy_net::{
    connection::{Connection, Received},
    deadline, descriptors,
    resolve::Resolver,
    stream::Stream,
};
use netroxy_proto::{
    RemotePort, ServerMessage, Token,
    client::{self as machine, Input, Notice, Output},
};
use tokio::time::timeout;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{error, info, trace, warn};

pub use config::{
    Config, InvalidMapping, MapFlag, Ports, ServerConfig, ServerFlag, Service, TlsConfig,
};
use dial::Server;
use eviction::Evictions;
use refusal::{Refusals, Why};
use tunnel::Tunnel;

/// The version of this library, and of the program that is made of it.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// So long may tunnels go on after the order to stop.
const DRAIN: Duration = Duration::from_secs(5);
/// So many tunnels at most, where the limit of open descriptors allows it: a server that asks for
/// more is out of its mind, or ours to blame.
const MAX_TUNNELS: usize = 16_384;
/// A server that does not take our messages for so long is gone.
const WRITE: Duration = Duration::from_secs(10);

/// A client that is ready to run.
#[derive(Debug)]
pub struct Client {
    machine: machine::Client,
    server: Arc<Server>,
    names: Resolver,
    services: BTreeMap<RemotePort, Service>,
    /// The mappings that were told as mapped, and not refused since.
    told: BTreeSet<RemotePort>,
    on_mapped: OnMapped,
    hold: Option<Duration>,
    epoch: Instant,
    control: Control,
    evictions: Evictions,
    tunnels: TaskTracker,
    most_tunnels: usize,
    refusals: Arc<Refusals>,
    cut: CancellationToken,
}

/// Who is told where users connect.
struct OnMapped(Box<dyn Fn(String) + Send>);

impl std::fmt::Debug for OnMapped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("OnMapped")
    }
}

/// The control connection.
enum Control {
    None,
    Connecting(Pin<Box<dyn Future<Output = io::Result<Stream>> + Send>>),
    Open {
        connection: Box<Connection<ServerMessage>>,
        /// Whether the server has said anything yet.
        spoken: bool,
    },
}

impl Client {
    /// A client that has not connected yet.
    #[must_use]
    pub fn new(config: Config) -> Self {
        let mut bits = [0; 8];
        if let Err(error) = getrandom::fill(&mut bits) {
            // Only the spread of retries depends on it.
            warn!(%error, "no random bits");
        }
        let mappings = config.services.iter().map(Service::mapping).collect();
        let machine = machine::Client::new(machine::Config {
            login_deadline: config.login_timeout,
            longest_retry_wait: config.longest_retry_wait,
            ..machine::Config::new(
                config.name,
                config.username,
                config.password,
                mappings,
                u64::from_ne_bytes(bits),
            )
        });
        let names = Resolver::system();
        Self {
            machine,
            server: Arc::new(Server::new(config.server, names.clone())),
            names,
            services: config
                .services
                .into_iter()
                .map(|s| (s.remote_port, s))
                .collect(),
            told: BTreeSet::new(),
            on_mapped: OnMapped(Box::new(|_| {})),
            hold: config.hold_first_bytes,
            epoch: Instant::now(),
            control: Control::None,
            evictions: Evictions::default(),
            tunnels: TaskTracker::new(),
            most_tunnels: descriptors::pairs(descriptors::limit(), MAX_TUNNELS),
            refusals: Arc::new(Refusals::new()),
            cut: CancellationToken::new(),
        }
    }

    /// Calls `tell` for each open mapping when the server listens on it, with a line such as
    /// `tcp://example.org:10003 -> 127.0.0.1:3389`: the first time, and again only after the server
    /// has refused it. It must not block.
    #[must_use]
    pub fn on_mapped(mut self, tell: impl Fn(String) + Send + 'static) -> Self {
        self.on_mapped = OnMapped(Box::new(tell));
        self
    }

    /// Connects, and reconnects for ever, until `stop` is cancelled. Then the control connection
    /// is closed at once; open tunnels get up to 5 s to end.
    pub async fn run(mut self, stop: CancellationToken) {
        if self.services.is_empty() {
            warn!("no connections are configured: the client will only log in");
        }
        while let Some(input) = stop.run_until_cancelled(self.next_input()).await {
            if matches!(input, Input::ConnectFailed | Input::Ended | Input::Broken) {
                self.control = Control::None;
            }
            if matches!(input, Input::Ended)
                && let Some(count) = self.evictions.ended(Instant::now())
            {
                warn!(
                    count,
                    rule = "auth.same-name-replaces",
                    "the server ends each login within seconds: does another client use the name \
                     of this one?"
                );
            }
            if let Err(error) = self.machine.handle(self.epoch.elapsed(), input) {
                error!(%error, "bug: the state machine was driven wrongly");
            }
            for step in self.machine.take_steps() {
                let (state, event, next) = (step.state, step.event, step.next);
                trace!(target: "netroxy_client::step", ?state, ?event, ?next, rule = step.rule);
            }
            self.carry_out().await;
        }
        info!("stopping");
        if let Control::Open { connection, .. } =
            std::mem::replace(&mut self.control, Control::None)
        {
            connection.into_stream().close().await;
        }
        self.tunnels.close();
        if timeout(DRAIN, self.tunnels.wait()).await.is_err() {
            warn!(
                open = self.tunnels.len(),
                "cutting the tunnels that are still open"
            );
            self.cut.cancel();
            self.tunnels.wait().await;
        }
    }

    async fn next_input(&mut self) -> Input {
        let due = self.machine.poll_timeout().map(|at| self.epoch + at);
        let tick = async {
            match due {
                Some(at) => deadline::due(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            input = self.control.next(&self.server) => input,
            () = tick => Input::Tick,
        }
    }

    async fn carry_out(&mut self) {
        let mut bytes = Vec::new();
        while let Some(output) = self.machine.poll_output() {
            match output {
                Output::Connect => {
                    self.control = Control::Connecting(Box::pin(self.server.clone().open()));
                }
                Output::Send(message) => message.encode(&mut bytes),
                Output::Disconnect(reason) => {
                    warn!(%reason, rule = reason.rule(), "closing the control connection");
                    let control = std::mem::replace(&mut self.control, Control::None);
                    if let Control::Open { connection, .. } = control {
                        tokio::spawn(connection.into_stream().close());
                    }
                }
                Output::OpenTunnel {
                    remote_port,
                    token,
                    target: _,
                } => {
                    if self.tunnels.len() >= self.most_tunnels {
                        self.refuse(remote_port, token);
                        continue;
                    }
                    if let Some(service) = self.services.get(&remote_port) {
                        let tunnel = Tunnel {
                            server: self.server.clone(),
                            names: self.names.clone(),
                            refusals: self.refusals.clone(),
                            service: service.clone(),
                            token,
                            hold: self.hold,
                            cut: self.cut.clone(),
                        };
                        self.tunnels.spawn(tunnel.run());
                    }
                }
                Output::Notice(notice) => self.tell(notice),
            }
        }
        if let Control::Open { connection, .. } = &mut self.control
            && !bytes.is_empty()
            && !matches!(timeout(WRITE, connection.send(&bytes)).await, Ok(Ok(())))
        {
            // The next read tells the machine.
            connection.give_up();
        }
    }

    /// For a user for whom there is no tunnel.
    fn refuse(&self, remote_port: RemotePort, token: Token) {
        let (server, refusals) = (self.server.clone(), self.refusals.clone());
        let why = Why::TooManyTunnels(self.most_tunnels);
        tokio::spawn(async move { refusals.refuse(&server, remote_port, &token, why).await });
    }

    fn tell(&mut self, notice: Notice) {
        let server = &self.server;
        match notice {
            Notice::LoggedIn(timeout) => {
                self.evictions.begun(Instant::now());
                info!(%server, %timeout, "logged in");
            }
            Notice::Mapped(port) => {
                let Some(service) = self.services.get(&port) else {
                    return;
                };
                if service.is_open {
                    if self.told.insert(port) {
                        let host = server.public_host();
                        self.on_mapped.0(format!("tcp://{host}:{port} -> {}", service.target()));
                    }
                    info!(remote_port = %port, target = %service.target(), "mapped");
                } else {
                    info!(
                        remote_port = %port,
                        target = %service.target(),
                        "mapped, but users are refused: isOpen is not true"
                    );
                }
            }
            Notice::MapRefused(port, delay) => {
                self.told.remove(&port);
                warn!(
                    remote_port = %port,
                    retry_in = ?delay,
                    "the server cannot listen on the port: it is in use there, or held by an \
                     older login"
                );
            }
            Notice::UnknownPort(number) => warn!(
                remote_port = %number,
                rule = "tunnel.unknown-port-ignored",
                "the server spoke of a port that is not mapped; ignored"
            ),
            Notice::RetryIn(delay) => info!(%server, retry_in = ?delay, "not connected"),
        }
    }
}

impl Control {
    /// What the connection says next; for ever nothing if there is none.
    async fn next(&mut self, server: &Server) -> Input {
        match self {
            Self::None => std::future::pending().await,
            Self::Connecting(dialling) => match dialling.await {
                Ok(stream) => {
                    *self = Self::Open {
                        connection: Box::new(Connection::new(stream)),
                        spoken: false,
                    };
                    Input::Connected
                }
                Err(error) => {
                    warn!(%server, %error, "cannot connect");
                    Input::ConnectFailed
                }
            },
            Self::Open { connection, spoken } => match connection.receive().await {
                Received::Message(message) => {
                    *spoken = true;
                    Input::Message(message)
                }
                Received::Malformed(error) => Input::Malformed(error),
                Received::Ended(error) => {
                    // A server that closes TLS without its own goodbye closes all the same.
                    let broken = error
                        .as_ref()
                        .is_some_and(|error| error.kind() != io::ErrorKind::UnexpectedEof);
                    let error = error.map(tracing::field::display);
                    if *spoken {
                        warn!(error, "the server has ended the control connection");
                    } else {
                        warn!(
                            error,
                            "the server has ended the connection without a word: does this port \
                             speak TLS when the client does not?"
                        );
                    }
                    if broken { Input::Broken } else { Input::Ended }
                }
            },
        }
    }
}

impl std::fmt::Debug for Control {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::Connecting(_) => "Connecting",
            Self::Open { .. } => "Open",
        })
    }
}
