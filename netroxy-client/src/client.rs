//! The client: drives the state machine with real sockets.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use netroxy_net::descriptors;
use netroxy_net::resolve::Resolver;
use netroxy_proto::client::{self as machine, DisconnectReason, Input, Notice, Output};
use netroxy_proto::{RemotePort, Token};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{error, info, trace, warn};

use crate::admin::{self, Handle, Order};
use crate::control::Control;
use crate::dial::Server;
use crate::eviction::Evictions;
use crate::mappings::Mappings;
use crate::refusal::{Refusals, Why};
use crate::requests::Book;
use crate::requests::poll::Poller;
use crate::rounded::Rounded;
use crate::spare::Spares;
use crate::tunnel::Tunnel;
use crate::{Config, Service};

/// The most tunnels of a client, if the limit of descriptors allows them. A server that requests more is faulty or
/// hostile.
const MAX_TUNNELS: usize = 16_384;
/// How long a write to the server may block. After that the connection counts as broken.
const WRITE: Duration = Duration::from_secs(10);

/// A client that is ready to run.
#[derive(Debug)]
pub struct Client {
    pub(crate) machine: machine::Client,
    pub(crate) config: Config,
    pub(crate) server: Arc<Server>,
    pub(crate) names: Resolver,
    pub(crate) mappings: Mappings,
    /// The requests of users, and the decisions.
    pub(crate) book: Book,
    pub(crate) poller: Option<Poller>,
    /// Ports of requests that were withdrawn in this login. The server has closed them, and opens them again for
    /// another login only: v0.3 has no message to give a port back.
    pub(crate) withdrawn: BTreeSet<RemotePort>,
    /// How many pollers were started.
    pub(crate) pollers: u64,
    /// Why the client cannot fetch requests from the server.
    pub(crate) polling_problem: Option<String>,
    pub(crate) epoch: Instant,
    pub(crate) control: Control,
    pub(crate) login: Option<Login>,
    pub(crate) logins: u64,
    pub(crate) evictions: Evictions,
    pub(crate) tunnels: TaskTracker,
    pub(crate) tunnels_in_all: u64,
    pub(crate) most_tunnels: usize,
    pub(crate) refusals: Arc<Refusals>,
    pub(crate) spares: Option<Spares>,
    pub(crate) cut: CancellationToken,
    pub(crate) handle: Handle,
    pub(crate) orders: mpsc::Receiver<Order>,
}

/// When the client logged in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Login {
    pub(crate) at: Instant,
    pub(crate) since: SystemTime,
}

impl Client {
    /// A client that has not connected yet.
    #[must_use]
    pub fn new(config: Config) -> Self {
        let mut bits = [0; 8];
        if let Err(error) = getrandom::fill(&mut bits) {
            // Only the random part of retry delays needs them.
            warn!(%error, "no random bits");
        }
        let names = Resolver::system();
        let (handle, orders) = admin::orders();
        Self {
            machine: machine::Client::new(machine_config(
                &config,
                std::iter::empty(),
                u64::from_ne_bytes(bits),
            )),
            server: Arc::new(Server::new(config.server.clone(), names.clone(), None)),
            names,
            mappings: Mappings::new(&config.services),
            config,
            book: Book::default(),
            poller: None,
            withdrawn: BTreeSet::new(),
            pollers: 0,
            polling_problem: None,
            epoch: Instant::now(),
            control: Control::None,
            login: None,
            logins: 0,
            evictions: Evictions::default(),
            tunnels: TaskTracker::new(),
            tunnels_in_all: 0,
            most_tunnels: descriptors::pairs(descriptors::limit(), MAX_TUNNELS),
            refusals: Arc::new(Refusals::new()),
            spares: None,
            cut: CancellationToken::new(),
            handle,
            orders,
        }
    }

    /// Calls `tell` for each open mapping when the server listens on its port, with a line such as
    /// `tcp://example.org:10003 -> 127.0.0.1:3389`. It is called once for each mapping, and again only after the server
    /// has refused it or its target has changed. It must not block.
    #[must_use]
    pub fn on_mapped(mut self, tell: impl Fn(String) + Send + 'static) -> Self {
        self.mappings.on_mapped(tell);
        self
    }

    /// Gives orders to the client while it runs.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    pub(crate) async fn feed(&mut self, input: Input) {
        if matches!(input, Input::ConnectFailed | Input::Ended | Input::Broken) {
            self.control = Control::None;
            self.logged_out();
        }
        if matches!(input, Input::Ended)
            && let Some(count) = self.evictions.ended(Instant::now())
        {
            warn!(
                count,
                rule = "auth.same-name-replaces",
                "the server ends each login within seconds: another client may use the same user \
                 and name"
            );
        }
        self.tell_machine(input);
        for step in self.machine.take_steps() {
            let (state, event, next) = (step.state, step.event, step.next);
            trace!(target: "netroxy_client::step", ?state, ?event, ?next, rule = step.rule);
        }
        self.carry_out().await;
    }

    fn tell_machine(&mut self, input: Input) {
        if let Err(error) = self.machine.handle(self.epoch.elapsed(), input) {
            error!(%error, "bug: the state machine was driven wrongly");
        }
    }

    fn logged_out(&mut self) {
        self.login = None;
        self.withdrawn.clear();
        self.spares = None;
        self.mappings.ended();
    }

    /// Begins to keep spares as the configuration says now. The old spares are closed.
    pub(crate) fn new_spares(&mut self) {
        // Half of the descriptors that tunnels leave are reserved for other uses.
        let reserve = descriptors::limit().saturating_sub(2 * self.most_tunnels as u64);
        let room = usize::try_from(reserve / 2).unwrap_or(usize::MAX);
        let most = self.config.spare_connections.min(room);
        self.spares =
            (self.login.is_some() && most > 0).then(|| Spares::new(self.server.clone(), most));
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
                    if reason == DisconnectReason::Reconfigured {
                        info!(%reason, "logging in anew; open tunnels stay");
                    } else {
                        warn!(%reason, rule = reason.rule(), "closing the control connection");
                    }
                    self.logged_out();
                    let control = std::mem::replace(&mut self.control, Control::None);
                    if let Control::Open { connection, .. } = control {
                        tokio::spawn(connection.into_stream().close());
                    }
                }
                Output::OpenTunnel { remote_port, token } => self.open_tunnel(remote_port, token),
                Output::Notice(notice) => self.tell(notice),
            }
        }
        if let Control::Open { connection, .. } = &mut self.control
            && !bytes.is_empty()
            && !matches!(timeout(WRITE, connection.send(&bytes)).await, Ok(Ok(())))
        {
            // The next read reports the end to the machine.
            connection.give_up();
        }
    }

    fn open_tunnel(&mut self, remote_port: RemotePort, token: Token) {
        if self.tunnels.len() >= self.most_tunnels {
            let (server, refusals) = (self.server.clone(), self.refusals.clone());
            let why = Why::TooManyTunnels(self.most_tunnels);
            tokio::spawn(async move { refusals.refuse(&server, remote_port, &token, why).await });
            return;
        }
        let Some(mapping) = self.mappings.get(remote_port) else {
            return;
        };
        if let Err(why) = mapping.permit(self.config.requests.as_ref()) {
            warn!(%remote_port, %why, "bug: a mapping in the table is not allowed; not connected");
            return;
        }
        self.refusals.prepare();
        let tunnel = Tunnel {
            server: self.server.clone(),
            names: self.names.clone(),
            refusals: self.refusals.clone(),
            spares: self.spares.as_ref().map(Spares::pool),
            service: mapping.service.clone(),
            token,
            peer: self.config.peer,
            hold: self.config.hold_first_bytes,
            cut: self.cut.clone(),
            open: mapping.open(),
            forbidden: self.forbidden(mapping.service.port),
        };
        self.tunnels_in_all += 1;
        self.tunnels.spawn(tunnel.run());
    }

    /// The address at which a target with this port would lead back to this client: that of the server, if the server
    /// listens on the port for this client.
    fn forbidden(&self, port: u16) -> Option<IpAddr> {
        let port = RemotePort::try_from(i64::from(port)).ok()?;
        self.mappings.get(port).filter(|m| m.is_mapped())?;
        Some(self.server.peer()?.ip())
    }

    fn tell(&mut self, notice: Notice) {
        let server = self.server.clone();
        match notice {
            Notice::LoggedIn(timeout) => {
                let at = Instant::now();
                let since = SystemTime::now();
                self.login = Some(Login { at, since });
                self.new_spares();
                self.logins += 1;
                self.mappings.logged_in();
                self.evictions.begun(at);
                info!(%server, %timeout, "logged in");
            }
            Notice::Mapped(port) => {
                let host = server.public_host();
                let Some(mapping) = self.mappings.mapped(port, &host) else {
                    return;
                };
                let service = &mapping.service;
                if service.is_open {
                    info!(remote_port = %port, target = %service.target(), "mapped");
                } else {
                    info!(
                        remote_port = %port,
                        target = %service.target(),
                        "mapped, but users are refused: isOpen is not true"
                    );
                }
            }
            Notice::MapRefused(port, _) if self.give_up(port) => {}
            Notice::MapRefused(port, delay) => {
                self.mappings
                    .refused(port, Instant::now().checked_add(delay));
                warn!(
                    remote_port = %port,
                    retry_in = %Rounded(delay),
                    "the server refuses the port: it is in use there, held by an older login, or \
                     not allowed for this account; the server's log says which"
                );
            }
            Notice::UnknownPort(number) => warn!(
                remote_port = %number,
                rule = "tunnel.unknown-port-ignored",
                "the server has sent a message for a port that is not mapped; it is ignored"
            ),
            Notice::RetryIn(delay) => info!(%server, retry_in = %Rounded(delay), "not connected"),
        }
    }

    /// Refuses a request that was never mapped, because the server does not listen on its port. Returns whether the
    /// port belongs to such a request.
    fn give_up(&mut self, port: RemotePort) -> bool {
        let Some(id) = self.mappings.give_up(port) else {
            return false;
        };
        let reason = format!("the server cannot listen on the port {port}: is it in use there?");
        let _ = self.book.refuse(&id, &reason, &mut self.mappings);
        self.tell_machine(Input::Forget(port));
        self.kick();
        true
    }

    /// Wakes the poller, because a decision has to be reported to the server.
    pub(crate) fn kick(&self) {
        if let Some(poller) = &self.poller {
            poller.kick();
        }
    }
}

/// The configuration of the machine. `requested` are the services that users have requested.
pub(crate) fn machine_config<'a>(
    config: &'a Config,
    requested: impl Iterator<Item = &'a Arc<Service>>,
    jitter: u64,
) -> machine::Config {
    let own = config.services.iter();
    let services = own.chain(requested.map(Arc::as_ref));
    machine::Config {
        login_deadline: config.login_timeout,
        longest_retry_wait: config.longest_retry_wait,
        ..machine::Config::new(
            config.name.clone(),
            config.username.clone(),
            config.password.clone(),
            services.map(Service::mapping).collect(),
            jitter,
        )
    }
}
