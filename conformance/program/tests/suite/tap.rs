//! `tap` between clients and servers that the tests play.

use std::fs::Permissions;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
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
        Self::start_in(":", options)
    }

    /// Starts it in a shell, after the command `before`.
    fn start_in(before: &str, options: &[&str]) -> Self {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let to = server.local_addr().unwrap().to_string();
        let script = format!("{before}; exec \"$@\"");
        let mut child = Command::new("sh")
            .args(["-c", &script, "sh"])
            .arg(env!("CARGO_BIN_EXE_netroxy-conformance"))
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

    /// A client, and the connection that the server accepts for it.
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

    /// Ends it. Returns its output and exit code.
    fn stop(self) -> (String, i32) {
        self.end(Signal::TERM)
    }

    /// The same, with another signal.
    fn end(mut self, signal: Signal) -> (String, i32) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
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
fn the_tap_relays_judges_and_records() {
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
fn a_connection_without_a_violation_counts_as_passed() {
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
    // A close with unread bytes is a reset.
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
fn many_bytes_are_relayed_completely() {
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
fn tls_is_relayed_and_not_judged() {
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
fn a_server_that_refuses_connections_is_reported() {
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

/// A server that accepts every login and answers each SRQ.
fn serve(tap: &Tap) -> std::thread::JoinHandle<()> {
    let server = tap.server.try_clone().unwrap();
    std::thread::spawn(move || {
        let (mut stream, _) = server.accept().unwrap();
        let mut bytes = vec![0; 1 << 16];
        let mut logged_in = false;
        // Ends when the tap closes the connection.
        while let Ok(count @ 1..) = stream.read(&mut bytes) {
            if !logged_in {
                logged_in = true;
                stream.write_all(b"ARS\ntrue\n30\ntoken\n").unwrap();
            }
            let asked = bytes[..count].iter().filter(|byte| **byte == b'Q').count();
            if stream.write_all(&b"SRS\n".repeat(asked)).is_err() {
                return;
            }
        }
    })
}

/// A client that sends SRQ as fast as it can, and reads the answers if `reads`.
fn flood(tap: &Tap, reads: bool) -> Vec<std::thread::JoinHandle<()>> {
    let mut client = TcpStream::connect(tap.address).unwrap();
    client.write_all(b"ATH\nhome\nalice\nsecret\n").unwrap();
    client.read_exact(&mut [0; 18]).unwrap();
    let mut reader = client.try_clone().unwrap();
    let sends = std::thread::spawn(move || {
        let many = b"SRQ\n".repeat(16 << 10);
        while client.write_all(&many).is_ok() {}
    });
    let reads = reads.then(|| {
        std::thread::spawn(move || while matches!(reader.read(&mut [0; 1 << 16]), Ok(1..)) {})
    });
    reads.into_iter().chain([sends]).collect()
}

impl Tap {
    /// Waits for its end. Returns its output and exit code.
    fn wait(mut self) -> (String, i32) {
        let mut text = String::new();
        self.said.read_to_string(&mut text).unwrap();
        (text, self.child.wait().unwrap().code().unwrap())
    }
}

#[test]
fn a_flood_is_not_a_violation_and_the_tap_ends_in_time() {
    let folder = tempfile::tempdir().unwrap();
    let recording = folder.path().join("a.recording").display().to_string();
    let whole: [&[&str]; 3] = [
        &["--for", "1s"],
        &["--for", "1s", "-v", "--record", &recording],
        // Ended by a signal.
        &[],
    ];
    for (options, reads) in whole.into_iter().zip([true, false, true]) {
        let tap = Tap::start(options);
        let begun = std::time::Instant::now();
        let served = serve(&tap);
        let flood = flood(&tap, reads);
        let (said, code) = match options.is_empty() {
            true => tap.stop(),
            false => tap.wait(),
        };
        let took = begun.elapsed();
        assert!(took < Duration::from_secs(15), "{took:?}");
        assert!(
            said.len() < 10_000,
            "{} bytes: {}",
            said.len(),
            &said[..1_000]
        );
        let last =
            " 0 violations (server 0, client 0)\nconformance: 1 passed, 0 failed, 0 skipped\n";
        assert!(said.ends_with(last), "{said}");
        assert_eq!(code, 0, "{said}");
        flood.into_iter().for_each(|thread| thread.join().unwrap());
        served.join().unwrap();
    }
    let again = Command::new(env!("CARGO_BIN_EXE_netroxy-conformance"))
        .args(["replay", &recording])
        .output()
        .unwrap();
    let again = String::from_utf8(again.stdout).unwrap();
    assert!(
        again.contains(" 0 violations (server 0, client 0)"),
        "{again}"
    );
    assert!(!again.contains("cut"), "{again}");
}

#[test]
fn a_repeated_violation_is_shown_once_and_counted() {
    let tap = Tap::start(&[]);
    let (mut client, mut server) = tap.connect();
    say(&mut client, &mut server, b"ATH\nhome\nalice\nsecret\n");
    say(&mut server, &mut client, b"ARS\ntrue\n30\ntoken\n");
    say(&mut server, &mut client, &b"SRS\n".repeat(50_000));
    let (said, code) = tap.stop();
    assert_eq!(code, 1, "{said}");
    assert_eq!(said.matches("VIOLATION").count(), 1, "{said}");
    assert!(
        said.contains("tap: 49999 more of server keep.srs, the last at "),
        "{said}"
    );
    assert!(
        said.ends_with(
            " 50000 violations (server 50000, client 0)\nconformance: 0 passed, 1 failed, 0 skipped\n"
        ),
        "{said}"
    );
}

#[test]
fn every_signal_that_ends_a_tap_finishes_its_files() {
    for signal in [
        Signal::HUP,
        Signal::INT,
        Signal::QUIT,
        Signal::TERM,
        Signal::ALARM,
        Signal::USR1,
        Signal::USR2,
        Signal::XCPU,
        Signal::VTALARM,
        Signal::PROF,
    ] {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| folder.path().join(name).display().to_string();
        let (recording, capture) = (file("a.recording"), file("a.pcapng"));
        for older in [&recording, &capture] {
            std::fs::write(older, "older").unwrap();
            std::fs::set_permissions(older, Permissions::from_mode(0o644)).unwrap();
        }
        let tap = Tap::start(&["--record", &recording, "--pcap", &capture]);
        let (mut client, mut server) = tap.connect();
        say(&mut client, &mut server, b"ATH\nhome\nalice\nsecret\n");
        let (said, code) = tap.end(signal);
        assert_eq!(code, 0, "{signal:?}: {said}");
        let text = std::fs::read_to_string(&recording).unwrap();
        assert!(text.ends_with("end      2 steps\n"), "{signal:?}: {text}");
        let bytes = std::fs::read(&capture).unwrap();
        assert_eq!(blocks(&bytes), 7, "{signal:?}");
        for file in [&recording, &capture] {
            let mode = std::fs::metadata(file).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{signal:?}");
        }
    }
}

/// The number of blocks of a capture; asserts that they are complete.
fn blocks(mut bytes: &[u8]) -> usize {
    let mut count = 0;
    while !bytes.is_empty() {
        let length = u32::from_le_bytes(bytes[4..8].try_into().unwrap()) as usize;
        assert_eq!(bytes[length - 4..length], bytes[4..8]);
        bytes = &bytes[length..];
        count += 1;
    }
    count
}

#[test]
fn a_full_disk_ends_the_files_and_not_the_connections() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name).display().to_string();
    let (recording, capture) = (file("a.recording"), file("a.pcapng"));
    // No file may be longer than 8 KiB.
    let tap = Tap::start_in(
        "ulimit -f 16",
        &["--record", &recording, "--pcap", &capture],
    );
    let (mut client, mut server) = tap.connect();
    say(&mut client, &mut server, b"ATH\nhome\nalice\nsecret\n");
    say(&mut server, &mut client, b"ARS\ntrue\n30\ntoken\n");
    for _ in 0..1_000 {
        say(&mut client, &mut server, b"SRQ\n");
        say(&mut server, &mut client, b"SRS\n");
    }
    let (said, code) = tap.stop();
    assert_eq!(code, 5, "{said}");
    let last = "tap: 1 connection, 2002 messages, 0 violations (server 0, client 0)\n\
                conformance: 1 passed, 0 failed, 0 skipped\n";
    assert!(said.ends_with(last), "{said}");
    for name in [&recording, &capture] {
        let stops = format!("{name} stops here: File too large");
        assert_eq!(said.matches(&stops).count(), 1, "{said}");
        let missing = format!("tap: {name} is incomplete: File too large");
        assert_eq!(said.matches(&missing).count(), 1, "{said}");
        assert!(std::fs::metadata(name).unwrap().len() <= 8 << 10);
    }
    assert!(blocks(&std::fs::read(&capture).unwrap()) > 20);
    let text = std::fs::read_to_string(&recording).unwrap();
    let end = text.lines().last().unwrap();
    let numbers: Vec<usize> = end
        .split(' ')
        .filter_map(|word| word.parse().ok())
        .collect();
    assert!(end.starts_with("cut      "), "{end}");
    let steps = text.lines().filter(|line| line.starts_with("  ")).count();
    // All steps: the connection, two messages of the login, and 2000.
    assert_eq!(
        (numbers[0], numbers[0] + numbers[1]),
        (steps, 2_003),
        "{end}"
    );
    // A device instead of a file.
    let tap = Tap::start(&["--record", "/dev/full"]);
    let (mut client, mut server) = tap.connect();
    say(&mut client, &mut server, b"ATH\nhome\nalice\nsecret\n");
    let (said, code) = tap.stop();
    assert!(
        said.contains("/dev/full is incomplete: No space left on device"),
        "{said}"
    );
    assert_eq!(code, 5, "{said}");
}

#[test]
fn a_reader_that_does_not_read_holds_up_no_connection() {
    let tap = Tap::start(&["-v"]);
    let (mut client, mut server) = tap.connect();
    say(&mut client, &mut server, b"ATH\nhome\nalice\nsecret\n");
    say(&mut server, &mut client, b"ARS\ntrue\n30\ntoken\n");
    // More lines than a pipe holds, all different.
    for port in 1..=5_000 {
        let map = format!("MAP\n{port}\nnas:80\ntrue\n");
        say(&mut client, &mut server, map.as_bytes());
    }
    kill_process(Pid::from_child(&tap.child), Signal::TERM).unwrap();
    let Tap { mut child, .. } = tap;
    assert_eq!(child.wait().unwrap().code(), Some(5));
}
