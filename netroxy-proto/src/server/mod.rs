//! A whole server, without IO: logins, mapped ports, waiting users, and their data connections.
//!
//! See the [crate documentation](crate#state-machines) for how to drive it.
//!
//! ```
//! use std::time::Duration;
//! use netroxy_proto::{ClientMessage, Incoming, Token};
//! use netroxy_proto::server::{Config, ConnId, Input, Listener, Output, Server};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let (username, password) = ("alice".to_owned(), "secret".to_owned());
//! let config = Config::new(username.try_into()?, password.try_into()?, 300.try_into()?);
//! let mut server = Server::new(config);
//!
//! let now = Duration::ZERO;
//! let conn = ConnId(1);
//! let token = Token::from_random([7; 16]);
//! server.handle(now, Input::Accepted { conn, listener: Listener::Plain, token })?;
//! assert_eq!(server.poll_output(), None);
//! assert_eq!(server.poll_timeout(), Some(Duration::from_secs(10)), "the time to log in");
//!
//! let (message, _) = ClientMessage::parse(b"ATH\nprobe\nalice\nsecret\n")?.unwrap();
//! server.handle(now, Input::Message { conn, message })?;
//! assert!(matches!(server.poll_output(), Some(Output::LoggedIn { .. })));
//! assert!(matches!(server.poll_output(), Some(Output::Send { .. })));
//! assert_eq!(server.poll_output(), None);
//! # Ok(())
//! # }
//! ```

mod machine;
pub mod table;

use core::fmt;
use core::time::Duration;

pub use machine::Server;
use subtle::ConstantTimeEq;

use crate::{
    Ath, ClientMessage, ClientName, ParseError, Password, PeerMisbehaved, RemotePort,
    ServerMessage, Target, Timeout, Token, Username,
};

/// The configuration of a server.
#[derive(Debug, Clone)]
pub struct Config {
    /// The user name and password that an ATH in [`Input::Message`] must have. With `None` every such
    /// ATH is rejected: the driver checks each login itself and feeds [`Input::Login`].
    pub credentials: Option<(Username, Password)>,
    /// Sent to each client. A client that is silent for 1.375 times the timeout is closed. The factor
    /// is needed because the original client sends SRQ once in each timeout (`keep.not-early`).
    pub timeout: Timeout,
    /// The time to log in or to become a tunnel; then the connection is closed. `Duration::MAX` means
    /// never, here and in the other deadlines.
    pub login_deadline: Duration,
    /// The time that a user waits for a tunnel; then the user is closed (`tunnel.user-timeout`).
    pub user_deadline: Duration,
    /// The most users that wait on one mapping; further users are closed at once.
    pub max_waiting: usize,
}

impl Config {
    /// The defaults: 10 s to log in, 10 s for a tunnel, 1024 users waiting on one mapping.
    #[must_use]
    pub fn new(username: Username, password: Password, timeout: Timeout) -> Self {
        Self {
            credentials: Some((username, password)),
            ..Self::checked_by_driver(timeout)
        }
    }

    /// The same for a driver that knows the accounts and checks each login itself.
    #[must_use]
    pub fn checked_by_driver(timeout: Timeout) -> Self {
        Self {
            credentials: None,
            timeout,
            login_deadline: Duration::from_secs(10),
            user_deadline: Duration::from_secs(10),
            max_waiting: 1024,
        }
    }

    fn admits(&self, ath: &Ath) -> bool {
        self.credentials
            .as_ref()
            .is_some_and(|(username, password)| {
                let user = username.as_bytes().ct_eq(ath.username.as_bytes());
                let pass = password.expose().ct_eq(ath.password.expose());
                // Both are always compared: the time does not tell which one was wrong.
                (user & pass).into()
            })
    }
}

/// A connection to the plain or the TLS listener. The driver chooses the ids and uses each once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ConnId(pub u64);

/// A connection to a mapped port. The driver chooses the ids and uses each once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct UserId(pub u64);

/// A mapping. The machine chooses the ids and uses each once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct MappingId(pub(crate) u64);

/// The listener that accepted a connection. A token is valid only on the listener that issued it
/// (`tunnel.token-scope`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listener {
    /// Plain TCP.
    Plain,
    /// TLS.
    Tls,
}

/// What has happened; the driver feeds it to the machine.
#[derive(Debug, Clone)]
pub enum Input {
    /// A connection was accepted (and its TLS handshake is done).
    Accepted {
        /// A new id.
        conn: ConnId,
        /// The listener that accepted it.
        listener: Listener,
        /// Fresh random bits, used if this connection logs in (`auth.token-unique`).
        token: Token,
    },
    /// A message came on a connection.
    Message {
        /// The connection.
        conn: ConnId,
        /// The message.
        message: ClientMessage,
    },
    /// ATH came on a connection, and the driver has checked user name and password.
    Login {
        /// The connection.
        conn: ConnId,
        /// The message.
        ath: Ath,
        /// Whether the client may log in.
        granted: bool,
    },
    /// Bytes that are no message came on a connection.
    Malformed {
        /// The connection.
        conn: ConnId,
        /// What is wrong.
        error: ParseError,
    },
    /// The client has ended its direction of a connection, the connection broke, or the driver gave
    /// it up. The driver closes what is left of it.
    Ended {
        /// The connection.
        conn: ConnId,
    },
    /// Answer to [`Output::OpenListener`]: the port is bound and accepts.
    ListenerOpened {
        /// The mapping of the output.
        mapping: MappingId,
    },
    /// Answer to [`Output::OpenListener`]: the port could not be bound.
    ListenerFailed {
        /// The mapping of the output.
        mapping: MappingId,
    },
    /// A user has connected to a mapped port.
    UserAccepted {
        /// The mapping of the port.
        mapping: MappingId,
        /// A new id.
        user: UserId,
    },
    /// The connection of a waiting user is broken. (A half-close does not count.)
    UserGone {
        /// The user.
        user: UserId,
    },
    /// The time of [`Server::poll_timeout`] has come.
    Tick,
}

/// What the driver has to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Send a message.
    Send {
        /// The connection.
        conn: ConnId,
        /// The message.
        message: ServerMessage,
    },
    /// Close a connection after all earlier messages are sent.
    Close {
        /// The connection.
        conn: ConnId,
        /// The reason, for the log.
        reason: CloseReason,
    },
    /// A client has logged in.
    LoggedIn {
        /// The control connection.
        conn: ConnId,
        /// The name of the client.
        client_name: ClientName,
    },
    /// Listen on a port; answer with [`Input::ListenerOpened`] or [`Input::ListenerFailed`].
    OpenListener {
        /// The mapping, for the answer.
        mapping: MappingId,
        /// The control connection of the client.
        conn: ConnId,
        /// The port.
        remote_port: RemotePort,
        /// The target that the client has named, for the log.
        target: Target,
    },
    /// Stop listening. This output can come while the driver opens the port. It comes again if the
    /// driver answers afterwards that the port is open.
    CloseListener {
        /// The mapping.
        mapping: MappingId,
    },
    /// Join a user with a data connection: relay bytes in both directions, first the bytes that the
    /// decoder holds after TRS. The machine forgets both.
    Join {
        /// The data connection.
        conn: ConnId,
        /// The user.
        user: UserId,
    },
    /// Close a user. The machine forgets it.
    RefuseUser {
        /// The user.
        user: UserId,
        /// The reason, for the log.
        reason: RefuseReason,
    },
}

/// Why the server closes a connection.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CloseReason {
    /// Wrong user name or password, or the driver rejects the login.
    #[error("wrong user name or password, or refused by a limit")]
    Rejected,
    /// The same user and client name logged in on another connection.
    #[error("replaced by a new login of the same client")]
    Replaced,
    /// A message that is not allowed now, or none in time.
    #[error(transparent)]
    Misbehaved(#[from] PeerMisbehaved),
    /// Bytes that are no message.
    #[error(transparent)]
    Malformed(#[from] ParseError),
}

impl CloseReason {
    /// The rule of the specification that the client broke. If it broke none, the rule that the server
    /// follows by closing.
    #[must_use]
    pub fn rule(&self) -> &'static str {
        match self {
            Self::Rejected => "auth.fail-close",
            Self::Replaced => "auth.same-name-replaces",
            Self::Misbehaved(how) => how.rule(),
            Self::Malformed(error) => error.rule(),
        }
    }
}

/// Why the server closes a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefuseReason {
    /// The client mapped the port with isOpen false.
    MappingClosed,
    /// As many users wait as [`Config::max_waiting`] allows.
    TooManyWaiting,
    /// The client opened no data connection in time.
    NoTunnel,
    /// The login of the client has ended.
    ClientGone,
}

impl fmt::Display for RefuseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::MappingClosed => "the mapping is closed",
            Self::TooManyWaiting => "too many users wait",
            Self::NoTunnel => "the client opened no data connection in time",
            Self::ClientGone => "the login of the client has ended",
        })
    }
}
