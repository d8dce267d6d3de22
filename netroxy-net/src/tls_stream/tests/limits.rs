//! How much memory a peer can make a stream hold.

use super::*;

#[tokio::test]
async fn a_stream_holds_at_most_one_piece_for_a_peer_that_does_not_read() {
    for (role, version) in ways() {
        let (mut ours, mut other) = pair(role, version).await;
        let piece = bytes(1_000_000);
        let mut written = Vec::new();
        let mut pending = 0;
        // The system of the peer takes bytes for a while.
        while pending < 20 {
            match once(|cx| Pin::new(&mut ours).poll_write(cx, &piece)).await {
                Poll::Ready(count) => {
                    let count = count.unwrap();
                    assert!(count > 0 && count <= PIECE);
                    written.extend_from_slice(&piece[..count]);
                    pending = 0;
                }
                Poll::Pending => {
                    pending += 1;
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            }
            assert!(ours.buffers() <= PIECE + OVERHEAD, "{}", ours.buffers());
        }
        assert!(written.len() > PIECE, "{role:?} {version:?}");
        let mut seen = vec![0; written.len()];
        let (flushed, read) = tokio::join!(ours.flush(), other.read_exact(&mut seen));
        flushed.unwrap();
        read.unwrap();
        assert!(seen == written);
        assert_eq!(ours.buffers(), 0);
    }
}

#[tokio::test]
async fn a_handshake_message_that_does_not_end_is_refused() {
    let (near, mut far) = tcp_pair().await;
    let config = server_config(&TLS13, provider());
    let connection = UnbufferedServerConnection::new(config).unwrap();
    let mut ours = TlsStream::begin(near, Session::Server(Box::new(connection)));
    let flooding = async {
        // A ClientHello of 65,535 bytes, with a record for each of them.
        let header = [1, 0, 0xff, 0xff];
        for byte in header.into_iter().chain(std::iter::repeat_n(0, 0xffff)) {
            if far.write_all(&[22, 3, 1, 0, 1, byte]).await.is_err() {
                return;
            }
        }
        panic!("the whole message was read");
    };
    let refused = async {
        let error = poll_fn(|cx| ours.poll_handshake(cx)).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        assert!(error.to_string().contains("does not end"), "{error}");
        let held = ours.buffers();
        assert!(held <= 2 * (HANDSHAKE_MESSAGE + RECORD), "{held}");
        drop(ours);
    };
    let both = async { tokio::join!(flooding, refused) };
    timeout(PATIENCE, both).await.unwrap();
}

/// The caller drops the handshake after a time-out.
#[tokio::test]
async fn a_handshake_that_is_dropped_closes_the_connection() {
    let (near, mut far) = tcp_pair().await;
    let config = server_config(&TLS13, provider());
    let shaking = timeout(Duration::from_millis(10), accept(config, near));
    assert!(shaking.await.is_err());
    assert_eq!(far.read(&mut [0]).await.unwrap(), 0);
}
