//! Bytes in both directions, and the ends of a stream.

use super::*;

#[tokio::test]
async fn bytes_of_any_sizes_go_both_ways_at_the_same_time() {
    for (role, version) in ways() {
        let (ours, other) = pair(role, version).await;
        let (mut read, mut write) = split(ours);
        let (mut other_read, mut other_write) = split(other);
        let sent = bytes(3_000_000);
        let (up, down, (), ()) = tokio::join!(
            in_pieces(&mut other_read, 1),
            in_pieces(&mut read, 2),
            write_in_pieces(&mut write, &sent, 3),
            write_in_pieces(&mut other_write, &sent, 4),
        );
        assert!(up == sent && down == sent, "{role:?} {version:?}");
    }
}

/// Reads to the end into buffers of many sizes.
async fn in_pieces(from: &mut (impl AsyncRead + Unpin), seed: u64) -> Vec<u8> {
    let mut sizes = Sizes(seed);
    let mut seen = Vec::new();
    loop {
        let mut buffer = vec![0; sizes.next()];
        match from.read(&mut buffer).await.unwrap() {
            0 => return seen,
            count => seen.extend_from_slice(&buffer[..count]),
        }
    }
}

async fn write_in_pieces(to: &mut (impl AsyncWrite + Unpin), mut bytes: &[u8], seed: u64) {
    let mut sizes = Sizes(seed);
    while !bytes.is_empty() {
        let piece = sizes.next().min(bytes.len());
        to.write_all(&bytes[..piece]).await.unwrap();
        bytes = &bytes[piece..];
    }
    to.shutdown().await.unwrap();
}

/// Sizes of 1 to 400,000 bytes, small ones as often as large ones.
struct Sizes(u64);

impl Sizes {
    fn next(&mut self) -> usize {
        self.0 = (self.0)
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        let bits = (self.0 >> 32) % 19;
        let size = (self.0 >> 40) % (1 << bits) + 1;
        usize::try_from(size).unwrap()
    }
}

/// The other end, which the test drives step by step.
struct Manual {
    tls: ServerConnection,
    tcp: TcpStream,
}

impl Manual {
    /// A client before its handshake, and its server.
    async fn new(version: &'static SupportedProtocolVersion) -> (TlsStream, Self) {
        let (near, tcp) = tcp_pair().await;
        let client = UnbufferedClientConnection::new(client_config(), name()).unwrap();
        let tls = ServerConnection::new(server_config(version, provider())).unwrap();
        let ours = TlsStream::begin(near, Session::Client(Box::new(client)));
        (ours, Self { tls, tcp })
    }

    /// The bytes that it wants to send.
    fn output(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        while self.tls.wants_write() {
            self.tls.write_tls(&mut bytes).unwrap();
        }
        bytes
    }

    /// Reads the bytes that have come.
    fn receive(&mut self) {
        let mut buffer = [0; 4096];
        while let Ok(count) = self.tcp.try_read(&mut buffer) {
            let mut rest = &buffer[..count];
            while !rest.is_empty() {
                self.tls.read_tls(&mut rest).unwrap();
                self.tls.process_new_packets().unwrap();
            }
        }
    }
}

#[tokio::test]
async fn a_handshake_may_arrive_byte_by_byte() {
    for version in VERSIONS {
        let (mut ours, mut other) = Manual::new(version).await;
        let mut shaken = once(|cx| ours.poll_handshake(cx)).await;
        while other.tls.is_handshaking() {
            other.tcp.readable().await.unwrap();
            other.receive();
            for byte in other.output() {
                // With TLS 1.3 the tickets come after the client's last message.
                assert!(shaken.is_pending() || !other.tls.is_handshaking());
                other.tcp.write_all(&[byte]).await.unwrap();
                ours.tcp.readable().await.unwrap();
                if shaken.is_pending() {
                    shaken = once(|cx| ours.poll_handshake(cx)).await;
                }
            }
        }
        assert!(matches!(shaken, Poll::Ready(Ok(()))), "{version:?}");
        assert!(!ours.session.is_handshaking());
    }
}

#[tokio::test]
async fn records_may_be_cut_at_any_byte() {
    for (role, version) in ways() {
        let (mut ours, mut other) = pair(role, version).await;
        // Reads what follows the handshake, such as tickets.
        other.write_all(b"!").await.unwrap();
        assert_eq!(ours.read_u8().await.unwrap(), b'!');
        let mut cut = 0;
        loop {
            let (first, second) = (b"one record", b"another, which is longer");
            let mut records = Vec::new();
            for text in [&first[..], second] {
                io::Write::write_all(&mut plain_writer(&mut other), text).unwrap();
                write_tls(&mut other, &mut records);
            }
            if cut == records.len() {
                break;
            }
            let (before, after) = records.split_at(cut);
            let mut seen = Vec::new();
            for part in [before, after].into_iter().filter(|part| !part.is_empty()) {
                other.get_mut().0.write_all(part).await.unwrap();
                let mut buffer = [0; 64];
                ours.tcp.readable().await.unwrap();
                // One read takes all bytes that came, and returns all complete records.
                let mut buf = ReadBuf::new(&mut buffer);
                let _ = once(|cx| Pin::new(&mut ours).poll_read(cx, &mut buf)).await;
                seen.push(buf.filled().to_vec());
            }
            assert_eq!(seen.concat(), [&first[..], second].concat(), "{cut}");
            assert_eq!(ours.buffers(), 0, "{cut}");
            cut += 1;
        }
        assert!(cut > 70, "{cut}");
    }
}

fn plain_writer(other: &mut Other) -> rustls::Writer<'_> {
    match other {
        Other::Client(other) => other.get_mut().1.writer(),
        Other::Server(other) => other.get_mut().1.writer(),
    }
}

fn write_tls(other: &mut Other, to: &mut Vec<u8>) {
    match other {
        Other::Client(other) => other.get_mut().1.write_tls(to).unwrap(),
        Other::Server(other) => other.get_mut().1.write_tls(to).unwrap(),
    };
}

#[tokio::test]
async fn a_record_that_is_larger_than_the_readers_buffer_is_read_in_parts() {
    for (role, version) in ways() {
        let (mut ours, mut other) = pair(role, version).await;
        let sent = bytes(100_000);
        let writing = async {
            other.write_all(&sent).await.unwrap();
            other.shutdown().await.unwrap();
        };
        let reading = async {
            let mut seen = Vec::new();
            let mut buffer = [0; 100];
            loop {
                match ours.read(&mut buffer).await.unwrap() {
                    0 => return seen,
                    count => seen.extend_from_slice(&buffer[..count]),
                }
                let (held, left) = (ours.incoming.capacity(), ours.plain.capacity());
                assert!(held <= 2 * RECORD && left <= 2 * RECORD, "{held} {left}");
            }
        };
        let (seen, ()) = tokio::join!(reading, writing);
        assert!(seen == sent);
        assert_eq!(ours.buffers(), 0);
    }
}

#[tokio::test]
async fn an_idle_stream_holds_no_buffers() {
    for (role, version) in ways() {
        let (mut ours, mut other) = pair(role, version).await;
        assert_eq!(ours.buffers(), 0);
        let sent = bytes(1_000_000);
        let mut seen = vec![0; sent.len()];
        let (read, written) = tokio::join!(other.read_exact(&mut seen), async {
            ours.write_all(&sent).await?;
            ours.flush().await
        });
        assert!((read.unwrap(), written.unwrap()) == (sent.len(), ()) && seen == sent);
        let (read, written) = tokio::join!(ours.read_exact(&mut seen), async {
            other.write_all(&sent).await?;
            other.flush().await
        });
        assert!((read.unwrap(), written.unwrap()) == (sent.len(), ()) && seen == sent);
        assert_eq!(ours.buffers(), 0);
    }
}

#[tokio::test]
async fn a_close_notify_ends_the_reads_and_the_writes_go_on() {
    for (role, version) in ways() {
        let (mut ours, mut other) = pair(role, version).await;
        other.write_all(b"last words").await.unwrap();
        other.shutdown().await.unwrap();
        let mut seen = Vec::new();
        ours.read_to_end(&mut seen).await.unwrap();
        assert_eq!(seen, b"last words");
        assert_eq!(ours.read(&mut [0]).await.unwrap(), 0);
        let answer = bytes(500_000);
        let answering = async {
            ours.write_all(&answer).await.unwrap();
            ours.shutdown().await.unwrap();
        };
        let mut seen = Vec::new();
        let (read, ()) = tokio::join!(other.read_to_end(&mut seen), answering);
        read.unwrap();
        assert!(seen == answer, "{role:?} {version:?}");
        let after = ours.write(b"x").await.unwrap_err();
        assert_eq!(after.kind(), io::ErrorKind::BrokenPipe);
    }
}

#[tokio::test]
async fn a_shutdown_comes_after_all_written_bytes_and_reads_go_on() {
    for (role, version) in ways() {
        let (mut ours, mut other) = pair(role, version).await;
        ours.write_all(b"question").await.unwrap();
        ours.shutdown().await.unwrap();
        let mut seen = Vec::new();
        other.read_to_end(&mut seen).await.unwrap();
        assert_eq!(seen, b"question");
        other.write_all(b"answer").await.unwrap();
        other.shutdown().await.unwrap();
        seen.clear();
        ours.read_to_end(&mut seen).await.unwrap();
        assert_eq!(seen, b"answer");
    }
}

#[tokio::test]
async fn an_end_of_tcp_alone_is_an_error_after_the_bytes_before_it() {
    for (role, version) in ways() {
        let (mut ours, mut other) = pair(role, version).await;
        other.write_all(b"half").await.unwrap();
        other.get_mut().0.shutdown().await.unwrap();
        let mut seen = [0; 100];
        assert_eq!(ours.read(&mut seen).await.unwrap(), 4);
        for _ in 0..2 {
            let error = ours.read(&mut seen).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        }
        // It is also a half-close, so writes go on.
        ours.write_all(b"answer").await.unwrap();
        other.read_exact(&mut seen[..6]).await.unwrap();
    }
}

#[tokio::test]
async fn a_reset_is_the_error_connection_reset() {
    for (role, version) in ways() {
        let (mut ours, mut other) = pair(role, version).await;
        let tcp = other.get_mut().0;
        SockRef::from(&*tcp)
            .set_linger(Some(Duration::ZERO))
            .unwrap();
        drop(other);
        let error = ours.read(&mut [0]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    }
}

#[tokio::test]
async fn a_bad_record_is_answered_by_an_alert_and_fails_the_next_read() {
    for (role, version) in ways() {
        let (mut ours, mut other) = pair(role, version).await;
        let mut sent = Vec::new();
        io::Write::write_all(&mut plain_writer(&mut other), b"good").unwrap();
        write_tls(&mut other, &mut sent);
        sent.extend_from_slice(b"\x17\x03\x03\x00\x20not what the keys of this make..");
        other.get_mut().0.write_all(&sent).await.unwrap();
        let mut seen = [0; 100];
        assert_eq!(ours.read(&mut seen).await.unwrap(), 4);
        let error = ours.read(&mut seen).await.unwrap_err();
        assert_eq!(cause(&error), &Error::DecryptError);
        let alerted = timeout(PATIENCE, other.read(&mut seen)).await;
        let error = alerted.expect("an alert comes").unwrap_err();
        let alert = AlertDescription::BadRecordMac;
        assert_eq!(cause(&error), &Error::AlertReceived(alert));
        let error = ours.write(b"x").await.unwrap_err();
        assert_eq!(cause(&error), &Error::DecryptError);
        // A second read waits for the end, and then returns the error again.
        let mut buf = ReadBuf::new(&mut seen);
        assert!(
            once(|cx| Pin::new(&mut ours).poll_read(cx, &mut buf))
                .await
                .is_pending()
        );
        ours.shutdown().await.unwrap();
        drop(other);
        let error = ours.read(&mut seen).await.unwrap_err();
        assert_eq!(cause(&error), &Error::DecryptError);
    }
}

#[tokio::test]
async fn an_alert_is_the_error_of_the_next_read() {
    for (role, version) in ways() {
        let (mut ours, mut other) = pair(role, version).await;
        let garbage = b"\x17\x03\x03\x00\x20not what the keys of this make..";
        ours.tcp.try_write(garbage).unwrap();
        other.read(&mut [0]).await.unwrap_err();
        let error = ours.read(&mut [0]).await.unwrap_err();
        let alert = AlertDescription::BadRecordMac;
        assert_eq!(cause(&error), &Error::AlertReceived(alert));
    }
}

#[tokio::test]
async fn bytes_without_tls_fail_the_handshake_and_get_an_alert() {
    let (near, mut far) = tcp_pair().await;
    far.write_all(b"ATH\nname\nuser\npassword\n").await.unwrap();
    let config = server_config(&TLS13, provider());
    let (error, tcp) = accept(config, near).await.unwrap_err();
    let invalid = Error::InvalidMessage(InvalidMessage::InvalidContentType);
    assert_eq!(cause(&error), &invalid);
    let mut alert = [0; 7];
    let alerted = timeout(PATIENCE, far.read_exact(&mut alert)).await;
    alerted.expect("an alert comes").unwrap();
    assert_eq!(alert, [21, 3, 3, 0, 2, 2, 50]);
    drop(tcp);
}

#[tokio::test]
async fn an_end_during_the_handshake_is_an_unexpected_eof() {
    for role in [Role::Client, Role::Server] {
        let (near, far) = tcp_pair().await;
        SockRef::from(&far)
            .shutdown(std::net::Shutdown::Write)
            .unwrap();
        let error = match role {
            Role::Client => connect(client_config(), name(), near).await.unwrap_err(),
            Role::Server => {
                let shaken = accept(server_config(&TLS13, provider()), near).await;
                shaken.unwrap_err().0
            }
        };
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof, "{role:?}");
    }
}
