//! The specification as one page: its text, what belongs to it, and all cases.

mod anchors;
mod cases;
mod text;

use std::sync::Arc;

use anchors::{Anchors, Heading};
use include_dir::File;
use maud::{Markup, html};
use netroxy_specification::catalog::{Entry, SPEC};
use netroxy_specification::rules::{REVISION, Rule};
use text::Renderer;

use super::Page;

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
                section.document id=(document.anchor()) { (self::document(&renderer, document)) }
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

/// A file of the specification that people read.
#[derive(Debug)]
struct Document {
    name: &'static str,
    text: &'static str,
}

/// The normative text is first, the others follow in this order, then those that are not named here.
const ORDER: [&str; 5] = [
    "netroxy.md",
    "grammar.abnf",
    "notation.md",
    "errata.md",
    "originals.md",
];

impl Document {
    fn new(file: &'static File<'static>) -> Option<Self> {
        let name = file.path().to_str()?;
        let text = file.contents_utf8()?;
        (name.ends_with(".md") || name.ends_with(".abnf")).then_some(Self { name, text })
    }

    fn is_main(&self) -> bool {
        self.name == ORDER[0]
    }

    fn is_markdown(&self) -> bool {
        self.name.ends_with(".md")
    }

    fn anchor(&self) -> String {
        format!("doc:{}", self.name)
    }
}

fn documents() -> Vec<Document> {
    let mut documents: Vec<Document> = SPEC.files().filter_map(Document::new).collect();
    let place = |name: &str| {
        ORDER
            .iter()
            .position(|known| *known == name)
            .unwrap_or(ORDER.len())
    };
    documents.sort_by_key(|document| (place(document.name), document.name));
    documents
}

fn document(renderer: &Renderer<'_>, document: &Document) -> Markup {
    match document.is_markdown() {
        true => renderer.markdown(document),
        false => html! {
            h2 { "Grammar" }
            pre { code { (document.text) } }
        },
    }
}

/// What the table of contents lists: the chapters of the text, and what belongs to it.
fn contents(anchors: &Anchors) -> impl Iterator<Item = &Heading> {
    anchors
        .headings()
        .filter(|heading| heading.level == 2 || (heading.is_main && heading.level == 3))
}

#[cfg(test)]
mod tests;
