//! What people and programs get to read.

mod build;
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
mod pulse;
mod read;
mod session;
mod tap;
mod text;

use clap::ColorChoice;
pub(crate) use json::SCHEMA;
pub(crate) use live::{Look, is_coloured_here};
pub(crate) use merge::merge;
pub(crate) use model::{Ended, Report, Settings, ShardEntry, Totals};
use netroxy_judge::run::Job;
use netroxy_judge::verdict::Judged;
use netroxy_specification::rules::Rule;
pub(crate) use outputs::{OutputError, Outputs};
pub(crate) use plain::{plain, width_or, wrapped};
pub(crate) use pulse::Pulse;
pub(crate) use session::{Last, Session, show};
pub(crate) use text::{counted, last_line};

pub(crate) use crate::output::out;

/// A result of a run that has no report, as a terminal shows it.
pub(crate) fn finding(job: &Job, judged: &Judged, rules: &[Rule], settings: Settings) -> String {
    let result = model::CaseResult::new(job, judged, rules, settings);
    text::result(&result, is_coloured_here(ColorChoice::Auto))
}

#[cfg(test)]
mod tests;
