//! The client: drives the state machine with sockets.

use std::{
    collections::BTreeSet,
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use netroxy_net::{deadline, descriptors, resolve::Resolver};
use netroxy_proto::{
    RemotePort, Token,
    client::{self as machine, DisconnectReason, Input, Notice, Output},
};
use tokio::{sync::mpsc, time::timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{error, info, trace, warn};

use crate::{
    Config, Service,
    admin::{self, Changed, Handle, Order, State, Status},
    control::Control,
    dial::Server,
    eviction::Evictions,
    mappings::{Difference, Mappings, Replaced},
    refusal::{Refusals, Why},
    requests::{Book, poll::Poller},
    rounded::Rounded,
    spare::Spares,
    tunnel::Tunnel,
};

mod orders;
mod requests;

/// How long tunnels may go on after the order to stop.
const DRAIN: Duration = Duration::from_secs(5);
/// The most tunnels of a client, if the limit of open descriptors allows them. A server that asks
/// for more is faulty or hostile.
const MAX_TUNNELS: usize = 16_384;
/// After this time without taking our messages, a server is gone.
const WRITE: Duration = Duration::from_secs(10);

/// A client that is ready to run.
#[derive(Debug)]
pub struct Client {
    machine: machine::Client,
    config: Config,
    server: Arc<Server>,
    names: Resolver,
    mappings: Mappings,
    /// What users have asked for.
    book: Book,
    poller: Option<Poller>,
    /// Ports of requests that were withdrawn in this login. The server has closed them, and gives them
    /// again to another login only: v0.3 has no message to give a port back.
    withdrawn: BTreeSet<RemotePort>,
    /// So many pollers there were.
    pollers: u64,
    /// Why the server cannot be asked for requests.
    polling_problem: Option<String>,
    epoch: Instant,
    control: Control,
    login: Option<Login>,
    logins: u64,
    evictions: Evictions,
    tunnels: TaskTracker,
    tunnels_in_all: u64,
    most_tunnels: usize,
    refusals: Arc<Refusals>,
    spares: Option<Spares>,
    cut: CancellationToken,
    handle: Handle,
    orders: mpsc::Receiver<Order>,
}

/// When the client logged in.
#[derive(Debug, Clone, Copy)]
struct Login {
    at: Instant,
    since: SystemTime,
}

/// What comes next.
enum Turn {
    Input(Input),
    Order(Order),
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

    /// Calls `tell` for each open mapping when the server listens on it, with a line such as
    /// `tcp://example.org:10003 -> 127.0.0.1:3389`: the first time, and again only after the server
    /// has refused it. It must not block.
    #[must_use]
    pub fn on_mapped(mut self, tell: impl Fn(String) + Send + 'static) -> Self {
        self.mappings.on_mapped(tell);
        self
    }

    /// For orders while it runs.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Connects, and reconnects for ever, until `stop` is cancelled. Then the control connection
    /// is closed at once; open tunnels get up to 5 s to end.
    pub async fn run(mut self, stop: CancellationToken) {
        if self.mappings.is_empty() && self.config.requests.is_none() {
            warn!("no connections are configured: the client will only log in");
        }
        self.start_polling();
        while let Some(turn) = stop.run_until_cancelled(self.next_turn()).await {
            match turn {
                Turn::Input(input) => self.feed(input).await,
                Turn::Order(order) => self.obey(order).await,
            }
        }
        info!("stopping");
        let (control, spares, poller) = (
            std::mem::replace(&mut self.control, Control::None),
            self.spares.take(),
            self.poller.take(),
        );
        tokio::join!(
            async {
                if let Control::Open { connection, .. } = control {
                    connection.into_stream().close().await;
                }
            },
            async {
                if let Some(spares) = spares {
                    spares.end().await;
                }
            },
            async {
                if let Some(poller) = poller {
                    poller.stop().await;
                }
            }
        );
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

    async fn next_turn(&mut self) -> Turn {
        let due = self.machine.poll_timeout().map(|at| self.epoch + at);
        let tick = async {
            match due {
                Some(at) => deadline::due(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            input = self.control.next(&self.server) => Turn::Input(input),
            () = tick => Turn::Input(Input::Tick),
            Some(order) = self.orders.recv() => Turn::Order(order),
        }
    }

    async fn feed(&mut self, input: Input) {
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
                "the server ends each login within seconds: does another client use the name of \
                 this one?"
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

    /// As the configuration says now; those of before are closed.
    fn new_spares(&mut self) {
        // A half of what tunnels leave is for all else.
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
                Output::OpenTunnel {
                    remote_port,
                    token,
                    target: _,
                } => self.open_tunnel(remote_port, token),
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
            warn!(%remote_port, %why, "bug: a mapping is there that is not allowed; not connected");
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

    /// The address at which a service on this port would lead back to this client: the server's,
    /// if the server listens there for us.
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
                "the server spoke of a port that is not mapped; ignored"
            ),
            Notice::RetryIn(delay) => info!(%server, retry_in = %Rounded(delay), "not connected"),
        }
    }
}

/// `requested` are the services that users have asked for.
fn machine_config<'a>(
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
