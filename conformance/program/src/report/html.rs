//! The report as an HTML page: the totals, the rules, and each case with its transcript.

mod case;
mod chips;
mod links;
mod pairs;
mod rules;

use std::collections::BTreeMap;

pub(crate) use case::recording;
use chips::look;
pub(crate) use chips::{chip, verdict};
use links::Links;
use maud::{Markup, html};
use netroxy_judge::verdict::Verdict;

use super::model::{CaseResult, Counts, ProgramEntry, Report};
use super::text::counted;
use crate::html::Page;

/// The style of the page, after the shared style.
pub(crate) const STYLE: &str = include_str!("html/report.css");

/// The script that filters the cases.
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

/// The content of the page. If each case has its own page, `pages` is the beginning of the addresses of these pages.
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

/// The judged subjects in a few words.
fn judged(report: &Report) -> String {
    if let Some(matrix) = &report.matrix {
        let (clients, servers) = (matrix.clients.len(), matrix.servers.len());
        let clients = counted(clients, "client");
        return format!("{clients} with {}", counted(servers, "server"));
    }
    let mut names: Vec<&str> = Vec::new();
    for subject in &report.subjects {
        let programs = match &subject.pair {
            // Both programs were named already, as in a run of all three roles.
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

/// A bar with the share of each verdict. Each part has a minimum width.
fn bar(report: &Report) -> Markup {
    let mut parts: BTreeMap<(u8, u8), (&CaseResult, usize)> = BTreeMap::new();
    for result in &report.results {
        let order = Verdict::ALL.iter().zip(0_u8..);
        let order = order.filter(|(verdict, _)| **verdict == result.verdict);
        let place = order.map(|(_, place)| place).next().unwrap_or_default();
        // Skipped cases come last.
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

/// The judged programs, and their commands.
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
                // In a matrix, each pair has its own arguments.
                @if report.matrix.is_none() {
                    @for subject in &report.subjects { div { dt { "arguments" } dd { code { (subject.arguments) } } } }
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
