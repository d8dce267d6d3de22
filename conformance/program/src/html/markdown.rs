//! Markdown of the specification and of rules as HTML.

use maud::{Markup, PreEscaped};
use pulldown_cmark::{CowStr, Event, Options, Parser, Tag, TagEnd};

/// The extensions of Markdown that this project uses.
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

/// Turns HTML inside Markdown into text.
pub(crate) fn plain(event: Event<'_>) -> Event<'_> {
    match event {
        Event::Html(text) | Event::InlineHtml(text) => Event::Text(CowStr::clone(&text)),
        event => event,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_stays_code_and_tags_become_text() {
        assert_eq!(
            inline("by `MRS false` <b>&").into_string(),
            "by <code>MRS false</code> &lt;b&gt;&amp;"
        );
    }
}
