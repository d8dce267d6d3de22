//! Reproduces, shrinks and saves failures.

use netroxy_specification::notation;

use super::{Campaign, Failures, Progress};
use crate::fuzz::failure::{FailedSession, FailureKind};
use crate::fuzz::model::model;
use crate::fuzz::plan::Plan;
use crate::fuzz::shrink::shrink;
use crate::verdict::{Judged, Verdict};

impl Campaign<'_> {
    /// Reproduces the failures of each kind, three kinds at a time: most of the time is spent waiting for deadlines.
    pub(super) async fn reproduce_all(
        &mut self,
        say: &mut impl FnMut(&str),
        progress: &mut impl FnMut(Progress<'_>),
    ) {
        let mut rest = self.failures.iter();
        let mut at = 0;
        while let Some(first) = rest.next() {
            progress(Progress::Shrinking(at + 1, self.failures.len()));
            at += 3;
            let (second, third) = (rest.next(), rest.next());
            let each = tokio::join!(
                self.reproduce_any(Some(first)),
                self.reproduce_any(second),
                self.reproduce_any(third)
            );
            for (text, reproduced) in [each.0, each.1, each.2].into_iter().flatten() {
                self.result.findings += u64::from(reproduced);
                self.result.not_reproduced += u64::from(!reproduced);
                say(&text);
            }
        }
    }

    /// Reproduces the first session that fails again, else reports the last one. Returns the text for the report, and
    /// whether it was reproduced.
    async fn reproduce_any(&self, failures: Option<&Failures>) -> Option<(String, bool)> {
        let mut found = None;
        for session in &failures?.sessions {
            let (text, reproduced) = self.reproduce(session).await;
            found = Some((text, reproduced));
            if reproduced {
                break;
            }
        }
        found
    }

    /// Reproduces, shrinks and saves a failure. Returns the text for the report, and whether the failure occurred 3
    /// times of 3.
    async fn reproduce(&self, session: &FailedSession) -> (String, bool) {
        let FailedSession {
            plan,
            kind,
            judged,
            after,
            sessions,
        } = session;
        let found = format!(
            "found after {:.1} s and {sessions} sessions, seed {}",
            after.as_secs_f64(),
            plan.seed
        );
        if self.runner.stop.is_cancelled() {
            let text = self.save(plan, kind, judged);
            return (
                format!("{text}           {found}, not reproduced: interrupted\n\n"),
                false,
            );
        }
        // A crash may be a race, which does not occur each time.
        let tries = match kind.verdict {
            Verdict::Crash => CRASH_TRIES,
            _ => 1,
        };
        let (again, plays) = self.failing(&vec![plan.clone(); 3], kind, tries).await;
        let times = again.iter().flatten().count();
        if times < 3 {
            let text = self.save(plan, kind, judged);
            return (
                format!(
                    "{text}           {found}, occurred {times} times in {plays} plays: not reproducible\n\n"
                ),
                false,
            );
        }
        let fewer = if plays > 3 { tries / 2 } else { 1 };
        let small = shrink(plan.clone(), async |plans: &[Plan]| {
            let (failing, _) = self.failing(plans, kind, fewer).await;
            failing.iter().map(Option::is_some).collect()
        })
        .await;
        let (last, played) = self.failing(&vec![small.clone(); 3], kind, tries).await;
        let (small, judged, plays) = match last.into_iter().collect::<Option<Vec<_>>>() {
            Some(three) => {
                let first = three.into_iter().next();
                (&small, first.unwrap_or_else(|| judged.clone()), played)
            }
            // The smaller session does not fail each time.
            None => (plan, judged.clone(), plays),
        };
        let text = self.save(small, kind, &judged);
        let (acts, before) = (small.acts.len(), Plan::of(plan.side, plan.seed).acts.len());
        (
            format!(
                "{text}           {found}, reproduced 3 times in {plays} plays, {acts} of {before} acts\n\n"
            ),
            true,
        )
    }

    /// Plays each plan until it shows this failure, up to `tries` times. Returns the results that show it, and the
    /// number of plays.
    async fn failing(
        &self,
        plans: &[Plan],
        kind: &FailureKind,
        tries: usize,
    ) -> (Vec<Option<Judged>>, usize) {
        let shows = |judged: &Judged| {
            FailureKind::of(judged, &self.runner.settings, self.rules)
                .is_some_and(|found| kind.is_shown_by(&found))
        };
        let mut failing: Vec<Option<Judged>> = plans.iter().map(|_| None).collect();
        let mut plays = 0;
        for _ in 0..tries {
            let missing: Vec<usize> = (0..plans.len())
                .filter(|at| failing[*at].is_none())
                .collect();
            if missing.is_empty() {
                break;
            }
            plays += missing.len();
            // A race needs all cores.
            let together = if tries > 1 { 1 } else { missing.len() };
            for some in missing.chunks(together) {
                let chosen: Vec<Plan> = some.iter().map(|at| plans[*at].clone()).collect();
                for (at, played) in some.iter().zip(self.runner.play(&chosen).await) {
                    failing[*at] = played.map(|one| one.judged).filter(shows);
                }
            }
        }
        (failing, plays)
    }

    /// Saves the case of a failure. Returns the text for the report.
    fn save(&self, plan: &Plan, kind: &FailureKind, judged: &Judged) -> String {
        let rule = match kind.rule.as_str() {
            "" => "no-rule".to_owned(),
            rule => rule.replace('.', "-"),
        };
        let fatal = match kind.verdict {
            Verdict::Crash => "crash-",
            Verdict::Hang => "hang-",
            _ => "",
        };
        let settings = &self.runner.settings;
        let name = format!("{}-{fatal}{rule}-{}.case", settings.side, plan.seed);
        let path = settings.out.path(&name);
        let file = path.to_string_lossy().into_owned();
        let mut entry = self.runner.entry(model(plan).case, rule, &file);
        // `fuzz merge` compares findings by this comment.
        entry.case.title.comment = Some(kind.to_string());
        entry.text = notation::print(&entry.case);
        let saved = settings.out.save(&name, &entry.text);
        let job = self.runner.job(entry);
        let judged = Judged {
            id: job.entry.id.clone(),
            file,
            ..judged.clone()
        };
        let text = settings.out.report(&job, &judged, self.runner.options());
        match saved {
            Ok(()) => text,
            Err(error) => {
                let why = format!("{}: {error}", path.display());
                let text = format!("{text}           cannot be saved: {why}\n");
                self.unsaved.get_or_init(|| why);
                text
            }
        }
    }
}

/// How many times a session that crashes is played for each time that it must crash again.
const CRASH_TRIES: usize = 8;
