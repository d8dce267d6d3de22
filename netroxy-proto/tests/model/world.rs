//! A server, its clients, their connections, its users, and everything that can happen to them.
//!
//! Both machines are the real ones. The world does what their drivers do: it opens ports and connections,
//! carries messages, joins streams, and feeds deadlines. The messages of a connection keep their order, and
//! each can take any time up to the bound of the plan.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash};
use std::rc::Rc;
use std::time::Duration;

use netroxy_proto::client::{self, Client};
use netroxy_proto::server::{self, ConnId, MappingId, Server, UserId};
use netroxy_proto::{ClientMessage, ServerMessage};

use crate::client_monitor::ClientMonitor;
use crate::plan::{Faults, Plan};
use crate::rogue::Word;
use crate::search::{Broken, Log, Model};
use crate::server_monitor::ServerMonitor;
use crate::way::Way;

/// See the [module documentation](self).
#[derive(Clone)]
pub(crate) struct World {
    pub(crate) plan: Rc<Plan>,
    pub(crate) now: Duration,
    pub(crate) server: Rc<Server>,
    pub(crate) monitor: Rc<ServerMonitor>,
    pub(crate) peers: Vec<Peer>,
    /// By age.
    pub(crate) conns: Vec<Conn>,
    pub(crate) listeners: Vec<Port>,
    pub(crate) users: Vec<User>,
    pub(crate) left: Faults,
    pub(crate) rows: Rc<RefCell<Rows>>,
}

/// The steps of the tables that were made in all courses of a world.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Rows {
    pub(crate) server: BTreeSet<(server::table::State, server::table::Event)>,
    pub(crate) client: BTreeSet<(client::table::State, client::table::Event)>,
}

/// A client machine and what its driver knows.
#[derive(Clone)]
pub(crate) struct Peer {
    pub(crate) machine: Rc<Client>,
    pub(crate) monitor: Rc<ClientMonitor>,
    pub(crate) control: Control,
    /// The number of connections that the client has opened.
    pub(crate) dialled: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Control {
    None,
    Connecting,
    Open(u64),
}

/// A connection to the server.
#[derive(Clone)]
pub(crate) struct Conn {
    pub(crate) id: ConnId,
    pub(crate) kind: Kind,
    pub(crate) seat: Seat,
    /// To the server.
    pub(crate) up: Way<ClientMessage>,
    /// To the client.
    pub(crate) down: Way<ServerMessage>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    Control(usize),
    Data,
    Rogue(usize),
}

/// The state of a connection in the driver of the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Seat {
    Open,
    /// The machine has closed it, and its task has not ended yet.
    Closing,
    Joined(UserId),
    Gone,
}

/// A port that the machine has requested.
#[derive(Clone)]
pub(crate) struct Port {
    pub(crate) mapping: MappingId,
    pub(crate) conn: ConnId,
    pub(crate) number: u16,
    pub(crate) is_open: bool,
    /// The machine has closed it before it was open.
    pub(crate) is_orphan: bool,
}

#[derive(Clone, Copy)]
pub(crate) struct User {
    pub(crate) port: u16,
    pub(crate) fate: Fate,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Away,
    /// Accepted on this mapping, and not yet fed to the machine.
    Knocking(MappingId),
    Waiting,
    Joined,
    Over,
}

/// One thing that can happen.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Action {
    Pass,
    ServerTick,
    ClientTick(usize),
    Connect(usize),
    Refuse(usize),
    Up(usize),
    Down(usize),
    EndTask(usize),
    Bind(usize, bool),
    Come(usize),
    Admit(usize),
    Reset(usize),
    Break(usize),
    Cut(usize),
    Vanish(usize),
    DeadTarget(usize),
    RogueConnect(usize),
    Say(usize, Word),
}

impl World {
    pub(crate) fn new(plan: Plan) -> Self {
        let peers = plan.peers.iter().map(|peer| Peer {
            machine: Rc::new(plan.client(peer)),
            monitor: Rc::new(ClientMonitor::new(
                peer.mappings
                    .iter()
                    .map(|m| i64::from(m.0).into())
                    .collect(),
                plan.connect_patience(),
                plan.login_patience(),
            )),
            control: Control::None,
            dialled: 0,
        });
        let users = plan.users.iter().map(|port| User {
            port: *port,
            fate: Fate::Away,
        });
        let mut world = Self {
            now: Duration::ZERO,
            server: Rc::new(plan.server()),
            monitor: Rc::new(ServerMonitor::new(plan.terms())),
            peers: peers.collect(),
            conns: Vec::new(),
            listeners: Vec::new(),
            users: users.collect(),
            left: Faults::default(),
            rows: Rc::default(),
            plan: Rc::new(plan),
        };
        if world.plan.warm {
            world.warm_up();
        }
        world.left = world.plan.faults;
        world
    }

    /// Lets all clients log in, by calm steps alone.
    fn warm_up(&mut self) {
        let is_quiet = |conn: &Conn| conn.up.items.is_empty() && conn.down.items.is_empty();
        while !self.all_up() || !self.conns.iter().all(is_quiet) {
            let actions = self.actions();
            let calm = actions.into_iter().find(|action| Self::is_calm(*action));
            let done = self.step(calm.unwrap(), &mut Log::default());
            assert_eq!(done, Ok(()), "the login of the clients breaks a rule");
        }
    }

    fn all_up(&self) -> bool {
        self.peers.iter().all(|peer| peer.monitor.is_up())
    }

    pub(crate) fn conn(&mut self, id: ConnId) -> Option<&mut Conn> {
        self.conns.iter_mut().find(|conn| conn.id == id)
    }

    /// Whether nothing is left to do at this instant.
    fn may_pass(&self) -> bool {
        let delay = self.plan.delay;
        let due = |at: Option<Duration>| at.is_some_and(|at| at <= self.now);
        !due(self.server.poll_timeout())
            && self.peers.iter().all(|peer| {
                !due(peer.machine.poll_timeout()) && peer.control != Control::Connecting
            })
            && self.conns.iter().all(|conn| {
                conn.seat != Seat::Closing && conn.up.may_wait(delay) && conn.down.may_wait(delay)
            })
            && self.listeners.iter().all(|port| port.is_open)
            && self
                .users
                .iter()
                .all(|u| !matches!(u.fate, Fate::Knocking(_)))
    }

    fn pass(&mut self) -> Result<(), Broken> {
        self.monitor.passed(self.now)?;
        for peer in &self.peers {
            peer.monitor.passed(self.now)?;
        }
        self.now += self.plan.ticks(1);
        for conn in &mut self.conns {
            conn.up.grow_older();
            conn.down.grow_older();
        }
        Ok(())
    }

    /// Removes connections that have ended on both sides.
    fn sweep(&mut self) {
        let peers = &self.peers;
        self.conns.retain(|conn| {
            let near = match conn.kind {
                Kind::Control(peer) => peers[peer].control == Control::Open(conn.id.0),
                Kind::Data | Kind::Rogue(_) => false,
            };
            near || conn.seat != Seat::Gone
        });
    }

    fn come(&mut self, at: usize, log: &mut Log) -> Result<(), Broken> {
        let user = &mut self.users[at];
        let port = user.port;
        let open = |p: &&Port| p.number == port && p.is_open;
        let Some(mapping) = self.listeners.iter().find(open).map(|p| p.mapping) else {
            return Ok(());
        };
        user.fate = Fate::Knocking(mapping);
        log.note(|| format!("user {at} connects to port {port}"));
        if self.plan.slow_users {
            return Ok(());
        }
        self.admit(at, log)
    }
}

impl Model for World {
    type Action = Action;

    fn actions(&self) -> Vec<Action> {
        let mut all = Vec::new();
        let due = |at: Option<Duration>| at.is_some_and(|at| at <= self.now);
        if due(self.server.poll_timeout()) {
            all.push(Action::ServerTick);
        }
        for (at, peer) in self.peers.iter().enumerate() {
            if due(peer.machine.poll_timeout()) {
                all.push(Action::ClientTick(at));
            }
            if peer.control == Control::Connecting {
                all.push(Action::Connect(at));
                push_if(&mut all, self.left.refusals > 0, Action::Refuse(at));
            }
        }
        for (at, conn) in self.conns.iter().enumerate() {
            self.actions_of(at, conn, &mut all);
        }
        for (at, port) in self.listeners.iter().enumerate() {
            if !port.is_open {
                all.push(Action::Bind(at, true));
                push_if(&mut all, self.left.busy_ports > 0, Action::Bind(at, false));
            }
        }
        for (at, user) in self.users.iter().enumerate() {
            let mut open = self.listeners.iter().filter(|p| p.is_open);
            let comes = user.fate == Fate::Away && open.any(|p| p.number == user.port);
            push_if(&mut all, comes, Action::Come(at));
            let knocks = matches!(user.fate, Fate::Knocking(_));
            push_if(&mut all, knocks, Action::Admit(at));
            let resets = user.fate == Fate::Waiting && self.left.resets > 0;
            push_if(&mut all, resets, Action::Reset(at));
        }
        self.rogue_actions(&mut all);
        push_if(&mut all, self.may_pass(), Action::Pass);
        all
    }

    fn step(&mut self, action: Action, log: &mut Log) -> Result<(), Broken> {
        match action {
            Action::Pass => {
                self.pass()?;
                log.note(|| format!("at {:?}", self.now));
            }
            Action::ServerTick => {
                log.note(|| "server: a deadline has come".to_owned());
                self.feed(server::Input::Tick, log)?;
            }
            Action::ClientTick(at) => {
                log.note(|| format!("{}: a deadline has come", self.plan.peers[at].name));
                self.feed_client(at, client::Input::Tick, log)?;
            }
            Action::Connect(at) => self.connect(at, log)?,
            Action::Refuse(at) => {
                self.left.refusals -= 1;
                self.peers[at].control = Control::None;
                log.note(|| format!("{}: connection refused", self.plan.peers[at].name));
                self.feed_client(at, client::Input::ConnectFailed, log)?;
            }
            Action::Up(at) => self.up(at, log)?,
            Action::Down(at) => self.down(at, log)?,
            Action::EndTask(at) => {
                let conn = &mut self.conns[at];
                conn.seat = Seat::Gone;
                let conn = conn.id;
                self.feed(server::Input::Ended { conn }, log)?;
            }
            Action::Bind(at, free) => self.bind(at, free, log)?,
            Action::Come(at) => self.come(at, log)?,
            Action::Admit(at) => self.admit(at, log)?,
            Action::Reset(at) => {
                self.left.resets -= 1;
                self.users[at].fate = Fate::Over;
                let user = user_id(at);
                log.note(|| format!("user {at} resets its connection"));
                self.feed(server::Input::UserGone { user }, log)?;
            }
            Action::Break(at) => {
                let conn = &mut self.conns[at];
                match conn.kind {
                    Kind::Data => self.left.data_breaks -= 1,
                    Kind::Control(_) | Kind::Rogue(_) => self.left.breaks -= 1,
                }
                log.note(|| format!("connection {} breaks", conn.id.0));
                conn.up.end_now();
                conn.down.end_now();
            }
            Action::Cut(at) => {
                self.left.cuts -= 1;
                let conn = &mut self.conns[at];
                log.note(|| {
                    format!(
                        "connection {} dies, and neither end learns of it",
                        conn.id.0
                    )
                });
                conn.up.die();
                conn.down.die();
            }
            Action::Vanish(at) => {
                self.left.vanishings -= 1;
                let conn = &mut self.conns[at];
                log.note(|| {
                    format!(
                        "connection {} breaks, and only its client learns of it",
                        conn.id.0
                    )
                });
                conn.up.die();
                conn.down.end_now();
            }
            Action::DeadTarget(at) => {
                self.left.dead_targets -= 1;
                let conn = &mut self.conns[at];
                log.note(|| {
                    format!(
                        "connection {} ends: its target cannot be reached",
                        conn.id.0
                    )
                });
                conn.up.push(None);
            }
            Action::RogueConnect(at) => self.rogue_connect(at, log)?,
            Action::Say(at, word) => self.say(at, word, log)?,
        }
        self.sweep();
        Ok(())
    }

    fn fingerprint(&self, hasher: &mut DefaultHasher) {
        self.server.fingerprint(self.now, hasher);
        self.monitor.fingerprint(self.now, hasher);
        for peer in &self.peers {
            peer.machine.fingerprint(self.now, hasher);
            peer.monitor.fingerprint(self.now, hasher);
            (peer.control, peer.dialled).hash(hasher);
        }
        for conn in &self.conns {
            (conn.id.0, conn.kind).hash(hasher);
            match conn.seat {
                Seat::Open => 0.hash(hasher),
                Seat::Closing => 1.hash(hasher),
                Seat::Joined(user) => (2, user.0).hash(hasher),
                Seat::Gone => 3.hash(hasher),
            }
            conn.up.fingerprint(ClientMessage::encode, hasher);
            conn.down.fingerprint(ServerMessage::encode, hasher);
        }
        for port in &self.listeners {
            (port.conn.0, port.number, port.is_open, port.is_orphan).hash(hasher);
        }
        for user in &self.users {
            match user.fate {
                Fate::Knocking(mapping) => {
                    let at = self.listeners.iter().position(|p| p.mapping == mapping);
                    (0, at).hash(hasher);
                }
                Fate::Away => 1.hash(hasher),
                Fate::Waiting => 2.hash(hasher),
                Fate::Joined => 3.hash(hasher),
                Fate::Over => 4.hash(hasher),
            }
        }
        self.left.hash(hasher);
    }

    fn is_calm(action: Action) -> bool {
        match action {
            Action::Refuse(_)
            | Action::Bind(_, false)
            | Action::Come(_)
            | Action::Reset(_)
            | Action::Break(_)
            | Action::Cut(_)
            | Action::Vanish(_)
            | Action::DeadTarget(_)
            | Action::RogueConnect(_)
            | Action::Say(..) => false,
            Action::Pass
            | Action::ServerTick
            | Action::ClientTick(_)
            | Action::Connect(_)
            | Action::Up(_)
            | Action::Down(_)
            | Action::EndTask(_)
            | Action::Bind(_, true)
            | Action::Admit(_) => true,
        }
    }

    fn goals(&self) -> Vec<(&'static str, bool)> {
        let listened = |port: &u16| {
            let mut open = self.listeners.iter().filter(|p| p.is_open);
            open.any(|p| p.number == *port)
        };
        let mut asked = self.plan.peers.iter().flat_map(|peer| &peer.mappings);
        vec![
            ("life.reconnect", self.all_up()),
            ("tunnel.user-timeout", !self.monitor.waits()),
            ("map.client-retries", asked.all(|(port, _)| listened(port))),
        ]
    }
}

impl World {
    fn actions_of(&self, at: usize, conn: &Conn, all: &mut Vec<Action>) {
        let heard = !matches!(conn.seat, Seat::Gone);
        push_if(all, heard && !conn.up.items.is_empty(), Action::Up(at));
        push_if(all, !conn.down.items.is_empty(), Action::Down(at));
        push_if(all, conn.seat == Seat::Closing, Action::EndTask(at));
        // The messages of a rogue are its faults.
        let can_break = conn.seat == Seat::Open && !matches!(conn.kind, Kind::Rogue(_));
        if !can_break || conn.up.is_dead || conn.up.has_ended() {
            return;
        }
        push_if(all, self.left.cuts > 0, Action::Cut(at));
        if conn.kind == Kind::Data {
            push_if(all, self.left.data_breaks > 0, Action::Break(at));
            push_if(all, self.left.dead_targets > 0, Action::DeadTarget(at));
        } else {
            push_if(all, self.left.breaks > 0, Action::Break(at));
            push_if(all, self.left.vanishings > 0, Action::Vanish(at));
        }
    }
}

pub(crate) fn user_id(at: usize) -> UserId {
    UserId(at.try_into().unwrap())
}

fn push_if(all: &mut Vec<Action>, can: bool, action: Action) {
    if can {
        all.push(action);
    }
}
