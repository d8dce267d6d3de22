//! The reasons for which a connection, a login or a mapping is refused.

use std::fmt;

/// Why a connection, a login or a mapping is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Refusal {
    /// Only the reserve of descriptors is left.
    Descriptors,
    /// Too many fresh connections: a new one took the place of this one.
    FreshInAll,
    /// Too many fresh connections of this address.
    FreshPerAddress,
    /// Too many wrong passwords from this address.
    WrongPasswords,
    /// Too many clients are logged in.
    Clients,
    /// Too many users.
    Users,
    /// Too many users of this client.
    UsersPerClient,
    /// Too many users from this address.
    UsersPerAddress,
    /// Too many users wait.
    Waiting,
    /// The networks of the port do not include the address.
    Network,
    /// More new users a second than the port allows.
    UsersPerSecond,
    /// A trusted proxy sent no PROXY header.
    ProxyHeader,
    /// The user's TLS handshake failed.
    Handshake,
    /// The account may not map this port.
    PortNotAllowed,
    /// The client has too many mappings.
    PortsPerClient,
    /// The client leaves too many answers unread.
    UnreadAnswers,
    /// The mapping is switched off.
    SwitchedOff,
    /// Too many connections to the web interface.
    Web,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Descriptors => "the process has no free descriptors",
            Self::FreshInAll => "too many connections that have not logged in",
            Self::FreshPerAddress => "too many connections of this address that have not logged in",
            Self::WrongPasswords => "too many wrong passwords from this address",
            Self::Clients => "too many clients are logged in",
            Self::Users => "too many tunnels",
            Self::UsersPerClient => "too many tunnels of this client",
            Self::UsersPerAddress => "too many users from this address",
            Self::Waiting => "too many users wait",
            Self::Network => "the port is not for users of this address",
            Self::UsersPerSecond => "too many new users a second",
            Self::ProxyHeader => "a trusted proxy sent no PROXY header",
            Self::Handshake => "no TLS handshake",
            Self::PortNotAllowed => "the account may not map this port",
            Self::PortsPerClient => "the client has too many mappings",
            Self::UnreadAnswers => "the client does not read its answers",
            Self::SwitchedOff => "the mapping is switched off",
            Self::Web => "too many connections to the web interface",
        })
    }
}
