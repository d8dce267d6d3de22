//! The eight messages, by direction.

use alloc::vec::Vec;
use core::fmt::{self, Write as _};

use crate::{ClientName, ParseError, Password, PortNumber, Target, Timeout, Token, Username};

/// What a client sends (`client-message` in the grammar).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientMessage {
    /// Log in: the first message on a control connection.
    Ath(Ath),
    /// Ask the server to listen on a port.
    Map(Map),
    /// The client is alive; answered by [`ServerMessage::Srs`].
    Srq,
    /// The only message of a data connection; raw bytes follow.
    Trs(Trs),
}

/// What a server sends (`server-message` in the grammar).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerMessage {
    /// Answer to [`Ath`].
    Ars(Ars),
    /// Answer to [`Map`].
    Mrs(Mrs),
    /// A user has connected: open a tunnel.
    Trq(Trq),
    /// Answer to [`ClientMessage::Srq`].
    Srs,
}

/// `ath = %s"ATH" LF client-name LF username LF password LF`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ath {
    /// Only for people to read.
    pub client_name: ClientName,
    /// Compared byte for byte.
    pub username: Username,
    /// Compared byte for byte.
    pub password: Password,
}

/// `ars = %s"ARS" LF ( %s"true" LF timeout LF token LF / %s"false" LF )`
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ars {
    /// The login succeeded.
    Accepted {
        /// How long the client may be silent.
        timeout: Timeout,
        /// Each data connection of this client sends it.
        token: Token,
    },
    /// The login failed; the connection ends.
    Rejected,
}

/// `map = %s"MAP" LF port LF target LF bool LF`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Map {
    /// The port on which the server is asked to listen; it can be out of bounds.
    pub remote_port: PortNumber,
    /// Only for people to read: the server never connects to it.
    pub target: Target,
    /// Whether users are let through. A closed mapping holds its port but refuses users.
    pub is_open: bool,
}

/// `mrs = %s"MRS" LF port LF bool LF`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mrs {
    /// The port of the [`Map`] that is answered.
    pub remote_port: PortNumber,
    /// Whether the server listens.
    pub is_ok: bool,
}

/// `trq = %s"TRQ" LF port LF`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trq {
    /// The port to which the user connected.
    pub remote_port: PortNumber,
}

/// `trs = %s"TRS" LF token LF port LF`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trs {
    /// The token of the login.
    pub token: Token,
    /// The port of the [`Trq`].
    pub remote_port: PortNumber,
}

impl ClientMessage {
    /// Appends the bytes of the message to `out`. It cannot fail.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Ath(ath) => {
                line(out, b"ATH");
                line(out, ath.client_name.as_bytes());
                line(out, ath.username.as_bytes());
                line(out, ath.password.expose());
            }
            Self::Map(map) => {
                line(out, b"MAP");
                number(out, map.remote_port);
                line(out, map.target.as_bytes());
                boolean(out, map.is_open);
            }
            Self::Srq => line(out, b"SRQ"),
            Self::Trs(trs) => {
                line(out, b"TRS");
                line(out, trs.token.expose());
                number(out, trs.remote_port);
            }
        }
    }
}

impl ServerMessage {
    /// Appends the bytes of the message to `out`. It cannot fail.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Ars(Ars::Accepted { timeout, token }) => {
                line(out, b"ARS");
                boolean(out, true);
                number(out, timeout);
                line(out, token.expose());
            }
            Self::Ars(Ars::Rejected) => {
                line(out, b"ARS");
                boolean(out, false);
            }
            Self::Mrs(mrs) => {
                line(out, b"MRS");
                number(out, mrs.remote_port);
                boolean(out, mrs.is_ok);
            }
            Self::Trq(trq) => {
                line(out, b"TRQ");
                number(out, trq.remote_port);
            }
            Self::Srs => line(out, b"SRS"),
        }
    }
}

/// A message that a peer receives: [`ClientMessage`] at the server, [`ServerMessage`] at the
/// client.
pub trait Incoming: Sized {
    /// Parses one message at the start of `input`: the message and its length in bytes, or `None`
    /// when more lines are needed.
    ///
    /// # Errors
    ///
    /// [`ParseError`] as soon as the lines present cannot be the start of a message.
    fn parse(input: &[u8]) -> Result<Option<(Self, usize)>, ParseError>;

    /// Whether raw bytes follow this message instead of further lines.
    fn ends_lines(&self) -> bool;
}

fn line(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(bytes);
    out.push(b'\n');
}

fn boolean(out: &mut Vec<u8>, value: bool) {
    line(out, if value { b"true" } else { b"false" });
}

fn number(out: &mut Vec<u8>, value: impl fmt::Display) {
    struct Digits<'a>(&'a mut Vec<u8>);

    impl fmt::Write for Digits<'_> {
        fn write_str(&mut self, digits: &str) -> fmt::Result {
            self.0.extend_from_slice(digits.as_bytes());
            Ok(())
        }
    }

    // Writing to a vector cannot fail.
    let _ = write!(Digits(out), "{value}");
    out.push(b'\n');
}
