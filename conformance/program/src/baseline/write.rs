//! Makes a list of known failures from a complete run.

use std::collections::BTreeMap;

use netroxy_judge::run::{Ended, Summary};
use netroxy_judge::verdict::{Judged, Verdict};

use super::list::{Entry, List};
use super::seen::Seen;

/// Why a run does not give a list.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    /// The run was stopped.
    #[error("the run is not complete")]
    Partial,
    /// A run of a case could not be judged.
    #[error("{0} could not be judged: {1}")]
    Unjudged(String, &'static str),
}

/// Fills a list with the failures. The reason of a failure that the old list has too is kept.
///
/// A case that was run several times with different results becomes a race.
///
/// # Errors
/// When the run is incomplete, or a case could not be judged.
pub(crate) fn update<'a>(
    list: &mut List,
    old: Option<&List>,
    results: impl IntoIterator<Item = &'a Judged>,
    summary: &Summary,
) -> Result<(), Refusal> {
    if summary.ended != Ended::Complete {
        return Err(Refusal::Partial);
    }
    let mut runs: BTreeMap<&str, Vec<Option<Seen>>> = BTreeMap::new();
    for judged in results {
        if matches!(judged.verdict, Verdict::Harness | Verdict::NotReady) {
            return Err(Refusal::Unjudged(judged.id.clone(), judged.verdict.name()));
        }
        let run = judged.id.split('#').next().unwrap_or_default();
        let kinds = runs.entry(run).or_default();
        let seen = Seen::of(judged);
        if !kinds.contains(&seen) {
            kinds.push(seen);
        }
    }
    let known = old.map_or(&[][..], |old| old.entries.as_slice());
    list.entries.clear();
    for (run, kinds) in runs {
        let known: Vec<&Entry> = known.iter().filter(|entry| entry.run == run).collect();
        let races: Vec<&Entry> = known.iter().copied().filter(|old| old.sometimes).collect();
        // A listed race stays in the list, whatever its results are this time.
        let mut entries: Vec<Entry> = races.into_iter().cloned().collect();
        let sometimes = kinds.len() > 1 || !entries.is_empty();
        for seen in kinds.into_iter().flatten() {
            if entries.iter().any(|entry| entry.seen == seen) {
                continue;
            }
            entries.push(Entry {
                why: reason(&known, &seen),
                run: run.to_owned(),
                seen,
                sometimes,
            });
        }
        list.entries.extend(entries);
    }
    Ok(())
}

/// The reason of the same failure, else of a failure of the same rules.
fn reason(known: &[&Entry], seen: &Seen) -> String {
    let same = known.iter().find(|entry| entry.seen == *seen);
    let alike = |entry: &&&Entry| entry.seen.rules == seen.rules && !seen.rules.is_empty();
    let found = same.or_else(|| known.iter().find(alike));
    found.map_or_else(String::new, |entry| entry.why.clone())
}
