//! The link between client and server that the relay simulates, and its faults.

use std::time::Duration;

/// The most bytes that the relay reads at a time.
pub(crate) const CHUNK: usize = 16 * 1024;

/// The delays of a link.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Link {
    /// The delay of each chunk, each way.
    pub(crate) delay: Duration,
    /// The most that is added to the delay at random.
    pub(crate) jitter: Duration,
    /// How many chunks in 1,000 are stalled.
    pub(crate) stalls: u16,
    /// The shortest stall. The longest one is three times as long.
    pub(crate) stall: Duration,
    /// Whether the relay connects to the server only when the first bytes are due there, as on a long link.
    pub(crate) dials_late: bool,
}

impl Link {
    /// A link without delays.
    pub(crate) const PERFECT: Self = Self {
        delay: Duration::ZERO,
        jitter: Duration::ZERO,
        stalls: 0,
        stall: Duration::ZERO,
        dials_late: false,
    };
    /// A long link that loses 1 % of the chunks: they are stalled.
    pub(crate) const LONG_AND_LOSSY: Self = Self {
        delay: Duration::from_millis(25),
        jitter: Duration::from_millis(10),
        stalls: 10,
        stall: Duration::from_millis(200),
        dials_late: true,
    };
}

/// What to break on purpose, for tests of the checks. The relay breaks bytes from the server to the client on data
/// connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Break {
    /// One byte is changed.
    Byte,
    /// The stream ends early and in order.
    End,
    /// Some users keep their connection open for ever.
    Leak,
}

/// Which connections are cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cut {
    /// The control connection.
    Control,
    /// All of them.
    All,
}
