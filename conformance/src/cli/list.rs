//! `list`: what there is.

use clap::ValueEnum;

use super::Complaint;
use super::select::all;
use crate::report::listing;
use crate::rules::Rule;

#[derive(Debug, clap::Args)]
pub(super) struct List {
    #[arg(value_enum)]
    what: Listed,
    /// As JSON, for programs
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Listed {
    Cases,
    Rules,
}

pub(super) fn execute(list: &List, rules: &[Rule]) -> Result<u8, Complaint> {
    Ok(match list.what {
        Listed::Cases => listing::cases(&all()?, list.json),
        Listed::Rules => listing::rules(rules, &all()?, list.json),
    })
}
