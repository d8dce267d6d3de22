//! The passive judge: is told what crosses the wire between clients and a server, and says who breaks which rule.
//!
//! It plays no part, so it sees neither users nor services, nor why somebody closes. It follows each connection through
//! the state tables of the specification, and claims only what can be seen: a reply that does not come, comes twice or
//! in the wrong order; a connection that has to be closed and is not; keepalive; tokens; TRS without TRQ. What could
//! have been under way when it was seen, on this connection or another, is given time.

mod client;
mod conduct;
mod due;
mod lines;
mod login;
mod server;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use conduct::Conduct;
use login::Login;
use netroxy_specification::notation::ast::Side;
use netroxy_specification::states::Table;

use crate::recording::{End, Kind, Sender, What};

/// Something that a peer must not do, or has not done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// When it was noticed.
    pub at: Duration,
    /// The name of the connection in the recording.
    pub connection: String,
    /// Who breaks the rule.
    pub side: Side,
    /// The id of the rule.
    pub rule: &'static str,
    /// What was seen.
    pub seen: String,
}

/// How long things may take.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Until something comes that should come at once.
    reply: Duration,
    /// What is under way, and the machine, may take so long.
    slack: Duration,
}

impl Limits {
    /// Those of the notation, multiplied.
    pub fn scaled(by: f64) -> Self {
        Self {
            reply: Duration::from_secs(2).mul_f64(by),
            slack: Duration::from_millis(500).mul_f64(by),
        }
    }
}

/// See the [module documentation](self).
#[derive(Debug)]
pub struct Monitor {
    limits: Limits,
    /// Who is judged; both when `None`.
    whom: Option<Side>,
    server: Table,
    client: Table,
    tunnel: Table,
    now: Duration,
    connections: BTreeMap<String, Conduct>,
    logins: Vec<Login>,
    /// The latest tokens, each with its login.
    tokens: BTreeMap<Vec<u8>, usize>,
    /// How many logins have been forgotten.
    forgotten: usize,
    /// Open connections that cannot be read; logins may have been made on them.
    unread: BTreeSet<String>,
    /// How many of them there were.
    unread_ever: usize,
    /// When all connections were looked at.
    swept: Duration,
    /// When a login with these fields may be tried again at the earliest, and the rule that says so.
    pauses: BTreeMap<Vec<Vec<u8>>, (Duration, &'static str)>,
    suspects: Vec<due::Suspect>,
    found: Vec<Violation>,
    messages: u64,
    opened: u64,
}

/// So many tokens, and so many logins, are remembered.
const REMEMBERED: usize = 10_000;

/// So many questions of one kind are remembered on a connection while they are not answered.
const PENDING: usize = 1_000;

/// How often all connections are looked at, when much happens.
const SWEEP: Duration = Duration::from_millis(10);

impl Monitor {
    /// Nothing has happened yet.
    pub fn new(limits: Limits, whom: Option<Side>) -> Self {
        Self {
            limits,
            whom,
            server: Table::server(),
            client: Table::client(),
            tunnel: Table::tunnel(),
            now: Duration::ZERO,
            connections: BTreeMap::new(),
            logins: Vec::new(),
            tokens: BTreeMap::new(),
            forgotten: 0,
            unread: BTreeSet::new(),
            unread_ever: 0,
            swept: Duration::ZERO,
            pauses: BTreeMap::new(),
            suspects: Vec::new(),
            found: Vec::new(),
            messages: 0,
            opened: 0,
        }
    }

    /// Something has happened on a connection; events are told in their order.
    pub fn see(&mut self, at: Duration, id: &str, what: &What) {
        if at >= self.swept + SWEEP {
            self.pass(at);
        } else {
            self.now = self.now.max(at);
            self.overdue(id);
        }
        match what {
            What::Open(Kind::Control(over)) => {
                self.opened += 1;
                let conduct = Conduct::new(self.now, *over);
                self.connections.insert(id.to_owned(), conduct);
            }
            // Users and services are not judged.
            What::Open(_) => {}
            What::Gone => {
                self.leave(id);
                self.unread.remove(id);
            }
            What::Bytes(sender, bytes) => self.bytes(id, *sender, bytes),
            What::Ended(sender, end) => self.ended(id, *sender, *end),
        }
    }

    /// Time has passed, and nothing has happened.
    pub fn pass(&mut self, at: Duration) {
        self.now = self.now.max(at);
        self.swept = self.now;
        let ids: Vec<String> = self.connections.keys().cloned().collect();
        for id in ids {
            self.overdue(&id);
        }
        self.suspected();
    }

    /// What crosses a connection was held up until then, by who looks on: what is late for it is nobody's fault.
    pub fn hold(&mut self, id: &str, until: Duration) {
        if let Some(conduct) = self.connections.get_mut(id) {
            conduct.held_up = conduct.held_up.max(until);
        }
        if let Some(login) = self.login(id) {
            login.held_up = login.held_up.max(until);
        }
    }

    /// Until when a connection was held up.
    fn held_up(&self, id: &str) -> Duration {
        let conduct = self.connections.get(id);
        conduct.map_or(Duration::ZERO, |conduct| conduct.held_up)
    }

    /// What was found since the last time.
    pub fn take(&mut self) -> Vec<Violation> {
        std::mem::take(&mut self.found)
    }

    /// How many whole messages there were.
    pub fn messages(&self) -> u64 {
        self.messages
    }

    /// How many connections of clients there were.
    pub fn opened(&self) -> u64 {
        self.opened
    }

    /// How many of them could not be read, because they are TLS.
    pub fn unread(&self) -> usize {
        self.unread_ever
    }

    /// Whether a connection cannot be read.
    pub fn is_unread(&self, id: &str) -> bool {
        self.unread.contains(id)
    }

    fn bytes(&mut self, id: &str, sender: Sender, bytes: &[u8]) {
        let Some(conduct) = self.connections.get_mut(id) else {
            return;
        };
        if sender == Sender::Opener && conduct.begins_with_tls(bytes) {
            self.connections.remove(id);
            self.unread.insert(id.to_owned());
            self.unread_ever += 1;
            return;
        }
        conduct.lines(sender).push(bytes);
        if sender == Sender::Acceptor {
            self.server_bytes(id, bytes.len());
        } else {
            self.client_bytes(id);
        }
        loop {
            let conduct = self.connections.get_mut(id);
            let Some(item) = conduct.and_then(|conduct| conduct.lines(sender).next()) else {
                return;
            };
            if matches!(item, lines::Item::Message(_)) {
                self.messages += 1;
            }
            match sender {
                Sender::Opener => self.client_says(id, item),
                Sender::Acceptor => self.server_says(id, item),
            }
        }
    }

    fn ended(&mut self, id: &str, sender: Sender, end: End) {
        match sender {
            Sender::Opener => self.client_ended(id),
            Sender::Acceptor => self.server_ended(id),
        }
        let Some(conduct) = self.connections.get_mut(id) else {
            return;
        };
        if conduct.end(sender) || end == End::Reset {
            self.leave(id);
        }
    }

    /// Forgets a connection.
    fn leave(&mut self, id: &str) {
        self.end_login(id);
        self.connections.remove(id);
    }

    fn report(&mut self, id: &str, side: Side, rule: &'static str, seen: impl Into<String>) {
        if self.whom.is_some_and(|whom| whom != side) {
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
}

#[cfg(test)]
mod tests;
