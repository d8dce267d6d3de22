//! The order in which cases are run, and how often.

use std::cmp::Reverse;

use netroxy_specification::notation::ast::Line;

use super::job::{Job, waits};

/// The order of a run.
#[derive(Debug, Clone, Copy)]
pub struct Order {
    /// The seed of a random order. Without a seed, the slowest cases start first.
    pub seed: Option<u64>,
    /// How often each case is run, at least once.
    pub repeat: u32,
    /// The first failure ends the run: no other case starts, and those being played are stopped.
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
    /// Each job `repeat` times, with the number of its round.
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
        // The longest cases start first: the short ones then fill the slots beside them.
        jobs.sort_by_cached_key(|job| Reverse(length(job)));
        if let Some(seed) = self.seed {
            fastrand::Rng::with_seed(seed).shuffle(jobs);
        }
    }
}

/// About how long a case takes at most, in milliseconds.
pub(super) fn length(job: &Job) -> u64 {
    // A tunnel through a slow peer takes more than a second and about eight steps.
    let step = if job.subject.is_slow() { 130 } else { 1 };
    let lines = job.entry.case.body.iter().map(|line| match line {
        Line::Repeat(block) => u64::from(block.count) * block.body.len() as u64,
        Line::Blank | Line::Comment(_) | Line::Step(_) => 1,
    });
    waits(job) + lines.sum::<u64>() * step
}
