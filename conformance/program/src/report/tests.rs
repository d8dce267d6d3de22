//! Every format of one fixed run.

mod between;
mod merge;
mod page;

use std::sync::Arc;
use std::time::Duration;

use netroxy_judge::manifest::Manifest;
use netroxy_judge::note::Note;
use netroxy_judge::player::{Broken, Expected, Remark};
use netroxy_judge::run::{self, Job, Options, Order, Start, Summary};
use netroxy_judge::skip::Skip;
use netroxy_judge::sut::Subject;
use netroxy_judge::times::{RoundTrips, Tempo};
use netroxy_judge::transcript::Transcript;
use netroxy_judge::verdict::{Judged, Listed, Reason, RunNote, Unjudged, Verdict};
use netroxy_judge::wire::End;
use netroxy_specification::catalog;
use netroxy_specification::notation::ast::{Action, Expectation, Line, Side};
use netroxy_specification::notation::parse_step;
use netroxy_specification::rules::{self, Rule};

use super::model::{CaseResult, Ended, NotReady, Report, Settings};
use super::{html, json, junit, markdown, test_anything, text};
use crate::peers;

const RULES: &str = "r[tunnel.early-data]\n\
    A server MUST deliver every byte that follows `TRS`.\n\
    {subject: server; origin: clarified; since: 0.3; corrupts: data}\n\n\
    Why: A target may speak first, `<b>`.\n\n\
    r[auth.deadline]\nA server SHOULD close | a connection that sends nothing.\n\
    {subject: server; origin: clarified; since: 0.3}\n";

/// If the case fails, its last step fails.
const CASE: &str = r#"title    <script>alert(1)</script> & bytes that share a segment with TRS
role     server
rules    tunnel.early-data

ctl   connect server
ctl   > ATH probe conf-user "\x1b[31m</pre>]]>\xff"
ctl   < ARS true 30 "<script>alert(2)</script>"
user  connect $port
tun   connect server
tun   >> "TRS\n```\n20130\nEARLY and a good deal more than fits on a line of a report"  # one segment
user  << "EARLY"                          [tunnel.early-data]
"#;

const SETTINGS: Settings = Settings {
    options: Options {
        hardened: true,
        jobs: 8,
        time_scale: 2.0,
        still: None,
    },
    strict: false,
    order: Order {
        seed: Some(7),
        repeat: 1,
        fail_fast: false,
    },
};

fn rules() -> Vec<Rule> {
    rules::extract(RULES).unwrap()
}

fn subject() -> Arc<Subject> {
    Arc::new(Subject::Started(peers::reference(Side::Server).unwrap()))
}

fn job(name: &str) -> Job {
    let file = format!("spec/v0.3/cases/server/{name}.case");
    let mut entry = catalog::read(&format!("server/{name}"), &file, CASE).unwrap();
    entry.origin = catalog::Origin::Named;
    run::plan(&[Arc::new(entry)], &subject(), &rules(), SETTINGS.options).remove(0)
}

/// A result in which all steps came true, except perhaps the last one.
fn judged(job: &Job, verdict: Verdict) -> Judged {
    let mut transcript = Transcript::start();
    for line in &job.entry.case.body {
        match line {
            Line::Step(step) if step.marks.is_empty() => {
                let note = step.comment.clone().map(Note::Unwritten);
                transcript.add(&step.actor, step.action.clone(), note);
            }
            Line::Step(step) if !verdict.is_red(false) || verdict == Verdict::UnexpectedPass => {
                transcript.add(&step.actor, step.action.clone(), None);
            }
            Line::Step(step) => transcript.add_broken(step),
            _ => {}
        }
    }
    let closed = Action::Expect(Expectation::Closed);
    transcript.add("ctl", closed, Some(Note::Ended(End::Eof)));
    Judged {
        id: job.entry.id.clone(),
        file: job.entry.file.clone(),
        verdict,
        twin: None,
        reason: None,
        broken: None,
        remarks: Vec::new(),
        judged_rules: std::iter::once("tunnel.early-data".to_owned()).collect(),
        listed: None,
        heard: None,
        notes: Vec::new(),
        transcript: Some(transcript),
        log: String::new(),
        took: Duration::from_millis(2031),
    }
}

fn broken(marks: &[&str], expected: &str) -> Option<Broken> {
    Some(Broken {
        line: 9,
        marks: marks.iter().map(|id| (*id).to_owned()).collect(),
        expected: Expected::Step(Box::new(parse_step(expected).unwrap())),
        got: "nothing in 2.0 s; the connection is open".into(),
    })
}

fn listed() -> Option<Listed> {
    Some(Listed {
        got: "nothing in 2.0 s; the connection is open".into(),
        why: "it loses what shares a segment with TRS # see issue 7".into(),
    })
}

/// One result of each kind.
fn result(verdict: Verdict) -> CaseResult {
    let job = job(verdict.key());
    let plain = judged(&job, verdict);
    let mark = "tunnel.early-data";
    let judged = match verdict {
        Verdict::Pass => plain,
        Verdict::Nonstrict => Judged {
            remarks: vec![Remark {
                line: 9,
                marks: vec![mark.into()],
                seen: "user << silence".into(),
            }],
            ..plain
        },
        Verdict::Skip => Judged {
            reason: Some(Reason::Unjudged(Unjudged::Skipped(Skip::Transport(
                "it does not speak tls".into(),
            )))),
            transcript: None,
            ..plain
        },
        Verdict::KnownFailing => Judged {
            broken: broken(&[mark], "user  << \"EARLY\""),
            listed: listed(),
            ..plain
        },
        Verdict::UnexpectedPass => Judged {
            listed: listed(),
            notes: vec![RunNote::Baseline(
                "listed as FAIL, and it passes: remove its entry".into(),
            )],
            ..plain
        },
        Verdict::Fail => Judged {
            broken: broken(&[mark], "user  << \"EARLY\""),
            log: "\x1b[1mstarting\x1b[0m\n]]> </pre><script>alert(3)</script>".into(),
            ..plain
        },
        Verdict::Blocked => Judged {
            broken: broken(&[], "ctl   < ARS true 30 ?token"),
            ..plain
        },
        Verdict::Crash => Judged {
            broken: broken(&[mark], "user  << \"EARLY\""),
            reason: Some(Reason::Ended("exit status: 2".into())),
            log: "panic: concurrent map read and map write\ngoroutine 7 [running]".into(),
            ..plain
        },
        Verdict::Hang => Judged {
            broken: broken(&[mark], "user  << \"EARLY\""),
            reason: Some(Reason::Hangs("it runs, and no login is answered".into())),
            ..plain
        },
        Verdict::NotReady | Verdict::Harness => Judged {
            reason: Some(Reason::Unjudged(Unjudged::Harness(
                "cannot listen: no ports left".into(),
            ))),
            transcript: None,
            ..plain
        },
    };
    let mut result = CaseResult::new(&job, &judged, &rules(), SETTINGS);
    for (line, at) in result.transcript.iter_mut().zip(1_u32..) {
        line.at = f64::from(at) / 8.0;
    }
    result
}

fn report(verdicts: &[Verdict]) -> Report {
    let mut report = Report::new(SETTINGS);
    report.version = "1.2.3".to_owned();
    report.started = "2026-01-02T03:04:05Z".to_owned();
    let start = Start {
        ready: Duration::from_millis(12),
        trips: RoundTrips::new(Vec::new()),
        tempo: Tempo::new(1.0),
        order: SETTINGS.order,
    };
    report.add_subject(&subject(), verdicts.len(), &start);
    for verdict in verdicts {
        report.add(result(*verdict));
    }
    report.conclude(&summary());
    report.finish(&rules());
    report
}

fn summary() -> Summary {
    Summary {
        ended: run::Ended::Complete,
        wall: Duration::from_millis(12_500),
        played: 10,
        slowest: vec![
            ("server/fail".to_owned(), Duration::from_millis(6_250)),
            ("server/pass".to_owned(), Duration::from_millis(4_250)),
        ],
        retried: 1,
        longest_stall: Duration::from_millis(3),
    }
}

#[test]
fn each_verdict_as_text() {
    for verdict in Verdict::ALL {
        insta::assert_snapshot!(
            format!("text-{}", verdict.key()),
            text::result(&result(verdict), false)
        );
    }
}

#[test]
fn a_run_as_text() {
    let report = report(&Verdict::ALL);
    let text = text::summary(&report, &summary(), 0, false) + &text::last_line(report.totals);
    insta::assert_snapshot!("text-summary", text);
    let named = text::summary(&report, &summary(), 2, false);
    assert!(
        named.contains("\n      6.250s  server/fail\n      4.250s  server/pass\n"),
        "{named}"
    );
}

#[test]
fn colours_do_not_change_the_text() {
    for verdict in Verdict::ALL {
        let (plain, coloured) = (
            text::result(&result(verdict), false),
            text::result(&result(verdict), true),
        );
        assert!(!plain.contains('\x1b'), "{plain}");
        let mut bare = coloured.clone();
        for code in ["\x1b[31m", "\x1b[32m", "\x1b[33m", "\x1b[0m"] {
            bare = bare.replace(code, "");
        }
        assert!(coloured.len() > plain.len());
        assert_eq!(bare, plain);
    }
}

#[test]
fn a_run_as_tap() {
    insta::assert_snapshot!(
        "test-anything",
        test_anything::render(&report(&Verdict::ALL), test_anything::Version::V14)
    );
}

#[test]
fn a_run_that_was_stopped_bails_out() {
    let mut stopped = report(&[Verdict::Pass]);
    (stopped.ended, stopped.planned) = (Ended::Interrupted, 5);
    insta::assert_snapshot!(
        "test-anything-interrupted",
        test_anything::render(&stopped, test_anything::Version::V14)
    );
    let mut never = report(&[]);
    never.ended = Ended::NotReady;
    never.not_ready = Some(NotReady {
        subject: "x".to_owned(),
        reason: "it ended:\nexit status 7".to_owned(),
    });
    assert!(
        test_anything::render(&never, test_anything::Version::V14)
            .ends_with("\nBail out! x never became ready: it ended: exit status 7\n")
    );
    assert!(markdown::render(&never).contains("**x never became ready**: it ended: exit status 7"));
    assert!(html::render(&never).contains("<b>x never became ready.</b>"));
    assert!(html::render(&stopped).contains("<b>Ended early: interrupted.</b> 1 of 5 cases"));
    assert!(
        markdown::render(&stopped).contains("**Ended early**: interrupted, after 1 of 5 cases")
    );
}

#[test]
fn a_run_as_junit() {
    let text = junit::render(&report(&Verdict::ALL));
    insta::assert_snapshot!("junit", text);
    let again = quick_junit::Report::deserialize_from_str(&text).unwrap();
    assert_eq!((again.tests, again.failures, again.errors), (11, 3, 4));
    assert_eq!(again.test_suites[0].test_cases.len(), 11);
}

#[test]
fn a_run_as_markdown() {
    insta::assert_snapshot!(
        "markdown",
        markdown::render(&report(&[
            Verdict::Pass,
            Verdict::Skip,
            Verdict::KnownFailing,
            Verdict::Fail,
            Verdict::Blocked,
        ]))
    );
}

#[test]
fn markdown_stays_short_enough_for_an_issue() {
    let long = markdown::render(&report(&[Verdict::Fail; 300]));
    assert!(long.len() < 65_536 + 30_000, "{}", long.len());
    assert_eq!(long.matches("server/fail: fail").count(), 300);
}

#[test]
fn a_page_shows_received_markup_as_text() {
    let page = html::render(&report(&Verdict::ALL));
    assert_eq!(page.matches("<script>").count(), 1, "only its own script");
    for number in 1..=3 {
        assert!(page.contains(&format!("&lt;script&gt;alert({number})&lt;/script&gt;")));
    }
    assert!(!page.contains('\x1b'));
    assert_eq!(page.matches("</pre>").count(), page.matches("<pre").count());
}

#[test]
fn every_link_of_a_page_has_a_target_and_nothing_is_loaded() {
    crate::html::tests::sound(&html::render(&report(&Verdict::ALL)));
    // The same case twice, as with --repeat.
    crate::html::tests::sound(&html::render(&report(&[Verdict::Fail, Verdict::Fail])));
}

#[test]
fn a_page_of_many_cases_stays_small() {
    let page = html::render(&report(&[Verdict::Fail; 300]));
    assert!(page.len() < 2_000_000, "{}", page.len());
}

#[test]
fn json_fits_its_schema_with_every_verdict() {
    let schema: serde_json::Value = serde_json::from_str(json::SCHEMA).unwrap();
    jsonschema::meta::validate(&schema).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    for verdicts in [&Verdict::ALL[..], &[]] {
        let value = serde_json::from_str(&json::render(&report(verdicts))).unwrap();
        let wrong: Vec<String> = validator
            .iter_errors(&value)
            .map(|e| e.to_string())
            .collect();
        assert!(wrong.is_empty(), "{wrong:#?}");
    }
    let wrong = serde_json::json!({ "format": "netroxy-conformance-1" });
    assert!(!validator.is_valid(&wrong));
}

/// The reference with itself, a client X, a server Y, and X with Y.
fn pairs() -> Report {
    let named = |side, name: &str| Manifest {
        name: name.to_owned(),
        ..peers::reference(side).unwrap()
    };
    let mut report = report(&[]);
    report.subjects.clear();
    for (client, server, failing) in [
        ("reference-client", "reference-server", &[][..]),
        ("X", "reference-server", &["a"]),
        ("reference-client", "Y", &["b"]),
        ("X", "Y", &["a", "b", "c"]),
    ] {
        let pair = (named(Side::Server, server), named(Side::Client, client));
        let subject = Subject::Pair(Box::new(pair));
        let start = Start {
            ready: Duration::ZERO,
            trips: RoundTrips::new(Vec::new()),
            tempo: Tempo::new(1.0),
            order: SETTINGS.order,
        };
        report.add_subject(&subject, 3, &start);
        for id in ["a", "b", "c"] {
            let verdict = match failing.contains(&id) {
                true => Verdict::Fail,
                false => Verdict::Pass,
            };
            report.add(CaseResult {
                id: id.to_owned(),
                subject: subject.name(),
                ..result(verdict)
            });
        }
    }
    report.finish(&rules());
    report
}

#[test]
fn a_peer_that_fails_with_the_reference_is_at_fault() {
    let report = pairs();
    let matrix = report.matrix.as_ref().unwrap();
    assert_eq!(matrix.cell("X", "Y"), "0/3");
    assert_eq!(matrix.cell("reference-client", "Y"), "2/3");
    let faults: Vec<(&str, Vec<&str>)> = matrix
        .faults
        .iter()
        .map(|fault| {
            let runs = fault.runs.iter().map(|run| run.id.as_str());
            (fault.peer.as_str(), runs.collect())
        })
        .collect();
    // The rule of `c` binds servers.
    let wanted = [
        ("X", vec!["a"]),
        ("Y", vec!["b"]),
        ("Y, with X only", vec!["c"]),
    ];
    assert_eq!(faults, wanted);
    insta::assert_snapshot!("matrix", text::summary(&report, &summary(), 0, false));
    assert!(markdown::render(&report).contains("| X | 0/3 | 2/3 |"));
    let page = html::render(&report);
    crate::html::tests::sound(&page);
    for part in [
        "<title>Netroxy conformance: 2 clients with 2 servers</title>",
        "At fault: Y, with X only",
        // Two pairs break the rule in the same case, and each has its own link.
        r##"a: <a href="#case:X-with-Y:a">X with Y</a> <a href="#case:X-with-reference-server:a">X with reference-server</a>"##,
        r##"<a href="#case:X-with-Y:c" title="X with Y">c</a>"##,
        r##"<h3>At fault: X</h3><ul class="results"><li><a href="#case:X-with-reference-server:a">"##,
    ] {
        assert!(page.contains(part), "{part} is not in\n{page}");
    }
}
