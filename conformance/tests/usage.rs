//! What a new user meets: commands that are printed can be run, ids that are printed are taken, and every command says
//! what it judges by and what has come of it.

#![allow(
    clippy::unwrap_used,
    reason = "clippy only excuses the bodies of tests, not their helpers"
)]

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use tempfile::TempDir;

const PROGRAM: &str = env!("CARGO_BIN_EXE_netroxy-conformance");

fn text(output: Output) -> (i32, String, String) {
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let code = output.status.code().unwrap();
    (code, text(output.stdout), text(output.stderr))
}

fn suite(folder: &Path, arguments: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(PROGRAM);
    text(
        command
            .current_dir(folder)
            .args(arguments)
            .output()
            .unwrap(),
    )
}

/// Runs a printed command as people do: in a shell that finds the program.
fn pasted(folder: &Path, line: &str, password: Option<&str>) -> (i32, String, String) {
    let program = folder.join("netroxy-conformance");
    if !program.exists() {
        std::os::unix::fs::symlink(PROGRAM, program).unwrap();
    }
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap());
    let mut shell = Command::new("sh");
    shell
        .current_dir(folder)
        .args(["-c", line])
        .env("PATH", path);
    match password {
        Some(password) => shell.env("NETROXY_PASS", password),
        None => shell.env_remove("NETROXY_PASS"),
    };
    text(shell.output().unwrap())
}

/// The first command that is printed behind a word.
fn printed<'a>(text: &'a str, behind: &str) -> &'a str {
    let mut lines = text
        .lines()
        .filter_map(|line| line.trim().strip_prefix(behind));
    lines
        .next()
        .unwrap_or_else(|| panic!("no `{behind}` in {text}"))
        .trim()
}

/// The lines that name a failed case.
fn failures(out: &str) -> Vec<&str> {
    let lines = out.lines().filter(|line| line.contains(" FAIL ["));
    lines.map(|line| line.rsplit(' ').next().unwrap()).collect()
}

/// What fails fails again by the command that is printed with it.
fn fails_again(folder: &Path, arguments: &[&str]) -> String {
    let (code, out, err) = suite(folder, arguments);
    assert_eq!(code, 1, "{arguments:?} {out}{err}");
    let again = printed(&out, "again ").to_owned();
    let (code, once_more, err) = pasted(folder, &again, None);
    assert_eq!(code, 1, "{again}: {once_more}{err}");
    assert_eq!(
        failures(&once_more),
        failures(&out)[..1],
        "{again}: {once_more}"
    );
    again
}

const CASE: &str = "title    x\nrole     server\nrules    keep.srs\n\n\
    ctl   connect server\nctl   > ATH $name $username $password\nctl   < ARS true _ _\n\
    ctl   > SRQ\nctl   < TRQ 7                             [keep.srs]\n";

#[test]
fn a_command_that_is_printed_judges_the_same_again() {
    let folder = TempDir::new().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("it's a.case", CASE);
    let manifest = include_str!("../suts/reference-server.json");
    write("my server.json", manifest);
    for (arguments, wanted) in [
        (
            &[
                "run",
                "auth.once",
                "--sut",
                "broken-server:second-login-accepted",
                "--profile",
                "hardened",
            ][..],
            &[
                "run server server/auth/",
                "--sut broken-server:second-login-accepted",
            ][..],
        ),
        (
            &[
                "run",
                "--case-file",
                "it's a.case",
                "--sut",
                "my server.json",
                "--profile",
                "hardened",
            ],
            &["my server.json", "it's a.case", "--profile hardened"],
        ),
        (
            &[
                "run",
                "--case-file",
                "it's a.case",
                "--strict",
                "--time-scale",
                "2",
            ],
            &["--sut reference-server", "--strict", "--time-scale 2"],
        ),
        (
            &[
                "run",
                "pair/tunnel/half-close-user",
                "--client",
                "broken-client:half-close-closes",
            ],
            &[
                "run pair ",
                "--server reference-server",
                "--client broken-client:half-close-closes",
            ],
        ),
    ] {
        let again = fails_again(folder.path(), arguments);
        for part in wanted {
            assert!(again.contains(part), "`{part}` is not in {again}");
        }
    }
}

/// A server that takes logins and then says nothing; it counts the wrong passwords.
fn silent_server(password: &'static str) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let wrong = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&wrong);
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let counted = Arc::clone(&counted);
            thread::spawn(move || answer(stream, password, "30", &counted));
        }
    });
    (address, wrong)
}

fn answer(mut stream: TcpStream, password: &str, timeout: &str, wrong: &AtomicUsize) {
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
    let mut line = || lines.next().and_then(Result::ok);
    let login = [line(), line(), line(), line()];
    let [Some(_), Some(_), Some(_), Some(given)] = login else {
        return;
    };
    if given != password {
        wrong.fetch_add(1, Ordering::SeqCst);
        let _ = stream.write_all(b"ARS\nfalse\n");
        return;
    }
    let _ = stream.write_all(format!("ARS\ntrue\n{timeout}\ntoken\n").as_bytes());
    while line().is_some() {}
}

#[test]
fn a_running_server_is_judged_again_and_its_password_is_never_printed() {
    let folder = TempDir::new().unwrap();
    let (address, wrong) = silent_server("se'c ret");
    let address = address.to_string();
    let arguments = [
        "run",
        "server/keepalive/answer",
        "keep.srs@tls",
        "--addr",
        &address,
        "--user",
        "a b",
        "--pass",
        "se'c ret",
    ];
    let (code, out, err) = suite(folder.path(), &arguments);
    assert_eq!(code, 1, "{out}{err}");
    assert!(
        out.contains("skipped: no tls address was given (--tls-addr)\n"),
        "{out}"
    );
    let again = printed(&out, "again ");
    assert!(!again.contains("c ret"), "{again}");
    let (code, once_more, err) = pasted(folder.path(), again, Some("se'c ret"));
    assert_eq!(code, 1, "{again}: {once_more}{err}");
    assert_eq!(failures(&once_more), failures(&out), "{again}");
    let (code, once_more, err) = pasted(folder.path(), again, None);
    assert!(code != 0 && once_more.is_empty(), "{once_more}{err}");
    assert!(err.contains("NETROXY_PASS"), "{err}");
    assert_eq!(wrong.load(Ordering::SeqCst), 0, "a wrong password was sent");
}

/// Not a test, but a server that does the same: it does nothing unless a port has been written for it.
#[test]
fn fake() {
    let read = |name| std::fs::read_to_string(name);
    let (Ok(port), Ok(timeout)) = (read("port"), read("timeout")) else {
        return;
    };
    let listener = TcpListener::bind(("127.0.0.1", port.parse().unwrap())).unwrap();
    for stream in listener.incoming().map_while(Result::ok) {
        let timeout = timeout.clone();
        thread::spawn(move || answer(stream, "conf-pass", &timeout, &AtomicUsize::new(0)));
    }
}

#[test]
fn a_command_that_is_printed_holds_the_variables_of_the_manifest() {
    let folder = TempDir::new().unwrap();
    let manifest = r#"{"name": "fake", "role": "server", "transports": ["plain"], "start_deadline_ms": 60000, "launch": {
        "command": ["{{env:MY_SERVER}}", "--exact", "fake", "--nocapture"],
        "files": { "port": { "text": "{{port}}" }, "timeout": { "text": "{{timeout}}" } } } }"#;
    std::fs::write(folder.path().join("fake.json"), manifest).unwrap();
    let own = std::env::current_exe().unwrap();
    let mut command = Command::new(PROGRAM);
    command.current_dir(folder.path()).env("MY_SERVER", &own);
    command.args(["run", "server/keepalive/answer@plain", "--sut", "fake.json"]);
    let (code, out, err) = text(command.output().unwrap());
    assert_eq!(code, 1, "{out}{err}");
    let again = printed(&out, "again ");
    assert!(again.starts_with("MY_SERVER="), "{again}");
    let (code, once_more, err) = pasted(folder.path(), again, None);
    assert_eq!(code, 1, "{again}: {once_more}{err}");
    assert_eq!(failures(&once_more), failures(&out), "{again}");
}

#[test]
fn what_diff_and_replay_print_can_be_run_too() {
    let folder = TempDir::new().unwrap();
    let folder = folder.path();
    let diff = [
        "diff",
        "--sut",
        "reference-server",
        "--sut",
        "broken-server:early-data-lost",
        "server/tunnel/early-data",
    ];
    let (code, out, err) = suite(folder, &diff);
    assert_eq!(code, 1, "{out}{err}");
    let (code, once_more, err) = pasted(folder, printed(&out, "again "), None);
    assert_eq!(code, 1, "{once_more}{err}");
    assert!(failures(&once_more).contains(&"server/tunnel/early-data"));

    let record = [
        "run",
        "server/tunnel/early-data",
        "--record",
        "my recordings",
    ];
    assert_eq!(suite(folder, &record).0, 0);
    let recording = "my recordings/server/tunnel/early-data.recording";
    let played = [
        "replay",
        recording,
        "--sut",
        "broken-server:early-data-lost",
    ];
    let (code, out, err) = suite(folder, &played);
    assert_eq!(code, 1, "{out}{err}");
    let (code, once_more, _) = pasted(folder, printed(&out, "again "), None);
    assert_eq!(
        (code, failures(&once_more)),
        (1, failures(&out)),
        "{once_more}"
    );
    let written = err.split('`').nth(1).unwrap();
    assert_eq!(pasted(folder, written, None).0, 0, "{written}");
    let case = [
        "run",
        "--case-file",
        "early-data.case",
        "--sut",
        "broken-server:early-data-lost",
    ];
    let (code, out, err) = suite(folder, &[&case[..], &["--profile", "hardened"]].concat());
    assert_eq!(code, 1, "{out}{err}");
}

#[test]
fn hints_keep_what_is_judged() {
    let folder = TempDir::new().unwrap();
    let folder = folder.path();
    for (arguments, hint) in [
        (
            &["run", "client", "keep.srs"][..],
            "netroxy-conformance run server keep.srs",
        ),
        (
            &["run", "pair", "--server", "broken-server:lifo", "keep.srs"],
            "netroxy-conformance run server keep.srs --sut broken-server:lifo",
        ),
        (
            &[
                "run",
                "pair",
                "--client",
                "broken-client:drips",
                "client/auth/login",
            ],
            "netroxy-conformance run client client/auth/login --sut broken-client:drips",
        ),
        (
            &["run", "--sut", "broken-server:lifo", "pair/tunnel/echo"],
            "netroxy-conformance run pair pair/tunnel/echo --server broken-server:lifo --client FILE",
        ),
        (
            &["run", "--sut", "broken-server:lifo", "client/auth/login"],
            "netroxy-conformance run client client/auth/login --sut FILE",
        ),
    ] {
        let (code, out, err) = suite(folder, arguments);
        assert_eq!((code, out.as_str()), (4, ""), "{arguments:?} {err}");
        assert_eq!(printed(&err, "hint: "), hint, "{arguments:?}");
    }
}

#[test]
fn the_manifest_says_the_role_and_a_contradiction_is_an_error() {
    let folder = TempDir::new().unwrap();
    let folder = folder.path();
    let (code, out, err) = suite(folder, &["run", "--sut", "reference-client", "auth/login"]);
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.starts_with("client reference-client "), "{out}");
    for command in ["run", "fuzz", "flakes"] {
        let (code, _, err) = suite(folder, &[command, "server", "--sut", "reference-client"]);
        assert_eq!(code, 2, "{command}: {err}");
        let words =
            "reference-client is a client, as its manifest says, and a server is to be judged";
        assert!(
            err.contains(words) && err.contains("leave `server` out"),
            "{command}: {err}"
        );
    }
    let (code, _, err) = suite(folder, &["run", "pair", "--sut", "reference-client"]);
    assert!(
        code == 2 && err.contains("--server FILE and --client FILE"),
        "{err}"
    );
    let (code, _, err) = suite(folder, &["run", "tunnel"]);
    assert!(code == 2 && err.contains("`tunnel` is no role"), "{err}");
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
fn what_is_printed_is_taken_and_folders_and_areas_select() {
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
    // What `diff` calls a generated session.
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
fn every_command_that_judges_ends_with_the_same_line_and_begins_with_its_profile() {
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
fn quiet_shows_failures_and_the_last_line_alone() {
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
fn a_pipe_hears_from_a_command_that_takes_long() {
    let folder = TempDir::new().unwrap();
    let reference = "reference-server";
    let case = "server/keepalive/expiry";
    for (name, arguments) in [
        (
            "diff: ",
            &["diff", "--sut", reference, "--sut", reference, case][..],
        ),
        ("    0/", &["run", case]),
    ] {
        // It waits for longer than that for the end of a timeout.
        let (code, out, err) = suite(folder.path(), arguments);
        assert_eq!(code, 0, "{out}{err}");
        assert!(
            err.lines().any(|line| line.starts_with(name)),
            "{arguments:?} {err}"
        );
    }
}

#[test]
fn every_command_tells_its_exit_codes() {
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
        include_str!("../suts/reference-server.json").replacen("reference-server", "mine", 1);
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
