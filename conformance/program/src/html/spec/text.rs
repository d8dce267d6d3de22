//! Markdown as HTML: rules become boxes, and names of rules, cases and documents become links.

use std::fmt::Write as _;
use std::ops::Range;
use std::sync::Arc;

use maud::{Markup, PreEscaped, Render as _, html};
use netroxy_specification::catalog::Entry;
use netroxy_specification::rules::Rule;
use pulldown_cmark::{CodeBlockKind, CowStr, Event, Parser, Tag, TagEnd};

use super::anchors::{Anchors, Heading};
use super::document::Document;
use crate::html::markdown::{extensions, plain};

/// Renders the documents of the page.
#[derive(Debug)]
pub(super) struct Renderer<'a> {
    anchors: &'a Anchors,
    rules: &'a [Rule],
    entries: &'a [Arc<Entry>],
}

type Events<'t> = Vec<(Event<'t>, Range<usize>)>;

impl<'a> Renderer<'a> {
    pub(super) fn new(anchors: &'a Anchors, rules: &'a [Rule], entries: &'a [Arc<Entry>]) -> Self {
        Self {
            anchors,
            rules,
            entries,
        }
    }

    /// A document without the element around it.
    pub(super) fn markdown(&self, document: &Document) -> Markup {
        let events: Events<'_> = Parser::new_ext(document.text, extensions())
            .into_offset_iter()
            .collect();
        let mut headings = self.anchors.of(document).iter();
        let mut out: Vec<Event<'_>> = Vec::new();
        let mut rest = events.as_slice();
        while let Some((event, range)) = rest.first() {
            let text = &document.text[range.clone()];
            let block = length(rest);
            match event {
                Event::Start(Tag::Paragraph) if text.starts_with("r[") => {
                    rest = &rest[block..];
                    let why = rest
                        .first()
                        .and_then(|(_, range)| document.text[range.clone()].strip_prefix("Why:"));
                    if why.is_some() {
                        rest = &rest[length(rest)..];
                    }
                    out.push(raw(self.rule(document, text, why)));
                }
                Event::Start(Tag::Heading { .. }) => {
                    let inside = self.inline(document, &rest[1..block - 1]);
                    out.push(raw(heading(headings.next(), inside)));
                    rest = &rest[block..];
                }
                Event::Start(Tag::CodeBlock(kind)) => {
                    let code: String = rest[1..block - 1]
                        .iter()
                        .filter_map(|(event, _)| match event {
                            Event::Text(text) => Some(&**text),
                            _ => None,
                        })
                        .collect();
                    out.push(raw(self.code(kind, &code)));
                    rest = &rest[block..];
                }
                Event::Start(Tag::Table(_)) => {
                    out.push(raw(PreEscaped("<div class=\"scroll\">".to_owned())));
                    out.extend(self.linked(document, &rest[..block]));
                    out.push(raw(PreEscaped("</div>".to_owned())));
                    rest = &rest[block..];
                }
                // A block of blocks: its blocks are handled one by one.
                Event::Start(Tag::List(_) | Tag::Item | Tag::BlockQuote(_)) | Event::End(_) => {
                    out.push(event.clone());
                    rest = &rest[1..];
                }
                _ => {
                    out.extend(self.linked(document, &rest[..block]));
                    rest = &rest[block..];
                }
            }
        }
        written(out)
    }

    /// Text in the notation, with links for the marks of rules.
    pub(super) fn transcript(&self, text: &str) -> Markup {
        let mut out = String::new();
        for (index, part) in text.split('[').enumerate() {
            let marks = part.split_once(']').filter(|(marks, _)| {
                index > 0
                    && !marks.is_empty()
                    && marks.split(' ').all(|id| self.rule_of(id).is_some())
            });
            if index > 0 {
                out.push('[');
            }
            match marks {
                None => out.push_str(&part.render().into_string()),
                Some((marks, rest)) => {
                    let links = marks
                        .split(' ')
                        .map(|id| html! { a href={ "#" (id) } { (id) } }.into_string());
                    out.push_str(&links.collect::<Vec<_>>().join(" "));
                    let _ = write!(out, "]{}", rest.render().into_string());
                }
            }
        }
        PreEscaped(out)
    }

    fn rule_of(&self, id: &str) -> Option<&'a Rule> {
        self.rules.iter().find(|rule| rule.id == id)
    }

    /// The box of a rule; `block` is its id line, its sentence and its line of attributes.
    fn rule(&self, document: &Document, block: &str, why: Option<&str>) -> Markup {
        let id = block.lines().next().unwrap_or_default();
        let id = id.trim_start_matches("r[").trim_end_matches(']');
        let Some(rule) = self.rule_of(id) else {
            return html! { pre { (block) } };
        };
        let cases: Vec<&Entry> = self
            .entries
            .iter()
            .map(Arc::as_ref)
            .filter(|entry| entry.case.rules.value.iter().any(|one| one == id))
            .collect();
        let profile = if rule.is_wire() { "wire" } else { "hardened" };
        html! {
            div.rule id=(id) {
                p.head {
                    a.id href={ "#" (id) } { (id) } " "
                    span.chip.strong { (rule.level) } " "
                    span.chip title="whom it binds" { (rule.subject) } " "
                    span.chip title="where it comes from" { (rule.origin) } " "
                    span.chip title="the profile that scores it" { (profile) }
                    @if rule.corrupts { " " span.chip.bad { "corrupts data" } }
                }
                p.sentence { (self.sentence(document, &rule.text)) }
                @if let Some(why) = why { p.why { b { "Why" } " " (self.sentence(document, why.trim_start())) } }
                @if let Some(reason) = &rule.unjudged { p.cases { "No case judges it: " (reason) "." } }
                @if !cases.is_empty() {
                    p.cases {
                        @for entry in cases { a href={ "#case:" (entry.id) } title=(entry.case.title.value) { (entry.id) } " " }
                    }
                }
            }
        }
    }

    fn sentence(&self, document: &Document, text: &str) -> Markup {
        let events: Events<'_> = Parser::new_ext(text, extensions())
            .into_offset_iter()
            .collect();
        let inside = events.iter().filter(|(event, _)| {
            !matches!(
                event,
                Event::Start(Tag::Paragraph) | Event::End(TagEnd::Paragraph)
            )
        });
        self.inline(document, &inside.cloned().collect::<Events<'_>>())
    }

    fn code(&self, kind: &CodeBlockKind<'_>, code: &str) -> Markup {
        let info = match kind {
            CodeBlockKind::Fenced(info) => info.trim(),
            CodeBlockKind::Indented => "",
        };
        match info.split_once(' ') {
            Some((what, name)) => html! {
                figure class={ "code " (info) } {
                    figcaption { (what) " " (self.name(name)) }
                    pre { code { (self.transcript(code)) } }
                }
            },
            None => html! { pre { code { (self.transcript(code)) } } },
        }
    }

    fn name(&self, name: &str) -> Markup {
        match self.anchors.named(name) {
            Some(target) => html! { a href=(target) { (name) } },
            None => html! { (name) },
        }
    }

    fn inline(&self, document: &Document, events: &[(Event<'_>, Range<usize>)]) -> Markup {
        written(self.linked(document, events))
    }

    /// The events, with links to targets on this page, and names as links.
    fn linked<'t>(
        &self,
        document: &Document,
        events: &[(Event<'t>, Range<usize>)],
    ) -> Vec<Event<'t>> {
        let mut out = Vec::new();
        // Whether each link that is open has a target.
        let mut open: Vec<bool> = Vec::new();
        for (event, _) in events {
            match event {
                Event::Start(Tag::Link { dest_url, .. }) => {
                    let target = self.anchors.target(document, dest_url);
                    open.push(target.is_some());
                    if let Some(target) = target {
                        let target = target.render().into_string();
                        out.push(raw(PreEscaped(format!("<a href=\"{target}\">"))));
                    }
                }
                Event::End(TagEnd::Link) => {
                    if open.pop() == Some(true) {
                        out.push(raw(PreEscaped("</a>".to_owned())));
                    }
                }
                // A picture would have to be loaded, so only its description is shown.
                Event::Start(Tag::Image { .. }) | Event::End(TagEnd::Image) => {}
                Event::Code(text) if open.is_empty() => match self.anchors.named(text) {
                    Some(target) => out.push(raw(html! { a href=(target) { code { (text) } } })),
                    None => out.push(Event::Code(text.clone())),
                },
                Event::Text(text) if open.is_empty() => out.push(raw(self.words(text))),
                event => out.push(plain(event.clone())),
            }
        }
        out
    }

    /// Text in which names of rules are links.
    fn words(&self, text: &str) -> Markup {
        let is_word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || ".-/".contains(c);
        let mut out = String::new();
        let mut rest = text;
        while !rest.is_empty() {
            let other = rest.find(is_word).unwrap_or(rest.len());
            out.push_str(&rest[..other].render().into_string());
            rest = &rest[other..];
            let end = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
            let word = rest[..end].trim_end_matches('.');
            let known = word.contains('.').then(|| self.rule_of(word)).flatten();
            match known {
                Some(_) => {
                    out.push_str(&html! { a.ref href={ "#" (word) } { (word) } }.into_string())
                }
                None => out.push_str(&word.render().into_string()),
            }
            out.push_str(&rest[word.len()..end]);
            rest = &rest[end..];
        }
        PreEscaped(out)
    }
}

/// The number of events of the block that begins with the first event.
fn length(events: &[(Event<'_>, Range<usize>)]) -> usize {
    let mut depth = 0_usize;
    for (index, (event, _)) in events.iter().enumerate() {
        match event {
            Event::Start(_) => depth += 1,
            Event::End(_) => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 {
            return index + 1;
        }
    }
    events.len()
}

fn heading(heading: Option<&Heading>, inside: Markup) -> Markup {
    let Some(heading) = heading else {
        return inside;
    };
    let (anchor, level) = (&heading.anchor, heading.level.min(6));
    let here = html! { a.here href={ "#" (anchor) } aria-label="Link to this section" { "#" } };
    let (inside, here) = (inside.into_string(), here.into_string());
    let anchor = anchor.render().into_string();
    PreEscaped(format!(
        "<h{level} id=\"{anchor}\">{inside} {here}</h{level}>\n"
    ))
}

fn raw<'t>(markup: Markup) -> Event<'t> {
    Event::Html(CowStr::from(markup.into_string()))
}

fn written(events: Vec<Event<'_>>) -> Markup {
    let mut out = String::new();
    pulldown_cmark::html::push_html(&mut out, events.into_iter());
    PreEscaped(out)
}
