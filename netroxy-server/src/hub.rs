//! The one place that owns the server's state.
//!
//! Tasks feed inputs to the state machine under one lock, and the outputs of each input are handed
//! out before the lock is released. So every input is whole, and an input costs a lock instead of
//! two hops between tasks. Nothing is awaited under the lock.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    fmt, io,
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use netroxy_net::{
    deadline,
    listen::{Bind, Closable, listen_on_all},
    log::REFUSAL,
    stream::Stream,
};
use netroxy_proto::{
    Ath, ClientName, Mrs, PortNumber, RemotePort, ServerMessage, Target, Token, Username,
    server::{self, CloseReason, ConnId, Input, Listener, MappingId, Output, RefuseReason, UserId},
};
use tokio::sync::{Notify, Semaphore, mpsc, oneshot};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{error, info, trace, warn};

use crate::{
    Config,
    accounts::Account,
    admission::{Admission, Refusal},
    live::{Kind, Live},
    user::{self, MappedPort, Waiting},
    web::{Requests, Who},
};

/// See the [module documentation](self).
pub(crate) struct Hub {
    state: Mutex<State>,
    epoch: Instant,
    /// The machine has a deadline before the one that is waited for.
    deadline: Notify,
    mapping_bind: Vec<Bind>,
    config: RwLock<Arc<Config>>,
    /// Who may come in.
    pub(crate) admission: Arc<Admission>,
    /// TLS handshakes with clients at a time.
    pub(crate) handshakes: Semaphore,
    /// The same with users, who must not hold up clients.
    pub(crate) user_handshakes: Semaphore,
    /// How many users wait for a data connection.
    waiting: AtomicUsize,
    /// All tasks of the server.
    pub(crate) tasks: TaskTracker,
    /// No new connections; control connections end.
    pub(crate) stop: CancellationToken,
    /// Tunnels end.
    pub(crate) cut: CancellationToken,
    /// For the web interface, if there is one.
    pub(crate) live: Option<Live>,
    /// Requests for mappings. Its lock may be taken under the hub's, never the other way round.
    pub(crate) requests: Requests,
}

struct State {
    machine: server::Server,
    conns: BTreeMap<ConnId, Outbox>,
    users: BTreeMap<UserId, oneshot::Sender<Fate>>,
    listeners: BTreeMap<MappingId, Arc<MappedPort>>,
    clients: BTreeMap<ConnId, Arc<Client>>,
    /// Mappings that are switched off, by account and port. A client that logs in anew does not switch
    /// them on.
    off: BTreeSet<(Username, RemotePort)>,
    /// The deadline that is waited for. Each user and each connection brings one, and takes it away
    /// soon after; who waits for an earlier one than there is looks again then.
    awaited: Option<Duration>,
    next_id: u64,
}

/// Why a login ends, or is not made, after a new configuration.
const ACCOUNT_CHANGED: &str = "its account has changed";

/// How the machine's orders reach a connection's task.
struct Outbox {
    orders: mpsc::UnboundedSender<Order>,
    /// Messages among them that have not been sent.
    unsent: Arc<AtomicUsize>,
    closing: CancellationToken,
    peer: SocketAddr,
    listener: Listener,
    /// Whose login was granted and is about to be made.
    account: Option<Arc<Account>>,
}

/// A client that is logged in.
pub(crate) struct Client {
    pub(crate) id: ConnId,
    pub(crate) account: Arc<Account>,
    pub(crate) name: ClientName,
    pub(crate) peer: SocketAddr,
    pub(crate) listener: Listener,
    pub(crate) since: Instant,
    /// Mapped ports.
    pub(crate) ports: AtomicUsize,
    /// Users, those that wait included.
    pub(crate) users: AtomicUsize,
}

/// What a connection's task is told.
pub(crate) enum Order {
    Send(ServerMessage),
    Close(CloseReason),
    /// Close the connection for a reason that is not the protocol's.
    Leave(&'static str),
    /// Give the stream to a user's task.
    Join(oneshot::Sender<Fate>),
    /// Begin a user's task.
    Serve(Box<Waiting>),
}

/// What a waiting user's task is told.
pub(crate) enum Fate {
    /// Relay to this stream; `early` was read from it already.
    Joined {
        data: Stream,
        early: Vec<u8>,
    },
    Refused(RefuseReason),
}

/// A connection's end of the hub.
pub(crate) struct Seat {
    pub(crate) id: ConnId,
    pub(crate) orders: mpsc::UnboundedReceiver<Order>,
    /// Messages among the orders that have not been sent; at most as many as the limits say.
    pub(crate) unsent: Arc<AtomicUsize>,
    /// Cancelled when the last order was given: a write that hangs need not be waited for.
    pub(crate) closing: CancellationToken,
}

impl Hub {
    /// A server without connections, in a process that may open `descriptors`.
    pub(crate) fn new(config: Config, mapping_bind: Vec<Bind>, descriptors: u64) -> Self {
        let figures = config.limits.figures(descriptors);
        let handshakes = figures.handshakes.min(Semaphore::MAX_PERMITS);
        Self {
            state: Mutex::new(State {
                machine: server::Server::new(machine_config(&config, figures.waiting_per_port)),
                conns: BTreeMap::new(),
                users: BTreeMap::new(),
                listeners: BTreeMap::new(),
                clients: BTreeMap::new(),
                off: BTreeSet::new(),
                awaited: None,
                next_id: 0,
            }),
            epoch: Instant::now(),
            deadline: Notify::new(),
            mapping_bind,
            handshakes: Semaphore::new(handshakes),
            user_handshakes: Semaphore::new(handshakes),
            waiting: AtomicUsize::new(0),
            admission: Admission::new(figures),
            live: config.web.as_ref().map(|_| Live::default()),
            requests: Requests::default(),
            config: RwLock::new(Arc::new(config)),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
            cut: CancellationToken::new(),
        }
    }

    /// The configuration that holds now.
    pub(crate) fn config(&self) -> Arc<Config> {
        let config = self.config.read().unwrap_or_else(PoisonError::into_inner);
        config.clone()
    }

    /// Puts another configuration in place of the one that holds. Tunnels, and clients whose account
    /// is still what it was, do not notice; other clients have to log in again.
    pub(crate) fn set_config(self: &Arc<Self>, config: Config, descriptors: u64) {
        let figures = config.limits.figures(descriptors);
        let machine = machine_config(&config, figures.waiting_per_port);
        self.admission.set_figures(figures);
        let accounts = config.accounts.clone();
        *self.config.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(config);
        let mut state = self.lock();
        state.machine.set_config(machine);
        let gone: Vec<_> = state
            .clients
            .iter()
            .filter(|(_, client)| !accounts.still_has(&client.account))
            .map(|(conn, _)| *conn)
            .collect();
        for conn in gone {
            if let Some(outbox) = state.conns.get(&conn) {
                outbox.leave(ACCOUNT_CHANGED);
            }
            self.run(&mut state, Input::Ended { conn });
        }
    }

    /// Takes in a connection; `None` without random bits for its token.
    pub(crate) fn admit(self: &Arc<Self>, listener: Listener, peer: SocketAddr) -> Option<Seat> {
        let mut bits = [0; 16];
        if let Err(error) = getrandom::fill(&mut bits) {
            error!(%error, "no random bits for a token");
            return None;
        }
        let (sender, orders) = mpsc::unbounded_channel();
        let closing = CancellationToken::new();
        let unsent = Arc::new(AtomicUsize::new(0));
        let mut state = self.lock();
        let id = ConnId(state.new_id());
        state.conns.insert(
            id,
            Outbox {
                orders: sender,
                unsent: unsent.clone(),
                closing: closing.clone(),
                peer,
                listener,
                account: None,
            },
        );
        let token = Token::from_random(bits);
        self.run(
            &mut state,
            Input::Accepted {
                conn: id,
                listener,
                token,
            },
        );
        Some(Seat {
            id,
            orders,
            unsent,
            closing,
        })
    }

    /// Feeds a login that was checked: `account` is the one whose password it showed.
    pub(crate) fn login(self: &Arc<Self>, conn: ConnId, ath: Ath, account: Option<Arc<Account>>) {
        let mut state = self.lock();
        // The configuration may have changed while the password was checked. A new one is in place
        // before `set_config` takes the lock to end the logins that it does not know.
        let account = account.filter(|account| {
            let stays = self.config().accounts.still_has(account);
            if !stays {
                let user = &account.username;
                info!(target: REFUSAL, %user, reason = ACCOUNT_CHANGED, "login refused");
            }
            stays
        });
        let granted = account.is_some();
        if let Some(outbox) = state.conns.get_mut(&conn) {
            outbox.account = account;
        }
        self.run(&mut state, Input::Login { conn, ath, granted });
    }

    /// How many users wait for a data connection.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// The clients that are logged in, in the order of their connections.
    pub(crate) fn clients(&self) -> Vec<Arc<Client>> {
        self.lock().clients.values().cloned().collect()
    }

    /// The mapped ports.
    pub(crate) fn mapped_ports(&self) -> Vec<Arc<MappedPort>> {
        self.lock().listeners.values().cloned().collect()
    }

    /// Takes in a user of a mapped port; `None` where too many wait already.
    pub(crate) fn admit_user(
        self: &Arc<Self>,
        mapping: MappingId,
    ) -> Option<(UserId, oneshot::Receiver<Fate>)> {
        let most = self.admission.limit(|limits| limits.waiting);
        let (sender, fate) = oneshot::channel();
        let mut state = self.lock();
        if state.users.len() >= most {
            return None;
        }
        let user = UserId(state.new_id());
        state.users.insert(user, sender);
        self.run(&mut state, Input::UserAccepted { mapping, user });
        Some((user, fate))
    }

    /// Begins the task of a user who has been taken in. The task of its control connection `conn`
    /// does it, which has just been woken to send TRQ: of two tasks that are woken at once, the second
    /// one wakes a thread.
    pub(crate) fn begin(&self, conn: ConnId, user: Box<Waiting>) {
        let state = self.lock();
        let unsent = match state.conns.get(&conn) {
            Some(outbox) => outbox.orders.send(Order::Serve(user)).err().map(|e| e.0),
            None => Some(Order::Serve(user)),
        };
        // The client has gone, which the user's task is told.
        if let Some(Order::Serve(user)) = unsent {
            self.tasks.spawn(user::serve(user));
        }
    }

    /// Feeds one input.
    pub(crate) fn feed(self: &Arc<Self>, input: Input) {
        self.run(&mut self.lock(), input);
    }

    /// Feeds the machine's deadlines, until the server stops.
    pub(crate) async fn tick(self: Arc<Self>) {
        loop {
            let next = {
                let mut state = self.lock();
                state.awaited = state.machine.poll_timeout();
                state.awaited
            };
            let due = async {
                match next {
                    Some(at) => deadline::due(self.epoch + at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = self.stop.cancelled() => return,
                () = self.deadline.notified() => {}
                () = due => self.feed(Input::Tick),
            }
        }
    }

    fn run(self: &Arc<Self>, state: &mut MutexGuard<'_, State>, input: Input) {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            match &input {
                Input::Ended { conn } => self.forget(state, *conn),
                Input::UserGone { user } => drop(state.users.remove(user)),
                _ => {}
            }
            if let Err(error) = state.machine.handle(self.now(), input) {
                error!(%error, "bug: the state machine was driven wrongly");
            }
            for step in state.machine.take_steps() {
                let (state, event, next) = (step.state, step.event, step.next);
                trace!(target: "netroxy_server::step", ?state, ?event, ?next, rule = step.rule);
            }
            while let Some(output) = state.machine.poll_output() {
                inputs.extend(self.carry_out(state, output));
            }
        }
        self.waiting.store(state.users.len(), Ordering::Relaxed);
        if let Some(next) = state.machine.poll_timeout()
            && state.awaited.is_none_or(|awaited| next < awaited)
        {
            state.awaited = Some(next);
            self.deadline.notify_one();
        }
    }

    /// Does what the machine says. What it has to be told at once is the result.
    fn carry_out(self: &Arc<Self>, state: &mut State, output: Output) -> Option<Input> {
        match output {
            Output::Send { conn, message } => {
                if let ServerMessage::Mrs(Mrs {
                    remote_port,
                    is_ok: false,
                }) = &message
                {
                    self.tell_holder(state, conn, *remote_port);
                }
                let outbox = state.conns.get(&conn)?;
                // Before the task can have sent it.
                let unsent = outbox.unsent.fetch_add(1, Ordering::Relaxed);
                // A task that has ended is about to say so.
                let _ = outbox.orders.send(Order::Send(message));
                if unsent >= self.admission.limit(|limits| limits.unread_answers) {
                    outbox.leave("it does not read its answers");
                    self.admission.refuse(Refusal::UnreadAnswers);
                    return Some(Input::Ended { conn });
                }
            }
            Output::Close { conn, reason } => {
                if let Some(outbox) = state.conns.get(&conn) {
                    let _ = outbox.orders.send(Order::Close(reason));
                    outbox.closing.cancel();
                }
                self.forget(state, conn);
            }
            Output::LoggedIn {
                conn, client_name, ..
            } => {
                let outbox = state.conns.get_mut(&conn)?;
                let account = outbox.account.take()?;
                let user = &account.username;
                info!(client = %client_name, %user, "client logged in");
                let text = format_args!(
                    "client {client_name} of {user} at {} logged in",
                    outbox.peer
                );
                self.note(Kind::ClientIn, Some(user), text);
                let client = Client {
                    id: conn,
                    account,
                    name: client_name,
                    peer: outbox.peer,
                    listener: outbox.listener,
                    since: Instant::now(),
                    ports: AtomicUsize::new(0),
                    users: AtomicUsize::new(0),
                };
                state.clients.insert(conn, Arc::new(client));
            }
            Output::OpenListener {
                mapping,
                conn,
                remote_port,
                target,
            } => {
                return Some(self.open(state, mapping, conn, remote_port, target));
            }
            Output::CloseListener { mapping } => self.close(state, mapping),
            Output::Join { conn, user } => {
                if let (Some(outbox), Some(fate)) =
                    (state.conns.get(&conn), state.users.remove(&user))
                {
                    let _ = outbox.orders.send(Order::Join(fate));
                }
                self.forget(state, conn);
            }
            Output::RefuseUser { user, reason } => {
                if let Some(fate) = state.users.remove(&user) {
                    let _ = fate.send(Fate::Refused(reason));
                }
            }
        }
        None
    }

    /// Tells of a refused port which client has it. The machine refuses such a port by itself; all
    /// other refusals are told where they are decided.
    fn tell_holder(&self, state: &State, conn: ConnId, remote_port: PortNumber) {
        let remote_port = remote_port.remote_port();
        let held = remote_port.and_then(|port| state.mapped(port.get()));
        let (Some((_, held)), Some(client)) = (held, state.clients.get(&conn)) else {
            return;
        };
        let remote_port = held.remote_port;
        let (user, holder) = (&client.account.username, &held.client);
        let reason = if holder.id == conn {
            "this login has the port already"
        } else {
            "another login has the port"
        };
        warn!(%remote_port, %user, client = %client.name, held_by = %holder.name, reason, "port refused");
        let text = format_args!("port {remote_port} refused: {reason}");
        self.note(Kind::MappingRefused, Some(user), text);
    }

    fn open(
        self: &Arc<Self>,
        state: &mut State,
        mapping: MappingId,
        conn: ConnId,
        remote_port: RemotePort,
        target: Target,
    ) -> Input {
        let failed = Input::ListenerFailed { mapping };
        let Some(client) = state.clients.get(&conn) else {
            return failed;
        };
        let user = client.account.username.clone();
        let note_refusal = |reason: &dyn fmt::Display| {
            let text = format_args!("port {remote_port} -> {target} refused: {reason}");
            self.note(Kind::MappingRefused, Some(&user), text);
        };
        if let Err(refusal) = self.may_map(client, remote_port.get()) {
            let refusal = self.admission.refuse(refusal);
            warn!(%remote_port, %target, %user, reason = %refusal, "port refused");
            note_refusal(&refusal);
            return failed;
        }
        match self.listen(remote_port.get()) {
            Ok(listeners) => {
                info!(%remote_port, %target, "port opened");
                let text = format_args!("port {remote_port} -> {target} opened");
                self.note(Kind::MappingOpened, Some(&user), text);
                let client = client.clone();
                let who = client.who();
                self.requests(|list, now| list.opened(remote_port.get(), conn.0, who, now));
                let on = !state.off.contains(&(user, remote_port));
                let port =
                    MappedPort::new(mapping, conn, remote_port, target, client, listeners, on);
                for door in 0..port.doors() {
                    self.tasks
                        .spawn(user::accept(self.clone(), port.clone(), door));
                }
                self.admission.port_opened(port.doors());
                state.listeners.insert(mapping, port);
                Input::ListenerOpened { mapping }
            }
            Err(error) => {
                warn!(%remote_port, %target, %error, "port refused");
                note_refusal(&error);
                failed
            }
        }
    }

    /// Frees a port. It may be free already: [`withdraw`](Self::withdraw) does not wait for the machine.
    fn close(&self, state: &mut State, mapping: MappingId) {
        let Some(port) = state.listeners.remove(&mapping) else {
            return;
        };
        port.close();
        self.admission.port_closed(port.doors());
        info!(remote_port = %port.remote_port, "port closed");
        let text = format_args!("port {} closed", port.remote_port);
        let owner = &port.client.account.username;
        self.note(Kind::MappingClosed, Some(owner), text);
        let (number, login) = (port.remote_port.get(), port.client.id.0);
        self.requests(|list, now| list.closed(number, login, now));
    }

    /// Frees a port that a login has mapped, because nobody wants it any more. Tunnels go on, and the
    /// client is not told: for the machine the port stays its own until the login ends.
    pub(crate) fn withdraw(&self, port: u16, login: u64) {
        let mut state = self.lock();
        if let Some((mapping, found)) = state.mapped(port)
            && found.client.id.0 == login
        {
            self.close(&mut state, mapping);
        }
    }

    /// Whether an account may map a port, as far as its number goes.
    pub(crate) fn may_use(&self, account: &Account, port: u16) -> bool {
        let (allowed, config) = (account.allowed_ports.as_ref(), self.config());
        allowed.unwrap_or(&config.allowed_ports).contains(port)
    }

    fn may_map(&self, client: &Client, port: u16) -> Result<(), Refusal> {
        let account = &client.account;
        if !self.may_use(account, port) {
            return Err(Refusal::PortNotAllowed);
        }
        let most = account.max_ports.map_or_else(
            || self.admission.limit(|limits| limits.ports_per_client),
            |most| if most == 0 { usize::MAX } else { most },
        );
        if client.ports.load(Ordering::Relaxed) >= most {
            return Err(Refusal::PortsPerClient);
        }
        Ok(())
    }

    /// Listens on all addresses of a mapped port, but for those of a family that the machine does
    /// not have.
    fn listen(&self, port: u16) -> io::Result<Vec<Closable>> {
        let config = self.config();
        let own = config
            .mapped_port(port)
            .and_then(|mapped| mapped.ip.as_ref());
        let listeners = listen_on_all(own.unwrap_or(&self.mapping_bind), port)?;
        Ok(listeners.into_iter().map(Closable::new).collect())
    }

    /// Lets go of a connection that has ended, or that was given its last order.
    fn forget(&self, state: &mut State, conn: ConnId) {
        state.conns.remove(&conn);
        if let Some(client) = state.clients.remove(&conn) {
            let (name, user) = (&client.name, &client.account.username);
            let text = format_args!("client {name} of {user} at {} has gone", client.peer);
            self.note(Kind::ClientOut, Some(user), text);
            self.requests(|list, now| list.gone(conn.0, &client.who(), now));
        }
    }

    /// Notes for the web interface what has happened to something of an account.
    pub(crate) fn note(&self, kind: Kind, owner: Option<&Username>, text: fmt::Arguments<'_>) {
        if let Some(live) = &self.live {
            live.note(kind, owner, text);
        }
    }

    /// Lets new users of a mapped port in, or closes them at once. `may` decides whether the port may be
    /// switched. `None` is that it may not, or is not there.
    pub(crate) fn switch(
        &self,
        port: u16,
        on: bool,
        may: impl FnOnce(&Account) -> bool,
    ) -> Option<Arc<MappedPort>> {
        let mut state = self.lock();
        let (_, mapped) = state.mapped(port)?;
        let mapped = mapped.clone();
        let account = &mapped.client.account;
        if !may(account) {
            return None;
        }
        let key = (account.username.clone(), mapped.remote_port);
        if on {
            state.off.remove(&key);
        } else {
            state.off.insert(key);
        }
        mapped.switch(on);
        Some(mapped)
    }

    fn now(&self) -> Duration {
        self.epoch.elapsed()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Client {
    /// Who it is, also when it logs in anew.
    pub(crate) fn who(&self) -> Who {
        Who {
            account: self.account.username.clone(),
            name: self.name.clone(),
        }
    }
}

impl State {
    /// The mapping of a port: each port is mapped once.
    fn mapped(&self, port: u16) -> Option<(MappingId, &Arc<MappedPort>)> {
        let mut listeners = self.listeners.iter();
        let found = listeners.find(|(_, mapped)| mapped.remote_port.get() == port);
        found.map(|(mapping, mapped)| (*mapping, mapped))
    }

    fn new_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }
}

impl Outbox {
    /// Has the connection closed, whether it takes what is left to send or not.
    fn leave(&self, why: &'static str) {
        // A task that has ended is about to say so.
        let _ = self.orders.send(Order::Leave(why));
        self.closing.cancel();
    }
}

fn machine_config(config: &Config, max_waiting: usize) -> server::Config {
    server::Config {
        login_deadline: config.login_timeout,
        user_deadline: config.user_timeout,
        max_waiting,
        ..server::Config::checked_by_driver(config.timeout)
    }
}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub")
            .field("mapping_bind", &self.mapping_bind)
            .finish_non_exhaustive()
    }
}
