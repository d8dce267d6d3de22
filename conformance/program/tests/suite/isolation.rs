//! A run leaves nothing behind, and two runs at the same time do not disturb each other.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
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

/// The command lines of the processes that a run has left.
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
    manifest(home, json!(["sh", "-c", text]))
}

fn manifest(home: &TempDir, command: Value) -> String {
    let path = home.path().join("sut.json");
    let manifest = json!({
        "name": "script", "role": "server", "transports": ["plain"], "start_deadline_ms": 500,
        "launch": { "command": command },
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
fn programs_that_hide_children_or_ignore_signals_are_ended() {
    for text in [
        // In its own process session, orphaned at once.
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
    // The program creates a file when it runs, and then the run is interrupted.
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

/// A command that starts a process without the environment and session of the suite, and the file with its number.
fn hides(home: &TempDir, before: &str, after: &str) -> (String, PathBuf) {
    let file = home.path().join("pid");
    let text = format!(
        "{before} env -i setsid sh -c 'echo $$ > {0}.new; mv {0}.new {0}; exec sleep 1000' & {after}",
        file.display()
    );
    (text, file)
}

/// The folder in `/proc` of the process that wrote its number to this file.
fn hidden(file: &Path) -> PathBuf {
    let text = std::fs::read_to_string(file).unwrap();
    Path::new("/proc").join(text.trim())
}

#[test]
fn every_signal_that_can_be_handled_ends_what_was_started() {
    for signal in [
        Signal::HUP,
        Signal::QUIT,
        Signal::TERM,
        Signal::USR1,
        Signal::ALARM,
        Signal::XCPU,
    ] {
        let home = TempDir::new().unwrap();
        let (text, file) = hides(&home, "", "sleep 1000");
        let sut = script(&home, &text);
        let run = program(&home)
            .args(["run", "server", "--time-scale", "100", "--sut", &sut])
            .spawn()
            .unwrap();
        while !file.exists() {
            std::thread::yield_now();
        }
        let pid = Pid::from_raw(i32::try_from(run.id()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
        let output = run.wait_with_output().unwrap();
        let err = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(130), "{signal:?}: {err}");
        assert!(!hidden(&file).exists(), "{signal:?}");
        assert_nothing_is_left(&home);
    }
}

#[test]
fn a_process_without_group_session_environment_and_parent_is_ended() {
    for (before, after) in [
        // Its parent stays.
        ("", "while ! [ -e pid ]; do :; done; exit 3"),
        // Its parent has ended, and it has another folder.
        ("cd /; (", "); while ! [ -e \"$0\" ]; do :; done; exit 3"),
    ] {
        let home = TempDir::new().unwrap();
        let (text, file) = hides(&home, before, after);
        let text = text
            .replace("$0", file.to_str().unwrap())
            .replace("-e pid", &format!("-e {}", file.display()));
        let sut = script(&home, &text);
        // The program ends by itself, after the hidden process has started.
        let output = program(&home)
            .args(["run", "server", "auth.first", "--sut", &sut])
            .args(["--time-scale", "100"])
            .output()
            .unwrap();
        let err = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(3), "{text}: {err}");
        assert!(!hidden(&file).exists(), "{text}: {err}");
        assert_nothing_is_left(&home);
    }
}

#[test]
fn a_run_under_nohup_ignores_a_closed_terminal() {
    let home = TempDir::new().unwrap();
    let (text, file) = hides(&home, "", "sleep 1000");
    let sut = script(&home, &text);
    let mut nohup = Command::new("nohup");
    nohup
        .arg(env!("CARGO_BIN_EXE_netroxy-conformance"))
        .args(["run", "server", "--time-scale", "100", "--sut", &sut])
        .env("TMPDIR", home.path().join("tmp"))
        .env(MARK, home.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    std::fs::create_dir_all(home.path().join("tmp")).unwrap();
    let run = nohup.spawn().unwrap();
    while !file.exists() {
        std::thread::yield_now();
    }
    let pid = Pid::from_raw(i32::try_from(run.id()).unwrap()).unwrap();
    // `nohup` has made the program ignore the signal.
    let status = std::fs::read_to_string(format!("/proc/{}/status", run.id())).unwrap();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = u64::from_str_radix(mask.unwrap().trim(), 16).unwrap();
    assert_eq!(mask & 1, 1, "{status}");
    kill_process(pid, Signal::HUP).unwrap();
    assert!(hidden(&file).exists());
    kill_process(pid, Signal::TERM).unwrap();
    assert_eq!(run.wait_with_output().unwrap().status.code(), Some(130));
    assert_nothing_is_left(&home);
}

#[test]
fn a_container_is_removed_when_its_command_ends() {
    let home = TempDir::new().unwrap();
    let (tool, asked) = (home.path().join("docker"), home.path().join("asked"));
    let text = format!(
        "#!/bin/sh\necho \"$*\" >> {}\ncase $1 in ps) echo c0ffee;; run) exec sleep 1000;; esac\n",
        asked.display()
    );
    std::fs::write(&tool, text).unwrap();
    std::fs::set_permissions(&tool, std::fs::Permissions::from_mode(0o755)).unwrap();
    let sut = manifest(&home, json!([tool, "run", "--rm", "image"]));
    let output = program(&home)
        .args(["run", "server", "auth.first", "--sut", &sut])
        .output()
        .unwrap();
    let err = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{err}");
    let asked = std::fs::read_to_string(asked).unwrap();
    let lines: Vec<&str> = asked.lines().collect();
    let label = lines[0].split(' ').nth(2).unwrap();
    assert_eq!(
        lines,
        [
            format!("run --label {label} --rm image"),
            format!("ps --all --quiet --filter label={label}"),
            "rm --force c0ffee".to_owned(),
        ]
    );
    assert_nothing_is_left(&home);
}

#[test]
fn a_container_that_cannot_be_removed_is_named_and_the_run_fails() {
    let home = TempDir::new().unwrap();
    let tool = home.path().join("docker");
    std::fs::write(
        &tool,
        "#!/bin/sh\n[ $1 = run ] && exec sleep 1000\nexit 4\n",
    )
    .unwrap();
    std::fs::set_permissions(&tool, std::fs::Permissions::from_mode(0o755)).unwrap();
    let sut = manifest(&home, json!([tool, "run", "image"]));
    let output = program(&home)
        .args(["run", "server", "auth.first", "--sut", &sut])
        .output()
        .unwrap();
    let err = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{err}");
    assert!(
        err.contains("could not be ended") && err.contains("a container may still run"),
        "{err}"
    );
}

#[test]
fn the_likely_cause_is_reported_if_a_program_does_not_start() {
    let home = TempDir::new().unwrap();
    let bad = home.path().join("bad");
    std::fs::write(&bad, "#!/no/such/interpreter\n").unwrap();
    std::fs::set_permissions(&bad, std::fs::Permissions::from_mode(0o755)).unwrap();
    let shell = |text: &str| json!(["sh", "-c", text]);
    for (command, wanted) in [
        (
            shell("sleep 1000 & exit 0"),
            "goes on without it: it seems to put itself into the background",
        ),
        (
            shell("exit 0"),
            "it ended before it was ready: exit status: 0\n",
        ),
        (
            shell("exec no-such-program-here"),
            "has not found a program",
        ),
        (shell("exec /etc/passwd"), "may not be executed"),
        (
            json!([bad]),
            "names the interpreter `/no/such/interpreter`, which is not there",
        ),
        (json!(["no-such-program-here"]), "no folder of PATH"),
        (shell("yes | head -c 9000000; exit 1"), "MiB of output"),
    ] {
        let sut = manifest(&home, command);
        let output = program(&home)
            .args(["run", "server", "auth.first", "--sut", &sut])
            .output()
            .unwrap();
        let err = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(3), "{err}");
        assert!(err.contains(wanted) && err.len() < 4000, "{wanted}: {err}");
        assert_nothing_is_left(&home);
    }
}

#[test]
fn an_interrupted_run_reports_its_results() {
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
