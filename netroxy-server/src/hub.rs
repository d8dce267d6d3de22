//! The one place that owns the server's state.
//!
//! Tasks feed inputs to the state machine under one lock, and the outputs of each input are handed
//! out before the lock is released. So every input is whole, and an input costs a lock instead of
//! two hops between tasks. Nothing is awaited under the lock.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use netroxy_net::{
    deadline,
    listen::{Bind, Closable},
    stream::Stream,
};
use netroxy_proto::{
    RemotePort, ServerMessage, Target, Token,
    server::{self, CloseReason, ConnId, Input, Listener, MappingId, Output, RefuseReason, UserId},
};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{error, info, trace, warn};

use crate::{Config, user};

/// See the [module documentation](self).
pub(crate) struct Hub {
    state: Mutex<State>,
    epoch: Instant,
    /// The machine's next deadline has changed.
    deadline: Notify,
    mapping_bind: Bind,
    /// All tasks of the server.
    pub(crate) tasks: TaskTracker,
    /// No new connections; control connections end.
    pub(crate) stop: CancellationToken,
    /// Tunnels end.
    pub(crate) cut: CancellationToken,
}

struct State {
    machine: server::Server,
    conns: BTreeMap<ConnId, Outbox>,
    users: BTreeMap<UserId, oneshot::Sender<Fate>>,
    listeners: BTreeMap<MappingId, Arc<MappedPort>>,
    next_id: u64,
}

/// How the machine's orders reach a connection's task.
struct Outbox {
    orders: mpsc::UnboundedSender<Order>,
    closing: CancellationToken,
}

/// What a connection's task is told.
pub(crate) enum Order {
    Send(ServerMessage),
    Close(CloseReason),
    /// Give the stream to a user's task.
    Join(oneshot::Sender<Fate>),
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
    /// Cancelled when the last order was given: a write that hangs need not be waited for.
    pub(crate) closing: CancellationToken,
}

/// A port that is listened on for a client.
pub(crate) struct MappedPort {
    pub(crate) mapping: MappingId,
    pub(crate) remote_port: RemotePort,
    pub(crate) listener: Closable,
    pub(crate) closed: CancellationToken,
}

impl Hub {
    pub(crate) fn new(config: Config, mapping_bind: Bind) -> Self {
        let machine = server::Server::new(server::Config {
            login_deadline: config.login_timeout,
            user_deadline: config.user_timeout,
            ..server::Config::new(config.username, config.password, config.timeout)
        });
        Self {
            state: Mutex::new(State {
                machine,
                conns: BTreeMap::new(),
                users: BTreeMap::new(),
                listeners: BTreeMap::new(),
                next_id: 0,
            }),
            epoch: Instant::now(),
            deadline: Notify::new(),
            mapping_bind,
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
            cut: CancellationToken::new(),
        }
    }

    /// Takes in a connection; `None` without random bits for its token.
    pub(crate) fn admit(self: &Arc<Self>, listener: Listener) -> Option<Seat> {
        let mut bits = [0; 16];
        if let Err(error) = getrandom::fill(&mut bits) {
            error!(%error, "no random bits for a token");
            return None;
        }
        let (sender, orders) = mpsc::unbounded_channel();
        let closing = CancellationToken::new();
        let mut state = self.lock();
        let id = ConnId(state.new_id());
        state.conns.insert(
            id,
            Outbox {
                orders: sender,
                closing: closing.clone(),
            },
        );
        let token = Token::from_random(bits);
        self.run(
            state,
            Input::Accepted {
                conn: id,
                listener,
                token,
            },
        );
        Some(Seat {
            id,
            orders,
            closing,
        })
    }

    /// Takes in a user of a mapped port.
    pub(crate) fn admit_user(
        self: &Arc<Self>,
        mapping: MappingId,
    ) -> (UserId, oneshot::Receiver<Fate>) {
        let (sender, fate) = oneshot::channel();
        let mut state = self.lock();
        let user = UserId(state.new_id());
        state.users.insert(user, sender);
        self.run(state, Input::UserAccepted { mapping, user });
        (user, fate)
    }

    /// Feeds one input.
    pub(crate) fn feed(self: &Arc<Self>, input: Input) {
        self.run(self.lock(), input);
    }

    /// Feeds the machine's deadlines, until the server stops.
    pub(crate) async fn tick(self: Arc<Self>) {
        loop {
            let next = self.lock().machine.poll_timeout();
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

    fn run(self: &Arc<Self>, mut state: MutexGuard<'_, State>, input: Input) {
        let before = state.machine.poll_timeout();
        let mut next = Some(input);
        while let Some(input) = next.take() {
            match &input {
                Input::Ended { conn } => drop(state.conns.remove(conn)),
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
                // Opening a port is answered at once; there is at most one in a batch.
                next = self.carry_out(&mut state, output).or(next);
            }
        }
        if state.machine.poll_timeout() != before {
            self.deadline.notify_one();
        }
    }

    fn carry_out(self: &Arc<Self>, state: &mut State, output: Output) -> Option<Input> {
        match output {
            Output::Send { conn, message } => {
                if let Some(outbox) = state.conns.get(&conn) {
                    // A task that has ended is about to say so.
                    let _ = outbox.orders.send(Order::Send(message));
                }
            }
            Output::Close { conn, reason } => {
                if let Some(outbox) = state.conns.remove(&conn) {
                    let _ = outbox.orders.send(Order::Close(reason));
                    outbox.closing.cancel();
                }
            }
            Output::LoggedIn { client_name, .. } => {
                info!(client = %client_name, "client logged in");
            }
            Output::OpenListener {
                mapping,
                conn: _,
                remote_port,
                target,
            } => {
                return Some(self.open(state, mapping, remote_port, &target));
            }
            Output::CloseListener { mapping } => {
                if let Some(port) = state.listeners.remove(&mapping) {
                    port.listener.close();
                    port.closed.cancel();
                    info!(remote_port = %port.remote_port, "port closed");
                }
            }
            Output::Join { conn, user } => {
                if let (Some(outbox), Some(fate)) =
                    (state.conns.remove(&conn), state.users.remove(&user))
                {
                    let _ = outbox.orders.send(Order::Join(fate));
                }
            }
            Output::RefuseUser { user, reason } => {
                if let Some(fate) = state.users.remove(&user) {
                    let _ = fate.send(Fate::Refused(reason));
                }
            }
        }
        None
    }

    fn open(
        self: &Arc<Self>,
        state: &mut State,
        mapping: MappingId,
        remote_port: RemotePort,
        target: &Target,
    ) -> Input {
        match self.mapping_bind.listen(remote_port.get()) {
            Ok(listener) => {
                info!(%remote_port, %target, "port opened");
                let port = Arc::new(MappedPort {
                    mapping,
                    remote_port,
                    listener: Closable::new(listener),
                    closed: CancellationToken::new(),
                });
                self.tasks.spawn(user::accept(self.clone(), port.clone()));
                state.listeners.insert(mapping, port);
                Input::ListenerOpened { mapping }
            }
            Err(error) => {
                warn!(%remote_port, %target, %error, "port refused");
                Input::ListenerFailed { mapping }
            }
        }
    }

    fn now(&self) -> Duration {
        self.epoch.elapsed()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn new_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }
}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub")
            .field("mapping_bind", &self.mapping_bind)
            .finish_non_exhaustive()
    }
}
