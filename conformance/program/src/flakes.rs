//! Checks that results are steady: the same cases, played many times in any order, must have equal results.

mod load;
mod resources;

use std::collections::BTreeMap;
use std::fmt::Write as _;

pub(crate) use load::Load;
use netroxy_judge::run::{Job, Summary};
use netroxy_judge::verdict::{Judged, Verdict};
pub(crate) use resources::Resources;

use crate::diff::{Columns, Difference, Side};
use crate::report::Totals;

/// The results of every case in all runs so far.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// The results, by the subject and the name of the run.
    cases: BTreeMap<(String, String), Vec<Seen>>,
    /// How often each case was played once more because the machine had stalled.
    replayed: BTreeMap<(String, String), usize>,
    runs: usize,
    leaks: usize,
}

/// One result of a case, and how often it occurred.
#[derive(Debug)]
struct Seen {
    side: Side,
    times: usize,
}

/// One run over all cases.
#[derive(Debug)]
pub(crate) struct Run {
    /// The seed of its order.
    pub(crate) seed: u64,
    passed: usize,
    failed: usize,
}

impl Run {
    /// A run that has played nothing yet.
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            seed,
            passed: 0,
            failed: 0,
        }
    }
}

impl Tally {
    /// Adds a result of a run.
    pub(crate) fn note(&mut self, run: &mut Run, job: &Job, judged: &Judged) {
        if judged.verdict == Verdict::Skip {
            return;
        }
        match judged.verdict.is_red(false) {
            true => run.failed += 1,
            false => run.passed += 1,
        }
        let key = (job.subject.name(), judged.id.clone());
        if !judged.notes.is_empty() {
            *self.replayed.entry(key.clone()).or_default() += 1;
        }
        let side = Side::from(judged);
        let outcomes = self.cases.entry(key).or_default();
        match outcomes.iter_mut().find(|seen| seen.side == side) {
            Some(seen) => seen.times += 1,
            None => outcomes.push(Seen { side, times: 1 }),
        }
    }

    /// Ends a run. Returns its line, and one line for each thing that it left behind.
    pub(crate) fn end(&mut self, run: &Run, summary: &Summary, leaks: &[String]) -> String {
        self.runs += 1;
        self.leaks += leaks.len();
        let (number, seed) = (self.runs, run.seed);
        let (passed, failed, retried) = (run.passed, run.failed, summary.retried);
        let (wall, stall) = (
            summary.wall.as_secs_f64(),
            summary.longest_stall.as_millis(),
        );
        let mut text = format!(
            "{number:4}  seed {seed:#018x}  {wall:5.1} s  {passed} passed, {failed} failed  \
             played once more {retried}  longest stall {stall} ms\n"
        );
        for leak in leaks {
            let _ = writeln!(text, "      left behind: {leak}");
        }
        text
    }

    /// Passed: steady cases. Failed: unsteady cases, and things that were left behind.
    pub(crate) fn totals(&self) -> Totals {
        let unsteady = self.unsteady().count();
        Totals {
            passed: self.cases.len() - unsteady,
            failed: unsteady + self.leaks,
            skipped: 0,
        }
    }

    /// Whether each case always had the same result, and nothing was left behind.
    pub(crate) fn is_steady(&self) -> bool {
        self.leaks == 0 && self.unsteady().next().is_none()
    }

    /// The cases with different results, their two most frequent results, and the totals.
    pub(crate) fn text(&self, columns: Columns) -> String {
        let mut text = String::new();
        for ((subject, id), outcomes) in self.unsteady() {
            let verdicts = verdicts(outcomes, self.runs);
            let _ = writeln!(text, "\n  {id}  ({subject})  {verdicts}");
            let mut common: Vec<&Seen> = outcomes.iter().collect();
            common.sort_by_key(|seen| std::cmp::Reverse(seen.times));
            let [one, other, ..] = common.as_slice() else {
                continue;
            };
            let heads = [one, other].map(|seen| match seen.times {
                1 => "once".to_owned(),
                times => format!("{times} times"),
            });
            let _ = write!(text, "\n{}", columns.row(&heads[0], ' ', &heads[1]));
            let sides = [one, other].map(|seen| seen.side.clone());
            if let Some(difference) = Difference::between(id, sides) {
                text.push_str(&columns.show(&difference.blocks));
            }
        }
        if !self.replayed.is_empty() {
            text.push_str("\nplayed once more, because the machine stood still\n");
        }
        for ((subject, id), times) in &self.replayed {
            let _ = writeln!(text, "    {times:3}  {id}  ({subject})");
        }
        let (runs, cases, leaks) = (self.runs, self.cases.len(), self.leaks);
        let unsteady = self.unsteady().count();
        let _ = writeln!(
            text,
            "\nflakes: {runs} runs of {cases} cases, {unsteady} unsteady, {leaks} leaks"
        );
        text
    }

    fn unsteady(&self) -> impl Iterator<Item = (&(String, String), &Vec<Seen>)> {
        // A case without a result in some run is not steady either.
        let all = |outcomes: &[Seen]| outcomes.iter().map(|seen| seen.times).sum::<usize>();
        let cases = self.cases.iter();
        cases.filter(move |(_, outcomes)| outcomes.len() > 1 || all(outcomes) != self.runs)
    }
}

/// Such as `49 PASS, 1 FAIL`, or `50 PASS with 2 transcripts` if only the transcripts differ.
fn verdicts(outcomes: &[Seen], runs: usize) -> String {
    let mut counts: BTreeMap<Verdict, usize> = BTreeMap::new();
    for seen in outcomes {
        *counts.entry(seen.side.verdict).or_default() += seen.times;
    }
    let missing = runs - counts.values().sum::<usize>();
    let only_transcripts = counts.len() == 1 && outcomes.len() > 1;
    let counts = counts.into_iter();
    let mut counts: Vec<String> = counts
        .map(|(verdict, times)| format!("{times} {}", verdict.name()))
        .collect();
    if missing > 0 {
        counts.push(format!("{missing} missing"));
    }
    let counts = counts.join(", ");
    match only_transcripts {
        true => format!("{counts} with {} transcripts", outcomes.len()),
        false => counts,
    }
}

#[cfg(test)]
mod tests;
