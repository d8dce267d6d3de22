//! A stream that is relayed, and its end by a reset.

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::relay::{Summary, relay};
use crate::stream::Stream;

/// A user on plain TCP, the other end on TLS, and a relay between them.
async fn relayed(
    role: Role,
    version: &'static SupportedProtocolVersion,
) -> (TcpStream, Other, JoinHandle<Summary>) {
    let (user, near) = tcp_pair().await;
    let (ours, other) = pair(role, version).await;
    let relaying = tokio::spawn(async move {
        let cut = CancellationToken::new();
        relay(Stream::Plain(near), ours.into(), Vec::new(), &cut).await
    });
    (user, other, relaying)
}

#[tokio::test]
async fn bulk_and_half_closes_go_through_a_relay() {
    for (role, version) in ways() {
        let (mut user, mut other, relaying) = relayed(role, version).await;
        let (question, answer) = (bytes(3_000_000), bytes(2_000_000));
        let asking = async {
            user.write_all(&question).await.unwrap();
            user.shutdown().await.unwrap();
            let mut seen = Vec::new();
            user.read_to_end(&mut seen).await.unwrap();
            seen
        };
        let answering = async {
            let mut seen = Vec::new();
            other.read_to_end(&mut seen).await.unwrap();
            other.write_all(&answer).await.unwrap();
            other.shutdown().await.unwrap();
            seen
        };
        let (answered, asked) = tokio::join!(asking, answering);
        assert!(
            answered == answer && asked == question,
            "{role:?} {version:?}"
        );
        let summary = relaying.await.unwrap();
        assert!(summary.broken.is_none(), "{summary:?}");
        assert_eq!((summary.a_to_b, summary.b_to_a), (3_000_000, 2_000_000));
    }
}

#[tokio::test]
async fn a_reset_of_the_user_is_an_error_for_the_peer_on_tls() {
    for (role, version) in ways() {
        let (mut user, mut other, relaying) = relayed(role, version).await;
        user.write_all(b"half").await.unwrap();
        let mut seen = [0; 4];
        other.read_exact(&mut seen).await.unwrap();
        SockRef::from(&user)
            .set_linger(Some(Duration::ZERO))
            .unwrap();
        drop(user);
        let end = other.read(&mut seen).await;
        assert!(end.is_err(), "{role:?} {version:?} {end:?}");
        assert!(relaying.await.unwrap().broken.is_some());
    }
}

/// This includes bytes that are encrypted and that the socket has not taken.
#[tokio::test]
async fn written_bytes_arrive_before_a_reset() {
    for (role, version) in ways() {
        let (mut ours, mut other) = pair(role, version).await;
        let piece = bytes(300_000);
        let mut written = Vec::new();
        while let Poll::Ready(count) = once(|cx| Pin::new(&mut ours).poll_write(cx, &piece)).await {
            written.extend_from_slice(&piece[..count.unwrap()]);
        }
        assert!(!ours.outgoing.is_empty());
        let aborting = tokio::spawn(Stream::from(ours).abort());
        let mut seen = vec![0; written.len()];
        other.read_exact(&mut seen).await.unwrap();
        assert!(seen == written, "{role:?} {version:?}");
        let end = other.read(&mut seen).await.unwrap_err();
        assert_eq!(end.kind(), io::ErrorKind::ConnectionReset);
        aborting.await.unwrap();
    }
}
