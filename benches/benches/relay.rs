//! The cost of carrying bytes: by the relay, by tokio's `copy_bidirectional`, and on a direct connection.
//!
//!     cargo bench -p netroxy-benches --bench relay
#![allow(clippy::unwrap_used, reason = "an unwrap that fails ends the bench")]

use divan::Bencher;
use divan::counter::BytesCount;
use netroxy_benches::{plain_pair, runtime, tls_pair};
use netroxy_net::relay::relay;
use netroxy_net::stream::Stream;
use tokio::io::{
    AsyncReadExt, AsyncWriteExt, copy_bidirectional, copy_bidirectional_with_sizes, split,
};
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

fn main() {
    divan::main();
}

/// What is between user and service. The connection of the user is plain. With `Tls` in the name, that of the service
/// is on TLS, like one between server and client.
#[derive(Debug, Clone, Copy)]
enum Between {
    Direct,
    Copy8KiB,
    Copy64KiB,
    Relay,
    TlsDirect,
    TlsCopy8KiB,
    TlsCopy64KiB,
    TlsRelay,
}

use Between::{Copy8KiB, Copy64KiB, Direct, Relay, TlsCopy8KiB, TlsCopy64KiB, TlsDirect, TlsRelay};

const ALL: [Between; 8] = [
    Direct,
    Copy8KiB,
    Copy64KiB,
    Relay,
    TlsDirect,
    TlsCopy8KiB,
    TlsCopy64KiB,
    TlsRelay,
];

/// Bytes for each direction and iteration. There are fewer without optimisation.
const BULK: usize = if cfg!(debug_assertions) { 256 } else { 4096 } * 1024;
/// The length in bytes of a write of the user or service, and of the buffer of a read.
const PIECE: usize = 64 * 1024;

/// A user and a service, with what is between them.
struct Line {
    runtime: Runtime,
    user: Stream,
    service: Stream,
}

impl Line {
    fn new(between: Between) -> Self {
        let runtime = runtime();
        let (user, service) = runtime.block_on(async {
            match between {
                Direct => return plain_pair().await,
                TlsDirect => return tls_pair().await,
                _ => {}
            }
            let (user, near) = plain_pair().await;
            let (far, service) = match between {
                TlsCopy8KiB | TlsCopy64KiB | TlsRelay => tls_pair().await,
                _ => plain_pair().await,
            };
            match between {
                Relay | TlsRelay => drop(tokio::spawn(async move {
                    relay(near, far, Vec::new(), &CancellationToken::new()).await
                })),
                Copy64KiB | TlsCopy64KiB => drop(tokio::spawn(copy(near, far, Some(PIECE)))),
                _ => drop(tokio::spawn(copy(near, far, None))),
            }
            (user, service)
        });
        let mut line = Self {
            runtime,
            user,
            service,
        };
        // A warm-up: the system widens the windows of a connection while it is used.
        for _ in 0..4 {
            line.carry(BULK, BULK);
        }
        line
    }

    /// Carries `up` bytes to the service and `down` bytes to the user.
    fn carry(&mut self, up: usize, down: usize) {
        let (user_reads, user_writes) = split(&mut self.user);
        let (service_reads, service_writes) = split(&mut self.service);
        self.runtime.block_on(async {
            tokio::join!(
                write(user_writes, up),
                read(service_reads, up),
                write(service_writes, down),
                read(user_reads, down),
            )
        });
    }
}

async fn copy(mut near: Stream, mut far: Stream, buffer: Option<usize>) {
    let copied = match buffer {
        Some(size) => copy_bidirectional_with_sizes(&mut near, &mut far, size, size).await,
        None => copy_bidirectional(&mut near, &mut far).await,
    };
    // The bench ends by closing everything, which may be an error here.
    drop(copied);
}

static BYTES: [u8; PIECE] = [b'x'; PIECE];

async fn write(mut to: impl AsyncWriteExt + Unpin, count: usize) {
    let mut left = count;
    while left > 0 {
        let piece = BYTES.get(..left.min(PIECE)).unwrap();
        to.write_all(piece).await.unwrap();
        left -= piece.len();
    }
    to.flush().await.unwrap();
}

async fn read(mut from: impl AsyncReadExt + Unpin, count: usize) {
    thread_local! {
        static ROOM: std::cell::Cell<Vec<u8>> = const { std::cell::Cell::new(Vec::new()) };
    }
    let mut room = ROOM.take();
    room.resize(PIECE, 0);
    let mut left = count;
    while left > 0 {
        let most = left.min(PIECE);
        let read = from.read(room.get_mut(..most).unwrap()).await.unwrap();
        assert!(read > 0, "the stream ended with {left} bytes to come");
        left -= read;
    }
    ROOM.set(room);
}

/// One stream from the user to the service.
#[divan::bench(args = ALL, sample_count = 50)]
fn up(bencher: Bencher<'_, '_>, between: Between) {
    let mut line = Line::new(between);
    bencher
        .counter(BytesCount::new(BULK))
        .bench_local(|| line.carry(BULK, 0));
}

/// One stream from the service to the user.
#[divan::bench(args = ALL, sample_count = 50)]
fn down(bencher: Bencher<'_, '_>, between: Between) {
    let mut line = Line::new(between);
    bencher
        .counter(BytesCount::new(BULK))
        .bench_local(|| line.carry(0, BULK));
}

/// A stream in each direction at once.
#[divan::bench(args = ALL, sample_count = 50)]
fn both(bencher: Bencher<'_, '_>, between: Between) {
    let mut line = Line::new(between);
    bencher
        .counter(BytesCount::new(2 * BULK))
        .bench_local(|| line.carry(BULK, BULK));
}

/// 64 bytes to the service, and 64 bytes back.
#[divan::bench(args = ALL, sample_count = 50)]
fn ping_pong(bencher: Bencher<'_, '_>, between: Between) {
    let mut line = Line::new(between);
    bencher.bench_local(|| {
        line.carry(64, 0);
        line.carry(0, 64);
    });
}
