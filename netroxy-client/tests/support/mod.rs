//! Helpers of several tests of the client.
#![allow(dead_code, reason = "each test uses a part of it")]

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command};
use std::time::Duration;

use netroxy_server::Server;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};

#[path = "../../../netroxy-net/tests/support/free_port.rs"]
mod free_port;
#[allow(unused_imports, reason = "each test uses a part of it")]
pub(crate) use free_port::free_port;

/// How long a test waits for an event. On an idle machine it takes less than a second.
pub(crate) const LONG: Duration = Duration::from_secs(60);

/// A server on a free port, with user `u` and password `p`. Users without a tunnel wait for ten
/// minutes. It stops when the guard is dropped.
pub(crate) async fn server() -> (SocketAddr, DropGuard) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("server_config.json");
    let text = r#"{"ip": "127.0.0.1", "port": 1, "username": "u", "password": "p", "timeout": 60,
                   "userTimeout": 600}"#;
    fs::write(&file, text).unwrap();
    let (mut config, _) = netroxy_server::Config::load(&file).unwrap();
    config.port = Some(0);
    let server = Server::bind(config).await.unwrap();
    let addr = server.plain_addr().unwrap();
    let stop = CancellationToken::new();
    tokio::spawn(server.run(stop.clone()));
    (addr, stop.drop_guard())
}

/// A service that sends its greeting, and then sends back what it receives.
pub(crate) async fn echo(greeting: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let _ = stream.write_all(greeting.as_bytes()).await;
                let (mut from, mut to) = stream.split();
                let _ = tokio::io::copy(&mut from, &mut to).await;
            });
        }
    });
    addr
}

/// The configuration of a client with these mappings, each from a remote port to a service.
pub(crate) fn config(server: SocketAddr, mappings: &[(u16, SocketAddr)], more: &str) -> String {
    let connections: Vec<_> = mappings
        .iter()
        .map(|(remote_port, service)| {
            format!(
                r#"{{"ip": "{}", "port": {}, "remotePort": {remote_port}, "isOpen": true}}"#,
                service.ip(),
                service.port()
            )
        })
        .collect();
    format!(
        r#"{{"ip": "{}", "port": {}, "username": "u", "password": "p", {more}
            "connections": [{}]}}"#,
        server.ip(),
        server.port(),
        connections.join(", ")
    )
}

/// A program that is killed when it is dropped.
pub(crate) struct Program(pub(crate) Child);

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The client in this folder, without the variables of Netroxy. A test may set them again.
pub(crate) fn client(dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_netroxy-client"));
    command.current_dir(dir);
    for (name, _) in std::env::vars() {
        if name.starts_with("NETROXY_") {
            command.env_remove(name);
        }
    }
    command
}

/// Connects as a user when the port is mapped.
pub(crate) async fn user(remote_port: u16) -> TcpStream {
    let connecting = async {
        loop {
            match TcpStream::connect(("127.0.0.1", remote_port)).await {
                Ok(stream) => return stream,
                // Not mapped yet.
                Err(_) => sleep(Duration::from_millis(20)).await,
            }
        }
    };
    timeout(LONG, connecting)
        .await
        .expect("the port is mapped in time")
}

/// Whether a byte of the user comes back; false if the user is closed. Panics if neither happens.
pub(crate) async fn served(user: &mut TcpStream) -> bool {
    let dialogue = async {
        user.write_all(b"x").await?;
        user.read_exact(&mut [0]).await
    };
    timeout(LONG, dialogue)
        .await
        .expect("a user is served or closed")
        .is_ok()
}

/// The first bytes that a user gets.
pub(crate) async fn greeting(user: &mut TcpStream, length: usize) -> String {
    let mut text = vec![0; length];
    timeout(LONG, user.read_exact(&mut text))
        .await
        .expect("a user is served")
        .unwrap();
    String::from_utf8(text).unwrap()
}
