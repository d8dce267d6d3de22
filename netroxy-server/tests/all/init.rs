//! `netroxy-server init`: it writes files that the server accepts and other users cannot read.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

#[path = "../../../netroxy-net/tests/support/files.rs"]
mod files;
use files::files;

fn run(folder: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_netroxy-server"));
    command.current_dir(folder).args(args).output().unwrap()
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}

const NAMES: [&str; 4] = [
    "ca.pem",
    "priv.key",
    "server_config.json",
    "server_config.txt",
];

#[test]
fn the_files_are_valid_and_do_not_hold_the_password() {
    let dir = tempfile::tempdir().unwrap();
    let made = run(
        dir.path(),
        &["init", "--dir", "my files/new", "--host", "example.org"],
    );
    assert!(made.status.success(), "{}", text(made.stderr));
    let told = text(made.stdout);
    let lines: Vec<_> = told
        .lines()
        .filter_map(|line| line.strip_prefix("    "))
        .collect();
    let [server, client, password, status] = lines[..] else {
        panic!("three commands and a password: {told}");
    };
    assert_eq!(
        status,
        "netroxy-server status --config 'my files/new/server_config.json'"
    );
    assert_eq!(
        server,
        "netroxy-server --config 'my files/new/server_config.json'"
    );
    let start = "netroxy-client --server example.org:10000 --user client --fingerprint ";
    assert!(client.starts_with(start), "{client}");
    assert!(client.ends_with(" --map 10003=127.0.0.1:3389"), "{client}");
    assert!(!told.contains("localhost"), "{told}");

    let folder = dir.path().join("my files/new");
    let files = files(&folder);
    assert_eq!(files.keys().collect::<Vec<_>>(), NAMES);
    for (name, bytes) in files {
        assert!(!text(bytes).contains(password), "{name}");
    }
    // Other users cannot read a folder that init has created.
    #[cfg(unix)]
    for (name, mode) in [
        ("", 0o700),
        ("priv.key", 0o600),
        ("server_config.json", 0o600),
    ] {
        use std::os::unix::fs::PermissionsExt;
        let found = fs::metadata(folder.join(name)).unwrap().permissions();
        assert_eq!(found.mode() & 0o777, mode, "{name}");
    }
    let checked = run(&folder, &["check-config", "--strict"]);
    assert!(checked.status.success(), "{}", text(checked.stderr));
}

#[test]
fn a_second_run_fails_and_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    assert!(run(dir.path(), &["init"]).status.success());
    let before = files(dir.path());
    // Each file of the first run alone makes a second run fail.
    for name in NAMES {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(name), &before[name]).unwrap();
        let again = run(dir.path(), &["init"]);
        assert_eq!(again.status.code(), Some(2));
        assert_eq!(
            text(again.stderr),
            format!(
                "error: ./{name} exists\nhint: it is not replaced; --dir DIR writes elsewhere\n"
            )
        );
        assert_eq!(text(again.stdout), "");
        assert_eq!(files(dir.path()).len(), 1);
    }
    assert_eq!(run(dir.path(), &["init"]).status.code(), Some(2));
    assert_eq!(files(dir.path()), before);
}

#[test]
fn the_shown_client_command_names_the_server() {
    for (host, port, told) in [
        ("[::1]", "443", "--server '[::1]:443' "),
        ("2001:db8::1", "443", "--server '[2001:db8::1]:443' "),
        ("192.0.2.1", "1", "--server 192.0.2.1:1 "),
        ("localhost", "65535", "--server localhost:65535 "),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let made = run(dir.path(), &["init", "--host", host, "--port", port]);
        let out = text(made.stdout);
        assert!(out.contains(told), "{out}");
        let is_local = out.contains("localhost means the same machine.");
        assert_eq!(is_local, host == "localhost", "{out}");
    }
}

#[test]
fn wrong_flags_give_one_message_and_create_no_file() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("file"), "").unwrap();
    for (args, error) in [
        (&["--port", "0"][..], "invalid value '0' for '--port"),
        (&["--port", "65536"], "invalid value '65536' for '--port"),
        (&["--host", "a:1"], "--host \"a:1\" is neither a DNS name"),
        (&["--host", "*.a.org"], "--host takes the name of one"),
        (&["--force"], "unexpected argument '--force'"),
        (&["--dir", "file/new"], "cannot write file/new: "),
    ] {
        let output = run(dir.path(), &[&["init"], args].concat());
        let told = text(output.stderr);
        assert_eq!(output.status.code(), Some(2), "{told}");
        assert!(told.starts_with(&format!("error: {error}")), "{told}");
        assert_eq!(text(output.stdout), "");
    }
    assert_eq!(files(dir.path()).len(), 1);
}

/// Without the password the files are useless.
#[cfg(target_os = "linux")]
#[test]
fn a_password_that_cannot_be_shown_leaves_no_files() {
    let dir = tempfile::tempdir().unwrap();
    let full = fs::OpenOptions::new()
        .write(true)
        .open("/dev/full")
        .unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_netroxy-server"));
    command.current_dir(dir.path()).arg("init").stdout(full);
    assert_eq!(command.output().unwrap().status.code(), Some(1));
    assert_eq!(files(dir.path()).len(), 0);
}
