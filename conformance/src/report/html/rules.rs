//! The rules of a run: what is broken, how each stands with each subject, and the cases that tell.

use std::collections::{BTreeMap, BTreeSet};

use maud::{Markup, html};

use super::{Links, verdict};
use crate::html::inline;
use crate::report::model::{CaseResult, Report, RuleEntry, Standing};

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
                            (cases(report, links, &results))
                        }
                    }
                }
            }
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

/// How each rule stands with each subject.
pub(super) fn matrix(report: &Report) -> Markup {
    let mut areas: Vec<(&str, Vec<(&str, &RuleEntry)>)> = Vec::new();
    for rule in &report.rules {
        let (area, name) = rule.id.split_once('.').unwrap_or(("", &rule.id));
        match areas.iter_mut().find(|(known, _)| *known == area) {
            Some((_, rules)) => rules.push((name, rule)),
            None => areas.push((area, vec![(name, rule)])),
        }
    }
    // As wide as a name and a verdict for each subject.
    let width = format!("columns:{}rem", 12 + 6 * report.subjects.len());
    html! {
        section #matrix {
            h2 { "Matrix" }
            p.soft { "Each rule that a case of this run judges, and what its cases say together." }
            div.areas style=(width) {
                @for (area, rules) in &areas { div.scroll { (table(report, area, rules)) } }
            }
        }
    }
}

fn table(report: &Report, area: &str, rules: &[(&str, &RuleEntry)]) -> Markup {
    let subjects = &report.subjects;
    // A role is shorter than a name, and says as much where no two have the same.
    let roles: BTreeSet<&str> = subjects.iter().map(|one| one.role.as_str()).collect();
    let by_role = subjects.len() > 1 && roles.len() == subjects.len();
    html! {
        table {
            thead { tr {
                th scope="col" { (area) }
                @for subject in subjects {
                    th scope="col" title=(subject.name) { @if by_role { (subject.role) } @else { (subject.name) } }
                }
            } }
            tbody {
                @for (name, rule) in rules {
                    tr {
                        th scope="row" { a href={ "#" (rule.id) } title=(rule.id) { (name) } }
                        @for subject in subjects { td { (standing(rule, &subject.name)) } }
                    }
                }
            }
        }
    }
}

/// The rules with their sentences and cases.
pub(super) fn list(report: &Report, links: &Links) -> Markup {
    html! {
        section #rules {
            h2 { "Rules " span.soft { (report.rules.len()) } }
            @for rule in &report.rules {
                article.rule id=(rule.id) {
                    h3 { a href={ "#" (rule.id) } { (rule.id) } }
                    p.labels {
                        span.chip.strong { (rule.level) } " "
                        span.chip { (rule.subject) } " "
                        span.chip { (rule.origin) } " "
                        span.chip { (rule.profile) }
                    }
                    p { (inline(&rule.sentence)) }
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

fn standing(rule: &RuleEntry, subject: &str) -> Markup {
    let Some(standing) = rule.standing.get(subject) else {
        return html! { span.soft title="no case of this run judges it" { "·" } };
    };
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
