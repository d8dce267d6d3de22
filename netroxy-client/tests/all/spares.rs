//! Spare connections of a whole client.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use netroxy_client::admin::{Answer, Handle, Request, Status};
use netroxy_client::{Client, Config};
use netroxy_server::Server;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::support::{LONG, free_port, served, user};

fn load(text: String) -> Config {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("client_config.json");
    fs::write(&file, text).unwrap();
    Config::load(&file).unwrap().0
}

/// A running client, and its handle.
fn run(config: Config) -> (Handle, DropGuard) {
    let client = Client::new(config);
    let handle = client.handle();
    let stop = CancellationToken::new();
    tokio::spawn(client.run(stop.clone()));
    (handle, stop.drop_guard())
}

async fn status(client: &Handle) -> Status {
    match client.ask(Request::Status).await {
        Some(Answer::Status(status)) => status,
        other => panic!("{other:?}"),
    }
}

async fn spares(client: &Handle) -> usize {
    status(client).await.spare_connections
}

async fn until_kept(client: &Handle, count: usize) {
    let waiting = async {
        while spares(client).await != count {
            sleep(Duration::from_millis(5)).await;
        }
    };
    let kept = timeout(LONG, waiting).await;
    assert!(kept.is_ok(), "{} in place of {count}", spares(client).await);
}

/// A server with TLS.
async fn tls_server() -> (SocketAddr, DropGuard) {
    let keys = Path::new(env!("CARGO_MANIFEST_DIR")).join("../netroxy-net/tests/tls");
    let dir = tempfile::tempdir().unwrap();
    for (from, to) in [("rsa.pem", "ca.pem"), ("rsa-pkcs1.key", "priv.key")] {
        fs::copy(keys.join(from), dir.path().join(to)).unwrap();
    }
    let file = dir.path().join("server_config.json");
    let text = r#"{"ip": "127.0.0.1", "port": 1, "username": "u", "password": "p", "timeout": 60,
                   "tls": {"enabled": true, "port": 2, "ca": "ca.pem", "key": "priv.key"}}"#;
    fs::write(&file, text).unwrap();
    let (mut config, _) = netroxy_server::Config::load(&file).unwrap();
    config.port = Some(0);
    config.tls.as_mut().unwrap().port = 0;
    let server = Server::bind(config).await.unwrap();
    let addr = server.tls_addr().unwrap();
    let stop = CancellationToken::new();
    tokio::spawn(server.run(stop.clone()));
    (addr, stop.drop_guard())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn spares_serve_users_over_plain_tcp_and_tls_until_a_reload() {
    let echo = crate::support::echo("").await;
    let remote_port = free_port();
    for (over_tls, tls) in [
        (false, ""),
        (true, r#""tls": {"enabled": true, "verify": false},"#),
    ] {
        let (server, _stop_server) = if over_tls {
            tls_server().await
        } else {
            crate::support::server().await
        };
        let text = crate::support::config(server, &[(remote_port, echo)], tls);
        let config = load(text);
        let (client, _stop) = run(config.clone());
        while status(&client).await.mapped == 0 {
            sleep(Duration::from_millis(5)).await;
        }
        assert_eq!(
            spares(&client).await,
            0,
            "a spare was opened before the first user"
        );
        let mut first = user(remote_port).await;
        assert!(served(&mut first).await);
        until_kept(&client, 1).await;
        let mut crowd = Vec::new();
        for _ in 0..20 {
            crowd.push(user(remote_port).await);
        }
        for user in &mut crowd {
            assert!(served(user).await, "{over_tls}");
        }
        // One user after the other, with growing pauses, in which tickets of TLS arrive.
        for ms in 0..20 {
            sleep(Duration::from_millis(ms)).await;
            assert!(served(&mut user(remote_port).await).await, "{over_tls}");
        }
        let spares = spares(&client).await;
        assert!((1..=16).contains(&spares), "{spares}");
        client.reload(config).await.unwrap();
        assert_eq!(status(&client).await.spare_connections, 0);
        assert!(served(&mut first).await, "a tunnel was cut");
        assert!(served(&mut user(remote_port).await).await);
    }
}

/// A server that has one client and no users.
struct Scene {
    listener: TcpListener,
    control: TcpStream,
    _stop: DropGuard,
}

async fn scene(more: &str) -> Scene {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = listener.local_addr().unwrap();
    let service = crate::support::echo("").await;
    let (_, stop) = run(load(crate::support::config(server, &[(7, service)], more)));
    let (control, _) = listener.accept().await.unwrap();
    // No byte follows ATH, because the client waits for ARS.
    let mut lines = BufReader::new(control).lines();
    for _ in 0..4 {
        lines.next_line().await.unwrap().unwrap();
    }
    let mut control = lines.into_inner().into_inner();
    let ars = "ARS\ntrue\n3600\ntoken\n";
    control.write_all(ars.as_bytes()).await.unwrap();
    let mut map = vec![0; "MAP\n7\n".len()];
    control.read_exact(&mut map).await.unwrap();
    Scene {
        listener,
        control,
        _stop: stop,
    }
}

impl Scene {
    async fn ask_for_tunnel(&mut self) {
        self.control.write_all(b"TRQ\n7\n").await.unwrap();
    }

    async fn accept(&self) -> TcpStream {
        let accepted = timeout(LONG, self.listener.accept()).await;
        accepted.expect("the client connects").unwrap().0
    }
}

async fn says_trs(data: &mut TcpStream) -> bool {
    let mut bytes = [0; "TRS\ntoken\n7\n".len()];
    let read = timeout(LONG, data.read_exact(&mut bytes)).await;
    read.expect("TRS or an end comes").is_ok() && bytes == *b"TRS\ntoken\n7\n"
}

#[tokio::test]
async fn with_0_spare_connections_one_connection_is_opened_for_each_user() {
    let mut scene = scene(r#""spareConnections": 0,"#).await;
    let mut open = Vec::new();
    for _ in 0..5 {
        scene.ask_for_tunnel().await;
        let mut data = scene.accept().await;
        assert!(says_trs(&mut data).await);
        open.push(data);
    }
    let more = timeout(Duration::from_millis(200), scene.listener.accept()).await;
    assert!(more.is_err());
}

#[tokio::test]
async fn spares_end_with_the_control_connection_and_nothing_was_sent_on_them() {
    let mut scene = scene("").await;
    scene.ask_for_tunnel().await;
    let mut data = scene.accept().await;
    assert!(says_trs(&mut data).await);
    let mut spare = scene.accept().await;
    scene.control.shutdown().await.unwrap();
    let mut all = Vec::new();
    let ended = timeout(LONG, spare.read_to_end(&mut all)).await;
    assert!(ended.expect("the spare ends").is_ok());
    assert_eq!(all, b"");
}

#[tokio::test]
async fn a_user_gets_a_tunnel_although_the_server_has_closed_a_spare() {
    let mut scene = scene("").await;
    scene.ask_for_tunnel().await;
    let mut first = scene.accept().await;
    assert!(says_trs(&mut first).await);
    drop(scene.accept().await);
    for _ in 0..3 {
        scene.ask_for_tunnel().await;
        // Other spares may be opened before the connection of this user.
        let mut data = JoinSet::new();
        loop {
            tokio::select! {
                accepted = scene.accept() => {
                    let mut one = accepted;
                    data.spawn(async move { (says_trs(&mut one).await, one) });
                }
                Some(said) = data.join_next() => {
                    if said.unwrap().0 {
                        break;
                    }
                }
            }
        }
    }
}
