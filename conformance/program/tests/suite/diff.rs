//! The command `diff`.

use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

fn diff(arguments: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_netroxy-conformance"));
    let output = command.env("COLUMNS", "100").arg("diff").args(arguments);
    let output = output.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let code = output.status.code().unwrap();
    (code, text(output.stdout), text(output.stderr))
}

const EARLY_DATA_LOST: [&str; 4] = [
    "--sut",
    "reference-server",
    "--sut",
    "broken-server:early-data-lost",
];

#[test]
fn a_peer_does_not_differ_from_itself() {
    for (peer, rule) in [
        ("reference-server", "tunnel.early-data"),
        ("reference-client", "client/tunnel/*"),
    ] {
        let (code, out, err) = diff(&["--sut", peer, "--sut", peer, rule, "--profile", "hardened"]);
        assert_eq!(code, 0, "{out}{err}");
        let last = out.lines().last().unwrap();
        assert!(last.ends_with(" passed, 0 failed, 0 skipped"), "{out}");
        assert!(!last.starts_with("conformance: 0 "), "{out}");
        assert!(out.contains(" cases, 0 differ\n"), "{out}");
        let first = format!("diff: {peer} (A) and {peer} (B), profile hardened\n");
        assert!(out.starts_with(&first), "{out}");
    }
}

#[test]
fn what_differs_stands_below_its_rule_in_two_columns() {
    let mut arguments = vec![
        "server",
        "server/tunnel/early-data",
        "server/auth/good-login",
    ];
    arguments.extend(EARLY_DATA_LOST);
    let (code, out, err) = diff(&arguments);
    assert_eq!(code, 1, "{out}{err}");
    insta::assert_snapshot!(out);
}

#[test]
fn json_has_the_differences_and_transcripts() {
    let mut arguments = vec!["server/tunnel/early-data@plain", "--format", "json"];
    arguments.extend(EARLY_DATA_LOST);
    let (code, out, err) = diff(&arguments);
    assert_eq!(code, 1, "{out}{err}");
    let last = "conformance: 0 passed, 1 failed, 0 skipped";
    assert_eq!(err.lines().last(), Some(last));
    let value: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(
        (&value["cases"], &value["differ"], &value["b"]),
        (
            &1.into(),
            &1.into(),
            &"broken-server:early-data-lost".into()
        )
    );
    let one = &value["differences"][0];
    assert_eq!(one["rules"][0], "tunnel.early-data");
    assert_eq!(
        (&one["a"]["verdict"], &one["b"]["verdict"]),
        (&"PASS".into(), &"FAIL".into())
    );
    let lines = one["a"]["transcript"].as_str().unwrap();
    assert!(lines.contains("\nctl   < ARS true 30 $token1\n"), "{lines}");
}

#[test]
fn wrong_usage_exits_2_and_an_empty_selection_4() {
    let server = ["--sut", "reference-server"];
    let client = ["--sut", "reference-client"];
    for (arguments, code, message) in [
        (vec![&server[..]], 2, "given 1 times"),
        (vec![&server, &server, &server], 2, "given 3 times"),
        (
            vec![&server, &client],
            2,
            "is a server, and reference-client is a client",
        ),
        (
            vec![&["client"], &server, &server],
            2,
            "both peers are servers",
        ),
        (
            vec![&["no-such-case"], &server, &server],
            4,
            "no server case or rule matches",
        ),
        (vec![&["--sut", "no-such-file"], &server], 2, "no-such-file"),
        (vec![], 2, "--sut"),
    ] {
        let (found, out, err) = diff(&arguments.concat());
        assert_eq!(found, code, "{arguments:?} {out}{err}");
        assert!(
            err.contains(message) && out.is_empty(),
            "{arguments:?} {out}{err}"
        );
    }
}

#[test]
fn a_peer_that_never_becomes_ready_exits_3() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("sut.json");
    let manifest =
        r#"{"name": "gone", "role": "server", "launch": {"command": ["sh", "-c", "exit 3"]}}"#;
    std::fs::write(&path, manifest).unwrap();
    let arguments = ["--sut", "reference-server", "--sut", path.to_str().unwrap()];
    let (code, out, err) = diff(&arguments);
    assert_eq!(code, 3, "{err}");
    assert_eq!(out, "diff: reference-server and gone, profile wire\n\n");
    assert!(err.contains("gone never became ready"), "{err}");
}
