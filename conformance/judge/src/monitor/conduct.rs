//! What the monitor knows of one connection of a client to the server.

use std::collections::VecDeque;
use std::time::Duration;

use netroxy_specification::notation::ast::{Side, Transport};

use super::lines::{Item, Lines};
use crate::recording::Sender;

/// One connection.
#[derive(Debug)]
pub(super) struct Conduct {
    pub(super) opened: Duration,
    /// The listener to which it was opened.
    pub(super) over: Transport,
    /// Its state in the table of a connection to a server.
    pub(super) server: &'static str,
    /// Its state in the table of a client.
    pub(super) client: &'static str,
    client_lines: Lines,
    server_lines: Lines,
    /// The first bytes of the client; at most 2.
    begun: Vec<u8>,
    /// Which directions have ended: client, server.
    ended: [bool; 2],
    /// The ATH that is not answered.
    pub(super) ath: Option<Ath>,
    /// What the client has sent before its ATH was answered; at most [`HELD`] items.
    pub(super) held: VecDeque<Item>,
    /// The number of its login, if it is a control connection.
    pub(super) login: Option<usize>,
    /// Closes that have to come.
    pub(super) due_closes: Vec<DueClose>,
    /// Whether a peer may close it, or not, because the specification leaves both open.
    pub(super) excused: bool,
    /// Until when the tap held it up.
    pub(super) held_up: Duration,
    /// Whether it was reported that the client goes on sending after it was refused.
    pub(super) refused_reported: bool,
    /// Whether it was reported that the server has not closed it in time without a first message.
    pub(super) idle_reported: bool,
}

/// A login attempt that is not answered.
#[derive(Debug, Clone)]
pub(super) struct Ath {
    pub(super) lines: Vec<Vec<u8>>,
    pub(super) at: Duration,
    /// Whether it was reported that the server is late, and that the client is.
    pub(super) reported: [bool; 2],
}

/// A close that has to come.
#[derive(Debug, Clone)]
pub(super) struct DueClose {
    pub(super) side: Side,
    pub(super) rule: &'static str,
    pub(super) why: String,
    pub(super) since: Duration,
    pub(super) reported: bool,
    /// A TRQ of this login for this port cancels it.
    pub(super) unless_asked: Option<(usize, i64)>,
}

/// No good client sends as many messages before its ATH is answered.
pub(super) const HELD: usize = 1000;

impl Conduct {
    pub(super) fn new(now: Duration, over: Transport) -> Self {
        Self {
            opened: now,
            over,
            server: "Fresh",
            client: "Connecting",
            client_lines: Lines::new(Sender::Opener),
            server_lines: Lines::new(Sender::Acceptor),
            begun: Vec::new(),
            ended: [false; 2],
            ath: None,
            held: VecDeque::new(),
            login: None,
            due_closes: Vec::new(),
            excused: false,
            held_up: Duration::ZERO,
            refused_reported: false,
            idle_reported: false,
        }
    }

    pub(super) fn lines(&mut self, sender: Sender) -> &mut Lines {
        match sender {
            Sender::Opener => &mut self.client_lines,
            Sender::Acceptor => &mut self.server_lines,
        }
    }

    /// Whether the client's first bytes are those of a TLS handshake.
    pub(super) fn begins_with_tls(&mut self, bytes: &[u8]) -> bool {
        let wanted = HANDSHAKE.len().saturating_sub(self.begun.len());
        if wanted == 0 {
            return false;
        }
        self.begun.extend(bytes.iter().take(wanted));
        self.begun == HANDSHAKE
    }

    /// Notes the end of a direction; true when both directions have ended.
    pub(super) fn end(&mut self, sender: Sender) -> bool {
        self.ended[usize::from(sender == Sender::Acceptor)] = true;
        self.ended == [true; 2]
    }

    pub(super) fn has_ended(&self, sender: Sender) -> bool {
        self.ended[usize::from(sender == Sender::Acceptor)]
    }

    /// Whether a side has to close it.
    pub(super) fn has_to_close(&self) -> bool {
        !self.due_closes.is_empty()
    }
}

/// How a handshake record begins in every version of TLS.
const HANDSHAKE: [u8; 2] = [0x16, 0x03];
