//! Runs cases against a subject, several at a time, each with an instance of its own.

mod judge;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use crate::catalog::Entry;
use crate::notation::ast::{Action, Endpoint, Line, Setting, Step, Transport};
use crate::rules::Rule;
use crate::sut::Subject;
use crate::verdict::{Judged, Verdict};
use crate::wire::Tls;
pub(crate) use judge::preflight;

/// How cases are run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Options {
    /// All rules, or only those of the wire profile.
    pub(crate) hardened: bool,
    pub(crate) jobs: usize,
    /// Deadlines are multiplied by it.
    pub(crate) time_scale: f64,
}

/// A case on one transport.
#[derive(Debug, Clone)]
pub(crate) struct Job {
    pub(crate) entry: Arc<Entry>,
    pub(crate) transport: Transport,
    /// What is judged.
    pub(crate) subject: Arc<Subject>,
    /// Why it is not run.
    pub(crate) skip: Option<String>,
}

/// The runs of some cases against a subject, and what is skipped for which reason.
pub(crate) fn plan(
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
            });
        }
    }
    jobs
}

/// Runs the jobs and hands over each result as it comes; false if it was stopped before the end.
pub(crate) async fn run(
    mut jobs: Vec<Job>,
    tls: &Tls,
    options: Options,
    stop: &CancellationToken,
    mut each: impl FnMut(&Job, Judged),
) -> bool {
    // Those that wait for long go first, so that the others fill the time.
    jobs.sort_by_key(|job| std::cmp::Reverse(waits(&job.entry)));
    let slots = Arc::new(Semaphore::new(options.jobs.max(1)));
    let (results, mut queue) = mpsc::unbounded_channel();
    for (index, job) in jobs.iter().enumerate() {
        let (job, slots, results) = (job.clone(), Arc::clone(&slots), results.clone());
        let (tls, stop) = (tls.clone(), stop.clone());
        tokio::spawn(async move {
            let work = async {
                // The semaphore is never closed.
                let _slot = slots.acquire().await;
                judge::judge(&job, &tls, options.time_scale).await
            };
            // Stopping drops the instance, which kills its processes.
            if let Some(judged) = stop.run_until_cancelled(work).await {
                let _ = results.send((index, judged));
            }
        });
    }
    drop(results);
    let mut missing = vec![true; jobs.len()];
    while let Some((index, judged)) = queue.recv().await {
        missing[index] = false;
        each(&jobs[index], judged);
    }
    if stop.is_cancelled() {
        return false;
    }
    // A bug of the suite must not make a case disappear.
    for (job, _) in jobs.iter().zip(missing).filter(|(_, missing)| *missing) {
        each(
            job,
            job.without_run(Verdict::Harness, "the suite panicked".to_owned()),
        );
    }
    true
}

impl Job {
    pub(crate) fn id(&self) -> String {
        self.entry.run_id(self.transport)
    }

    /// A result without a run.
    fn without_run(&self, verdict: Verdict, reason: String) -> Judged {
        Judged {
            id: self.id(),
            file: self.entry.file.clone(),
            verdict,
            twin: None,
            reason: Some(reason),
            broken: None,
            remarks: Vec::new(),
            judged_rules: BTreeSet::new(),
            listed: None,
            transcript: None,
            log: String::new(),
            took: Duration::ZERO,
        }
    }
}

fn reason_to_skip(
    entry: &Entry,
    transport: Transport,
    subject: &Subject,
    rules: &[Rule],
    options: Options,
) -> Option<String> {
    let case = &entry.case;
    let beyond = case
        .rules
        .value
        .iter()
        .find(|id| rules.iter().any(|rule| rule.id == **id && !rule.is_wire()));
    if let Some(id) = beyond.filter(|_| !options.hardened) {
        return Some(format!("{id} is judged by --profile hardened only"));
    }
    if !subject.speaks(transport) {
        return Some(format!("it does not speak {transport}"));
    }
    let named = case.body.iter().find_map(|line| match line {
        Line::Step(Step {
            action: Action::Connect(Endpoint::Server(Some(named))),
            ..
        }) if !subject.speaks(*named) => Some(*named),
        Line::Step(_) | Line::Blank | Line::Comment(_) | Line::Repeat(_) => None,
    });
    if let Some(named) = named {
        return Some(format!("it does not speak {named}"));
    }
    let own_config = case
        .config
        .iter()
        .any(|setting| matches!(setting.value, Setting::Timeout(_)));
    if own_config && matches!(subject, Subject::Running(_)) {
        return Some(
            "it needs a configuration of its own, and the server is running already".to_owned(),
        );
    }
    None
}

/// The longest time that a case may wait for one step, in milliseconds.
fn waits(entry: &Entry) -> u32 {
    let bound = |line: &Line| match line {
        Line::Step(step) => step
            .within
            .and_then(|within| within.high.or(within.low))
            .unwrap_or(0),
        Line::Blank | Line::Comment(_) | Line::Repeat(_) => 0,
    };
    entry.case.body.iter().map(bound).sum()
}

#[cfg(test)]
mod tests;
