//! Tests of how long the last bytes of a reader are kept that broke while it was not read.
#![cfg(target_os = "linux")]

use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
use tokio::net::TcpStream;
use tokio::time::advance;

use super::*;
use crate::test_tcp::pair;

/// A direction that holds bytes, its opposite direction and their streams.
struct Scene {
    up: Direction,
    down: Direction,
    reader: Stream,
    writer: Stream,
    /// The peer of the writer.
    taker: TcpStream,
}

impl Scene {
    /// `closes_first`: whether the peer of the reader has closed in order before it broke.
    async fn new(closes_first: bool) -> Self {
        let (reader, mut sender) = pair().await;
        if closes_first {
            sender.shutdown().await.unwrap();
        }
        SockRef::from(&sender)
            .set_linger(Some(Duration::ZERO))
            .unwrap();
        drop(sender);
        while !reader.ready(Interest::ERROR).await.unwrap().is_error() {}
        let (writer, taker) = pair().await;
        Self {
            up: Direction::new(b"not taken".to_vec(), None, Path::Copy),
            down: Direction::new(Vec::new(), None, Path::Copy),
            reader: Stream::Plain(reader),
            writer: Stream::Plain(writer),
            taker,
        }
    }

    /// The kind of error that the next look gives.
    async fn look(&mut self) -> Option<io::ErrorKind> {
        advance(crate::relay::CHECK).await;
        assert!(self.up.is_not_reading());
        let error = self.up.look(&mut self.down, &self.reader, &self.writer);
        error.map(|error| error.kind())
    }
}

#[tokio::test(start_paused = true)]
async fn last_bytes_are_dropped_if_none_is_taken_between_two_looks() {
    let mut scene = Scene::new(false).await;
    assert_eq!(scene.look().await, None);
    assert_eq!(scene.down.aborted(), Some(io::ErrorKind::ConnectionReset));
    assert_eq!(scene.look().await, Some(io::ErrorKind::ConnectionReset));
}

#[tokio::test(start_paused = true)]
async fn last_bytes_are_kept_for_a_minute_if_some_are_taken() {
    let mut scene = Scene::new(false).await;
    assert_eq!(scene.look().await, None);
    for _ in 0..11 {
        scene.up.copied += 1;
        assert_eq!(scene.look().await, None);
    }
    scene.up.copied += 1;
    assert_eq!(scene.look().await, Some(io::ErrorKind::ConnectionReset));
}

#[tokio::test(start_paused = true)]
async fn bytes_that_leave_the_send_buffer_count_as_taken() {
    let mut scene = Scene::new(false).await;
    while unsent::bytes(scene.writer.tcp()) == 0 {
        // It takes bytes until the systems of both sides have no room.
        let _ = scene.writer.tcp().try_write(&[7; 64 * 1024]);
        sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(scene.look().await, None);
    let before = unsent::bytes(scene.writer.tcp());
    let mut waste = vec![0; 64 * 1024];
    while unsent::bytes(scene.writer.tcp()) == before {
        assert!(scene.taker.read(&mut waste).await.unwrap() > 0);
    }
    assert_eq!(scene.look().await, None);
}

/// No byte may be lost: the answer is complete although its service has broken the connection.
#[tokio::test(start_paused = true)]
async fn bytes_of_a_reader_that_closed_before_its_break_have_no_limit() {
    let mut scene = Scene::new(true).await;
    for _ in 0..100 {
        assert_eq!(scene.look().await, None);
    }
    assert!(matches!(
        scene.down.state,
        State::Broken(io::ErrorKind::BrokenPipe)
    ));
}

#[tokio::test(start_paused = true)]
async fn an_open_reader_is_not_taken_for_a_broken_one() {
    let mut scene = Scene::new(false).await;
    let (alive, _peer) = pair().await;
    scene.reader = Stream::Plain(alive);
    for _ in 0..100 {
        assert_eq!(scene.look().await, None);
    }
    assert!(matches!(scene.down.state, State::Copying));
}
