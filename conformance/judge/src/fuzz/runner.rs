//! Plays the sessions of a campaign.

use std::sync::Arc;
use std::time::{Duration, Instant};

use netroxy_specification::catalog::{Entry, Origin};
use netroxy_specification::notation::ast::{Case, Line, Noted, Transport};
use netroxy_specification::notation::print;
use tokio_util::sync::CancellationToken;

use super::model::model;
use super::plan::Plan;
use super::settings::CampaignSettings;
use crate::run::{self, InPlay, Job, Options, Order};
use crate::sut::Subject;
use crate::times::Tempo;
use crate::verdict::Judged;
use crate::wire::Tls;

/// What all sessions of a campaign share.
#[derive(Debug)]
pub(super) struct Runner {
    pub(super) settings: CampaignSettings,
    pub(super) subject: Arc<Subject>,
    pub(super) tls: Tls,
    pub(super) tempo: Tempo,
    pub(super) stop: CancellationToken,
    /// When the campaign began.
    pub(super) begun: Instant,
}

/// A session that was played.
#[derive(Debug)]
pub(super) struct PlayedSession {
    pub(super) judged: Judged,
    /// How many steps its case has, those of blocks not counted.
    pub(super) steps: u64,
    /// When it ended, since the campaign began.
    pub(super) after: Duration,
}

impl Runner {
    /// Plays these sessions, several at a time. The result of an interrupted session is `None`.
    pub(super) async fn play(&self, plans: &[Plan]) -> Vec<Option<PlayedSession>> {
        let mut results: Vec<Option<PlayedSession>> = plans.iter().map(|_| None).collect();
        let mut jobs = Vec::new();
        let mut steps = Vec::new();
        for (index, plan) in plans.iter().enumerate() {
            let entry = self.entry(model(plan).case, format!("{index}"), "");
            let is_step = |line: &&Line| matches!(line, Line::Step(_));
            steps.push(entry.case.body.iter().filter(is_step).count());
            jobs.push(self.job(entry));
        }
        let each = |job: &Job, judged: Judged| {
            if let Ok(index) = job.entry.id.parse::<usize>() {
                let steps = u64::try_from(steps[index]).unwrap_or_default();
                results[index] = Some(PlayedSession {
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
            jobs: self.settings.jobs,
            time_scale: self.settings.time_scale,
            still: None,
        }
    }

    pub(super) fn job(&self, entry: Entry) -> Job {
        Job {
            entry: Arc::new(entry),
            transport: self.settings.transport,
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

    /// A case of the campaign's transport.
    pub(super) fn entry(&self, mut case: Case, id: String, file: &str) -> Entry {
        case.over = (self.settings.transport == Transport::Tls).then(|| Noted {
            value: vec![Transport::Tls],
            comment: None,
        });
        Entry {
            id,
            file: file.to_owned(),
            text: print(&case),
            case,
            twin: None,
            origin: Origin::File,
        }
    }
}
