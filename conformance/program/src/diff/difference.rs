//! Two results of one case, side by side.
//!
//! A player stops at the first step that does not come true, so the first difference counts; later differences follow
//! from it. If both stop at the same step, the results of that step are compared.

use std::collections::BTreeSet;

use netroxy_judge::canonical::{Canonical, Line};
use netroxy_judge::verdict::{Judged, Verdict};
use similar::{Algorithm, DiffOp, capture_diff_slices};

/// The result of a case with one of the two peers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Side {
    pub(crate) verdict: Verdict,
    pub(crate) canonical: Canonical,
}

/// A case with different results.
#[derive(Debug, Clone)]
pub(crate) struct Difference {
    /// The name of the run.
    pub(crate) id: String,
    /// The rules of the first difference; none for a step that only prepares.
    pub(crate) rules: Vec<String>,
    pub(crate) sides: [Side; 2],
    /// All lines of both sides, by connection.
    pub(crate) blocks: Vec<Block>,
}

/// The lines of one connection, side by side.
pub(crate) type Block = Vec<Row>;

/// A line of one side, or of both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Row {
    /// The line of both sides.
    Same(String),
    /// The lines of the two sides; `None` if a side has no such line.
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
    /// The difference between two results; `None` if they are equal.
    pub(crate) fn between(id: &str, sides: [Side; 2]) -> Option<Self> {
        let [a, b] = &sides;
        let groups = [a.canonical.groups(), b.canonical.groups()];
        let actors: BTreeSet<&str> = groups
            .iter()
            .flat_map(|groups| groups.iter().map(|group| group.actor.as_str()))
            .collect();
        let (mut blocks, mut first) = (Vec::new(), None);
        // The verdict has an empty actor, and comes last.
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

/// Puts equal lines side by side. `first` gets the place and the rules of the earliest line without an equal.
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
