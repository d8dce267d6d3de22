//! The command `flakes`. Unit tests show that it detects unsteady cases and things that are left behind.

use std::process::Command;

use super::{PROGRAM, said};

fn flakes(arguments: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(PROGRAM);
    said(command.arg("flakes").args(arguments).output().unwrap())
}

/// The seeds of the runs, as printed.
fn seeds(out: &str) -> Vec<&str> {
    let lines = out.lines().skip(1);
    let seeds = lines.filter_map(|line| line.split_once("seed ")?.1.split_once(' '));
    seeds.map(|(seed, _)| seed).collect()
}

#[test]
fn a_steady_peer_passes_and_the_seed_decides_the_orders() {
    let arguments = [
        "client",
        "client/tunnel/half-close-user",
        "client/tunnel/half-close-service",
        "client/auth/login",
        "--runs",
        "3",
        "--seed",
        "7",
    ];
    let (code, out, err) = flakes(&arguments);
    assert_eq!(code, 0, "{out}{err}");
    let last = out.lines().last().unwrap();
    assert!(last.starts_with("conformance: "), "{out}");
    assert!(last.ends_with(" passed, 0 failed, 0 skipped"), "{out}");
    assert!(out.contains("\nflakes: 3 runs of "), "{out}");
    assert!(out.contains(" cases, 0 unsteady, 0 leaks\n"), "{out}");
    assert!(
        out.starts_with("flakes: reference-client: 3 runs, profile wire, seed 0x7\n"),
        "{out}"
    );
    let (code, again, err) = flakes(&arguments);
    assert_eq!(code, 0, "{again}{err}");
    assert_eq!((seeds(&out).len(), seeds(&out)), (3, seeds(&again)));
    assert!(seeds(&out)[0] != seeds(&out)[1], "{out}");
}

#[test]
fn load_keeps_cores_busy_and_equal_failures_are_steady() {
    // It fails in the same way each time, also on a busy machine.
    let sut = "broken-server:second-login-accepted";
    let (code, out, err) = flakes(&[
        "--sut",
        sut,
        "auth.once",
        "--runs",
        "2",
        "--load",
        "--profile",
        "hardened",
    ]);
    assert_eq!(code, 0, "{out}{err}");
    let first = out.lines().next().unwrap();
    assert!(first.ends_with(" kept busy"), "{out}");
    let run = out.lines().nth(1).unwrap();
    assert!(
        run.contains(" passed, ") && !run.contains(" 0 failed"),
        "{out}"
    );
}

#[test]
fn wrong_usage_exits_2_and_an_empty_selection_4() {
    for (arguments, code, message) in [
        (&["--runs", "1"][..], 2, "--runs"),
        (&["tunnel.fifo"], 2, "does not name the role to judge"),
        (
            &["pair", "--sut", "reference-server"],
            2,
            "a pair is two programs",
        ),
        (
            &["server", "--sut", "reference-client"],
            2,
            "reference-client is a client",
        ),
        (
            &["server", "no-such-case"],
            4,
            "no server case or rule matches",
        ),
    ] {
        let (found, out, err) = flakes(arguments);
        assert_eq!(found, code, "{arguments:?} {out}{err}");
        assert!(
            err.contains(message) && out.is_empty(),
            "{arguments:?} {out}{err}"
        );
    }
}
