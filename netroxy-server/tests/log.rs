//! The log of a server that strangers knock at.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "an unwrap that fails is a failed test")]

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

#[path = "../../netroxy-net/tests/support/free_port.rs"]
mod free_port;
use free_port::free_port;

const LOGINS: usize = 35;

/// It ends with the test, also with one that fails.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What a server logs while something happens at its port.
fn log(flags: &[&str], happens: impl FnOnce(u16)) -> String {
    let dir = tempfile::tempdir().unwrap();
    let port = free_port();
    // The address is to be refused by its passwords only, and not at its fourth connection.
    let config = format!(
        r#"{{"ip": "127.0.0.1", "port": {port}, "username": "u", "password": "p", "timeout": 30,
            "limits": {{"wrongPasswordSeconds": 0}}}}"#
    );
    fs::write(dir.path().join("server_config.json"), config).unwrap();
    let mut server = Server(
        Command::new(env!("CARGO_BIN_EXE_netroxy-server"))
            .current_dir(dir.path())
            .args(flags)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap(),
    );
    let until = Instant::now() + Duration::from_secs(20);
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(Instant::now() < until, "the server does not listen");
        sleep(Duration::from_millis(10));
    }
    happens(port);
    let kill = Command::new("kill").arg(server.0.id().to_string()).status();
    assert!(kill.unwrap().success());
    let mut text = String::new();
    let mut stderr = server.0.stderr.take().unwrap();
    stderr.read_to_string(&mut text).unwrap();
    assert!(server.0.wait().unwrap().success(), "{text}");
    text
}

/// What a server logs when so many logins are refused, with the time that they took.
fn refused_logins(flags: &[&str]) -> (String, Duration) {
    let mut took = Duration::ZERO;
    let text = log(flags, |port| {
        let start = Instant::now();
        for _ in 0..LOGINS {
            let mut stranger = TcpStream::connect(("127.0.0.1", port)).unwrap();
            stranger
                .set_read_timeout(Some(Duration::from_secs(20)))
                .unwrap();
            stranger.write_all(b"ATH\nname\nu\nwrong\n").unwrap();
            // The refusal is logged before the connection is closed.
            stranger.read_to_end(&mut Vec::new()).unwrap();
        }
        took = start.elapsed();
    });
    (text, took)
}

/// Says something on a connection, and reads what is answered up to its last byte.
fn ask(connection: &mut TcpStream, message: &str, last: &str) -> String {
    let limit = Some(Duration::from_secs(20));
    connection.set_read_timeout(limit).unwrap();
    connection.write_all(message.as_bytes()).unwrap();
    let mut answer = String::new();
    while !answer.ends_with(last) {
        let mut byte = [0];
        connection.read_exact(&mut byte).unwrap();
        answer.push(char::from(byte[0]));
    }
    answer
}

#[test]
fn a_port_that_another_login_has_is_told_with_its_holder() {
    let mapped = free_port();
    let map = format!("MAP\n{mapped}\nx\ntrue\n");
    let text = log(&[], |port| {
        let [mut first, mut second] = ["first", "second"].map(|name| {
            let mut client = TcpStream::connect(("127.0.0.1", port)).unwrap();
            client
                .write_all(format!("ATH\n{name}\nu\np\n").as_bytes())
                .unwrap();
            client
        });
        ask(&mut first, &map, &format!("MRS\n{mapped}\ntrue\n"));
        ask(&mut second, &map, &format!("MRS\n{mapped}\nfalse\n"));
    });
    let told = format!(
        "port refused remote_port={mapped} user=u client=second held_by=first \
         reason=\"another login has the port\"\n"
    );
    assert!(text.contains(&told), "{text}");
    assert_eq!(text.matches("port refused").count(), 1, "{text}");
}

#[test]
fn refusals_that_repeat_are_counted_and_not_written() {
    let (text, took) = refused_logins(&[]);
    let refusals = text.matches("connection closed reason=").count();
    // On a machine that is so slow, the first ten seconds may be over.
    if took < Duration::from_secs(9) {
        assert_eq!(refusals, 20, "{text}");
        let told = " INFO suppressed 15 similar messages: connection closed\n";
        assert!(text.contains(told), "{text}");
    } else {
        assert!(refusals >= 20, "{text}");
    }
}

#[test]
fn who_looks_for_a_bug_sees_all() {
    let (text, _) = refused_logins(&["--log", "debug"]);
    assert_eq!(text.matches("connection closed reason=").count(), LOGINS);
    assert!(text.contains(" DEBUG "), "{text}");
}
