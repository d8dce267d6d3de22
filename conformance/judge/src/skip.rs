//! Why a case is not run.

use std::fmt;

/// Why a case is not run against a subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Skip {
    /// It judges a rule that does not belong to the profile.
    Profile {
        /// The id of the rule.
        rule: String,
    },
    /// The subject does not speak the transport: why.
    Transport(String),
    /// It needs a second login, and the client logs in once.
    LogsInOnce,
    /// It needs a client that can be told which certificates to trust.
    NoAuthority,
    /// It needs a timeout that the manifest does not allow. All values are in seconds.
    Timeout {
        /// The timeout that the case needs.
        needed: u64,
        /// The smallest timeout that the manifest allows.
        from: u64,
        /// The largest timeout that the manifest allows.
        to: u64,
    },
    /// It needs a configuration of its own, and the server runs already.
    Running,
    /// It ends one direction of a tunnel, and the peer has no newer version than TLS 1.2.
    Tls12,
}

impl fmt::Display for Skip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Profile { rule } => write!(f, "{rule} is judged by --profile hardened only"),
            Self::Transport(why) => f.write_str(why),
            Self::LogsInOnce => f.write_str("its manifest says that it does not connect again"),
            Self::NoAuthority => f.write_str(
                "its manifest has no {{ca_file}}, so it cannot be told whom to trust",
            ),
            Self::Timeout { needed, from, to } => write!(
                f,
                "it needs a timeout of {needed} s, and the manifest takes {from} to {to} s"
            ),
            Self::Running => f.write_str(
                "it needs a configuration of its own, and the server is running already",
            ),
            Self::Tls12 => f.write_str(
                "its newest version is TLS 1.2, over which a peer may close both directions at once, \
                 and the case ends one of them (tunnel.half-close)",
            ),
        }
    }
}
