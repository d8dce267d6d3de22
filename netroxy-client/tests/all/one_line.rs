//! A client without a configuration file, and flags that replace values of the file.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use crate::support::{Program, client, free_port, greeting, user};

/// Starts the client, and returns its first line on stdout and the program.
fn first_line(command: &mut Command) -> (String, Program) {
    let mut child = Program(
        command
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap(),
    );
    let stdout = child.0.stdout.take().unwrap();
    let mut line = String::new();
    BufReader::new(stdout).read_line(&mut line).unwrap();
    (line, child)
}

/// Runs the client, which has to refuse its flags, and returns its stderr.
#[track_caller]
fn refused(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.starts_with("error: "), "{text}");
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn one_command_line_maps_a_service_and_stdout_has_the_address() {
    let dir = tempfile::tempdir().unwrap();
    let (server, _stop) = crate::support::server().await;
    let service = crate::support::echo("hello").await;
    let remote = free_port();
    let (line, _client) = first_line(
        client(dir.path())
            .args(["--server", &server.to_string(), "--user", "u"])
            .args(["--map", &format!("{remote}={service}")])
            .env("NETROXY_PASSWORD", "p")
            // This variable is no setting of the client: other tests use it for the path of the program.
            .env("NETROXY_CLIENT", "/nonsense"),
    );
    assert_eq!(line, format!("tcp://127.0.0.1:{remote} -> {service}\n"));
    assert_eq!(greeting(&mut user(remote).await, 5).await, "hello");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_flag_is_a_variable_too() {
    let dir = tempfile::tempdir().unwrap();
    let (server, _stop) = crate::support::server().await;
    let (one, two) = (
        crate::support::echo("one").await,
        crate::support::echo("two").await,
    );
    let (first, second) = (free_port(), free_port());
    fs::write(dir.path().join("secret"), "p\n").unwrap();
    let maps = format!("{first}={one},{second}={two}");
    let (_, _client) = first_line(
        client(dir.path())
            .env("NETROXY_CLIENT_SERVER", server.to_string())
            .env("NETROXY_CLIENT_USER", "u")
            .env("NETROXY_CLIENT_PASSWORD_FILE", "secret")
            .env("NETROXY_CLIENT_MAP", maps),
    );
    assert_eq!(greeting(&mut user(first).await, 3).await, "one");
    assert_eq!(greeting(&mut user(second).await, 3).await, "two");
}

#[tokio::test(flavor = "multi_thread")]
async fn flags_come_before_the_file_and_add_mappings() {
    let dir = tempfile::tempdir().unwrap();
    let (server, _stop) = crate::support::server().await;
    let nowhere = "127.0.0.1:1".parse().unwrap();
    let (one, two) = (
        crate::support::echo("one").await,
        crate::support::echo("two").await,
    );
    let (first, second) = (free_port(), free_port());
    let text = crate::support::config(nowhere, &[(first, one)], "")
        .replace(r#""username": "u""#, r#""username": "wrong""#)
        .replace(r#""password": "p""#, r#""password": "wrong""#);
    fs::write(dir.path().join("other.json"), text).unwrap();
    let (_, _client) = first_line(
        client(dir.path())
            .args(["--config", "other.json", "--server", &server.to_string()])
            .args(["--user", "u", "--map", &format!("{second}={two}")])
            .env("NETROXY_PASSWORD", "p"),
    );
    assert_eq!(greeting(&mut user(first).await, 3).await, "one");
    assert_eq!(greeting(&mut user(second).await, 3).await, "two");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_range_of_ports_in_the_file_is_one_service_for_each_port() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("client_config.json");
    let text = r#"{"ip": "h", "port": 1, "username": "u", "password": "p", "connections": [
        {"ip": "a", "port": "20-22", "remotePort": "10-12", "isOpen": true},
        {"ip": "b", "port": 80, "remotePort": 11}]}"#;
    fs::write(&file, text).unwrap();
    let (config, warnings) = netroxy_client::Config::load(&file).unwrap();
    let shown: Vec<_> = config
        .services
        .iter()
        .map(|s| format!("{} {} {}", s.remote_port, s.target(), s.is_open))
        .collect();
    assert_eq!(shown, ["10 a:20 true", "12 a:22 true", "11 b:80 false"]);
    let twice = "remotePort 11 is given twice: the later one counts";
    assert!(warnings.iter().any(|w| w.ends_with(twice)), "{warnings:?}");

    fs::write(&file, text.replace("20-22", "20-23")).unwrap();
    let error = refused(&mut client(dir.path()));
    let place = "client_config.json:2:52: connections[0].remotePort: the remote side has 3 ports";
    assert!(error.contains(place), "{error}");
}

#[test]
fn wrong_flags_are_reported_in_one_message() {
    let dir = tempfile::tempdir().unwrap();
    let base = ["--server", "127.0.0.1:1", "--user", "u"];
    let with = |more: &[&str]| {
        let mut command = client(dir.path());
        command.args(base).args(more).env("NETROXY_PASSWORD", "p");
        refused(&mut command)
    };
    for (more, part) in [
        (&["--map", "1"][..], "expected REMOTE=HOST:PORT"),
        (
            &["--map", "1-2=h:3"],
            "the remote side has 2 ports (1-2) and the service 1",
        ),
        (&["--fingerprint", "ab"], "must be a SHA-256 fingerprint"),
        (&["--server-name", "a b"], "must be a DNS name or an IP"),
        (&["--plain", "--insecure"], "cannot be used with"),
        (&["--plain", "--ca-file", "x"], "cannot be used with"),
        (&["--insecure", "--ca-file", "x"], "cannot be used with"),
        (
            &["--ca-file", "none.pem"],
            "command line: --ca-file: cannot read CA certificate none.pem: No such file",
        ),
        (&["--plain", "--cert", "x"], "cannot be used with"),
        (
            &["--cert", "x"],
            "command line: --key: missing: --cert is given and needs it",
        ),
        (
            &["--cert", "none.pem", "--key", "none.key"],
            "command line: --cert: cannot read certificate none.pem: No such file",
        ),
        (
            &["--password-file", "none"],
            "command line: --password-file: cannot read the password from none: No such file",
        ),
        (&["--config", "none.json"], "cannot read the configuration"),
        (&["--password", "p"], "unexpected argument"),
    ] {
        let text = with(more);
        assert!(text.contains(part), "{more:?}: {text}");
    }
    let text = refused(client(dir.path()).args(base));
    assert!(
        text.contains("command line: no password is given"),
        "{text}"
    );
    assert!(text.contains("NETROXY_PASSWORD"), "{text}");
    let text = refused(client(dir.path()).args(&base[..2]));
    assert!(text.contains("no username is given"), "{text}");
    assert!(text.contains("--user NAME"), "{text}");
}

/// The log of a client at its start, and whether its first byte begins a TLS handshake.
fn start(flags: &[&str], host: &str) -> (String, bool) {
    use std::io::{BufRead as _, BufReader, Read as _};
    let dir = tempfile::tempdir().unwrap();
    // Not a port that the system assigns: it may have belonged to a server of another test, whose client still
    // connects to it.
    let port = free_port();
    let listener = std::net::TcpListener::bind(("127.0.0.1", port)).unwrap();
    let mut child = Program(
        client(dir.path())
            .args(["--server", &format!("{host}:{port}"), "--user", "u"])
            .args(flags)
            .env("NETROXY_PASSWORD", "p")
            .stderr(Stdio::piped())
            .spawn()
            .unwrap(),
    );
    let mut byte = [0];
    let (mut connection, _) = listener.accept().unwrap();
    connection.read_exact(&mut byte).unwrap();
    // The client logs the failure after all warnings of its start.
    drop(connection);
    let mut log = String::new();
    let mut lines = BufReader::new(child.0.stderr.take().unwrap());
    while !log.contains("retry_in=") {
        assert_ne!(lines.read_line(&mut log).unwrap(), 0, "{log}");
    }
    // A TLS handshake begins with 22, a login with ATH.
    assert!([22, b'A'].contains(&byte[0]), "{byte:?}");
    (log, byte[0] == 22)
}

#[test]
fn to_loopback_tls_is_off_unless_a_flag_asks_for_it() {
    let pin = "ab".repeat(32);
    for (flags, tls) in [
        (&[][..], false),
        (&["--plain"], false),
        (&["--tls"], true),
        (&["--server-name", "x.example"], true),
        (&["--fingerprint", &pin], true),
    ] {
        let (log, is_tls) = start(flags, "127.0.0.1");
        assert_eq!(is_tls, tls, "{flags:?}");
        assert!(!log.contains("clear text"), "{log}");
        assert!(!log.contains("anyone between"), "{log}");
    }
    let (log, is_tls) = start(&["--insecure"], "127.0.0.1");
    assert!(is_tls);
    assert!(
        log.contains("--insecure: anyone between client and server"),
        "{log}"
    );
}

/// The unspecified address leads to this machine, but is not a loopback address.
#[cfg(target_os = "linux")]
#[test]
fn to_another_machine_tls_is_on_and_plain_tcp_gives_a_warning() {
    let (log, is_tls) = start(&[], "0.0.0.0");
    assert!(is_tls, "{log}");
    assert!(!log.contains("clear text"), "{log}");
    let (log, is_tls) = start(&["--plain"], "0.0.0.0");
    assert!(!is_tls, "{log}");
    assert!(
        log.contains("command line: --plain: the password crosses the network in clear text"),
        "{log}"
    );
}
