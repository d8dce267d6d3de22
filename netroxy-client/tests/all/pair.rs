//! Client and server together, over real sockets.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use netroxy_client::Client;
use netroxy_net::tls;
use netroxy_server::Server;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::support::free_port;

/// A running server and client. Both stop when this is dropped.
struct Pair {
    remote_port: u16,
    stop_client: CancellationToken,
    stop_server: CancellationToken,
    server: JoinHandle<()>,
}

impl Drop for Pair {
    fn drop(&mut self) {
        self.stop_client.cancel();
        self.stop_server.cancel();
    }
}

/// Maps `service`. `tls` is the section of the client's file.
async fn pair(service: SocketAddr, tls: Option<&str>) -> Pair {
    let dir = dir_with_keys();
    let file = dir.path().join("server_config.json");
    let text = r#"{"ip": "127.0.0.1", "port": 1, "username": "u", "password": "p", "timeout": 3,
            "tls": {"enabled": true, "port": 2, "ca": "ca.pem", "key": "priv.key"}}"#;
    fs::write(&file, text).unwrap();
    let (mut config, warnings) = netroxy_server::Config::load(&file).unwrap();
    assert_eq!(
        warnings.len(),
        1,
        "only the warning of the plain password: {warnings:?}"
    );
    config.port = Some(0);
    config.tls.as_mut().unwrap().port = 0;
    let server = Server::bind(config).await.unwrap();
    let addr = if tls.is_some() {
        server.tls_addr()
    } else {
        server.plain_addr()
    }
    .unwrap();
    let stop_server = CancellationToken::new();
    let server = tokio::spawn(server.run(stop_server.clone()));

    let remote_port = free_port();
    let (config, _client_dir) = client_config(addr, service, remote_port, tls);
    let stop_client = CancellationToken::new();
    tokio::spawn(Client::new(config).run(stop_client.clone()));
    Pair {
        remote_port,
        stop_client,
        stop_server,
        server,
    }
}

fn client_config(
    server: SocketAddr,
    service: SocketAddr,
    remote_port: u16,
    tls: Option<&str>,
) -> (netroxy_client::Config, TempDir) {
    let dir = dir_with_keys();
    let file = dir.path().join("client_config.json");
    let text = format!(
        r#"{{"ip": "127.0.0.1", "port": {}, "username": "u", "password": "p", {}
            "connections": [{{"ip": "{}", "port": {}, "remotePort": {remote_port},
                              "isOpen": true}}]}}"#,
        server.port(),
        tls.map(|tls| format!("\"tls\": {tls},"))
            .unwrap_or_default(),
        service.ip(),
        service.port(),
    );
    fs::write(&file, text).unwrap();
    (netroxy_client::Config::load(&file).unwrap().0, dir)
}

fn dir_with_keys() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (from, to) in [("rsa.pem", "ca.pem"), ("rsa-pkcs1.key", "priv.key")] {
        fs::copy(key_file(from), dir.path().join(to)).unwrap();
    }
    dir
}

fn key_file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../netroxy-net/tests/tls")
        .join(name)
}

impl Pair {
    /// Connects as a user, as soon as the port is mapped.
    async fn user(&self) -> TcpStream {
        let connecting = async {
            loop {
                match TcpStream::connect(("127.0.0.1", self.remote_port)).await {
                    Ok(stream) => return stream,
                    // Not mapped yet.
                    Err(_) => sleep(Duration::from_millis(5)).await,
                }
            }
        };
        timeout(Duration::from_secs(20), connecting)
            .await
            .expect("the port is mapped in time")
    }
}

/// A service that reads to the end, and answers with the same text in capitals.
async fn capitals_service() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut question = Vec::new();
                stream.read_to_end(&mut question).await.unwrap();
                stream
                    .write_all(&question.to_ascii_uppercase())
                    .await
                    .unwrap();
            });
        }
    });
    addr
}

async fn ask(mut user: TcpStream) -> Vec<u8> {
    user.write_all(b"are you there?").await.unwrap();
    user.shutdown().await.unwrap();
    let mut answer = Vec::new();
    user.read_to_end(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn a_half_closed_question_is_answered_over_plain_tcp_and_tls() {
    let service = capitals_service().await;
    for tls in [
        None,
        Some(r#"{"enabled": true, "verify": false}"#),
        Some(r#"{"enabled": true, "verify": true, "caFile": "ca.pem"}"#),
    ] {
        let pair = pair(service, tls).await;
        assert_eq!(ask(pair.user().await).await, b"ARE YOU THERE?", "{tls:?}");
    }
}

/// The client trusts the authorities of the system, and the certificate is self-signed.
#[tokio::test]
async fn a_client_ends_the_handshake_with_an_untrusted_server_and_tries_again() {
    let tls = tls::server(&key_file("rsa.pem"), &key_file("rsa-pkcs1.key")).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let verify = r#"{"enabled": true, "verify": true}"#;
    let (config, _dir) = client_config(addr, addr, 1, Some(verify));
    let stop = CancellationToken::new();
    let client = tokio::spawn(Client::new(config).run(stop.clone()));
    for _ in 0..2 {
        let (tcp, _) = listener.accept().await.unwrap();
        let error = TlsAcceptor::from(tls.clone())
            .accept(tcp)
            .await
            .unwrap_err();
        assert!(error.to_string().contains("CertificateUnknown"), "{error}");
    }
    stop.cancel();
    client.await.unwrap();
}

#[tokio::test]
async fn a_user_of_a_service_that_cannot_be_reached_is_closed() {
    let nowhere = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let pair = pair(nowhere, None).await;
    let mut user = pair.user().await;
    let mut seen = Vec::new();
    let end = timeout(Duration::from_secs(20), user.read_to_end(&mut seen)).await;
    assert!(matches!(end, Ok(Ok(0) | Err(_))), "{end:?}");
}

/// The server gives the ports of a login only to a later login of the same name.
#[tokio::test]
async fn a_client_keeps_its_name_after_a_restart_and_other_clients_differ() {
    let server = SocketAddr::from(([127, 0, 0, 1], 1));
    let (first, dir) = client_config(server, server, 1, None);
    let file = dir.path().join("client_config.json");
    let again = netroxy_client::Config::load(&file).unwrap().0;
    assert_eq!(again.name, first.name);
    let copy = dir.path().join("copy.json");
    fs::copy(&file, &copy).unwrap();
    let other = netroxy_client::Config::load(&copy).unwrap().0;
    assert_ne!(other.name, first.name);
    let (elsewhere, _dir) = client_config(server, server, 1, None);
    assert_ne!(elsewhere.name, first.name);
}

#[tokio::test]
async fn many_users_at_once_each_get_a_tunnel_of_their_own() {
    let service = capitals_service().await;
    let pair = pair(service, None).await;
    drop(pair.user().await);
    let users: Vec<_> = (0..100_u32)
        .map(|i| {
            let port = pair.remote_port;
            tokio::spawn(async move {
                let mut user = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
                let text = format!("user {i} ").repeat(1000);
                user.write_all(text.as_bytes()).await.unwrap();
                user.shutdown().await.unwrap();
                let mut answer = Vec::new();
                user.read_to_end(&mut answer).await.unwrap();
                assert_eq!(answer, text.to_ascii_uppercase().as_bytes());
            })
        })
        .collect();
    for user in users {
        user.await.unwrap();
    }
}

/// The server stops listening at once, and its open tunnels stay until they end.
#[tokio::test]
async fn a_server_that_stops_frees_its_ports_and_lets_tunnels_end() {
    let service = capitals_service().await;
    let mut pair = pair(service, None).await;
    let mut user = pair.user().await;
    user.write_all(b"half").await.unwrap();
    // A second user is served, so the first one has its tunnel.
    assert_eq!(ask(pair.user().await).await, b"ARE YOU THERE?");
    pair.stop_server.cancel();
    let refused = async {
        while TcpStream::connect(("127.0.0.1", pair.remote_port))
            .await
            .is_ok()
        {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(Duration::from_secs(4), refused)
        .await
        .expect("the port is freed");
    assert_eq!(ask(user).await, b"HALFARE YOU THERE?");
    pair.stop_client.cancel();
    timeout(Duration::from_secs(4), &mut pair.server)
        .await
        .expect("nothing is left")
        .unwrap();
}
