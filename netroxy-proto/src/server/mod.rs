//! A whole server, without IO: sessions, mapped ports, waiting users, and how they meet tunnels.
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

use core::{fmt, time::Duration};

use subtle::ConstantTimeEq;

use crate::{
    Ath, ClientMessage, ClientName, ParseError, Password, PeerMisbehaved, RemotePort,
    ServerMessage, Target, Timeout, Token, Username,
};

pub use machine::Server;

/// What a server is told at its start.
#[derive(Debug, Clone)]
pub struct Config {
    /// What an ATH has to show that comes as [`Input::Message`]. `None` refuses it: then the driver
    /// checks each login and feeds [`Input::Login`].
    pub credentials: Option<(Username, Password)>,
    /// Sent to each client. A client that is silent for 1.375 times as long is closed: later than
    /// the timeout, because the original client sends exactly every timeout (`keep.not-early`).
    pub timeout: Timeout,
    /// A connection that has neither logged in nor become a tunnel by then is closed.
    /// `Duration::MAX` is never; so it is in the other deadlines.
    pub login_deadline: Duration,
    /// A user who has got no tunnel by then is closed (`tunnel.user-timeout`).
    pub user_deadline: Duration,
    /// So many users wait on one mapping at most; further ones are closed at once.
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

/// A connection to the plain or the TLS listener. The driver chooses ids and never reuses one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ConnId(pub u64);

/// A connection to a mapped port. The driver chooses ids and never reuses one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct UserId(pub u64);

/// A mapping; chosen by the machine and never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct MappingId(pub(crate) u64);

/// Where a connection arrived. A token is valid on the listener that issued it only
/// (`tunnel.token-scope`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listener {
    /// Plain TCP.
    Plain,
    /// TLS.
    Tls,
}

/// What the driver tells the machine.
#[derive(Debug, Clone)]
pub enum Input {
    /// A connection was accepted (and its TLS handshake is done).
    Accepted {
        /// A new id.
        conn: ConnId,
        /// Where it arrived.
        listener: Listener,
        /// Fresh random bits, used if this connection logs in (`auth.token-unique`).
        token: Token,
    },
    /// A connection delivered a message.
    Message {
        /// From here.
        conn: ConnId,
        /// This one.
        message: ClientMessage,
    },
    /// A connection delivered ATH, and the driver has checked what it shows.
    Login {
        /// From here.
        conn: ConnId,
        /// This one.
        ath: Ath,
        /// Whether the client may log in.
        granted: bool,
    },
    /// A connection delivered bytes that are no message.
    Malformed {
        /// From here.
        conn: ConnId,
        /// What is wrong.
        error: ParseError,
    },
    /// A connection has ended, in the direction of the client at least, or broken, or the driver
    /// gave it up. The driver closes what is left of it.
    Ended {
        /// This one.
        conn: ConnId,
    },
    /// Answer to [`Output::OpenListener`]: the port is bound and accepts.
    ListenerOpened {
        /// As asked.
        mapping: MappingId,
    },
    /// Answer to [`Output::OpenListener`]: the port could not be bound.
    ListenerFailed {
        /// As asked.
        mapping: MappingId,
    },
    /// A user has connected to a mapped port.
    UserAccepted {
        /// Whose port it is.
        mapping: MappingId,
        /// A new id.
        user: UserId,
    },
    /// A waiting user has broken the connection (its half-close does not count).
    UserGone {
        /// This one.
        user: UserId,
    },
    /// [`Server::poll_timeout`] has come.
    Tick,
}

/// What the machine asks of the driver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Send a message.
    Send {
        /// To this connection.
        conn: ConnId,
        /// This one.
        message: ServerMessage,
    },
    /// Close a connection, after what was sent before.
    Close {
        /// This one.
        conn: ConnId,
        /// For the log.
        reason: CloseReason,
    },
    /// A client has logged in.
    LoggedIn {
        /// On this connection.
        conn: ConnId,
        /// As this user.
        username: Username,
        /// Under this name.
        client_name: ClientName,
    },
    /// Listen on a port; answer with [`Input::ListenerOpened`] or [`Input::ListenerFailed`].
    OpenListener {
        /// To be used in the answer.
        mapping: MappingId,
        /// For this client's control connection.
        conn: ConnId,
        /// Where.
        remote_port: RemotePort,
        /// What the client says is behind it; for the log.
        target: Target,
    },
    /// Stop listening. May come while the port is still being opened, and once more if the driver
    /// says afterwards that it opened.
    CloseListener {
        /// This one.
        mapping: MappingId,
    },
    /// Join a user to a data connection: relay bytes both ways, beginning with those that the
    /// decoder holds behind TRS. The machine forgets both.
    Join {
        /// The data connection.
        conn: ConnId,
        /// The user.
        user: UserId,
    },
    /// Close a user. The machine forgets it.
    RefuseUser {
        /// This one.
        user: UserId,
        /// For the log.
        reason: RefuseReason,
    },
}

/// Why the server closes a connection.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CloseReason {
    /// Wrong user name or password, or the driver does not let the client in.
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
    /// The rule of the specification behind it.
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
    /// Too many users wait already.
    TooManyWaiting,
    /// The client brought no tunnel in time.
    NoTunnel,
    /// The client has gone.
    ClientGone,
}

impl fmt::Display for RefuseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::MappingClosed => "the mapping is closed",
            Self::TooManyWaiting => "too many users wait",
            Self::NoTunnel => "the client brought no tunnel in time",
            Self::ClientGone => "the client has gone",
        })
    }
}
