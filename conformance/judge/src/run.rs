//! Runs cases against a subject, several at a time, each with an instance of its own.

mod between;
mod canary;
mod hang;
mod in_play;
mod judge;
mod order;
mod probe;
mod room;
mod shard;
mod stall;
mod starts;
mod summary;
mod tempo;
mod twins;

use std::sync::Arc;
use std::time::{Duration, Instant};

pub use between::Heard;
pub use canary::{Ready, preflight};
pub use in_play::{InPlay, Played};
pub(crate) use judge::stage;
use netroxy_specification::catalog::Entry;
use netroxy_specification::notation::ast::{Action, Line, Low, Setting, Step, Transport};
use netroxy_specification::rules::Rule;
pub use order::Order;
pub use probe::{Found, probe};
use room::Room;
pub use shard::{Shard, fingerprint};
use stall::Watch;
pub use summary::{Ended, Start, Summary};
pub use tempo::{LINGER, RoundTrips, STILL, Tempo};
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use twins::Twins;

use crate::manifest::CA_FILE;
use crate::player::Waited;
use crate::skip::Skip;
use crate::sut::Subject;
use crate::verdict::{Judged, Reason, RunNote, Verdict};
use crate::wire::Tls;

/// How cases are run.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// All rules, or only those of the wire profile.
    pub hardened: bool,
    /// How many cases are run at a time.
    pub jobs: usize,
    /// Deadlines are multiplied by it.
    pub time_scale: f64,
    /// How long `still` is; `None` is as the manifest says.
    pub still: Option<Duration>,
}

impl Options {
    /// The name of the profile.
    pub fn profile(self) -> &'static str {
        if self.hardened { "hardened" } else { "wire" }
    }
}

/// A case on one transport.
#[derive(Debug, Clone)]
pub struct Job {
    /// The case.
    pub entry: Arc<Entry>,
    /// What its connections are.
    pub transport: Transport,
    /// What is judged.
    pub subject: Arc<Subject>,
    /// Why it is not run.
    pub skip: Option<Skip>,
    /// How long things may take.
    pub tempo: Tempo,
    /// How long `still` is.
    pub still: Duration,
    /// Which of several runs of the case, counted from 1; `None` when it is run once.
    pub round: Option<u32>,
    /// Where it tells that it is being played.
    pub in_play: InPlay,
    /// Whether it is told what the two programs of a pair said to each other, when it fails.
    pub listens: bool,
    /// Whether it is played once more if a step was late because the machine stood still.
    pub excused: bool,
}

/// The runs of some cases against a subject, and what is skipped for which reason.
pub fn plan(
    entries: &[Arc<Entry>],
    subject: &Arc<Subject>,
    rules: &[Rule],
    options: Options,
) -> Vec<Job> {
    let mut jobs = Vec::new();
    for entry in entries
        .iter()
        .filter(|entry| entry.case.role.value == subject.role())
    {
        for transport in entry.transports() {
            let skip = reason_to_skip(entry, transport, subject, rules, options);
            jobs.push(Job {
                entry: Arc::clone(entry),
                transport,
                subject: Arc::clone(subject),
                skip,
                tempo: Tempo::new(options.time_scale),
                still: options.still.unwrap_or_else(|| subject.still()),
                round: None,
                in_play: InPlay::default(),
                listens: false,
                excused: true,
            });
        }
    }
    jobs
}

/// How many of these jobs are run at a time, when so many are wanted: each needs descriptors.
pub fn at_a_time(jobs: &[Job], wanted: usize) -> usize {
    room::at_a_time(jobs, wanted)
}

/// Runs the jobs and hands over each result as it comes; `each` tells whether it is red.
pub async fn run(
    jobs: Vec<Job>,
    tls: &Tls,
    options: Options,
    order: Order,
    stop: &CancellationToken,
    each: impl FnMut(&Job, Judged) -> bool,
) -> Summary {
    conduct(jobs, tls, options, order, stop, Watch::start(), each).await
}

async fn conduct(
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
            tokio::time::sleep(Duration::from_millis(1)).await;
            watch.room().await;
            let entered = stop.run_until_cancelled(room.enter(&job)).await;
            let place = match entered {
                None => return,
                Some(Ok(place)) => place,
                Some(Err(why)) => {
                    let judged = job.unjudged(Reason::Harness(why));
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
fn excuse(watch: &Watch, waited: Waited, tempo: Tempo) -> Option<Duration> {
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

impl Job {
    /// The id of the case with its transport, and `#` with the number of the round if it is run several times.
    pub fn id(&self) -> String {
        let id = self.entry.run_id(self.transport);
        match self.round {
            Some(round) => format!("{id}#{round}"),
            None => id,
        }
    }

    /// A result without a run.
    fn unjudged(&self, reason: Reason) -> Judged {
        Judged::unjudged(self.id(), self.entry.file.clone(), reason)
    }
}

fn reason_to_skip(
    entry: &Entry,
    transport: Transport,
    subject: &Subject,
    rules: &[Rule],
    options: Options,
) -> Option<Skip> {
    let case = &entry.case;
    let beyond = case
        .rules
        .value
        .iter()
        .find(|id| rules.iter().any(|rule| rule.id == **id && !rule.is_wire()));
    if let Some(id) = beyond.filter(|_| !options.hardened) {
        return Some(Skip::Profile { rule: id.clone() });
    }
    let mut transports = std::iter::once(transport).chain(case.named_transports());
    if let Some(why) = transports.find_map(|transport| subject.silent_on(transport)) {
        return Some(Skip::Transport(why));
    }
    if subject.runs_once() && case.needs_reconnect() {
        return Some(Skip::LogsInOnce);
    }
    let trusts = case.config.iter().any(|one| one.value == Setting::Trust);
    if let Subject::Started(manifest) = subject
        && trusts
        && !manifest.uses(CA_FILE)
    {
        return Some(Skip::NoAuthority);
    }
    let timeout = case.config.iter().find_map(|setting| match setting.value {
        Setting::Timeout(seconds) => Some(seconds),
        Setting::Verify | Setting::Trust | Setting::Maps { .. } | Setting::Map { .. } => None,
    });
    let takes = match subject {
        Subject::Started(manifest) => Some(&manifest.timeouts),
        Subject::Pair(pair) => Some(&pair.0.timeouts),
        Subject::Running(_) => None,
    };
    if let Some((seconds, takes)) = timeout.zip(takes)
        && !takes.contains(&seconds)
    {
        return Some(Skip::Timeout {
            needed: seconds,
            from: *takes.start(),
            to: *takes.end(),
        });
    }
    if timeout.is_some() && matches!(subject, Subject::Running(_)) {
        return Some(Skip::Running);
    }
    None
}

/// For how long a case may wait in all, in milliseconds.
fn waits(job: &Job) -> u64 {
    let still = u64::try_from(job.still.as_millis()).unwrap_or(u64::MAX);
    let of_step = |step: &Step| {
        let bound = step
            .within
            .map_or(0, |within| match (within.high, within.low) {
                (Some(ms), _) | (None, Some(Low::Ms(ms))) => u64::from(ms),
                (None, Some(Low::Still)) => still,
                (None, None) => 0,
            });
        match &step.action {
            Action::SendSlow(_) => still,
            Action::SendEvery(ms, segments) => u64::from(*ms) * segments.len() as u64,
            Action::Down(ms) => u64::from(*ms),
            _ => bound,
        }
    };
    let of_line = |line: &Line| match line {
        Line::Step(step) => of_step(step),
        Line::Repeat(repeat) => {
            let turn = repeat.body.iter().map(|line| match line {
                Line::Step(step) => of_step(step),
                Line::Blank | Line::Comment(_) | Line::Repeat(_) => 0,
            });
            turn.sum::<u64>() * u64::from(repeat.count)
        }
        Line::Blank | Line::Comment(_) => 0,
    };
    job.entry.case.body.iter().map(of_line).sum()
}

#[cfg(test)]
mod tests;
