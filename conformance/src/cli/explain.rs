//! `explain`: a rule with its cases, or a case with its rules.

use super::select::{all, names_like};
use super::{Complaint, EXIT_NOTHING};
use crate::report::listing;
use crate::rules::Rule;

#[derive(Debug, clap::Args)]
pub(super) struct Explain {
    /// Such as tunnel.early-data or server/tunnel/early-data
    id: String,
}

pub(super) fn execute(Explain { id }: &Explain, rules: &[Rule]) -> Result<u8, Complaint> {
    let entries = all()?;
    listing::explain(id, rules, &entries).ok_or_else(|| {
        Complaint::new(
            EXIT_NOTHING,
            format!("no rule and no case is called `{id}`"),
        )
        .hint(names_like(id, &entries))
    })
}
