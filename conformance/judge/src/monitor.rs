//! The passive judge: reads what clients and a server send to each other, and reports which peer breaks which rule.
//!
//! How it works:
//!
//! * The caller passes events in their order to [`Monitor::see`]: connections that open, bytes, ends. Where nothing
//!   happens, it calls [`Monitor::pass`], so that the monitor finds what is late. Times count from the start of the tap
//!   or of the recording; the monitor reads no clock.
//! * `lines` cuts each direction of a connection into messages by the table of
//!   [`netroxy_specification::message`]. `client` and `server` judge the messages of each side.
//! * Each connection is in a state of the table of a connection to a server and in one of the table of a client
//!   (`state`). Where a table says that a peer closes, the monitor notes the close with its rule, and reports it if the
//!   peer has not closed in time. `conduct` has what is known of a connection, `login` what is known of a login.
//! * `due` looks for what should have come by now: replies, closes, keepalive, data connections.
//!
//! What it can judge: it sends nothing, and sees neither users nor targets. So it does not know whether a target refuses
//! or why a peer closes. It reports only what the bytes prove: a reply that does not come, comes twice or in the wrong
//! order; a connection that has to be closed and is not; keepalive; tokens; TRS without TRQ. A message that was sent
//! before its sender could know of another one is not reported: [`Limits`] give time for that. TLS cannot be read.

mod client;
mod conduct;
mod due;
mod lines;
mod login;
mod server;
mod state;

use std::collections::BTreeSet;
use std::time::Duration;

use netroxy_specification::notation::ast::Side;
use state::State;
pub use state::{Limits, Violation};

use crate::recording::{End, Kind, Sender, What};
use crate::times::MONITOR_SWEEP;

/// See the [module documentation](self).
#[derive(Debug)]
pub struct Monitor {
    state: State,
    /// Open connections that cannot be read, because they are TLS.
    unread: BTreeSet<String>,
    /// When all connections were last checked.
    swept: Duration,
    messages: u64,
    opened: u64,
}

impl Monitor {
    /// A monitor that has seen nothing. It judges one side, or both when `side` is `None`.
    pub fn new(limits: Limits, side: Option<Side>) -> Self {
        Self {
            state: State::new(limits, side),
            unread: BTreeSet::new(),
            swept: Duration::ZERO,
            messages: 0,
            opened: 0,
        }
    }

    /// Takes an event of a connection. Events come in their order.
    pub fn see(&mut self, at: Duration, id: &str, what: &What) {
        if at >= self.swept + MONITOR_SWEEP {
            self.pass(at);
        } else {
            self.state.now = self.state.now.max(at);
            self.state.overdue(id);
        }
        match what {
            What::Open(Kind::Control(over)) => {
                self.opened += 1;
                self.state.open(id, *over);
            }
            // Users and targets are not judged.
            What::Open(_) => {}
            What::Gone => {
                self.state.leave(id);
                self.unread.remove(id);
            }
            What::Bytes(sender, bytes) => self.bytes(id, *sender, bytes),
            What::Ended(sender, end) => self.ended(id, *sender, *end),
        }
    }

    /// Moves the time on when no event has come.
    pub fn pass(&mut self, at: Duration) {
        self.state.now = self.state.now.max(at);
        self.swept = self.state.now;
        let ids: Vec<String> = self.state.connections.keys().cloned().collect();
        for id in ids {
            self.state.overdue(&id);
        }
        self.state.report_unexplained();
    }

    /// Notes that the tap held up a connection until then. What is late because of that is not reported.
    pub fn hold(&mut self, id: &str, until: Duration) {
        self.state.hold(id, until);
    }

    /// The violations found since the last call.
    pub fn take(&mut self) -> Vec<Violation> {
        std::mem::take(&mut self.state.found)
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
        self.state.unread_ever
    }

    /// Whether a connection cannot be read.
    pub fn is_unread(&self, id: &str) -> bool {
        self.unread.contains(id)
    }

    fn bytes(&mut self, id: &str, sender: Sender, bytes: &[u8]) {
        let Some(conduct) = self.state.connections.get_mut(id) else {
            return;
        };
        if sender == Sender::Opener && conduct.begins_with_tls(bytes) {
            self.state.connections.remove(id);
            self.state.unread_ever += 1;
            self.unread.insert(id.to_owned());
            return;
        }
        conduct.lines(sender).push(bytes);
        if sender == Sender::Acceptor {
            self.state.server_bytes(id, bytes.len());
        } else {
            self.state.client_bytes(id);
        }
        loop {
            let conduct = self.state.connections.get_mut(id);
            let Some(item) = conduct.and_then(|conduct| conduct.lines(sender).next()) else {
                return;
            };
            if matches!(item, lines::Item::Message(_)) {
                self.messages += 1;
            }
            match sender {
                Sender::Opener => self.state.client_sends(id, item),
                Sender::Acceptor => self.state.server_sends(id, item),
            }
        }
    }

    fn ended(&mut self, id: &str, sender: Sender, end: End) {
        match sender {
            Sender::Opener => self.state.client_ended(id),
            Sender::Acceptor => self.state.server_ended(id),
        }
        let Some(conduct) = self.state.connections.get_mut(id) else {
            return;
        };
        if conduct.end(sender) || end == End::Reset {
            self.state.leave(id);
        }
    }
}

#[cfg(test)]
mod tests;
