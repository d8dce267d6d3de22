//! The sections of the rules: the broken ones, the matrix of standings, and each rule with its cases.

use std::collections::{BTreeMap, BTreeSet};

use maud::{Markup, html};

use super::chips::{chip, verdict, why};
use super::links::Links;
use crate::html::inline;
use crate::report::model::{CaseResult, Evidence, Report, RuleEntry, Standing};
use crate::report::text::counted;

/// The broken rules.
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

/// The expected steps, what came instead, and the cases that show it; equal evidence is shown once.
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
    // The most frequent evidence comes first.
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

/// How many different ways to break a rule are shown; the others are folded.
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

/// Links to results. If several subjects have the same case, the case is followed by a link for each subject.
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

/// The standing of each rule with each subject. Rules that were only kept or skipped are folded.
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
            p.soft { "Each rule that a case of this run judges, with its standing by all its cases." }
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

/// Rules that are folded into one line with their number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Group {
    Kept,
    /// Kept by some subjects, skipped by the others.
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

/// Links to rules, grouped by area.
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
    // A role is shorter than a name, and suffices if all subjects have different roles.
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

/// The rules with their sentences and cases. The anchor is inside, because a browser opens the element around the
/// target of a link.
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

/// The standings of a rule with all subjects, counted.
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
