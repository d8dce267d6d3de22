//! The report as Markdown, for an issue or the summary of a CI job.

use std::fmt::Write as _;

use netroxy_judge::verdict::Verdict;

use super::model::{CaseResult, Counts, Matrix, Report};
use super::text;

/// After so many characters, a failure takes one line: an issue may have 65,536 characters.
const ROOM: usize = 48_000;

/// The report.
pub(crate) fn render(report: &Report) -> String {
    let mut text = "# Netroxy conformance\n\n".to_owned();
    let totals = report.totals;
    let Report {
        version,
        spec,
        profile,
        started,
        seconds,
        ..
    } = report;
    let strict = if report.strict { ", strict" } else { "" };
    let seed = report.seed.as_ref();
    let seed = seed.map_or_else(String::new, |seed| format!(", seed {seed}"));
    let shard = report.shard.as_ref();
    let shard = shard.map_or_else(String::new, |shard| {
        format!(", part {}/{}", shard.number, shard.of)
    });
    let _ = writeln!(
        text,
        "**{} passed, {} failed, {} skipped**: netroxy-conformance {version}, spec {spec}, profile {profile}{strict}{seed}{shard}, \
         {started}, {seconds:.1} s.\n",
        totals.passed, totals.failed, totals.skipped
    );
    if let (Some(words), None) = (report.ended.words(), &report.not_ready) {
        let done = report.results.len();
        let _ = writeln!(
            text,
            "**Ended early**: {words}, after {done} of {} cases.\n",
            report.planned
        );
    }
    if let Some(not_ready) = &report.not_ready {
        let reason = inline(&not_ready.reason);
        let _ = writeln!(
            text,
            "**{} never became ready**: {reason}\n",
            inline(&not_ready.subject)
        );
    }
    table(&mut text, report);
    broken(&mut text, report);
    if let Some(matrix) = &report.matrix {
        meetings(&mut text, matrix);
    }
    let red: Vec<&CaseResult> = report
        .results
        .iter()
        .filter(|one| one.counts == Counts::Failed)
        .collect();
    if !red.is_empty() {
        text.push_str("## Failures\n\n");
    }
    for result in red {
        failure(&mut text, result);
    }
    text.truncate(text.trim_end().len());
    text.push('\n');
    text
}

fn meetings(text: &mut String, matrix: &Matrix) {
    text.push_str("## Pairs\n\n| client \\ server |");
    for server in &matrix.servers {
        let _ = write!(text, " {} |", inline(server));
    }
    let _ = writeln!(text, "\n|---|{}", "--:|".repeat(matrix.servers.len()));
    for client in &matrix.clients {
        let _ = write!(text, "| {} |", inline(client));
        for server in &matrix.servers {
            let _ = write!(text, " {} |", matrix.cell(client, server));
        }
        text.push('\n');
    }
    text.push('\n');
    for fault in &matrix.faults {
        let _ = writeln!(text, "At fault: **{}**\n", inline(&fault.peer));
        for run in &fault.runs {
            let _ = writeln!(
                text,
                "* `{}` {}: {}",
                run.id,
                run.rules.join(" "),
                inline(&run.seen)
            );
        }
        text.push('\n');
    }
}

fn table(text: &mut String, report: &Report) {
    let given: Vec<Verdict> = Verdict::ALL
        .into_iter()
        .filter(|verdict| report.verdicts.contains_key(verdict.key()))
        .collect();
    if given.is_empty() {
        return;
    }
    text.push_str("| subject | role |");
    for verdict in &given {
        let _ = write!(text, " {} |", verdict.key());
    }
    let _ = writeln!(text, "\n|---|---|{}", "--:|".repeat(given.len()));
    for subject in &report.subjects {
        let _ = write!(text, "| {} | {} |", inline(&subject.name), subject.role);
        for verdict in &given {
            let count = report
                .of(&subject.name)
                .filter(|one| one.verdict == *verdict)
                .count();
            let _ = write!(text, " {count} |");
        }
        text.push('\n');
    }
    text.push('\n');
}

fn broken(text: &mut String, report: &Report) {
    let broken = report.broken();
    if broken.is_empty() {
        return;
    }
    text.push_str("## Broken rules\n\n| rule | level | sentence | cases |\n|---|---|---|---|\n");
    for (rule, results) in broken {
        let cases: Vec<String> = results.iter().map(|one| format!("`{}`", one.id)).collect();
        let sentence = rule.sentence.replace('|', "\\|");
        let _ = writeln!(
            text,
            "| `{}` | {} | {sentence} | {} |",
            rule.id,
            rule.level,
            cases.join("<br>")
        );
    }
    text.push('\n');
}

fn failure(text: &mut String, result: &CaseResult) {
    let (subject, id) = (inline(&result.subject), inline(&result.id));
    let verdict = result.verdict.key();
    if text.len() > ROOM {
        let _ = writeln!(
            text,
            "* {subject} {id}: {verdict}, {}",
            inline(&text::in_short(result))
        );
        return;
    }
    let _ = writeln!(
        text,
        "### {subject} {id}: {verdict}\n\n{}\n",
        inline(&result.title)
    );
    let detail = text::detail(result);
    let fence = "`".repeat(longest_run(&detail).max(2) + 1);
    let _ = writeln!(text, "{fence}text\n{}\n{fence}\n", detail.trim_end());
}

/// Text in a line or a cell, with all markup escaped.
fn inline(text: &str) -> String {
    let mut safe = String::new();
    for c in text.chars() {
        match c {
            '\n' | '\t' => safe.push(' '),
            '<' => safe.push_str("&lt;"),
            '&' => safe.push_str("&amp;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '#' | '~' => {
                safe.push('\\');
                safe.push(c);
            }
            _ => safe.push(c),
        }
    }
    safe
}

/// The longest run of backticks; the fence around the text must be longer.
fn longest_run(text: &str) -> usize {
    text.split(|c| c != '`').map(str::len).max().unwrap_or(0)
}
