//! Errors of messages, of peers, and of the caller.

use alloc::string::String;
use core::fmt;

/// Bytes that are no message. The connection must be closed: the framing is lost.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line} of a message: {kind}")]
pub struct ParseError {
    /// Line of the message, counted from 1; the command word is on line 1.
    pub line: usize,
    /// What is wrong there.
    pub kind: ParseErrorKind,
}

/// What is wrong with a line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseErrorKind {
    /// Not a command word of this direction.
    #[error("unknown command {0}")]
    UnknownWord(Excerpt),
    /// Not a decimal integer of 64 bits.
    #[error("{field} is not an integer: {text}")]
    NotAnInteger {
        /// The field as the original README names it.
        field: &'static str,
        /// What stood there.
        text: Excerpt,
    },
    /// Neither `true` nor `false`.
    #[error("{field} is neither true nor false: {text}")]
    NotABoolean {
        /// The field as the original README names it.
        field: &'static str,
        /// What stood there.
        text: Excerpt,
    },
    /// A timeout that is out of bounds.
    #[error("timeout {0} is not within 1 to {max} seconds", max = crate::Timeout::MAX_SECS)]
    TimeoutOutOfRange(i64),
    /// A line longer than the receiver takes.
    #[error("longer than {limit} bytes")]
    LineTooLong {
        /// The receiver's limit, in bytes without the LF.
        limit: usize,
    },
}

impl ParseError {
    /// The rule of the specification that the peer broke.
    #[must_use]
    pub fn rule(&self) -> &'static str {
        match self.kind {
            ParseErrorKind::UnknownWord(_) => "frame.unknown-word",
            // Only ARS has a timeout, and a boolean on the line after its word.
            ParseErrorKind::NotAnInteger {
                field: "timeout", ..
            } => "auth.ars-int",
            ParseErrorKind::NotABoolean { .. } if self.line == 2 => "auth.ars-bool",
            ParseErrorKind::NotAnInteger { .. } => "frame.int",
            ParseErrorKind::NotABoolean { .. } => "frame.bool",
            ParseErrorKind::TimeoutOutOfRange(_) => "auth.timeout-positive",
            ParseErrorKind::LineTooLong { .. } => "frame.line-limit",
        }
    }
}

/// A short, escaped piece of what a peer sent: safe to log, and no secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Excerpt(String);

impl Excerpt {
    const SHOWN: usize = 24;

    /// The start of `bytes`, escaped.
    pub(crate) fn of(bytes: &[u8]) -> Self {
        use fmt::Write as _;
        let shown = bytes.get(..Self::SHOWN).unwrap_or(bytes);
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = write!(text, "\"{}\"", shown.escape_ascii());
        if shown.len() < bytes.len() {
            let _ = write!(text, " (first of {} bytes)", bytes.len());
        }
        Self(text)
    }

    /// The length of `bytes` alone: for lines that hold a secret if the peer swaps its lines.
    pub(crate) fn hidden(bytes: &[u8]) -> Self {
        use fmt::Write as _;
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = write!(text, "({} bytes)", bytes.len());
        Self(text)
    }

    /// A line that should be a command word. It can be a password if the framing is lost, so it is
    /// shown only if it is three capitals, with or without the CR of a peer that ends lines in CR LF.
    pub(crate) fn of_word(bytes: &[u8]) -> Self {
        let word = bytes.strip_suffix(b"\r").unwrap_or(bytes);
        if word.len() == 3 && word.iter().all(u8::is_ascii_uppercase) {
            Self::of(bytes)
        } else {
            Self::hidden(bytes)
        }
    }
}

impl fmt::Display for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A well-formed message that is not allowed now, or a message that did not come in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PeerMisbehaved {
    /// MAP or SRQ on a connection that is not logged in.
    #[error("MAP or SRQ before the login")]
    BeforeLogin,
    /// ATH on a connection that is logged in.
    #[error("second login on one connection")]
    SecondLogin,
    /// Neither ATH nor TRS within the time allowed.
    #[error("no login in time")]
    LoginOverdue,
    /// No SRQ within 1.375 times the timeout (server's view).
    #[error("no SRQ within 1.375 times the timeout")]
    Silent,
    /// TRS on a control connection.
    #[error("TRS on a control connection")]
    TrsOnControl,
    /// TRS with a token that this listener did not issue, or whose login has ended.
    #[error("TRS with an unknown token")]
    UnknownToken,
    /// TRS for a port that this client has not mapped.
    #[error("TRS for a port that this client has not mapped")]
    PortNotMapped,
    /// TRS, but no user waits on the port.
    #[error("TRS, but no user waits on the port")]
    NoWaitingUser,
    /// The first message of a server is not ARS.
    #[error("a message before ARS")]
    ExpectedArs,
    /// A second ARS.
    #[error("a second ARS")]
    UnaskedArs,
    /// No ARS within the time allowed (client's view).
    #[error("no answer to the login in time")]
    NoAnswer,
    /// No answer to SRQ within the timeout (client's view).
    #[error("no answer to SRQ within the timeout")]
    KeepaliveUnanswered,
}

impl PeerMisbehaved {
    /// The rule of the specification that the peer broke.
    #[must_use]
    pub fn rule(&self) -> &'static str {
        match self {
            Self::BeforeLogin => "auth.client-first",
            Self::SecondLogin => "auth.client-once",
            Self::LoginOverdue => "auth.deadline",
            Self::Silent => "keep.client-interval",
            Self::TrsOnControl => "tunnel.no-trs-on-control",
            Self::UnknownToken => "tunnel.token-exact",
            Self::PortNotMapped => "tunnel.trq-port",
            Self::NoWaitingUser => "tunnel.no-unsolicited",
            Self::ExpectedArs => "auth.ok-reply",
            Self::NoAnswer => "auth.reply-time",
            Self::UnaskedArs => "auth.one-reply",
            Self::KeepaliveUnanswered => "keep.srs",
        }
    }
}

/// The caller drove a state machine wrongly: a bug of the program, not of a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LocalMisuse {
    /// The id is in use.
    #[error("the id is in use")]
    DuplicateId,
    /// The input cannot happen in the machine's state.
    #[error("this input cannot happen now")]
    Unexpected,
}
