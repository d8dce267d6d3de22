//! A case on one transport against one subject, and the reason why it is skipped, if it is.

use std::sync::Arc;
use std::time::Duration;

use netroxy_specification::catalog::Entry;
use netroxy_specification::notation::ast::{Action, Case, Line, Low, Setting, Step, Transport};
use netroxy_specification::rules::Rule;

use super::in_play::InPlay;
use crate::manifest::CA_FILE;
use crate::skip::Skip;
use crate::sut::Subject;
use crate::times::Tempo;
use crate::verdict::{Judged, Unjudged};

/// How cases are run.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Whether all rules are judged, or only those of the wire profile.
    pub hardened: bool,
    /// How many cases are run at a time.
    pub jobs: usize,
    /// The factor of all deadlines.
    pub time_scale: f64,
    /// How long `still` is; `None` if the manifest decides.
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
    /// The transport of its connections.
    pub transport: Transport,
    /// The programs that are judged.
    pub subject: Arc<Subject>,
    /// Why it is not run, if it is not.
    pub skip: Option<Skip>,
    /// The deadlines.
    pub tempo: Tempo,
    /// How long `still` is.
    pub still: Duration,
    /// Which of several runs of the case, counted from 1; `None` when it is run once.
    pub round: Option<u32>,
    /// The register of the cases that are being played.
    pub in_play: InPlay,
    /// Whether a failed case of a pair is played once more to record the messages between the two programs.
    pub listens: bool,
    /// Whether it is played once more if a step was late because the machine stood still.
    pub excused: bool,
}

/// The jobs of these cases for a subject: one for each transport. Jobs that cannot be run have the reason in `skip`.
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

impl Job {
    /// The id of the case with its transport, and `#` with the number of the round if it is run several times.
    pub fn id(&self) -> String {
        let id = self.entry.run_id(self.transport);
        match self.round {
            Some(round) => format!("{id}#{round}"),
            None => id,
        }
    }

    /// The result of a job that is not judged.
    pub(super) fn unjudged(&self, why: Unjudged) -> Judged {
        Judged::unjudged(self.id(), self.entry.file.clone(), why)
    }
}

pub(super) fn reason_to_skip(
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

/// The sum of the waiting times of a job's case, in milliseconds, if each step uses its bound.
pub(super) fn waits(job: &Job) -> u64 {
    of_case(&job.entry.case, job.still)
}

/// How long a job waits on purpose before it is judged so. The verdict of a twin comes after the waits of both cases.
pub(super) fn planned(job: &Job, judged: &Judged) -> Duration {
    let twin = job.entry.twin.as_ref().filter(|_| judged.twin.is_some());
    let of_twin = twin.map_or(0, |(_, twin)| of_case(twin, job.still));
    Duration::from_millis(waits(job) + of_twin)
}

fn of_case(case: &Case, still: Duration) -> u64 {
    let still = u64::try_from(still.as_millis()).unwrap_or(u64::MAX);
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
    case.body.iter().map(of_line).sum()
}
