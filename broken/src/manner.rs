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
    /// As it should, and nearly as late as it may.
    Slow,
    /// A server that has never more than one connection, and closes all others.
    Lonely,
    /// With a bug.
    Bad(Bug),
}

impl Manner {
    /// The manner of this name: of a bug, `drips`, `slow` or `lonely`.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "drips" => Some(Self::Drips),
            "slow" => Some(Self::Slow),
            "lonely" => Some(Self::Lonely),
            _ => Bug::named(name).map(Self::Bad),
        }
    }

    /// The bug, if there is one.
    #[must_use]
    pub const fn bug(self) -> Option<Bug> {
        match self {
            Self::Bad(bug) => Some(bug),
            Self::Good | Self::Drips | Self::Slow | Self::Lonely => None,
        }
    }
}

/// The name; nothing for a good peer.
impl fmt::Display for Manner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Good => Ok(()),
            Self::Drips => f.write_str("drips"),
            Self::Slow => f.write_str("slow"),
            Self::Lonely => f.write_str("lonely"),
            Self::Bad(bug) => bug.fmt(f),
        }
    }
}
