//! The report as JUnit XML, for CI servers.

use std::time::Duration;

use chrono::DateTime;
use netroxy_judge::verdict::Verdict;
use quick_junit::{NonSuccessKind, Property, TestCase, TestCaseStatus, TestSuite, XmlString};

use super::model::{CaseResult, Counts, Report, SubjectEntry};
use super::text;

/// The report; a suite for each subject.
pub(crate) fn render(report: &Report) -> String {
    let mut all = quick_junit::Report::new("netroxy-conformance");
    all.set_time(Duration::from_secs_f64(report.seconds));
    if let Ok(started) = DateTime::parse_from_rfc3339(&report.started) {
        all.set_timestamp(started);
    }
    for subject in &report.subjects {
        all.add_test_suite(suite(report, subject));
    }
    if let Some(not_ready) = &report.not_ready {
        let mut suite = TestSuite::new(not_ready.subject.as_str());
        let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
        status
            .set_message(not_ready.reason.as_str())
            .set_type("not-ready");
        suite.add_test_case(TestCase::new("ready", status));
        all.add_test_suite(suite);
    }
    // Writing to memory does not fail.
    all.to_string().unwrap_or_default()
}

fn suite(report: &Report, subject: &SubjectEntry) -> TestSuite {
    let mut suite = TestSuite::new(subject.name.as_str());
    suite.set_time(Duration::from_secs_f64(report.seconds));
    if let Ok(started) = DateTime::parse_from_rfc3339(&report.started) {
        suite.set_timestamp(started);
    }
    for (name, value) in [
        ("spec", report.spec),
        ("profile", report.profile),
        ("strict", if report.strict { "true" } else { "false" }),
        ("seed", report.seed.as_deref().unwrap_or_default()),
        ("ended", report.ended.words().unwrap_or("complete")),
    ] {
        suite.add_property(Property::new(name, value));
    }
    if let Some(shard) = &report.shard {
        let part = format!("{}/{}", shard.number, shard.of);
        suite.add_property(Property::new("part", part));
    }
    for result in report.of(&subject.name) {
        suite.add_test_case(case(result));
    }
    suite
}

fn case(result: &CaseResult) -> TestCase {
    let mut case = TestCase::new(result.id.as_str(), status(result));
    let area = result.case.rsplit_once('/').map_or("", |(area, _)| area);
    case.set_classname(format!("{}.{}", result.subject, area.replace('/', ".")));
    case.set_time(Duration::from_secs_f64(result.seconds));
    case.add_property(Property::new("verdict", result.verdict.key()));
    case.add_property(Property::new("title", result.title.as_str()));
    case.add_property(Property::new("rules", result.rules.join(" ")));
    if result.counts == Counts::Passed && !result.is_plain() {
        case.set_system_out(XmlString::new(text::detail(result)));
    }
    if !result.log.is_empty() {
        case.set_system_err(XmlString::new(result.log.as_str()));
    }
    case
}

fn status(result: &CaseResult) -> TestCaseStatus {
    match result.counts {
        Counts::Passed => TestCaseStatus::success(),
        Counts::Skipped => {
            let mut status = TestCaseStatus::skipped();
            status.set_message(result.reason.as_deref().unwrap_or_default());
            status
        }
        Counts::Failed => {
            let kind = match result.verdict {
                Verdict::Crash | Verdict::Hang | Verdict::NotReady | Verdict::Harness => {
                    NonSuccessKind::Error
                }
                _ => NonSuccessKind::Failure,
            };
            let mut status = TestCaseStatus::non_success(kind);
            status
                .set_type(result.verdict.key())
                .set_message(text::in_short(result))
                .set_description(text::detail(result));
            status
        }
    }
}
