//! Administration of the program: its local socket, SIGHUP and `hash-password`.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Output, Stdio};
use std::time::Duration;

use netroxy_server::Status;

use crate::support::free_port;

const PROGRAM: &str = env!("CARGO_BIN_EXE_netroxy-server");

struct Server {
    child: Child,
    log: BufReader<ChildStderr>,
}

impl Server {
    fn start(folder: &Path) -> Self {
        let mut child = Command::new(PROGRAM)
            .current_dir(folder)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = BufReader::new(child.stderr.take().unwrap());
        let mut server = Self { child, log };
        server.wait_for("listening for clients");
        server
    }

    /// Reads the log up to the line that holds `text`.
    fn wait_for(&mut self, text: &str) {
        let mut seen = String::new();
        while !seen.contains(text) {
            let before = seen.len();
            self.log.read_line(&mut seen).unwrap();
            assert!(seen.len() > before, "no {text:?} in {seen}");
        }
    }

    fn signal(&self, name: &str) {
        let kill = format!("kill -{name} {}", self.child.id());
        let status = Command::new("sh").args(["-c", &kill]).status();
        assert!(status.unwrap().success());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn configure(folder: &Path, port: u16, password: &str) {
    let config = format!(
        r#"{{"ip": "127.0.0.1", "port": {port}, "username": "u", {password},
            "timeout": 30, "controlSocket": "server.sock"}}"#
    );
    fs::write(folder.join("server_config.json"), config).unwrap();
}

fn log_in(port: u16, password: &str) -> String {
    let mut control = TcpStream::connect(("127.0.0.1", port)).unwrap();
    control
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    write!(control, "ATH\nn\nu\n{password}\n").unwrap();
    let mut answer = [0; 9];
    control.read_exact(&mut answer).unwrap();
    String::from_utf8(answer.to_vec()).unwrap()
}

fn run(folder: &Path, args: &[&str], stdin: &[u8]) -> Output {
    let mut child = Command::new(PROGRAM)
        .current_dir(folder)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // The program may end without reading its input.
    let _ = child.stdin.take().unwrap().write_all(stdin);
    child.wait_with_output().unwrap()
}

#[test]
fn status_shows_the_state_of_a_running_server() {
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    configure(folder.path(), port, r#""password": "p""#);
    let asked = run(folder.path(), &["status"], b"");
    assert_eq!(asked.status.code(), Some(1), "no server runs yet");
    let mut server = Server::start(folder.path());
    let mut control = TcpStream::connect(("127.0.0.1", port)).unwrap();
    control.write_all(b"ATH\nla\x1bptop\nu\np\n").unwrap();
    server.wait_for("client logged in");

    let asked = run(folder.path(), &["status"], b"");
    let text = String::from_utf8(asked.stdout).unwrap();
    assert!(text.contains("clients: 1  ports: 0  users: 0"), "{text}");
    assert!(
        !text.contains('\x1b') && text.contains("ptop of u at 127.0.0.1:"),
        "{text}"
    );
    let asked = run(
        folder.path(),
        &["status", "--json", "--socket", "server.sock"],
        b"",
    );
    let status: Status = serde_json::from_slice(&asked.stdout).unwrap();
    assert_eq!((status.census.clients, status.clients.len()), (1, 1));

    server.signal("TERM");
    assert_eq!(server.child.wait().unwrap().code(), Some(0));
    assert!(!folder.path().join("server.sock").exists());
}

#[test]
fn sighup_reads_the_configuration_again_and_a_wrong_one_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    configure(folder.path(), port, r#""password": "p""#);
    let mut server = Server::start(folder.path());
    assert_eq!(log_in(port, "p"), "ARS\ntrue\n");

    let file = folder.path().join("server_config.json");
    fs::write(&file, r#"{"port": 70000, "timeout": "soon"}"#).unwrap();
    server.signal("HUP");
    server.wait_for("the old one stays");
    assert_eq!(log_in(port, "p"), "ARS\ntrue\n");

    // A hash that the program has made.
    let hashed = run(folder.path(), &["hash-password"], b"new secret\n");
    let hash = String::from_utf8(hashed.stdout).unwrap();
    configure(
        folder.path(),
        port + 1,
        &format!(r#""passwordHash": "{}""#, hash.trim()),
    );
    server.signal("HUP");
    server.wait_for("key=\"port\"");
    server.wait_for("configuration read again");
    assert_eq!(log_in(port, "new secret"), "ARS\ntrue\n");
    assert!(log_in(port, "p").starts_with("ARS\nfals"));
}

#[test]
fn an_invalid_password_is_not_hashed() {
    let folder = tempfile::tempdir().unwrap();
    let long = vec![b'x'; 5000];
    for stdin in [&b""[..], b"\xff\xfe\n", &long] {
        let output = run(folder.path(), &["hash-password"], stdin);
        assert_eq!(output.status.code(), Some(2));
        assert!(
            output.stderr.starts_with(b"error: the password")
                || output.stderr.starts_with(b"error: no password")
        );
        assert_eq!(output.stdout, b"");
    }
}
