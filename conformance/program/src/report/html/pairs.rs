//! The section of the pairs: every client with every server.

use maud::{Markup, html};

use super::chips::{rank, verdict};
use super::links::Links;
use crate::report::model::{CaseResult, Fault, Matrix, Meeting, Report};
use crate::report::text::counted;

/// The table, the runs that each peer is at fault for, and the results of each pair.
pub(super) fn section(report: &Report, links: &Links) -> Markup {
    let Some(matrix) = &report.matrix else {
        return html! {};
    };
    html! {
        section #pairs {
            h2 { "Pairs" }
            p.soft { "Cases that passed, of those that were run. A peer that fails a case with the reference is at fault; if both fail it only together, the peer that the broken rule binds." }
            div.scroll { (table(matrix, links)) }
            @for fault in &matrix.faults { (at_fault(report, links, fault)) }
            h3 { "Each pair" }
            @for meeting in &matrix.meetings { (met(report, links, meeting)) }
        }
    }
}

fn table(matrix: &Matrix, links: &Links) -> Markup {
    html! {
        table.meetings {
            thead { tr {
                th scope="col" { "client \\ server" }
                @for server in &matrix.servers { th scope="col" { (server) } }
            } }
            tbody {
                @for client in &matrix.clients {
                    tr {
                        th scope="row" { (client) }
                        @for server in &matrix.servers {
                            @match matrix.meeting(client, server) {
                                Some(met) => td class=(kind(met)) {
                                    a href={ "#" (links.pair(matrix, met)) } title=(met.subject) { (met.score()) }
                                },
                                None => td {},
                            }
                        }
                    }
                }
            }
        }
    }
}

/// The colour of the result of a pair.
fn kind(met: &Meeting) -> &'static str {
    match (met.failed, met.run) {
        (1.., _) => "bad",
        (0, 0) => "none",
        (0, _) => "good",
    }
}

fn at_fault(report: &Report, links: &Links, fault: &Fault) -> Markup {
    html! {
        h3 { "At fault: " (fault.peer) }
        ul.results {
            @for run in &fault.runs {
                li {
                    @match links.each(report).find(|(_, result)| result.id == run.id && result.subject == run.subject) {
                        Some((anchor, _)) => { a href={ "#" (anchor) } { (run.id) } },
                        None => { (run.id) },
                    }
                    " " code { (run.rules.join(" ")) } " " (run.seen)
                }
            }
        }
    }
}

/// The runs of a pair. The anchor is inside, because a browser opens the element around the target of a link.
fn met(report: &Report, links: &Links, meeting: &Meeting) -> Markup {
    let of = |result: &CaseResult| result.subject == meeting.subject;
    let mut results: Vec<(&str, &CaseResult)> =
        links.each(report).filter(|(_, one)| of(one)).collect();
    results.sort_by_key(|(_, result)| rank(result));
    let named = |one: &&crate::report::model::SubjectEntry| one.name == meeting.subject;
    let subject = report.subjects.iter().find(named);
    html! {
        details.pair {
            summary {
                span class={ "chip strong " (kind(meeting)) } { (meeting.score()) } " "
                span.id { (meeting.subject) } " "
                @if meeting.failed > 0 { span.soft { (counted(meeting.failed, "failure")) } }
            }
            div.body id={ (report.matrix.as_ref().map_or("", |matrix| links.pair(matrix, meeting))) } {
                @if let Some(subject) = subject { p { code { (subject.arguments) } } }
                ul.results {
                    @for (anchor, result) in results {
                        li { (verdict(result)) " " a href={ "#" (anchor) } { (result.id) } " " span.soft { (result.title) } }
                    }
                }
            }
        }
    }
}
