//! The program `netroxy-conformance` as its users know it.
//!
//! These tests are one program, because most of them wait for peers: together they take as long as the longest.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "clippy only excuses the bodies of tests, not their helpers"
)]

mod again;
mod bad_input;
mod baseline;
mod cli;
mod clients;
mod corpus;
mod diff;
#[cfg(target_os = "linux")]
mod flakes;
mod fuzz;
#[cfg(target_os = "linux")]
mod isolation;
#[cfg(target_os = "linux")]
mod limits;
mod login;
mod notation;
mod outputs;
mod replay;
mod reports;
mod tap;
mod usage;
