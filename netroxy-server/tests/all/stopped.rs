//! A server that is stopped for a while, as on a machine that is suspended.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Stdio;
use std::thread::sleep;
use std::time::Duration;

use crate::support::program::{Program, read_up_to};

/// The SRQ of each client arrives in time. It is still unread when the server's timeout is over.
#[test]
fn a_server_that_was_stopped_beyond_its_timeout_keeps_live_clients() {
    let server = Program::start(r#""timeout": 2"#, &[], Stdio::null());
    let mut clients: Vec<TcpStream> = (0..20)
        .map(|number| {
            let mut client = server.connect();
            write!(client, "ATH\nclient {number}\nu\np\n").unwrap();
            let mut ars = [0; 9];
            client.read_exact(&mut ars).unwrap();
            assert_eq!(&ars, b"ARS\ntrue\n");
            client
        })
        .collect();
    server.signal("STOP");
    // The server may close a client that has sent no message for one and a half timeouts.
    sleep(Duration::from_secs(4));
    for client in &mut clients {
        client.write_all(b"SRQ\n").unwrap();
    }
    sleep(Duration::from_millis(50));
    server.signal("CONT");
    for client in &mut clients {
        read_up_to(client, "SRS\n");
    }
}
