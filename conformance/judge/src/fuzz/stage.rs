//! Where sessions are played.

use std::sync::Arc;
use std::time::{Duration, Instant};

use netroxy_specification::catalog::{Entry, Origin};
use netroxy_specification::notation::ast::{Line, Noted, Transport};
use netroxy_specification::notation::{parse, print};
use tokio_util::sync::CancellationToken;

use super::Plan;
use super::hunt::Wanted;
use crate::run::{self, InPlay, Job, Options, Order};
use crate::sut::Subject;
use crate::times::Tempo;
use crate::verdict::Judged;
use crate::wire::Tls;

/// What all sessions of a hunt share.
#[derive(Debug)]
pub(super) struct Stage {
    pub(super) wanted: Wanted,
    pub(super) subject: Arc<Subject>,
    pub(super) tls: Tls,
    pub(super) tempo: Tempo,
    pub(super) stop: CancellationToken,
    pub(super) begun: Instant,
}

/// A session that was played.
#[derive(Debug)]
pub(crate) struct Played {
    pub(super) judged: Judged,
    /// How many steps its case has.
    pub(super) steps: u64,
    /// When it was over, since the hunt began.
    pub(super) after: Duration,
}

impl Stage {
    /// Plays some sessions at a time; with each result, how many steps its session has.
    pub(super) async fn play(&self, plans: &[Plan]) -> Vec<Option<Played>> {
        let mut results: Vec<Option<Played>> = plans.iter().map(|_| None).collect();
        let mut jobs = Vec::new();
        let mut steps = Vec::new();
        for (index, plan) in plans.iter().enumerate() {
            let entry = self.entry(plan, format!("{index}"), "");
            let is_step = |line: &&Line| matches!(line, Line::Step(_));
            steps.push(
                entry
                    .iter()
                    .flat_map(|one| &one.case.body)
                    .filter(is_step)
                    .count(),
            );
            jobs.extend(entry.map(|entry| self.job(entry)));
        }
        let each = |job: &Job, judged: Judged| {
            if let Ok(index) = job.entry.id.parse::<usize>() {
                let steps = u64::try_from(steps[index]).unwrap_or_default();
                results[index] = Some(Played {
                    judged,
                    steps,
                    after: self.begun.elapsed(),
                });
            }
            false
        };
        let options = self.options();
        run::run(jobs, &self.tls, options, Order::default(), &self.stop, each).await;
        results
    }

    pub(super) fn options(&self) -> Options {
        Options {
            hardened: true,
            jobs: self.wanted.jobs,
            time_scale: self.wanted.time_scale,
            still: None,
        }
    }

    pub(super) fn job(&self, entry: Entry) -> Job {
        Job {
            entry: Arc::new(entry),
            transport: self.wanted.transport,
            subject: Arc::clone(&self.subject),
            skip: None,
            tempo: self.tempo,
            still: self.subject.still(),
            round: None,
            in_play: InPlay::default(),
            listens: false,
            excused: true,
        }
    }

    /// The session as a case of this transport; nothing where the model has not written the notation.
    pub(super) fn entry(&self, plan: &Plan, id: String, file: &str) -> Option<Entry> {
        self.case(&plan.modelled().text, id, file)
    }

    pub(super) fn case(&self, text: &str, id: String, file: &str) -> Option<Entry> {
        let mut case = parse(text).ok()?;
        case.over = (self.wanted.transport == Transport::Tls).then(|| Noted {
            value: vec![Transport::Tls],
            comment: None,
        });
        Some(Entry {
            id,
            file: file.to_owned(),
            text: print(&case),
            case,
            twin: None,
            origin: Origin::File,
        })
    }
}
