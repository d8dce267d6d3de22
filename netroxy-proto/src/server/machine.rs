//! The server's state and its steps.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;
use core::time::Duration;

use super::table::{self, Action, BadTrs, Event, State};
use super::{
    CloseReason, Config, ConnId, Input, Listener, MappingId, Output, RefuseReason, UserId,
};
use crate::table::Taken;
use crate::timer::Timers;
use crate::{
    Ars, Ath, ClientMessage, ClientName, LocalMisuse, Map, Mrs, PortNumber, RemotePort,
    ServerMessage, Timeout, Token, Trq, Trs, Username,
};

#[cfg(feature = "model")]
mod fingerprint;

/// A whole server. See the [module documentation](super).
#[derive(Debug, Clone)]
pub struct Server {
    config: Config,
    conns: BTreeMap<ConnId, Conn>,
    /// The connections that are logged in.
    sessions: BTreeSet<ConnId>,
    mappings: BTreeMap<MappingId, Mapping>,
    by_port: BTreeMap<RemotePort, MappingId>,
    /// Waiting users, and the mapping of the port to which each has connected.
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
    /// How long the client may be silent, by the timeout that it was sent at login.
    silence: Duration,
    /// The user name and client name of the login. Two accounts can use the same client name.
    client: Option<(Username, ClientName)>,
    mappings: Vec<MappingId>,
    /// Answers in the order of the messages. An answer waits while an earlier port is being opened.
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
    /// isOpen of the MAP: whether users are let through.
    is_open: bool,
    /// Whether the driver has answered that the port is open.
    listens: bool,
    /// In the order in which they connected (`tunnel.fifo`).
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

    /// Sets another configuration. Connections and users keep the deadlines that they have, and
    /// clients keep the timeout that they were sent.
    pub fn set_config(&mut self, config: Config) {
        self.config = config;
    }

    /// Handles one input. An input about a connection, mapping or user that the machine has forgotten
    /// is ignored: it was under way at that moment.
    ///
    /// # Errors
    ///
    /// [`LocalMisuse::DuplicateId`] if an id is in use. [`LocalMisuse::Unexpected`] if the driver answers
    /// again for a listener that is open. The state does not change then.
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
                if self.step(conn, Event::Malformed).is_some() {
                    self.close(conn, error.into());
                }
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

    /// The next output, in order.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// The steps made since the last call, each once, in the order of the table: for logs, and for
    /// tests of coverage.
    pub fn take_steps(&mut self) -> impl Iterator<Item = &'static table::Row> {
        self.taken.drain(table::TABLE)
    }

    /// When [`Input::Tick`] is due.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Duration> {
        self.timers.next()
    }

    /// The numbers of connections, mappings and waiting users: for tests and metrics.
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
                if self.event(conn, Event::Map) == Some(Action::Listen) {
                    self.map(conn, map);
                }
            }
            ClientMessage::Srq => {
                if self.event(conn, Event::Srq) == Some(Action::Renew) {
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
        if self.event(conn, event) == Some(Action::Accept) {
            self.log_in(now, conn, ath.username, ath.client_name);
        }
    }

    fn log_in(&mut self, now: Duration, conn: ConnId, username: Username, client_name: ClientName) {
        let client = Some((username, client_name.clone()));
        // Two clients without a name are not the same client.
        let same_name = self
            .sessions
            .iter()
            .filter(|_| !client_name.as_bytes().is_empty())
            .find(|old| self.conns.get(old).is_some_and(|c| c.client == client))
            .copied();
        if let Some(old) = same_name {
            self.event(old, Event::Replaced);
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
        self.outputs
            .push_back(Output::LoggedIn { conn, client_name });
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
            // The login ended while the port was being opened.
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
        let event = match waiting {
            Ok(_) => Event::TrsGood,
            Err(fault) => Event::TrsBad(fault),
        };
        if let (Some(Action::Join), Ok(user)) = (self.event(conn, event), waiting) {
            self.forget_user(user);
            self.conns.remove(&conn);
            self.timers.clear(Timer::Conn(conn));
            self.outputs.push_back(Output::Join { conn, user });
        }
    }

    /// The user with whom a data connection with this TRS is to be joined.
    fn waiting_user(&self, conn: ConnId, trs: &Trs) -> Result<UserId, BadTrs> {
        let listener = self.conns.get(&conn).map(|c| c.listener);
        // The tokens of all logins are compared, each in constant time, so the time that this takes
        // says nothing about the tokens.
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
            .ok_or(BadTrs::UnknownToken)?;
        trs.remote_port
            .remote_port()
            .and_then(|port| self.by_port.get(&port))
            .and_then(|id| self.mappings.get(id))
            .filter(|mapping| mapping.conn == issuer)
            .ok_or(BadTrs::PortNotMapped)?
            .waiting
            .front()
            .copied()
            .ok_or(BadTrs::NoWaitingUser)
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
                    self.event(conn, Event::Overdue);
                }
            }
        }
    }

    /// Finds the row of an event and moves the connection to the next state. A connection that is
    /// to be closed keeps its state until its entry is removed.
    fn step(&mut self, conn: ConnId, event: Event) -> Option<&'static table::Row> {
        let entry = self.conns.get_mut(&conn)?;
        let row = table::step(entry.state, event)?;
        self.taken.note(table::TABLE, row);
        if row.next != State::Closed {
            entry.state = row.next;
        }
        Some(row)
    }

    /// Makes the step of an event, and closes the connection if the row has a reason. The result is
    /// the action that the caller has to carry out; `None` if the event cannot happen.
    fn event(&mut self, conn: ConnId, event: Event) -> Option<Action> {
        let row = self.step(conn, event)?;
        if row.action == Action::Reject {
            self.reply(conn, Reply::Ready(ServerMessage::Ars(Ars::Rejected)));
        }
        if let Some(reason) = &row.reason {
            self.close(conn, reason.clone());
        }
        Some(row.action)
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

    /// Forgets a connection. Its ports are freed and its waiting users are closed at once; its tunnels
    /// stay open (`tunnel.outlives-control`).
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

    /// Closes users whose mapping has ended.
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

/// See [`Config::timeout`].
fn silence_allowed(timeout: Timeout) -> Duration {
    timeout.duration().saturating_mul(11) / 8
}

impl Reply {
    fn mrs(remote_port: PortNumber, is_ok: bool) -> Self {
        Self::Ready(ServerMessage::Mrs(Mrs { remote_port, is_ok }))
    }
}
