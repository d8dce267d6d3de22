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

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::time::Duration;

pub use machine::Client;

use crate::{
    ClientMessage, ClientName, ParseError, Password, PeerMisbehaved, PortNumber, RemotePort,
    ServerMessage, Target, Timeout, Token, Username,
};

/// The configuration of a client.
#[derive(Debug, Clone)]
pub struct Config {
    /// Sent with each login. Two clients of one server must not share a name (`auth.same-name`).
    pub client_name: ClientName,
    /// The user name of the login.
    pub username: Username,
    /// The password of the login.
    pub password: Password,
    /// The client requests them after each login, in this order. If several have the same remote port,
    /// only the first counts: the server cannot tell them apart.
    pub mappings: Vec<Mapping>,
    /// The time to open the control connection, TLS handshake included. Then the client gives the attempt up.
    pub connect_deadline: Duration,
    /// The time for the answer to ATH. Then the client closes the connection.
    pub login_deadline: Duration,
    /// The longest wait before another attempt to connect, or to request a refused mapping, without the random
    /// part of up to a quarter. The first wait is 1 s, and each further wait is twice as long.
    ///
    /// After a login that lasted 10 s, or as long as the wait before it, the next wait is 1 s again. So an unstable
    /// link is used most of the time that it works. This ends with the third login in a row that the server ends
    /// within 10 s: two clients with one name end each other's logins in this way, and their attempts have to become
    /// rare (`auth.same-name-replaces`).
    pub longest_retry_wait: Duration,
    /// Random bits: they spread the attempts of many clients in time.
    pub jitter: u64,
}

impl Config {
    /// The defaults: 10 s to open the control connection, 10 s for the answer to ATH, and 8 s as the longest wait. With
    /// the random part a wait is less than 15 s (`life.reconnect-time`, `map.client-retries`).
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

/// One service that users reach through the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapping {
    /// The port of the server to which users connect.
    pub remote_port: RemotePort,
    /// The address of the service, as it is sent to the server.
    pub target: Target,
    /// Whether the server lets users through.
    pub is_open: bool,
}

/// What has happened; the driver feeds it to the machine.
#[derive(Debug, Clone)]
pub enum Input {
    /// Answer to [`Output::Connect`]: the connection is open.
    Connected,
    /// Answer to [`Output::Connect`]: the connection could not be opened.
    ConnectFailed,
    /// A message came on the control connection.
    Message(ServerMessage),
    /// Bytes that are no message came on the control connection.
    Malformed(ParseError),
    /// The server has ended its direction of the control connection. The driver closes what is left of
    /// it. Not to be fed after [`Output::Disconnect`].
    Ended,
    /// The control connection broke, by a reset or because no answer came. Like
    /// [`Ended`](Self::Ended), but the cause is more likely the network than the server: see
    /// [`Config::longest_retry_wait`].
    Broken,
    /// The time of [`Client::poll_timeout`] has come.
    Tick,
    /// The operator has changed the configuration.
    ///
    /// The client requests new mappings on the open control connection. v0.3 has no message to give a port back
    /// (`map.released-on-close`). So if a mapping is removed or changed, or if the login is, the client closes the
    /// control connection ([`DisconnectReason::Reconfigured`]). The next attempt follows at once, but not within a
    /// second after the login (`life.client-pause`). Tunnels stay open.
    Configure {
        /// The whole new configuration. [`Config::jitter`] keeps its old value.
        config: Box<Config>,
        /// Whether a new control connection is needed for a reason that the machine does not know, such as another
        /// address of the server.
        anew: bool,
    },
    /// Remove the mapping of this port and keep the control connection. The server has closed the port already, by a
    /// request that is not part of the protocol. If it still sends a TRQ, the port is unknown
    /// (`tunnel.unknown-port-ignored`).
    Forget(RemotePort),
}

/// What the driver has to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Open the control connection; answer with [`Input::Connected`] or [`Input::ConnectFailed`], unless
    /// [`Output::Disconnect`] comes first.
    Connect,
    /// Send a message on the control connection.
    Send(ClientMessage),
    /// Close the control connection, or stop opening it. Feed nothing more from it.
    Disconnect(DisconnectReason),
    /// Open a data connection to the server, send TRS on it, connect to the target of the mapping and
    /// relay. If the target cannot be reached, send TRS nevertheless, then close
    /// (`tunnel.refused-close`).
    OpenTunnel {
        /// The mapping.
        remote_port: RemotePort,
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
    /// The rule of the specification that the server broke. If it broke none, the rule that the client
    /// follows by closing.
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

/// An event for the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notice {
    /// The client has logged in. It may be silent for this long.
    LoggedIn(Timeout),
    /// The server listens on this port.
    Mapped(RemotePort),
    /// The server refused to listen on this port. The client requests it again after this time.
    MapRefused(RemotePort, Duration),
    /// The server sent TRQ or MRS for a port that is not mapped. The client ignores it.
    UnknownPort(PortNumber),
    /// The next attempt to connect follows after this time.
    RetryIn(Duration),
}
