//! What a run leaves behind: nothing. And two runs at once do not disturb each other.

#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    reason = "clippy only excuses the bodies of tests, not their helpers"
)]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Everything that a run starts inherits this variable.
const MARK: &str = "NETROXY_ISOLATION_TEST";

fn program(home: &TempDir) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_netroxy-conformance"));
    command
        .env("TMPDIR", home.path().join("tmp"))
        .env(MARK, home.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    std::fs::create_dir_all(home.path().join("tmp")).unwrap();
    command
}

/// The ids of the processes that a run has left.
fn left_running(home: &TempDir) -> Vec<String> {
    let wanted = format!("{MARK}={}", home.path().display());
    let processes = std::fs::read_dir("/proc").unwrap().map(Result::unwrap);
    let marked = processes.filter(|folder| {
        let environment = std::fs::read(folder.path().join("environ")).unwrap_or_default();
        environment
            .split(|byte| *byte == 0)
            .any(|one| one == wanted.as_bytes())
    });
    marked
        .map(|folder| {
            let line = std::fs::read(folder.path().join("cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&line).into_owned()
        })
        .collect()
}

fn assert_nothing_is_left(home: &TempDir) {
    // Without a process there is no listening port either.
    assert_eq!(left_running(home), [""; 0]);
    let files = std::fs::read_dir(home.path().join("tmp")).unwrap();
    let files: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    assert_eq!(files, [""; 0].map(|name| Path::new(name).to_path_buf()));
}

/// A manifest of a shell script.
fn script(home: &TempDir, text: &str) -> String {
    let path = home.path().join("sut.json");
    let manifest = json!({
        "name": "script", "role": "server", "transports": ["plain"], "start_deadline_ms": 500,
        "launch": { "command": ["sh", "-c", text] },
    });
    std::fs::write(&path, manifest.to_string()).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn two_runs_at_once_both_pass_and_leave_nothing() {
    let homes = [TempDir::new().unwrap(), TempDir::new().unwrap()];
    let mut runs: Vec<Child> = Vec::new();
    for home in &homes {
        for arguments in [
            ["server", "server/auth/*", "server/map/*"],
            ["client", "client/auth/login", "client/tunnel/*"],
        ] {
            runs.push(program(home).arg("run").args(arguments).spawn().unwrap());
        }
    }
    for run in runs {
        let output = run.wait_with_output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(0), "{text}");
    }
    for home in &homes {
        assert_nothing_is_left(home);
    }
}

#[test]
fn programs_that_hide_their_children_and_ignore_signals_are_ended_all_the_same() {
    for text in [
        // In a session of its own, orphaned at once.
        "(setsid sleep 1000 &) ; sleep 1000",
        // The program has ended, its child has not.
        "setsid sleep 1000 & exit 3",
        "trap '' TERM INT HUP; setsid sh -c \"trap '' TERM; sleep 1000\" & sleep 1000",
    ] {
        let home = TempDir::new().unwrap();
        let sut = script(&home, text);
        let output = program(&home)
            .args(["run", "server", "auth.first", "--sut", &sut])
            .output()
            .unwrap();
        let err = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(3), "{text}: {err}");
        assert_nothing_is_left(&home);
    }
}

#[test]
fn an_interrupted_run_leaves_nothing() {
    let home = TempDir::new().unwrap();
    // It tells that it runs by a file, and is interrupted then.
    let started = home.path().join("started");
    let text = format!(
        "touch {}; setsid sleep 1000 & sleep 1000",
        started.display()
    );
    let sut = script(&home, &text);
    let run = program(&home)
        .args(["run", "server", "--time-scale", "100", "--sut", &sut])
        .spawn()
        .unwrap();
    while !started.exists() {
        std::thread::yield_now();
    }
    let pid = Pid::from_raw(i32::try_from(run.id()).unwrap()).unwrap();
    kill_process(pid, Signal::INT).unwrap();
    let output = run.wait_with_output().unwrap();
    let err = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(130), "{err}");
    assert_nothing_is_left(&home);
}

#[test]
fn an_interrupted_run_reports_what_it_has() {
    let home = TempDir::new().unwrap();
    let report = home.path().join("report.json");
    let argument = format!("json:{}", report.display());
    let mut run = program(&home)
        .args(["run", "server", "-v", "--report", &argument])
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(run.stdout.take().unwrap()).lines();
    let passed = lines.by_ref().map_while(Result::ok);
    assert!(passed.into_iter().any(|line| line.contains("PASS")));
    let pid = Pid::from_raw(i32::try_from(run.id()).unwrap()).unwrap();
    kill_process(pid, Signal::INT).unwrap();
    let last = lines.map_while(Result::ok).last().unwrap();
    assert!(last.starts_with("conformance: "), "{last}");
    assert_eq!(run.wait().unwrap().code(), Some(130));
    let report: Value = serde_json::from_str(&std::fs::read_to_string(report).unwrap()).unwrap();
    assert_eq!(report["ended"], "interrupted");
    assert_ne!(report["totals"]["passed"], 0);
    assert_nothing_is_left(&home);
}
