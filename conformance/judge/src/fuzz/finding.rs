//! What went wrong, and when two findings are the same.

use std::time::Duration;

use netroxy_specification::rules::Rule;

use super::Plan;
use super::act::Kind;
use super::hunt::Wanted;
use crate::verdict::{Judged, Verdict};

/// What makes two findings the same: verdict, rule, and kind of the broken step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) verdict: Verdict,
    pub(super) rule: String,
    step: String,
}

impl Key {
    /// Of what was played; nothing where that is as it should be.
    pub(super) fn of(judged: &Judged, wanted: &Wanted, rules: &[Rule]) -> Option<Self> {
        if !judged.verdict.is_red(wanted.strict) {
            return None;
        }
        let (marks, step) = match (&judged.broken, judged.remarks.first()) {
            (Some(broken), _) => (&broken.marks, broken.expected.to_string()),
            (None, Some(remark)) => (&remark.marks, remark.seen.clone()),
            (None, None) => return None,
        };
        let rule = marks.first().cloned().unwrap_or_default();
        let scored = |id: &str| rules.iter().any(|rule| rule.id == id && rule.is_wire());
        let fatal = matches!(judged.verdict, Verdict::Crash | Verdict::Hang);
        if !wanted.hardened && !fatal && !rule.is_empty() && !scored(&rule) {
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

    /// Whether a smaller session shows the same: its rule, or that the program is gone or hangs.
    pub(super) fn shows(&self, smaller: &Self) -> bool {
        let fatal = matches!(self.verdict, Verdict::Crash | Verdict::Hang);
        self.verdict == smaller.verdict && (fatal || self.rule == smaller.rule)
    }
}

/// Something that went wrong in a way that had not been seen before.
#[derive(Debug)]
pub(super) struct Catch {
    /// Up to the act that ended in it.
    pub(super) plan: Plan,
    /// Of which kind it is.
    pub(super) key: Key,
    /// What was seen.
    pub(super) judged: Judged,
    /// How long the hunt had gone on then.
    pub(super) after: Duration,
    /// How many sessions had been played then.
    pub(super) sessions: u64,
}

impl Catch {
    /// The kind of the act that ended in it, unless nearly everything needs such an act.
    pub(super) fn culprit(&self) -> Option<Kind> {
        let innocent = [Kind::Login, Kind::Map, Kind::Accept];
        let last = self.plan.acts.last().map(|act| act.kind);
        last.filter(|kind| !innocent.contains(kind))
    }
}

/// Such as `12.3 s  FAIL auth.once < closed`.
impl std::fmt::Display for Catch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let after = self.after.as_secs_f64();
        write!(f, "{after:6.1} s  {}", self.key)
    }
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} {}", self.verdict.name(), self.rule, self.step)
    }
}

/// Without the acts behind the broken step.
pub(super) fn truncated(plan: Plan, judged: &Judged) -> Plan {
    let Some(broken) = &judged.broken else {
        return plan;
    };
    // The case has no line `over` on plain connections.
    let reached = plan
        .modelled()
        .ends
        .iter()
        .position(|end| *end > broken.line);
    let count = reached.map_or(plan.acts.len(), |at| at + 1);
    plan.with(plan.acts[..count].to_vec())
}
