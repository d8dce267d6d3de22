//! The fuzzer against peers: it has nothing against the reference, and finds what is broken without being told.

use std::process::Command;
use std::thread;

use tempfile::TempDir;

/// The exit code and what is said.
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
fn broken_peers_are_found_and_what_was_found_can_be_replayed() {
    let table = [
        ("server", "second-login-accepted", "auth.once"),
        ("server", "early-data-lost", "tunnel.early-data"),
        ("server", "lifo", "tunnel.fifo"),
        ("server", "clients-at-most8", "life.client-independence"),
        ("client", "timeout-zero-accepted", "auth.timeout-range"),
        ("client", "refused-target-hangs", "tunnel.refused-close"),
    ];
    // They wait for most of the time.
    thread::scope(|scope| {
        for (side, bug, rule) in table {
            scope.spawn(move || found_and_replayed(side, bug, rule));
        }
    });
}

fn found_and_replayed(side: &str, bug: &str, rule: &str) {
    let home = TempDir::new().unwrap();
    let sut = format!("broken-{side}:{bug}");
    // Those against clients take longer, as clients take their time to come back.
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
