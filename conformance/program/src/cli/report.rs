//! `report`: merges the reports of the parts of a run, and prints the format of reports.

use clap::{Args, Subcommand};
use netroxy_judge::run;
use netroxy_judge::verdict::Verdict;
use netroxy_specification::rules::Rule;

use super::complaint::{Complaint, input_complaint};
use super::exit::{EXIT_CODES, EXIT_LOOKED_UP, EXIT_NOT_READY, EXIT_USAGE};
use super::judging::code;
use super::output::{Output, written};
use crate::report::{self, Ended, Report};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Merge the reports of the parts that `run --shard K/N` played
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

pub(super) fn execute(command: &Command, rules: &[Rule]) -> Result<u8, Complaint> {
    match command {
        Command::Merge(merge) => merged(merge, rules),
        Command::Schema => {
            report::out(report::SCHEMA);
            Ok(0)
        }
    }
}

/// Merges the reports. The exit code is that of the whole run.
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
