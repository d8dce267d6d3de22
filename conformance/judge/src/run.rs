//! Runs cases against a subject, several at a time, each with an instance of its own.
//!
//! [`plan`] makes a job of each case and transport, and decides which are skipped. [`run`] gives the jobs to the
//! runner, which plays as many at a time as slots and descriptors allow, and starts none while the machine stands
//! still. A job is judged in four steps: an instance is started, the case is played, the suite examines the program,
//! and [`decide`](crate::verdict) makes a verdict of these facts and of the twin, which is played once in a run. If a
//! step was late while the machine stood still, the case is played once more, with fewer others at the same time.

mod between;
mod canary;
mod excuse;
mod hang;
mod in_play;
mod job;
mod judge;
mod order;
mod probe;
mod room;
mod runner;
mod shard;
mod stall;
mod starts;
mod summary;
mod twins;

pub use canary::{Ready, preflight};
pub use in_play::{InPlay, Played};
pub use job::{Job, Options, plan};
pub(crate) use judge::stage;
pub use order::Order;
pub use probe::{Found, probe};
pub use shard::{NotAShard, Shard, fingerprint};
use stall::Watch;
pub use summary::{Ended, Start, Summary};
use tokio_util::sync::CancellationToken;

use crate::verdict::Judged;
use crate::wire::Tls;

/// How many of these jobs run at a time: `wanted`, or fewer if the limit of file descriptors requires it.
pub fn at_a_time(jobs: &[Job], wanted: usize) -> usize {
    room::at_a_time(jobs, wanted)
}

/// Runs the jobs and calls `each` with each result as it arrives. `each` returns whether the result is a failure, which
/// ends the run if the order is to fail fast.
pub async fn run(
    jobs: Vec<Job>,
    tls: &Tls,
    options: Options,
    order: Order,
    stop: &CancellationToken,
    each: impl FnMut(&Job, Judged) -> bool,
) -> Summary {
    runner::conduct(jobs, tls, options, order, stop, Watch::start(), each).await
}

#[cfg(test)]
mod tests;
