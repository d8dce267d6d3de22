use std::sync::Arc;
use std::time::Duration;

use netroxy_judge::run::{Ended, InPlay};
use netroxy_judge::sut::Subject;
use netroxy_judge::times::Tempo;
use netroxy_judge::verdict::{Reason, RunNote, Unjudged};
use netroxy_specification::catalog::read;
use netroxy_specification::notation::ast::{Side as Role, Transport};

use super::*;
use crate::peers;

fn job() -> Job {
    let text = "title    x\nrole     server\nrules    auth.first\n\n\
        ctl   connect server                      [auth.first]\n";
    Job {
        entry: Arc::new(read("server/x/y", "y.case", text).unwrap()),
        transport: Transport::Plain,
        subject: Arc::new(Subject::Started(peers::reference(Role::Server).unwrap())),
        skip: None,
        tempo: Tempo::new(1.0),
        still: netroxy_judge::times::STILL,
        round: None,
        in_play: InPlay::default(),
        listens: false,
        excused: true,
    }
}

fn judged(id: &str, verdict: Verdict, reason: &str) -> Judged {
    Judged {
        verdict,
        reason: (!reason.is_empty()).then(|| Reason::Unjudged(Unjudged::Harness(reason.into()))),
        ..Judged::unjudged(id.into(), "y.case".into(), Unjudged::Harness(String::new()))
    }
}

fn summary() -> Summary {
    Summary {
        ended: Ended::Complete,
        wall: Duration::from_millis(1234),
        played: 2,
        slowest: Vec::new(),
        retried: 1,
        longest_stall: Duration::from_millis(56),
    }
}

fn tally(runs: &[[Judged; 2]]) -> (Tally, String) {
    let (mut tally, mut lines) = (Tally::default(), String::new());
    for (seed, results) in (1..).zip(runs) {
        let mut run = Run::new(seed);
        for judged in results {
            tally.note(&mut run, &job(), judged);
        }
        lines.push_str(&tally.end(&run, &summary(), &[]));
    }
    (tally, lines)
}

#[test]
fn a_case_that_always_fails_alike_is_steady() {
    let run = || {
        [
            judged("a", Verdict::Pass, ""),
            judged("b", Verdict::Fail, "x"),
        ]
    };
    let (tally, lines) = tally(&[run(), run(), run()]);
    assert!(tally.is_steady());
    let last = "   3  seed 0x0000000000000003    1.2 s  1 passed, 1 failed  \
        played once more 1  longest stall 56 ms";
    assert_eq!(lines.lines().last(), Some(last));
    assert_eq!(
        tally.text(Columns::within(100)),
        "\nflakes: 3 runs of 2 cases, 0 unsteady, 0 leaks\n"
    );
}

#[test]
fn another_verdict_another_transcript_and_a_missing_result_are_unsteady() {
    let pass = |id| judged(id, Verdict::Pass, "");
    let replayed = Judged {
        notes: vec![RunNote::PlayedAgain {
            stall: Duration::from_millis(56),
        }],
        ..pass("a")
    };
    let (tally, _) = tally(&[
        [pass("a"), pass("b")],
        [
            judged("a", Verdict::Fail, "it came too late"),
            judged("b", Verdict::Pass, "otherwise"),
        ],
        [pass("a"), pass("c")],
        [replayed, judged("b", Verdict::Skip, "")],
    ]);
    assert!(!tally.is_steady());
    insta::assert_snapshot!(tally.text(Columns::within(80)));
}

#[test]
fn a_run_that_leaves_something_behind_is_not_steady() {
    let mut tally = Tally::default();
    let line = tally.end(&Run::new(7), &summary(), &["folder /tmp/x".to_owned()]);
    assert!(
        line.ends_with("\n      left behind: folder /tmp/x\n"),
        "{line}"
    );
    assert!(!tally.is_steady());
    let text = tally.text(Columns::within(80));
    assert!(
        text.ends_with("flakes: 1 runs of 0 cases, 0 unsteady, 1 leaks\n"),
        "{text}"
    );
}
