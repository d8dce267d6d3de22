//! Every client with every server.

use maud::{Markup, html};

use super::Links;
use crate::report::model::Report;

/// The table, and who is at fault for which run.
pub(super) fn section(report: &Report, links: &Links) -> Markup {
    let Some(matrix) = &report.matrix else {
        return html! {};
    };
    html! {
        section #pairs {
            h2 { "Pairs" }
            p.soft { "Cases that passed, of those that were run. A peer is at fault for a run that fails when it meets the reference; else the one whom the broken rule binds." }
            div.scroll { table {
                thead { tr {
                    th scope="col" { "client \\ server" }
                    @for server in &matrix.servers { th scope="col" { (server) } }
                } }
                tbody {
                    @for client in &matrix.clients {
                        tr {
                            th scope="row" { (client) }
                            @for server in &matrix.servers { td { (matrix.cell(client, server)) } }
                        }
                    }
                }
            } }
            @for fault in &matrix.faults {
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
    }
}
