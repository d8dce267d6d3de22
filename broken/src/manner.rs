//! How a peer behaves.

use std::fmt;

use crate::Bug;

/// How a peer behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// As it should.
    Good,
    /// As it should; the first bytes of each connection leave one at a time, with a pause in each line.
    Drips,
    /// A server that has never more than one connection, and closes all others.
    Lonely,
    /// As it should; it knows nothing newer than TLS 1.2.
    Tls12,
    /// With a bug.
    Bad(Bug),
}

impl Manner {
    /// The manner of this name: of a bug, `drips`, `lonely` or `tls12`.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "drips" => Some(Self::Drips),
            "lonely" => Some(Self::Lonely),
            "tls12" => Some(Self::Tls12),
            _ => Bug::named(name).map(Self::Bad),
        }
    }

    /// The bug, if there is one.
    #[must_use]
    pub const fn bug(self) -> Option<Bug> {
        match self {
            Self::Bad(bug) => Some(bug),
            Self::Good | Self::Drips | Self::Lonely | Self::Tls12 => None,
        }
    }
}

/// The name; nothing for a good peer.
impl fmt::Display for Manner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Good => Ok(()),
            Self::Drips => f.write_str("drips"),
            Self::Lonely => f.write_str("lonely"),
            Self::Tls12 => f.write_str("tls12"),
            Self::Bad(bug) => bug.fmt(f),
        }
    }
}
