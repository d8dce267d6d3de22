//! `tap`, between clients and servers that the tests play themselves.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

struct Tap {
    child: Child,
    address: SocketAddr,
    server: TcpListener,
    said: BufReader<std::process::ChildStdout>,
}

impl Tap {
    fn start(options: &[&str]) -> Self {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let to = server.local_addr().unwrap().to_string();
        let mut child = Command::new(env!("CARGO_BIN_EXE_netroxy-conformance"))
            .args(["tap", "--listen", "127.0.0.1:0", "--to", &to])
            .args(options)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(child.stdout.take().unwrap());
        let mut first = String::new();
        said.read_line(&mut first).unwrap();
        let address = first.trim_start_matches("tap: ").split(' ').next().unwrap();
        let address = address.parse().unwrap();
        Self {
            child,
            address,
            server,
            said,
        }
    }

    /// A client and what the server has accepted for it.
    fn connect(&self) -> (TcpStream, TcpStream) {
        let client = TcpStream::connect(self.address).unwrap();
        let (server, _) = self.server.accept().unwrap();
        for stream in [&client, &server] {
            stream
                .set_read_timeout(Some(Duration::from_secs(20)))
                .unwrap();
        }
        (client, server)
    }

    /// What it has said, and its exit code.
    fn stop(mut self) -> (String, i32) {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
        let mut text = String::new();
        self.said.read_to_string(&mut text).unwrap();
        (text, self.child.wait().unwrap().code().unwrap())
    }
}

fn say(from: &mut TcpStream, to: &mut TcpStream, bytes: &[u8]) {
    from.write_all(bytes).unwrap();
    let mut seen = vec![0; bytes.len()];
    to.read_exact(&mut seen).unwrap();
    assert_eq!(seen, bytes);
}

#[test]
fn what_crosses_a_tap_is_carried_judged_and_written_down() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name).display().to_string();
    let (recording, capture) = (file("a.recording"), file("a.pcapng"));
    let tap = Tap::start(&["-v", "--record", &recording, "--pcap", &capture]);
    let (mut client, mut server) = tap.connect();
    say(&mut client, &mut server, b"ATH\nhome\nalice\nsecret\n");
    say(&mut server, &mut client, b"ARS\ntrue\n30\ntoken\n");
    say(&mut client, &mut server, b"MAP\n8080\nnas:80\ntrue\n");
    say(&mut server, &mut client, b"MRS\n8081\ntrue\n");
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(server.read(&mut [0]).unwrap(), 0);
    // One direction has ended, the other one has not.
    say(&mut server, &mut client, b"SRS\n");
    drop(server);
    assert_eq!(client.read(&mut [0]).unwrap(), 0);
    let (said, code) = tap.stop();
    assert_eq!(code, 1, "{said}");
    let violation =
        "VIOLATION server map.same-port (MUST): MRS 8081 true where MAP 8080 is to be answered\n";
    assert!(said.contains(violation), "{said}");
    assert!(said.contains("c1    > ATH home alice secret\n"), "{said}");
    let last: Vec<&str> = said.lines().rev().take(2).collect();
    assert_eq!(
        last,
        [
            "conformance: 0 passed, 1 failed, 0 skipped",
            "tap: 1 connection, 5 messages, 2 violations (server 2, client 0)"
        ]
    );
    let written = std::fs::read_to_string(&recording).unwrap();
    assert!(
        written.contains("  c1    < ARS true 30 token\n"),
        "{written}"
    );
    assert!(
        std::fs::read(&capture)
            .unwrap()
            .starts_with(&[0x0a, 0x0d, 0x0d, 0x0a])
    );
    let again = Command::new(env!("CARGO_BIN_EXE_netroxy-conformance"))
        .args(["replay", &recording])
        .output()
        .unwrap();
    let again = String::from_utf8(again.stdout).unwrap();
    assert!(again.starts_with("replay: tap of "), "{again}");
    let again = again.replace("replay: ", "tap: ");
    assert_eq!(again.lines().rev().take(2).collect::<Vec<_>>(), last);
}

#[test]
fn who_does_nothing_wrong_is_told_so() {
    let tap = Tap::start(&[]);
    let (mut client, mut server) = tap.connect();
    say(&mut client, &mut server, b"ATH\nhome\nalice\nsecret\n");
    say(&mut server, &mut client, b"ARS\ntrue\n30\ntoken\n");
    let (said, code) = tap.stop();
    let last = "tap: 1 connection, 2 messages, 0 violations (server 0, client 0)\n\
        conformance: 1 passed, 0 failed, 0 skipped\n";
    assert_eq!((said.as_str(), code), (last, 0));
}

#[test]
fn a_reset_stays_a_reset() {
    let tap = Tap::start(&["-v"]);
    let (mut client, mut server) = tap.connect();
    say(&mut client, &mut server, b"SRQ\n");
    // Closing with bytes unread resets.
    client.write_all(b"unread").unwrap();
    server.peek(&mut [0; 6]).unwrap();
    drop(server);
    assert_eq!(
        client.read(&mut [0]).unwrap_err().kind(),
        ErrorKind::ConnectionReset
    );
    let (said, _) = tap.stop();
    assert!(said.contains("c1    < closed"), "{said}");
}

#[test]
fn much_is_carried_whole_and_a_slow_reader_slows_the_sender() {
    let tap = Tap::start(&[]);
    let (mut client, mut server) = tap.connect();
    let sent: Vec<u8> = (0..8_u32 << 20)
        .map(|n| n.to_le_bytes()[n as usize % 3])
        .collect();
    let copy = sent.clone();
    let sender = std::thread::spawn(move || server.write_all(&copy));
    let mut seen = vec![0; sent.len()];
    client.read_exact(&mut seen).unwrap();
    assert!(seen == sent);
    sender.join().unwrap().unwrap();
    drop(client);
    let (said, _) = tap.stop();
    assert!(said.contains("tap: 1 connection, "), "{said}");
}

#[test]
fn tls_goes_through_unread() {
    let tap = Tap::start(&[]);
    let (mut client, mut server) = tap.connect();
    say(
        &mut client,
        &mut server,
        &[0x16, 0x03, 0x01, 0x00, 0x05, b'\n', 0xff],
    );
    say(&mut server, &mut client, &[0x15, 0x03, 0x03, b'\n']);
    let (said, code) = tap.stop();
    assert!(said.contains("c1: TLS, not judged"), "{said}");
    let last = "tap: 1 connection, 0 messages, 0 violations (server 0, client 0)";
    let lines: Vec<&str> = said.lines().rev().take(2).collect();
    let skipped = "conformance: 0 passed, 0 failed, 1 skipped";
    assert_eq!((lines, code), (vec![skipped, last], 0));
}

#[test]
fn a_server_that_is_not_there_is_told_about() {
    let Tap {
        child,
        address,
        server,
        said,
    } = Tap::start(&[]);
    let gone = TcpListener::bind("127.0.0.1:0").unwrap();
    drop(server);
    let mut client = TcpStream::connect(address).unwrap();
    client
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    assert!(client.read(&mut [0]).is_err());
    let tap = Tap {
        child,
        address,
        server: gone,
        said,
    };
    let (said, _) = tap.stop();
    assert!(
        said.contains("cannot be served: Connection refused"),
        "{said}"
    );
}
