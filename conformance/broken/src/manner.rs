//! The manners of a peer.

use std::fmt;

use crate::Bug;

/// How a peer behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// As the specification says.
    Good,
    /// Correct; it sends the first bytes of each connection one at a time, with a pause in each line.
    Drips,
    /// A correct client that sends each MAP after the MRS of the previous one.
    WaitsForMrs,
    /// A correct client that sends its MAPs in another order than its configuration has.
    MapsInAnyOrder,
    /// A correct client that opens data connections before TRQ comes.
    OpensAhead,
    /// A correct server that does not listen on the ports of closed mappings.
    NoListenerForClosed,
    /// A correct server that binds a remote port with the number of a control port on another address.
    PortsElsewhere,
    /// Correct, and nearly as late as the specification allows.
    Slow,
    /// A server that serves one connection at a time, waits a second after each, and closes all others.
    OneAtATime,
    /// Correct; it supports TLS 1.2 only.
    Tls12,
    /// With a bug.
    Bad(Bug),
}

impl Manner {
    /// The correct manners of one side or both. They follow every rule, apart from the recommendation that
    /// [`leaves_out`](Self::leaves_out) names.
    pub const CORRECT: [Self; 9] = [
        Self::Good,
        Self::Drips,
        Self::WaitsForMrs,
        Self::MapsInAnyOrder,
        Self::OpensAhead,
        Self::NoListenerForClosed,
        Self::PortsElsewhere,
        Self::Tls12,
        Self::Slow,
    ];

    /// The manner of this name: the name of a bug, or such as `drips` or `one-at-a-time`.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "drips" => Some(Self::Drips),
            "waits-for-mrs" => Some(Self::WaitsForMrs),
            "maps-in-any-order" => Some(Self::MapsInAnyOrder),
            "opens-ahead" => Some(Self::OpensAhead),
            "no-listener-for-closed" => Some(Self::NoListenerForClosed),
            "ports-elsewhere" => Some(Self::PortsElsewhere),
            "slow" => Some(Self::Slow),
            "one-at-a-time" => Some(Self::OneAtATime),
            "tls12" => Some(Self::Tls12),
            _ => Bug::named(name).map(Self::Bad),
        }
    }

    /// The bug of the peer.
    #[must_use]
    pub const fn bug(self) -> Option<Bug> {
        match self {
            Self::Bad(bug) => Some(bug),
            _ => None,
        }
    }

    /// The id of the rule (a SHOULD) that a correct peer of this manner does not follow.
    #[must_use]
    pub const fn leaves_out(self) -> Option<&'static str> {
        match self {
            Self::MapsInAnyOrder => Some("map.client-order"),
            _ => None,
        }
    }
}

/// The name; empty for a good peer.
impl fmt::Display for Manner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Good => Ok(()),
            Self::Drips => f.write_str("drips"),
            Self::WaitsForMrs => f.write_str("waits-for-mrs"),
            Self::MapsInAnyOrder => f.write_str("maps-in-any-order"),
            Self::OpensAhead => f.write_str("opens-ahead"),
            Self::NoListenerForClosed => f.write_str("no-listener-for-closed"),
            Self::PortsElsewhere => f.write_str("ports-elsewhere"),
            Self::Slow => f.write_str("slow"),
            Self::OneAtATime => f.write_str("one-at-a-time"),
            Self::Tls12 => f.write_str("tls12"),
            Self::Bad(bug) => bug.fmt(f),
        }
    }
}
