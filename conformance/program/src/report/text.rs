//! The report as text for a terminal.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::time::Duration;

use netroxy_judge::run::Summary;
use netroxy_judge::verdict::Verdict;

use super::model::{CaseResult, Counts, Matrix, Report, Totals, TranscriptLine};

/// A result as text: a line, and details unless it is a pass.
pub(super) fn result(result: &CaseResult, colour: bool) -> String {
    let shade = match result.counts {
        Counts::Failed => RED,
        Counts::Skipped => YELLOW,
        Counts::Passed if result.verdict == Verdict::Pass => GREEN,
        Counts::Passed => YELLOW,
    };
    let name = painted(&format!("{:>10}", result.verdict.name()), shade, colour);
    let mut text = format!("{name} [{:7.3}s] {}", result.seconds, result.id);
    let aside = match (result.verdict, &result.listed) {
        (Verdict::Skip, _) => result.reason.as_deref(),
        (Verdict::KnownFailing, Some(listed)) => Some(listed.why.as_str()),
        _ => None,
    };
    if let Some(aside) = aside {
        let _ = write!(text, "  {}", aside.replace('\n', " "));
    }
    text.push('\n');
    if matches!(result.verdict, Verdict::Skip | Verdict::KnownFailing) {
        return text;
    }
    for line in detail(result).lines() {
        let broken = line.starts_with("  ! ");
        let _ = writeln!(text, "{MARGIN}{}", painted(line, RED, colour && broken));
    }
    text
}

/// The details of a result that is not a plain pass, without margin and colour.
pub(super) fn detail(result: &CaseResult) -> String {
    let mut text = String::new();
    for remark in &result.remarks {
        let rules = remark.rules.join(" ");
        let _ = writeln!(
            text,
            "nonstrict  {}  [{rules}]  {}:{}",
            remark.seen, result.file, remark.line
        );
    }
    for note in &result.notes {
        let _ = writeln!(text, "{note}");
    }
    if matches!(
        result.verdict,
        Verdict::Pass | Verdict::Nonstrict | Verdict::Skip
    ) {
        return text;
    }
    if let Some(broken) = &result.broken {
        for (place, sentence) in broken.places.iter().zip(&broken.sentences) {
            let _ = writeln!(text, "{place}\n{sentence}");
        }
        if broken.rules.is_empty() && result.twin.is_none() {
            text.push_str("its rules could not be judged: a step before them did not come true\n");
        }
        let _ = writeln!(
            text,
            "expected  {}    {}:{}",
            broken.expected, broken.file, broken.line
        );
        let _ = writeln!(text, "got       {}", broken.got);
    }
    if let Some(reason) = &result.reason {
        let _ = writeln!(text, "{reason}");
    }
    if let Some(listed) = &result.listed {
        let _ = writeln!(text, "listed    {}  ({})", listed.got, listed.why);
    }
    if result.broken.is_none() && result.verdict == Verdict::UnexpectedPass {
        return text;
    }
    for line in transcript(&result.transcript) {
        let _ = writeln!(text, "  {line}");
    }
    if let Some(between) = &result.between {
        let _ = writeln!(text, "{}", between.words());
        for line in cut(transcript(&between.transcript)) {
            let _ = writeln!(text, "  {line}");
        }
    }
    if !result.log.is_empty() {
        let log = result.log.replace('\n', "\n  | ");
        let _ = writeln!(text, "the output of the program ends with\n  | {log}");
    }
    let _ = writeln!(text, "again     {}", result.replay);
    text
}

/// Leaves out lines in the middle if there are many; the JSON report has all.
fn cut(mut lines: Vec<String>) -> Vec<String> {
    let (first, last) = (60, 100);
    if lines.len() > first + last {
        let left_out = lines.len() - first - last;
        let gap = format!("  ... {left_out} lines left out; the JSON report has them");
        lines.splice(first..first + left_out, [gap]);
    }
    lines
}

/// The failure in one line.
pub(super) fn in_short(result: &CaseResult) -> String {
    let text = match (&result.reason, &result.broken, result.remarks.first()) {
        (Some(reason), _, _) => reason.clone(),
        (None, None, _) if !result.notes.is_empty() => result.notes.join("; "),
        (None, Some(broken), _) => format!("expected {}, got {}", broken.expected, broken.got),
        (None, None, Some(remark)) => format!("nonstrict: {}", remark.seen),
        (None, None, None) => result.verdict.key().to_owned(),
    };
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The lines of a transcript with their times; the broken one begins with `!`.
pub(super) fn transcript(lines: &[TranscriptLine]) -> Vec<String> {
    let line = |line: &TranscriptLine| {
        let mark = if line.broken { '!' } else { ' ' };
        let step = line.step.replace('\n', &format!("\n{:13}", ""));
        format!("{mark} {:7.3}  {step}", line.at)
    };
    lines.iter().map(line).collect()
}

/// The text after the results: the counts of each subject, the broken rules, and the slowest cases.
pub(super) fn summary(report: &Report, run: &Summary, slowest: usize, colour: bool) -> String {
    let mut text = skipped(report);
    for subject in &report.subjects {
        let count = |verdict| {
            report
                .of(&subject.name)
                .filter(|one| one.verdict == verdict)
                .count()
        };
        let counts: Vec<String> = Verdict::ALL
            .into_iter()
            .filter(|verdict| count(*verdict) > 0)
            .map(|verdict| format!("{} {}", count(verdict), verdict.key()))
            .collect();
        let _ = writeln!(
            text,
            "    {}: {} of {}: {}",
            subject.name,
            report.of(&subject.name).count(),
            counted(subject.planned, "case"),
            counts.join(", "),
        );
    }
    let _ = writeln!(text, "\n    {run}");
    for (id, took) in run.slowest.iter().take(slowest) {
        let _ = writeln!(text, "    {:7.3}s  {id}", took.as_secs_f64());
    }
    let broken = report.broken();
    let width = broken
        .iter()
        .map(|(rule, _)| rule.id.len())
        .max()
        .unwrap_or(0);
    if !broken.is_empty() {
        text.push_str("\nbroken rules\n");
    }
    for (rule, results) in broken {
        let id = painted(&format!("{:width$}", rule.id), RED, colour);
        let cases = counted(results.len(), "case");
        let _ = writeln!(
            text,
            "    {id}  {:6}  {cases:>9}  {}",
            rule.level, rule.sentence
        );
    }
    if let Some(matrix) = &report.matrix {
        text.push('\n');
        text.push_str(&meetings(matrix));
    }
    // In a matrix, one case may be slow with every pair.
    let mut seen = BTreeSet::new();
    let slow: Vec<String> = run
        .slowest
        .iter()
        .filter(|(id, took)| *took >= SLOW && seen.insert(id))
        .take(3)
        .map(|(id, took)| format!("{id} {:.1} s", took.as_secs_f64()))
        .collect();
    if slowest == 0 && !slow.is_empty() {
        let _ = writeln!(text, "\nslowest  {}", slow.join(", "));
    }
    text
}

/// The number of skipped runs for each reason; reasons that differ only in the rule are counted together.
fn skipped(report: &Report) -> String {
    let mut reasons: BTreeMap<&str, usize> = BTreeMap::new();
    for result in &report.results {
        if result.verdict != Verdict::Skip {
            continue;
        }
        let reason = result.reason.as_deref().unwrap_or("no reason is known");
        let named = reason.split_once(" is ");
        let reason = match named {
            Some((id, rest)) if result.rules.iter().any(|rule| rule == id) => rest,
            _ => reason,
        };
        *reasons.entry(reason).or_default() += 1;
    }
    let mut text = String::new();
    for (reason, count) in reasons {
        let _ = writeln!(text, "    {count} skipped: {reason}");
    }
    text
}

/// Such as `1 case` and `2 cases`.
pub(crate) fn counted(count: usize, noun: &str) -> String {
    let s = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{s}")
}

/// A table of all pairs, and the runs that each peer is at fault for.
fn meetings(matrix: &Matrix) -> String {
    const HEAD: &str = "client \\ server";
    let longest = |names: &[String]| names.iter().map(String::len).max().unwrap_or(0);
    let left = longest(&matrix.clients).max(HEAD.len());
    let width = longest(&matrix.servers).max("100/100".len());
    let mut text = format!("    {HEAD:left$}");
    for server in &matrix.servers {
        let _ = write!(text, "  {server:>width$}");
    }
    text.push('\n');
    for client in &matrix.clients {
        let _ = write!(text, "    {client:left$}");
        for server in &matrix.servers {
            let _ = write!(text, "  {:>width$}", matrix.cell(client, server));
        }
        text.push('\n');
    }
    for fault in &matrix.faults {
        let _ = writeln!(text, "\n    at fault: {}", fault.peer);
        for run in &fault.runs {
            // A crash, or a failed step that only prepares, names no rule.
            let what = match run.rules.is_empty() {
                true => run.seen.split_whitespace().collect::<Vec<_>>().join(" "),
                false => format!("[{}]", run.rules.join(" ")),
            };
            let _ = writeln!(text, "        {}  {what}", run.id);
        }
    }
    text
}

/// The last line of every run; other programs read it.
pub(crate) fn last_line(totals: Totals) -> String {
    format!(
        "conformance: {} passed, {} failed, {} skipped\n",
        totals.passed, totals.failed, totals.skipped
    )
}

fn painted(text: &str, shade: &str, colour: bool) -> String {
    match colour {
        true => format!("{shade}{text}\x1b[0m"),
        false => text.to_owned(),
    }
}

/// The width of the column of verdicts.
const MARGIN: &str = "           ";

/// Cases that take this long are named.
const SLOW: Duration = Duration::from_secs(5);

const RED: &str = "\x1b[31m";
const YELLOW: &str = "\x1b[33m";
const GREEN: &str = "\x1b[32m";
