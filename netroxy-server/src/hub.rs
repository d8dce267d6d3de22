//! The state of the server.
//!
//! Tasks feed inputs to the state machine under one lock, and the outputs of each input are carried
//! out before the lock is released. So no two inputs mix, and an input costs a lock instead of two
//! changes of task. Nothing is awaited under the lock.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};
use std::{fmt, io};

use netroxy_net::deadline;
use netroxy_net::listen::{Bind, Closable, listen_on_all};
use netroxy_net::log::REFUSAL;
use netroxy_net::stream::Stream;
use netroxy_proto::server::{
    self, CloseReason, ConnId, Input, Listener, MappingId, Output, RefuseReason, UserId,
};
use netroxy_proto::{Ath, Mrs, PortNumber, RemotePort, ServerMessage, Target, Token, Username};
use tokio::sync::{Notify, Semaphore, mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{error, info, trace, warn};

use crate::Config;
use crate::accounts::Account;
use crate::admission::{Admission, Refusal};
use crate::client::Client;
use crate::live::{Kind, Live};
use crate::port::MappedPort;
use crate::requests::{List, Moment, Requests};

/// See the [module documentation](self).
pub(crate) struct Hub {
    state: Mutex<State>,
    epoch: Instant,
    /// Notified when the machine has a deadline before [`State::awaited`].
    deadline: Notify,
    mapping_bind: Vec<Bind>,
    config: RwLock<Arc<Config>>,
    /// Decides which connections are let in.
    pub(crate) admission: Arc<Admission>,
    /// Permits for TLS handshakes with clients.
    pub(crate) handshakes: Semaphore,
    /// Permits for TLS handshakes with users, which must not delay those with clients.
    pub(crate) user_handshakes: Semaphore,
    /// How many users wait for a data connection.
    waiting: AtomicUsize,
    accept: AcceptUsers,
    /// All tasks of the server.
    pub(crate) tasks: TaskTracker,
    /// Cancelled when the server stops: it accepts no connection any more, and control connections end.
    pub(crate) stop: CancellationToken,
    /// Cancelled when open tunnels have to end.
    pub(crate) cut: CancellationToken,
    /// What the web interface shows; `None` without a web interface.
    pub(crate) live: Option<Live>,
    /// Requests for mappings. Their lock may be taken under the hub's lock, never the other way round.
    pub(crate) requests: Requests,
}

struct State {
    machine: server::Server,
    conns: BTreeMap<ConnId, Outbox>,
    users: BTreeMap<UserId, oneshot::Sender<Fate>>,
    listeners: BTreeMap<MappingId, Arc<MappedPort>>,
    clients: BTreeMap<ConnId, Arc<Client>>,
    /// Mappings that are switched off, by account and port. They stay off when their client logs in again.
    off: BTreeSet<(Username, RemotePort)>,
    /// The deadline that [`Hub::tick`] waits for. Each user and each connection has a deadline, and most of
    /// these are removed soon. The wait is shortened for an earlier deadline, but not prolonged: `tick`
    /// reads the next deadline when this one is over.
    awaited: Option<Duration>,
    next_id: u64,
}

/// The reason for which a login ends or is refused after a new configuration.
const ACCOUNT_CHANGED: &str = "its account has changed";

/// The hub's end of a connection's task.
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

/// Begins the tasks that accept the users of a mapped port. The hub calls it under its lock.
pub(crate) type AcceptUsers = fn(&Arc<Hub>, &Arc<MappedPort>);

/// The task of a user, which has not begun.
pub(crate) trait UserTask: Send {
    /// Begins the task.
    fn begin(self: Box<Self>);
}

/// An order of the hub to a connection's task.
pub(crate) enum Order {
    Send(ServerMessage),
    Close(CloseReason),
    /// Close the connection for a reason that is not the protocol's.
    Leave(&'static str),
    /// Give the stream to a user's task.
    Join(oneshot::Sender<Fate>),
    /// Begin a user's task.
    Serve(Box<dyn UserTask>),
}

/// The outcome for a user that waits.
pub(crate) enum Fate {
    /// The task relays to this stream. `early` was read from it already.
    Joined {
        data: Stream,
        early: Vec<u8>,
    },
    Refused(RefuseReason),
}

/// A connection's end of the hub, which its task holds.
pub(crate) struct Seat {
    pub(crate) id: ConnId,
    pub(crate) orders: mpsc::UnboundedReceiver<Order>,
    /// Messages among the orders that have not been sent; the limit `unreadAnswers` bounds them.
    pub(crate) unsent: Arc<AtomicUsize>,
    /// Cancelled with the last order: from then on the task waits only briefly for a write.
    pub(crate) closing: CancellationToken,
}

impl Hub {
    /// A server without connections, in a process that may open so many `descriptors`.
    pub(crate) fn new(
        config: Config,
        mapping_bind: Vec<Bind>,
        descriptors: u64,
        accept: AcceptUsers,
    ) -> Self {
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
            accept,
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

    /// Replaces the configuration. Tunnels and the logins of unchanged accounts stay; the logins of all
    /// other accounts end.
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

    /// Registers a connection; `None` if the system has no random bits for its token.
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

    /// Feeds a login that was checked: `account` is the one whose password it showed. The result is
    /// whether the connection is a client's now.
    pub(crate) fn login(
        self: &Arc<Self>,
        conn: ConnId,
        ath: Ath,
        account: Option<Arc<Account>>,
    ) -> bool {
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
        state.clients.contains_key(&conn)
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

    /// Registers a user of a mapped port; `None` if too many users wait already.
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

    /// Begins the task of a registered user. The task of its control connection `conn` begins it, because
    /// that task has just been woken to send TRQ: of two tasks that are woken at once, the second one
    /// wakes another thread.
    pub(crate) fn begin(&self, conn: ConnId, user: Box<dyn UserTask>) {
        let state = self.lock();
        let unsent = match state.conns.get(&conn) {
            Some(outbox) => outbox.orders.send(Order::Serve(user)).err().map(|e| e.0),
            None => Some(Order::Serve(user)),
        };
        // The control connection has ended. The user's task receives the machine's refusal.
        if let Some(Order::Serve(user)) = unsent {
            user.begin();
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

    /// Carries out an output of the machine. The result is an input that has to follow at once.
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
                // Counted before the task can send it.
                let unsent = outbox.unsent.fetch_add(1, Ordering::Relaxed);
                // If the task has ended, it is about to feed `Ended`.
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
            Output::LoggedIn { conn, client_name } => {
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

    /// Logs which client holds a refused port. The machine itself refuses a port that is held; every
    /// other refusal is logged where it is decided.
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
                (self.accept)(self, &port);
                self.admission.port_opened(port.listeners.len());
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
        self.admission.port_closed(port.listeners.len());
        info!(remote_port = %port.remote_port, "port closed");
        let text = format_args!("port {} closed", port.remote_port);
        let owner = &port.client.account.username;
        self.note(Kind::MappingClosed, Some(owner), text);
        let (number, login) = (port.remote_port.get(), port.client.id.0);
        self.requests(|list, now| list.closed(number, login, now));
    }

    /// Frees a port that a login has mapped, because its request was withdrawn. Open tunnels stay. The
    /// client receives no message: for the machine the port belongs to the login until the login ends.
    pub(crate) fn withdraw(&self, port: u16, login: u64) {
        let mut state = self.lock();
        if let Some((mapping, found)) = state.mapped(port)
            && found.client.id.0 == login
        {
            self.close(&mut state, mapping);
        }
    }

    /// Whether the port is among those that an account may map.
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

    /// Listens on all addresses of a mapped port, except on those of a family that this computer does
    /// not have.
    fn listen(&self, port: u16) -> io::Result<Vec<Closable>> {
        let config = self.config();
        let own = config
            .mapped_port(port)
            .and_then(|mapped| mapped.ip.as_ref());
        let listeners = listen_on_all(own.unwrap_or(&self.mapping_bind), port)?;
        Ok(listeners.into_iter().map(Closable::new).collect())
    }

    /// Removes a connection that has ended or has received its last order.
    fn forget(&self, state: &mut State, conn: ConnId) {
        state.conns.remove(&conn);
        if let Some(client) = state.clients.remove(&conn) {
            let (name, user) = (&client.name, &client.account.username);
            let text = format_args!("client {name} of {user} at {} has gone", client.peer);
            self.note(Kind::ClientOut, Some(user), text);
            self.requests(|list, now| list.gone(conn.0, &client.who(), now));
        }
    }

    /// Adds an event for the web interface. `owner` is the account that may see it beside administrators.
    pub(crate) fn note(&self, kind: Kind, owner: Option<&Username>, text: fmt::Arguments<'_>) {
        if let Some(live) = &self.live {
            live.note(kind, owner, text);
        }
    }

    /// Reads or changes the list of requests, and notes what has changed in it.
    pub(crate) fn requests<T>(&self, act: impl FnOnce(&mut List, Moment) -> T) -> T {
        self.requests.with(self.live.as_ref(), act)
    }

    /// Switches a mapped port on or off: while it is off, new users are closed at once. The result is
    /// `None` if the port is not mapped, or if `may` returns false for its account.
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
    /// Closes the connection, even if its peer does not take the messages that are left.
    fn leave(&self, why: &'static str) {
        // If the task has ended, it is about to feed `Ended`.
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
