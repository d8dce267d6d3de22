//! Malicious clients against the real program.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::process::Stdio;
use std::time::{Duration, Instant};

use netroxy_net::program::raise_descriptor_limit;

use crate::support::program::Program;

/// Starts a server with `more` members in its configuration.
fn start(more: &str) -> Program {
    Program::start(&format!(r#""timeout": 30{more}"#), &[], Stdio::null())
}

/// The server's answer to `bytes`, up to the close of the connection.
fn answer(server: &Program, bytes: &[u8]) -> Vec<u8> {
    let mut stream = server.connect();
    stream.write_all(bytes).unwrap();
    let mut answer = Vec::new();
    // A reset is a close, too. A server that leaves the connection open fails the test.
    if let Err(error) = stream.read_to_end(&mut answer) {
        assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}");
    }
    answer
}

fn assert_well(server: &Program) {
    let mut stream = server.connect();
    stream.write_all(b"ATH\nn\nu\np\nSRQ\n").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(
        answer.starts_with("ARS\ntrue\n30\n") && answer.ends_with("\nSRS\n"),
        "{answer}"
    );
}

/// The peak of the server's memory, in KiB.
fn peak_memory(server: &Program) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", server.child.id())).unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmHWM:"))
        .unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn a_thousand_endless_lines_do_not_fill_the_memory() {
    raise_descriptor_limit();
    // The server refuses none of the connections.
    let server = start(r#", "limits": {"freshConnections": 0}"#);
    // The lines are within the limit, so all connections stay open.
    let mut attackers: Vec<_> = (0..1000).map(|_| server.connect()).collect();
    for stream in &mut attackers {
        stream.write_all(&[b'A'; 4096]).unwrap();
    }
    assert_well(&server);
    // Beyond the limit the server closes each connection.
    for mut stream in attackers {
        let endless = [b'A'; 64 * 1024];
        let mut sent = 0;
        while stream.write_all(&endless).is_ok() {
            sent += endless.len();
            assert!(
                sent < 64 * 1024 * 1024,
                "the server accepts an endless line"
            );
        }
    }
    assert_well(&server);
    let peak = peak_memory(&server);
    assert!(peak < 64 * 1024, "{peak} KiB");
}

#[test]
fn hostile_input_closes_only_its_own_connection() {
    let server = start("");
    let mut bystander = server.connect();
    bystander.write_all(b"ATH\nbystander\nu\np\n").unwrap();
    for bytes in [
        &b"\n"[..],
        b"ATH\r\nn\r\nu\r\np\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\n",
        b"SRQ\n",
        b"MAP\n1\nx\ntrue\n",
        b"MAP\nnonsense\n",
        b"TRS\nnonsense\n80\n",
        b"TRS\n\n\n",
        b"ARS\ntrue\n1\nt\n",
    ] {
        assert_eq!(answer(&server, bytes), b"", "{}", bytes.escape_ascii());
    }
    assert_eq!(answer(&server, b"ATH\nn\nu\nwrong\n"), b"ARS\nfalse\n");
    bystander.write_all(b"SRQ\n").unwrap();
    bystander.shutdown(Shutdown::Write).unwrap();
    let mut seen = String::new();
    bystander.read_to_string(&mut seen).unwrap();
    assert!(seen.ends_with("\nSRS\n"), "{seen}");
}

/// The client sends messages without end and never reads the answers.
#[test]
fn a_client_that_does_not_read_cannot_keep_the_server_from_stopping() {
    let mut server = start("");
    let mut client = server.connect();
    client.write_all(b"ATH\nclient\nu\np\n").unwrap();
    client
        .set_write_timeout(Some(Duration::from_millis(500)))
        .unwrap();
    let messages = b"SRQ\n".repeat(16 * 1024);
    // The server stops reading when it cannot write.
    while client.write_all(&messages).is_ok() {}
    server.signal("TERM");
    let limit = Instant::now() + Duration::from_secs(20);
    let status = loop {
        if let Some(status) = server.child.try_wait().unwrap() {
            break status;
        }
        assert!(Instant::now() < limit, "the server does not stop");
        std::thread::yield_now();
    };
    assert_eq!(status.code(), Some(0));
}
