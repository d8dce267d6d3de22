//! Exit codes, messages and the last line.

use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

use super::{PROGRAM, said};

fn program() -> Command {
    let mut command = Command::new(PROGRAM);
    command
        .env_remove("NETROXY_SERVER")
        .env_remove("NETROXY_CLIENT")
        .env_remove("NETROXY_GO_SERVER");
    command
}

fn run(arguments: &[&str]) -> (i32, String, String) {
    said(program().args(arguments).output().unwrap())
}

fn file(folder: &TempDir, name: &str, text: &str) -> PathBuf {
    let path = folder.path().join(name);
    std::fs::write(&path, text).unwrap();
    path
}

#[test]
fn one_case_passes_against_the_reference_and_the_last_line_counts_it() {
    let (code, out, err) = run(&["run", "server", "server/auth/good-login"]);
    assert_eq!(
        (code, out.lines().last()),
        (0, Some("conformance: 2 passed, 0 failed, 0 skipped")),
        "{out}{err}"
    );
    let (code, out, _) = run(&[
        "run",
        "client",
        "client/auth/login@tls",
        "--profile",
        "hardened",
    ]);
    assert_eq!(
        (code, out.lines().last()),
        (0, Some("conformance: 1 passed, 0 failed, 0 skipped")),
        "{out}"
    );
}

#[test]
fn a_case_outside_the_profile_counts_as_skipped_with_its_reason() {
    let (code, out, _) = run(&[
        "run",
        "server",
        "server/map/port-zero",
        "server/auth/good-login",
    ]);
    assert_eq!(
        (code, out.lines().last()),
        (0, Some("conformance: 2 passed, 0 failed, 2 skipped")),
        "{out}"
    );
    assert!(
        out.contains("\n    2 skipped: judged by --profile hardened only\n"),
        "{out}"
    );
    assert!(!out.contains("SKIP"), "{out}");
    let (_, out, _) = run(&["run", "server", "server/map/port-zero", "-v"]);
    assert!(
        out.contains("server/map/port-zero  map.port-range is judged by --profile hardened only"),
        "{out}"
    );
}

#[test]
fn wrong_flags_exit_2() {
    for arguments in [
        &["run"][..],
        &["run", "proxy"],
        &["run", "server", "--profile", "loose"],
        &["run", "server", "-j", "0"],
        &["run", "server", "--time-scale", "0"],
        &["run", "server", "--time-scale", "NaN"],
        &["run", "server", "--addr", "127.0.0.1:1"],
        &[
            "run", "server", "--addr", "nonsense", "--user", "u", "--pass", "p",
        ],
        &[
            "run",
            "client",
            "--addr",
            "127.0.0.1:1",
            "--user",
            "u",
            "--pass",
            "p",
        ],
        &["run", "server", "--sut", "reference-client"],
        &["run", "server", "--report", "xml:out"],
        &["run", "server", "--report", "json:/nonexistent/out"],
        &["run", "server", "--case-file", "/nonexistent.case"],
        &["no-such-command"],
    ] {
        let (code, out, err) = run(arguments);
        assert_eq!(code, 2, "{arguments:?}: {out}{err}");
        assert!(err.starts_with("error:"), "{arguments:?}: {err}");
    }
}

#[test]
fn a_selection_that_matches_nothing_exits_4() {
    let (code, _, err) = run(&["run", "server", "server/no/such-case"]);
    assert_eq!(code, 4, "{err}");
    assert_eq!(run(&["explain", "no.such-rule"]).0, 4);
}

#[test]
fn a_bad_case_file_is_named_with_line_and_column() {
    let folder = TempDir::new().unwrap();
    let head = "title    x\nrole     server\nrules    auth.first\n\n";
    for (body, place, words) in [
        (
            "ctl   connect sever\nctl   hello\n",
            ":6:7: ",
            "expected `connect`",
        ),
        (
            "ctl   connect server\nctl   < MRS $prt true  [auth.first]\n",
            ":6:13: ",
            "nothing is called $prt",
        ),
        (
            "ctl   connect server\nctl   < MRS $port  [auth.first]\n",
            ":6:9: ",
            "`MRS` has 2 fields here, not 1",
        ),
        (
            "ctl   < closed  [auth.first]\n",
            ":5:1: ",
            "`ctl` is no connection yet",
        ),
        (
            "ctl   connect server\nctl   > close\nctl   < closed  [auth.first]\n",
            ":7:1: ",
            "no connection yet, or closed",
        ),
        (
            "ctl   connect server\nctl   < closed  in 5s..3s  [auth.first]\n",
            ":6:20: ",
            "the bounds are empty",
        ),
        (
            "ctl   connect server\n",
            ":3:10: ",
            "no step is marked [auth.first]",
        ),
        (
            "ctl   connect server\nctl   > SRQ  [auth.first]\n",
            ":6:14: ",
            "only a step that can fail",
        ),
        (
            "ctl   connect server\nctl   >> \"x\"*4000000000\nctl   < closed  [auth.first]\n",
            ":6:10: ",
            "more than 64 MiB",
        ),
    ] {
        let path = file(&folder, "own.case", &format!("{head}{body}"));
        let (code, out, err) = run(&["run", "server", "--case-file", path.to_str().unwrap()]);
        assert_eq!(code, 2, "{body}: {out}{err}");
        assert!(
            err.contains(&format!("own.case{place}")) && err.contains(words),
            "{body}: {err}"
        );
    }
}

#[test]
fn a_case_of_a_rule_that_does_not_exist_is_not_run() {
    let folder = TempDir::new().unwrap();
    let text = "title    x\nrole     server\nrules    no.rule\n\n\
        ctl   connect server\nctl   < closed  [no.rule]\n";
    let path = file(&folder, "own.case", text);
    let (code, out, err) = run(&["run", "server", "--case-file", path.to_str().unwrap()]);
    assert_eq!(code, 2, "{out}{err}");
    assert!(err.contains("own.case:3:10: `no.rule` is no rule"), "{err}");
}

#[test]
fn a_run_in_which_everything_is_skipped_exits_4() {
    let (code, out, _) = run(&["run", "server", "server/map/port-zero"]);
    let last = "conformance: 0 passed, 0 failed, 2 skipped";
    assert_eq!((code, out.lines().last()), (4, Some(last)), "{out}");
}

#[test]
fn a_bad_manifest_is_named_with_line_column_and_path() {
    let folder = TempDir::new().unwrap();
    for (text, words) in [
        (
            "{\n  \"nam\": \"x\"\n}",
            &[":2:7: nam", "unknown field `nam`"][..],
        ),
        ("{\"name\": \"x\"", &[":1:12", "EOF"]),
        (
            r#"{"name":"x","role":"server","launch":{}}"#,
            &["launch", "either `command` or `embedded`", "hint:"],
        ),
        (
            "{\"name\":\"x\",\"role\":\"server\",\"launch\":{\"embedded\":\"server\",\n\"files\":{\"c\":{\"json\":{\"p\":[\"{{prt:int}}\"]}}}}}",
            &[
                ":2:28: launch.files.c.p[0]",
                "no placeholder is called `prt`",
            ],
        ),
        (
            r#"{"name":"x","role":"server","launch":{"embedded":"client"}}"#,
            &["launch.embedded"],
        ),
        (
            r#"{"name":"x","role":"server","launch":{"embedded":"server","files":{"../c":{"text":""}}}}"#,
            &["does not stay"],
        ),
        (
            r#"{"name":"x","role":"server","launch":{"command":["./no-such-program"]}}"#,
            &["launch.command", "cannot find"],
        ),
        (
            r#"{"name":"x","role":"server","spec":"9","launch":{"embedded":"server"}}"#,
            &["unknown revision `9`"],
        ),
    ] {
        let path = file(&folder, "sut.json", text);
        let (code, _, err) = run(&["run", "server", "--sut", path.to_str().unwrap()]);
        assert_eq!(code, 2, "{text}: {err}");
        for word in words {
            assert!(err.contains(word), "{text}: `{word}` is not in {err}");
        }
    }
}

#[test]
fn an_unset_variable_of_the_environment_exits_2_with_a_hint() {
    let (code, _, err) = run(&["run", "server", "--sut", "go-server"]);
    assert_eq!(code, 2);
    assert!(
        err.contains("NETROXY_GO_SERVER is not set") && err.contains("hint: set it"),
        "{err}"
    );
}

#[test]
fn a_program_that_never_becomes_ready_exits_3_with_its_output() {
    let folder = TempDir::new().unwrap();
    let text = r#"{"name":"x","role":"server","launch":{"command":["sh","-c","echo no luck today; exit 7"]}}"#;
    let path = file(&folder, "sut.json", text);
    let (code, _, err) = run(&["run", "server", "--sut", path.to_str().unwrap()]);
    assert_eq!(code, 3, "{err}");
    assert!(
        err.contains("exit status: 7") && err.contains("no luck today"),
        "{err}"
    );
    let (code, _, err) = run(&[
        "run",
        "server",
        "--addr",
        "127.0.0.1:1",
        "--user",
        "u",
        "--pass",
        "p",
        "--time-scale",
        "0.02",
    ]);
    assert_eq!(code, 3, "{err}");
}

#[test]
fn a_program_can_get_its_port_by_a_flag() {
    let folder = TempDir::new().unwrap();
    let command = r#"["sh", "-c", "echo \"flags: $*\"; exit 7", "sh", "--listen={{host}}:{{port}}", "{{user}}"]"#;
    let text =
        format!(r#"{{"name": "x", "role": "server", "launch": {{ "command": {command} }} }}"#);
    let path = file(&folder, "sut.json", &text);
    let (code, _, err) = run(&["run", "server", "--sut", path.to_str().unwrap()]);
    assert_eq!(code, 3, "{err}");
    let port = err
        .split_once("flags: --listen=127.0.0.1:")
        .and_then(|(_, rest)| rest.split_once(" conf-user"))
        .and_then(|(port, _)| port.parse::<u16>().ok());
    assert!(port.is_some_and(|port| port > 0), "{err}");
}

#[test]
fn help_shows_defaults_and_schemas_are_printed() {
    let (code, out, _) = run(&["run", "--help"]);
    let out = out.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(code == 0 && out.contains("[default: 200,"), "{out}");
    for (command, text) in [
        ("sut", include_str!("../../../manifest.schema.json")),
        ("baseline", include_str!("../../../baseline.schema.json")),
        ("report", include_str!("../../../report.schema.json")),
    ] {
        assert_eq!(
            run(&[command, "schema"]),
            (0, text.to_owned(), String::new())
        );
    }
}

#[test]
fn lists_and_explanations_are_complete() {
    let (code, out, _) = run(&["list", "rules", "--json"]);
    let rules: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(
        (code, rules[0]["id"].as_str()),
        (0, Some("life.client-independence"))
    );
    assert_eq!(run(&["list", "cases"]).0, 0);
    let (_, out, _) = run(&["list", "rules"]);
    assert!(
        out.contains("  1 case\n") && !out.contains(" 1 cases"),
        "{out}"
    );
    let (code, out, _) = run(&["explain", "tunnel.early-data"]);
    assert!(
        code == 0 && out.contains("MUST deliver") && out.contains("case server/tunnel/early-data"),
        "{out}"
    );
    let (code, out, _) = run(&["explain", "server/tunnel/early-data"]);
    assert!(
        code == 0 && out.contains("role     server") && out.contains("MUST deliver"),
        "{out}"
    );
}

#[test]
fn a_seed_repeats_the_order_of_a_shuffled_run() {
    let order = |arguments: &[&str]| {
        let fixed = [
            "run",
            "server",
            "server/map/conflict-*",
            "-v",
            "-j",
            "1",
            "--repeat",
            "2",
        ];
        let (code, out, err) = run(&[&fixed[..], arguments].concat());
        assert_eq!(code, 0, "{out}{err}");
        let ids = out.lines().filter(|line| line.contains("PASS"));
        let ids = ids.map(|line| line.rsplit(' ').next().unwrap().to_owned());
        (ids.collect::<Vec<_>>(), out)
    };
    let (one, out) = order(&["--shuffle", "--seed", "0x5eed", "--slowest", "2"]);
    let first = out.lines().next().unwrap();
    assert!(
        first.contains("seed 0x5eed")
            && first.contains("round trip")
            && first.contains("each 2 times"),
        "{first}"
    );
    assert!(out.contains("in a second; longest stall"), "{out}");
    let (again, _) = order(&["--shuffle", "--seed", "24301"]);
    assert!(one.len() >= 6, "{out}");
    assert_eq!(one, again);
    let (other, _) = order(&[]);
    assert_ne!(one, other);
}

#[test]
fn built_in_files_are_listed_and_a_check_reports_its_findings() {
    let (code, out, _) = run(&["list", "sut"]);
    assert!(
        code == 0 && out.contains("go-client         client  starts {{env:NETROXY_GO_CLIENT}}"),
        "{out}"
    );
    let (code, out, _) = run(&["list", "baselines"]);
    assert!(
        code == 0 && out.contains("go-server         server  profile hardened"),
        "{out}"
    );
    let folder = TempDir::new().unwrap();
    let text = include_str!("../../../suts/reference-server.json");
    let text = text.replacen("\"role\"", "\"transports\": [\"plain\"], \"role\"", 1);
    let path = file(&folder, "plain.json", &text);
    let (code, out, err) = run(&["sut", "check", "--sut", path.to_str().unwrap()]);
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.contains("login over plain: yes, round trip"), "{out}");
    assert!(
        out.contains("note: a login over tls works too, but the manifest does not name tls"),
        "{out}"
    );
}

#[test]
fn a_json_report_is_written() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("report.json");
    let report = format!("json:{}", path.display());
    assert_eq!(
        run(&[
            "run",
            "server",
            "server/keepalive/answer",
            "--report",
            &report
        ])
        .0,
        0
    );
    let report: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    assert_eq!(report["totals"]["passed"], 2);
    assert_eq!(report["results"][0]["verdict"], "pass");
}
