//! The client with a server that loses bytes that arrive together with TRS, as the original server does.

use std::fs;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use netroxy_client::{Client, Config};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::support::LONG;

const BANNER: &str = "220 hello\r\n";

/// A server with one client and no users. It requests tunnels, and reads what arrives.
struct Lossy {
    listener: TcpListener,
    control: TcpStream,
    _stop: DropGuard,
}

/// A client that has logged in and mapped a service, which sends its banner first.
async fn lossy(token: &str, more: &str) -> Lossy {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = listener.local_addr().unwrap();
    let service: SocketAddr = crate::support::echo(BANNER).await;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("client_config.json");
    fs::write(&file, crate::support::config(server, &[(7, service)], more)).unwrap();
    let (config, _) = Config::load(&file).unwrap();
    let stop = CancellationToken::new();
    tokio::spawn(Client::new(config).run(stop.clone()));
    let (mut control, _) = listener.accept().await.unwrap();
    let mut lines = BufReader::new(&mut control).lines();
    for _ in 0..4 {
        lines.next_line().await.unwrap();
    }
    let answer = format!("ARS\ntrue\n3600\n{token}\n");
    lines.get_mut().write_all(answer.as_bytes()).await.unwrap();
    for _ in 0..4 {
        lines.next_line().await.unwrap();
    }
    control.write_all(b"MRS\n7\ntrue\n").await.unwrap();
    Lossy {
        listener,
        control,
        _stop: stop.drop_guard(),
    }
}

impl Lossy {
    async fn ask_for_tunnel(&mut self) -> TcpStream {
        self.control.write_all(b"TRQ\n7\n").await.unwrap();
        self.listener.accept().await.unwrap().0
    }
}

/// What the user gets: all bytes except those that arrived with TRS.
async fn to_the_user(mut data: TcpStream) -> String {
    let mut first = [0; 4096];
    let length = data.read(&mut first).await.unwrap();
    assert!(first[..length].starts_with(b"TRS\n"));
    // The user has sent all, so the service ends too.
    data.shutdown().await.unwrap();
    let mut rest = String::new();
    data.read_to_string(&mut rest).await.unwrap();
    rest
}

const ORIGINAL_TOKEN: &str = "0123456789abcdef0123456789abcdef";
const OTHER_TOKEN: &str = "0123456789ABCDEF0123456789ABCDEF";

/// The time is longer than the 20 ms of the program, because the test may be slow on a busy machine.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_banner_is_lost_if_first_bytes_are_held_back() {
    let Lossy {
        listener,
        mut control,
        _stop,
    } = lossy(OTHER_TOKEN, r#""holdFirstBytesMs": 1500,"#).await;
    let room = Arc::new(Semaphore::new(250));
    let (tell, mut served) = mpsc::unbounded_channel();
    let has_room = room.clone();
    tokio::spawn(async move {
        while let Ok((mut data, _)) = listener.accept().await {
            let (room, tell) = (has_room.clone(), tell.clone());
            tokio::spawn(async move {
                let mut first = [0; 4096];
                let length = data.read(&mut first).await.unwrap_or(0);
                if length == 0 {
                    // A spare that was not used.
                    return;
                }
                let is_trs = first[..length].starts_with(b"TRS\n");
                let mut banner = vec![0; BANNER.len()];
                let read = timeout(LONG, data.read_exact(&mut banner)).await;
                room.add_permits(1);
                let is_read = read.is_ok_and(|read| read.is_ok());
                let _ = tell.send(is_trs && is_read && banner == BANNER.as_bytes());
            });
        }
    });
    for _ in 0..1000 {
        room.acquire().await.unwrap().forget();
        control.write_all(b"TRQ\n7\n").await.unwrap();
    }
    for _ in 0..1000 {
        assert_eq!(served.recv().await, Some(true));
    }
}

/// Only a least time is checked, so a slow machine does not break the test.
#[tokio::test]
async fn a_banner_is_held_back_from_a_server_that_is_or_looks_original() {
    for (token, more) in [
        (OTHER_TOKEN, r#""peer": "original","#),
        (ORIGINAL_TOKEN, r#""peer": "original","#),
        (ORIGINAL_TOKEN, r#""peer": "auto","#),
        (ORIGINAL_TOKEN, ""),
    ] {
        let mut server = lossy(token, more).await;
        let start = Instant::now();
        let mut data = server.ask_for_tunnel().await;
        let expected = format!("TRS\n{token}\n7\n{BANNER}");
        let mut all = vec![0; expected.len()];
        data.read_exact(&mut all).await.unwrap();
        assert_eq!(all, expected.as_bytes());
        let after = start.elapsed();
        assert!(after >= Duration::from_millis(20), "{after:?} {more}");
    }
}

/// Bytes of the user show that the server has read TRS.
#[tokio::test]
async fn the_banner_is_sent_as_soon_as_bytes_of_the_user_arrive() {
    let mut server = lossy(ORIGINAL_TOKEN, r#""holdFirstBytesMs": 10000,"#).await;
    let start = Instant::now();
    let data = server.ask_for_tunnel().await;
    assert_eq!(to_the_user(data).await, BANNER);
    assert!(start.elapsed() < Duration::from_secs(10));
}
