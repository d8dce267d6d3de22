//! The server's state and its steps.

use alloc::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    vec::Vec,
};
use core::time::Duration;

use super::{
    CloseReason, Config, ConnId, Input, Listener, MappingId, Output, RefuseReason, UserId,
    table::{self, Action, Event, State},
};
use crate::{
    Ars, Ath, ClientMessage, ClientName, LocalMisuse, Map, Mrs, PeerMisbehaved, PortNumber,
    RemotePort, ServerMessage, Timeout, Token, Trq, Trs, Username, table::Taken, timer::Timers,
};

#[cfg(feature = "model")]
mod fingerprint;

/// A whole server. See the [module documentation](super).
#[derive(Debug, Clone)]
pub struct Server {
    config: Config,
    conns: BTreeMap<ConnId, Conn>,
    /// Those of the connections that are logged in.
    sessions: BTreeSet<ConnId>,
    mappings: BTreeMap<MappingId, Mapping>,
    by_port: BTreeMap<RemotePort, MappingId>,
    /// Users without a tunnel, and the mapping they came to.
    users: BTreeMap<UserId, MappingId>,
    timers: Timers<Timer>,
    outputs: VecDeque<Output>,
    taken: Taken,
    next_mapping: u64,
}

#[derive(Debug, Clone)]
struct Conn {
    state: State,
    listener: Listener,
    token: Token,
    /// How long it may be silent: as it was told at its login.
    silence: Duration,
    /// Who has logged in. Two users may choose the same client name.
    client: Option<(Username, ClientName)>,
    mappings: Vec<MappingId>,
    /// Answers in the order of the questions; those behind a port that is being opened wait.
    replies: VecDeque<Reply>,
}

#[derive(Debug, Clone)]
enum Reply {
    Ready(ServerMessage),
    Opening(MappingId),
}

#[derive(Debug, Clone)]
struct Mapping {
    conn: ConnId,
    remote_port: RemotePort,
    /// As asked in MAP: whether users are let through.
    is_open: bool,
    /// Whether the driver has said that it listens.
    listens: bool,
    /// First come, first served (`tunnel.fifo`).
    waiting: VecDeque<UserId>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    Conn(ConnId),
    User(UserId),
}

impl Server {
    /// A server without connections.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self {
            config,
            conns: BTreeMap::new(),
            sessions: BTreeSet::new(),
            mappings: BTreeMap::new(),
            by_port: BTreeMap::new(),
            users: BTreeMap::new(),
            timers: Timers::new(),
            outputs: VecDeque::new(),
            taken: Taken::default(),
            next_mapping: 0,
        }
    }

    /// Another configuration for what comes from now on. Connections and users keep the deadlines
    /// that they have, and clients the timeout that they were told.
    pub fn set_config(&mut self, config: Config) {
        self.config = config;
    }

    /// Takes one input. Inputs about a connection, mapping or user that the machine has let go of
    /// are ignored: they were under way when it did.
    ///
    /// # Errors
    ///
    /// [`LocalMisuse::DuplicateId`] when an id is in use, [`LocalMisuse::Unexpected`] when a
    /// listener that is open is said to have opened or failed; nothing has changed then.
    pub fn handle(&mut self, now: Duration, input: Input) -> Result<(), LocalMisuse> {
        match input {
            Input::Accepted {
                conn,
                listener,
                token,
            } => {
                return self.accepted(now, conn, listener, token);
            }
            Input::Message { conn, message } => self.message(now, conn, message),
            Input::Login { conn, ath, granted } => self.ath(now, conn, ath, granted),
            Input::Malformed { conn, error } => {
                self.event(conn, Event::Malformed, CloseReason::Malformed(error));
            }
            Input::Ended { conn } => {
                if self.step(conn, Event::Ended).is_some() {
                    self.forget(conn);
                }
            }
            Input::ListenerOpened { mapping } => return self.listener_opened(mapping),
            Input::ListenerFailed { mapping } => return self.listener_failed(mapping),
            Input::UserAccepted { mapping, user } => {
                return self.user_accepted(now, mapping, user);
            }
            Input::UserGone { user } => self.forget_user(user),
            Input::Tick => self.tick(now),
        }
        Ok(())
    }

    /// The next thing to do, in order.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// The steps made since the last call, each once, in the order of the table: for logs and
    /// for tests that ask which steps were made at all.
    pub fn take_steps(&mut self) -> impl Iterator<Item = &'static table::Row> {
        self.taken.drain(table::TABLE)
    }

    /// When [`Input::Tick`] is due.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Duration> {
        self.timers.next()
    }

    /// Connections, mappings and waiting users that the machine holds: for tests and metrics.
    #[must_use]
    pub fn census(&self) -> (usize, usize, usize) {
        (self.conns.len(), self.mappings.len(), self.users.len())
    }

    fn accepted(
        &mut self,
        now: Duration,
        conn: ConnId,
        listener: Listener,
        token: Token,
    ) -> Result<(), LocalMisuse> {
        if self.conns.contains_key(&conn) {
            return Err(LocalMisuse::DuplicateId);
        }
        let fresh = Conn {
            state: State::Fresh,
            listener,
            token,
            silence: Duration::MAX,
            client: None,
            mappings: Vec::new(),
            replies: VecDeque::new(),
        };
        self.conns.insert(conn, fresh);
        self.timers.set(
            Timer::Conn(conn),
            now.saturating_add(self.config.login_deadline),
        );
        Ok(())
    }

    fn message(&mut self, now: Duration, conn: ConnId, message: ClientMessage) {
        match message {
            ClientMessage::Ath(ath) => {
                let granted = self.config.admits(&ath);
                self.ath(now, conn, ath, granted);
            }
            ClientMessage::Map(map) => {
                if self.event(conn, Event::Map, PeerMisbehaved::BeforeLogin.into()) {
                    self.map(conn, map);
                }
            }
            ClientMessage::Srq => {
                if self.event(conn, Event::Srq, PeerMisbehaved::BeforeLogin.into()) {
                    self.renew(now, conn);
                    self.reply(conn, Reply::Ready(ServerMessage::Srs));
                }
            }
            ClientMessage::Trs(trs) => self.trs(conn, &trs),
        }
    }

    fn ath(&mut self, now: Duration, conn: ConnId, ath: Ath, granted: bool) {
        let event = if granted {
            Event::AthGood
        } else {
            Event::AthBad
        };
        match self.step(conn, event) {
            Some(Action::Accept) => self.log_in(now, conn, ath.username, ath.client_name),
            Some(Action::Reject) => {
                self.reply(conn, Reply::Ready(ServerMessage::Ars(Ars::Rejected)));
                self.close(conn, CloseReason::Rejected);
            }
            Some(_) => self.close(conn, PeerMisbehaved::SecondLogin.into()),
            None => {}
        }
    }

    fn log_in(&mut self, now: Duration, conn: ConnId, username: Username, client_name: ClientName) {
        let client = Some((username.clone(), client_name.clone()));
        // An empty name names nobody, so it replaces nobody.
        let same_name = self
            .sessions
            .iter()
            .filter(|_| !client_name.as_bytes().is_empty())
            .find(|old| self.conns.get(old).is_some_and(|c| c.client == client))
            .copied();
        if let Some(old) = same_name {
            self.event(old, Event::Replaced, CloseReason::Replaced);
        }
        let Some(entry) = self.conns.get_mut(&conn) else {
            return;
        };
        entry.client = client;
        entry.silence = silence_allowed(self.config.timeout);
        let token = entry.token.clone();
        let timeout = self.config.timeout;
        self.sessions.insert(conn);
        self.renew(now, conn);
        self.outputs.push_back(Output::LoggedIn {
            conn,
            username,
            client_name,
        });
        let ars = Ars::Accepted { timeout, token };
        self.reply(conn, Reply::Ready(ServerMessage::Ars(ars)));
    }

    fn map(&mut self, conn: ConnId, map: Map) {
        let usable = map
            .remote_port
            .remote_port()
            .filter(|p| !self.by_port.contains_key(p));
        let Some(remote_port) = usable else {
            self.reply(conn, Reply::mrs(map.remote_port, false));
            return;
        };
        let id = MappingId(self.next_mapping);
        self.next_mapping += 1;
        let mapping = Mapping {
            conn,
            remote_port,
            is_open: map.is_open,
            listens: false,
            waiting: VecDeque::new(),
        };
        self.mappings.insert(id, mapping);
        self.by_port.insert(remote_port, id);
        if let Some(entry) = self.conns.get_mut(&conn) {
            entry.mappings.push(id);
        }
        self.reply(conn, Reply::Opening(id));
        let open = Output::OpenListener {
            mapping: id,
            conn,
            remote_port,
            target: map.target,
        };
        self.outputs.push_back(open);
    }

    fn listener_opened(&mut self, id: MappingId) -> Result<(), LocalMisuse> {
        let Some(mapping) = self.mappings.get_mut(&id) else {
            // The client went while the port was being opened.
            self.outputs
                .push_back(Output::CloseListener { mapping: id });
            return Ok(());
        };
        if mapping.listens {
            return Err(LocalMisuse::Unexpected);
        }
        mapping.listens = true;
        let (conn, remote_port) = (mapping.conn, mapping.remote_port);
        self.answer_map(conn, id, remote_port, true);
        Ok(())
    }

    fn listener_failed(&mut self, id: MappingId) -> Result<(), LocalMisuse> {
        if self.mappings.get(&id).is_some_and(|m| m.listens) {
            return Err(LocalMisuse::Unexpected);
        }
        if let Some(mapping) = self.mappings.remove(&id) {
            self.by_port.remove(&mapping.remote_port);
            if let Some(entry) = self.conns.get_mut(&mapping.conn) {
                entry.mappings.retain(|other| *other != id);
            }
            self.answer_map(mapping.conn, id, mapping.remote_port, false);
            self.refuse(mapping.waiting);
        }
        Ok(())
    }

    fn answer_map(&mut self, conn: ConnId, id: MappingId, port: RemotePort, is_ok: bool) {
        let Some(entry) = self.conns.get_mut(&conn) else {
            return;
        };
        for reply in &mut entry.replies {
            if matches!(reply, Reply::Opening(opening) if *opening == id) {
                *reply = Reply::mrs(port.into(), is_ok);
            }
        }
        self.flush(conn);
    }

    fn user_accepted(
        &mut self,
        now: Duration,
        id: MappingId,
        user: UserId,
    ) -> Result<(), LocalMisuse> {
        if self.users.contains_key(&user) {
            return Err(LocalMisuse::DuplicateId);
        }
        let refused = match self.mappings.get(&id) {
            None => Some(RefuseReason::ClientGone),
            Some(mapping) if !mapping.is_open => Some(RefuseReason::MappingClosed),
            Some(mapping) if mapping.waiting.len() >= self.config.max_waiting => {
                Some(RefuseReason::TooManyWaiting)
            }
            Some(_) => None,
        };
        if let Some(reason) = refused {
            self.outputs.push_back(Output::RefuseUser { user, reason });
            return Ok(());
        }
        let Some(mapping) = self.mappings.get_mut(&id) else {
            return Ok(());
        };
        mapping.waiting.push_back(user);
        let (conn, remote_port) = (mapping.conn, mapping.remote_port.into());
        self.users.insert(user, id);
        self.timers.set(
            Timer::User(user),
            now.saturating_add(self.config.user_deadline),
        );
        self.reply(conn, Reply::Ready(ServerMessage::Trq(Trq { remote_port })));
        Ok(())
    }

    fn trs(&mut self, conn: ConnId, trs: &Trs) {
        let waiting = self.waiting_user(conn, trs);
        let event = if waiting.is_ok() {
            Event::TrsGood
        } else {
            Event::TrsBad
        };
        match (self.step(conn, event), waiting) {
            (Some(Action::Join), Ok(user)) => {
                self.forget_user(user);
                self.conns.remove(&conn);
                self.timers.clear(Timer::Conn(conn));
                self.outputs.push_back(Output::Join { conn, user });
            }
            (Some(_), _) if self.state(conn) == Some(State::Control) => {
                self.close(conn, PeerMisbehaved::TrsOnControl.into());
            }
            (Some(_), Err(misbehaved)) => self.close(conn, misbehaved.into()),
            _ => {}
        }
    }

    /// The user whom a data connection with this TRS would be joined to.
    fn waiting_user(&self, conn: ConnId, trs: &Trs) -> Result<UserId, PeerMisbehaved> {
        let listener = self.conns.get(&conn).map(|c| c.listener);
        // Every session's token is compared, and each in constant time: how long it takes says
        // nothing about the tokens.
        let issuer = self
            .sessions
            .iter()
            .filter_map(|id| Some((id, self.conns.get(id)?)))
            .filter(|(_, c)| Some(c.listener) == listener)
            .fold(None, |found, (id, c)| {
                if c.token == trs.token {
                    Some(*id)
                } else {
                    found
                }
            })
            .ok_or(PeerMisbehaved::UnknownToken)?;
        trs.remote_port
            .remote_port()
            .and_then(|port| self.by_port.get(&port))
            .and_then(|id| self.mappings.get(id))
            .filter(|mapping| mapping.conn == issuer)
            .ok_or(PeerMisbehaved::PortNotMapped)?
            .waiting
            .front()
            .copied()
            .ok_or(PeerMisbehaved::NoWaitingUser)
    }

    fn tick(&mut self, now: Duration) {
        while let Some(due) = self.timers.take_due(now) {
            match due {
                Timer::User(user) => {
                    self.forget_user(user);
                    let reason = RefuseReason::NoTunnel;
                    self.outputs.push_back(Output::RefuseUser { user, reason });
                }
                Timer::Conn(conn) => {
                    let how = match self.state(conn) {
                        Some(State::Control) => PeerMisbehaved::Silent,
                        _ => PeerMisbehaved::LoginOverdue,
                    };
                    self.event(conn, Event::Overdue, how.into());
                }
            }
        }
    }

    fn state(&self, conn: ConnId) -> Option<State> {
        self.conns.get(&conn).map(|c| c.state)
    }

    /// Looks up the table and moves the connection on. While it is being closed its entry keeps
    /// the state it was closed in.
    fn step(&mut self, conn: ConnId, event: Event) -> Option<Action> {
        let entry = self.conns.get_mut(&conn)?;
        let row = table::step(entry.state, event)?;
        self.taken.note(table::TABLE, row);
        if row.next != State::Closed {
            entry.state = row.next;
        }
        Some(row.action)
    }

    /// Makes the step of an event that either leaves the connection open (true) or closes it for
    /// `reason` (false).
    fn event(&mut self, conn: ConnId, event: Event, reason: CloseReason) -> bool {
        match self.step(conn, event) {
            Some(Action::Close) => {
                self.close(conn, reason);
                false
            }
            Some(_) => true,
            None => false,
        }
    }

    fn renew(&mut self, now: Duration, conn: ConnId) {
        if let Some(entry) = self.conns.get(&conn) {
            let limit = now.saturating_add(entry.silence);
            self.timers.set(Timer::Conn(conn), limit);
        }
    }

    fn reply(&mut self, conn: ConnId, reply: Reply) {
        if let Some(entry) = self.conns.get_mut(&conn) {
            entry.replies.push_back(reply);
            self.flush(conn);
        }
    }

    fn flush(&mut self, conn: ConnId) {
        let Some(entry) = self.conns.get_mut(&conn) else {
            return;
        };
        while let Some(Reply::Ready(_)) = entry.replies.front() {
            if let Some(Reply::Ready(message)) = entry.replies.pop_front() {
                self.outputs.push_back(Output::Send { conn, message });
            }
        }
    }

    fn close(&mut self, conn: ConnId, reason: CloseReason) {
        self.outputs.push_back(Output::Close { conn, reason });
        self.forget(conn);
    }

    /// Lets go of a connection; its ports are freed and its waiting users closed at once, its
    /// tunnels live on (`tunnel.outlives-control`).
    fn forget(&mut self, conn: ConnId) {
        self.timers.clear(Timer::Conn(conn));
        self.sessions.remove(&conn);
        let Some(entry) = self.conns.remove(&conn) else {
            return;
        };
        let mut gone = VecDeque::new();
        for id in entry.mappings {
            if let Some(mut mapping) = self.mappings.remove(&id) {
                self.by_port.remove(&mapping.remote_port);
                self.outputs
                    .push_back(Output::CloseListener { mapping: id });
                gone.append(&mut mapping.waiting);
            }
        }
        self.refuse(gone);
    }

    /// Closes users whose mapping is no more.
    fn refuse(&mut self, users: VecDeque<UserId>) {
        for user in users {
            self.users.remove(&user);
            self.timers.clear(Timer::User(user));
            let reason = RefuseReason::ClientGone;
            self.outputs.push_back(Output::RefuseUser { user, reason });
        }
    }

    fn forget_user(&mut self, user: UserId) {
        self.timers.clear(Timer::User(user));
        let mapping = self
            .users
            .remove(&user)
            .and_then(|id| self.mappings.get_mut(&id));
        if let Some(mapping) = mapping {
            mapping.waiting.retain(|u| *u != user);
        }
    }
}

fn silence_allowed(timeout: Timeout) -> Duration {
    timeout.duration().saturating_mul(11) / 8
}

impl Reply {
    fn mrs(remote_port: PortNumber, is_ok: bool) -> Self {
        Self::Ready(ServerMessage::Mrs(Mrs { remote_port, is_ok }))
    }
}
