//! From a full run to a list.

use std::collections::BTreeMap;

use netroxy_judge::run::{Ended, Summary};
use netroxy_judge::verdict::{Judged, Verdict};

use super::{Entry, List, Seen};

/// Why a run cannot become a list.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    /// It was stopped.
    #[error("the run is not complete")]
    Partial,
    /// Nobody knows what is the program's fault.
    #[error("{0} could not be judged: {1}")]
    Unjudged(String, &'static str),
}

/// Fills a list with what has failed; reasons come from the old one, where the failure is the same.
///
/// A case that was run several times and did not always fail alike becomes a race.
///
/// # Errors
/// When the run does not show what the program does.
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
        // What is known to be a race stays one, however it went this time.
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

/// The reason of the same failure, else of the same rules.
fn reason(known: &[&Entry], seen: &Seen) -> String {
    let same = known.iter().find(|entry| entry.seen == *seen);
    let alike = |entry: &&&Entry| entry.seen.rules == seen.rules && !seen.rules.is_empty();
    let found = same.or_else(|| known.iter().find(alike));
    found.map_or_else(String::new, |entry| entry.why.clone())
}
