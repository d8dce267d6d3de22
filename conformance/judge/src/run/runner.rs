//! Plays many jobs at a time, and repeats a case that may have failed because the machine stood still.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use super::excuse::{excuse, overtime};
use super::job::{Job, Options, planned};
use super::order::Order;
use super::room::Room;
use super::stall::Watch;
use super::summary::{Ended, Summary};
use super::twins::Twins;
use super::{between, judge};
use crate::times::{MACHINE, START_GAP};
use crate::verdict::{Judged, RunNote, Unjudged, Verdict};
use crate::wire::Tls;

/// Plays the jobs as [`super::run`] does; `watch` measures the stalls of the machine.
pub(super) async fn conduct(
    jobs: Vec<Job>,
    tls: &Tls,
    options: Options,
    order: Order,
    stop: &CancellationToken,
    watch: Watch,
    mut each: impl FnMut(&Job, Judged) -> bool,
) -> Summary {
    let mut jobs = order.repeated(jobs);
    order.arrange(&mut jobs);
    let (begun, watch) = (Instant::now(), Arc::new(watch));
    let mut summary = Summary::begin();
    let first_failure = stop.child_token();
    let mut queue = start(&jobs, tls, options, &first_failure, &watch);
    let mut missing = vec![true; jobs.len()];
    while let Some(result) = queue.recv().await {
        let Done {
            index,
            judged,
            retried,
        } = result;
        missing[index] = false;
        if judged.verdict != Verdict::Skip {
            summary.note(&judged.id, judged.took, retried);
        }
        if each(&jobs[index], judged) && order.fail_fast {
            first_failure.cancel();
        }
    }
    summary.ended = match (stop.is_cancelled(), first_failure.is_cancelled()) {
        (true, _) => Ended::Interrupted,
        (false, true) => Ended::FailFast,
        (false, false) => Ended::Complete,
    };
    // A task that panics sends no result. Its case must not be missing in the report.
    let lost = jobs.iter().zip(missing).filter(|(_, missing)| *missing);
    for (job, _) in lost.filter(|_| summary.ended == Ended::Complete) {
        each(
            job,
            job.unjudged(Unjudged::Harness("the suite panicked".to_owned())),
        );
    }
    summary.wall = begun.elapsed();
    summary.longest_stall = watch.longest();
    summary
}

struct Done {
    index: usize,
    judged: Judged,
    retried: bool,
}

/// Starts the jobs in their order and returns the queue of their results.
///
/// One task starts the jobs. For each it waits for a slot, for a machine that does not lag, and for enough file
/// descriptors; then a task of its own plays the job. `stop` ends all tasks; a job that has no verdict yet sends no
/// result.
///
/// If a step was late while the machine stood still, the job gives back its slot and its descriptors and is played once
/// more. This time it holds `1 / QUIET` of all slots, so at most `QUIET` jobs are repeated at a time, and fewer others
/// are played beside them. The second result counts, and has a note.
///
/// A failed case of a pair is then played through a relay, if the job wants that. This adds a transcript to the result
/// and does not change the verdict.
fn start(
    jobs: &[Job],
    tls: &Tls,
    options: Options,
    stop: &CancellationToken,
    watch: &Arc<Watch>,
) -> mpsc::UnboundedReceiver<Done> {
    let count = options.jobs.max(1);
    let slots = Arc::new(Semaphore::new(count));
    let quiet_slots = u32::try_from(count.div_ceil(QUIET)).unwrap_or(u32::MAX);
    let (results, queue) = mpsc::unbounded_channel();
    let (jobs, tls, stop) = (jobs.to_vec(), tls.clone(), stop.clone());
    let (watch, twins) = (Arc::clone(watch), Arc::new(Twins::default()));
    let room = Room::new();
    tokio::spawn(async move {
        for (index, job) in jobs.into_iter().enumerate() {
            let free = stop.run_until_cancelled(Arc::clone(&slots).acquire_owned());
            // The semaphore is never closed.
            let Some(Ok(slot)) = free.await else { return };
            // The watch must see the load of the case before this one.
            tokio::time::sleep(START_GAP).await;
            watch.room().await;
            let entered = stop.run_until_cancelled(room.enter(&job)).await;
            let place = match entered {
                None => return,
                Some(Ok(place)) => place,
                Some(Err(why)) => {
                    let judged = job.unjudged(Unjudged::Harness(why.to_string()));
                    let _ = results.send(Done {
                        index,
                        judged,
                        retried: false,
                    });
                    continue;
                }
            };
            let room = room.clone();
            let (slots, results) = (Arc::clone(&slots), results.clone());
            let (tls, stop, watch) = (tls.clone(), stop.clone(), Arc::clone(&watch));
            let twins = Arc::clone(&twins);
            tokio::spawn(async move {
                let work = async {
                    let _port = match job.entry.case.names_a_port() {
                        true => Some(NAMED_PORTS.lock().await),
                        false => None,
                    };
                    let _played = job.in_play.begin(job.id());
                    let (judged, waited) = judge::judge(&job, &tls, &twins).await;
                    let planned = planned(&job, &judged);
                    let slack = job.tempo.slack().max(MACHINE);
                    let waited =
                        waited.or_else(|| overtime(&judged, planned, slack, Instant::now()));
                    let waited = waited.filter(|_| job.excused);
                    let Some(stall) = waited.and_then(|waited| excuse(&watch, waited, job.tempo))
                    else {
                        return (judged, false, (Some(slot), Some(place)));
                    };
                    // With several slots, so that fewer cases are played at the same time.
                    drop((slot, place));
                    let slots = slots.acquire_many_owned(quiet_slots).await.ok();
                    let place = room.enter(&job).await.ok();
                    (
                        Box::pin(again(&job, &tls, stall)).await,
                        true,
                        (slots, place),
                    )
                };
                // Stopping drops the instance, which kills its processes.
                let done = stop.run_until_cancelled(Box::pin(work)).await;
                if let Some((mut judged, retried, _held)) = done {
                    if job.listens {
                        // The verdict is known: if the run is stopped now, it is sent without the transcript.
                        let _played = job.in_play.begin(job.id());
                        let heard = Box::pin(between::listen(&job, &judged, &tls));
                        judged.heard = stop.run_until_cancelled(heard).await.flatten();
                    }
                    let _ = results.send(Done {
                        index,
                        judged,
                        retried,
                    });
                }
            });
        }
    });
    queue
}

/// Cases that name a port themselves are played one after the other: only one server can listen on it.
static NAMED_PORTS: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// How many cases are repeated at a time, at most. With a peer that fails every case on a busy machine, a run would
/// last hours if they were repeated one by one.
const QUIET: usize = 8;

/// Plays a case once more and notes the stall that was the reason.
async fn again(job: &Job, tls: &Tls, stall: Duration) -> Judged {
    // The twin is played again too: it may have been late as well.
    let (mut judged, _) = judge::judge(job, tls, &Twins::default()).await;
    judged.notes.push(RunNote::PlayedAgain { stall });
    judged
}
