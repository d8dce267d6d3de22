//! What the monitor knows of connections and logins, and what it has found.

use std::collections::BTreeMap;
use std::time::Duration;

use netroxy_specification::message::{Kind, Shape};
use netroxy_specification::notation::ast::{Side, Transport};
use netroxy_specification::states::{Step, Table};

use super::conduct::{Conduct, DueClose};
use super::lines::{Fault, Item, is_canonical};
use super::login::Login;
use crate::times::{MACHINE, PROMPT};

/// A rule that a peer has broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// When the monitor found it.
    pub at: Duration,
    /// The name of the connection in the recording.
    pub connection: String,
    /// The peer that breaks the rule.
    pub side: Side,
    /// The id of the rule.
    pub rule: &'static str,
    /// What was seen.
    pub seen: String,
}

/// How long the peers and the network may take.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// For a reply or a close that has no time of its own in the specification.
    pub(super) reply: Duration,
    /// For a message on its way, and for a busy machine.
    pub(super) slack: Duration,
}

impl Limits {
    /// Those of the notation, multiplied.
    pub fn scaled(by: f64) -> Self {
        Self {
            reply: PROMPT.time().mul_f64(by),
            slack: MACHINE.mul_f64(by),
        }
    }
}

/// See the [module documentation](self).
#[derive(Debug)]
pub(super) struct State {
    pub(super) limits: Limits,
    /// The side that is judged; both when `None`.
    side: Option<Side>,
    pub(super) server: Table,
    pub(super) client: Table,
    pub(super) tunnel: Table,
    pub(super) now: Duration,
    pub(super) connections: BTreeMap<String, Conduct>,
    pub(super) logins: Vec<Login>,
    /// The latest tokens, each with the number of its login.
    pub(super) tokens: BTreeMap<Vec<u8>, usize>,
    /// How many logins were forgotten.
    pub(super) forgotten: usize,
    /// How many connections could not be read. Logins may have been made on them.
    pub(super) unread_ever: usize,
    /// When an ATH of these lines may be sent again at the earliest, and the rule that says so.
    pub(super) pauses: BTreeMap<Vec<Vec<u8>>, (Duration, &'static str)>,
    pub(super) unexplained: Vec<UnexplainedClose>,
    pub(super) found: Vec<Violation>,
}

/// A server closed a login, and the monitor saw no reason.
#[derive(Debug)]
pub(super) struct UnexplainedClose {
    pub(super) at: Duration,
    pub(super) id: String,
    pub(super) seen: String,
}

/// How many tokens, and how many logins, are remembered.
pub(super) const REMEMBERED: usize = 10_000;

impl State {
    pub(super) fn new(limits: Limits, side: Option<Side>) -> Self {
        Self {
            limits,
            side,
            server: Table::server(),
            client: Table::client(),
            tunnel: Table::tunnel(),
            now: Duration::ZERO,
            connections: BTreeMap::new(),
            logins: Vec::new(),
            tokens: BTreeMap::new(),
            forgotten: 0,
            unread_ever: 0,
            pauses: BTreeMap::new(),
            unexplained: Vec::new(),
            found: Vec::new(),
        }
    }

    pub(super) fn report(
        &mut self,
        id: &str,
        side: Side,
        rule: &'static str,
        seen: impl Into<String>,
    ) {
        if self.side.is_some_and(|judged| judged != side) {
            return;
        }
        self.found.push(Violation {
            at: self.now,
            connection: id.to_owned(),
            side,
            rule,
            seen: seen.into(),
        });
    }

    /// Reports each integer of a message that is not written as a sender has to write it.
    pub(super) fn check_integers(&mut self, id: &str, side: Side, lines: &[Vec<u8>]) {
        let kind = |line: usize| lines.first().and_then(Shape::of)?.kind(line);
        let lines = lines.iter().enumerate();
        let integers = lines.filter(|(line, _)| kind(*line) == Some(Kind::Integer));
        for (_, line) in integers.filter(|(_, text)| !is_canonical(text)) {
            let shown = Item::Fault(Fault::Word(line.clone())).shown();
            let seen = format!("{shown} for an integer");
            self.report(id, side, "frame.int-canonical", seen);
            // A receiver is free to close.
            if let Some(conduct) = self.connections.get_mut(id) {
                conduct.excused = true;
            }
        }
    }
}

/// Connections, and what the tables say of them.
impl State {
    /// A client has opened a connection to this listener.
    pub(super) fn open(&mut self, id: &str, over: Transport) {
        let conduct = Conduct::new(self.now, over);
        self.connections.insert(id.to_owned(), conduct);
    }

    /// Forgets a connection.
    pub(super) fn leave(&mut self, id: &str) {
        self.end_login(id);
        self.connections.remove(id);
    }

    pub(super) fn hold(&mut self, id: &str, until: Duration) {
        if let Some(conduct) = self.connections.get_mut(id) {
            conduct.held_up = conduct.held_up.max(until);
        }
        if let Some(login) = self.login(id) {
            login.held_up = login.held_up.max(until);
        }
    }

    /// Until when the tap held up a connection.
    pub(super) fn held_up(&self, id: &str) -> Duration {
        let conduct = self.connections.get(id);
        conduct.map_or(Duration::ZERO, |conduct| conduct.held_up)
    }

    /// Takes the server's step of the table on an event. If the server closes by it, the monitor waits for the close.
    pub(super) fn server_step(&mut self, id: &str, event: &str, why: &str) {
        let Some(conduct) = self.connections.get_mut(id) else {
            return;
        };
        let Some(step) = self.server.step(conduct.server, event) else {
            return;
        };
        conduct.server = step.next;
        if matches!(step.action, "Close" | "Reject") {
            conduct
                .due_closes
                .push(due(Side::Server, step, why, self.now));
        }
    }

    /// Takes the client's step of the table on an event. If the client closes by it, the monitor waits for the close.
    pub(super) fn client_step(&mut self, id: &str, event: &str, why: &str) {
        let Some(conduct) = self.connections.get_mut(id) else {
            return;
        };
        let Some(step) = self.client.step(conduct.client, event) else {
            return;
        };
        conduct.client = step.next;
        if step.action == "Disconnect" {
            conduct
                .due_closes
                .push(due(Side::Client, step, why, self.now));
        }
    }
}

fn due(side: Side, step: Step, why: &str, since: Duration) -> DueClose {
    DueClose {
        side,
        rule: step.rule,
        why: why.to_owned(),
        since,
        reported: false,
        unless_asked: None,
    }
}

/// Logins.
impl State {
    /// The login of a control connection.
    pub(super) fn login(&mut self, id: &str) -> Option<&mut Login> {
        let index = self.connections.get(id)?.login?;
        self.numbered(index)
    }

    /// The login with a number, if it is remembered.
    pub(super) fn numbered(&mut self, number: usize) -> Option<&mut Login> {
        self.logins.get_mut(number.checked_sub(self.forgotten)?)
    }

    /// Adds a login; its number.
    pub(super) fn begin_login(&mut self, login: Login) -> usize {
        // Half of them are removed at once, because removing moves the rest of the list.
        if self.logins.len() >= REMEMBERED
            && self
                .logins
                .iter()
                .take(REMEMBERED / 2)
                .all(|one| one.ended.is_some())
        {
            self.forgotten += REMEMBERED / 2;
            self.logins.drain(..REMEMBERED / 2);
            let forgotten = self.forgotten;
            self.tokens.retain(|_, number| *number >= forgotten);
        }
        let number = self.forgotten + self.logins.len();
        self.tokens.insert(login.token.clone(), number);
        self.logins.push(login);
        number
    }

    /// Notes that the control connection, or one of its directions, has ended.
    pub(super) fn end_login(&mut self, id: &str) {
        let now = self.now;
        if let Some(login) = self.login(id) {
            login.ended.get_or_insert(now);
        }
    }
}
