//! The fuzzer against peers: it has no finding with the reference, and finds the bugs of broken peers.

use std::process::Command;
use std::thread;

use tempfile::TempDir;

/// The exit code and standard output.
fn fuzz(home: &TempDir, arguments: &[&str]) -> (i32, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_netroxy-conformance"))
        .arg("fuzz")
        .args(arguments)
        .arg("--out")
        .arg(home.path())
        .output()
        .unwrap();
    let out = String::from_utf8(output.stdout).unwrap();
    (output.status.code().unwrap(), out)
}

#[test]
fn the_reference_peers_pass_every_session() {
    let home = TempDir::new().unwrap();
    for (side, runs) in [("server", "40"), ("client", "20")] {
        let (code, out) = fuzz(
            &home,
            &[side, "--runs", runs, "--seed", "1", "--profile", "hardened"],
        );
        assert_eq!(code, 0, "{out}");
        assert!(out.contains(&format!("fuzz: {runs} sessions, ")), "{out}");
    }
}

#[test]
fn the_bugs_of_broken_peers_are_found_and_the_findings_can_be_replayed() {
    let table = [
        ("server", "second-login-accepted", "auth.once"),
        ("server", "early-data-lost", "tunnel.early-data"),
        ("server", "lifo", "tunnel.fifo"),
        ("server", "clients-at-most8", "life.client-independence"),
        ("client", "timeout-zero-accepted", "auth.timeout-range"),
        ("client", "refused-target-hangs", "tunnel.refused-close"),
    ];
    // The runs mostly wait, so they run at the same time.
    thread::scope(|scope| {
        for (side, bug, rule) in table {
            scope.spawn(move || found_and_replayed(side, bug, rule));
        }
    });
}

fn found_and_replayed(side: &str, bug: &str, rule: &str) {
    let home = TempDir::new().unwrap();
    let sut = format!("broken-{side}:{bug}");
    // Sessions against clients take longer, because a client waits before it reconnects.
    let runs = if side == "server" { "100" } else { "30" };
    let (code, out) = fuzz(
        &home,
        &[
            "--sut",
            &sut,
            "--runs",
            runs,
            "--seed",
            "1",
            "--profile",
            "hardened",
        ],
    );
    assert_eq!(code, 1, "{sut}: {out}");
    let mark = rule.replace('.', "-");
    let files = home.path().read_dir().unwrap();
    let file = files
        .map(|entry| entry.unwrap().path())
        .find(|path| path.to_string_lossy().contains(&mark))
        .unwrap_or_else(|| panic!("{sut}: nothing about {rule} in\n{out}"));
    let replay = Command::new(env!("CARGO_BIN_EXE_netroxy-conformance"))
        .args([
            "run",
            side,
            "--sut",
            &sut,
            "--profile",
            "hardened",
            "--case-file",
        ])
        .arg(&file)
        .output()
        .unwrap();
    let text = String::from_utf8(replay.stdout).unwrap();
    assert_eq!(replay.status.code(), Some(1), "{sut}: {text}");
    assert!(text.contains(rule), "{sut}: {text}");
}

#[test]
fn the_parts_of_a_fuzz_run_find_the_bug_and_merge_keeps_each_finding_once() {
    let sut = "broken-server:second-login-accepted";
    let run = |runs: &str, more: &[&str]| {
        let home = TempDir::new().unwrap();
        let first = [
            "--sut",
            sut,
            "--seed",
            "1",
            "--runs",
            runs,
            "--profile",
            "hardened",
        ];
        let (code, out) = fuzz(&home, &[&first[..], more].concat());
        assert_eq!(code, 1, "{out}");
        let names = home.path().read_dir().unwrap();
        let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        (names.collect::<Vec<_>>(), home, out)
    };
    // Each part is long enough to find the bug.
    let (one, first, out) = run("160", &["--shard", "1/2"]);
    assert!(
        out.contains("seed 1, part 1/2\n") && out.contains("fuzz: 80 sessions, "),
        "{out}"
    );
    let (two, second, out) = run("160", &["--shard", "2/2"]);
    assert!(
        out.contains("seed 81, part 2/2\n") && out.contains("fuzz: 80 sessions, "),
        "{out}"
    );
    let about = |names: &[String]| {
        names
            .iter()
            .filter(|name| name.contains("auth-once"))
            .count()
    };
    assert!(about(&one) > 0 && about(&two) > 0, "{one:?} {two:?}");
    let merged = TempDir::new().unwrap();
    let merge = |out: &std::path::Path| {
        Command::new(env!("CARGO_BIN_EXE_netroxy-conformance"))
            .args(["fuzz", "merge"])
            .args([first.path(), second.path(), first.path()])
            .arg("--out")
            .arg(out)
            .output()
            .unwrap()
    };
    let output = merge(merged.path());
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    let files = 2 * one.len() + two.len();
    let kept = merged.path().read_dir().unwrap().count();
    assert!(
        text.ends_with(&format!("fuzz: {kept} findings of {files} files\n")),
        "{text}"
    );
    assert!(
        kept < files && text.contains(" times  FAIL auth.once "),
        "{text}"
    );
    let into_itself = merge(second.path());
    assert_eq!(into_itself.status.code(), Some(2));
}
