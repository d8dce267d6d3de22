//! The log of a server: refused ports and refused logins.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::support::free_port;
use crate::support::program::{Program, read_up_to};

const LOGINS: usize = 35;

/// The log of a server from its start to its end. `act` is called while it runs.
fn log(flags: &[&str], act: impl FnOnce(&Program)) -> String {
    // The address may show any number of wrong passwords.
    let members = r#""timeout": 30, "limits": {"wrongPasswordSeconds": 0}"#;
    let mut server = Program::start(members, flags, Stdio::piped());
    act(&server);
    server.signal("TERM");
    let mut text = String::new();
    let mut stderr = server.child.stderr.take().unwrap();
    stderr.read_to_string(&mut text).unwrap();
    assert!(server.child.wait().unwrap().success(), "{text}");
    text
}

/// The log of a server that refuses [`LOGINS`] logins, and the time that they took.
fn refused_logins(flags: &[&str]) -> (String, Duration) {
    let mut took = Duration::ZERO;
    let text = log(flags, |server| {
        let start = Instant::now();
        for _ in 0..LOGINS {
            let mut stranger = server.connect();
            stranger.write_all(b"ATH\nname\nu\nwrong\n").unwrap();
            // The refusal is logged before the connection is closed.
            stranger.read_to_end(&mut Vec::new()).unwrap();
        }
        took = start.elapsed();
    });
    (text, took)
}

/// Sends a message, and reads the answer up to its last bytes.
fn ask(connection: &mut TcpStream, message: &str, last: &str) {
    connection.write_all(message.as_bytes()).unwrap();
    read_up_to(connection, last);
}

#[test]
fn the_log_names_the_client_that_holds_a_refused_port() {
    let mapped = free_port();
    let map = format!("MAP\n{mapped}\nx\ntrue\n");
    let text = log(&[], |server| {
        let [mut first, mut second] = ["first", "second"].map(|name| {
            let mut client = server.connect();
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
fn refusals_that_repeat_are_counted_and_not_logged() {
    let (text, took) = refused_logins(&[]);
    let refusals = text.matches("connection closed reason=").count();
    // After ten seconds the refusals are logged again.
    if took < Duration::from_secs(9) {
        assert_eq!(refusals, 20, "{text}");
        let told = " INFO suppressed 15 similar messages: connection closed\n";
        assert!(text.contains(told), "{text}");
    } else {
        assert!(refusals >= 20, "{text}");
    }
}

#[test]
fn a_debug_log_shows_every_refusal() {
    let (text, _) = refused_logins(&["--log", "debug"]);
    assert_eq!(text.matches("connection closed reason=").count(), LOGINS);
    assert!(text.contains(" DEBUG "), "{text}");
}
