//! The rules of a run: what is broken and how that showed, how each stands with each subject, and the cases that tell.

use std::collections::{BTreeMap, BTreeSet};

use maud::{Markup, html};

use super::{Links, verdict};
use crate::html::inline;
use crate::report::model::{CaseResult, Evidence, Report, RuleEntry, Standing};
use crate::report::text::counted;

/// The rules that somebody breaks.
pub(super) fn broken(report: &Report, links: &Links) -> Markup {
    let broken = report.broken();
    html! {
        @if !broken.is_empty() {
            section #broken {
                h2 { "Broken rules " span.soft { (broken.len()) } }
                ul.broken {
                    @for (rule, results) in broken {
                        li {
                            p { a.id href={ "#" (rule.id) } { (rule.id) } " " span.chip { (rule.level) } }
                            p { (inline(&rule.sentence)) }
                            (why(rule))
                            (shown(report, links, rule, &results))
                        }
                    }
                }
            }
        }
    }
}

/// Why a rule is as it is.
pub(super) fn why(rule: &RuleEntry) -> Markup {
    html! {
        @if let Some(why) = &rule.rationale { p.why { b { "Why" } " " (inline(why)) } }
    }
}

/// What was expected, what came instead, and the cases that have seen it. What was seen more than once is told once.
fn shown(report: &Report, links: &Links, rule: &RuleEntry, results: &[&CaseResult]) -> Markup {
    let mut seen: Vec<(Evidence<'_>, Vec<&CaseResult>)> = Vec::new();
    for result in results {
        let Some(evidence) = result.evidence(&rule.id) else {
            continue;
        };
        match seen.iter_mut().find(|(known, _)| *known == evidence) {
            Some((_, same)) => same.push(result),
            None => seen.push((evidence, vec![result])),
        }
    }
    // What has shown most often comes first.
    seen.sort_by_key(|(_, same)| std::cmp::Reverse(same.len()));
    let (first, rest) = seen.split_at(seen.len().min(WHOLE));
    html! {
        @for (evidence, same) in first { (one_way(report, links, *evidence, same)) }
        @if !rest.is_empty() {
            details {
                summary { (rest.len()) " more" }
                @for (evidence, same) in rest { (one_way(report, links, *evidence, same)) }
            }
        }
    }
}

/// In so many ways a rule is seen broken at once; the rest unfolds.
const WHOLE: usize = 3;

fn one_way(
    report: &Report,
    links: &Links,
    (expected, got): Evidence<'_>,
    results: &[&CaseResult],
) -> Markup {
    html! {
        div.way {
            dl {
                @if let Some(expected) = expected { div { dt { "expected" } dd { code { (expected) } } } }
                div { dt { "got" } dd { (got) } }
            }
            (cases(report, links, results))
        }
    }
}

/// Links to results; where several subjects show the same case, each is a link of its own behind the case.
fn cases(report: &Report, links: &Links, results: &[&CaseResult]) -> Markup {
    let mut shown: BTreeMap<&str, Vec<(&str, &str)>> = BTreeMap::new();
    for (anchor, result) in links.each(report) {
        if results.iter().any(|one| std::ptr::eq(*one, result)) {
            let same = shown.entry(&result.id).or_default();
            same.push((anchor, &result.subject));
        }
    }
    let (single, several): (Vec<_>, Vec<_>) =
        shown.into_iter().partition(|(_, same)| same.len() == 1);
    html! {
        @if !single.is_empty() {
            p.cases {
                @for (id, same) in &single {
                    @for (anchor, subject) in same { a href={ "#" (anchor) } title=(subject) { (id) } " " }
                }
            }
        }
        @for (id, same) in &several {
            p.cases {
                (id) ": "
                @for (anchor, subject) in same { a href={ "#" (anchor) } { (subject) } " " }
            }
        }
    }
}

/// How each rule stands with each subject. What is as it should be is folded away, so that the rest is seen.
pub(super) fn matrix(report: &Report) -> Markup {
    let (mut open, mut folded) = (Vec::new(), BTreeMap::<Group, Vec<&RuleEntry>>::new());
    for rule in &report.rules {
        match Group::of(rule) {
            Some(group) => folded.entry(group).or_default().push(rule),
            None => open.push(rule),
        }
    }
    html! {
        section #matrix {
            h2 { "Matrix" }
            p.soft { "Each rule that a case of this run judges, and what its cases say together." }
            @if !open.is_empty() { div.scroll { (table(report, &open)) } }
            @for (group, rules) in &folded {
                details.group {
                    summary { span class={ "chip " (group.kind()) } { (group.words()) } " " (counted(rules.len(), "rule")) }
                    (names(rules))
                }
            }
        }
    }
}

/// Rules that nothing has to be told about but how many they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Group {
    Kept,
    /// By some subjects; with the others, no case was run.
    KeptOrSkipped,
    Skipped,
}

impl Group {
    fn of(rule: &RuleEntry) -> Option<Self> {
        let standings: BTreeSet<Standing> = rule.standing.values().copied().collect();
        match standings.into_iter().collect::<Vec<_>>()[..] {
            [Standing::Kept] => Some(Self::Kept),
            [Standing::Kept, Standing::Skipped] => Some(Self::KeptOrSkipped),
            [Standing::Skipped] => Some(Self::Skipped),
            _ => None,
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::Kept => "✓ kept",
            Self::KeptOrSkipped => "✓ kept or skipped",
            Self::Skipped => "– skipped",
        }
    }

    fn kind(self) -> &'static str {
        match self {
            Self::Kept | Self::KeptOrSkipped => "good",
            Self::Skipped => "none",
        }
    }
}

/// Links to rules, by their areas.
fn names(rules: &[&RuleEntry]) -> Markup {
    let mut areas: Vec<(&str, Vec<(&str, &RuleEntry)>)> = Vec::new();
    for rule in rules {
        let (area, name) = rule.id.split_once('.').unwrap_or(("", &rule.id));
        match areas.iter_mut().find(|(known, _)| *known == area) {
            Some((_, rules)) => rules.push((name, rule)),
            None => areas.push((area, vec![(name, rule)])),
        }
    }
    html! {
        dl.areas {
            @for (area, rules) in areas {
                div {
                    dt { (area) }
                    dd { @for (name, rule) in rules { a href={ "#" (rule.id) } title=(rule.sentence) { (name) } " " } }
                }
            }
        }
    }
}

fn table(report: &Report, rules: &[&RuleEntry]) -> Markup {
    let subjects = &report.subjects;
    // A role is shorter than a name, and says as much where no two have the same.
    let roles: BTreeSet<&str> = subjects.iter().map(|one| one.role.as_str()).collect();
    let by_role = roles.len() == subjects.len();
    html! {
        table.standings {
            thead { tr {
                th scope="col" { "rule" }
                @for subject in subjects {
                    th scope="col" title=(subject.name) { @if by_role { (subject.role) } @else { (subject.name) } }
                }
            } }
            tbody {
                @for rule in rules {
                    tr {
                        th scope="row" { a href={ "#" (rule.id) } title=(rule.sentence) { (rule.id) } }
                        @for subject in subjects { td { (standing(rule, &subject.name)) } }
                    }
                }
            }
        }
    }
}

/// The rules with their sentences and cases. The anchor is inside, because a browser unfolds what it has to show.
pub(super) fn list(report: &Report, links: &Links) -> Markup {
    html! {
        section #rules {
            h2 { "Rules " span.soft { (report.rules.len()) } }
            @for rule in &report.rules {
                details.rule open[Group::of(rule).is_none()] {
                    summary {
                        span.id { (rule.id) } " "
                        span.chip.strong { (rule.level) } " "
                        (standings(rule))
                    }
                    div.body id=(rule.id) {
                        div {
                            p.labels {
                                a href={ "#" (rule.id) } { "link" } " "
                                span.chip { (rule.subject) } " "
                                span.chip { (rule.origin) } " "
                                span.chip { (rule.profile) }
                            }
                            p { (inline(&rule.sentence)) }
                            (why(rule))
                        }
                        ul.results {
                            @for (anchor, result) in links.each(report).filter(|(_, one)| one.rules.contains(&rule.id)) {
                                li {
                                    (verdict(result)) " "
                                    a href={ "#" (anchor) } { (result.id) }
                                    @if report.subjects.len() > 1 { " " span.soft { (result.subject) } }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// How a rule stands with everybody, in short.
fn standings(rule: &RuleEntry) -> Markup {
    let mut counts: BTreeMap<Standing, usize> = BTreeMap::new();
    for standing in rule.standing.values() {
        *counts.entry(*standing).or_default() += 1;
    }
    html! {
        @for (standing, count) in counts {
            (chip(standing))
            @if rule.standing.len() > 1 { span.soft title="how many programs or pairs" { " × " (count) } }
            " "
        }
    }
}

fn standing(rule: &RuleEntry, subject: &str) -> Markup {
    match rule.standing.get(subject) {
        Some(standing) => chip(*standing),
        None => html! { span.soft title="no case of this run judges it" { "·" } },
    }
}

/// How a rule stands, as a sign and a word.
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
