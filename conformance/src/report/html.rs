//! One page with everything: the totals, the rules, and each case with what crossed the wire.

mod case;
mod pairs;
mod rules;

use maud::{Markup, html};

use super::model::{CaseResult, Counts, Report};
use super::text::counted;
use crate::html::Page;
use crate::verdict::Verdict;

/// The page.
pub(crate) fn render(report: &Report) -> String {
    let links = Links::new(report);
    let judged = judged(report);
    let title = format!("Netroxy conformance: {judged}");
    let body = html! {
        main {
            (head(report, &judged))
            (stopped(report))
            (rules::broken(report, &links))
            (pairs::section(report, &links))
            (rules::matrix(report))
            (rules::list(report, &links))
            (case::list(report, &links))
        }
    };
    let (style, script) = (
        include_str!("html/report.css"),
        include_str!("html/report.js"),
    );
    Page {
        title: &title,
        style,
        script,
        body,
    }
    .render()
}

/// The anchors of the results, in their order.
struct Links(Vec<String>);

impl Links {
    fn new(report: &Report) -> Self {
        let mut anchors: Vec<String> = Vec::new();
        for result in &report.results {
            let name = match report.subjects.len() {
                0 | 1 => result.id.clone(),
                _ => format!("{}:{}", result.subject, result.id),
            };
            let anchor = format!("case:{}", name.replace(|c: char| !is_plain(c), "-"));
            let same = |tried: &String| anchors.contains(tried);
            let anchor = match same(&anchor) {
                false => anchor,
                true => (2..)
                    .map(|count| format!("{anchor}~{count}"))
                    .find(|tried| !same(tried))
                    .unwrap_or(anchor),
            };
            anchors.push(anchor);
        }
        Self(anchors)
    }

    /// The results with their anchors.
    fn each<'a>(&'a self, report: &'a Report) -> impl Iterator<Item = (&'a str, &'a CaseResult)> {
        self.0.iter().map(String::as_str).zip(&report.results)
    }
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
        ("program", format!("netroxy-conformance {}", report.version)),
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
            div.bar aria-hidden="true" {
                @for (kind, count, _) in parts {
                    @if count > 0 { span class=(kind) style=(format!("flex-grow:{count}")) {} }
                }
            }
            dl.facts {
                @for subject in &report.subjects {
                    div { dt { (subject.role) } dd { code { (subject.arguments) } } }
                }
                @for (name, value) in facts.into_iter().chain(seed) { div { dt { (name) } dd { (value) } } }
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
fn verdict(result: &CaseResult) -> Markup {
    let (kind, sign) = match (result.counts, result.verdict) {
        (Counts::Failed, Verdict::Crash | Verdict::Hang) => ("bad", "⚡"),
        (Counts::Failed, _) => ("bad", "✕"),
        (Counts::Skipped, _) => ("none", "–"),
        (Counts::Passed, Verdict::Pass) => ("good", "✓"),
        (Counts::Passed, _) => ("warn", "~"),
    };
    html! { span class={ "chip strong " (kind) } { (sign) " " (result.verdict.key()) } }
}
