//! Tests of the program `netroxy-conformance` from outside.
//!
//! They are one test program, because most of them wait for peers: in parallel they take as long as the longest.

#![allow(
    clippy::unwrap_used,
    reason = "clippy only excuses the bodies of tests, not their helpers"
)]

use std::path::Path;
use std::process::{Command, Output};

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
mod serve;
mod serving;
mod shards;
mod tap;
mod usage;

/// The program under test.
const PROGRAM: &str = env!("CARGO_BIN_EXE_netroxy-conformance");

/// Runs the program in a folder. Returns its exit code, standard output and standard error.
fn suite(folder: &Path, arguments: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(PROGRAM);
    said(
        command
            .current_dir(folder)
            .args(arguments)
            .output()
            .unwrap(),
    )
}

/// The exit code, standard output and standard error of a program that has ended.
fn said(output: Output) -> (i32, String, String) {
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let code = output.status.code().unwrap();
    (code, text(output.stdout), text(output.stderr))
}
