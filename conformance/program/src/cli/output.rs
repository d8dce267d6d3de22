//! The flags for output and reports, and the error about reports that cannot be written.

use clap::{Args, ColorChoice};

use super::complaint::{self, Complaint};
use super::exit::{EXIT_HARNESS, EXIT_USAGE};
use crate::report::{Look, OutputError, Outputs};

#[derive(Debug, Clone, Default, Args)]
pub(super) struct Output {
    /// Write a report: json, junit, tap, tap13, md or html, a colon, and a path or `-`; may be given several times
    #[arg(long, value_name = "FORMAT:PATH")]
    report: Vec<String>,
    /// Show every case, also those that passed or were skipped
    #[arg(short, long)]
    verbose: bool,
    /// Show only failures and the last line
    #[arg(short, long, conflicts_with = "verbose")]
    quiet: bool,
    /// Use colours: on a terminal (auto), always or never
    #[arg(long, value_name = "WHEN", default_value = "auto", value_enum)]
    color: ColorChoice,
}

impl Output {
    /// Whether a report is wanted.
    pub(super) fn writes_reports(&self) -> bool {
        !self.report.is_empty()
    }

    pub(super) fn outputs(&self) -> Result<Outputs, Complaint> {
        Outputs::parse(&self.report)
            .map_err(|error| Complaint::new(EXIT_USAGE, error.to_string()).hint(error.hint))
    }

    pub(super) fn look(&self, outputs: &Outputs, slowest: usize) -> Look {
        Look {
            verbose: self.verbose,
            quiet: self.quiet,
            colour: self.color,
            slowest,
            to_stderr: outputs.takes_stdout(),
        }
    }
}

/// The exit code of a run, unless a report could not be written.
pub(super) fn written(code: u8, errors: Vec<OutputError>) -> Result<u8, Complaint> {
    let mut errors = errors.into_iter();
    let Some(first) = errors.next() else {
        return Ok(code);
    };
    errors.for_each(|error| complain(&error));
    Err(unwritten(&first))
}

/// Prints the error about a report that could not be written, next to a worse error.
pub(super) fn complain(error: &OutputError) {
    let _ = complaint::complain(&unwritten(error));
}

fn unwritten(error: &OutputError) -> Complaint {
    Complaint::new(EXIT_HARNESS, error.to_string()).hint(error.hint.as_str())
}
