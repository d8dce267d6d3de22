//! A server that requires client certificates, and clients with a right one, a wrong one and none.

use std::fs;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use netroxy_client::Client;
use netroxy_server::{Handle, Server};
use tempfile::TempDir;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

/// How long a test waits for an event.
const PATIENCE: Duration = Duration::from_secs(20);

/// The log of both programs.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }

    /// Waits for a text.
    async fn says(&self, part: &str) {
        let said = async {
            while !self.text().contains(part) {
                sleep(Duration::from_millis(5)).await;
            }
        };
        let said = timeout(PATIENCE, said).await;
        assert!(said.is_ok(), "no {part:?} in:\n{}", self.text());
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0
            .lock()
            .map_err(|error| io::Error::other(error.to_string()))?
            .write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../netroxy-net/tests/tls")
        .join(name)
}

/// A server whose clients need a certificate that one authority has signed.
async fn server(folder: &TempDir, stop: &CancellationToken) -> (SocketAddr, Handle) {
    let path = folder.path().join("server_config.json");
    let text = format!(
        r#"{{"ip": "127.0.0.1", "username": "u", "password": "p", "timeout": 30,
            "tls": {{"enabled": true, "port": 1, "ca": {:?}, "key": {:?}, "clientCa": {:?}}}}}"#,
        file("rsa.pem"),
        file("rsa-pkcs1.key"),
        file("signed-ca.pem"),
    );
    fs::write(&path, text).unwrap();
    let mut config = netroxy_server::Config::load(&path).unwrap().0;
    config.tls.as_mut().unwrap().port = 0;
    let server = Server::bind(config).await.unwrap();
    let (addr, handle) = (server.tls_addr().unwrap(), server.handle());
    tokio::spawn(server.run(stop.clone()));
    (addr, handle)
}

fn client(folder: &TempDir, server: SocketAddr, identity: &str) -> Client {
    let path = folder.path().join("client_config.json");
    let text = format!(
        r#"{{"ip": "127.0.0.1", "port": {}, "username": "u", "password": "p", "connections": [],
            "tls": {{"enabled": true, "verify": false{identity}}}}}"#,
        server.port(),
    );
    fs::write(&path, text).unwrap();
    Client::new(netroxy_client::Config::load(&path).unwrap().0)
}

#[tokio::test]
async fn only_a_client_with_the_right_certificate_logs_in() {
    let log = Log::default();
    let writer = log.clone();
    tracing_subscriber::fmt()
        .with_writer(move || writer.clone())
        .init();
    let folder = tempfile::tempdir().unwrap();
    let stop = CancellationToken::new();
    let _guard = stop.clone().drop_guard();
    let (addr, handle) = server(&folder, &stop).await;

    let pair = |cert: PathBuf, key: PathBuf| format!(r#", "cert": {cert:?}, "key": {key:?}"#);
    let fixtures = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../conformance/fixtures/tls");
    let other = pair(fixtures.join("cert.pem"), fixtures.join("key.pem"));
    // openssl makes such a certificate by default.
    let an_authority = pair(file("rsa.pem"), file("rsa-pkcs1.key"));
    for (identity, at_server, at_client) in [
        (
            "",
            "the other side shows no certificate, and clientCa wants one",
            "the server wants a certificate of this client: give tls.cert and tls.key",
        ),
        (
            &other,
            "the certificate of the other side is not signed by one in clientCa",
            "the server does not take the certificate of this client (tls.cert)",
        ),
        (
            &an_authority,
            "the certificate of the other side is refused: CaUsedAsEndEntity",
            "the server refuses the certificate of this client (tls.cert); its log says why",
        ),
    ] {
        let until = stop.child_token();
        let running = tokio::spawn(client(&folder, addr, identity).run(until.clone()));
        log.says(at_server).await;
        log.says(at_client).await;
        assert_eq!(handle.status().census.clients, 0);
        until.cancel();
        running.await.unwrap();
    }

    // The paths are relative to the configuration file.
    fs::copy(file("signed.pem"), folder.path().join("client.pem")).unwrap();
    fs::copy(file("ec-sec1.key"), folder.path().join("client.key")).unwrap();
    let right = r#", "cert": "client.pem", "key": "client.key""#;
    tokio::spawn(client(&folder, addr, right).run(stop.clone()));
    let logged_in = async {
        while handle.status().census.clients == 0 {
            sleep(Duration::from_millis(5)).await;
        }
    };
    let logged_in = timeout(PATIENCE, logged_in).await;
    assert!(logged_in.is_ok(), "{}", log.text());
}
