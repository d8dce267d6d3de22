//! Clients that mean no good, against the real program.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "an unwrap that fails is a failed test")]

use std::{
    fs,
    io::{Read, Write},
    net::{Shutdown, TcpStream},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use netroxy_net::program::raise_descriptor_limit;
use tempfile::TempDir;

#[path = "../../netroxy-net/tests/support/free_port.rs"]
mod free_port;
use free_port::free_port;

struct Server {
    child: Child,
    port: u16,
    _dir: TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    fn start() -> Self {
        Self::start_with("")
    }

    /// Starts a server with `more` members in its configuration.
    fn start_with(more: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let port = free_port();
        let config = format!(
            r#"{{"ip": "127.0.0.1", "port": {port}, "username": "u", "password": "p", "timeout": 30{more}}}"#
        );
        fs::write(dir.path().join("server_config.json"), config).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_netroxy-server"))
            .current_dir(dir.path())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut server = Self {
            child,
            port,
            _dir: dir,
        };
        let limit = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(
                server.child.try_wait().unwrap().is_none(),
                "the server has ended"
            );
            assert!(Instant::now() < limit, "the server does not listen");
            std::thread::yield_now();
        }
        server
    }

    fn connect(&self) -> TcpStream {
        TcpStream::connect(("127.0.0.1", self.port)).unwrap()
    }

    /// What the server answers to `bytes`, up to its close.
    fn answer(&self, bytes: &[u8]) -> Vec<u8> {
        let mut stream = self.connect();
        stream.write_all(bytes).unwrap();
        let mut answer = Vec::new();
        // A reset is a close, too.
        let _ = stream.read_to_end(&mut answer);
        answer
    }

    fn assert_well(&self) {
        let mut stream = self.connect();
        stream.write_all(b"ATH\nn\nu\np\nSRQ\n").unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(
            answer.starts_with("ARS\ntrue\n30\n") && answer.ends_with("\nSRS\n"),
            "{answer}"
        );
    }

    /// The most memory that the server has had so far, in KiB.
    fn peak_memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status
            .lines()
            .find(|line| line.starts_with("VmHWM:"))
            .unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }
}

#[test]
fn a_thousand_endless_lines_do_not_fill_the_memory() {
    raise_descriptor_limit();
    // None of them is to be refused.
    let server = Server::start_with(r#", "limits": {"freshConnections": 0}"#);
    // Within the limit, so that all are held at the same time.
    let mut attackers: Vec<_> = (0..1000).map(|_| server.connect()).collect();
    for stream in &mut attackers {
        stream.write_all(&[b'A'; 4096]).unwrap();
    }
    server.assert_well();
    // Beyond it: the server closes each one.
    for mut stream in attackers {
        let endless = [b'A'; 64 * 1024];
        let mut sent = 0;
        while stream.write_all(&endless).is_ok() {
            sent += endless.len();
            assert!(sent < 64 * 1024 * 1024, "the server takes an endless line");
        }
    }
    server.assert_well();
    let peak = server.peak_memory();
    assert!(peak < 64 * 1024, "{peak} KiB");
}

#[test]
fn hostile_input_closes_its_own_connection_alone() {
    let server = Server::start();
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
        assert_eq!(server.answer(bytes), b"", "{}", bytes.escape_ascii());
    }
    assert_eq!(server.answer(b"ATH\nn\nu\nwrong\n"), b"ARS\nfalse\n");
    bystander.write_all(b"SRQ\n").unwrap();
    bystander.shutdown(Shutdown::Write).unwrap();
    let mut seen = String::new();
    bystander.read_to_string(&mut seen).unwrap();
    assert!(seen.ends_with("\nSRS\n"), "{seen}");
}

/// A client that asks and asks and never reads the answers.
#[test]
fn a_client_that_does_not_read_cannot_keep_the_server_from_stopping() {
    let mut server = Server::start();
    let mut deaf = server.connect();
    deaf.write_all(b"ATH\ndeaf\nu\np\n").unwrap();
    deaf.set_write_timeout(Some(Duration::from_millis(500)))
        .unwrap();
    let questions = b"SRQ\n".repeat(16 * 1024);
    // Until the server does not take any more, because it cannot write.
    while deaf.write_all(&questions).is_ok() {}
    // The shell has its own kill; the program is not installed everywhere.
    let kill = format!("kill -TERM {}", server.child.id());
    assert!(
        Command::new("sh")
            .args(["-c", &kill])
            .status()
            .unwrap()
            .success()
    );
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
