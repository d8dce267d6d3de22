//! Tests that a relay passes on bytes, ends of one direction and resets unchanged.

use std::io::ErrorKind;
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, Interest};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::*;

/// A relay, its listening server, a client, and the connection that the server accepted for that client.
async fn joined() -> (Between, TcpListener, TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut between = Between::new(Transport::Plain).await.unwrap();
    let address = between.lead_to(listener.local_addr().unwrap(), 1);
    let client = TcpStream::connect(address).await.unwrap();
    let (server, _) = listener.accept().await.unwrap();
    (between, listener, client, server)
}

async fn lines(between: Between) -> Vec<String> {
    let talk = between.talk().await;
    let steps = talk.steps(&[]).into_iter();
    steps
        .map(|(_, step)| {
            let line = netroxy_specification::notation::print_step(&step);
            line.split_whitespace().collect::<Vec<_>>().join(" ")
        })
        .collect()
}

fn reset(stream: TcpStream) {
    SockRef::from(&stream)
        .set_linger(Some(Duration::ZERO))
        .unwrap();
}

/// The number of bytes up to the end of the stream, and the error that ended it.
async fn rest(stream: &mut TcpStream) -> (usize, Option<ErrorKind>) {
    let mut all = Vec::new();
    let ended = timeout(LONG, stream.read_to_end(&mut all)).await.unwrap();
    (all.len(), ended.err().map(|error| error.kind()))
}

const LONG: Duration = Duration::from_secs(20);

#[tokio::test]
async fn the_end_of_one_direction_leaves_the_other_open() {
    for from_client in [true, false] {
        let (between, _listener, client, server) = joined().await;
        let (mut first, mut second) = match from_client {
            true => (client, server),
            false => (server, client),
        };
        first.write_all(b"request").await.unwrap();
        first.shutdown().await.unwrap();
        assert_eq!(rest(&mut second).await, (7, None));
        second.write_all(&[0; 300_000]).await.unwrap();
        second.shutdown().await.unwrap();
        assert_eq!(rest(&mut first).await, (300_000, None));
        let lines = lines(between).await;
        let ends: Vec<&String> = lines
            .iter()
            .filter(|line| line.contains("# after"))
            .collect();
        let (asked, answered) = match from_client {
            true => (
                "conn1 > shutdown # after 7 bytes",
                "conn1 < eof # after 300000 bytes",
            ),
            false => (
                "conn1 < eof # after 7 bytes",
                "conn1 > shutdown # after 300000 bytes",
            ),
        };
        assert_eq!(ends, [asked, answered], "{lines:?}");
    }
}

#[tokio::test]
async fn a_reset_is_passed_on_as_a_reset() {
    for from_client in [true, false] {
        let (between, _listener, client, server) = joined().await;
        let (mut first, mut second) = match from_client {
            true => (client, server),
            false => (server, client),
        };
        first.write_all(b"half a mess").await.unwrap();
        let mut got = [0; 11];
        timeout(LONG, second.read_exact(&mut got))
            .await
            .unwrap()
            .unwrap();
        reset(first);
        let broken = Some(ErrorKind::ConnectionReset);
        assert_eq!(rest(&mut second).await, (0, broken), "{from_client}");
        let lines = lines(between).await;
        let last = lines.last().map(String::as_str);
        let wanted = match from_client {
            true => "conn1 > reset # reset after 11 bytes",
            false => "conn1 < closed # reset after 11 bytes",
        };
        assert_eq!(last, Some(wanted), "{lines:?}");
    }
}

#[tokio::test]
async fn a_reset_is_passed_on_although_the_other_side_does_not_read() {
    let (_between, _listener, mut client, server) = joined().await;
    // This is more than all buffers on the way hold, so the relay keeps bytes that it cannot pass on.
    let more = vec![0; 64 << 20];
    let stuck = timeout(Duration::from_millis(500), client.write_all(&more)).await;
    assert!(stuck.is_err(), "{stuck:?}");
    reset(client);
    let broken = timeout(LONG, server.ready(Interest::ERROR)).await;
    assert!(broken.unwrap().unwrap().is_error());
}
