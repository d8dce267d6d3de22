//! The test vectors, and the command that judges good and bad codecs by them.
//!
//! A codec is a process. Cargo builds no program of another package for a test, so this test program is also the
//! codecs.

#![allow(
    clippy::unwrap_used,
    reason = "clippy only excuses the bodies of tests, not their helpers"
)]

mod data;
mod fakes;
mod judged;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Failed, Trial};

#[allow(unreachable_pub, reason = "an example of another package")]
#[path = "../../../../netroxy-proto/examples/codec.rs"]
mod codec;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, flag, kind, rest @ ..] = &arguments[..]
        && flag == fakes::FLAG
    {
        return fakes::play(kind, rest);
    }
    let trial = |(name, test): (&'static str, fn())| {
        Trial::test(name, move || {
            test();
            Ok::<(), Failed>(())
        })
    };
    let trials = data::TESTS.into_iter().chain(judged::TESTS).map(trial);
    libtest_mimic::run(&Arguments::from_args(), trials.collect()).exit_code()
}
