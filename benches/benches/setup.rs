//! The cost of a new user: a connection through server and client, and the first byte both ways.
//!
//!     cargo bench -p netroxy-benches --bench setup
#![allow(clippy::unwrap_used, reason = "an unwrap that fails ends the bench")]

use std::fs;
use std::net::SocketAddr;
use std::time::Duration;

use divan::Bencher;
use divan::counter::ItemsCount;
use netroxy_benches::{certificate, runtime};
use netroxy_client::Client;
use netroxy_server::Server;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

#[path = "../../netroxy-net/tests/support/free_port.rs"]
mod free_port;
use free_port::free_port;

fn main() {
    divan::main();
}

/// How users reach the service.
#[derive(Debug, Clone, Copy)]
enum Way {
    /// They connect to the service itself.
    Direct,
    /// Through server and client without TLS.
    Plain,
    /// Through server and client on TLS 1.3.
    Tls,
}

const ALL: [Way; 3] = [Way::Direct, Way::Plain, Way::Tls];

/// Users at a time in [`crowd`].
const CROWD: usize = 32;

/// One user after the other.
#[divan::bench(args = ALL, sample_count = 50, sample_size = 10)]
fn one(bencher: Bencher<'_, '_>, way: Way) {
    let world = World::new(way);
    bencher
        .counter(ItemsCount::new(1_usize))
        .bench_local(|| world.visit(1));
}

/// 32 users at a time.
#[divan::bench(args = ALL, sample_count = 30, sample_size = 1)]
fn crowd(bencher: Bencher<'_, '_>, way: Way) {
    let world = World::new(way);
    bencher
        .counter(ItemsCount::new(CROWD))
        .bench_local(|| world.visit(CROWD));
}

/// A service, and server and client before it if there are any. Dropping it ends all of them.
struct World {
    runtime: Runtime,
    door: SocketAddr,
}

impl World {
    fn new(way: Way) -> Self {
        let runtime = runtime();
        let door = runtime.block_on(async {
            let service = echo().await;
            match way {
                Way::Direct => service,
                Way::Plain => tunnel(service, false).await,
                Way::Tls => tunnel(service, true).await,
            }
        });
        let world = Self { runtime, door };
        world.visit(1);
        world
    }

    /// `users` users at a time connect, send a byte, receive it back, and close.
    fn visit(&self, users: usize) {
        let door = self.door;
        self.runtime.block_on(async {
            let mut visits: JoinSet<_> = (0..users).map(|_| visit(door)).collect();
            while let Some(visit) = visits.join_next().await {
                visit.unwrap();
            }
        });
    }
}

async fn visit(door: SocketAddr) {
    let mut user = TcpStream::connect(door).await.unwrap();
    user.set_nodelay(true).unwrap();
    user.write_all(b"x").await.unwrap();
    user.read_exact(&mut [0]).await.unwrap();
}

/// A service that sends back each byte.
async fn echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut byte = [0];
                while let Ok(1) = stream.read(&mut byte).await {
                    stream.write_all(&byte).await.unwrap();
                }
            });
        }
    });
    addr
}

/// Starts a server and a client before the service. The result is the address for users.
async fn tunnel(service: SocketAddr, tls: bool) -> SocketAddr {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("server_config.json");
    let [ca, key] = certificate();
    let text = format!(
        r#"{{"ip": "127.0.0.1", "port": 1, "mappingIp": "127.0.0.1",
            "username": "u", "password": "p", "timeout": 60,
            "tls": {{"enabled": true, "port": 2, "ca": {ca:?}, "key": {key:?}}}}}"#
    );
    fs::write(&file, text).unwrap();
    let (mut config, _) = netroxy_server::Config::load(&file).unwrap();
    config.port = Some(0);
    config.tls.as_mut().unwrap().port = 0;
    let server = Server::bind(config).await.unwrap();
    let (plain, secure) = (server.plain_addr().unwrap(), server.tls_addr().unwrap());
    tokio::spawn(server.run(CancellationToken::new()));

    let file = dir.path().join("client_config.json");
    let port = if tls { secure.port() } else { plain.port() };
    let remote_port = free_port();
    let text = format!(
        r#"{{"ip": "127.0.0.1", "port": {port}, "username": "u", "password": "p",
            "tls": {{"enabled": {tls}, "verify": false}},
            "connections": [{{"ip": "{}", "port": {}, "remotePort": {remote_port}, "isOpen": true}}]}}"#,
        service.ip(),
        service.port(),
    );
    fs::write(&file, text).unwrap();
    let (config, _) = netroxy_client::Config::load(&file).unwrap();
    tokio::spawn(Client::new(config).run(CancellationToken::new()));

    let door = SocketAddr::from(([127, 0, 0, 1], remote_port));
    let mapped = async {
        while TcpStream::connect(door).await.is_err() {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(Duration::from_secs(30), mapped)
        .await
        .expect("the port is mapped in time");
    door
}
