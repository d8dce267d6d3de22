//! Small elements that several sections share: verdicts and standings, links to rules, the order of results.

use maud::{Markup, html};
use netroxy_judge::verdict::Verdict;

use crate::html::inline;
use crate::report::model::{CaseResult, Counts, RuleEntry, Standing};

/// A verdict as a sign and a word, in the colour of how it counts.
pub(crate) fn verdict(result: &CaseResult) -> Markup {
    let (kind, sign) = look(result);
    html! { span class={ "chip strong " (kind) } { (sign) " " (result.verdict.key()) } }
}

/// The colour and the sign of a verdict.
pub(super) fn look(result: &CaseResult) -> (&'static str, &'static str) {
    match (result.counts, result.verdict) {
        (Counts::Failed, Verdict::Crash | Verdict::Hang) => ("bad", "⚡"),
        (Counts::Failed, _) => ("bad", "✕"),
        (Counts::Skipped, _) => ("none", "–"),
        (Counts::Passed, Verdict::Pass) => ("good", "✓"),
        (Counts::Passed, _) => ("warn", "~"),
    }
}

/// A standing as a sign and a word.
pub(crate) fn chip(standing: Standing) -> Markup {
    let (kind, sign) = match standing {
        Standing::Broken => ("bad", "✕"),
        Standing::Known => ("warn", "!"),
        Standing::Unjudged => ("bad", "?"),
        Standing::Nonstrict => ("warn", "~"),
        Standing::Kept => ("good", "✓"),
        Standing::Skipped => ("none", "–"),
    };
    html! { span class={ "chip " (kind) } { (sign) " " (standing.word()) } }
}

/// The id of a rule as a link to its section.
pub(super) fn rule_link(rule: &str) -> Markup {
    html! { a.rule-link href={ "#" (rule) } { (rule) } }
}

/// The reason for a rule.
pub(super) fn why(rule: &RuleEntry) -> Markup {
    html! {
        @if let Some(why) = &rule.rationale { p.why { b { "Why" } " " (inline(why)) } }
    }
}

/// The order of results: failures come first.
pub(super) fn rank(result: &CaseResult) -> u8 {
    match (result.counts, result.verdict) {
        (Counts::Failed, _) => 0,
        (Counts::Passed, Verdict::Pass) => 2,
        (Counts::Passed, _) => 1,
        (Counts::Skipped, _) => 3,
    }
}
