//! Plays many jobs at a time, and once more what was late because the machine stood still.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use super::job::{Job, Options};
use super::order::Order;
use super::room::Room;
use super::stall::Watch;
use super::summary::{Ended, Summary};
use super::twins::Twins;
use super::{between, judge};
use crate::player::Waited;
use crate::times::{START_GAP, Tempo};
use crate::verdict::{Judged, Reason, RunNote, Verdict};
use crate::wire::Tls;

/// Plays the jobs as [`super::run`] does, on a machine that is watched by `watch`.
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
    // A bug of the suite must not make a case disappear.
    let lost = jobs.iter().zip(missing).filter(|(_, missing)| *missing);
    for (job, _) in lost.filter(|_| summary.ended == Ended::Complete) {
        each(
            job,
            job.unjudged(Reason::Harness("the suite panicked".to_owned())),
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

/// Every job in a task of its own; they start in their order, as many at a time as wanted.
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
            // So that the watch sees what the one before has cost.
            tokio::time::sleep(START_GAP).await;
            watch.room().await;
            let entered = stop.run_until_cancelled(room.enter(&job)).await;
            let place = match entered {
                None => return,
                Some(Ok(place)) => place,
                Some(Err(why)) => {
                    let judged = job.unjudged(Reason::Harness(why.to_string()));
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
                    let waited = waited.filter(|_| job.excused);
                    let Some(stall) = waited.and_then(|waited| excuse(&watch, waited, job.tempo))
                    else {
                        return (judged, false, (Some(slot), Some(place)));
                    };
                    // Once more, with so many slots that few others are played meanwhile.
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
                        // The verdict is known, so stopping must not lose it.
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

/// How many cases are played once more at a time, and nothing else. A peer that fails everything on a busy machine would
/// take hours if they were played one by one.
const QUIET: usize = 8;

/// Plays a case once more, and says why.
async fn again(job: &Job, tls: &Tls, stall: Duration) -> Judged {
    // Its twin may have been late too.
    let (mut judged, _) = judge::judge(job, tls, &Twins::default()).await;
    judged.notes.push(RunNote::PlayedAgain { stall });
    judged
}

/// For how long the machine stood still, if a step may have been late because of it.
pub(super) fn excuse(watch: &Watch, waited: Waited, tempo: Tempo) -> Option<Duration> {
    let Waited {
        from,
        until,
        bounded,
    } = waited;
    let stall = watch.between(from, until);
    if stall > tempo.excuse(bounded) {
        return Some(stall);
    }
    // A program that has to wait for a processor in many small pieces is late too.
    let pressure = watch.pressure(from, until);
    (bounded && pressure > until.saturating_duration_since(from) / 4).then_some(pressure)
}
