//! The client's state and its steps.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;
use core::time::Duration;

use super::backoff::Backoff;
use super::table::{self, Action, By, Event, State};
use super::{Config, DisconnectReason, Input, Mapping, Notice, Output};
use crate::table::Taken;
use crate::timer::Timers;
use crate::{
    Ars, Ath, ClientMessage, LocalMisuse, Map, Mrs, PortNumber, RemotePort, ServerMessage, Timeout,
    Token,
};

#[cfg(feature = "model")]
mod fingerprint;

/// After a session that lasted this long, the next attempt waits only the shortest delay.
const STABLE: Duration = Duration::from_secs(10);

/// From this many shorter sessions in a row that the server ended, the waits grow. The server then has a
/// lasting reason, such as a second client with the same name (`auth.same-name-replaces`).
const UNWANTED: u8 = 3;

/// A whole client. See the [module documentation](super).
#[derive(Debug, Clone)]
pub struct Client {
    pub(super) config: Config,
    /// Where the mapping of a port is in the configuration.
    pub(super) index: BTreeMap<RemotePort, usize>,
    pub(super) state: State,
    pub(super) session: Option<Session>,
    pub(super) reconnect: Backoff,
    /// Sessions in a row that were shorter than [`STABLE`] and ended by the server, up to
    /// [`UNWANTED`].
    pub(super) ended_early: u8,
    pub(super) timers: Timers<Timer>,
    pub(super) outputs: VecDeque<Output>,
    taken: Taken,
}

/// A login: what the client knows since ARS true.
#[derive(Debug, Clone)]
pub(super) struct Session {
    timeout: Timeout,
    token: Token,
    pub(super) since: Duration,
    pub(super) refused: BTreeMap<RemotePort, Backoff>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    Connect,
    /// The control connection is not open in time.
    Open,
    Login,
    Keepalive,
    /// The oldest unanswered SRQ was sent one timeout ago.
    Answer,
    Map(RemotePort),
}

impl Client {
    /// A client that connects at the first [`Input::Tick`].
    #[must_use]
    pub fn new(mut config: Config) -> Self {
        let index = Self::index(&mut config);
        let mut timers = Timers::new();
        timers.set(Timer::Connect, Duration::ZERO);
        Self {
            reconnect: Backoff::new(config.jitter, config.longest_retry_wait),
            config,
            index,
            state: State::Offline,
            session: None,
            ended_early: 0,
            timers,
            outputs: VecDeque::new(),
            taken: Taken::default(),
        }
    }

    /// Handles one input.
    ///
    /// # Errors
    ///
    /// [`LocalMisuse::Unexpected`] if the input cannot happen now, e.g. a message without a
    /// connection. The state does not change then.
    pub fn handle(&mut self, now: Duration, input: Input) -> Result<(), LocalMisuse> {
        match input {
            Input::Connected => {
                self.event(now, Event::Connected)?;
                self.timers.clear(Timer::Open);
                self.timers
                    .set(Timer::Login, now.saturating_add(self.config.login_deadline));
                self.send(ClientMessage::Ath(Ath {
                    client_name: self.config.client_name.clone(),
                    username: self.config.username.clone(),
                    password: self.config.password.clone(),
                }));
            }
            Input::ConnectFailed => {
                self.event(now, Event::ConnectFailed)?;
            }
            Input::Message(message) => self.message(now, message)?,
            Input::Malformed(error) => {
                let row = self.step(Event::Malformed)?;
                self.end(now, row.action, Some(error.into()));
            }
            Input::Ended => {
                self.event(now, Event::Ended(By::Server))?;
            }
            Input::Broken => {
                self.event(now, Event::Ended(By::Network))?;
            }
            Input::Tick => {
                while let Some(due) = self.timers.take_due(now) {
                    self.due(now, due)?;
                }
            }
            Input::Configure { config, anew } => self.configure(now, *config, anew),
            Input::Forget(port) => self.forget(port),
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

    fn message(&mut self, now: Duration, message: ServerMessage) -> Result<(), LocalMisuse> {
        let event = match &message {
            ServerMessage::Ars(Ars::Accepted { .. }) => Event::ArsTrue,
            ServerMessage::Ars(Ars::Rejected) => Event::ArsFalse,
            ServerMessage::Mrs(_) => Event::Mrs,
            ServerMessage::Trq(_) => Event::Trq,
            ServerMessage::Srs => Event::Srs,
        };
        match (self.event(now, event)?, message) {
            (Action::MapAll, ServerMessage::Ars(Ars::Accepted { timeout, token })) => {
                self.log_in(now, timeout, token);
            }
            (Action::NoteMapping, ServerMessage::Mrs(mrs)) => self.note_mapping(now, mrs),
            (Action::OpenTunnel, ServerMessage::Trq(trq)) => self.open_tunnel(trq.remote_port),
            (Action::NoteAlive, _) => self.timers.clear(Timer::Answer),
            // The event has ended the connection.
            _ => {}
        }
        Ok(())
    }

    fn log_in(&mut self, now: Duration, timeout: Timeout, token: Token) {
        self.timers.clear(Timer::Login);
        self.session = Some(Session {
            timeout,
            token,
            since: now,
            refused: BTreeMap::new(),
        });
        self.outputs
            .push_back(Output::Notice(Notice::LoggedIn(timeout)));
        self.keep_alive(now, timeout);
        let maps: Vec<_> = self.config.mappings.iter().map(Self::map).collect();
        for map in maps {
            self.send(map);
        }
    }

    fn note_mapping(&mut self, now: Duration, mrs: Mrs) {
        let Some(port) = self.mapping(mrs.remote_port).map(|m| m.remote_port) else {
            self.outputs
                .push_back(Output::Notice(Notice::UnknownPort(mrs.remote_port)));
            return;
        };
        let Some(session) = &mut self.session else {
            return;
        };
        if mrs.is_ok {
            session.refused.remove(&port);
            self.timers.clear(Timer::Map(port));
            self.outputs.push_back(Output::Notice(Notice::Mapped(port)));
        } else {
            let seed = self.config.jitter ^ u64::from(port.get());
            let longest = self.config.longest_retry_wait;
            let delay = session
                .refused
                .entry(port)
                .or_insert_with(|| Backoff::new(seed, longest))
                .next();
            self.timers.set(Timer::Map(port), now.saturating_add(delay));
            self.outputs
                .push_back(Output::Notice(Notice::MapRefused(port, delay)));
        }
    }

    fn open_tunnel(&mut self, number: PortNumber) {
        let output = match (self.mapping(number), &self.session) {
            (Some(mapping), Some(session)) => Output::OpenTunnel {
                remote_port: mapping.remote_port,
                token: session.token.clone(),
            },
            _ => Output::Notice(Notice::UnknownPort(number)),
        };
        self.outputs.push_back(output);
    }

    fn due(&mut self, now: Duration, timer: Timer) -> Result<(), LocalMisuse> {
        match timer {
            Timer::Connect => {
                self.event(now, Event::RetryDue)?;
                let limit = now.saturating_add(self.config.connect_deadline);
                self.timers.set(Timer::Open, limit);
                self.outputs.push_back(Output::Connect);
            }
            Timer::Open => {
                self.event(now, Event::ConnectOverdue)?;
            }
            Timer::Login => {
                self.event(now, Event::LoginOverdue)?;
            }
            Timer::Keepalive => {
                self.event(now, Event::KeepaliveDue)?;
                self.send(ClientMessage::Srq);
                if let Some(timeout) = self.session.as_ref().map(|s| s.timeout) {
                    self.keep_alive(now, timeout);
                    // Only the oldest unanswered SRQ counts.
                    if !self.timers.is_set(Timer::Answer) {
                        let limit = now.saturating_add(timeout.duration());
                        self.timers.set(Timer::Answer, limit);
                    }
                }
            }
            Timer::Answer => {
                self.event(now, Event::KeepaliveLost)?;
            }
            Timer::Map(port) => {
                self.event(now, Event::MapRetryDue)?;
                if let Some(map) = self.mapping(port.into()).map(Self::map) {
                    self.send(map);
                }
            }
        }
        Ok(())
    }

    /// Sets the time of the next SRQ: three in each timeout, so that one late message does not end the
    /// login (`keep.client-interval`).
    fn keep_alive(&mut self, now: Duration, timeout: Timeout) {
        self.timers
            .set(Timer::Keepalive, now.saturating_add(timeout.duration() / 3));
    }

    /// Finds the row of an event and goes to the next state.
    fn step(&mut self, event: Event) -> Result<&'static table::Row, LocalMisuse> {
        let row = table::step(self.state, event).ok_or(LocalMisuse::Unexpected)?;
        self.taken.note(table::TABLE, row);
        self.state = row.next;
        Ok(row)
    }

    /// Makes the step of an event, and ends the connection if the action says so. The result is the
    /// action; the caller carries out what else it asks for.
    fn event(&mut self, now: Duration, event: Event) -> Result<Action, LocalMisuse> {
        let row = self.step(event)?;
        self.end(now, row.action, row.reason.clone());
        Ok(row.action)
    }

    /// Ends the connection if `action` says so.
    fn end(&mut self, now: Duration, action: Action, reason: Option<DisconnectReason>) {
        if let Action::Disconnect(by) | Action::BackOff(by) = action {
            self.outputs.extend(reason.map(Output::Disconnect));
            self.back_off(now, by);
        }
    }

    fn back_off(&mut self, now: Duration, by: By) {
        if let Some(session) = self.session.take() {
            let lasted = now.saturating_sub(session.since);
            self.ended_early = match by {
                By::Server if lasted < STABLE => self.ended_early.saturating_add(1).min(UNWANTED),
                By::Server | By::Network => 0,
            };
            if lasted >= STABLE {
                self.reconnect.reset();
            } else if self.ended_early < UNWANTED {
                self.reconnect.forgive(lasted);
            }
        }
        let delay = self.reconnect.next();
        self.timers = Timers::new();
        self.timers.set(Timer::Connect, now.saturating_add(delay));
        self.outputs
            .push_back(Output::Notice(Notice::RetryIn(delay)));
    }

    pub(super) fn send(&mut self, message: ClientMessage) {
        self.outputs.push_back(Output::Send(message));
    }

    /// The place of each port's mapping in `config`. If a port has several mappings, only the first
    /// stays.
    pub(super) fn index(config: &mut Config) -> BTreeMap<RemotePort, usize> {
        let mut ports = BTreeSet::new();
        config.mappings.retain(|m| ports.insert(m.remote_port));
        let ports = config.mappings.iter().map(|m| m.remote_port);
        ports.zip(0..).collect()
    }

    fn mapping(&self, number: PortNumber) -> Option<&Mapping> {
        let port = number.remote_port()?;
        let at = self.index.get(&port)?;
        self.config.mappings.get(*at)
    }

    pub(super) fn map(mapping: &Mapping) -> ClientMessage {
        ClientMessage::Map(Map {
            remote_port: mapping.remote_port.into(),
            target: mapping.target.clone(),
            is_open: mapping.is_open,
        })
    }
}
