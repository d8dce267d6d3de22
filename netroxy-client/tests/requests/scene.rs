//! A server with its web interface, and clients that accept requests.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use netroxy_client::admin::{Answer, Handle, Request, RequestStanding, RequestState, Requests};
use netroxy_client::{Client, Config};
use netroxy_net::tls::Fingerprint;
use netroxy_server::Server;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::sleep;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::http::Browser;
use crate::support::LONG;

/// A server, and a person who is signed in as its administrator `u`.
pub(crate) struct Scene {
    pub(crate) folder: TempDir,
    /// Where clients connect.
    pub(crate) server: SocketAddr,
    pub(crate) web: SocketAddr,
    pub(crate) browser: Browser,
    pub(crate) handle: netroxy_server::Handle,
    tls: bool,
    stop: DropGuard,
}

impl Scene {
    pub(crate) async fn plain() -> Self {
        Self::start(false).await
    }

    /// Clients and browsers use TLS.
    pub(crate) async fn with_tls() -> Self {
        Self::start(true).await
    }

    async fn start(tls: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("server_config.json");
        let more = if tls {
            format!(
                r#""tls": {{"enabled": true, "port": 1, "ca": {:?}, "key": {:?}}},"#,
                certificate(),
                fixture("rsa-pkcs1.key")
            )
        } else {
            r#""port": 1,"#.to_owned()
        };
        let text = format!(
            r#"{{"ip": "127.0.0.1", {more} "mappingIp": "127.0.0.1", "username": "u", "password": "p",
                "timeout": 60, "userTimeout": 60,
                "web": {{"enabled": true, "port": 1, "https": {tls}}}}}"#
        );
        fs::write(&path, text).unwrap();
        let mut config = netroxy_server::Config::load(&path).unwrap().0;
        config.port = config.port.map(|_| 0);
        if let Some(tls) = &mut config.tls {
            tls.port = 0;
        }
        config.web.as_mut().unwrap().port = 0;
        let server = Server::bind(config).await.unwrap();
        let addr = server.plain_addr().or_else(|| server.tls_addr()).unwrap();
        let web = server.web_addr().unwrap();
        let (handle, stop) = (server.handle(), CancellationToken::new());
        tokio::spawn(server.run(stop.clone()));
        Self {
            folder,
            server: addr,
            web,
            browser: Browser::sign_in(web, tls, "u").await,
            handle,
            tls,
            stop: stop.drop_guard(),
        }
    }

    /// Stops the server.
    pub(crate) fn stop(self) {
        drop(self.stop);
    }

    /// Writes the file of the client `office`. `section` has the members of `requests` except `url`.
    pub(crate) fn file(&self, mappings: &[(u16, SocketAddr)], section: &str) -> PathBuf {
        let scheme = if self.tls { "https" } else { "http" };
        let url = format!("{scheme}://{}", self.web);
        let more = if self.tls {
            format!(
                r#""tls": {{"enabled": true, "fingerprint": "{}"}},"#,
                pin(&certificate())
            )
        } else {
            String::new()
        };
        file(
            self.folder.path(),
            self.server,
            mappings,
            &more,
            &url,
            section,
        )
    }

    pub(crate) fn client(&self, mappings: &[(u16, SocketAddr)], section: &str) -> Running {
        Running::start(&self.file(mappings, section))
    }

    /// Requests a mapping when the client takes requests, and returns the id.
    pub(crate) async fn ask(&self, target: impl ToString, port: u16) -> String {
        let body = json!({"client": "office", "target": target.to_string(), "port": port});
        let start = Instant::now();
        loop {
            let (status, told) = self.browser.ask("POST", "/api/v1/requests", &body).await;
            if status == 201 {
                return told["id"].as_str().unwrap().to_owned();
            }
            let is_early = status == 404
                || told["error"]
                    .as_str()
                    .unwrap()
                    .contains("does not take requests");
            assert!(is_early && start.elapsed() < LONG, "{status} {told}");
            sleep(Duration::from_millis(20)).await;
        }
    }

    pub(crate) async fn withdraw(&self, id: &str) {
        let path = format!("/api/v1/requests/{id}");
        let (status, told) = self.browser.ask("DELETE", &path, &Value::Null).await;
        assert_eq!(status, 204, "{told}");
    }

    /// Waits until a request is in a state, and returns its reason.
    pub(crate) async fn becomes(&self, id: &str, state: &str) -> String {
        let start = Instant::now();
        loop {
            let (_, told) = self
                .browser
                .ask("GET", "/api/v1/requests", &Value::Null)
                .await;
            let all = told["requests"].as_array().unwrap();
            let found = all.iter().find(|request| request["id"] == id).unwrap();
            if found["state"] == state {
                return found["reason"].as_str().unwrap_or_default().to_owned();
            }
            assert!(start.elapsed() < LONG, "not {state}: {told}");
            sleep(Duration::from_millis(20)).await;
        }
    }
}

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../netroxy-net/tests/tls")
        .join(name)
}

fn certificate() -> PathBuf {
    fixture("rsa.pem")
}

/// The fingerprint of a certificate.
pub(crate) fn pin(path: &Path) -> Fingerprint {
    use rustls_pki_types::CertificateDer;
    use rustls_pki_types::pem::PemObject;
    Fingerprint::of(&CertificateDer::from_pem_file(path).unwrap())
}

/// Writes `client_config.json`. `section` has the members of `requests` except `url`.
pub(crate) fn file(
    folder: &Path,
    server: SocketAddr,
    mappings: &[(u16, SocketAddr)],
    more: &str,
    url: &str,
    section: &str,
) -> PathBuf {
    let more = format!(
        r#"{more} "name": "office", "requests": {{"url": "{url}", {section}}}, "controlSocket": "s","#
    );
    let path = folder.join("client_config.json");
    fs::write(&path, crate::support::config(server, mappings, &more)).unwrap();
    path
}

/// A section that allows one target.
pub(crate) fn only(target: SocketAddr, accept: &str) -> String {
    format!(
        r#""accept": "{accept}", "allow": [{{"networks": ["{}"], "ports": ["{}"]}}]"#,
        target.ip(),
        target.port()
    )
}

/// A running client.
pub(crate) struct Running {
    pub(crate) handle: Handle,
    task: JoinHandle<()>,
    stop: DropGuard,
}

impl Running {
    pub(crate) fn start(path: &Path) -> Self {
        let client = Client::new(Config::load(path).unwrap().0);
        let (handle, stop) = (client.handle(), CancellationToken::new());
        let task = tokio::spawn(client.run(stop.clone()));
        Self {
            handle,
            task,
            stop: stop.drop_guard(),
        }
    }

    /// Stops the client, and waits for its end.
    pub(crate) async fn stop(self) {
        drop(self.stop);
        tokio::time::timeout(LONG, self.task)
            .await
            .unwrap()
            .unwrap();
    }

    pub(crate) async fn reload(&self, path: &Path) {
        let config = Config::load(path).unwrap().0;
        self.handle.reload(config).await.unwrap();
    }

    pub(crate) async fn requests(&self) -> Requests {
        match self.handle.ask(Request::Requests).await {
            Some(Answer::Requests(requests)) => requests,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) async fn logins(&self) -> u64 {
        match self.handle.ask(Request::Status).await {
            Some(Answer::Status(status)) => status.logins,
            other => panic!("{other:?}"),
        }
    }

    /// Waits until the condition for the requests of the client is true.
    pub(crate) async fn until(&self, are: impl Fn(&Requests) -> bool) -> Requests {
        let start = Instant::now();
        loop {
            let requests = self.requests().await;
            if are(&requests) {
                return requests;
            }
            assert!(start.elapsed() < LONG, "{requests:?}");
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until the client has these requests, each with its state and remote port.
    pub(crate) async fn has(&self, expected: &[(RequestStanding, i64)]) {
        let shown = |r: &RequestState| (r.state, r.remote_port);
        self.until(|all| all.requests.iter().map(shown).eq(expected.iter().copied()))
            .await;
    }

    /// Waits until the condition for the problem of the client is true, and returns the problem.
    pub(crate) async fn problem(&self, is: impl Fn(Option<&str>) -> bool) -> String {
        let requests = self.until(|all| is(all.problem.as_deref())).await;
        requests.problem.unwrap_or_default()
    }
}

/// Waits until no program listens on a port of this machine.
pub(crate) async fn is_closed(port: u16) {
    let start = Instant::now();
    while TcpStream::connect(("127.0.0.1", port)).await.is_ok() {
        assert!(start.elapsed() < LONG, "the port {port} stays open");
        sleep(Duration::from_millis(20)).await;
    }
}
