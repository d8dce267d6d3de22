// Tests of a relay on the path `PATH`. The module that includes this file sets it.

use std::{
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use netroxy_net::{
    relay::{Broken, Progress, Summary, Terms, relay},
    stream::Stream,
    throttle::Throttle,
};
use socket2::SockRef;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

struct Rig {
    user: TcpStream,
    service: TcpStream,
    cut: CancellationToken,
    relaying: JoinHandle<Summary>,
}

/// A user and a service with a relay between them. The relay has already read `early` from the user.
async fn rig(early: &[u8]) -> Rig {
    rig_on(early.to_vec().into()).await
}

async fn rig_on(mut terms: Terms) -> Rig {
    terms.path = super::PATH;
    let (user, near) = socket_pair().await;
    let (far, service) = socket_pair().await;
    let cut = CancellationToken::new();
    let relaying = tokio::spawn({
        let cut = cut.clone();
        async move { relay(Stream::Plain(near), Stream::Plain(far), terms, &cut).await }
    });
    Rig {
        user,
        service,
        cut,
        relaying,
    }
}

/// The two ends of a connection whose send buffers are smaller than the bulk of the tests, so that writes wait.
async fn socket_pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let near = TcpStream::connect(listener.local_addr().unwrap())
        .await
        .unwrap();
    let far = listener.accept().await.unwrap().0;
    for end in [&near, &far] {
        SockRef::from(end).set_send_buffer_size(128 * 1024).unwrap();
    }
    (near, far)
}

/// Resets a connection.
fn reset(stream: TcpStream) {
    SockRef::from(&stream)
        .set_linger(Some(Duration::ZERO))
        .unwrap();
}

async fn read_all(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut seen = Vec::new();
    stream.read_to_end(&mut seen).await.map(|_| seen)
}

#[tokio::test]
async fn a_half_close_is_carried_over_and_the_answer_still_comes() {
    let mut rig = rig(b"").await;
    rig.user.write_all(b"question").await.unwrap();
    rig.user.shutdown().await.unwrap();
    assert_eq!(read_all(&mut rig.service).await.unwrap(), b"question");
    rig.service.write_all(b"answer").await.unwrap();
    drop(rig.service);
    assert_eq!(read_all(&mut rig.user).await.unwrap(), b"answer");
    let summary = rig.relaying.await.unwrap();
    assert_eq!((summary.a_to_b, summary.b_to_a), (8, 6));
    assert!(summary.broken.is_none());
}

#[tokio::test]
async fn early_bytes_come_first_and_are_counted() {
    let mut rig = rig(b"early ").await;
    rig.user.write_all(b"late").await.unwrap();
    rig.user.shutdown().await.unwrap();
    assert_eq!(read_all(&mut rig.service).await.unwrap(), b"early late");
    drop(rig.service);
    assert_eq!(read_all(&mut rig.user).await.unwrap(), b"");
    assert_eq!(rig.relaying.await.unwrap().a_to_b, 10);
}

fn pattern(seed: usize, size: usize) -> Vec<u8> {
    (0..size)
        .map(|i| u8::try_from((i * 31 + i / 257 + seed) % 256).unwrap())
        .collect()
}

#[tokio::test]
async fn bulk_survives_back_pressure_in_both_directions_at_once() {
    const SIZE: usize = 5 * 1024 * 1024;
    let rig = rig(b"").await;
    let exchange = |stream: TcpStream, own: Vec<u8>| async move {
        let (mut from, mut to) = stream.into_split();
        let writing = tokio::spawn(async move {
            to.write_all(&own).await.unwrap();
            to.shutdown().await.unwrap();
        });
        let mut seen = Vec::new();
        from.read_to_end(&mut seen).await.unwrap();
        writing.await.unwrap();
        seen
    };
    let (at_user, at_service) = tokio::join!(
        exchange(rig.user, pattern(1, SIZE)),
        exchange(rig.service, pattern(2, SIZE))
    );
    assert!(at_user == pattern(2, SIZE));
    assert!(at_service == pattern(1, SIZE));
    let summary = rig.relaying.await.unwrap();
    assert_eq!((summary.a_to_b, summary.b_to_a), (SIZE as u64, SIZE as u64));
}

#[tokio::test]
async fn a_reset_is_passed_on_as_a_reset() {
    let mut rig = rig(b"").await;
    reset(rig.user);
    let error = read_all(&mut rig.service).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    assert!(rig.relaying.await.unwrap().broken.is_some());
}

/// One side sends bytes and resets its connection. The other side reads only after that.
#[tokio::test]
async fn bytes_before_a_reset_arrive_before_the_reset() {
    for upwards in [true, false] {
        let rig = rig(b"").await;
        let (mut sender, mut receiver) = match upwards {
            true => (rig.user, rig.service),
            false => (rig.service, rig.user),
        };
        let sent = pattern(5, 100_000);
        sender.write_all(&sent).await.unwrap();
        a_moment().await;
        reset(sender);
        a_moment().await;
        let mut seen = vec![0; sent.len()];
        receiver.read_exact(&mut seen).await.unwrap();
        assert!(seen == sent);
        let error = receiver.read(&mut [0]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
        assert!(rig.relaying.await.unwrap().broken.is_some());
    }
}

/// A write to a side that was reset takes the error from the socket, and the next read returns an end.
#[tokio::test]
async fn a_reset_during_traffic_the_other_way_never_looks_like_an_end() {
    for upwards in [true, false] {
        for _ in 0..20 {
            let rig = rig(b"").await;
            let (mut sender, mut talker) = match upwards {
                true => (rig.user, rig.service),
                false => (rig.service, rig.user),
            };
            sender.write_all(b"the first half").await.unwrap();
            talker.write_all(&[7; 1000]).await.unwrap();
            // All bytes are read, so the system has none to deliver before the reset.
            talker.read_exact(&mut [0; 14]).await.unwrap();
            sender.read_exact(&mut [0; 1000]).await.unwrap();
            let (mut reads, mut writes) = talker.into_split();
            let talking = tokio::spawn(async move {
                loop {
                    if let Err(error) = writes.write_all(&[7; 1000]).await {
                        return error.kind();
                    }
                    tokio::task::yield_now().await;
                }
            });
            reset(sender);
            // The error comes to the read or to the write of the talker.
            let (end, written) = (reads.read(&mut [0]).await, talking.await.unwrap());
            let kind = end.err().map_or(written, |error| error.kind());
            assert_eq!(kind, io::ErrorKind::ConnectionReset);
            assert!(rig.relaying.await.unwrap().broken.is_some());
        }
    }
}

/// A service that answers and closes is no break, although the user goes on sending.
#[tokio::test]
async fn a_side_that_closes_in_order_is_complete_although_writes_to_it_fail() {
    let mut rig = rig(b"").await;
    rig.service.write_all(b"the answer").await.unwrap();
    drop(rig.service);
    a_moment().await;
    for _ in 0..3 {
        rig.user.write_all(b"more").await.unwrap();
        sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(read_all(&mut rig.user).await.unwrap(), b"the answer");
}

/// Time is virtual: the clock moves on when all tasks wait.
#[tokio::test(start_paused = true)]
async fn an_abort_waits_only_a_while_for_a_peer_that_reads_nothing() {
    let (near, mut far) = socket_pair().await;
    while near.try_write(&[7; 64 * 1024]).is_ok() {
        near.writable().await.unwrap();
        if timeout(Duration::from_secs(1), near.writable())
            .await
            .is_err()
        {
            break;
        }
    }
    let since = tokio::time::Instant::now();
    Stream::Plain(near).abort().await;
    let waited = since.elapsed();
    assert!((3..30).contains(&waited.as_secs()), "{waited:?}");
    let error = read_all(&mut far).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
}

/// The service has sent its whole answer and closes with unread input. The user has not read the answer yet: it is in
/// the send buffer of the relay, and must arrive although the other direction breaks.
#[tokio::test]
async fn a_complete_answer_arrives_although_the_question_breaks() {
    let mut rig = rig(b"").await;
    SockRef::from(&rig.user)
        .set_recv_buffer_size(16 * 1024)
        .unwrap();
    let answer = pattern(3, 128 * 1024);
    rig.user
        .write_all(b"a question that is not read")
        .await
        .unwrap();
    rig.service.write_all(&answer).await.unwrap();
    rig.service.shutdown().await.unwrap();
    a_moment().await;
    drop(rig.service);
    a_moment().await;
    rig.user.write_all(b"more of it").await.unwrap();
    rig.user.write_all(b"and more").await.unwrap();
    a_moment().await;
    let seen = read_all(&mut rig.user).await.unwrap();
    assert!(seen == answer, "{} of {} bytes", seen.len(), answer.len());
    drop(rig.user);
    assert!(rig.relaying.await.unwrap().broken.is_some());
}

/// Gives a wrong relay time to fail. A right one passes without it.
async fn a_moment() {
    sleep(Duration::from_millis(100)).await;
}

/// Time is virtual: the clock moves on when all tasks wait.
#[tokio::test(start_paused = true)]
async fn a_reset_after_a_half_close_ends_the_tunnel() {
    let mut rig = rig(b"").await;
    rig.user.shutdown().await.unwrap();
    assert_eq!(read_all(&mut rig.service).await.unwrap(), b"");
    reset(rig.user);
    // The service stays open and silent.
    let summary = rig.relaying.await.unwrap();
    assert!(summary.broken.is_some());
}

/// Sends as much as is taken while the other side reads nothing.
async fn send_until_stuck(sender: &TcpStream) -> Vec<u8> {
    // More than the systems buffer for a side that is not read.
    let bytes = pattern(9, 16 * 1024 * 1024);
    let mut sent = 0;
    while timeout(Duration::from_millis(300), sender.writable())
        .await
        .is_ok()
    {
        sent += sender.try_write(&bytes[sent..]).unwrap_or(0);
    }
    assert!(sent < bytes.len());
    bytes[..sent].to_vec()
}

/// Time is virtual: the clock moves on when all tasks wait.
#[tokio::test(start_paused = true)]
async fn a_reset_ends_the_tunnel_although_the_other_side_reads_nothing() {
    for upwards in [true, false] {
        for has_an_answer_to_write in [true, false] {
            let rig = rig(b"").await;
            let (sender, mut stuck) = match upwards {
                true => (rig.user, rig.service),
                false => (rig.service, rig.user),
            };
            let sent = send_until_stuck(&sender).await;
            reset(sender);
            if has_an_answer_to_write {
                a_moment().await;
                stuck.write_all(b"an answer").await.unwrap();
            }
            let since = tokio::time::Instant::now();
            let summary = timeout(Duration::from_secs(300), rig.relaying).await;
            let broken = summary.unwrap().unwrap().broken;
            match upwards {
                true => assert!(matches!(broken, Some(Broken::A(_))), "{broken:?}"),
                false => assert!(matches!(broken, Some(Broken::B(_))), "{broken:?}"),
            }
            let took = since.elapsed();
            assert!(took < Duration::from_secs(40), "{took:?}");
            let mut seen = Vec::new();
            let error = stuck.read_to_end(&mut seen).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
            assert!(sent.starts_with(&seen));
        }
    }
}

#[tokio::test]
async fn a_relay_that_is_cut_resets_both_sides() {
    let mut rig = rig(b"hello").await;
    rig.service.read_exact(&mut [0; 5]).await.unwrap();
    rig.cut.cancel();
    for end in [&mut rig.user, &mut rig.service] {
        let error = read_all(end).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    }
    assert!(rig.relaying.await.unwrap().broken.is_some());
}

#[tokio::test]
async fn a_close_with_unread_input_does_not_destroy_the_last_bytes() {
    let (near, mut far) = socket_pair().await;
    let (mut far_reads, mut far_writes) = far.split();
    let mut near = Stream::Plain(near);
    near.write_all(b"goodbye").await.unwrap();
    let closing = tokio::spawn(near.close());
    far_writes.write_all(&[7; 100_000]).await.unwrap();
    let mut seen = Vec::new();
    let reading = far_reads.read_to_end(&mut seen);
    timeout(Duration::from_secs(20), reading)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(seen, b"goodbye");
    drop(far);
    closing.await.unwrap();
}

/// The service has answered and closed. The user takes longer for the answer than the relay waits for a user who takes
/// nothing.
#[tokio::test]
async fn a_slow_user_gets_the_whole_answer() {
    let mut rig = rig(b"").await;
    SockRef::from(&rig.user).set_recv_buffer_size(4096).unwrap();
    let answer = pattern(6, 200_000);
    rig.service.write_all(&answer).await.unwrap();
    rig.service.shutdown().await.unwrap();
    a_moment().await;
    reset(rig.service);
    // The relay writes this to a socket that was reset, and the other direction breaks.
    rig.user.write_all(b"thanks").await.unwrap();
    let mut seen = Vec::new();
    let mut piece = vec![0; answer.len() / 25];
    loop {
        match rig.user.read(&mut piece).await.unwrap() {
            0 => break,
            count => seen.extend_from_slice(&piece[..count]),
        }
        sleep(Duration::from_millis(100)).await;
    }
    assert!(seen == answer, "{} of {} bytes", seen.len(), answer.len());
    rig.relaying.await.unwrap();
}

#[tokio::test]
async fn bytes_given_at_the_start_come_first_in_each_direction() {
    let mut rig = rig_on(Terms {
        from_a: b"early".to_vec(),
        from_b: b"header ".to_vec(),
        ..Terms::default()
    })
    .await;
    rig.service.write_all(b"hello").await.unwrap();
    rig.service.shutdown().await.unwrap();
    assert_eq!(read_all(&mut rig.user).await.unwrap(), b"header hello");
    rig.user.shutdown().await.unwrap();
    assert_eq!(read_all(&mut rig.service).await.unwrap(), b"early");
    assert!(rig.relaying.await.unwrap().broken.is_none());
}

/// It checks only that the relay is slow enough, because a machine may be slower.
#[tokio::test]
async fn both_directions_share_the_bound_of_speed() {
    let throttle = Arc::new(Throttle::new(200_000.try_into().unwrap()));
    let start = Instant::now();
    let mut rig = rig_on(Terms {
        throttle: Some(throttle),
        ..Terms::default()
    })
    .await;
    for end in [&mut rig.user, &mut rig.service] {
        end.write_all(&[7; 60_000]).await.unwrap();
        end.shutdown().await.unwrap();
    }
    let (mut user, mut service) = (rig.user, rig.service);
    let (up, down) = tokio::join!(read_all(&mut service), read_all(&mut user));
    assert_eq!((up.unwrap().len(), down.unwrap().len()), (60_000, 60_000));
    assert!(rig.relaying.await.unwrap().broken.is_none());
    // 120,000 bytes at 200,000 bytes per second. The first 20,000 need no wait.
    assert!(start.elapsed() >= Duration::from_millis(450));
}

#[tokio::test]
async fn a_summary_names_the_side_that_broke() {
    let rig = rig(b"").await;
    reset(rig.service);
    let summary = rig.relaying.await.unwrap();
    assert!(matches!(summary.broken, Some(Broken::B(_))));
    let reason = summary.reason("the client", "the user");
    assert!(reason.starts_with("the user broke off: "), "{reason}");
}

/// Bulk and small messages: spliced bytes count too.
#[tokio::test]
async fn progress_shows_the_bytes_while_the_relay_runs() {
    let progress = Arc::new(Progress::default());
    let mut rig = rig_on(Terms {
        progress: Some(progress.clone()),
        ..Terms::default()
    })
    .await;
    let mut carried = (0, 0);
    for (size, to_user) in [(3, false), (3_000_000, false), (2_000_000, true), (5, true)] {
        let bytes = vec![7; size];
        let mut got = vec![0; size];
        let (from, to) = if to_user {
            carried.1 += size as u64;
            (&mut rig.service, &mut rig.user)
        } else {
            carried.0 += size as u64;
            (&mut rig.user, &mut rig.service)
        };
        let (wrote, read) = tokio::join!(from.write_all(&bytes), to.read_exact(&mut got));
        wrote.unwrap();
        read.unwrap();
        let counted = async {
            while (progress.a_to_b(), progress.b_to_a()) != carried {
                sleep(Duration::from_millis(1)).await;
            }
        };
        timeout(Duration::from_secs(20), counted).await.unwrap();
    }
    rig.user.shutdown().await.unwrap();
    rig.service.shutdown().await.unwrap();
    let summary = rig.relaying.await.unwrap();
    assert_eq!((summary.a_to_b, summary.b_to_a), carried);
}
