//! What the server must do, written a second time: plain lists, searched from front to back.
//!
//! Each input first updates the model, which notes the outputs that must follow. Each output must then
//! be one of them. At the end of the step no output may be missing.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;
use core::time::Duration;

use crate::fuzzing::source::Source;
use crate::server::{
    CloseReason, Config, ConnId, Listener, MappingId, Output, RefuseReason, UserId,
};
use crate::{
    Ath, ClientMessage, ClientName, Map, Mrs, ParseError, PeerMisbehaved, PortNumber, RemotePort,
    ServerMessage, Token, Trs,
};

pub(super) struct Model {
    config: Config,
    conns: Vec<Conn>,
    mappings: Vec<Mapping>,
    users: Vec<User>,
    expected: Expected,
}

/// The outputs that must still follow in this step. Answers are in each [`Conn`] instead.
#[derive(Debug, Default, PartialEq, Eq)]
struct Expected {
    logged_in: Vec<(ConnId, ClientName)>,
    closed: BTreeMap<ConnId, CloseReason>,
    /// Index of the mapping.
    opened: Vec<usize>,
    /// Index of the mapping.
    stopped: Vec<usize>,
    joined: Vec<(ConnId, UserId)>,
    /// If two things happen at the same time, either can be the reason.
    refused: BTreeMap<UserId, Vec<RefuseReason>>,
}

struct Conn {
    state: State,
    listener: Listener,
    name: Option<ClientName>,
    deadline: Duration,
    replies: VecDeque<Reply>,
    /// Close or Join has come, or the connection has ended.
    is_silent: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Fresh,
    Control,
    Over,
}

#[derive(Debug)]
enum Reply {
    Ready(ServerMessage),
    Opening(RemotePort),
}

struct Mapping {
    id: Option<MappingId>,
    conn: ConnId,
    port: RemotePort,
    is_open: bool,
    is_alive: bool,
    is_answered: bool,
    waiting: VecDeque<UserId>,
}

struct User {
    mapping: usize,
    waits: bool,
    deadline: Duration,
}

impl Model {
    pub(super) fn new(config: Config) -> Self {
        Self {
            config,
            conns: Vec::new(),
            mappings: Vec::new(),
            users: Vec::new(),
            expected: Expected::default(),
        }
    }

    pub(super) fn conns(&self) -> u64 {
        self.conns.len() as u64
    }

    pub(super) fn live_conn(&self, source: &mut Source<'_>) -> Option<ConnId> {
        let live: Vec<ConnId> = self.alive().map(|(id, _)| id).collect();
        live.get(source.index(live.len())).copied()
    }

    pub(super) fn any_mapping(&self, source: &mut Source<'_>) -> Option<MappingId> {
        self.pick(source, |_| true)
    }

    pub(super) fn unanswered(&self, source: &mut Source<'_>) -> Option<MappingId> {
        self.pick(source, |m| !m.is_answered)
    }

    pub(super) fn open_mapping(&self, source: &mut Source<'_>) -> Option<MappingId> {
        self.pick(source, |m| m.is_alive && m.is_answered)
    }

    fn pick(&self, source: &mut Source<'_>, wanted: fn(&Mapping) -> bool) -> Option<MappingId> {
        let all: Vec<&Mapping> = self.mappings.iter().filter(|m| wanted(m)).collect();
        all.get(source.index(all.len()))?.id
    }

    pub(super) fn waiting_user(&self) -> Option<(MappingId, UserId)> {
        let at = self.users.iter().position(|u| u.waits)?;
        let mapping = self.mappings[self.users[at].mapping].id?;
        Some((mapping, UserId(at as u64)))
    }

    // Inputs.

    pub(super) fn accepted(&mut self, now: Duration, listener: Listener) -> ConnId {
        self.conns.push(Conn {
            state: State::Fresh,
            listener,
            name: None,
            deadline: now.saturating_add(self.config.login_deadline),
            replies: VecDeque::new(),
            is_silent: false,
        });
        ConnId(self.conns() - 1)
    }

    pub(super) fn message(&mut self, now: Duration, conn: ConnId, message: &ClientMessage) {
        use PeerMisbehaved::{BeforeLogin, SecondLogin, TrsOnControl};
        let state = match self.conn(conn) {
            Some(entry) => entry.state,
            None => return,
        };
        match (state, message) {
            (State::Over, _) => {}
            (State::Fresh, ClientMessage::Ath(ath)) => self.login(now, conn, ath),
            (State::Fresh, ClientMessage::Map(_) | ClientMessage::Srq) => {
                self.close(conn, BeforeLogin.into());
            }
            (State::Fresh, ClientMessage::Trs(trs)) => match self.partner(conn, trs) {
                Ok(user) => {
                    self.forget_user(user);
                    self.entry(conn).state = State::Over;
                    self.expected.joined.push((conn, user));
                }
                Err(how) => self.close(conn, how.into()),
            },
            (State::Control, ClientMessage::Ath(_)) => self.close(conn, SecondLogin.into()),
            (State::Control, ClientMessage::Trs(_)) => self.close(conn, TrsOnControl.into()),
            (State::Control, ClientMessage::Srq) => {
                self.entry(conn).deadline = now.saturating_add(self.silence());
                let srs = Reply::Ready(ServerMessage::Srs);
                self.entry(conn).replies.push_back(srs);
            }
            (State::Control, ClientMessage::Map(map)) => self.map(conn, map),
        }
    }

    fn login(&mut self, now: Duration, conn: ConnId, ath: &Ath) {
        let shown = (ath.username.clone(), ath.password.clone());
        if self.config.credentials.as_ref() != Some(&shown) {
            let rejected = ServerMessage::Ars(crate::Ars::Rejected);
            self.entry(conn).replies.push_back(Reply::Ready(rejected));
            self.close(conn, CloseReason::Rejected);
            return;
        }
        let same = self
            .alive()
            .find(|(_, c)| c.name.as_ref() == Some(&ath.client_name))
            .map(|(id, _)| id);
        if let Some(old) = same.filter(|_| !ath.client_name.as_bytes().is_empty()) {
            self.close(old, CloseReason::Replaced);
        }
        let accepted = ServerMessage::Ars(crate::Ars::Accepted {
            timeout: self.config.timeout,
            token: token(conn),
        });
        let deadline = now.saturating_add(self.silence());
        let entry = self.entry(conn);
        entry.state = State::Control;
        entry.name = Some(ath.client_name.clone());
        entry.deadline = deadline;
        entry.replies.push_back(Reply::Ready(accepted));
        let logged_in = (conn, ath.client_name.clone());
        self.expected.logged_in.push(logged_in);
    }

    fn map(&mut self, conn: ConnId, map: &Map) {
        let port = map.remote_port.remote_port();
        let is_free = |port| !self.mappings.iter().any(|m| m.is_alive && m.port == port);
        let Some(port) = port.filter(|p| is_free(*p)) else {
            let refused = Reply::Ready(mrs(map.remote_port, false));
            self.entry(conn).replies.push_back(refused);
            return;
        };
        self.expected.opened.push(self.mappings.len());
        self.mappings.push(Mapping {
            id: None,
            conn,
            port,
            is_open: map.is_open,
            is_alive: true,
            is_answered: false,
            waiting: VecDeque::new(),
        });
        self.entry(conn).replies.push_back(Reply::Opening(port));
    }

    fn partner(&self, conn: ConnId, trs: &Trs) -> Result<UserId, PeerMisbehaved> {
        let listener = self.conn(conn).map(|c| c.listener);
        let (owner, _) = self
            .alive()
            .filter(|(_, c)| c.state == State::Control && Some(c.listener) == listener)
            .find(|(id, _)| token(*id) == trs.token)
            .ok_or(PeerMisbehaved::UnknownToken)?;
        self.mappings
            .iter()
            .filter(|m| m.is_alive && m.conn == owner)
            .find(|m| PortNumber::from(m.port) == trs.remote_port)
            .ok_or(PeerMisbehaved::PortNotMapped)?
            .waiting
            .front()
            .copied()
            .ok_or(PeerMisbehaved::NoWaitingUser)
    }

    pub(super) fn malformed(&mut self, conn: ConnId, error: &ParseError) {
        if self.conn(conn).is_some_and(|c| c.state != State::Over) {
            self.close(conn, CloseReason::Malformed(error.clone()));
        }
    }

    pub(super) fn ended(&mut self, conn: ConnId) {
        if self.conn(conn).is_some_and(|c| c.state != State::Over) {
            self.end_session(conn);
            self.entry(conn).is_silent = true;
        }
    }

    pub(super) fn listener_answered(&mut self, id: MappingId, opened: bool) {
        let at = self.mapping(id);
        let mapping = &mut self.mappings[at];
        mapping.is_answered = true;
        if !mapping.is_alive {
            if opened {
                self.expected.stopped.push(at);
            }
            return;
        }
        let (conn, port) = (mapping.conn, mapping.port);
        for reply in &mut self.entry(conn).replies {
            if matches!(reply, Reply::Opening(p) if *p == port) {
                *reply = Reply::Ready(mrs(port.into(), opened));
            }
        }
        if !opened {
            self.drop_mapping(at);
        }
    }

    pub(super) fn user_accepted(&mut self, now: Duration, id: MappingId) -> UserId {
        let user = UserId(self.users.len() as u64);
        let at = self.mapping(id);
        let mapping = &mut self.mappings[at];
        let refused = if !mapping.is_alive {
            Some(RefuseReason::ClientGone)
        } else if !mapping.is_open {
            Some(RefuseReason::MappingClosed)
        } else if mapping.waiting.len() >= self.config.max_waiting {
            Some(RefuseReason::TooManyWaiting)
        } else {
            None
        };
        match refused {
            Some(reason) => {
                self.expected.refused.insert(user, [reason].into());
            }
            None => {
                mapping.waiting.push_back(user);
                let remote_port = mapping.port.into();
                let conn = mapping.conn;
                let trq = ServerMessage::Trq(crate::Trq { remote_port });
                self.entry(conn).replies.push_back(Reply::Ready(trq));
            }
        }
        self.users.push(User {
            mapping: at,
            waits: refused.is_none(),
            deadline: now.saturating_add(self.config.user_deadline),
        });
        user
    }

    pub(super) fn user_gone(&mut self, user: UserId) {
        if index(user.0) < self.users.len() {
            self.forget_user(user);
        }
    }

    pub(super) fn tick(&mut self, now: Duration) {
        let users = self.users.len();
        let due: Vec<UserId> = (0..users as u64)
            .map(UserId)
            .filter(|u| self.user(*u).waits && self.user(*u).deadline <= now)
            .collect();
        for user in due {
            let User {
                mapping, deadline, ..
            } = *self.user(user);
            let owner = self.mappings[mapping].conn;
            // The deadline of the login can come first.
            let owner_at = self.entry(owner).deadline;
            let mut reasons = Vec::new();
            if deadline <= owner_at {
                reasons.push(RefuseReason::NoTunnel);
            }
            if owner_at <= deadline {
                reasons.push(RefuseReason::ClientGone);
            }
            self.forget_user(user);
            self.expected.refused.insert(user, reasons);
        }
        let due: Vec<ConnId> = self
            .alive()
            .filter(|(_, c)| c.deadline <= now)
            .map(|(id, _)| id)
            .collect();
        for conn in due {
            let how = match self.entry(conn).state {
                State::Control => PeerMisbehaved::Silent,
                State::Fresh | State::Over => PeerMisbehaved::LoginOverdue,
            };
            self.close(conn, how.into());
        }
    }

    // Outputs.

    pub(super) fn output(&mut self, output: Output) {
        match output {
            Output::Send { conn, message } => {
                let entry = self.entry(conn);
                assert!(!entry.is_silent, "a message after the end: {message:?}");
                match entry.replies.pop_front() {
                    Some(Reply::Ready(expected)) => assert_eq!(message, expected),
                    other => panic!("{message:?} was sent, but {other:?} is next"),
                }
            }
            Output::Close { conn, reason } => {
                self.silence_now(conn);
                let rejected = reason == CloseReason::Rejected;
                assert_eq!(self.expected.closed.remove(&conn), Some(reason));
                assert!(
                    !rejected || self.entry(conn).replies.is_empty(),
                    "rejected without ARS"
                );
            }
            Output::LoggedIn { conn, client_name } => {
                take(&mut self.expected.logged_in, &(conn, client_name));
            }
            Output::OpenListener {
                mapping,
                conn,
                remote_port,
                ..
            } => {
                assert!(self.mappings.iter().all(|m| m.id != Some(mapping)));
                let at = self
                    .expected
                    .opened
                    .pop()
                    .expect("a MAP has requested the port");
                let entry = &mut self.mappings[at];
                assert_eq!((conn, remote_port), (entry.conn, entry.port));
                entry.id = Some(mapping);
            }
            Output::CloseListener { mapping } => {
                let at = self.mapping(mapping);
                take(&mut self.expected.stopped, &at);
            }
            Output::Join { conn, user } => {
                self.silence_now(conn);
                take(&mut self.expected.joined, &(conn, user));
            }
            Output::RefuseUser { user, reason } => {
                let reasons = self.expected.refused.remove(&user).unwrap_or_default();
                assert!(
                    reasons.contains(&reason),
                    "{reason:?} is not in {reasons:?}"
                );
            }
        }
    }

    /// Checks that no output is missing.
    pub(super) fn settled(&self) {
        assert_eq!(self.expected, Expected::default(), "missing outputs");
        for (id, conn) in self.alive() {
            let next = conn.replies.front();
            assert!(
                next.is_none_or(|reply| matches!(reply, Reply::Opening(_))),
                "{id:?} has not received {next:?}"
            );
        }
    }

    pub(super) fn census(&self) -> (usize, usize, usize) {
        (
            self.alive().count(),
            self.mappings.iter().filter(|m| m.is_alive).count(),
            self.users.iter().filter(|u| u.waits).count(),
        )
    }

    pub(super) fn next_deadline(&self) -> Option<Duration> {
        let conns = self.alive().map(|(_, conn)| conn.deadline);
        let users = self.users.iter().filter(|u| u.waits).map(|u| u.deadline);
        conns.chain(users).filter(|at| *at != Duration::MAX).min()
    }

    pub(super) fn all_over(&self) {
        assert!(self.users.iter().all(|u| !u.waits), "a user waits for ever");
        assert!(
            self.mappings.iter().all(|m| !m.is_alive),
            "a port stays open"
        );
    }

    // Steps of several inputs.

    fn close(&mut self, conn: ConnId, reason: CloseReason) {
        self.end_session(conn);
        self.expected.closed.insert(conn, reason);
    }

    fn end_session(&mut self, conn: ConnId) {
        self.entry(conn).state = State::Over;
        for at in 0..self.mappings.len() {
            if self.mappings[at].conn == conn && self.mappings[at].is_alive {
                self.expected.stopped.push(at);
                self.drop_mapping(at);
            }
        }
    }

    fn drop_mapping(&mut self, at: usize) {
        let mapping = &mut self.mappings[at];
        mapping.is_alive = false;
        for user in core::mem::take(&mut mapping.waiting) {
            self.users[index(user.0)].waits = false;
            let reasons = [RefuseReason::ClientGone].into();
            self.expected.refused.insert(user, reasons);
        }
    }

    fn forget_user(&mut self, user: UserId) {
        let entry = &mut self.users[index(user.0)];
        entry.waits = false;
        let waiting = &mut self.mappings[entry.mapping].waiting;
        waiting.retain(|u| *u != user);
    }

    fn silence_now(&mut self, conn: ConnId) {
        let entry = self.entry(conn);
        assert!(!entry.is_silent, "closed or joined twice");
        entry.is_silent = true;
    }

    fn silence(&self) -> Duration {
        self.config.timeout.duration() * 11 / 8
    }

    fn alive(&self) -> impl Iterator<Item = (ConnId, &Conn)> {
        (0..)
            .map(ConnId)
            .zip(&self.conns)
            .filter(|(_, conn)| conn.state != State::Over)
    }

    fn conn(&self, conn: ConnId) -> Option<&Conn> {
        self.conns.get(index(conn.0))
    }

    fn entry(&mut self, conn: ConnId) -> &mut Conn {
        &mut self.conns[index(conn.0)]
    }

    fn user(&self, user: UserId) -> &User {
        &self.users[index(user.0)]
    }

    fn mapping(&self, id: MappingId) -> usize {
        let at = self.mappings.iter().position(|m| m.id == Some(id));
        at.expect("the machine chose this id")
    }
}

/// The token of a connection: each has its own.
pub(super) fn token(conn: ConnId) -> Token {
    Token::from_random(u128::from(conn.0).to_be_bytes())
}

/// Ids are counted from zero.
fn index(id: u64) -> usize {
    usize::try_from(id).expect("an index of a list")
}

fn mrs(remote_port: PortNumber, is_ok: bool) -> ServerMessage {
    ServerMessage::Mrs(Mrs { remote_port, is_ok })
}

fn take<T: PartialEq + core::fmt::Debug>(expected: &mut Vec<T>, found: &T) {
    let at = expected.iter().position(|e| e == found);
    let at = at.unwrap_or_else(|| panic!("{found:?} is not in {expected:?}"));
    expected.remove(at);
}
