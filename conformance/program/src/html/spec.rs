//! The specification as one page: its text, the other documents, and all cases.

mod anchors;
mod cases;
mod document;
mod text;

use std::sync::Arc;

use anchors::{Anchors, Heading};
use document::{Document, documents};
use maud::{Markup, html};
use netroxy_specification::catalog::Entry;
use netroxy_specification::rules::{REVISION, Rule};
use text::Renderer;

use super::page::Page;

/// The page.
pub(crate) fn render(rules: &[Rule], entries: &[Arc<Entry>]) -> String {
    let documents = documents();
    let anchors = Anchors::new(&documents, rules, entries);
    let renderer = Renderer::new(&anchors, rules, entries);
    let body = html! {
        input #toc-switch type="checkbox" aria-label="Show the contents";
        label for="toc-switch" { "Contents" }
        nav.toc aria-label="Contents" {
            ol {
                @for heading in contents(&anchors) {
                    li.sub[heading.level > 2] { a href={ "#" (heading.anchor) } { (heading.text) } }
                }
                li { a href="#cases" { "Cases" } }
            }
        }
        main {
            @for document in &documents {
                section.document id=(document.anchor()) { (rendered(&renderer, document)) }
            }
            (cases::section(&renderer, entries))
        }
    };
    let title = format!("Netroxy v{REVISION}");
    Page {
        title: &title,
        style: include_str!("spec/spec.css"),
        script: "",
        body,
    }
    .render()
}

fn rendered(renderer: &Renderer<'_>, document: &Document) -> Markup {
    match document.is_markdown() {
        true => renderer.markdown(document),
        false => html! {
            h2 { "Grammar" }
            pre { code { (document.text) } }
        },
    }
}

/// The entries of the table of contents: the chapters of the text, and the other documents.
fn contents(anchors: &Anchors) -> impl Iterator<Item = &Heading> {
    anchors
        .headings()
        .filter(|heading| heading.level == 2 || (heading.is_main && heading.level == 3))
}

#[cfg(test)]
mod tests;
