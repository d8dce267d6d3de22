//! Printed commands, which play a failure again or are a hint, run in a shell and judge the same.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use tempfile::TempDir;

use super::{PROGRAM, said, suite};

/// Runs a printed command in a shell that finds the program.
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
    said(shell.output().unwrap())
}

/// The first command that is printed after a word.
fn printed<'a>(text: &'a str, word: &str) -> &'a str {
    let mut lines = text
        .lines()
        .filter_map(|line| line.trim().strip_prefix(word));
    lines
        .next()
        .unwrap_or_else(|| panic!("no `{word}` in {text}"))
        .trim()
}

/// The cases that failed or were blocked, in the order in which they ended.
fn failures(out: &str) -> Vec<&str> {
    let red = |line: &&str| line.contains(" FAIL [") || line.contains(" BLOCKED [");
    let lines = out.lines().filter(red);
    lines.map(|line| line.rsplit(' ').next().unwrap()).collect()
}

/// Asserts that a failure occurs again by the command that is printed with it.
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
fn a_printed_command_judges_the_same_again() {
    let folder = TempDir::new().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("it's a.case", CASE);
    let manifest = include_str!("../../../suts/reference-server.json");
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

/// A server that answers logins and then sends nothing; it counts the wrong passwords.
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

/// Not a test, but such a server: it does nothing unless a file holds its port.
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
fn a_printed_command_has_the_variables_of_the_manifest() {
    let folder = TempDir::new().unwrap();
    let manifest = r#"{"name": "fake", "role": "server", "transports": ["plain"], "start_deadline_ms": 60000, "launch": {
        "command": ["{{env:MY_SERVER}}", "--exact", "again::fake", "--nocapture"],
        "files": { "port": { "text": "{{port}}" }, "timeout": { "text": "{{timeout}}" } } } }"#;
    std::fs::write(folder.path().join("fake.json"), manifest).unwrap();
    let own = std::env::current_exe().unwrap();
    let mut command = Command::new(PROGRAM);
    command.current_dir(folder.path()).env("MY_SERVER", &own);
    command.args(["run", "server/keepalive/answer@plain", "--sut", "fake.json"]);
    let (code, out, err) = said(command.output().unwrap());
    assert_eq!(code, 1, "{out}{err}");
    let again = printed(&out, "again ");
    assert!(again.starts_with("MY_SERVER="), "{again}");
    let (code, once_more, err) = pasted(folder.path(), again, None);
    assert_eq!(code, 1, "{again}: {once_more}{err}");
    assert_eq!(failures(&once_more), failures(&out), "{again}");
}

#[test]
fn the_commands_that_diff_and_replay_print_can_be_run() {
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
fn hints_name_the_judged_subject() {
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
