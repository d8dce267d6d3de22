//! `explain`: shows a rule with its cases, a case with its rules, or a summary of an area or a folder.

use netroxy_specification::rules::Rule;

use super::complaint::Complaint;
use super::exit::{EXIT_LOOKED_UP, EXIT_NOTHING};
use super::select::{all, names_like, sequence};
use crate::report::listing;

#[derive(Debug, clap::Args)]
#[command(after_help = EXIT_LOOKED_UP)]
pub(super) struct Explain {
    /// A rule, a case, an area or a folder, such as tunnel.early-data, server/tunnel/early-data@tls, keep or
    /// server/keepalive
    id: String,
}

pub(super) fn execute(Explain { id }: &Explain, rules: &[Rule]) -> Result<u8, Complaint> {
    let mut entries = all()?;
    entries.extend(sequence(id));
    listing::explain(id, rules, &entries).ok_or_else(|| {
        Complaint::new(
            EXIT_NOTHING,
            format!("no rule and no case is called `{id}`"),
        )
        .hint(names_like(id, &entries, rules))
    })
}
