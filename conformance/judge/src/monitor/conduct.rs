//! What is known of one connection of a client to the server.

use std::collections::VecDeque;
use std::time::Duration;

use netroxy_specification::notation::ast::{Side, Transport};

use super::lines::{Item, Lines};
use crate::recording::Sender;

/// One connection.
#[derive(Debug)]
pub(super) struct Conduct {
    pub(super) opened: Duration,
    /// The listener that it was opened to.
    pub(super) over: Transport,
    /// Where it stands in the table of a connection to a server.
    pub(super) server: &'static str,
    /// Where its client stands in the table of a client.
    pub(super) client: &'static str,
    client_lines: Lines,
    server_lines: Lines,
    /// The first bytes of the client.
    begun: Vec<u8>,
    /// Which directions have ended: that of the client, that of the server.
    ended: [bool; 2],
    /// ATH that is not answered.
    pub(super) ath: Option<Ath>,
    /// What the client has said before its ATH was answered; at most [`HELD`].
    pub(super) held: VecDeque<Item>,
    /// The login of a control connection.
    pub(super) login: Option<usize>,
    /// Who has to close it.
    pub(super) doomed: Vec<Doom>,
    /// Who may close it, or have other ideas of it, for a reason that the specification leaves open.
    pub(super) excused: bool,
    /// Until when the tap itself has held up what crosses it.
    pub(super) held_up: Duration,
    /// The client has gone on sending after it was refused; told once.
    pub(super) refused_told: bool,
    /// The server has not closed it in time without a first message; told once.
    pub(super) idle_told: bool,
}

/// A login that is asked for.
#[derive(Debug, Clone)]
pub(super) struct Ath {
    /// Client name, user name, password.
    pub(super) fields: Vec<Vec<u8>>,
    pub(super) at: Duration,
    /// Whose silence has been told: of the server, of the client.
    pub(super) told: [bool; 2],
}

/// A close that has to come.
#[derive(Debug, Clone)]
pub(super) struct Doom {
    pub(super) side: Side,
    pub(super) rule: &'static str,
    pub(super) why: String,
    pub(super) since: Duration,
    pub(super) told: bool,
    /// A TRQ for this port makes it void.
    pub(super) unless_asked: Option<(usize, i64)>,
}

/// More than a good client ever sends before it knows that it has been let in.
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
            doomed: Vec::new(),
            excused: false,
            held_up: Duration::ZERO,
            refused_told: false,
            idle_told: false,
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

    /// Notes an end; true when both directions have ended.
    pub(super) fn end(&mut self, sender: Sender) -> bool {
        self.ended[usize::from(sender == Sender::Acceptor)] = true;
        self.ended == [true; 2]
    }

    pub(super) fn has_ended(&self, sender: Sender) -> bool {
        self.ended[usize::from(sender == Sender::Acceptor)]
    }

    /// Whether a side has to close, or another reads nothing of it any more.
    pub(super) fn is_doomed(&self) -> bool {
        !self.doomed.is_empty()
    }
}

/// A record of the handshake, in any version of TLS.
const HANDSHAKE: [u8; 2] = [0x16, 0x03];
