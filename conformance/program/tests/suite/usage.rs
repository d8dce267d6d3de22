//! The command line: roles, selections, the first and the last line, help. `again` tests printed commands.

use tempfile::TempDir;

use super::suite;

const CASE: &str = "title    x\nrole     server\nrules    keep.srs\n\n\
    ctl   connect server\nctl   > ATH $name $username $password\nctl   < ARS true _ _\n\
    ctl   > SRQ\nctl   < TRQ 7                             [keep.srs]\n";

#[test]
fn the_manifest_names_the_role_and_a_contradiction_is_an_error() {
    let folder = TempDir::new().unwrap();
    let folder = folder.path();
    let (code, out, err) = suite(folder, &["run", "--sut", "reference-client", "auth/login"]);
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.starts_with("client reference-client "), "{out}");
    for command in ["run", "fuzz", "flakes"] {
        let (code, _, err) = suite(folder, &[command, "server", "--sut", "reference-client"]);
        assert_eq!(code, 2, "{command}: {err}");
        let words = "reference-client is a client according to its manifest, but the command judges a server";
        assert!(
            err.contains(words) && err.contains("leave out `server`"),
            "{command}: {err}"
        );
    }
    let (code, _, err) = suite(folder, &["run", "pair", "--sut", "reference-client"]);
    assert!(
        code == 2 && err.contains("--server FILE and --client FILE"),
        "{err}"
    );
    let (code, _, err) = suite(folder, &["run", "tunnel"]);
    assert!(code == 2 && err.contains("`tunnel` is not a role"), "{err}");
    std::fs::write(folder.join("own.case"), CASE).unwrap();
    let (code, out, err) = suite(folder, &["run", "--case-file", "own.case"]);
    assert!(
        code == 1 && out.starts_with("server reference-server "),
        "{out}{err}"
    );
    let (code, _, err) = suite(folder, &["run", "client", "--case-file", "own.case"]);
    assert!(
        code == 2 && err.contains("run server --case-file own.case"),
        "{err}"
    );
    let (code, _, err) = suite(folder, &["run", "keep", "--case-file", "own.case"]);
    assert!(
        code == 2 && err.contains("--case-file names the cases"),
        "{err}"
    );
}

#[test]
fn printed_ids_folders_and_areas_select() {
    let folder = TempDir::new().unwrap();
    let folder = folder.path();
    let (_, cases, _) = suite(folder, &["list", "cases", "server/map/"]);
    let ids: Vec<&str> = cases
        .lines()
        .map(|line| line.split(' ').next().unwrap())
        .collect();
    assert!(
        ids.len() > 5 && ids.iter().all(|id| id.starts_with("server/map/")),
        "{cases}"
    );
    let (code, out, err) = suite(
        folder,
        &["run", "server", "server/map/", "-v", "--repeat", "2"],
    );
    assert_eq!(code, 0, "{out}{err}");
    let passed: Vec<&str> = out
        .lines()
        .filter(|line| line.contains("PASS ["))
        .map(|line| line.rsplit(' ').next().unwrap())
        .collect();
    assert!(passed.iter().any(|id| id.ends_with("@tls#2")), "{out}");
    let (code, again, err) = suite(folder, &[&["run"], &passed[..3]].concat());
    assert_eq!(code, 0, "{again}{err}");
    for id in &passed[..4] {
        assert_eq!(suite(folder, &["explain", id]).0, 0, "{id}");
    }
    let (code, out, err) = suite(folder, &["run", "server", "half-close"]);
    assert_eq!((code, out.as_str()), (4, ""), "{err}");
    assert!(
        err.contains("hint: did you mean `tunnel.half-close`"),
        "{err}"
    );
    let (code, out, _) = suite(
        folder,
        &[
            "list",
            "rules",
            "keep",
            "--role",
            "client",
            "--profile",
            "wire",
        ],
    );
    let lines: Vec<&str> = out.lines().collect();
    assert!(code == 0 && !lines.is_empty(), "{out}");
    assert!(
        lines
            .iter()
            .all(|line| line.starts_with("keep.") && line.contains(" client ")),
        "{out}"
    );
    let filters = [
        "list",
        "rules",
        "--role",
        "server",
        "--profile",
        "wire",
        "--json",
    ];
    let (_, out, _) = suite(folder, &filters);
    let rules: serde_json::Value = serde_json::from_str(&out).unwrap();
    let rules = rules.as_array().unwrap();
    assert!(
        rules
            .iter()
            .all(|rule| rule["profile"] == "wire" && rule["subject"] != "client")
    );
    assert!(rules.len() > 20, "{out}");
    assert_eq!(suite(folder, &["list", "sut", "--role", "server"]).0, 2);
    assert_eq!(suite(folder, &["list", "cases", "no-such"]).0, 4);
    // The id of a generated session.
    for words in [
        &["run", "sequence/server/0x7"][..],
        &["run", "server", "sequence/server/0x7"],
    ] {
        let (code, out, err) = suite(folder, &[words, &["--profile", "hardened", "-v"]].concat());
        assert_eq!(code, 0, "{out}{err}");
        assert!(out.contains("] sequence/server/0x7\n"), "{out}");
    }
    assert_eq!(suite(folder, &["explain", "sequence/server/0x7"]).0, 0);
}

#[test]
fn judging_commands_begin_with_the_profile_and_end_with_the_counts() {
    let folder = TempDir::new().unwrap();
    let folder = folder.path();
    let (keep, one) = ("server/keepalive/answer", "pair/tunnel/echo");
    let reference = "reference-server";
    assert_eq!(suite(folder, &["run", keep, "--record", "recordings"]).0, 0);
    for (arguments, profile) in [
        (&["run", keep][..], "wire"),
        (&["run", keep, "--profile", "hardened"], "hardened"),
        (&["matrix", one], "wire"),
        (
            &["diff", "--sut", reference, "--sut", reference, keep],
            "wire",
        ),
        (&["flakes", keep, "--runs", "2"], "wire"),
        (&["selftest", "keep.srs"], "hardened"),
        (&["fuzz", "server", "--runs", "2", "--seed", "1"], "wire"),
        (
            &[
                "replay",
                "recordings/server/keepalive/answer.recording",
                "--reference",
            ],
            "hardened",
        ),
    ] {
        if arguments[0] == "flakes" && !cfg!(target_os = "linux") {
            continue;
        }
        let (code, out, err) = suite(folder, arguments);
        assert_eq!(code, 0, "{arguments:?} {out}{err}");
        let first = out.lines().next().unwrap();
        assert!(
            first.contains(&format!("profile {profile}")),
            "{arguments:?} {out}"
        );
        let last = out.lines().last().unwrap();
        let numbers = last.strip_prefix("conformance: ").unwrap();
        assert!(
            numbers.ends_with(" passed, 0 failed, 0 skipped"),
            "{arguments:?} {out}"
        );
        assert!(!numbers.starts_with("0 "), "{arguments:?} {out}");
    }
    let passive = ["replay", "recordings/server/keepalive/answer.recording"];
    let (code, out, _) = suite(folder, &passive);
    let last = "conformance: 1 passed, 0 failed, 0 skipped";
    assert_eq!((code, out.lines().last()), (0, Some(last)), "{out}");
}

#[test]
fn quiet_shows_only_failures_and_the_last_line() {
    let folder = TempDir::new().unwrap();
    let folder = folder.path();
    let (code, out, err) = suite(folder, &["run", "server/keepalive/answer", "--quiet"]);
    let line = "conformance: 2 passed, 0 failed, 0 skipped\n";
    assert_eq!((code, out.as_str(), err.as_str()), (0, line, ""));
    let reference = "reference-server";
    for arguments in [
        &[
            "diff",
            "--sut",
            reference,
            "--sut",
            reference,
            "server/keepalive/answer",
            "-q",
        ][..],
        &["fuzz", "server", "--runs", "2", "--seed", "1", "-q"],
        &["selftest", "srs-twice", "srs-every-second", "-q"],
    ] {
        let (code, out, err) = suite(folder, arguments);
        assert_eq!(
            (code, out.as_str(), err.as_str()),
            (0, line, ""),
            "{arguments:?}"
        );
    }
    std::fs::write(folder.join("own.case"), CASE).unwrap();
    let (code, out, _) = suite(folder, &["run", "--case-file", "own.case", "-q"]);
    let lines: Vec<&str> = out.lines().collect();
    assert!(code == 1 && lines[0].contains("FAIL ["), "{out}");
    assert_eq!(
        lines.last(),
        Some(&"conformance: 0 passed, 1 failed, 0 skipped")
    );
}

#[test]
fn a_long_command_shows_its_progress_in_a_pipe() {
    let folder = TempDir::new().unwrap();
    let reference = "reference-server";
    let case = "server/keepalive/expiry";
    for (name, arguments) in [
        (
            "diff: ",
            &[
                "diff",
                "--sut",
                reference,
                "--sut",
                reference,
                case,
                "--profile",
                "hardened",
            ][..],
        ),
        ("    0/", &["run", case, "--profile", "hardened"]),
    ] {
        // The case takes longer than the interval of the progress.
        let (code, out, err) = suite(folder.path(), arguments);
        assert_eq!(code, 0, "{out}{err}");
        assert!(
            err.lines().any(|line| line.starts_with(name)),
            "{arguments:?} {err}"
        );
    }
}

#[test]
fn the_help_of_every_command_lists_its_exit_codes() {
    let folder = TempDir::new().unwrap();
    let folder = folder.path();
    let mut commands: Vec<Vec<String>> = vec![Vec::new()];
    let mut seen = 0;
    while let Some(command) = commands.pop() {
        let words: Vec<&str> = command.iter().map(String::as_str).collect();
        for help in ["--help", "-h"] {
            let (code, out, err) = suite(folder, &[&words[..], &[help]].concat());
            assert_eq!(code, 0, "{words:?} {err}");
            assert!(out.contains("Exit codes: 0 "), "{words:?} {help}: {out}");
            if help == "-h" {
                let lines = out.split("Commands:\n").nth(1).unwrap_or_default();
                let lines = lines.lines().take_while(|line| !line.is_empty());
                let names = lines.filter_map(|line| line.strip_prefix("  ")?.split(' ').next());
                let names = names.filter(|name| !name.is_empty() && *name != "help");
                commands.extend(names.map(|name| [&command[..], &[name.to_owned()]].concat()));
            }
        }
        seen += 1;
    }
    assert!(seen > 20, "{seen}");
}

#[test]
fn a_template_is_a_canonical_case_that_runs() {
    let folder = TempDir::new().unwrap();
    let folder = folder.path();
    for role in ["server", "client", "pair"] {
        let (code, case, err) = suite(folder, &["template", "tunnel.half-close", "--role", role]);
        assert_eq!(code, 0, "{err}");
        std::fs::write(folder.join("own.case"), case).unwrap();
        assert_eq!(suite(folder, &["format", "--check", "own.case"]).0, 0);
        let (code, out, err) = suite(folder, &["run", "--case-file", "own.case"]);
        assert_eq!(code, 0, "{role}: {out}{err}");
        assert!(
            out.ends_with("conformance: 2 passed, 0 failed, 0 skipped\n"),
            "{out}"
        );
    }
    let (code, _, err) = suite(folder, &["template", "half-close"]);
    assert!(code == 4 && err.contains("`tunnel.half-close`"), "{err}");
    assert_eq!(
        suite(folder, &["template", "keep.srs", "--role", "client"]).0,
        2
    );
}

#[test]
fn a_manifest_that_does_not_configure_the_timeout_is_at_fault() {
    let folder = TempDir::new().unwrap();
    let folder = folder.path();
    let good =
        include_str!("../../../suts/reference-server.json").replacen("reference-server", "mine", 1);
    for (from, to, why) in [
        (
            "\"{{timeout:int}}\"",
            "30",
            "the manifest does not use {{timeout}}",
        ),
        (
            "\"timeout\": \"{{timeout:int}}\"",
            "\"timeout\": 30, \"web2\": \"{{timeout}}\"",
            "not where the server reads",
        ),
    ] {
        assert!(good.contains(from));
        std::fs::write(folder.join("mine.json"), good.replacen(from, to, 1)).unwrap();
        for arguments in [
            &["sut", "check", "--sut", "mine.json"][..],
            &["run", "--sut", "mine.json", "keep"],
            &["run", "pair", "--server", "mine.json", "pair/tunnel/echo"],
        ] {
            let (code, out, err) = suite(folder, arguments);
            assert_eq!(code, 3, "{arguments:?} {out}{err}");
            assert!(
                err.contains("the manifest of mine is wrong: the timeout"),
                "{err}"
            );
            assert!(
                err.contains(why) && err.contains("hint: write {{timeout}}"),
                "{err}"
            );
            assert!(!out.contains("conformance:"), "{out}");
        }
    }
    std::fs::write(folder.join("mine.json"), good).unwrap();
    let (code, out, err) = suite(folder, &["sut", "check", "--sut", "mine.json"]);
    assert_eq!(code, 0, "{out}{err}");
    for line in [
        "timeout: ARS announces what is configured",
        "mappings: ",
        "a wrong password: refused and closed",
    ] {
        assert!(
            out.lines().any(|found| found.starts_with(line)),
            "`{line}` is not in {out}"
        );
    }
}
