//! Failed sessions, and when two failures are of the same kind.

use std::fmt;
use std::time::Duration;

use netroxy_specification::rules::Rule;

use super::act::ActKind;
use super::model::model;
use super::plan::Plan;
use super::settings::CampaignSettings;
use crate::verdict::{Judged, Verdict};

/// The kind of a failure: verdict, rule, and kind of the broken step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FailureKind {
    pub(super) verdict: Verdict,
    /// The first rule of the broken step; empty if it has none.
    pub(super) rule: String,
    step: String,
}

impl FailureKind {
    /// The kind of a played session's failure; `None` if it has passed, or if the failure does not count.
    pub(super) fn of(judged: &Judged, settings: &CampaignSettings, rules: &[Rule]) -> Option<Self> {
        if !judged.verdict.is_red(settings.strict) {
            return None;
        }
        let (marks, step) = match (&judged.broken, judged.remarks.first()) {
            (Some(broken), _) => (&broken.marks, broken.expected.to_string()),
            (None, Some(remark)) => (&remark.marks, remark.seen.clone()),
            (None, None) => return None,
        };
        let rule = marks.first().cloned().unwrap_or_default();
        let is_wire = |id: &str| rules.iter().any(|rule| rule.id == id && rule.is_wire());
        let fatal = matches!(judged.verdict, Verdict::Crash | Verdict::Hang);
        if !settings.hardened && !fatal && !rule.is_empty() && !is_wire(&rule) {
            return None;
        }
        let mut words = step.split_whitespace().skip(1);
        let verb = words.next().unwrap_or_default();
        let step = match verb {
            "<" => format!("< {}", words.next().unwrap_or_default()),
            verb => verb.to_owned(),
        };
        Some(Self {
            verdict: judged.verdict,
            rule,
            step,
        })
    }

    /// Whether the failure of a smaller session shows the same: it also crashes or hangs, or breaks the same rule.
    pub(super) fn is_shown_by(&self, smaller: &Self) -> bool {
        let fatal = matches!(self.verdict, Verdict::Crash | Verdict::Hang);
        self.verdict == smaller.verdict && (fatal || self.rule == smaller.rule)
    }
}

/// Such as `FAIL auth.once < closed`.
impl fmt::Display for FailureKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.verdict.name(), self.rule, self.step)
    }
}

/// A session that has failed.
#[derive(Debug)]
pub(super) struct FailedSession {
    /// Its acts up to the one that failed.
    pub(super) plan: Plan,
    pub(super) kind: FailureKind,
    /// The result.
    pub(super) judged: Judged,
    /// When it ended, since the campaign began.
    pub(super) after: Duration,
    /// How many sessions had been played then.
    pub(super) sessions: u64,
}

impl FailedSession {
    /// The kind of the act that failed, unless nearly all sessions need such acts.
    pub(super) fn failed_act(&self) -> Option<ActKind> {
        let needed = [ActKind::Login, ActKind::Map, ActKind::ArsTrue];
        let last = self.plan.acts.last().map(|act| act.kind);
        last.filter(|kind| !needed.contains(kind))
    }
}

/// Such as `12.3 s  FAIL auth.once < closed`.
impl fmt::Display for FailedSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let after = self.after.as_secs_f64();
        write!(f, "{after:6.1} s  {}", self.kind)
    }
}

/// The plan without the acts after the broken step.
pub(super) fn truncated(plan: Plan, judged: &Judged) -> Plan {
    let Some(broken) = &judged.broken else {
        return plan;
    };
    // `ends` counts the line `over`, which the case of a plain session does not have. So a step in the last line of an
    // act has a number below its end.
    let ends = model(&plan).ends;
    let reached = ends.iter().position(|end| *end > broken.line);
    let count = reached.map_or(plan.acts.len(), |at| at + 1);
    plan.with(plan.acts[..count].to_vec())
}
