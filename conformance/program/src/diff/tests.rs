use netroxy_judge::player::{Broken, Expected};
use netroxy_judge::transcript::Transcript;
use netroxy_judge::verdict::{Judged, Unjudged, Verdict};
use netroxy_specification::notation::ast::{Line as CaseLine, Step};
use netroxy_specification::notation::parse;
use netroxy_specification::rules;

use super::difference::Row;
use super::*;

/// A result; a step whose comment is `broken` did not come true.
fn judged(verdict: Verdict, steps: &str, got: &str) -> Side {
    let case = parse(&format!(
        "title    x\nrole     server\nrules    auth.first\n\n{steps}"
    ));
    let mut transcript = Transcript::start();
    let mut broken = None;
    for line in case.unwrap().body {
        let CaseLine::Step(step) = line else { continue };
        transcript.judge(&step.marks);
        if step.comment.is_none() {
            transcript.add(&step.actor, step.action, None);
            continue;
        }
        let step = Step {
            comment: None,
            ..step
        };
        transcript.add_broken(&step);
        broken = Some(Broken {
            line: 1,
            marks: step.marks,
            expected: Expected::StillWorks,
            got: got.into(),
        });
    }
    Side::from(&Judged {
        transcript: Some(transcript),
        broken,
        reason: None,
        verdict,
        ..Judged::unjudged("x".into(), "x".into(), Unjudged::Harness(String::new()))
    })
}

const SESSION: &str = "ctl   connect server\nctl   > ATH a b c\nctl   < ARS true 30 0123456789abcdef\n\
    ctl   > MAP 21007 x:1 true\nctl   < MRS 21007 true             [map.order]\n\
    tun   connect server\nuser  >> \"request\"\ntun   << \"request\"\n\
    tun   < eof                       [tunnel.half-close]\nctl   < silence\n\
    user  < closed                    [tunnel.close-propagates]\n";

fn broken_at(step: &str, got: &str) -> Side {
    let (before, rest) = SESSION.split_once(step).unwrap();
    let line = rest.lines().next().unwrap();
    judged(
        Verdict::Fail,
        &format!("{before}{step}{line}  # broken\n"),
        got,
    )
}

fn between(a: Side, b: Side) -> Option<Difference> {
    Difference::between("server/x/y", [a, b])
}

#[test]
fn equal_results_are_no_difference() {
    let both = || judged(Verdict::Pass, SESSION, "");
    assert!(between(both(), both()).is_none());
    let same = || broken_at("tun   < eof", "closed");
    assert!(between(same(), same()).is_none());
}

#[test]
fn the_first_broken_step_gives_the_rule() {
    let pass = || judged(Verdict::Pass, SESSION, "");
    let eof = || broken_at("tun   < eof", "nothing in 2.0 s");
    let mrs = || broken_at("ctl   < MRS 21007 true", "closed");
    for (a, b, rule) in [
        (pass(), eof(), "tunnel.half-close"),
        (eof(), pass(), "tunnel.half-close"),
        (mrs(), eof(), "map.order"),
        (eof(), mrs(), "map.order"),
        // At the same step, with another result.
        (
            eof(),
            broken_at("tun   < eof", "<< \"x\""),
            "tunnel.half-close",
        ),
    ] {
        assert_eq!(between(a, b).unwrap().rules, [rule]);
    }
    // A step that only prepares has no rule.
    let blocked = broken_at("ctl   < ARS", "closed");
    assert_eq!(between(pass(), blocked).unwrap().rules, [""; 0]);
}

#[test]
fn a_verdict_alone_is_a_difference() {
    let nonstrict = judged(Verdict::Nonstrict, SESSION, "");
    let found = between(judged(Verdict::Pass, SESSION, ""), nonstrict).unwrap();
    let changed = found
        .blocks
        .iter()
        .flatten()
        .filter(|row| matches!(row, Row::Differs(_)));
    assert_eq!(changed.count(), 1);
}

#[test]
fn differences_are_shown_side_by_side_below_their_rules() {
    let rules = rules::embedded().unwrap();
    let pass = || judged(Verdict::Pass, SESSION, "");
    let long = SESSION.replace("\"request\"", &format!("\"{}\"", "many words ".repeat(40)));
    let differences = [
        (
            "server/a/eof",
            pass(),
            broken_at("tun   < eof", "nothing in 2.0 s; the connection is open"),
        ),
        (
            "server/b/mrs",
            broken_at("ctl   < MRS 21007 true", "closed"),
            pass(),
        ),
        ("server/c/login", pass(), broken_at("ctl   < ARS", "closed")),
        ("server/d/long", pass(), judged(Verdict::Pass, &long, "")),
        (
            "server/e/verdict",
            judged(Verdict::Nonstrict, SESSION, ""),
            pass(),
        ),
    ];
    let differences = differences.map(|(id, a, b)| Difference::between(id, [a, b]).unwrap());
    let uncompared = ["server/f@tls", "server/g@tls"].map(|id| Uncompared {
        id: id.to_owned(),
        why: "other: it does not speak tls".to_owned(),
    });
    let report = Report {
        names: ["reference-server".to_owned(), "other".to_owned()],
        compared: 12,
        differences: differences.to_vec(),
        uncompared: uncompared.to_vec(),
        rules: &rules,
        replay: Some("netroxy-conformance run server --sut other.json -v server/a".to_owned()),
    };
    insta::assert_snapshot!(report.text(Columns::within(100)));
    insta::assert_snapshot!("json", report.json());
}

#[test]
fn no_line_is_wider_than_the_terminal() {
    let long = SESSION.replace("\"request\"", &format!("\"{}\"", "x.".repeat(2000)));
    let found = between(
        judged(Verdict::Pass, SESSION, ""),
        judged(Verdict::Fail, &long, ""),
    );
    let found = found.unwrap();
    for width in [70, 100, 131, 200] {
        let text = Columns::within(width).show(&found.blocks);
        let widest = text.lines().map(|line| line.chars().count()).max().unwrap();
        assert!(widest <= width && widest + 4 > width, "{widest} {width}");
    }
}
