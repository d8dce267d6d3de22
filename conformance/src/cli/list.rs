//! `list`: what there is.

use clap::ValueEnum;

use super::Complaint;
use super::select::all;
use crate::report::listing;
use crate::rules::Rule;
use crate::{baseline, manifest};

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
    /// Built-in manifests
    Sut,
    /// Built-in baselines
    Baselines,
    /// Test vectors of the codec
    Vectors,
}

pub(super) fn execute(list: &List, rules: &[Rule]) -> Result<u8, Complaint> {
    Ok(match list.what {
        Listed::Cases => listing::cases(&all()?, list.json),
        Listed::Sut => listing::built_in(&manifest::BUILT_IN, list.json),
        Listed::Baselines => listing::built_in(&baseline::BUILT_IN, list.json),
        Listed::Rules => listing::rules(rules, &all()?, list.json),
        Listed::Vectors => super::vectors::list(list.json)?,
    })
}
