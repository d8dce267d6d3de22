//! All waiting times of the judge.
//!
//! There are three kinds of times:
//!
//! * Deadlines by which a peer is judged. Each is the figure of a rule, or of the case: see [`Tempo`].
//! * Times after which the suite concludes something that no rule names: that no more bytes follow, that a program
//!   hangs, that a start has failed. They are long, because an event is handled when it arrives, so a correct peer does
//!   not make the suite wait for them.
//! * Pauses between two checks. They decide nothing.

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

// Start of programs.

/// The start deadline of a program whose manifest names none.
pub(crate) const USUAL_START: Duration = s(6);

/// The deadline of a login at a server that runs already.
pub(crate) const RUNNING_SERVER: Duration = s(5);

/// How long one user waits at a pair that is not ready yet. The original client may ignore the first user of a mapping.
pub(crate) const PAIR_TRY: Duration = ms(500);

/// The pause between the first two such users. It doubles each time, because each user is work for both programs.
pub(crate) const PAIR_PAUSE: Duration = ms(10);

/// The longest pause between two such users.
pub(crate) const PAIR_LONGEST_PAUSE: Duration = ms(250);

/// How long the connection of a login attempt has to close.
pub(crate) const LOGIN_END: Duration = ms(10);

/// The pause between the starts of two cases, so that the watch sees the load of the first one.
pub(crate) const START_GAP: Duration = ms(1);

// End of programs.

/// How long the suite waits after a broken step for a program to end. A program that crashes closes its connections
/// first, and the report should name the crash.
pub(crate) const GOING_DOWN: Duration = ms(200);

/// The same after a case whose steps all came true.
pub(crate) const END_AFTER_CASE: Duration = ms(100);

/// The pause between two checks whether a program has ended.
pub(crate) const END_POLL: Duration = ms(10);

/// How long an embedded peer has to end. Its tasks end at their next wait, which is soon.
pub(crate) const EMBEDDED_END: Duration = s(2);

/// How long a codec has to end after its input has ended.
pub(crate) const CODEC_END: Duration = ms(500);

/// How long the removal of a container may take.
pub(crate) const CONTAINER_REMOVAL: Duration = s(20);

/// The pause between two checks of a container.
pub(crate) const CONTAINER_POLL: Duration = ms(5);

/// The pause between two checks whether a killed process has ended.
pub(crate) const KILL_POLL: Duration = ms(1);

/// How long the suite waits for the rest of the output of a program that has ended.
pub(crate) const OUTPUT_REST: Duration = ms(500);

/// The pause after each piece of the output of a program that writes too much.
pub(crate) const OUTPUT_PAUSE: Duration = ms(1);

/// The port of a listener that was closed here, until no process that is being started has a copy of the listener.
pub(crate) const PORT_RELEASE: Duration = s(1);

/// Between two looks at such a port.
pub(crate) const PORT_POLL: Duration = ms(1);

// Steps of a case.

/// How long the suite still waits after a fence, because another task of the peer may be writing.
pub(crate) const AFTER_FENCE: Duration = ms(100);

/// A peer that reads no byte for so long has stopped reading.
pub(crate) const STOPPED_TAKING: Duration = ms(300);

/// The pause between two checks how many bytes a peer has read.
pub(crate) const TAKEN_POLL: Duration = ms(10);

/// How long a peer has to read what was sent before a reset.
pub(crate) const BEFORE_RESET: Duration = s(2);

/// How long a close waits until what was sent has arrived.
pub(crate) const CLOSE_ARRIVAL: Duration = s(2);

/// The pause between two checks how many bytes the system of the peer has acknowledged.
pub(crate) const UNACKED_POLL: Duration = ms(10);

/// The pause between the first two bytes that test whether a connection is closed in both directions. It doubles.
pub(crate) const PROBE: Duration = ms(5);

/// The longest pause between two such bytes.
pub(crate) const PROBE_SELDOM: Duration = ms(80);

/// The pause between two checks whether a port refuses.
pub(crate) const REFUSED_POLL: Duration = ms(5);

/// The shortest pause between two SRQ of a connection that is kept alive, so that they are no load for the program.
pub(crate) const SRQ_SHORTEST: Duration = ms(50);

/// The longest such pause, longer than any case.
pub(crate) const SRQ_LONGEST: Duration = s(3600);

/// How long a connection on loopback may take. It takes longer only if it is not accepted.
pub(crate) const LOOPBACK_CONNECT: Duration = ms(150);

/// The pause after a failed attempt to accept a connection.
pub(crate) const ACCEPT_PAUSE: Duration = ms(10);

// The machine.

/// The interval at which stalls of the machine are measured.
pub(crate) const STALL_TICK: Duration = ms(5);

/// The shortest delay that counts as a stall. [`Tempo`] decides whether a stall excuses a failure.
pub(crate) const STALL_NOTED: Duration = ms(20);

// The tap.

/// How long a connection from the tap to its server may take.
pub(crate) const TAP_CONNECT: Duration = s(10);

/// The interval at which the tap checks its clock.
pub(crate) const TAP_TICK: Duration = ms(50);

// The monitor.

/// The shortest interval between two checks of all connections while events arrive.
pub(crate) const MONITOR_SWEEP: Duration = ms(10);

// The fuzzer.

/// The interval at which the open descriptors of a program are counted.
pub(crate) const LEAK_POLL: Duration = ms(100);
