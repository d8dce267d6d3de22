//! Plays the cases of the specification against a peer, and judges what the peer does.
//!
//! The judge knows the specification, and no peer: it sees bytes. In the order in which a run goes through its modules:
//!
//! * [`manifest`], [`input`]: how a program is started and configured, read from a file. Errors name the place.
//! * [`sut`], [`embedded`]: a system under test as a process, as a peer inside this program (behind a trait that the
//!   program implements), as a pair of both, or at an address. An instance is ready when a login works.
//! * [`ports`], [`descriptors`]: what runs share on one machine: ports that no other run uses, and file descriptors.
//! * [`wire`]: connections with TLS, whose inboxes note when each byte came.
//! * [`player`]: carries out the steps of one case on these connections, up to the first step that does not come true.
//! * [`transcript`], [`recording`], [`pcap`]: what has happened, as a transcript of a case, as a file in the notation, and
//!   as a capture for Wireshark.
//! * [`run`], [`verdict`], `times`: many cases at a time, each with its twin and an instance of its own; what becomes of
//!   each; and how long everything may take.
//! * [`canonical`], [`steady`]: a transcript without what differs from run to run, so that two can be compared.
//! * [`monitor`], [`tap`]: a judge that only watches: what crosses the wire between others, live or from a recording.
//! * [`fuzz`]: generates sessions from the state tables and plays them as cases. `fuzzing` has the bodies of the
//!   cargo-fuzz targets.
//! * [`vectors`]: judges a codec by test vectors over its standard input and output.
//! * [`again`]: the command line that plays a case again, for reports.

pub mod again;
pub mod canonical;
pub mod descriptors;
pub mod embedded;
pub mod fuzz;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
pub mod input;
pub mod manifest;
pub mod monitor;
pub mod note;
pub mod pcap;
pub mod player;
pub mod ports;
pub mod recording;
pub mod run;
pub mod shell;
pub mod skip;
pub mod steady;
pub mod sut;
pub mod tap;
pub mod times;
pub mod transcript;
pub mod vectors;
pub mod verdict;
pub mod wire;

// Tests play the peers that the program carries. A dependency on the program would be a circle.
#[cfg(test)]
extern crate self as netroxy_judge;
#[cfg(test)]
#[path = "../../program/src/peers.rs"]
mod peers;
