//! The report of a run for programs.

use std::fs;
use std::io;
use std::path::Path;

use serde_json::{Value, json};

use super::Totals;
use crate::rules::Rule;
use crate::run::{Ended, Summary};
use crate::verdict::Judged;

/// Writes all results to a file.
pub(crate) fn write(
    path: &Path,
    results: &[(String, Judged)],
    rules: &[Rule],
    totals: &Totals,
    summary: &Summary,
) -> io::Result<()> {
    let results: Vec<Value> = results
        .iter()
        .map(|(subject, judged)| result(subject, judged, rules))
        .collect();
    let report = json!({
        "format": "netroxy-conformance-1",
        "version": env!("CARGO_PKG_VERSION"),
        "spec": "0.3",
        "totals": { "passed": totals.passed, "failed": totals.failed, "skipped": totals.skipped },
        "run": run(summary),
        "results": results,
    });
    fs::write(path, format!("{report:#}\n"))
}

fn run(summary: &Summary) -> Value {
    let slowest: Vec<Value> = summary
        .slowest
        .iter()
        .map(|(id, took)| json!({ "id": id, "seconds": took.as_secs_f64() }))
        .collect();
    let ended = match summary.ended {
        Ended::Complete => "complete",
        Ended::Interrupted => "interrupted",
        Ended::FailFast => "fail-fast",
    };
    json!({
        "ended": ended, "seconds": summary.wall.as_secs_f64(), "played": summary.played,
        "per_second": summary.pace(), "slowest": slowest, "retried": summary.retried,
        "longest_stall_ms": u64::try_from(summary.longest_stall.as_millis()).unwrap_or(u64::MAX),
        "seed": summary.order.seed.map(|seed| format!("{seed:#x}")), "repeat": summary.order.repeat,
    })
}

fn result(subject: &str, judged: &Judged, rules: &[Rule]) -> Value {
    let broken = judged.broken.as_ref().map(|broken| {
        let sentences: Vec<&str> = broken
            .marks
            .iter()
            .filter_map(|id| rules.iter().find(|rule| rule.id == *id))
            .map(|rule| rule.text.as_str())
            .collect();
        json!({
            "line": broken.line, "rules": broken.marks, "sentences": sentences,
            "expected": broken.expected, "got": broken.got,
        })
    });
    let remarks: Vec<Value> = judged
        .remarks
        .iter()
        .map(|remark| json!({ "line": remark.line, "rules": remark.marks, "seen": remark.seen }))
        .collect();
    let transcript: Vec<String> = judged
        .transcript
        .iter()
        .flat_map(crate::transcript::Transcript::lines)
        .map(|(_, line)| line)
        .collect();
    json!({
        "sut": subject, "id": judged.id, "file": judged.file,
        "verdict": judged.verdict.name().to_ascii_lowercase(),
        "seconds": judged.took.as_secs_f64(),
        "reason": judged.reason.as_ref().filter(|reason| !reason.is_empty()),
        "rules": judged.judged_rules,
        "listed": judged.listed.as_ref().map(|listed| json!({ "got": listed.got, "why": listed.why })),
        "notes": judged.notes, "broken": broken, "remarks": remarks, "transcript": transcript, "log": judged.log,
    })
}
