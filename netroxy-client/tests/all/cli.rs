//! `netroxy-client` as a program: flags, files, exit codes, messages.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

const BASE: &str = r#""ip": "127.0.0.1", "port": 10000, "username": "u", "password": "p""#;

fn run(dir: &Path, args: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_netroxy-client"));
    let output = command.current_dir(dir).args(args).output().unwrap();
    (
        output.status.code(),
        String::from_utf8(output.stderr).unwrap(),
    )
}

/// Runs the program with a configuration, which it has to refuse.
#[track_caller]
fn refused(config: &str, message: &str) {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("client_config.json"), config).unwrap();
    let (code, text) = run(dir.path(), &[]);
    let error = text
        .lines()
        .find(|line| line.starts_with("error: "))
        .unwrap_or_default();
    assert_eq!(error, format!("error: client_config.json:{message}"));
    assert_eq!(code, Some(2), "{text}");
    assert!(!text.contains("panicked"), "{text}");
}

fn with(more: &str) -> String {
    format!("{{{BASE},\n{more}}}")
}

#[test]
fn a_wrong_configuration_is_reported_with_its_place() {
    refused("{", "1:1: the file ends within an object");
    refused("null", "1:1: expected an object: { ... }");
    refused(r#"{"ip": "127.0.0.1"}"#, "1:1: port: missing");
    refused(
        &with(r#""connections": [{"ip": "127.0.0.1", "port": 80, "remotePort": 99999}]"#),
        "2:63: connections[0].remotePort: expected a port number from 1 to 65535, but it is 99999",
    );
    refused(
        &with(r#""connections": [{"ip": "a\nb", "port": 80, "remotePort": 1}]"#),
        "2:24: connections[0].ip: must not contain a line feed",
    );
    refused(
        &with(r#""tls": {"enabled": true, "caFile": "none.pem"}"#),
        "2:36: tls.caFile: cannot read CA certificate none.pem: No such file or directory (os \
         error 2)",
    );
    refused(
        &with(r#""tls": {"enabled": true, "fingerprint": "abc"}"#),
        "2:41: tls.fingerprint: must be a SHA-256 fingerprint: 64 hex digits, with or without \
         colons",
    );
    refused(
        &with(r#""holdFirstBytesMs": -1"#),
        "2:21: holdFirstBytesMs: expected milliseconds from 0 to 10000, but it is -1",
    );
    refused(
        &with(r#""longestRetryWait": 0"#),
        "2:21: longestRetryWait: expected whole seconds from 1 to 3600, but it is 0",
    );
    refused(
        &with(r#""loginTimeout": 0"#),
        "2:17: loginTimeout: expected whole seconds from 1 to 3600, but it is 0",
    );
    let long = "x".repeat(4097);
    refused(
        &with(&format!(r#""name": "{long}""#)),
        "2:9: name: must not be longer than 4096 bytes",
    );
}

#[test]
fn check_config_reports_all_problems_and_starts_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("other.json");
    let text = r#""connections": [{"port": 0, "remotePort": 1}, {"port": 1}], "tls": {"enabled": 1, "caFile": "none.pem"}"#;
    fs::write(&path, with(text)).unwrap();
    let (code, text) = run(dir.path(), &["check-config", "other.json"]);
    assert_eq!(code, Some(2), "{text}");
    for told in [
        "error: other.json:2:26: connections[0].port: ",
        "error: other.json:2:47: connections[1].remotePort: missing\n",
        "error: other.json:2:80: tls.enabled: ",
        "error: other.json:2:93: tls.caFile: cannot read CA certificate none.pem: ",
    ] {
        assert!(text.contains(told), "{told}: {text}");
    }
    fs::write(&path, with(r#""tsl": {}"#)).unwrap();
    let (code, text) = run(dir.path(), &["--config", "other.json", "check-config"]);
    let warning = "warning: other.json:2:1: unknown key tsl: ignored; did you mean \"tls\"?\n";
    assert_eq!((code, text.as_str()), (Some(0), warning));
    let (code, _) = run(dir.path(), &["check-config", "other.json", "--strict"]);
    assert_eq!(code, Some(2));
}

#[test]
fn a_missing_file_and_wrong_flags_are_reported_in_one_message() {
    let dir = tempfile::tempdir().unwrap();
    let (code, text) = run(dir.path(), &[]);
    assert_eq!(code, Some(2));
    assert!(text.starts_with("error: cannot read the configuration file client_config.json\n"));
    for args in [&["--nonsense"][..], &["--config"], &["surplus"]] {
        let (code, text) = run(dir.path(), args);
        assert_eq!(code, Some(2), "{args:?}");
        assert!(text.starts_with("error: "), "{text}");
    }
}

/// The first lines of the log of a client whose server does not listen.
fn log(format: &[&str]) -> Vec<String> {
    let dir = tempfile::tempdir().unwrap();
    // No program listens on port 1.
    let config = with(r#""colour": 1"#).replace("10000", "1");
    fs::write(dir.path().join("client_config.json"), config).unwrap();
    let mut client = Command::new(env!("CARGO_BIN_EXE_netroxy-client"))
        .current_dir(dir.path())
        .args(format)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(client.stderr.take().unwrap()).lines();
    let lines = lines.take(3).map(Result::unwrap).collect();
    client.kill().unwrap();
    client.wait().unwrap();
    lines
}

#[test]
fn a_log_is_text_or_json_objects() {
    let lines = log(&["--log-format", "json"]);
    let told: Vec<_> = lines
        .iter()
        .map(|line| {
            let object: serde_json::Value = serde_json::from_str(line).unwrap();
            assert!(object["timestamp"].is_string(), "{line}");
            assert_eq!(object["level"], "WARN", "{line}");
            object["message"].as_str().unwrap().to_owned()
        })
        .collect();
    let colour = "client_config.json:2:1: unknown key colour: ignored";
    let nothing = "no connections are configured: the client will only log in";
    assert_eq!(told, [colour, nothing, "cannot connect"]);

    let lines = log(&[]);
    assert!(lines[0].ends_with(&format!(" WARN {colour}")), "{lines:?}");
}

#[test]
fn the_version_is_that_of_the_crate_and_its_commit_if_it_is_known() {
    let output = Command::new(env!("CARGO_BIN_EXE_netroxy-client"))
        .arg("--version")
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let version = format!("netroxy-client {}", env!("CARGO_PKG_VERSION"));
    let rest = text.trim_end().strip_prefix(&version).unwrap();
    let commit = rest
        .strip_prefix(" (commit ")
        .and_then(|rest| rest.strip_suffix(')'));
    let is_commit = |text: &str| text.len() == 12 && text.bytes().all(|b| b.is_ascii_hexdigit());
    assert!(rest.is_empty() || commit.is_some_and(is_commit), "{text}");
}
