//! What is shown and written: the flags for it, and the commands that only write.

use std::path::PathBuf;

use clap::{Args, ColorChoice, Subcommand};
use netroxy_judge::run;
use netroxy_judge::verdict::Verdict;
use netroxy_specification::rules::Rule;

use super::select::all;
use super::session::code;
use super::{
    Complaint, EXIT_CODES, EXIT_HARNESS, EXIT_LOOKED_UP, EXIT_NOT_READY, EXIT_USAGE,
    input_complaint, misplaced, unwritten,
};
use crate::html;
use crate::output::{Place, Readers};
use crate::report::{self, Ended, Look, OutputError, Outputs, Report};

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
    /// Make one report of the parts that `run --shard K/N` has played
    #[command(after_help = EXIT_CODES)]
    Merge(Merge),
    /// Print the JSON Schema of JSON reports
    #[command(after_help = EXIT_LOOKED_UP)]
    Schema,
}

#[derive(Debug, Args)]
pub(super) struct Merge {
    /// The JSON reports of all parts, in any order
    #[arg(value_name = "FILE", required = true)]
    files: Vec<String>,
    /// Name the N slowest cases at the end, at most 10
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    slowest: usize,
    #[command(flatten)]
    output: Output,
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

pub(super) fn report(command: &ReportCommand, rules: &[Rule]) -> Result<u8, Complaint> {
    match command {
        ReportCommand::Merge(merge) => merged(merge, rules),
        ReportCommand::Schema => {
            report::out(report::SCHEMA);
            Ok(0)
        }
    }
}

/// The exit code is that of the run as a whole.
fn merged(merge: &Merge, rules: &[Rule]) -> Result<u8, Complaint> {
    let outputs = merge.output.outputs()?;
    let look = merge.output.look(&outputs, merge.slowest);
    let load = |file: &String| {
        let part = Report::load(file, rules).map_err(input_complaint)?;
        Ok((file.clone(), part))
    };
    let parts = merge
        .files
        .iter()
        .map(load)
        .collect::<Result<_, Complaint>>()?;
    let report = report::merge(parts)
        .map_err(|apart| Complaint::new(EXIT_USAGE, apart.to_string()).hint(apart.hint))?;
    let unwritten = report::show(&report, &outputs, look);
    let harness = report.verdicts.contains_key(Verdict::Harness.key());
    let ended = match report.ended {
        Ended::Complete => run::Ended::Complete,
        Ended::FailFast => run::Ended::FailFast,
        Ended::Interrupted => run::Ended::Interrupted,
        Ended::NotReady => return written(EXIT_NOT_READY, unwritten),
    };
    written(code(ended, harness, report.totals), unwritten)
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
