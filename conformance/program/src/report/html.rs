//! One page with everything: the totals, the rules, and each case with what crossed the wire.

mod case;
mod pairs;
mod rules;

use std::collections::{BTreeMap, BTreeSet};

use maud::{Markup, html};
use netroxy_judge::verdict::Verdict;
pub(crate) use rules::chip;

use super::model::{CaseResult, Counts, Matrix, Meeting, ProgramEntry, Report};
use super::text::counted;
use crate::html::Page;

/// Follows the style that all pages share.
pub(crate) const STYLE: &str = include_str!("html/report.css");

/// Filters the cases.
pub(crate) const SCRIPT: &str = include_str!("html/report.js");

/// The page.
pub(crate) fn render(report: &Report) -> String {
    Page {
        title: &title(report),
        style: STYLE,
        script: SCRIPT,
        body: content(report, None),
    }
    .render()
}

/// The title of the page.
pub(crate) fn title(report: &Report) -> String {
    format!("Netroxy conformance: {}", judged(report))
}

/// What the page holds. Where each case has a page of its own, `pages` is how the addresses of these pages begin.
pub(crate) fn content(report: &Report, pages: Option<&'static str>) -> Markup {
    let links = Links::new(report, pages);
    html! {
        main {
            (head(report, &judged(report)))
            (stopped(report))
            (rules::broken(report, &links))
            (pairs::section(report, &links))
            (rules::matrix(report))
            (rules::list(report, &links))
            (case::list(report, &links))
        }
    }
}

/// A recording, in lanes.
pub(crate) fn recording(result: &CaseResult) -> Markup {
    case::own(result)
}

/// The anchors of the results and of the pairs, in their order.
struct Links {
    cases: Vec<String>,
    pairs: Vec<String>,
    /// How the addresses of the pages of cases begin, if they have any.
    pages: Option<&'static str>,
}

impl Links {
    fn new(report: &Report, pages: Option<&'static str>) -> Self {
        let cases = report.results.iter().map(|result| {
            let name = match report.subjects.len() {
                0 | 1 => result.id.clone(),
                _ => format!("{}:{}", result.subject, result.id),
            };
            format!("case:{name}")
        });
        let meetings = report.matrix.iter().flat_map(|matrix| &matrix.meetings);
        let pairs = meetings.map(|met| format!("pair:{}", met.subject));
        Self {
            cases: anchors(cases),
            pairs: anchors(pairs),
            pages,
        }
    }

    /// The results with their anchors.
    fn each<'a>(&'a self, report: &'a Report) -> impl Iterator<Item = (&'a str, &'a CaseResult)> {
        self.cases.iter().map(String::as_str).zip(&report.results)
    }

    /// Where a pair is told about.
    fn pair(&self, matrix: &Matrix, met: &Meeting) -> &str {
        let mut all = self.pairs.iter().zip(&matrix.meetings);
        let found = all.find(|(_, one)| std::ptr::eq(*one, met));
        found.map_or("pairs", |(anchor, _)| anchor)
    }
}

/// Names as anchors, each of which is used once.
fn anchors(names: impl Iterator<Item = String>) -> Vec<String> {
    let (mut anchors, mut known) = (Vec::new(), BTreeSet::new());
    for name in names {
        let anchor = name.replace(|c: char| !is_plain(c), "-");
        let more = (2..).map(|count| format!("{anchor}~{count}"));
        let mut tried = std::iter::once(anchor.clone()).chain(more);
        let free = tried.find(|one| !known.contains(one)).unwrap_or(anchor);
        known.insert(free.clone());
        anchors.push(free);
    }
    anchors
}

/// Characters that mean the same in an id and in a link.
fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-_./@:".contains(c)
}

/// Who was judged, in few words.
fn judged(report: &Report) -> String {
    if let Some(matrix) = &report.matrix {
        let (clients, servers) = (matrix.clients.len(), matrix.servers.len());
        let clients = counted(clients, "client");
        return format!("{clients} with {}", counted(servers, "server"));
    }
    let mut names: Vec<&str> = Vec::new();
    for subject in &report.subjects {
        let programs = match &subject.pair {
            // Both have been named already, as in a run of all three roles.
            Some(pair) if names.contains(&&*pair.client) && names.contains(&&*pair.server) => None,
            _ => Some(subject.name.as_str()),
        };
        names.extend(programs);
    }
    match names.is_empty() {
        true => "Nothing was judged".to_owned(),
        false => names.join(", "),
    }
}

fn head(report: &Report, judged: &str) -> Markup {
    let totals = report.totals;
    let parts = [
        ("good", totals.passed, "passed"),
        ("bad", totals.failed, "failed"),
        ("none", totals.skipped, "skipped"),
    ];
    let seed = report.seed.clone().map(|seed| ("seed", seed));
    let shard = report.shard.as_ref();
    let shard = shard.map(|shard| ("part", format!("{} of {}", shard.number, shard.of)));
    let facts = [
        ("specification", format!("v{}", report.spec)),
        (
            "profile",
            format!(
                "{}{}",
                report.profile,
                if report.strict { ", strict" } else { "" }
            ),
        ),
        (
            "started",
            report.started.replace('T', " ").replace('Z', " UTC"),
        ),
        ("took", format!("{:.1} s", report.seconds)),
        ("jobs", report.jobs.to_string()),
        ("time scale", report.time_scale.to_string()),
        (
            "judged by",
            format!("netroxy-conformance {}", report.version),
        ),
    ];
    html! {
        header {
            p.kicker { "Netroxy conformance" }
            h1 { (judged) }
            ul.totals {
                @for (kind, count, word) in parts {
                    li class=(kind) { b { (count) } " " (word) }
                }
            }
            (bar(report))
            (programs(report))
            dl.facts {
                @for (name, value) in facts.into_iter().chain(seed).chain(shard) { div { dt { (name) } dd { (value) } } }
            }
            nav aria-label="Contents" {
                @if !report.broken().is_empty() { a href="#broken" { "Broken rules" } " " }
                @if report.matrix.is_some() { a href="#pairs" { "Pairs" } " " }
                a href="#matrix" { "Matrix" } " "
                a href="#rules" { "Rules" } " "
                a href="#cases" { "Cases" }
            }
        }
    }
}

/// How much of a run each verdict is. Each that was given is wide enough to be seen, however rare it is.
fn bar(report: &Report) -> Markup {
    let mut parts: BTreeMap<(u8, u8), (&CaseResult, usize)> = BTreeMap::new();
    for result in &report.results {
        let order = Verdict::ALL.iter().zip(0_u8..);
        let order = order.filter(|(verdict, _)| **verdict == result.verdict);
        let place = order.map(|(_, place)| place).next().unwrap_or_default();
        // What is skipped has come to nothing, so it comes last.
        let last = u8::from(result.counts == Counts::Skipped);
        parts.entry((last, place)).or_insert((result, 0)).1 += 1;
    }
    html! {
        div.bar aria-hidden="true" {
            @for (result, count) in parts.values() {
                span class=(look(result).0) title={ (count) " " (result.verdict.key()) } style=(format!("flex-grow:{count}")) {}
            }
        }
        @if report.verdicts.len() > 1 {
            ul.verdicts {
                @for (result, count) in parts.values() { li { (verdict(result)) " " (count) } }
            }
        }
    }
}

/// What was judged, and what it runs.
fn programs(report: &Report) -> Markup {
    let mut programs: Vec<&ProgramEntry> = Vec::new();
    for program in report.subjects.iter().flat_map(|one| &one.programs) {
        if !programs.contains(&program) {
            programs.push(program);
        }
    }
    html! {
        @if !programs.is_empty() {
            dl.programs {
                @for program in programs {
                    div { dt { (program.role) } dd { b { (program.name) } " " span.soft { (program.runs) } } }
                }
                // In a matrix each pair says it for itself.
                @if report.matrix.is_none() {
                    @for subject in &report.subjects { div { dt { "called by" } dd { code { (subject.arguments) } } } }
                }
            }
        }
    }
}

fn stopped(report: &Report) -> Markup {
    html! {
        @if let (Some(words), None) = (report.ended.words(), &report.not_ready) {
            p.notice { b { "Ended early: " (words) "." } " " (report.results.len()) " of " (report.planned) " cases were judged." }
        }
        @if let Some(not_ready) = &report.not_ready {
            div.notice {
                p { b { (not_ready.subject) " never became ready." } " Nothing was judged." }
                pre { (not_ready.reason) }
            }
        }
    }
}

/// A verdict as a sign and a word, coloured by what it counts as.
pub(crate) fn verdict(result: &CaseResult) -> Markup {
    let (kind, sign) = look(result);
    html! { span class={ "chip strong " (kind) } { (sign) " " (result.verdict.key()) } }
}

/// The colour and the sign of a verdict.
fn look(result: &CaseResult) -> (&'static str, &'static str) {
    match (result.counts, result.verdict) {
        (Counts::Failed, Verdict::Crash | Verdict::Hang) => ("bad", "⚡"),
        (Counts::Failed, _) => ("bad", "✕"),
        (Counts::Skipped, _) => ("none", "–"),
        (Counts::Passed, Verdict::Pass) => ("good", "✓"),
        (Counts::Passed, _) => ("warn", "~"),
    }
}
