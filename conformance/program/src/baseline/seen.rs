//! The text of a failure, without values that differ from run to run.

use netroxy_judge::steady::steady;
use netroxy_judge::verdict::{Judged, Verdict};
use serde::{Deserialize, Serialize};

/// A failure. The same failure always has the same text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    /// The verdict.
    pub(crate) verdict: VerdictName,
    /// The rules of the step, in the order of the case.
    pub(crate) rules: Vec<String>,
    /// The step, as written in the case.
    pub(crate) expected: String,
    /// What came instead, with times, ports, tokens and lengths masked.
    pub(crate) got: String,
}

/// A verdict that a list may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum VerdictName {
    Fail,
    Blocked,
    Crash,
    Hang,
    Nonstrict,
}

/// The names of the verdicts in a list.
pub(super) const VERDICTS: [(&str, VerdictName); 5] = [
    ("fail", VerdictName::Fail),
    ("blocked", VerdictName::Blocked),
    ("crash", VerdictName::Crash),
    ("hang", VerdictName::Hang),
    ("nonstrict", VerdictName::Nonstrict),
];

impl Seen {
    /// The failure of a result, as a list has it; `None` if there is none.
    pub(crate) fn of(judged: &Judged) -> Option<Self> {
        let verdict = match judged.verdict {
            Verdict::Fail => VerdictName::Fail,
            Verdict::Blocked => VerdictName::Blocked,
            Verdict::Crash => VerdictName::Crash,
            Verdict::Hang => VerdictName::Hang,
            Verdict::Nonstrict => VerdictName::Nonstrict,
            Verdict::Pass
            | Verdict::Skip
            | Verdict::KnownFailing
            | Verdict::UnexpectedPass
            | Verdict::NotReady
            | Verdict::Harness => return None,
        };
        if verdict == VerdictName::Nonstrict {
            return Some(Self::of_remarks(judged));
        }
        let reason = judged.why();
        let broken = judged.broken.as_ref();
        // It is a race which step detects that the program has ended.
        let broken = broken.filter(|_| verdict != VerdictName::Crash);
        let got = broken.map_or_else(String::new, |broken| broken.got.to_string());
        let both = match (got.is_empty(), reason.is_empty()) {
            (false, false) => format!("{got}; {reason}"),
            _ => format!("{got}{reason}"),
        };
        Some(Self {
            verdict,
            rules: broken.map_or_else(Vec::new, |broken| broken.marks.clone()),
            expected: broken.map_or_else(String::new, |broken| broken.expected.to_string()),
            got: steady(&both),
        })
    }

    fn of_remarks(judged: &Judged) -> Self {
        let mut rules: Vec<String> = Vec::new();
        let mut seen: Vec<String> = Vec::new();
        for remark in &judged.remarks {
            for mark in &remark.marks {
                if !rules.contains(mark) {
                    rules.push(mark.clone());
                }
            }
            seen.push(steady(&remark.seen));
        }
        Self {
            verdict: VerdictName::Nonstrict,
            rules,
            expected: String::new(),
            got: seen.join("; "),
        }
    }
}

impl VerdictName {
    /// The name in a list.
    pub(crate) fn name(self) -> &'static str {
        let found = VERDICTS.iter().find(|(_, verdict)| *verdict == self);
        found.map_or("", |(name, _)| name)
    }
}
