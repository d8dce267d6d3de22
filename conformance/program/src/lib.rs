//! The program `netroxy-conformance`: judges any Netroxy v0.3 server or client by what it does on the wire.
//!
//! It is the command line around the packages `netroxy-specification` and `netroxy-judge`. In the order in which a
//! command goes through its modules:
//!
//! * `cli`: the commands and their flags. Each has a file that selects, runs and shows.
//! * `peers`: the peers inside this program: the reference peers, and those with a known bug. The only module that
//!   knows their crates.
//! * `pattern`: what a word of a command line selects.
//! * `baseline`: lists of known failures; a run fails only if a result has changed.
//! * `report`, `html`, `output`: one model of a run, its formats, and the one place that writes files and standard
//!   output.
//! * `selftest`, `flakes`: tests of the suite: it must detect known bugs, and repeated runs must give equal results.
//! * `diff`: compares two peers by their canonical transcripts.
//! * `vectors`: lists test vectors, and reports how a codec answers them.
//! * `serve`: shows reports in a browser on this machine, and plays cases on request.

pub use cli::main;

mod baseline;
mod cli;
mod diff;
mod flakes;
mod html;
mod output;
mod pattern;
mod peers;
mod report;
mod selftest;
mod serve;
mod vectors;
