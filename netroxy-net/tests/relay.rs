//! The relay, between in-memory streams and between real sockets.
#![allow(clippy::unwrap_used, reason = "an unwrap that fails is a failed test")]

use std::io;

use netroxy_net::{
    relay::{copy_both_ways, relay},
    stream::Stream,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, duplex},
    net::{TcpListener, TcpStream},
};

#[tokio::test]
async fn a_half_close_is_carried_over_and_the_answer_still_comes() {
    let (mut user, mut near) = duplex(64);
    let (mut far, mut service) = duplex(64);
    let relaying = tokio::spawn(async move { copy_both_ways(&mut near, &mut far, vec![]).await });

    user.write_all(b"question").await.unwrap();
    user.shutdown().await.unwrap();
    let mut question = Vec::new();
    service.read_to_end(&mut question).await.unwrap();
    assert_eq!(question, b"question");

    service.write_all(b"answer").await.unwrap();
    drop(service);
    let mut answer = Vec::new();
    user.read_to_end(&mut answer).await.unwrap();
    assert_eq!(answer, b"answer");

    let summary = relaying.await.unwrap();
    assert_eq!((summary.a_to_b, summary.b_to_a), (8, 6));
    assert!(summary.broken.is_none());
}

#[tokio::test]
async fn early_bytes_come_first_and_are_counted() {
    let (user, mut near) = duplex(64);
    let (mut far, mut service) = duplex(64);
    let early = b"early ".to_vec();
    let relaying = tokio::spawn(async move { copy_both_ways(&mut near, &mut far, early).await });
    let (mut from, mut to) = tokio::io::split(user);
    to.write_all(b"late").await.unwrap();
    to.shutdown().await.unwrap();
    let mut seen = Vec::new();
    service.read_to_end(&mut seen).await.unwrap();
    assert_eq!(seen, b"early late");
    drop(service);
    assert_eq!(from.read(&mut [0]).await.unwrap(), 0);
    assert_eq!(relaying.await.unwrap().a_to_b, 10);
}

/// Both directions at once through windows that are much smaller than the data: every byte waits
/// for room many times.
#[tokio::test]
async fn bulk_survives_back_pressure_in_both_directions() {
    const SIZE: usize = 3 * 1024 * 1024;
    let pattern = |seed: usize| -> Vec<u8> {
        (0..SIZE)
            .map(|i| u8::try_from((i * 31 + i / 257 + seed) % 256).unwrap())
            .collect()
    };
    let (user, mut near) = duplex(1000);
    let (mut far, service) = duplex(777);
    let relaying = tokio::spawn(async move { copy_both_ways(&mut near, &mut far, vec![]).await });
    let exchange = |stream, own: Vec<u8>| async move {
        let (mut from, mut to) = tokio::io::split(stream);
        let writing = tokio::spawn(async move {
            to.write_all(&own).await.unwrap();
            to.shutdown().await.unwrap();
        });
        let mut seen = Vec::new();
        from.read_to_end(&mut seen).await.unwrap();
        writing.await.unwrap();
        seen
    };
    let (at_user, at_service) =
        tokio::join!(exchange(user, pattern(1)), exchange(service, pattern(2)));
    assert!(at_user == pattern(2));
    assert!(at_service == pattern(1));
    let summary = relaying.await.unwrap();
    assert_eq!((summary.a_to_b, summary.b_to_a), (SIZE as u64, SIZE as u64));
}

async fn socket_pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let near = TcpStream::connect(listener.local_addr().unwrap())
        .await
        .unwrap();
    (near, listener.accept().await.unwrap().0)
}

#[tokio::test]
async fn a_reset_is_passed_on_as_a_reset() {
    let (user, near) = socket_pair().await;
    let (far, mut service) = socket_pair().await;
    let relaying = tokio::spawn(relay(Stream::Plain(near), Stream::Plain(far), vec![]));
    Stream::Plain(user).reset();
    let error = service.read(&mut [0]).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    assert!(relaying.await.unwrap().broken.is_some());
}

/// The service stops reading, answers and goes, while the user still sends: the answer arrives.
#[tokio::test]
async fn a_writer_that_breaks_does_not_stop_the_other_direction() {
    let (mut user, mut near) = duplex(1 << 16);
    let (mut far, service) = duplex(1 << 16);
    let (mut from_relay, mut to_relay) = tokio::io::split(service);
    to_relay.write_all(b"enough").await.unwrap();
    let relaying = tokio::spawn(async move { copy_both_ways(&mut near, &mut far, vec![]).await });
    user.write_all(b"first").await.unwrap();
    from_relay.read_exact(&mut [0; 5]).await.unwrap();
    drop((from_relay, to_relay));
    // May or may not be taken, by whatever still stands.
    let _ = user.write_all(b"more").await;
    let mut seen = Vec::new();
    user.read_to_end(&mut seen).await.unwrap();
    assert_eq!(seen, b"enough");
    drop(user);
    relaying.await.unwrap();
}

#[tokio::test]
async fn closing_with_unread_input_does_not_destroy_the_last_words() {
    let (near, mut far) = socket_pair().await;
    far.write_all(&vec![7; 100_000]).await.unwrap();
    let mut near = Stream::Plain(near);
    near.write_all(b"goodbye").await.unwrap();
    let closing = tokio::spawn(near.close());
    let mut seen = Vec::new();
    far.read_to_end(&mut seen).await.unwrap();
    assert_eq!(seen, b"goodbye");
    drop(far);
    closing.await.unwrap();
}
