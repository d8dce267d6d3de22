//! A server that refuses the login: the suite tries as seldom as possible, and reports the answer.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A server that answers each ATH by these bytes and closes, and the number of logins.
fn server(answer: &'static [u8]) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, count) = (
        listener.local_addr().unwrap(),
        Arc::new(AtomicUsize::new(0)),
    );
    let counted = Arc::clone(&count);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let lines = BufReader::new(&stream).lines().take(4);
            if lines.flatten().count() == 4 {
                counted.fetch_add(1, Ordering::Relaxed);
                stream.write_all(answer).unwrap();
            }
        }
    });
    (address, count)
}

fn run(arguments: &[&str]) -> (Option<i32>, String) {
    let Output { status, stderr, .. } = Command::new(env!("CARGO_BIN_EXE_netroxy-conformance"))
        .args(arguments)
        .output()
        .unwrap();
    (status.code(), String::from_utf8(stderr).unwrap())
}

#[test]
fn a_refused_login_is_not_repeated() {
    let (address, count) = server(b"ARS\nfalse\n");
    let address = address.to_string();
    let login = ["--addr", &address, "--user", "alice", "--pass", "wrong"];
    let folder = tempfile::tempdir().unwrap();
    let recording = folder.path().join("a.recording").display().to_string();
    let steps = [
        "0.000001  ctl   connect server",
        "0.000002  ctl   > ATH a b c",
        "0.000003  ctl   < ARS false",
    ];
    let steps: String = steps.map(|step| format!("         {step}\n")).concat();
    let text = format!(
        "recording 1\ntitle    t\nrole     server\nover     plain\n\
         began    2026-01-01T00:00:00.000000Z\n\n{steps}end      3 steps\n"
    );
    std::fs::write(&recording, text).unwrap();
    for command in [&["run", "server"][..], &["replay", &recording]] {
        count.store(0, Ordering::Relaxed);
        let (code, told) = run(&[command, &login].concat());
        assert_eq!(code, Some(3), "{told}");
        let why = format!(
            "error: {address} never became ready: the server refused the login of `alice` on plain port {address}: \
             wrong user name or password\nhint: check --user and --pass\n"
        );
        assert!(told.ends_with(&why), "{told}");
        assert_eq!(count.load(Ordering::Relaxed), 1);
    }
}

#[test]
fn a_login_to_a_server_that_closes_is_tried_three_times() {
    let (address, count) = server(b"");
    let address = address.to_string();
    let login = ["--addr", &address, "--user", "alice", "--pass", "wrong"];
    let (code, told) = run(&[&["run", "server"][..], &login].concat());
    assert_eq!(code, Some(3), "{told}");
    let why = "the server has closed 3 connections instead of answering the login of `alice`";
    assert!(told.contains(why), "{told}");
    assert_eq!(count.load(Ordering::Relaxed), 3);
}

#[test]
fn every_command_reports_a_manifest_with_a_wrong_password() {
    let folder = tempfile::tempdir().unwrap();
    let sut = folder.path().join("s.json").display().to_string();
    let good = include_str!("../../../suts/reference-server.json");
    let strict = good
        .replace("{{pass}}", "another")
        .replace("\"reference-server\"", "\"strict\"");
    assert_eq!(strict.matches("another").count(), 1);
    std::fs::write(&sut, strict).unwrap();
    let out = folder.path().join("b.json").display().to_string();
    let commands: [&[&str]; 7] = [
        &["run", "server", "--sut", &sut],
        &["sut", "check", "--sut", &sut],
        &["fuzz", "server", "--runs", "1", "--sut", &sut],
        &["diff", "--sut", &sut, "--sut", "reference-server"],
        &["flakes", "server", "--runs", "2", "--sut", &sut],
        &["baseline", "write", "--out", &out, "--sut", &sut],
        &["matrix", "--sut", &sut],
    ];
    for command in commands {
        let (code, told) = run(command);
        assert_eq!(code, Some(3), "{command:?}: {told}");
        let why = "strict never became ready: the server refused the login of `conf-user` on ";
        assert!(told.contains(why), "{command:?}: {told}");
        let hint = "hint: the files of the manifest must allow the login of {{user}} with {{pass}}";
        assert!(told.contains(hint), "{command:?}: {told}");
    }
    assert!(!std::path::Path::new(&out).exists());
}
