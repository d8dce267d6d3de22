//! The pages. All texts are escaped, because reports hold bytes of judged programs.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use maud::{Markup, html};
use netroxy_judge::sut::Subject;
use netroxy_specification::catalog::Entry;
use netroxy_specification::rules::Rule;

use super::plays::Play;
use super::runs::{Place, Run, Runs};
use super::sides::sides;
use crate::html::{document, encoded, inline};
use crate::report::Report;
use crate::report::html::{chip, content, recording, title, verdict};

/// A page.
pub(super) type Html = axum::response::Html<String>;

/// The beginning of the addresses of the pages of cases.
const CASES: &str = "/cases/";

fn page(title: &str, script: Option<&str>, content: &Markup) -> Html {
    let head = html! {
        link rel="icon" href="data:,";
        link rel="stylesheet" href="/style.css";
        @if let Some(script) = script { script defer src=(script) {} }
    };
    let body = html! {
        header.site { nav aria-label="Pages" {
            a href="/" { "Runs" } " "
            a href="/matrix" { "Matrix" } " "
            a href="/rules" { "Rules" } " "
            a href="/cases" { "Cases" } " "
            a href="/spec" { "Specification" }
        } }
        (content)
    };
    axum::response::Html(document(title, &head, &body).into_string())
}

/// An error page.
#[derive(Debug)]
pub(super) struct Refusal {
    code: StatusCode,
    why: String,
}

pub(super) fn error(code: StatusCode, why: &str) -> Refusal {
    Refusal {
        code,
        why: why.to_owned(),
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let head = self.code.canonical_reason().unwrap_or("Error");
        let body = html! { main { h1 { (head) } p.reason { (self.why) } } };
        (self.code, page("Netroxy conformance", None, &body)).into_response()
    }
}

/// All runs, the latest first.
pub(super) fn index(runs: &Runs, going: &[Arc<Play>]) -> Html {
    let body = html! {
        main {
            h1 { "Runs" }
            @if !going.is_empty() {
                p { "Played now: " @for play in going { a href={ "/plays/" (play.number) } { (play.request.entry.id) } " " } }
            }
            @if runs.0.is_empty() {
                p { "There is no report in this folder yet. " code { "netroxy-conformance run --report json:PATH" } " writes one." }
            } @else {
                div.scroll { table.runs {
                    thead { tr {
                        @for head in ["run", "passed", "failed", "skipped", "judged", "started", ""] { th scope="col" { (head) } }
                    } }
                    tbody { @for run in &runs.0 { (row(run)) } }
                } }
            }
        }
    };
    page("Netroxy conformance: runs", None, &body)
}

fn row(run: &Run) -> Markup {
    let name = &run.name;
    html! {
        tr {
            @match &run.report {
                Err(why) => { th scope="row" { (name) } td colspan="6" { (why) } },
                Ok(report) => {
                    th scope="row" { a href={ "/runs/" (encoded(name)) } { (name) } }
                    td { (report.totals.passed) }
                    td { @if report.totals.failed > 0 { span.chip.bad { (report.totals.failed) } } @else { "0" } }
                    td { (report.totals.skipped) }
                    td { @for subject in &report.subjects { div { (subject.name) } } }
                    td { (report.started) }
                    td {
                        @if let Some(words) = report.ended.words() { (words) " " }
                        @if let Some(shard) = &report.shard { "part " (shard.number) " of " (shard.of) }
                    }
                },
            }
        }
    }
}

/// The report of a run.
pub(super) fn run(name: &str, report: &Report) -> Html {
    page(
        &format!("{name}: {}", title(report)),
        Some("/report.js"),
        &content(report, Some(CASES)),
    )
}

/// The standing of each rule with each subject, from the latest run that judged it.
pub(super) fn matrix(runs: &Runs, rules: &[Rule]) -> Html {
    let latest = runs.latest();
    let judged = |rule: &&Rule| {
        let mut subjects = latest.iter();
        subjects.any(|(subject, _)| runs.standing(&rule.id, subject).is_some())
    };
    let judged: Vec<&Rule> = rules.iter().filter(judged).collect();
    let body = html! {
        main {
            h1 { "Matrix" }
            p.soft { "The standing of each rule with each program, from the latest run that judged it." }
            @for (run, report) in runs.reports().filter(|(_, report)| report.matrix.is_some()) {
                p { a href={ "/runs/" (encoded(run)) "#pairs" } { "Every client with every server in " (run) } " " span.soft { (report.started) } }
            }
            @if judged.is_empty() { p { "No run has judged a rule yet." } }
            @else {
                div.scroll { table.standings {
                    thead { tr {
                        th scope="col" { "rule" }
                        @for (subject, run) in &latest { th scope="col" { a href={ "/runs/" (encoded(run)) } { (subject) } } }
                    } }
                    tbody { @for rule in judged { tr {
                        th scope="row" { a href={ "/rules/" (encoded(&rule.id)) } title=(rule.text) { (rule.id) } }
                        @for (subject, _) in &latest {
                            td { @if let Some((run, standing)) = runs.standing(&rule.id, subject) { a href={ "/runs/" (encoded(run)) "#" (rule.id) } { (chip(standing)) } } }
                        }
                    } } }
                } }
            }
        }
    };
    page("Netroxy conformance: matrix", None, &body)
}

/// All rules with their sentences.
pub(super) fn rules(rules: &[Rule], entries: &[Arc<Entry>]) -> Html {
    let mut sections: Vec<(&str, Vec<&Rule>)> = Vec::new();
    for rule in rules {
        match sections.last_mut() {
            Some((section, rules)) if *section == rule.section => rules.push(rule),
            _ => sections.push((&rule.section, vec![rule])),
        }
    }
    let cases = |rule: &Rule| {
        entries
            .iter()
            .filter(|entry| entry.case.rules.value.contains(&rule.id))
            .count()
    };
    let body = html! {
        main {
            h1 { "Rules " span.soft { (rules.len()) } }
            @for (section, rules) in sections {
                h2 { (section) }
                @for rule in rules {
                    p {
                        a.id href={ "/rules/" (encoded(&rule.id)) } { (rule.id) } " " span.chip { (rule.level) } " "
                        span.soft { (cases(rule)) " cases" } br; (inline(&rule.text))
                    }
                }
            }
        }
    };
    page("Netroxy conformance: rules", None, &body)
}

/// A rule, its standing with all subjects, and the cases that judge it.
pub(super) fn rule(runs: &Runs, rule: &Rule, entries: &[Arc<Entry>]) -> Html {
    let cases = entries
        .iter()
        .filter(|entry| entry.case.rules.value.contains(&rule.id));
    let cases: Vec<&Arc<Entry>> = cases.collect();
    let body = html! {
        main {
            h1 { (rule.id) }
            p.labels {
                span.chip.strong { (rule.level) } " " span.chip { (rule.subject) } " " span.chip { (rule.origin) } " "
                a href={ "/spec#" (rule.id) } { "in the specification" }
            }
            p { (inline(&rule.text)) }
            @if let Some(why) = &rule.rationale { p.why { b { "Why" } " " (inline(why)) } }
            @if let Some(why) = &rule.unjudged { p { "No case judges it: " (inline(why)) } }
            @for (subject, _) in runs.latest() {
                @if let Some((run, standing)) = runs.standing(&rule.id, subject) {
                    p { (chip(standing)) " " a href={ "/runs/" (encoded(run)) "#" (rule.id) } { (subject) } }
                }
            }
            h2 { "Cases " span.soft { (cases.len()) } }
            @for entry in cases { details.case {
                summary { span.id { (entry.id) } " " span.title { (entry.case.title.value) } }
                div.body { p { a href={ (CASES) (encoded(&entry.id)) } { "results, and play it" } } pre { (entry.text) } }
            } }
        }
    };
    page(&rule.id, None, &body)
}

/// All cases, by their folders.
pub(super) fn cases(entries: &[Arc<Entry>]) -> Html {
    let mut folders: BTreeMap<&str, Vec<&Entry>> = BTreeMap::new();
    for entry in entries {
        let folder = entry.id.rsplit_once('/').map_or("", |(folder, _)| folder);
        folders.entry(folder).or_default().push(entry);
    }
    let body = html! {
        main {
            h1 { "Cases " span.soft { (entries.len()) } }
            @for (folder, entries) in folders {
                h2 { (folder) }
                ul.results { @for entry in entries {
                    li { a href={ (CASES) (encoded(&entry.id)) } { (entry.id) } " " span.soft { (entry.case.title.value) } }
                } }
            }
        }
    };
    page("Netroxy conformance: cases", None, &body)
}

/// A case, its results in all runs, and a form to play it.
pub(super) fn case(
    runs: &Runs,
    id: &str,
    entry: Option<(&Entry, &[Arc<Subject>])>,
    token: &str,
) -> Html {
    let places: Vec<Place<'_>> = runs.of_case(id).collect();
    let body = html! {
        main {
            h1 { (id) }
            @match entry {
                None => p.soft { "This program does not have the case." },
                Some((entry, subjects)) => {
                    p { (entry.case.title.value) }
                    p.labels { @for rule in &entry.case.rules.value { a.rule-link href={ "/rules/" (encoded(rule)) } { (rule) } " " } }
                    (play_form(entry, subjects, token))
                    details { summary { "The case" } pre { (entry.text) } }
                }
            }
            h2 { "Results " span.soft { (places.len()) } }
            @if places.is_empty() { p { "No run has played it." } } @else { (results(&places)) }
        }
    };
    page(id, None, &body)
}

fn play_form(entry: &Entry, subjects: &[Arc<Subject>], token: &str) -> Markup {
    let role = entry.case.role.value;
    html! {
        form.play method="post" action="/play" {
            input type="hidden" name="token" value=(token);
            input type="hidden" name="case" value=(entry.id);
            label { "against " select name="subject" {
                @for subject in subjects.iter().filter(|subject| subject.role() == role) {
                    option value=(subject.name()) { (subject.name()) }
                }
            } } " "
            label { "over " select name="transport" {
                @for transport in entry.transports() { option value=(transport) { (transport) } }
            } } " "
            button { "Play it now" }
        }
    }
}

/// The results, with a form to compare two of them. At first the latest result and the latest of another program are
/// chosen.
fn results(places: &[Place<'_>]) -> Markup {
    let second = other_program(places).unwrap_or_else(|| places.len().min(2) - 1);
    html! {
        form.two method="get" action="/compare" {
            div.scroll { table {
                thead { tr { @for head in ["left", "right", "verdict", "program", "run", "took", "what came"] { th scope="col" { (head) } } } }
                tbody { @for (at, place) in places.iter().enumerate() {
                    @let address = place.address();
                    tr {
                        td { input type="radio" name="left" value=(address) checked[at == 0] aria-label={ "left: " (address) }; }
                        td { input type="radio" name="right" value=(address) checked[at == second] aria-label={ "right: " (address) }; }
                        td { (verdict(place.result)) }
                        td { (place.result.subject) " " span.soft { (place.result.id) } }
                        td { a href={ "/runs/" (encoded(place.run)) } { (place.run) } " " span.soft { (place.report.started) } }
                        td { (format!("{:.3} s", place.result.seconds)) }
                        td { @if let Some(broken) = &place.result.broken { (broken.got) } @else if let Some(reason) = &place.result.reason { (reason) } }
                    }
                } }
            } }
            p { button { "Show the two side by side" } }
        }
        @for place in places.iter().filter(|place| !place.result.transcript.is_empty()).take(1) {
            h3 { "The latest transcript" }
            (recording(place.result))
        }
    }
}

/// The result to compare with the first one: of another program, over the same transport if there is one.
fn other_program(places: &[Place<'_>]) -> Option<usize> {
    let first = places.first()?.result;
    let is_other = |place: &Place<'_>| place.result.subject != first.subject;
    let alike = |place: &Place<'_>| is_other(place) && place.result.id == first.id;
    places
        .iter()
        .position(alike)
        .or_else(|| places.iter().position(is_other))
}

/// Two results side by side.
pub(super) fn compare(left: Place<'_>, right: Place<'_>) -> Html {
    let body = html! {
        main.wide {
            h1 { a href={ (CASES) (encoded(&left.result.case)) } { (left.result.case) } }
            p.soft { (left.result.title) }
            p.soft { "Coloured lines differ. Times, ports, tokens and lengths do not count." }
            div.scroll { (sides(left, right)) }
        }
    };
    page("Netroxy conformance: side by side", None, &body)
}

/// A case that is being played. The lines so far come first.
pub(super) fn playing(play: &Play) -> Html {
    let (entry, subject) = (&play.request.entry, &play.request.subject);
    let body = html! {
        main {
            h1 { (entry.id) }
            p { "Played against " b { (subject.name()) } " over " (play.request.transport) ". The result follows." }
            noscript { p { "Load this page again to see the result." } }
            p.legend { "→ to the program, ← from the program; seconds since the case began" }
            ol.wire aria-live="polite" data-events={ "/plays/" (play.number) "/events" } {}
        }
    };
    page(&entry.id, Some("/play.js"), &body)
}
