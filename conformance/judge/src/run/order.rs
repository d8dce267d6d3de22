//! In which order cases are run, and how often.

use std::cmp::Reverse;

use netroxy_specification::notation::ast::Line;

use super::job::{Job, waits};

/// The order of a run.
#[derive(Debug, Clone, Copy)]
pub struct Order {
    /// Any order, decided by this seed; the slowest first when there is none.
    pub seed: Option<u64>,
    /// How often each case is run, at least once.
    pub repeat: u32,
    /// Nothing more is started behind the first failure.
    pub fail_fast: bool,
}

impl Default for Order {
    fn default() -> Self {
        Self {
            seed: None,
            repeat: 1,
            fail_fast: false,
        }
    }
}

impl Order {
    /// Each job as often as wanted, with the number of its round.
    pub(crate) fn repeated(self, jobs: Vec<Job>) -> Vec<Job> {
        if self.repeat <= 1 {
            return jobs;
        }
        let round = |round| {
            let jobs = jobs.iter().cloned();
            jobs.map(move |job| Job {
                round: Some(round),
                ..job
            })
        };
        (1..=self.repeat).flat_map(round).collect()
    }

    /// How many runs there are of each case.
    pub fn rounds(self) -> usize {
        usize::try_from(self.repeat.max(1)).unwrap_or(usize::MAX)
    }

    /// The same seed gives the same order on every machine.
    pub(super) fn arrange(self, jobs: &mut [Job]) {
        // The longest go first, so that the others fill the time.
        jobs.sort_by_cached_key(|job| Reverse(length(job)));
        if let Some(seed) = self.seed {
            fastrand::Rng::with_seed(seed).shuffle(jobs);
        }
    }
}

/// About how long a case takes at most, in milliseconds.
pub(super) fn length(job: &Job) -> u64 {
    // A tunnel of a slow peer takes more than a second, for about eight steps.
    let step = if job.subject.is_slow() { 130 } else { 1 };
    let lines = job.entry.case.body.iter().map(|line| match line {
        Line::Repeat(block) => u64::from(block.count) * block.body.len() as u64,
        Line::Blank | Line::Comment(_) | Line::Step(_) => 1,
    });
    waits(job) + lines.sum::<u64>() * step
}
