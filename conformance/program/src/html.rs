//! What the HTML pages of this program share: one file each, nothing is loaded from anywhere.

pub(crate) mod spec;

use maud::{DOCTYPE, Markup, PreEscaped, html};
use pulldown_cmark::{CowStr, Event, Options, Parser, Tag, TagEnd};

/// A page that stands by itself.
#[derive(Debug)]
pub(crate) struct Page<'a> {
    pub(crate) title: &'a str,
    /// Behind the shared style.
    pub(crate) style: &'a str,
    /// A page must be readable without it.
    pub(crate) script: &'a str,
    pub(crate) body: Markup,
}

impl Page<'_> {
    /// The text of the file.
    pub(crate) fn render(self) -> String {
        let page = html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    meta http-equiv="Content-Security-Policy" content=(POLICY);
                    title { (self.title) }
                    style { (PreEscaped(SHARED)) (PreEscaped(self.style)) }
                }
                body {
                    (self.body)
                    @if !self.script.is_empty() { script { (PreEscaped(self.script)) } }
                }
            }
        };
        page.into_string() + "\n"
    }
}

/// A text as a part of an address.
pub(crate) fn encoded(text: &str) -> String {
    let mut address = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' | b'@' => {
                address.push(char::from(byte));
            }
            _ => address.push_str(&format!("%{byte:02X}")),
        }
    }
    address
}

/// The extensions of Markdown that this project writes.
pub(crate) fn extensions() -> Options {
    Options::ENABLE_TABLES
}

/// A sentence in Markdown, without a paragraph around it.
pub(crate) fn inline(markdown: &str) -> Markup {
    let events = Parser::new_ext(markdown, extensions())
        .filter(|event| {
            !matches!(
                event,
                Event::Start(Tag::Paragraph) | Event::End(TagEnd::Paragraph)
            )
        })
        .map(plain);
    let mut out = String::new();
    pulldown_cmark::html::push_html(&mut out, events);
    PreEscaped(out)
}

/// HTML inside Markdown is shown, not used.
pub(crate) fn plain(event: Event<'_>) -> Event<'_> {
    match event {
        Event::Html(text) | Event::InlineHtml(text) => Event::Text(CowStr::clone(&text)),
        event => event,
    }
}

/// Nothing is loaded, whatever a page holds.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'";

pub(crate) const SHARED: &str = include_str!("html/shared.css");

#[cfg(test)]
pub(crate) mod tests;
