//! The anchors of the results and pairs on a page.

use std::collections::BTreeSet;

use crate::report::model::{CaseResult, Matrix, Meeting, Report};

/// The anchors of the results and of the pairs, in their order.
pub(super) struct Links {
    cases: Vec<String>,
    pairs: Vec<String>,
    /// The beginning of the addresses of the pages of cases, if there are such pages.
    pub(super) pages: Option<&'static str>,
}

impl Links {
    pub(super) fn new(report: &Report, pages: Option<&'static str>) -> Self {
        let cases = report.results.iter().map(|result| {
            let name = match report.subjects.len() {
                0 | 1 => result.id.clone(),
                _ => format!("{}:{}", result.subject, result.id),
            };
            format!("case:{name}")
        });
        let meetings = report.matrix.iter().flat_map(|matrix| &matrix.meetings);
        let pairs = meetings.map(|met| format!("pair:{}", met.subject));
        Self {
            cases: anchors(cases),
            pairs: anchors(pairs),
            pages,
        }
    }

    /// The results with their anchors.
    pub(super) fn each<'a>(
        &'a self,
        report: &'a Report,
    ) -> impl Iterator<Item = (&'a str, &'a CaseResult)> {
        self.cases.iter().map(String::as_str).zip(&report.results)
    }

    /// The anchor of a pair.
    pub(super) fn pair(&self, matrix: &Matrix, met: &Meeting) -> &str {
        let mut all = self.pairs.iter().zip(&matrix.meetings);
        let found = all.find(|(_, one)| std::ptr::eq(*one, met));
        found.map_or("pairs", |(anchor, _)| anchor)
    }
}

/// Names as anchors, each used once.
fn anchors(names: impl Iterator<Item = String>) -> Vec<String> {
    let (mut anchors, mut known) = (Vec::new(), BTreeSet::new());
    for name in names {
        let anchor = name.replace(|c: char| !is_plain(c), "-");
        let more = (2..).map(|count| format!("{anchor}~{count}"));
        let mut tried = std::iter::once(anchor.clone()).chain(more);
        let free = tried.find(|one| !known.contains(one)).unwrap_or(anchor);
        known.insert(free.clone());
        anchors.push(free);
    }
    anchors
}

/// Whether a character is the same in an id and in a link.
fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-_./@:".contains(c)
}
