//! The anchors of the page of the specification.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use netroxy_specification::catalog::Entry;
use netroxy_specification::rules::Rule;
use pulldown_cmark::{Event, HeadingLevel, Parser, Tag, TagEnd};

use super::document::Document;
use crate::html::markdown::extensions;

/// A heading of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Heading {
    pub(super) is_main: bool,
    /// The level on the page: only the main document has a heading of level 1.
    pub(super) level: usize,
    pub(super) text: String,
    pub(super) anchor: String,
}

/// The anchors of the page.
#[derive(Debug)]
pub(super) struct Anchors {
    /// The headings of each document, in order.
    headings: Vec<(&'static str, Vec<Heading>)>,
    /// The anchor of a heading, by its document and the fragment of links to it in Markdown.
    fragments: BTreeMap<(&'static str, String), String>,
    rules: BTreeSet<String>,
    cases: BTreeSet<String>,
}

impl Anchors {
    pub(super) fn new(documents: &[Document], rules: &[Rule], entries: &[Arc<Entry>]) -> Self {
        let mut anchors = Self {
            headings: Vec::new(),
            fragments: BTreeMap::new(),
            rules: rules.iter().map(|rule| rule.id.clone()).collect(),
            cases: entries.iter().map(|entry| entry.id.clone()).collect(),
        };
        for document in documents {
            anchors.enter(document);
        }
        anchors
    }

    pub(super) fn headings(&self) -> impl Iterator<Item = &Heading> {
        self.headings.iter().flat_map(|(_, headings)| headings)
    }

    /// The headings of one document, in their order.
    pub(super) fn of(&self, document: &Document) -> &[Heading] {
        let mine = self
            .headings
            .iter()
            .find(|(name, _)| *name == document.name);
        mine.map_or(&[], |(_, headings)| headings)
    }

    /// The link to the rule, case or document that a word names.
    pub(super) fn named(&self, word: &str) -> Option<String> {
        if word == "cases" || word == "cases/" {
            return Some("#cases".to_owned());
        }
        if self.rules.contains(word) {
            return Some(format!("#{word}"));
        }
        let case = word.split_once('@').map_or(word, |(case, _)| case);
        let case = case.trim_start_matches("cases/").trim_end_matches(".case");
        if self.cases.contains(case) {
            return Some(format!("#case:{case}"));
        }
        let document = word.rsplit('/').next().unwrap_or(word);
        let known = self.headings.iter().any(|(name, _)| *name == document);
        known.then(|| format!("#doc:{document}"))
    }

    /// The target of a link of a document; `None` for a file that is not on the page.
    pub(super) fn target(&self, document: &Document, link: &str) -> Option<String> {
        if link.starts_with("https://") || link.starts_with("http://") {
            return Some(link.to_owned());
        }
        let (file, fragment) = link.split_once('#').unwrap_or((link, ""));
        let file = if file.is_empty() { document.name } else { file };
        if fragment.is_empty() {
            return self.named(file);
        }
        let known = self.headings.iter().find(|(name, _)| *name == file)?.0;
        let anchor = self.fragments.get(&(known, fragment.to_owned()));
        anchor
            .map(|anchor| format!("#{anchor}"))
            .or_else(|| self.named(fragment))
    }

    fn enter(&mut self, document: &Document) {
        let mut headings = Vec::new();
        if !document.is_markdown() {
            let (text, anchor) = ("Grammar".to_owned(), document.anchor());
            headings.push(Heading {
                is_main: false,
                level: 2,
                text,
                anchor,
            });
        }
        let texts = if document.is_markdown() {
            titles(document.text)
        } else {
            Vec::new()
        };
        for (level, text) in texts {
            let slug = slug(&text);
            let fragment = (0..)
                .map(|count| {
                    if count == 0 {
                        slug.clone()
                    } else {
                        format!("{slug}-{count}")
                    }
                })
                .find(|tried| !self.fragments.contains_key(&(document.name, tried.clone())))
                .unwrap_or(slug);
            let is_main = document.is_main();
            let anchor = format!("{}/{fragment}", document.anchor());
            self.fragments
                .insert((document.name, fragment), anchor.clone());
            let level = level + usize::from(!is_main);
            headings.push(Heading {
                is_main,
                level,
                text,
                anchor,
            });
        }
        self.headings.push((document.name, headings));
    }
}

fn titles(text: &str) -> Vec<(usize, String)> {
    let mut titles: Vec<(usize, String)> = Vec::new();
    let mut inside = false;
    for event in Parser::new_ext(text, extensions()) {
        match event {
            Event::Start(Tag::Heading { level, .. }) => {
                inside = true;
                titles.push((depth(level), String::new()));
            }
            Event::End(TagEnd::Heading(_)) => inside = false,
            Event::Text(text) | Event::Code(text) if inside => {
                if let Some((_, title)) = titles.last_mut() {
                    title.push_str(&text);
                }
            }
            _ => {}
        }
    }
    titles
}

fn depth(level: HeadingLevel) -> usize {
    match level {
        HeadingLevel::H1 => 1,
        HeadingLevel::H2 => 2,
        HeadingLevel::H3 => 3,
        HeadingLevel::H4 => 4,
        HeadingLevel::H5 => 5,
        HeadingLevel::H6 => 6,
    }
}

/// The fragment of a heading, as code hosts make it.
fn slug(title: &str) -> String {
    let kept = title.chars().filter_map(|c| match c {
        ' ' => Some('-'),
        c if c.is_alphanumeric() || c == '-' || c == '_' => Some(c.to_ascii_lowercase()),
        _ => None,
    });
    kept.collect()
}
