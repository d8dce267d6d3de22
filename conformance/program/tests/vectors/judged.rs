//! The verdicts of `vectors run` on codecs.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use netroxy_specification::rules;
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use tempfile::TempDir;

use crate::fakes;

pub(crate) const TESTS: [(&str, fn()); 12] = [
    ("a_good_codec_passes_every_vector", good_passes),
    ("a_codec_that_always_says_the_same_is_not_judged", dishonest),
    ("a_program_that_cannot_be_started_is_named", unstartable),
    ("a_bad_command_line_exits_2", usage),
    ("a_selection_of_nothing_exits_4", nothing),
    ("a_codec_that_dies_is_started_again", dies),
    ("a_codec_that_hangs_is_ended", hangs),
    ("a_flood_and_rubbish_have_verdicts_of_their_own", noisy),
    ("each_misreading_fails_where_it_shows", misreadings),
    ("leniency_is_nonstrict", lenient),
    ("what_is_not_supported_is_skipped", unsupported),
    ("an_interrupted_run_ends_the_codec", interrupted),
];

fn vectors(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_netroxy-conformance"));
    command.arg("vectors").args(arguments);
    command
}

/// Judges a codec of [`fakes`].
fn run(selection: &[&str], kind: &str) -> (i32, String, String) {
    let itself = std::env::current_exe().unwrap();
    let mut command = vectors(&["run"]);
    command
        .args(selection)
        .arg("--")
        .arg(itself)
        .args([fakes::FLAG, kind]);
    finish(&mut command)
}

fn finish(command: &mut Command) -> (i32, String, String) {
    let output = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let code = output.status.code().unwrap();
    (code, text(output.stdout), text(output.stderr))
}

fn last(out: &str) -> &str {
    out.lines().last().unwrap_or_default()
}

fn good_passes() {
    let (code, out, err) = run(&["--strict"], "good");
    let (_, list, _) = finish(&mut vectors(&["list", "--json"]));
    let list: serde_json::Value = serde_json::from_str(&list).unwrap();
    let count = list.as_array().unwrap().len();
    let expected = format!("conformance: {count} passed, 0 failed, 0 skipped");
    assert_eq!((code, last(&out)), (0, &expected[..]), "{out}{err}");
    assert!(count >= 200);
}

fn dishonest() {
    let kinds = [
        "always-open",
        "always-invalid",
        "echo",
        "unsupported",
        "wrong-id",
    ];
    for kind in kinds {
        let (code, out, err) = run(&["1"], kind);
        assert_eq!(code, 3, "{kind}: {out}{err}");
        assert!(err.contains("not ready") && err.contains("hint:"), "{err}");
    }
    let (code, _, err) = run(&["1", "--time-scale", "0.02"], "silent");
    assert_eq!(code, 3, "{err}");
    assert!(err.contains("no answer within 0.1 s"), "{err}");
    assert!(!err.contains("flush"), "{err}");
    let (code, _, err) = run(&["1", "--time-scale", "0.02"], "unflushed");
    assert_eq!(code, 3, "{err}");
    assert!(err.contains("let it flush after each answer"), "{err}");
    let (code, _, err) = finish(&mut vectors(&["run", "--", "sh", "-c", "echo hello; cat"]));
    assert_eq!(code, 3, "{err}");
    assert!(
        err.contains("has to write what it wants to say to standard error")
            || err.contains("it has to go to standard error"),
        "{err}"
    );
}

fn unstartable() {
    let (code, _, err) = finish(&mut vectors(&["run", "--", "/nonexistent/codec"]));
    assert_eq!(code, 3, "{err}");
    assert!(
        err.contains("/nonexistent/codec: not ready: cannot start it"),
        "{err}"
    );
    let (code, _, err) = finish(&mut vectors(&["run", "--", "true"]));
    assert_eq!(code, 3, "{err}");
    assert!(err.contains("it gave no answer"), "{err}");
}

fn usage() {
    for arguments in [
        &["run"][..],
        &["run", "--"],
        &["run", "1"],
        &["run", "--time-scale", "0", "--", "true"],
        &["no-such-command"],
    ] {
        let (code, _, err) = finish(&mut vectors(arguments));
        assert_eq!(code, 2, "{arguments:?}: {err}");
        assert!(err.starts_with("error:"), "{arguments:?}: {err}");
    }
}

fn nothing() {
    let (code, _, err) = run(&["999999"], "good");
    assert_eq!(code, 4, "{err}");
    let (code, _, err) = run(&["1", "no.such-rule"], "good");
    assert_eq!(code, 4, "{err}");
    assert!(err.contains("`no.such-rule` matches no vector"), "{err}");
}

fn dies() {
    let (code, out, err) = run(&["1", "2", "3"], "dies");
    assert_eq!(
        (code, last(&out)),
        (1, "conformance: 2 passed, 1 failed, 0 skipped"),
        "{out}{err}"
    );
    assert!(
        out.contains("    CRASH [") && out.contains("it has ended, exit status: 7"),
        "{out}"
    );
    assert!(
        out.contains("again     netroxy-conformance vectors run 2 -- "),
        "{out}"
    );
}

fn hangs() {
    let (code, out, err) = run(&["1", "2", "3", "--time-scale", "0.2"], "hangs");
    assert_eq!(
        (code, last(&out)),
        (1, "conformance: 2 passed, 1 failed, 0 skipped"),
        "{out}{err}"
    );
    assert!(
        out.contains("     HANG [") && out.contains("no answer within 1.0 s"),
        "{out}"
    );
}

fn noisy() {
    for (kind, verdict, words) in [
        (
            "floods",
            "    FLOOD [",
            "an answer of more than 8388608 bytes without LF",
        ),
        ("rubbish", "  RUBBISH [", "what?: expected value"),
        ("chatty", "  RUBBISH [", "{}: it needs `messages`"),
    ] {
        let (code, out, err) = run(&["1", "2", "3"], kind);
        let expected = "conformance: 2 passed, 1 failed, 0 skipped";
        assert_eq!((code, last(&out)), (1, expected), "{kind}: {out}{err}");
        assert!(
            out.contains(verdict) && out.contains(words),
            "{kind}: {out}"
        );
    }
}

fn misreadings() {
    for (kind, selection, place) in [
        (
            "ends-lines",
            "frame.partial-no-effect",
            "in one piece, then the end",
        ),
        ("no-memory", "canonical", "byte by byte"),
        ("deaf", "line-feed", "to be written"),
    ] {
        let (code, out, err) = run(&[selection], kind);
        assert_eq!(code, 1, "{kind}: {out}{err}");
        assert!(
            out.contains("     FAIL [") && out.contains(place),
            "{kind}: {out}"
        );
        assert!(
            out.contains("expected  ") && out.contains("got       "),
            "{kind}: {out}"
        );
        let place = format!("MUST  {}:", rules::FILE);
        assert!(out.contains(&place), "{kind}: {out}");
    }
}

fn lenient() {
    let (code, out, err) = run(&["unknown-word"], "lenient");
    assert_eq!(code, 0, "{out}{err}");
    assert!(
        out.contains("NONSTRICT [") && out.contains(", 1 nonstrict"),
        "{out}"
    );
    let (code, out, err) = run(&["unknown-word", "--strict"], "lenient");
    assert_eq!(code, 1, "{out}{err}");
    assert!(last(&out).contains(" 1 failed"), "{out}");
}

fn unsupported() {
    let (code, out, err) = run(&["keep.srs"], "client-only");
    assert_eq!(code, 0, "{out}{err}");
    assert_eq!(last(&out), "conformance: 1 passed, 0 failed, 2 skipped");
    assert!(out.contains("the codec does not support it"), "{out}");
    let (code, out, _) = run(&["auth.token-opaque", "timeout-range"], "client-only");
    assert_ne!(code, 4, "{out}");
    let (code, out, _) = run(&["timeout-range"], "client-only");
    assert_eq!(code, 4, "{out}");
}

/// The codec hangs at the second vector, so the signal comes during a question.
fn interrupted() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("pid");
    let mut child = vectors(&["run", "-v", "1", "2", "--"])
        .arg(std::env::current_exe().unwrap())
        .args([fakes::FLAG, "hangs", path.to_str().unwrap()])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains("PASS")));
    let codec: i32 = std::fs::read_to_string(path).unwrap().parse().unwrap();
    let codec = Pid::from_raw(codec).unwrap();
    assert!(test_kill_process(codec).is_ok());
    let program = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    kill_process(program, Signal::TERM).unwrap();
    let rest: Vec<String> = lines.map(Result::unwrap).collect();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{rest:?}");
    assert!(
        rest.iter().any(|line| line.contains("interrupted")),
        "{rest:?}"
    );
    assert!(test_kill_process(codec).is_err(), "the codec lives on");
}
