//! How the program ends: what is still running, what was not written, and the exit code.

use std::fmt::Display;

use netroxy_judge::sut::remains;

use super::complaint::{Complaint, complain};
use super::exit::{EXIT_FAILURE, EXIT_HARNESS, EXIT_NOTHING};
use crate::output::lost;

/// The started programs that could not be ended, as an error.
pub(super) fn left_over() -> Option<Complaint> {
    let remains: Vec<String> = remains().into_iter().collect();
    (!remains.is_empty()).then(|| {
        let message = format!(
            "these programs could not be ended:\n  {}",
            remains.join("\n  ")
        );
        Complaint::new(EXIT_HARNESS, message)
    })
}

/// The exit code after all output: an error if standard output is incomplete.
pub(super) fn final_code(code: u8) -> u8 {
    match (code, lost()) {
        (0 | EXIT_FAILURE | EXIT_NOTHING, Some(why)) => complain(&incomplete(&why)),
        // A worse error was printed already.
        (code, _) => code,
    }
}

/// Standard output that could not be written.
pub(super) fn incomplete(why: &dyn Display) -> Complaint {
    let message = format!("cannot write to standard output: {why}; the output is incomplete");
    Complaint::new(EXIT_HARNESS, message).hint("check that the disk is not full")
}
