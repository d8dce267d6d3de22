//! What is shown and written: the flags for it, and the commands that only write.

use std::path::PathBuf;

use clap::{Args, ColorChoice, Subcommand};

use super::select::all;
use super::{Complaint, EXIT_HARNESS, EXIT_LOOKED_UP, EXIT_USAGE, misplaced, unwritten};
use crate::html;
use crate::output::{Place, Readers};
use crate::report::{self, Look, OutputError, Outputs};
use crate::rules::Rule;

#[derive(Debug, Clone, Default, Args)]
pub(super) struct Output {
    /// Write a report: json, junit, tap, tap13, md or html, a colon, and a path or `-`; may be given several times
    #[arg(long, value_name = "FORMAT:PATH")]
    report: Vec<String>,
    /// Show every case, not only those that are neither a plain pass nor skipped
    #[arg(short, long)]
    verbose: bool,
    /// Show only failures and the last line
    #[arg(short, long, conflicts_with = "verbose")]
    quiet: bool,
    /// Colours: on a terminal, always or never
    #[arg(long, value_name = "WHEN", default_value = "auto", value_enum)]
    color: ColorChoice,
}

#[derive(Debug, Subcommand)]
pub(super) enum SpecCommand {
    /// One page with the rules, the grammar, the notation and all cases; it loads nothing
    #[command(after_help = EXIT_LOOKED_UP)]
    Html {
        /// Instead of standard output
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum ReportCommand {
    /// Print the JSON Schema of JSON reports
    #[command(after_help = EXIT_LOOKED_UP)]
    Schema,
}

impl Output {
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

pub(super) fn spec(command: &SpecCommand, rules: &[Rule]) -> Result<u8, Complaint> {
    let SpecCommand::Html { out } = command;
    let place = out.as_deref().map(|path| Place::find(path, Readers::Usual));
    let place = place.transpose().map_err(|error| misplaced(&error))?;
    let page = html::spec::render(rules, &all()?);
    match place {
        None => report::out(&page),
        Some(place) => place
            .write(page.as_bytes())
            .map_err(|error| unwritten(&place.name(), &error))?,
    }
    Ok(0)
}

pub(super) fn report(command: &ReportCommand) -> u8 {
    let ReportCommand::Schema = command;
    report::out(report::SCHEMA);
    0
}

/// The exit code of a run whose reports are written, or the complaint about those that are not.
pub(super) fn written(code: u8, unwritten: Vec<OutputError>) -> Result<u8, Complaint> {
    let mut unwritten = unwritten.into_iter();
    let Some(first) = unwritten.next() else {
        return Ok(code);
    };
    unwritten.for_each(|error| complain(&error));
    Err(complaint(&first))
}

/// Tells about a report that could not be written, beside something worse.
pub(super) fn complain(error: &OutputError) {
    let _ = super::complain(&complaint(error));
}

fn complaint(error: &OutputError) -> Complaint {
    Complaint::new(EXIT_HARNESS, error.to_string()).hint(error.hint.as_str())
}
