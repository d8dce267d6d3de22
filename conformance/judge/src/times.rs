//! All waiting times of the judge.
//!
//! Three kinds of times are kept apart:
//!
//! * Deadlines by which a peer is judged. Each is the figure of a rule, or of the case: see [`Tempo`].
//! * Times after which the suite concludes something that no rule names: that nothing more comes, that a program hangs,
//!   that a start has failed. They are generous, because what comes is taken when it comes, and a peer that is in order
//!   never waits for them.
//! * Pauses between two looks. They decide nothing.

mod tempo;

use std::time::Duration;

pub(crate) use tempo::{
    BACK_OFF, CLIENT_PAUSE, FIRST_MESSAGE, MACHINE, MAP_PAUSE, MAP_RETRY, PROMPT, REPLY, TRS,
};
pub use tempo::{LINGER, RoundTrips, STILL, Tempo};

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

// How long a program may take until it is ready.

/// The start of a program whose manifest names no deadline.
pub(crate) const USUAL_START: Duration = s(6);

/// A login at a server that runs already.
pub(crate) const RUNNING_SERVER: Duration = s(5);

/// One user at a pair that is not ready yet. The original client may miss the first user of a mapping.
pub(crate) const PAIR_TRY: Duration = ms(500);

/// Between the first two such users; it doubles, because each is work for both programs.
pub(crate) const PAIR_PAUSE: Duration = ms(10);

/// Between the later ones.
pub(crate) const PAIR_LONGEST_PAUSE: Duration = ms(250);

/// The end of the connection on which a login was tried.
pub(crate) const LOGIN_END: Duration = ms(10);

/// Between the starts of two cases, so that the watch sees what the first one costs.
pub(crate) const START_GAP: Duration = ms(1);

// How long a program may take to end, and what shows that it has ended.

/// A program that goes down closes its connections first. After a broken step it has so long to end, so that the report
/// can say so.
pub(crate) const GOING_DOWN: Duration = ms(200);

/// The same for a program that has played its case to the end.
pub(crate) const END_AFTER_CASE: Duration = ms(100);

/// Between two looks at whether a program has ended.
pub(crate) const END_POLL: Duration = ms(10);

/// An embedded peer that was told to end. Its tasks end where they wait, which is soon.
pub(crate) const EMBEDDED_END: Duration = s(2);

/// A codec whose input has ended.
pub(crate) const CODEC_END: Duration = ms(500);

/// The removal of a container.
pub(crate) const CONTAINER_REMOVAL: Duration = s(20);

/// Between two looks at it.
pub(crate) const CONTAINER_POLL: Duration = ms(5);

/// The system carries out a kill.
pub(crate) const KILL_POLL: Duration = ms(1);

/// The rest of the output of a program that has ended.
pub(crate) const OUTPUT_REST: Duration = ms(500);

/// After each piece of the output of a program that writes too much.
pub(crate) const OUTPUT_PAUSE: Duration = ms(1);

// Steps of a case.

/// After a fence, for what another task of the peer may still be writing.
pub(crate) const AFTER_FENCE: Duration = ms(100);

/// A peer that takes no byte for so long has stopped taking them.
pub(crate) const STOPPED_TAKING: Duration = ms(300);

/// Between two looks at what a peer has taken.
pub(crate) const TAKEN_POLL: Duration = ms(10);

/// Before a reset, a peer has so long to take what was sent.
pub(crate) const BEFORE_RESET: Duration = s(2);

/// A close waits so long until what was sent has arrived.
pub(crate) const CLOSE_ARRIVAL: Duration = s(2);

/// Between two looks at what the peer's system has acknowledged.
pub(crate) const UNACKED_POLL: Duration = ms(10);

/// Between the first two bytes that find out whether a connection is closed in both directions; it doubles.
pub(crate) const PROBE: Duration = ms(5);

/// Between the later ones.
pub(crate) const PROBE_SELDOM: Duration = ms(80);

/// Between two looks at whether a port refuses.
pub(crate) const REFUSED_POLL: Duration = ms(5);

/// Between two SRQ of a connection that is kept alive, at least: the program has other things to do.
pub(crate) const SRQ_SHORTEST: Duration = ms(50);

/// The same at most; longer than any case.
pub(crate) const SRQ_LONGEST: Duration = s(3600);

/// A connection on loopback takes less, unless it is not answered.
pub(crate) const LOOPBACK_CONNECT: Duration = ms(150);

/// Between two attempts to accept a connection, if the first one failed.
pub(crate) const ACCEPT_PAUSE: Duration = ms(10);

// The machine.

/// Between two looks at whether the machine stands still.
pub(crate) const STALL_TICK: Duration = ms(5);

/// A stall that is noted. Whether it excuses anything is decided elsewhere, see [`Tempo`].
pub(crate) const STALL_NOTED: Duration = ms(20);

// The tap.

/// A connection from the tap to its server.
pub(crate) const TAP_CONNECT: Duration = s(10);

/// Between two looks at the clock of the tap.
pub(crate) const TAP_TICK: Duration = ms(50);

// The monitor.

/// Between two checks of all connections, while events come.
pub(crate) const MONITOR_SWEEP: Duration = ms(10);

// The fuzzer.

/// Between two looks at what a program has open and uses.
pub(crate) const LEAK_POLL: Duration = ms(100);
