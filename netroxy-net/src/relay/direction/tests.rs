//! How long the last bytes of a side are kept that broke off while it was not read.
#![cfg(target_os = "linux")]

use socket2::SockRef;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, Interest},
    net::TcpStream,
    time::advance,
};

use super::*;
use crate::test_tcp::pair;

/// A direction that is stuck, and all that is around it.
struct Scene {
    up: Direction,
    down: Direction,
    reader: Stream,
    writer: Stream,
    /// The peer of the writer.
    taker: TcpStream,
}

impl Scene {
    /// `says_all`: whether the reader's peer has ended before it broke off.
    async fn new(says_all: bool) -> Self {
        let (reader, mut sender) = pair().await;
        if says_all {
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
        assert!(self.up.is_blind());
        let error = self.up.look(&mut self.down, &self.reader, &self.writer);
        error.map(|error| error.kind())
    }
}

#[tokio::test(start_paused = true)]
async fn a_writer_that_takes_nothing_has_until_the_next_look() {
    let mut scene = Scene::new(false).await;
    assert_eq!(scene.look().await, None);
    assert_eq!(scene.down.aborted(), Some(io::ErrorKind::ConnectionReset));
    assert_eq!(scene.look().await, Some(io::ErrorKind::ConnectionReset));
}

#[tokio::test(start_paused = true)]
async fn a_writer_that_takes_some_has_a_minute() {
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
async fn what_the_system_of_a_writer_gets_rid_of_is_taken() {
    let mut scene = Scene::new(false).await;
    while unsent::bytes(scene.writer.tcp()) == 0 {
        // Room is there until the system of the other side has no more.
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

/// Nothing of it may get lost: an answer is complete although its service has gone.
#[tokio::test(start_paused = true)]
async fn a_reader_that_has_said_all_leaves_all_the_time() {
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
async fn a_reader_that_is_there_is_left_alone() {
    let mut scene = Scene::new(false).await;
    let (alive, _peer) = pair().await;
    scene.reader = Stream::Plain(alive);
    for _ in 0..100 {
        assert_eq!(scene.look().await, None);
    }
    assert!(matches!(scene.down.state, State::Copying));
}
