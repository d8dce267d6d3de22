//! Shows the transcripts of two results side by side.

use maud::{Markup, html};
use netroxy_judge::steady::steady;
use similar::{Algorithm, DiffOp, capture_diff_slices};

use super::runs::Place;
use crate::html::encoded;
use crate::report::html::verdict;
use crate::report::model::TranscriptLine;

/// Equal lines are side by side. Times, ports, tokens and lengths are not compared.
pub(super) fn sides(left: Place<'_>, right: Place<'_>) -> Markup {
    let rows = rows(&left.result.transcript, &right.result.transcript);
    html! {
        table.sides {
            @for _ in [left, right] { colgroup { col.at; col.actor; col; } }
            thead { tr { @for place in [left, right] { th colspan="3" scope="colgroup" { (head(place)) } } } }
            tbody {
                @for row in &rows {
                    tr class=[row.differs.then_some("differs")] { (cell(row.left)) (cell(row.right)) }
                }
            }
            tfoot { tr { @for place in [left, right] { td colspan="3" { (end(place)) } } } }
        }
    }
}

fn head(place: Place<'_>) -> Markup {
    let run = encoded(place.run);
    html! {
        (verdict(place.result)) " " b { (place.result.subject) } " "
        span.soft { (place.result.id) ", " a href={ "/runs/" (run) } { (place.run) } ", " (place.report.started) }
    }
}

fn end(place: Place<'_>) -> Markup {
    html! {
        @if let Some(broken) = &place.result.broken {
            p { "expected " code { (broken.expected) } } p { "got " (broken.got) }
        }
        @if let Some(reason) = &place.result.reason { p.reason { (reason) } }
    }
}

fn cell(line: Option<&TranscriptLine>) -> Markup {
    html! {
        @match line {
            None => td.none colspan="3" {},
            Some(line) => {
                td.at { (format!("{:.3}", line.at)) }
                td.actor { (line.actor) }
                td class=[line.broken.then_some("broken")] {
                    code { (line.text) }
                    @if let Some(note) = &line.note { " " span.soft { (note) } }
                }
            }
        }
    }
}

struct Row<'a> {
    left: Option<&'a TranscriptLine>,
    right: Option<&'a TranscriptLine>,
    differs: bool,
}

fn rows<'a>(left: &'a [TranscriptLine], right: &'a [TranscriptLine]) -> Vec<Row<'a>> {
    let keys = |lines: &[TranscriptLine]| -> Vec<String> {
        let key = |line: &TranscriptLine| {
            format!("{} {} {}", line.actor, steady(&line.text), line.broken)
        };
        lines.iter().map(key).collect()
    };
    let mut rows = Vec::new();
    for op in capture_diff_slices(Algorithm::Myers, &keys(left), &keys(right)) {
        let (_, lefts, rights) = op.as_tag_tuple();
        let differs = !matches!(op, DiffOp::Equal { .. });
        for at in 0..lefts.len().max(rights.len()) {
            let line = |lines: &'a [TranscriptLine], range: &std::ops::Range<usize>| {
                lines.get(range.clone()).and_then(|part| part.get(at))
            };
            rows.push(Row {
                left: line(left, &lefts),
                right: line(right, &rights),
                differs,
            });
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(actor: &str, text: &str) -> TranscriptLine {
        TranscriptLine {
            at: 0.0,
            actor: actor.to_owned(),
            direction: None,
            text: text.to_owned(),
            rules: Vec::new(),
            broken: false,
            note: None,
            step: String::new(),
        }
    }

    #[test]
    fn lines_that_differ_only_in_values_are_side_by_side() {
        let left = [
            line("a", "connect 23001"),
            line("a", "> x"),
            line("a", "< y"),
            line("b", "< z"),
        ];
        let right = [
            line("a", "connect 23002"),
            line("a", "< y"),
            line("b", "< closed"),
            line("b", "< eof"),
        ];
        let shown: Vec<(Option<&str>, Option<&str>, bool)> = rows(&left, &right)
            .iter()
            .map(|row| {
                (
                    row.left.map(|one| &*one.text),
                    row.right.map(|one| &*one.text),
                    row.differs,
                )
            })
            .collect();
        assert_eq!(
            shown,
            [
                (Some("connect 23001"), Some("connect 23002"), false),
                (Some("> x"), None, true),
                (Some("< y"), Some("< y"), false),
                (Some("< z"), Some("< closed"), true),
                (None, Some("< eof"), true),
            ]
        );
        assert!(rows(&[], &[]).is_empty());
    }
}
