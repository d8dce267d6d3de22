//! Reports of runs in all formats, lists, and the lines that a run prints.

mod build;
mod cite;
mod fields;
pub(crate) mod html;
mod json;
mod junit;
pub(crate) mod listing;
mod live;
mod markdown;
mod matrix;
mod merge;
pub(crate) mod model;
mod outputs;
mod plain;
mod printable;
mod read;
mod reporter;
mod status_line;
mod terminal;
mod test_anything;
mod text;

use clap::ColorChoice;
pub(crate) use json::SCHEMA;
pub(crate) use live::Look;
pub(crate) use merge::merge;
pub(crate) use model::{Ended, Report, Settings, ShardEntry, Totals};
use netroxy_judge::run::Job;
use netroxy_judge::verdict::Judged;
use netroxy_specification::rules::Rule;
pub(crate) use outputs::{OutputError, Outputs};
pub(crate) use plain::{plain, width_or, wrapped};
pub(crate) use reporter::{Last, Reporter, show};
pub(crate) use status_line::StatusLine;
pub(crate) use terminal::is_coloured_here;
pub(crate) use text::{counted, last_line};

pub(crate) use crate::output::out;

/// The text of a single result, for commands without a report.
pub(crate) fn finding(job: &Job, judged: &Judged, rules: &[Rule], settings: Settings) -> String {
    let result = model::CaseResult::new(job, judged, rules, settings);
    text::result(&result, is_coloured_here(ColorChoice::Auto))
}

#[cfg(test)]
mod tests;
