//! A server for tests, with clients, users and requests to its web interface.
#![allow(dead_code, reason = "each test program uses a part of it")]

pub(crate) mod http;
pub(crate) mod program;

#[path = "../../../netroxy-net/tests/support/free_port.rs"]
mod free_port;

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

pub(crate) use free_port::free_port;
use http::{Answer, Request, Session, sign_in};
use netroxy_net::tls::Trust;
use netroxy_server::{Config, Handle, Server};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};

/// The longest wait for an event. A test that waits longer fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A server that runs until this is dropped.
pub(crate) struct Rig {
    /// Where clients connect.
    pub(crate) clients: SocketAddr,
    web: Option<SocketAddr>,
    pub(crate) handle: Handle,
    /// It holds the configuration and the files `cert.pem` and `key.pem`.
    pub(crate) folder: TempDir,
    pub(crate) running: JoinHandle<()>,
    pub(crate) stop: DropGuard,
}

impl Rig {
    /// Starts a server on free ports. `members` are members of its configuration.
    pub(crate) async fn start_with(members: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["cert.pem", "key.pem"] {
            let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../conformance/fixtures/tls");
            fs::copy(source.join(name), folder.path().join(name)).unwrap();
        }
        let config = Self::config(&folder, members);
        let server = Server::bind(on_free_ports(config)).await.unwrap();
        let (clients, web) = (server.plain_addr().unwrap(), server.web_addr());
        let (handle, stop) = (server.handle(), CancellationToken::new());
        let running = tokio::spawn(server.run(stop.clone()));
        Self {
            clients,
            web,
            handle,
            folder,
            running,
            stop: stop.drop_guard(),
        }
    }

    /// Writes and reads a configuration with the port 1 and these members.
    pub(crate) fn config(folder: &TempDir, members: &str) -> Config {
        let file = folder.path().join("server_config.json");
        let text =
            format!(r#"{{"ip": "127.0.0.1", "port": 1, "mappingIp": "127.0.0.1", {members}}}"#);
        fs::write(&file, text).unwrap();
        Config::load(&file).unwrap().0
    }

    pub(crate) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.clients).await.unwrap()
    }

    /// Makes the files `name.pem` and `name.key` for a host. The result trusts only this certificate.
    pub(crate) fn pair(&self, name: &str, host: &str) -> Trust {
        let folder = self.folder.path().join(name);
        fs::create_dir(&folder).unwrap();
        let made = Command::new(env!("CARGO_BIN_EXE_netroxy-server"))
            .args(["gen-cert", "--host", host, "--out"])
            .arg(&folder)
            .output()
            .unwrap();
        assert!(made.status.success());
        let to = |kind: &str| self.folder.path().join(format!("{name}.{kind}"));
        fs::rename(folder.join("ca.pem"), to("pem")).unwrap();
        fs::rename(folder.join("priv.key"), to("key")).unwrap();
        Trust::CaFile(to("pem"))
    }

    /// Logs a client in.
    pub(crate) async fn client(&self, name: &str, user: &str, password: &str) -> Client {
        let mut control = self.connect().await;
        let login = format!("ATH\n{name}\n{user}\n{password}\n");
        control.write_all(login.as_bytes()).await.unwrap();
        let ars = lines(&mut control, 4).await;
        let token = ars.lines().nth(3).unwrap().to_owned();
        Client { control, token }
    }

    /// Opens the data connection of a user who has just connected.
    pub(crate) async fn data(&self, control: &mut TcpStream, token: &str, port: u16) -> TcpStream {
        assert_eq!(lines(control, 2).await, format!("TRQ\n{port}\n"));
        let mut data = self.connect().await;
        let trs = format!("TRS\n{token}\n{port}\n");
        data.write_all(trs.as_bytes()).await.unwrap();
        data
    }

    /// Opens a tunnel: the connection of a user to a port, and the client's data connection.
    pub(crate) async fn tunnel(&self, client: &mut Client, port: u16) -> (TcpStream, TcpStream) {
        let user = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        let data = self.data(&mut client.control, &client.token, port).await;
        (user, data)
    }

    /// The address of the web interface.
    pub(crate) fn web(&self) -> SocketAddr {
        self.web.unwrap()
    }

    /// Sends a request to the web interface.
    pub(crate) async fn ask(&self, request: Request<'_>) -> Answer {
        let stream = TcpStream::connect(self.web()).await.unwrap();
        request.send(stream).await
    }

    pub(crate) async fn get(&self, path: &str, session: &Session) -> Value {
        let answer = self.ask(session.get(path)).await;
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        answer.json()
    }

    pub(crate) async fn sign_in(&self, user: &str, password: &str) -> Session {
        let body = json!({"user": user, "password": password});
        let answer = self.ask(sign_in(&body)).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        Session::of(&answer)
    }

    /// Repeats a request until `is` is true for its answer.
    pub(crate) async fn wait_for(
        &self,
        path: &str,
        session: &Session,
        is: impl Fn(&Value) -> bool,
    ) -> Value {
        let start = Instant::now();
        loop {
            let seen = self.get(path, session).await;
            if is(&seen) {
                return seen;
            }
            assert!(start.elapsed() < PATIENCE, "{path}: {seen}");
            sleep(Duration::from_millis(20)).await;
        }
    }
}

/// Replaces the ports of a configuration by 0, which stands for a free port.
pub(crate) fn on_free_ports(mut config: Config) -> Config {
    config.port = Some(0);
    if let Some(web) = &mut config.web {
        web.port = 0;
    }
    config
}

/// A client that is logged in.
pub(crate) struct Client {
    pub(crate) control: TcpStream,
    pub(crate) token: String,
}

impl Client {
    pub(crate) async fn map(&mut self, port: u16) {
        assert!(map(&mut self.control, port).await);
    }

    pub(crate) async fn map_to(&mut self, port: u16, target: &str) {
        assert!(map_to(&mut self.control, port, target).await);
    }
}

/// Sends MAP. The result is whether the server has mapped the port.
pub(crate) async fn map(control: &mut TcpStream, port: u16) -> bool {
    map_to(control, port, "127.0.0.1:9").await
}

async fn map_to(control: &mut TcpStream, port: u16, target: &str) -> bool {
    let map = format!("MAP\n{port}\n{target}\ntrue\n");
    control.write_all(map.as_bytes()).await.unwrap();
    let mrs = lines(control, 3).await;
    let answer = mrs.strip_prefix(&format!("MRS\n{port}\n"));
    match answer {
        Some("true\n") => true,
        Some("false\n") => false,
        _ => panic!("{mrs:?} is no answer to {map:?}"),
    }
}

/// Reads so many lines, and no byte more.
pub(crate) async fn lines(stream: &mut (impl AsyncRead + Unpin), count: usize) -> String {
    let read = async {
        let mut seen = Vec::new();
        while seen.iter().filter(|byte| **byte == b'\n').count() < count {
            seen.push(stream.read_u8().await.unwrap());
        }
        String::from_utf8(seen).unwrap()
    };
    timeout(PATIENCE, read).await.unwrap()
}

/// Reads these bytes; other bytes fail the test.
pub(crate) async fn receives(stream: &mut (impl AsyncRead + Unpin), expected: &[u8]) {
    let mut seen = vec![0; expected.len()];
    let read = timeout(PATIENCE, stream.read_exact(&mut seen)).await;
    read.unwrap().unwrap();
    let shown = |bytes: &[u8]| bytes[..bytes.len().min(1000)].escape_ascii().to_string();
    assert!(seen == expected, "{} {}", shown(&seen), shown(expected));
}

/// Whether the peer closes the connection without a byte.
pub(crate) async fn is_closed(stream: &mut (impl AsyncRead + Unpin)) -> bool {
    matches!(
        timeout(PATIENCE, stream.read(&mut [0])).await,
        Ok(Ok(0) | Err(_))
    )
}
