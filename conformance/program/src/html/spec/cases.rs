//! The section with all cases.

use std::sync::Arc;

use maud::{Markup, html};
use netroxy_specification::catalog::Entry;

use super::text::Renderer;

/// The cases by their folders.
pub(super) fn section(renderer: &Renderer<'_>, entries: &[Arc<Entry>]) -> Markup {
    let mut folders: Vec<(&str, Vec<&Entry>)> = Vec::new();
    for entry in entries {
        let folder = entry.id.rsplit_once('/').map_or("", |(folder, _)| folder);
        match folders.last_mut() {
            Some((last, cases)) if *last == folder => cases.push(entry),
            _ => folders.push((folder, vec![entry])),
        }
    }
    html! {
        section.document #cases {
            h2 { "Cases " span.soft { (entries.len()) } }
            @for (folder, cases) in folders {
                h3 { (folder) }
                @for entry in cases { (case(renderer, entry)) }
            }
        }
    }
}

/// A case, folded. The anchor is inside, because a browser opens the element around the target of a link.
fn case(renderer: &Renderer<'_>, entry: &Entry) -> Markup {
    html! {
        details.case {
            summary { span.id { (entry.id) } " " span.soft { (entry.case.title.value) } }
            div id={ "case:" (entry.id) } {
                p {
                    "judges "
                    @for rule in &entry.case.rules.value { a.ref href={ "#" (rule) } { (rule) } " " }
                }
                pre { code { (renderer.transcript(&entry.text)) } }
            }
        }
    }
}
