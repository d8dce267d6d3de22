//! The program `netroxy-conformance`: judges any Netroxy v0.3 server or client by what it does on the wire.
//!
//! It is the command line around the packages `netroxy-specification` and `netroxy-judge`. In the order in which a command
//! goes through its modules:
//!
//! * `cli`: the commands and their flags. Each has a file that selects, runs and shows.
//! * `peers`: the peers inside this program: the reference peers, and those with a known bug. The only module that knows
//!   their crates.
//! * `baseline`: lists of known failures, so that a run is red only if something has changed.
//! * `report`, `html`, `output`: one model of a run, every format that it is shown in, and the one place that writes.
//! * `selftest`, `flakes`: how the suite is judged itself: by peers with known bugs, and by runs that must not differ.
//! * `diff`: two peers side by side, by their canonical transcripts.
//! * `vectors`: lists test vectors, and reports on a codec.
//! * `serve`: the report as pages of a browser on this machine, where a case can be played again.

pub use cli::main;

mod baseline;
mod cli;
mod diff;
mod flakes;
mod html;
mod output;
mod peers;
mod report;
mod selftest;
mod serve;
mod vectors;
