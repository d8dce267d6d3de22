//! A fuzzing campaign: plays sessions against a program and turns failures into findings that can be replayed.
//!
//! A campaign has three phases:
//!
//! 1. It plays sessions until the time or the number of sessions is used up. Each turn of the loop takes the next seeds
//!    and plays the quick sessions among them, `jobs` at a time. Long sessions wait most of their time, so they are
//!    played at the same time as the quick ones of this and later turns. Failures are grouped by their kind. Sessions
//!    with an act that has already failed are mostly skipped, because they would most likely fail there again.
//! 2. It plays the failures of each kind again. A failure that occurs 3 times of 3 is shrunk and becomes a finding. Any
//!    other failure is reported as not reproducible. Both are saved as a case.
//! 3. It looks for leaks, unless a number of sessions is set.

mod leaks;
mod reproduce;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use netroxy_specification::rules::Rule;
use tokio_util::sync::CancellationToken;

use super::act::ActKind;
use super::failure::{FailedSession, FailureKind, truncated};
use super::long_sessions::LongSessions;
use super::plan::Plan;
use super::runner::{PlayedSession, Runner};
use super::settings::CampaignSettings;
use crate::sut::Subject;
use crate::times::Tempo;
use crate::verdict::Verdict;
use crate::wire::Tls;

/// A running campaign.
#[derive(Debug)]
pub struct Campaign<'a> {
    runner: Arc<Runner>,
    rules: &'a [Rule],
    /// The kinds of failures so far, in the order in which they were found.
    failures: Vec<Failures>,
    /// The kinds of acts that have failed.
    failed_acts: BTreeSet<ActKind>,
    result: CampaignResult,
    /// The first case that cannot be saved, and why.
    unsaved: OnceLock<String>,
}

/// The failures of one kind.
#[derive(Debug)]
struct Failures {
    kind: FailureKind,
    /// How many sessions failed in this way.
    times: u64,
    /// The first of these sessions, at most [`TRIED_SESSIONS`].
    sessions: Vec<FailedSession>,
}

/// The result of a campaign.
#[derive(Debug, Clone, Default)]
pub struct CampaignResult {
    /// How many sessions were played, apart from those that reproduce and shrink failures.
    pub sessions: u64,
    /// The steps of these sessions.
    pub steps: u64,
    /// How many findings there are: failures that occurred 3 times of 3 again, and leaks.
    pub findings: u64,
    /// How many kinds of failures did not occur 3 times of 3 again.
    pub not_reproduced: u64,
    /// How many sessions failed.
    pub failed: u64,
    /// How many leaks there are.
    pub leaks: u64,
    /// How many sessions the suite could not play.
    pub unplayed: u64,
    /// How long the campaign took.
    pub took: Duration,
    /// Why the suite could not play some sessions.
    pub harness: Option<String>,
    /// The first case that cannot be saved, and why.
    pub unsaved: Option<String>,
    /// Whether a signal interrupted the campaign.
    pub interrupted: bool,
}

/// The current phase of a campaign.
#[derive(Debug, Clone, Copy)]
pub enum Progress<'a> {
    /// It plays new sessions.
    Playing(&'a CampaignResult),
    /// It reproduces and shrinks failures: the number of this one, and how many there are.
    Shrinking(usize, usize),
    /// It looks for leaks.
    Leaks,
}

impl fmt::Display for Progress<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Playing(result) => write!(
                f,
                "{} sessions, {} steps, {} failed",
                result.sessions, result.steps, result.failed
            ),
            Self::Shrinking(at, of) => write!(f, "playing failure {at} of {of} again"),
            Self::Leaks => f.write_str("looking for leaks"),
        }
    }
}

impl<'a> Campaign<'a> {
    /// A campaign that has played nothing yet. Its time begins now.
    pub fn new(
        settings: CampaignSettings,
        subject: Arc<Subject>,
        rules: &'a [Rule],
        tls: &Tls,
        tempo: Tempo,
        stop: CancellationToken,
    ) -> Self {
        let runner = Runner {
            settings,
            subject,
            tls: tls.clone(),
            tempo,
            stop,
            begun: Instant::now(),
        };
        Self {
            runner: Arc::new(runner),
            rules,
            failures: Vec::new(),
            failed_acts: BTreeSet::new(),
            result: CampaignResult::default(),
            unsaved: OnceLock::new(),
        }
    }

    /// Runs the campaign. `say` gets the text of each finding, `progress` the current phase.
    pub async fn run(
        mut self,
        mut say: impl FnMut(&str),
        mut progress: impl FnMut(Progress<'_>),
    ) -> CampaignResult {
        self.play(&mut say, &mut progress).await;
        say("\n");
        self.reproduce_all(&mut say, &mut progress).await;
        if self.runner.settings.runs.is_none() {
            progress(Progress::Leaks);
            self.find_leaks(&mut say).await;
        }
        self.result.took = self.runner.begun.elapsed();
        self.result.interrupted = self.runner.stop.is_cancelled();
        self.result.unsaved = self.unsaved.take();
        for failures in self.failures.iter().filter(|one| one.times > 1) {
            say(&format!("{} times: {}\n", failures.times, failures.kind));
        }
        self.result
    }

    /// Plays new sessions until time or number are used up, or until the campaign is interrupted.
    async fn play(&mut self, say: &mut impl FnMut(&str), progress: &mut impl FnMut(Progress<'_>)) {
        let mut next = self.runner.settings.seed;
        let mut long = LongSessions::default();
        progress(Progress::Playing(&self.result));
        loop {
            let plans = self.choose(&mut next);
            let over = plans.is_empty() || self.runner.stop.is_cancelled();
            let (slow, quick): (Vec<Plan>, Vec<Plan>) =
                plans.into_iter().partition(|plan| plan.long);
            long.start(&self.runner, slow);
            let played = self.runner.play(&quick).await;
            for (plan, played) in quick.into_iter().zip(played) {
                self.note(plan, played, say);
            }
            self.result.took = self.runner.begun.elapsed();
            progress(Progress::Playing(&self.result));
            // This bounds the load of the machine.
            let most = if over {
                0
            } else {
                LONG_PER_JOB * self.runner.settings.jobs
            };
            while let Some(ended) = long.ended(most).await {
                match ended {
                    Ok(sessions) => {
                        for (plan, played) in sessions {
                            self.note(plan, played, say);
                        }
                    }
                    Err(error) => {
                        self.result.harness = Some(format!("the suite panicked: {error}"));
                    }
                }
                self.result.took = self.runner.begun.elapsed();
                progress(Progress::Playing(&self.result));
            }
            if over {
                break;
            }
        }
    }

    /// Counts a session that was not interrupted, and keeps it if it has failed.
    fn note(&mut self, plan: Plan, played: Option<PlayedSession>, say: &mut impl FnMut(&str)) {
        let Some(PlayedSession {
            judged,
            steps,
            after,
        }) = played
        else {
            return;
        };
        self.result.sessions += 1;
        self.result.steps += steps;
        if matches!(judged.verdict, Verdict::Harness | Verdict::NotReady) {
            self.result.harness = judged.reason.map(|reason| reason.to_string());
            self.result.unplayed += 1;
            return;
        }
        let Some(kind) = FailureKind::of(&judged, &self.runner.settings, self.rules) else {
            return;
        };
        self.result.failed += 1;
        let session = FailedSession {
            plan: truncated(plan, &judged),
            kind,
            judged,
            after,
            sessions: self.result.sessions,
        };
        let mut failures = self.failures.iter_mut();
        if let Some(known) = failures.find(|known| known.kind == session.kind) {
            known.times += 1;
            if known.sessions.len() < TRIED_SESSIONS {
                known.sessions.push(session);
            }
        } else {
            say(&format!("      {session}\n"));
            self.failed_acts.extend(session.failed_act());
            self.failures.push(Failures {
                kind: session.kind.clone(),
                times: 1,
                sessions: vec![session],
            });
        }
    }

    /// The next sessions, as many as are played at a time; none if time or number are used up. Of the sessions with an
    /// act that has failed, only one in eight is played, so that these acts do not hide other findings.
    fn choose(&self, next: &mut u64) -> Vec<Plan> {
        let settings = &self.runner.settings;
        let over = settings
            .time
            .is_some_and(|time| self.runner.begun.elapsed() >= time);
        let mut plans = Vec::new();
        let mut tries = 0;
        while plans.len() < settings.jobs && !over {
            if settings
                .runs
                .is_some_and(|runs| next.wrapping_sub(settings.seed) >= runs)
            {
                break;
            }
            let plan = Plan::of(settings.side, *next);
            *next = next.wrapping_add(1);
            tries += 1;
            let mut acts = plan.acts.iter();
            let has_failed = acts.any(|act| self.failed_acts.contains(&act.kind));
            let skipped = has_failed && !next.is_multiple_of(8);
            // With a number of sessions, the seed alone decides which sessions are played.
            if settings.runs.is_some() || !skipped || tries > MAX_SKIPPED {
                plans.push(plan);
            }
        }
        plans
    }
}

/// How many long sessions are played at the same time, for each job.
const LONG_PER_JOB: usize = 3;

/// How many sessions of a failure are kept: one of them may be easier to reproduce than another.
const TRIED_SESSIONS: usize = 3;

/// After how many seeds the campaign skips no further session of a turn.
const MAX_SKIPPED: u32 = 4000;
