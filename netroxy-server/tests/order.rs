//! Users that come at the same time.
#![allow(clippy::unwrap_used, reason = "an unwrap that fails is a failed test")]

use std::{fs, net::SocketAddr};

use netroxy_server::{Config, Server};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    runtime::Builder,
};
use tokio_util::sync::CancellationToken;

#[path = "../../netroxy-net/tests/support/free_port.rs"]
mod free_port;
use free_port::free_port;

const USERS: u8 = 40;

/// The first bytes of each user tell who it is; nobody waits for TRQ before the next user comes.
#[test]
fn users_that_come_at_once_are_served_in_their_order() {
    let runtime = Builder::new_multi_thread()
        .worker_threads(4)
        .enable_all()
        .build();
    runtime.unwrap().block_on(async {
        let addr = server().await;
        let mut control = TcpStream::connect(addr).await.unwrap();
        control.write_all(b"ATH\nn\nu\np\n").await.unwrap();
        let ars = lines(&mut control, 4).await;
        let token = ars.lines().nth(3).unwrap();
        let port = free_port();
        let map = format!("MAP\n{port}\nt:1\ntrue\n");
        control.write_all(map.as_bytes()).await.unwrap();
        assert_eq!(lines(&mut control, 3).await, format!("MRS\n{port}\ntrue\n"));

        let mut users = Vec::new();
        for _ in 0..USERS {
            users.push(TcpStream::connect(("127.0.0.1", port)).await.unwrap());
        }
        lines(&mut control, 2 * usize::from(USERS)).await;
        for (user, number) in users.iter_mut().zip(0..) {
            user.write_all(&[number]).await.unwrap();
        }
        let mut served = Vec::new();
        for _ in 0..USERS {
            let mut data = TcpStream::connect(addr).await.unwrap();
            let trs = format!("TRS\n{token}\n{port}\n");
            data.write_all(trs.as_bytes()).await.unwrap();
            served.push(data.read_u8().await.unwrap());
        }
        assert_eq!(served, (0..USERS).collect::<Vec<u8>>());
    });
}

async fn server() -> SocketAddr {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("server_config.json");
    let text = r#"{"ip": "127.0.0.1", "port": 1, "username": "u", "password": "p", "timeout": 30}"#;
    fs::write(&file, text).unwrap();
    let (mut config, _) = Config::load(&file).unwrap();
    config.port = Some(0);
    let server = Server::bind(config).await.unwrap();
    let addr = server.plain_addr().unwrap();
    tokio::spawn(server.run(CancellationToken::new()));
    addr
}

async fn lines(stream: &mut TcpStream, count: usize) -> String {
    let mut text = String::new();
    while text.matches('\n').count() < count {
        text.push(char::from(stream.read_u8().await.unwrap()));
    }
    text
}
