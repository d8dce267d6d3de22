//! A whole client, without IO: login, mappings, keepalive and reconnection.
//!
//! See the [crate documentation](crate#state-machines) for how to drive it. Feed `Input::Tick`
//! once to start.
//!
//! ```
//! use std::time::Duration;
//! use netroxy_proto::client::{Client, Config, DisconnectReason, Input, Notice, Output};
//! use netroxy_proto::{Ars, ClientMessage, ServerMessage};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let [name, username, password] = ["probe", "alice", "wrong"].map(str::to_owned);
//! let config =
//!     Config::new(name.try_into()?, username.try_into()?, password.try_into()?, vec![], 7);
//! let mut client = Client::new(config);
//!
//! let now = Duration::ZERO;
//! client.handle(now, Input::Tick)?;
//! assert_eq!(client.poll_output(), Some(Output::Connect));
//!
//! client.handle(now, Input::Connected)?;
//! assert!(matches!(client.poll_output(), Some(Output::Send(ClientMessage::Ath(_)))));
//!
//! client.handle(now, Input::Message(ServerMessage::Ars(Ars::Rejected)))?;
//! let rejected = DisconnectReason::Rejected;
//! assert_eq!(client.poll_output(), Some(Output::Disconnect(rejected)));
//! assert!(matches!(client.poll_output(), Some(Output::Notice(Notice::RetryIn(_)))));
//! assert!(client.poll_timeout() >= Some(Duration::from_secs(1)), "the next attempt");
//! # Ok(())
//! # }
//! ```

mod backoff;
mod configure;
mod machine;
pub mod table;

use alloc::{boxed::Box, vec::Vec};
use core::time::Duration;

use crate::{
    ClientMessage, ClientName, ParseError, Password, PeerMisbehaved, PortNumber, RemotePort,
    ServerMessage, Target, Timeout, Token, Username,
};

pub use machine::Client;

/// What a client is told at its start.
#[derive(Debug, Clone)]
pub struct Config {
    /// Sent with each login. Two clients of one server must not share a name (`auth.same-name`).
    pub client_name: ClientName,
    /// The user name of the login.
    pub username: Username,
    /// The password of the login.
    pub password: Password,
    /// Asked for after each login, in this order. Of several with the same remote port only the
    /// first counts: the server could not tell them apart.
    pub mappings: Vec<Mapping>,
    /// An attempt to open the control connection that has not succeeded by then is given up, TLS handshake included.
    pub connect_deadline: Duration,
    /// A server that has not answered ATH by then is given up.
    pub login_deadline: Duration,
    /// The longest wait before another attempt to connect, or to get a mapping, without the random part of up to a
    /// quarter. The first wait is 1 s, and each further one twice as long.
    ///
    /// A login that lasted 10 s, or as long as the wait before it, begins anew with 1 s, so a link that comes and goes is
    /// used nearly all the time that it is there. Not so from the third login in a row that the server itself ends within
    /// 10 s: two clients of one name end each other's logins so, and have to become slow (`auth.same-name-replaces`).
    pub longest_retry_wait: Duration,
    /// Random bits: they spread the attempts of many clients in time.
    pub jitter: u64,
}

impl Config {
    /// A client with 10 s to open a control connection and 10 s for the answer to its login, which waits for 8 s at the
    /// longest before it tries again: with the random part, less than 15 s (`life.reconnect-time`, `map.client-retries`).
    #[must_use]
    pub fn new(
        client_name: ClientName,
        username: Username,
        password: Password,
        mappings: Vec<Mapping>,
        jitter: u64,
    ) -> Self {
        let connect_deadline = Duration::from_secs(10);
        let login_deadline = Duration::from_secs(10);
        Self {
            client_name,
            username,
            password,
            mappings,
            connect_deadline,
            login_deadline,
            longest_retry_wait: Duration::from_secs(8),
            jitter,
        }
    }
}

/// One service that is to be reachable through the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapping {
    /// Where users connect, on the server.
    pub remote_port: RemotePort,
    /// The service, as told to the server and given back in [`Output::OpenTunnel`].
    pub target: Target,
    /// Whether the server lets users through.
    pub is_open: bool,
}

/// What the driver tells the machine.
#[derive(Debug, Clone)]
pub enum Input {
    /// Answer to [`Output::Connect`]: the connection is open.
    Connected,
    /// Answer to [`Output::Connect`]: there is none.
    ConnectFailed,
    /// The control connection delivered a message.
    Message(ServerMessage),
    /// The control connection delivered bytes that are no message.
    Malformed(ParseError),
    /// The control connection has ended, in the direction of the server at least. The driver closes
    /// what is left of it. Not to be fed after [`Output::Disconnect`].
    Ended,
    /// The control connection broke, by a reset or because nobody answers. As
    /// [`Ended`](Self::Ended), but more likely the network's doing than the server's will: see
    /// [`Config::longest_retry_wait`].
    Broken,
    /// [`Client::poll_timeout`] has come.
    Tick,
    /// The operator has changed what the client is to do.
    ///
    /// New mappings are asked for on the control connection that is open. v0.3 has no message to give a port back
    /// (`map.released-on-close`), so where a mapping is gone or different, or the login is, the control connection is
    /// closed ([`DisconnectReason::Reconfigured`]) and the next attempt follows at once, or a second after the login
    /// (`life.client-pause`). Tunnels do not depend on it.
    Configure {
        /// All of it; only [`Config::jitter`] stays as it was.
        config: Box<Config>,
        /// Whether a new control connection is needed for a reason that the machine does not know, such as another
        /// address of the server.
        anew: bool,
    },
    /// The mapping of this port is no mapping any more, and the control connection stays: for a port that the server
    /// has been told by other means to give up. A user whom the server announces for it all the same is one of an
    /// unknown port (`tunnel.unknown-port-ignored`).
    Forget(RemotePort),
}

/// What the machine asks of the driver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Open the control connection; answer with [`Input::Connected`] or [`Input::ConnectFailed`], unless
    /// [`Output::Disconnect`] comes before.
    Connect,
    /// Send a message on the control connection.
    Send(ClientMessage),
    /// Close the control connection and feed no more of what it delivered; or give up opening it.
    Disconnect(DisconnectReason),
    /// Open a data connection to the server, send TRS on it, connect to the target and relay.
    /// If the target cannot be reached, send TRS all the same, then close
    /// (`tunnel.refused-close`).
    OpenTunnel {
        /// The mapping.
        remote_port: RemotePort,
        /// The service.
        target: Target,
        /// For TRS.
        token: Token,
    },
    /// Something for the log.
    Notice(Notice),
}

/// Why the client closes the control connection.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DisconnectReason {
    /// The server answered ARS false.
    #[error("the server refused user name or password")]
    Rejected,
    /// The control connection was not open in time.
    #[error("the server did not answer in time, or did not finish the TLS handshake")]
    ConnectOverdue,
    /// [`Input::Configure`] needs a new one.
    #[error("the configuration has changed")]
    Reconfigured,
    /// A message that is not allowed now, or none in time.
    #[error(transparent)]
    Misbehaved(#[from] PeerMisbehaved),
    /// Bytes that are no message.
    #[error(transparent)]
    Malformed(#[from] ParseError),
}

impl DisconnectReason {
    /// The rule of the specification behind it.
    #[must_use]
    pub fn rule(&self) -> &'static str {
        match self {
            Self::Rejected => "auth.refused-close",
            Self::ConnectOverdue => "life.connect-deadline",
            Self::Reconfigured => "map.released-on-close",
            Self::Misbehaved(how) => how.rule(),
            Self::Malformed(error) => error.rule(),
        }
    }
}

/// What a user of the client wants to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notice {
    /// Logged in; the client may be silent so long.
    LoggedIn(Timeout),
    /// The server listens.
    Mapped(RemotePort),
    /// The server refused to listen; asked again after this time.
    MapRefused(RemotePort, Duration),
    /// The server spoke of a port that is not mapped; ignored.
    UnknownPort(PortNumber),
    /// The next attempt to connect follows after this time.
    RetryIn(Duration),
}
