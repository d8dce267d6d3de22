//! A server that stands still for a while, as on a machine that is suspended.
#![cfg(target_os = "linux")]
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

/// It goes on when it is dropped, and ends.
struct Server(Child);

impl Server {
    fn signal(&self, name: &str) {
        let kill = Command::new("kill")
            .args([name, &self.0.id().to_string()])
            .status();
        assert!(kill.unwrap().success());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The SRQ of each client has come in time, and lies unread when the timeout of the server is over.
#[test]
fn a_server_that_was_stopped_for_longer_than_its_timeout_keeps_the_clients_that_were_alive() {
    let dir = tempfile::tempdir().unwrap();
    let port = free_port();
    let config = format!(
        r#"{{"ip": "127.0.0.1", "port": {port}, "username": "u", "password": "p", "timeout": 2}}"#
    );
    fs::write(dir.path().join("server_config.json"), config).unwrap();
    let server = Server(
        Command::new(env!("CARGO_BIN_EXE_netroxy-server"))
            .current_dir(dir.path())
            .stderr(Stdio::null())
            .spawn()
            .unwrap(),
    );
    let until = Instant::now() + Duration::from_secs(20);
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(Instant::now() < until, "the server does not listen");
        sleep(Duration::from_millis(10));
    }
    let mut clients: Vec<TcpStream> = (0..20)
        .map(|number| {
            let mut client = TcpStream::connect(("127.0.0.1", port)).unwrap();
            client
                .set_read_timeout(Some(Duration::from_secs(20)))
                .unwrap();
            write!(client, "ATH\nclient {number}\nu\np\n").unwrap();
            let mut ars = [0; 9];
            client.read_exact(&mut ars).unwrap();
            assert_eq!(&ars, b"ARS\ntrue\n");
            client
        })
        .collect();
    server.signal("-STOP");
    // After one and a half timeouts without a message a server may let a client go.
    sleep(Duration::from_secs(4));
    for client in &mut clients {
        client.write_all(b"SRQ\n").unwrap();
    }
    sleep(Duration::from_millis(50));
    server.signal("-CONT");
    for (number, client) in clients.iter_mut().enumerate() {
        let mut said = Vec::new();
        while !said.ends_with(b"SRS\n") {
            let mut byte = [0];
            let count = client.read(&mut byte).unwrap();
            assert_eq!(count, 1, "client {number} was closed");
            said.push(byte[0]);
        }
    }
}
