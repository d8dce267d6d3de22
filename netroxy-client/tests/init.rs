//! `init` of both programs: the commands that they print make a tunnel.
//!
//! This program is the server too if an environment variable says so, because a test of this package gets only the
//! path of the client. It calls the main function of the server.
#![allow(clippy::unwrap_used, reason = "an unwrap that fails is a failed test")]

use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode, Output, Stdio};

use libtest_mimic::{Arguments, Trial};
use tokio::io::AsyncWriteExt;
use tokio::runtime::Runtime;

#[path = "../../netroxy-net/tests/support/files.rs"]
mod files;
mod support;
use files::files;
use support::{Program, client, free_port, greeting, user};

const IS_SERVER: &str = "TEST_IS_THE_SERVER";

fn main() -> ExitCode {
    if std::env::var_os(IS_SERVER).is_some() {
        return netroxy_server::cli::main();
    }
    let tests: [(&str, fn()); 3] = [
        (
            "the_printed_commands_make_a_tunnel",
            the_printed_commands_make_a_tunnel,
        ),
        (
            "a_second_run_fails_and_changes_nothing",
            a_second_run_fails_and_changes_nothing,
        ),
        (
            "wrong_flags_are_reported_and_no_file_is_written",
            wrong_flags_are_reported_and_no_file_is_written,
        ),
    ];
    let trials = tests.map(|(name, test)| {
        Trial::test(name, move || {
            test();
            Ok(())
        })
    });
    libtest_mimic::run(&Arguments::from_args(), trials.into()).exit_code()
}

fn server(folder: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.current_dir(folder).env(IS_SERVER, "1");
    command
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}

/// The output of a program, which has to succeed, and the indented lines of it, which are to be copied.
#[track_caller]
fn told(output: Output) -> (String, Vec<String>) {
    let err = text(output.stderr);
    assert!(output.status.success(), "{err}");
    assert_eq!(err, "");
    let told = text(output.stdout);
    let lines = told.lines().filter_map(|line| line.strip_prefix("    "));
    let lines = lines.map(str::to_owned).collect();
    (told, lines)
}

/// The arguments of a printed command, which begins with the name of the program.
#[track_caller]
fn arguments<'a>(command: &'a str, program: &str) -> Vec<&'a str> {
    let mut words = command.split(' ');
    assert_eq!(words.next(), Some(program));
    words.collect()
}

fn start(command: &mut Command) -> Program {
    let command = command.stdin(Stdio::null()).stdout(Stdio::null());
    Program(command.stderr(Stdio::null()).spawn().unwrap())
}

async fn carries_bytes(remote: u16) {
    let mut user = user(remote).await;
    assert_eq!(greeting(&mut user, 5).await, "hello");
    user.write_all(b"there and back").await.unwrap();
    assert_eq!(greeting(&mut user, 14).await, "there and back");
}

fn the_printed_commands_make_a_tunnel() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = Runtime::new().unwrap();
    let service = runtime.block_on(support::echo("hello"));
    let port = free_port().to_string();
    let (_, lines) = told(
        server(dir.path())
            .args(["init", "--dir", "public", "--port", &port])
            .args(["--host", "127.0.0.1"])
            .output()
            .unwrap(),
    );
    let [to_serve, to_connect, password, to_look] = &lines[..] else {
        panic!("three commands and a password: {lines:?}");
    };
    let _server = start(server(dir.path()).args(arguments(to_serve, "netroxy-server")));

    // The printed command, with another service.
    let (remote, file_remote) = (free_port(), free_port());
    let line = to_connect.replace("10003=127.0.0.1:3389", &format!("{remote}={service}"));
    assert_ne!(&line, to_connect);
    let flags = arguments(&line, "netroxy-client");
    let _client = start(
        client(dir.path())
            .args(&flags)
            .env("NETROXY_PASSWORD", password),
    );
    runtime.block_on(carries_bytes(remote));

    let status = server(dir.path())
        .args(arguments(to_look, "netroxy-server"))
        .output()
        .unwrap();
    assert!(text(status.stdout).contains(&format!("port {remote} -> {service}")));

    // A file with the same flags, while the client with these flags runs.
    let line = to_connect.replace("10003=127.0.0.1:3389", &format!("{file_remote}={service}"));
    let (out, lines) = told(
        client(dir.path())
            .args(["init", "--dir", "private"])
            .args(arguments(&line, "netroxy-client"))
            .env("NETROXY_PASSWORD", password)
            .output()
            .unwrap(),
    );
    assert!(!out.contains(password.as_str()), "{out}");
    let [to_start, public, to_look] = &lines[..] else {
        panic!("two commands and an address: {lines:?}");
    };
    assert_eq!(
        public,
        &format!("tcp://127.0.0.1:{file_remote} -> {service}")
    );
    let _other = start(client(dir.path()).args(arguments(to_start, "netroxy-client")));
    runtime.block_on(carries_bytes(file_remote));

    let status = client(dir.path())
        .args(arguments(to_look, "netroxy-client"))
        .output()
        .unwrap();
    assert!(text(status.stdout).contains("1 mapped and 0 refused"));

    let checked = client(&dir.path().join("private"))
        .args(["check-config", "--strict"])
        .output()
        .unwrap();
    assert!(checked.status.success(), "{}", text(checked.stderr));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let file = dir.path().join("private/client_config.json");
        let mode = fs::metadata(file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}

/// Runs `init` with all flags that it needs, and `more`.
fn init(folder: &Path, more: &[&str]) -> Output {
    let print = "ab".repeat(32);
    client(folder)
        .args(["init", "--server", "h:1", "--user", "u"])
        .args(["--fingerprint", &print, "--map", "10003=22"])
        .args(more)
        .env("NETROXY_PASSWORD", "p")
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn a_second_run_fails_and_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    told(init(dir.path(), &[]));
    let before = files(dir.path());
    assert_eq!(
        before.keys().collect::<Vec<_>>(),
        ["client_config.json", "client_config.txt"]
    );
    for name in before.keys() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(name), "old").unwrap();
        let again = init(dir.path(), &[]);
        assert_eq!(again.status.code(), Some(2));
        assert_eq!(
            text(again.stderr),
            format!(
                "error: ./{name} exists\nhint: it is not replaced; --dir DIR writes elsewhere\n"
            )
        );
        assert_eq!(files(dir.path()).len(), 1);
    }
    assert_eq!(init(dir.path(), &["--map", "5=6"]).status.code(), Some(2));
    assert_eq!(files(dir.path()), before);
}

fn wrong_flags_are_reported_and_no_file_is_written() {
    let dir = tempfile::tempdir().unwrap();
    for (more, error) in [
        (&["--map", "1"][..], "invalid value '1' for '--map"),
        (&["--password", "p"], "unexpected argument '--password'"),
        (&["--plain"], "unexpected argument '--plain'"),
        (
            &["--password-file", "none"],
            "command line: --password-file: ",
        ),
        (&["--config", "x.json"], "init writes client_config.json to"),
    ] {
        let output = init(dir.path(), more);
        let told = text(output.stderr);
        assert_eq!(output.status.code(), Some(2), "{told}");
        assert!(told.starts_with(&format!("error: {error}")), "{told}");
    }
    let with_config = server(dir.path())
        .args(["init", "--config", "x.json"])
        .output()
        .unwrap();
    assert_eq!(with_config.status.code(), Some(2));
    assert_eq!(
        text(with_config.stderr),
        "error: init writes server_config.json to the folder of --dir\nhint: leave out --config\n"
    );
    let bare = |args: &[&str]| {
        let mut command = client(dir.path());
        let output = command.args(args).stdin(Stdio::null()).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        text(output.stderr)
    };
    let missing = bare(&["init"]);
    for flag in ["--server", "--user", "--fingerprint", "--map"] {
        assert!(missing.contains(flag), "{missing}");
    }
    let print = "ab".repeat(32);
    let mut whole = vec![
        "init", "--server", "h:1", "--user", "u", "--map", "10003=22",
    ];
    whole.extend(["--fingerprint", "abcd"]);
    let short = bare(&whole);
    assert!(short.contains("must be a SHA-256 fingerprint"), "{short}");
    whole.pop();
    whole.push(&print);
    let no_password = bare(&whole);
    assert!(
        no_password.contains("no password is given"),
        "{no_password}"
    );
    assert_eq!(files(dir.path()).len(), 0);
}
