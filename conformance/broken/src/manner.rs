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
    /// A client, as it should be, that asks for one mapping at a time: each MAP waits for the MRS of the one before.
    WaitsForMrs,
    /// A client, as it must be, that does not ask for its mappings in the order of its configuration.
    MapsInAnyOrder,
    /// A client, as it should be, that opens data connections before it is asked for them.
    OpensAhead,
    /// A server, as it should be, that does not listen for closed mappings.
    ClosedUnheard,
    /// A server, as it should be, that binds a remote port with the number of a control port on another address.
    PortsElsewhere,
    /// As it should, and nearly as late as it may.
    Slow,
    /// A server that has one connection at a time, rests after each, and closes all others.
    Lonely,
    /// As it should; it knows nothing newer than TLS 1.2.
    Tls12,
    /// With a bug.
    Bad(Bug),
}

impl Manner {
    /// The manners that follow every rule, those of one side and those of both. Only a recommendation may be left out,
    /// see [`leaves_out`](Self::leaves_out).
    pub const CORRECT: [Self; 9] = [
        Self::Good,
        Self::Drips,
        Self::WaitsForMrs,
        Self::MapsInAnyOrder,
        Self::OpensAhead,
        Self::ClosedUnheard,
        Self::PortsElsewhere,
        Self::Tls12,
        Self::Slow,
    ];

    /// The manner of this name: of a bug, `drips`, `lonely`, or another.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "drips" => Some(Self::Drips),
            "waits-for-mrs" => Some(Self::WaitsForMrs),
            "maps-in-any-order" => Some(Self::MapsInAnyOrder),
            "opens-ahead" => Some(Self::OpensAhead),
            "closed-unheard" => Some(Self::ClosedUnheard),
            "ports-elsewhere" => Some(Self::PortsElsewhere),
            "slow" => Some(Self::Slow),
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
            _ => None,
        }
    }

    /// The id of the rule, a SHOULD, that a correct peer of this manner does not follow.
    #[must_use]
    pub const fn leaves_out(self) -> Option<&'static str> {
        match self {
            Self::MapsInAnyOrder => Some("map.client-order"),
            _ => None,
        }
    }
}

/// The name; nothing for a good peer.
impl fmt::Display for Manner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Good => Ok(()),
            Self::Drips => f.write_str("drips"),
            Self::WaitsForMrs => f.write_str("waits-for-mrs"),
            Self::MapsInAnyOrder => f.write_str("maps-in-any-order"),
            Self::OpensAhead => f.write_str("opens-ahead"),
            Self::ClosedUnheard => f.write_str("closed-unheard"),
            Self::PortsElsewhere => f.write_str("ports-elsewhere"),
            Self::Slow => f.write_str("slow"),
            Self::Lonely => f.write_str("lonely"),
            Self::Tls12 => f.write_str("tls12"),
            Self::Bad(bug) => bug.fmt(f),
        }
    }
}
