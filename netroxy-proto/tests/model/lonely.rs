//! A client whose server sends any messages in any order, or none.

use std::cell::RefCell;
use std::hash::{DefaultHasher, Hash};
use std::rc::Rc;
use std::time::Duration;

use netroxy_proto::client::{Client, Input, Output};
use netroxy_proto::{Ars, Incoming, Mrs, ServerMessage, Trq};

use crate::client_monitor::ClientMonitor;
use crate::drivers::{token_of, words};
use crate::plan::Plan;
use crate::search::{Broken, Log, Model};
use crate::world::Rows;

/// See the [module documentation](self).
#[derive(Clone)]
pub(crate) struct Lonely {
    plan: Rc<Plan>,
    now: Duration,
    client: Client,
    monitor: ClientMonitor,
    control: Control,
    words: u8,
    pub(crate) rows: Rc<RefCell<Rows>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Control {
    None,
    Connecting,
    /// The server stops in the handshake, for a while or for ever.
    Stuck,
    Open,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Action {
    Pass,
    Tick,
    Connect,
    Refuse,
    Stick,
    Say(Word),
}

/// What the server can send.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Word {
    ArsTrue,
    ArsFalse,
    Mrs(i64, bool),
    Trq(i64),
    Srs,
    Nonsense,
    End,
    Break,
}

const WORDS: [Word; 11] = [
    Word::ArsTrue,
    Word::ArsFalse,
    Word::Mrs(1, true),
    Word::Mrs(1, false),
    Word::Mrs(9, true),
    Word::Trq(1),
    Word::Trq(9),
    Word::Srs,
    Word::Nonsense,
    Word::End,
    Word::Break,
];

impl Lonely {
    /// The only client of the plan, and a server that sends `words` messages.
    pub(crate) fn new(plan: Plan, words: u8) -> Self {
        let peer = &plan.peers[0];
        let ports = peer.mappings.iter().map(|m| i64::from(m.0).into());
        Self {
            now: Duration::ZERO,
            client: plan.client(peer),
            monitor: ClientMonitor::new(
                ports.collect(),
                plan.connect_patience(),
                plan.login_patience(),
            ),
            control: Control::None,
            words,
            rows: Rc::default(),
            plan: Rc::new(plan),
        }
    }

    fn feed(&mut self, input: Input, log: &mut Log) -> Result<(), Broken> {
        let now = self.now;
        match &input {
            Input::Connected => self.monitor.connected(now),
            Input::ConnectFailed | Input::Ended | Input::Broken => self.monitor.ended(now),
            Input::Message(message) => self.monitor.received(now, message),
            Input::Malformed(_) => self.monitor.malformed(),
            Input::Tick | Input::Configure { .. } | Input::Forget(_) => {}
        }
        let done = self.client.handle(now, input);
        done.map_err(|e| Broken::new("driver contract", e.to_string()))?;
        let steps = self.client.take_steps().map(|row| (row.state, row.event));
        self.rows.borrow_mut().client.extend(steps);
        while let Some(output) = self.client.poll_output() {
            match output {
                Output::Connect => {
                    self.monitor.dials(now)?;
                    self.control = Control::Connecting;
                }
                Output::Send(message) => {
                    log.note(|| format!("  client sends {}", words(&message)));
                    self.monitor.sent(now, &message)?;
                }
                Output::Disconnect(reason) => {
                    log.note(|| format!("  client closes: {reason}"));
                    self.monitor.closed(now)?;
                    self.control = Control::None;
                }
                Output::OpenTunnel { remote_port, token } => {
                    self.monitor.tunnels(remote_port.into(), &token)?;
                }
                Output::Notice(_) => {}
            }
        }
        self.monitor.settled()
    }

    fn said(&self, word: Word) -> Input {
        let message = match word {
            Word::ArsTrue => ServerMessage::Ars(Ars::Accepted {
                timeout: self.plan.timeout.try_into().unwrap(),
                token: token_of(1),
            }),
            Word::ArsFalse => ServerMessage::Ars(Ars::Rejected),
            Word::Mrs(port, is_ok) => ServerMessage::Mrs(Mrs {
                remote_port: port.into(),
                is_ok,
            }),
            Word::Trq(port) => ServerMessage::Trq(Trq {
                remote_port: port.into(),
            }),
            Word::Srs => ServerMessage::Srs,
            Word::Nonsense => {
                return Input::Malformed(ServerMessage::parse(b"HELLO\n").unwrap_err());
            }
            Word::End => return Input::Ended,
            Word::Break => return Input::Broken,
        };
        Input::Message(message)
    }

    fn is_due(&self) -> bool {
        self.client.poll_timeout().is_some_and(|at| at <= self.now)
    }
}

impl Model for Lonely {
    type Action = Action;

    fn actions(&self) -> Vec<Action> {
        let mut all = Vec::new();
        match self.control {
            Control::Connecting if self.words > 0 => {
                all.extend([Action::Connect, Action::Refuse, Action::Stick]);
            }
            Control::Connecting | Control::Stuck => all.push(Action::Connect),
            Control::Open if self.words > 0 => all.extend(WORDS.map(Action::Say)),
            Control::Open | Control::None => {}
        }
        if self.is_due() {
            all.push(Action::Tick);
        } else if self.control != Control::Connecting {
            all.push(Action::Pass);
        }
        all
    }

    fn step(&mut self, action: Action, log: &mut Log) -> Result<(), Broken> {
        log.note(|| format!("{action:?}"));
        match action {
            Action::Pass => {
                self.monitor.passed(self.now)?;
                self.now += self.plan.ticks(1);
                Ok(())
            }
            Action::Tick => self.feed(Input::Tick, log),
            Action::Connect => {
                self.control = Control::Open;
                self.feed(Input::Connected, log)
            }
            Action::Refuse => {
                self.words -= 1;
                self.control = Control::None;
                self.feed(Input::ConnectFailed, log)
            }
            Action::Stick => {
                self.words -= 1;
                self.control = Control::Stuck;
                Ok(())
            }
            Action::Say(word) => {
                self.words -= 1;
                if matches!(word, Word::End | Word::Break) {
                    self.control = Control::None;
                }
                self.feed(self.said(word), log)
            }
        }
    }

    fn fingerprint(&self, hasher: &mut DefaultHasher) {
        self.client.fingerprint(self.now, hasher);
        self.monitor.fingerprint(self.now, hasher);
        (self.control, self.words).hash(hasher);
    }

    fn is_calm(action: Action) -> bool {
        match action {
            Action::Pass | Action::Tick | Action::Connect => true,
            Action::Refuse | Action::Stick | Action::Say(_) => false,
        }
    }

    /// The client gives a silent server up in the end, and connects again.
    fn goals(&self) -> Vec<(&'static str, bool)> {
        vec![("life.reconnect", self.control == Control::Connecting)]
    }
}
