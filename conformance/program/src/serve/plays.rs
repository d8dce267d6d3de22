//! Plays cases on request, and sends their lines as they come.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use netroxy_judge::run::{self, InPlay, Options, Order, Start};
use netroxy_judge::sut::Subject;
use netroxy_judge::transcript::Line;
use netroxy_judge::wire::Tls;
use netroxy_specification::catalog::Entry;
use netroxy_specification::notation::ast::Transport;
use netroxy_specification::rules::Rule;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::runs::Run;
use crate::report::model::CaseResult;
use crate::report::{Report, Settings};

/// What to play.
#[derive(Debug, Clone)]
pub(super) struct PlayRequest {
    pub(super) entry: Arc<Entry>,
    pub(super) transport: Transport,
    pub(super) subject: Arc<Subject>,
}

/// A case that is being played, or was.
#[derive(Debug)]
pub(super) struct Play {
    pub(super) number: u64,
    pub(super) request: PlayRequest,
    seen: Mutex<Seen>,
    changed: watch::Sender<()>,
}

#[derive(Debug, Default)]
struct Seen {
    lines: Vec<Line>,
    /// The report, or why there is none.
    end: Option<Result<Arc<Report>, String>>,
}

/// The plays; the oldest are removed when there are too many.
#[derive(Debug)]
pub(super) struct Plays {
    rules: Arc<[Rule]>,
    tls: Tls,
    stop: CancellationToken,
    known: Mutex<VecDeque<Arc<Play>>>,
    slots: Arc<Semaphore>,
    tasks: TaskTracker,
}

impl Plays {
    pub(super) fn new(rules: Arc<[Rule]>, tls: Tls, stop: CancellationToken) -> Self {
        Self {
            rules,
            tls,
            stop,
            known: Mutex::default(),
            slots: Arc::new(Semaphore::new(AT_A_TIME)),
            tasks: TaskTracker::new(),
        }
    }

    /// Begins a play; `None` if too many wait already.
    pub(super) fn begin(&self, request: PlayRequest) -> Option<Arc<Play>> {
        let mut known = self.lock();
        let waiting = known.iter().filter(|play| play.end().is_none()).count();
        if waiting >= WAITING {
            return None;
        }
        let play = Arc::new(Play {
            number: known.back().map_or(1, |last| last.number + 1),
            request,
            seen: Mutex::default(),
            changed: watch::Sender::default(),
        });
        known.push_back(Arc::clone(&play));
        // The oldest has ended: fewer than `KEPT` may wait.
        if known.len() > KEPT {
            known.pop_front();
        }
        drop(known);
        let (begun, rules, tls) = (Arc::clone(&play), Arc::clone(&self.rules), self.tls.clone());
        let (slots, stop) = (Arc::clone(&self.slots), self.stop.clone());
        self.tasks.spawn(async move {
            // The semaphore is never closed.
            let _slot = slots.acquire_owned().await;
            let end = Box::pin(played(&begun, &rules, &tls, &stop)).await;
            begun.lock().end = Some(end.map(Arc::new));
            begun.changed.send_replace(());
        });
        Some(play)
    }

    pub(super) fn find(&self, number: u64) -> Option<Arc<Play>> {
        self.lock()
            .iter()
            .find(|play| play.number == number)
            .cloned()
    }

    /// The ended plays, as runs.
    pub(super) fn runs(&self) -> Vec<Run> {
        let known = self.lock();
        let over = known
            .iter()
            .filter_map(|play| Some((play.run(), play.end()?)));
        over.map(|(name, report)| Run { name, report }).collect()
    }

    /// The plays that have not ended.
    pub(super) fn going(&self) -> Vec<Arc<Play>> {
        let known = self.lock();
        known
            .iter()
            .filter(|play| play.end().is_none())
            .cloned()
            .collect()
    }

    /// Waits until all plays have ended.
    pub(super) async fn ended(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Arc<Play>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Play {
    /// The name of its run.
    pub(super) fn run(&self) -> String {
        format!("play-{}", self.number)
    }

    /// The lines from an index on, and whether the play has ended.
    pub(super) fn after(&self, place: usize) -> (Vec<Line>, bool) {
        let seen = self.lock();
        let lines = seen.lines.get(place..).unwrap_or_default();
        (lines.to_vec(), seen.end.is_some())
    }

    /// Signals each new line, and the end.
    pub(super) fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    pub(super) fn end(&self) -> Option<Result<Arc<Report>, String>> {
        self.lock().end.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn played(
    play: &Play,
    rules: &[Rule],
    tls: &Tls,
    stop: &CancellationToken,
) -> Result<Report, String> {
    let PlayRequest {
        entry,
        transport,
        subject,
    } = &play.request;
    let settings = Settings {
        options: Options {
            hardened: true,
            jobs: 1,
            time_scale: 1.0,
            still: None,
        },
        strict: false,
        order: Order::default(),
    };
    let stopped = || "the program was stopped".to_owned();
    let ready = stop
        .run_until_cancelled(run::preflight(subject, tls, 1.0))
        .await;
    let ready = ready
        .ok_or_else(stopped)?
        .map_err(|error| error.to_string())?;
    let start = Start::new(&ready, 1.0, settings.order);
    let (lines, mut told) = mpsc::unbounded_channel();
    let mut jobs = run::plan(
        std::slice::from_ref(entry),
        subject,
        rules,
        settings.options,
    );
    jobs.retain(|job| job.transport == *transport);
    for job in &mut jobs {
        job.tempo = start.tempo;
        job.listens = true;
        job.in_play = InPlay::told_to(lines.clone());
    }
    drop(lines);
    let mut report = Report::new(settings);
    report.add_subject(subject, jobs.len(), &start);
    let judge = run::run(
        jobs,
        tls,
        settings.options,
        settings.order,
        stop,
        |job, judged| {
            report.add(CaseResult::new(job, &judged, rules, settings));
            false
        },
    );
    let tell = async {
        while let Some(line) = told.recv().await {
            play.lock().lines.push(line);
            play.changed.send_replace(());
        }
    };
    let (summary, ()) = tokio::join!(judge, tell);
    report.conclude(&summary);
    report.finish(rules);
    match report.results.is_empty() {
        true => Err(stopped()),
        false => Ok(report),
    }
}

/// How many cases are played at a time.
const AT_A_TIME: usize = 4;

/// How many cases may be played or wait.
const WAITING: usize = 16;

/// How many plays are kept. It is more than [`WAITING`], so no play is removed before it has ended.
const KEPT: usize = 100;
