//! Two results of one case, side by side.
//!
//! A player stops at the first step that does not come true, so what differs first is what counts; what follows from
//! it is shown too. When both stop at the same step, what came instead is compared.

mod columns;
mod report;

use std::collections::BTreeSet;

pub(crate) use columns::Columns;
use netroxy_judge::canonical::{Canonical, Line};
use netroxy_judge::verdict::{Judged, Verdict};
pub(crate) use report::{Report, Uncompared};
use similar::{Algorithm, DiffOp, capture_diff_slices};

/// What one of the two peers has made of a case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Side {
    pub(crate) verdict: Verdict,
    pub(crate) canonical: Canonical,
}

/// A case of which two peers have not made the same.
#[derive(Debug, Clone)]
pub(crate) struct Difference {
    /// The name of the run.
    pub(crate) id: String,
    /// The rules of what differs first; none where that only prepares.
    pub(crate) rules: Vec<String>,
    pub(crate) sides: [Side; 2],
    /// All lines of both, connection by connection.
    pub(crate) blocks: Vec<Block>,
}

/// The lines of one connection, side by side.
pub(crate) type Block = Vec<Row>;

/// A line of one side, or of both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Row {
    /// Both say this.
    Same(String),
    /// One says this, the other that, or nothing.
    Differs([Option<String>; 2]),
}

impl From<&Judged> for Side {
    fn from(judged: &Judged) -> Self {
        Self {
            verdict: judged.verdict,
            canonical: Canonical::of_result(judged),
        }
    }
}

impl Difference {
    /// What differs; `None` when nothing does.
    pub(crate) fn between(id: &str, sides: [Side; 2]) -> Option<Self> {
        let [a, b] = &sides;
        let groups = [a.canonical.groups(), b.canonical.groups()];
        let actors: BTreeSet<&str> = groups
            .iter()
            .flat_map(|groups| groups.iter().map(|group| group.actor.as_str()))
            .collect();
        let (mut blocks, mut first) = (Vec::new(), None);
        // What it has come to is called nothing, and comes last.
        let actors = actors.into_iter();
        let (ending, actors): (Vec<_>, Vec<_>) = actors.partition(|actor| actor.is_empty());
        for actor in actors.into_iter().chain(ending) {
            let lines = groups.map(|groups| {
                let group = groups.iter().find(|group| group.actor == actor);
                group.map_or(&[][..], |group| group.lines.as_slice())
            });
            blocks.push(aligned(lines, &mut first));
        }
        let (_, rules) = first?;
        Some(Self {
            id: id.to_owned(),
            rules,
            sides,
            blocks,
        })
    }
}

/// Puts equal lines beside each other. `first` is the place of the earliest line that has no equal, and its rules.
fn aligned(lines: [&[Line]; 2], first: &mut Option<(usize, Vec<String>)>) -> Block {
    let texts = lines.map(|lines| {
        let texts = lines.iter().map(|line| line.text.as_str());
        texts.collect::<Vec<_>>()
    });
    let mut rows = Vec::new();
    for op in capture_diff_slices(Algorithm::Myers, &texts[0], &texts[1]) {
        let (old, new) = (op.old_range(), op.new_range());
        if matches!(op, DiffOp::Equal { .. }) {
            rows.extend(
                texts[0][old]
                    .iter()
                    .map(|text| Row::Same((*text).to_owned())),
            );
            continue;
        }
        for index in 0..old.len().max(new.len()) {
            let line = |side: usize, range: &std::ops::Range<usize>| {
                let at = range.start + index;
                (at < range.end).then(|| &lines[side][at])
            };
            let pair = [line(0, &old), line(1, &new)];
            for line in pair.iter().flatten() {
                note(first, line);
            }
            rows.push(Row::Differs(
                pair.map(|line| line.map(|line| line.text.clone())),
            ));
        }
    }
    rows
}

fn note(first: &mut Option<(usize, Vec<String>)>, line: &Line) {
    let (at, rules) = first.get_or_insert_with(|| (line.at, line.judges.clone()));
    if line.at < *at {
        (*at, *rules) = (line.at, line.judges.clone());
    } else if line.at == *at && rules.is_empty() {
        rules.clone_from(&line.judges);
    }
}

#[cfg(test)]
mod tests;
