//! What several test programs need: a server, clients and users of it, and who asks its web interface.
#![allow(dead_code, reason = "each test program takes a part of it")]

pub(crate) mod http;

#[path = "../../../netroxy-net/tests/support/free_port.rs"]
mod free_port;

use std::{
    fs,
    net::SocketAddr,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

pub(crate) use free_port::free_port;
use netroxy_net::tls::Trust;
use netroxy_server::{Config, Handle, Server};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinHandle,
    time::{sleep, timeout},
};
use tokio_util::sync::{CancellationToken, DropGuard};

use http::{Answer, Request, Session, sign_in};

/// An answer that does not come within this never comes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A server that runs until this is dropped.
pub(crate) struct Rig {
    /// Where clients connect.
    pub(crate) clients: SocketAddr,
    web: Option<SocketAddr>,
    pub(crate) handle: Handle,
    /// With its configuration and the files `cert.pem` and `key.pem`.
    pub(crate) folder: TempDir,
    pub(crate) running: JoinHandle<()>,
    pub(crate) stop: DropGuard,
}

impl Rig {
    /// `members` are those of the configuration that a test is about. Ports are taken as they are free.
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

    /// A configuration with the port 1.
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

    /// Makes the files `name.pem` and `name.key` for a host; whoever trusts this certificate alone.
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

    /// A client that logs in.
    pub(crate) async fn client(&self, name: &str, user: &str, password: &str) -> Client {
        let mut control = self.connect().await;
        let login = format!("ATH\n{name}\n{user}\n{password}\n");
        control.write_all(login.as_bytes()).await.unwrap();
        let ars = lines(&mut control, 4).await;
        let token = ars.lines().nth(3).unwrap().to_owned();
        Client { control, token }
    }

    /// The data connection of a user who has just come.
    pub(crate) async fn data(&self, control: &mut TcpStream, token: &str, port: u16) -> TcpStream {
        assert_eq!(lines(control, 2).await, format!("TRQ\n{port}\n"));
        let mut data = self.connect().await;
        let trs = format!("TRS\n{token}\n{port}\n");
        data.write_all(trs.as_bytes()).await.unwrap();
        data
    }

    /// A user of a port and the client's end of its tunnel.
    pub(crate) async fn tunnel(&self, client: &mut Client, port: u16) -> (TcpStream, TcpStream) {
        let user = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        let data = self.data(&mut client.control, &client.token, port).await;
        (user, data)
    }

    /// Where the web interface is.
    pub(crate) fn web(&self) -> SocketAddr {
        self.web.unwrap()
    }

    /// Asks the web interface.
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

    /// Asks until the answer is as it should be: what another connection has done is seen soon.
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

/// The ports of the system's choice in place of those of a configuration.
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

/// Whether the server maps a port.
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

/// So many lines, and not a byte more.
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

/// These bytes come next.
pub(crate) async fn says(stream: &mut (impl AsyncRead + Unpin), expected: &[u8]) {
    let mut seen = vec![0; expected.len()];
    let read = timeout(PATIENCE, stream.read_exact(&mut seen)).await;
    read.unwrap().unwrap();
    let shown = |bytes: &[u8]| bytes[..bytes.len().min(1000)].escape_ascii().to_string();
    assert!(seen == expected, "{} {}", shown(&seen), shown(expected));
}

/// Whether the peer closes, having said nothing.
pub(crate) async fn is_closed(stream: &mut (impl AsyncRead + Unpin)) -> bool {
    matches!(
        timeout(PATIENCE, stream.read(&mut [0])).await,
        Ok(Ok(0) | Err(_))
    )
}
