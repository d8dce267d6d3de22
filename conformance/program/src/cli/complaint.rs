//! An error that stops a command, with its exit code and the next step.

use std::fmt::Display;
use std::io::Write as _;

use netroxy_judge::input::InputError;
use netroxy_judge::manifest::ManifestError;

use super::exit::{EXIT_HARNESS, EXIT_USAGE};
use crate::output::PlaceError;

/// The error of a command that ends without a verdict.
#[derive(Debug)]
pub(super) struct Complaint {
    pub(super) code: u8,
    pub(super) message: String,
    hint: Option<String>,
}

impl Complaint {
    pub(super) fn new(code: u8, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            hint: None,
        }
    }

    pub(super) fn hint(self, hint: impl Into<String>) -> Self {
        Self {
            hint: Some(hint.into()),
            ..self
        }
    }
}

/// A manifest that cannot be used.
pub(super) fn manifest_complaint(error: ManifestError) -> Complaint {
    let complaint = Complaint::new(EXIT_USAGE, error.to_string());
    match error.hint {
        Some(hint) => complaint.hint(hint),
        None => complaint,
    }
}

/// A file that cannot be used.
pub(super) fn input_complaint(error: InputError) -> Complaint {
    let complaint = Complaint::new(EXIT_USAGE, error.to_string());
    match error.hint {
        Some(hint) => complaint.hint(hint),
        None => complaint,
    }
}

/// Prints an error to standard error and returns its exit code.
pub(super) fn complain(complaint: &Complaint) -> u8 {
    let mut err = std::io::stderr().lock();
    // If standard error cannot be written, the exit code remains.
    let _ = writeln!(err, "error: {}", complaint.message);
    if let Some(hint) = &complaint.hint {
        let _ = writeln!(err, "hint: {hint}");
    }
    complaint.code
}

/// A path that cannot be written to; nothing has started yet.
pub(super) fn place_complaint(error: &PlaceError) -> Complaint {
    Complaint::new(EXIT_USAGE, error.to_string()).hint(error.hint.as_str())
}

/// A file whose path was checked, and which could not be written nevertheless.
pub(super) fn write_complaint(name: &str, error: &dyn Display) -> Complaint {
    Complaint::new(EXIT_HARNESS, format!("cannot write {name}: {error}"))
        .hint("check that the folder exists and the disk is not full")
}
