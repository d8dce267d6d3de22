//! Few file descriptors: fewer cases run at a time, or an error says what to do. The peer never gets a bad verdict.

use std::process::{Command, Stdio};

use rustix::process::{Pid, Resource, Rlimit, prlimit};
use serde_json::json;
use tempfile::TempDir;

use super::{PROGRAM, said};

/// Runs the program after a shell has set its limit.
fn limited(ulimit: &str, arguments: &[&str]) -> (i32, String, String) {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("ulimit {ulimit}; exec \"$0\" \"$@\"")]);
    said(command.arg(PROGRAM).args(arguments).output().unwrap())
}

/// How many cases run at a time, by the first line.
fn jobs(out: &str) -> usize {
    let line = out.lines().next().unwrap();
    let (_, rest) = line.split_once("jobs ").unwrap();
    rest.split(' ').next().unwrap().parse().unwrap()
}

#[test]
fn a_soft_limit_is_raised_and_a_hard_one_makes_fewer_cases_run_at_a_time() {
    // A hundred mappings need more than 256.
    let selection = [
        "run",
        "server",
        "server/map/p*",
        "server/map/c*",
        "server/map/r*",
        "server/tunnel/many",
    ];
    let at_a_time = |ulimit| {
        let (code, out, err) = limited(ulimit, &selection);
        assert_eq!(code, 0, "{ulimit}: {out}{err}");
        jobs(&out)
    };
    let (raised, fewer) = (at_a_time("-Sn 100"), at_a_time("-n 256"));
    assert!(fewer < raised, "{fewer} {raised}");
}

#[test]
fn a_limit_that_is_too_low_for_any_case_is_an_error_that_says_what_to_do() {
    for arguments in [
        &["run", "server"][..],
        &[],
        &["selftest", "tunnel.half-close"],
        &["flakes"],
        &["fuzz", "server"],
        &["matrix"],
        &[
            "diff",
            "--sut",
            "reference-server",
            "--sut",
            "broken-server",
        ],
    ] {
        let (code, out, err) = limited("-n 64", arguments);
        assert_eq!(code, 5, "{arguments:?}: {out}{err}");
        assert!(
            err.contains("64 file descriptors") && err.contains("ulimit -n 4096"),
            "{err}"
        );
    }
    assert_eq!(limited("-n 64", &["list", "cases"]).0, 0);
}

#[test]
fn only_a_case_that_needs_too_many_descriptors_is_not_played() {
    let selection = [
        "run",
        "server",
        "server/map/many@plain",
        "server/auth/good-login@plain",
    ];
    let (code, out, err) = limited("-n 130", &selection);
    assert_eq!(code, 5, "{out}{err}");
    assert!(
        out.contains("HARNESS") && out.contains("was not played"),
        "{out}"
    );
    assert!(
        out.contains("conformance: 1 passed, 1 failed, 0 skipped"),
        "{out}"
    );
}

#[test]
fn a_lack_of_descriptors_during_a_run_is_an_error_of_the_suite() {
    let home = TempDir::new().unwrap();
    let (started, path) = (home.path().join("started"), home.path().join("sut.json"));
    let text = format!("touch {}; sleep 1000", started.display());
    let manifest = json!({
        "name": "script", "role": "server", "transports": ["plain"],
        "launch": { "command": ["sh", "-c", text] },
    });
    std::fs::write(&path, manifest.to_string()).unwrap();
    let run = Command::new(PROGRAM)
        .args(["run", "server", "--time-scale", "0.1", "--sut"])
        .arg(&path)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    while !started.exists() {
        std::thread::yield_now();
    }
    let pid = Pid::from_raw(i32::try_from(run.id()).unwrap()).unwrap();
    let none = Rlimit {
        current: Some(3),
        maximum: Some(3),
    };
    prlimit(Some(pid), Resource::Nofile, none).unwrap();
    let (code, out, err) = said(run.wait_with_output().unwrap());
    assert_eq!(code, 5, "{out}{err}");
    assert!(
        err.contains("the suite ran out of file descriptors"),
        "{err}"
    );
    assert!(err.contains("no program was judged"), "{err}");
}
