//! What the specification of Netroxy v0.3 says, as types. Nothing here opens a socket, reads a clock or a file.
//!
//! In the order in which a change of the specification goes through them:
//!
//! * [`rules`]: the rules, read from the normative text. Each has an id, a subject and a level; every verdict names some.
//! * [`states`]: the state tables of the same text. The fuzzer walks them, the monitor judges by them.
//! * [`message`]: the shapes of the eight messages, and how one is found in bytes. The only place that knows how many
//!   fields a message has, and which.
//! * [`notation`]: the language of transcripts: its syntax tree, parser and printer. Cases, recordings, reports and the
//!   examples of the specification are written in it.
//! * [`noise`]: the bytes of `random SIZE SEED`, which are the same in each suite.
//! * [`catalog`]: the cases of the specification, checked against the rules, with their twins. It reads cases of users too.
//! * [`vectors`]: the format of the test vectors, and the vectors of the specification.
//! * [`nearest`], [`position`]: what errors about a text need: the word that was meant, and a place as line and column.
//!
//! The specification is embedded: `build.rs` names the folder, and is the only place that names the revision.

pub mod catalog;
pub mod message;
pub mod nearest;
pub mod noise;
pub mod notation;
pub mod position;
pub mod rules;
pub mod states;
pub mod vectors;
