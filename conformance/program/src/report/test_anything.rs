//! The report in the Test Anything Protocol (TAP), with a YAML block after every result that is not a plain pass.

use std::fmt::Write as _;

use netroxy_judge::verdict::Verdict;

use super::model::{CaseResult, Counts, Ended, Report};
use super::text::transcript;

/// The version number in the first line; the rest is the same. Harnesses that know only version 13, such as the one of
/// Perl, refuse 14.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    V13 = 13,
    V14 = 14,
}

/// The report.
pub(crate) fn render(report: &Report, protocol: Version) -> String {
    let mut text = format!("TAP version {}\n", protocol as u8);
    let Report {
        version,
        spec,
        profile,
        started,
        ..
    } = report;
    let _ = writeln!(
        text,
        "# netroxy-conformance {version}, spec {spec}, profile {profile}, started {started}"
    );
    if let Some(not_ready) = &report.not_ready {
        let reason = one_line(&not_ready.reason);
        let _ = writeln!(
            text,
            "Bail out! {} never became ready: {reason}",
            not_ready.subject
        );
        return text;
    }
    // `planned` counts cases that are missing in a run that ended early.
    let planned = match report.ended {
        Ended::Complete => report.results.len(),
        Ended::Interrupted | Ended::FailFast | Ended::NotReady => report.planned,
    };
    let _ = writeln!(text, "1..{planned}");
    for (index, result) in report.results.iter().enumerate() {
        point(&mut text, index + 1, result);
    }
    if let Some(words) = report.ended.words() {
        let _ = writeln!(text, "Bail out! {words}");
    }
    text
}

fn point(text: &mut String, number: usize, result: &CaseResult) {
    // In TAP, a known failure is `not ok` with TODO.
    let fails = result.counts == Counts::Failed || result.verdict == Verdict::KnownFailing;
    let ok = if fails { "not ok" } else { "ok" };
    let directive = match (result.verdict, &result.listed) {
        (Verdict::Skip, _) => {
            let reason = result.reason.as_deref().unwrap_or_default();
            format!(" # SKIP {}", one_line(reason))
        }
        (Verdict::KnownFailing, Some(listed)) => format!(" # TODO {}", one_line(&listed.why)),
        (Verdict::KnownFailing, None) => " # TODO known to fail".to_owned(),
        _ => String::new(),
    };
    let name = escaped(&format!("{} {}", result.subject, result.id));
    let _ = writeln!(text, "{ok} {number} - {name}{directive}");
    if result.verdict != Verdict::Skip && !result.is_plain() {
        diagnostics(text, result);
    }
}

fn diagnostics(text: &mut String, result: &CaseResult) {
    text.push_str("  ---\n");
    field(text, "message", Some(&result.title));
    field(text, "severity", Some(result.verdict.key()));
    field(text, "reason", result.reason.as_deref());
    list(text, "notes", &result.notes);
    if let Some(broken) = &result.broken {
        field(
            text,
            "at",
            Some(&format!("{}:{}", broken.file, broken.line)),
        );
        field(text, "expected", Some(&broken.expected));
        field(text, "got", Some(&broken.got));
        list(text, "rules", &broken.rules);
        list(text, "sentences", &broken.sentences);
    }
    field(text, "twin", result.twin.as_deref());
    if let Some(listed) = &result.listed {
        field(text, "listed_got", Some(&listed.got));
        field(text, "listed_why", Some(&listed.why));
    }
    let remarks = result.remarks.iter();
    list(
        text,
        "remarks",
        &remarks.map(|one| one.seen.clone()).collect::<Vec<_>>(),
    );
    list(text, "transcript", &transcript(&result.transcript));
    if let Some(between) = &result.between {
        field(text, "between", Some(&between.words()));
        list(text, "said", &transcript(&between.transcript));
    }
    let log: Vec<String> = result.log.lines().map(str::to_owned).collect();
    list(text, "log", &log);
    field(text, "replay", Some(&result.replay));
    text.push_str("  ...\n");
}

fn field(text: &mut String, key: &str, value: Option<&str>) {
    if let Some(value) = value {
        let _ = writeln!(text, "  {key}: {}", quoted(value));
    }
}

fn list(text: &mut String, key: &str, values: &[String]) {
    if !values.is_empty() {
        let _ = writeln!(text, "  {key}:");
        for value in values {
            let _ = writeln!(text, "    - {}", quoted(value));
        }
    }
}

/// A YAML string; every JSON string is one.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// A description, with `#` escaped, because it would begin a directive.
fn escaped(text: &str) -> String {
    one_line(text).replace('\\', "\\\\").replace('#', "\\#")
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
