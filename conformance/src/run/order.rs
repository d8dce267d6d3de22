//! In which order cases are run, and how often.

use std::cmp::Reverse;

use super::{Job, waits};

/// The order of a run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Order {
    /// Any order, decided by this seed; the slowest first when there is none.
    pub(crate) seed: Option<u64>,
    /// How often each case is run, at least once.
    pub(crate) repeat: u32,
    /// Nothing more is started behind the first failure.
    pub(crate) fail_fast: bool,
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
    pub(crate) fn rounds(self) -> usize {
        usize::try_from(self.repeat.max(1)).unwrap_or(usize::MAX)
    }

    /// The same seed gives the same order on every machine.
    pub(super) fn arrange(self, jobs: &mut [Job]) {
        // Those that wait for long go first, so that the others fill the time.
        jobs.sort_by_key(|job| Reverse(waits(job)));
        if let Some(seed) = self.seed {
            fastrand::Rng::with_seed(seed).shuffle(jobs);
        }
    }
}
