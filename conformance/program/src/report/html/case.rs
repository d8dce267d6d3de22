//! The section of the cases: each with the expected step, what came instead, and its transcript.

use maud::{Markup, html};
use netroxy_judge::verdict::Verdict;

use super::chips::{rank, rule_link, verdict, why};
use super::links::Links;
use crate::html::{encoded, inline};
use crate::report::model::{BetweenEntry, BrokenStep, CaseResult, Counts, Report, TranscriptLine};

/// All cases; failures come first.
pub(super) fn list(report: &Report, links: &Links) -> Markup {
    let mut cases: Vec<(&str, &CaseResult)> = links.each(report).collect();
    cases.sort_by_key(|(_, result)| rank(result));
    html! {
        section #cases {
            h2 { "Cases " span.soft { (cases.len()) } }
            form.filter role="search" hidden {
                input type="search" name="text" placeholder="Filter by name, title or rule" aria-label="Filter by name, title or rule";
                @for (name, count) in &report.verdicts {
                    label { input type="checkbox" name="verdict" value=(name) checked; " " (name) " " span.soft { (count) } }
                }
                button type="button" name="open" { "Open all" }
                button type="button" name="close" { "Close all" }
                output {}
            }
            @for (anchor, result) in cases { (case(report, links, anchor, result)) }
        }
    }
}

/// A case, folded unless it failed. The anchor is inside, because a browser opens the element around the target of a
/// link.
fn case(report: &Report, links: &Links, anchor: &str, result: &CaseResult) -> Markup {
    let many = report.subjects.len() > 1;
    html! {
        details.case data-verdict=(result.verdict.key()) open[result.counts == Counts::Failed] {
            summary {
                (verdict(result)) " "
                span.id { (result.id) } " "
                @if many { span.chip { (result.subject) } " " }
                span.title { (result.title) } " "
                span.time { (format!("{:.3}", result.seconds)) " s" }
            }
            div.body id=(anchor) {
            p.labels {
                a href={ "#" (anchor) } { "link" } " "
                @if let Some(pages) = links.pages { a href={ (pages) (encoded(&result.case)) } { "in all runs" } " " }
                span.soft { (result.role) " over " (result.transport) ", " (result.file) } " "
                @for rule in &result.rules { (rule_link(rule)) " " }
            }
            @if let Some(twin) = &result.twin { p { "Its twin " code { (twin) } " did not succeed, and is shown here." } }
            @if let Some(broken) = &result.broken { (step(report, broken, result)) }
            @if let Some(reason) = &result.reason { p.reason { (reason) } }
            @for note in &result.notes { p.reason { (note) } }
            @if let Some(listed) = &result.listed {
                p { "Listed as failing: " (listed.why) " " span.soft { "(seen then: " (listed.got) ")" } }
            }
            @for remark in &result.remarks {
                p { b { "Allowed, not recommended: " } code { (remark.seen) } " " @for rule in &remark.rules { (rule_link(rule)) " " } }
            }
            @if !result.transcript.is_empty() { (recording(result)) }
            @if let Some(between) = &result.between { (messages(result, between)) }
            @if !result.log.is_empty() {
                h4 { "The output of the program ends with" }
                pre { (result.log) }
            }
            @if result.verdict != Verdict::Skip {
                h4 { "Again" }
                pre.replay { (result.replay) }
            }
            }
        }
    }
}

fn step(report: &Report, broken: &BrokenStep, result: &CaseResult) -> Markup {
    html! {
        div.broken-step {
            @for (id, sentence) in broken.rules.iter().zip(&broken.sentences) {
                p { (rule_link(id)) " " (inline(sentence)) }
                @for rule in report.rules.iter().filter(|rule| rule.id == *id) { (why(rule)) }
            }
            @if broken.rules.is_empty() && result.twin.is_none() {
                p { "Its rules could not be judged: a step before them did not come true." }
            }
            dl {
                div { dt { "expected" } dd { code { (broken.expected) } " " span.soft { (broken.file) ":" (broken.line) } } }
                div { dt { "got" } dd { (broken.got) } }
            }
        }
    }
}

/// The transcript of a result; each connection has its own lane, if there are not too many.
pub(crate) fn recording(result: &CaseResult) -> Markup {
    let mut actors: Vec<&str> = Vec::new();
    for line in &result.transcript {
        if !actors.contains(&line.actor.as_str()) {
            actors.push(&line.actor);
        }
    }
    let lane = |line: &TranscriptLine| {
        let lane = actors
            .iter()
            .position(|actor| *actor == line.actor)
            .unwrap_or(0);
        if actors.len() > LANES { 0 } else { lane }
    };
    let got = result.broken.as_ref().map(|broken| broken.got.as_str());
    let kept = kept(&result.transcript, result.verdict);
    html! {
        p.legend { "→ to " (result.subject) ", ← from " (result.subject) "; seconds since the case began" }
        (wire(&result.transcript, lane, kept, got))
    }
}

/// The messages between the two programs of a pair: users and services have one lane, control connections one, all
/// others one.
fn messages(result: &CaseResult, between: &BetweenEntry) -> Markup {
    let lane = |line: &TranscriptLine| {
        let mut known = between.connections.iter();
        let known = known.find(|one| one.name == line.actor);
        match known.map(|one| one.kind) {
            None => 0,
            Some("control") => 1,
            Some(_) => 2,
        }
    };
    let kept = kept(&between.transcript, result.verdict);
    html! {
        h4 { "Messages between client and server" }
        p { "The case was " (between.words()) "." }
        p.legend {
            "Between client and server, → is the client and ← the server; of users and services, → is the suite. Seconds since the relay began."
        }
        (wire(&between.transcript, lane, kept, None))
    }
}

fn wire(
    lines: &[TranscriptLine],
    lane: impl Fn(&TranscriptLine) -> usize,
    (first, last): (usize, usize),
    got: Option<&str>,
) -> Markup {
    html! {
        ol.wire {
            @for (index, line) in lines.iter().enumerate() {
                @if index == first && index < last { li.gap { (last - first) " lines left out" } }
                @if index < first || index >= last {
                    li class={ "l" (lane(line)) @if line.broken { " broken" } } {
                        time { (format!("{:.3}", line.at)) }
                        b { (line.actor) " " (arrow(line)) }
                        code { (line.text) }
                        @if !line.rules.is_empty() || line.note.is_some() { i {
                            @for rule in &line.rules { (rule_link(rule)) " " }
                            @if let Some(note) = &line.note { (note) }
                        } }
                    }
                    @if let (true, Some(got)) = (line.broken, got) {
                        li class={ "l" (lane(line)) " broken" } { time {} b { "got" } span { (got) } }
                    }
                }
            }
        }
    }
}

/// If there are more connections than lanes, all share one.
const LANES: usize = 6;

/// The range of lines that is left out, so that a page stays small; the JSON report has all lines.
fn kept(lines: &[TranscriptLine], verdict: Verdict) -> (usize, usize) {
    let room = if verdict == Verdict::Pass { 15 } else { 100 };
    let lines = lines.len();
    // The end is longer than the beginning, because it is nearer to the failure.
    if lines > 3 * room {
        (room, lines - 2 * room)
    } else {
        (lines, lines)
    }
}

fn arrow(line: &TranscriptLine) -> &'static str {
    match line.direction {
        Some("sent") => "→",
        Some(_) => "←",
        None => "·",
    }
}
