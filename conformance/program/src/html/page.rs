//! HTML pages: the elements that every page has, and pages that are one file.

use maud::{DOCTYPE, Markup, PreEscaped, html};

/// A whole document. `head` follows the elements that the head of every page has.
pub(crate) fn document(title: &str, head: &Markup, body: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) }
                (head)
            }
            body { (body) }
        }
    }
}

/// A page in one file, which loads no other file.
#[derive(Debug)]
pub(crate) struct Page<'a> {
    pub(crate) title: &'a str,
    /// Follows the shared style.
    pub(crate) style: &'a str,
    /// The page must be readable without it.
    pub(crate) script: &'a str,
    pub(crate) body: Markup,
}

impl Page<'_> {
    /// The text of the file.
    pub(crate) fn render(self) -> String {
        let head = html! {
            meta http-equiv="Content-Security-Policy" content=(POLICY);
            style { (PreEscaped(SHARED)) (PreEscaped(self.style)) }
        };
        let body = html! {
            (self.body)
            @if !self.script.is_empty() { script { (PreEscaped(self.script)) } }
        };
        document(self.title, &head, &body).into_string() + "\n"
    }
}

/// Forbids the page to load anything.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'";

/// The style that all pages share.
pub(crate) const SHARED: &str = include_str!("shared.css");
