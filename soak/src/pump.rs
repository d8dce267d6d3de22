//! Carries the bytes of one relayed connection both ways, delayed and in order.

use std::io;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::connections::{Known, Shared};
use crate::link::{Break, CHUNK, Link};

/// The most chunks on their way in one direction.
const UNDER_WAY: usize = 32;
/// After how many bytes the relay breaks the stream, if it should.
const BREAKS_AT: usize = 20_000;
/// How long one direction may go on after the receiver of the other one has broken.
const LAST_BYTES: Duration = Duration::from_secs(3);

/// A part of a stream on its way, and when it is due.
enum Item {
    Bytes(Instant, Vec<u8>),
    End(Instant),
    Broken(Instant),
}

/// Carries until both directions have ended (true), or one is broken (false).
pub(crate) async fn pump(
    client: &mut TcpStream,
    server: &mut TcpStream,
    shared: &Shared,
    first: Vec<u8>,
    known: Known,
) -> bool {
    let (from_client, to_client) = client.split();
    let (from_server, to_server) = server.split();
    let (up_queue, up_items) = mpsc::channel(UNDER_WAY);
    let (down_queue, down_items) = mpsc::channel(UNDER_WAY);
    let (client_reset, server_reset) = (AtomicBool::new(false), AtomicBool::new(false));
    let reading = read_client(from_client, up_queue, shared, first, known, &client_reset);
    let up = direction(reading, write(to_server, up_items, &server_reset));
    let reading = read_server(from_server, down_queue, shared, &server_reset);
    let down = direction(reading, write(to_client, down_items, &client_reset));
    let (mut up, mut down) = (pin!(up), pin!(down));
    // The receiver of one direction may break after it has sent everything. These bytes must still arrive.
    let (ended, other) = tokio::select! {
        ended = &mut up => (ended, timeout_if_broken(ended, down.as_mut()).await),
        ended = &mut down => (ended, timeout_if_broken(ended, up.as_mut()).await),
    };
    (ended, other) == (Ended::Whole, Ended::Whole)
}

/// Runs until the writer has ended, because a reader may wait for ever.
async fn direction(
    reading: impl Future<Output = ()>,
    writing: impl Future<Output = Ended>,
) -> Ended {
    let mut writing = pin!(writing);
    tokio::select! {
        ended = &mut writing => ended,
        () = reading => writing.await,
    }
}

async fn timeout_if_broken(ended: Ended, other: impl Future<Output = Ended>) -> Ended {
    match ended {
        Ended::Whole => other.await,
        Ended::SourceBroke => Ended::SourceBroke,
        Ended::ReceiverGone => {
            let other = timeout(LAST_BYTES, other).await;
            if other == Ok(Ended::Whole) {
                // A reset destroys bytes that the system has not delivered yet, and their number is unknown here.
                sleep(Duration::from_secs(1)).await;
            }
            Ended::ReceiverGone
        }
    }
}

/// How a direction ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    /// The end was carried over.
    Whole,
    /// The sender broke, and all bytes before were written.
    SourceBroke,
    /// The receiver takes no more bytes.
    ReceiverGone,
}

/// Writes each item when it is due. A failed write takes the error from the socket, and the next read returns an end.
/// So a reset is stored in `reset`.
async fn write(
    mut to: WriteHalf<'_>,
    mut items: mpsc::Receiver<Item>,
    reset: &AtomicBool,
) -> Ended {
    while let Some(item) = items.recv().await {
        match item {
            Item::Bytes(due, bytes) => {
                sleep_until(due).await;
                if let Err(error) = to.write_all(&bytes).await {
                    reset.store(
                        error.kind() == io::ErrorKind::ConnectionReset,
                        Ordering::Relaxed,
                    );
                    return Ended::ReceiverGone;
                }
            }
            Item::End(due) => {
                sleep_until(due).await;
                return match to.shutdown().await {
                    Ok(()) => Ended::Whole,
                    Err(_) => Ended::ReceiverGone,
                };
            }
            Item::Broken(due) => {
                sleep_until(due).await;
                return Ended::SourceBroke;
            }
        }
    }
    Ended::SourceBroke
}

/// When chunks are due: in order, with the delay of the link, and some of them with a stall.
struct Clock {
    link: Link,
    random: fastrand::Rng,
    last: Instant,
}

impl Clock {
    fn new(shared: &Shared) -> Self {
        Self {
            link: shared.link,
            random: fastrand::Rng::with_seed(shared.new_seed()),
            last: Instant::now(),
        }
    }

    fn due(&mut self) -> Instant {
        let mut late = self.link.delay + self.link.jitter.mul_f64(self.random.f64());
        if self.random.u16(..1000) < self.link.stalls {
            late += self.link.stall.mul_f64(1.0 + 2.0 * self.random.f64());
        }
        self.last = self.last.max(Instant::now() + late);
        self.last
    }
}

fn ended(read: &io::Result<usize>, due: Instant, reset: &AtomicBool) -> Item {
    match read {
        Ok(_) if !reset.load(Ordering::Relaxed) => Item::End(due),
        _ => Item::Broken(due),
    }
}

async fn read_client(
    mut from: ReadHalf<'_>,
    queue: mpsc::Sender<Item>,
    shared: &Shared,
    first: Vec<u8>,
    known: Known,
    reset: &AtomicBool,
) {
    let mut clock = Clock::new(shared);
    let mut learnt = !first.is_empty();
    let mut next = first;
    // The caller has already waited for the delay of the first bytes.
    let mut due = clock.last;
    loop {
        if !next.is_empty() {
            if !std::mem::replace(&mut learnt, true) {
                known.learn(shared, &next);
            }
            let word = *shared.gate.borrow();
            if let Some(at) = held_at(&next, word) {
                let rest = next.split_off(at);
                if !next.is_empty() && queue.send(Item::Bytes(due, next)).await.is_err() {
                    return;
                }
                match hold(&mut from, shared, rest).await {
                    Some(released) => next = released,
                    None => {
                        let _ = queue.send(Item::Broken(Instant::now())).await;
                        return;
                    }
                }
            }
            if queue.send(Item::Bytes(due, next)).await.is_err() {
                return;
            }
        }
        let mut chunk = vec![0; CHUNK];
        let read = from.read(&mut chunk).await;
        due = clock.due();
        match read {
            Ok(count @ 1..) => {
                chunk.truncate(count);
                next = chunk;
            }
            read => {
                // It fails if the receiver has broken.
                let _ = queue.send(ended(&read, due, reset)).await;
                return;
            }
        }
    }
}

/// Where in a chunk the message to be held begins.
fn held_at(chunk: &[u8], word: Option<&str>) -> Option<usize> {
    let line = format!("{}\n", word?).into_bytes();
    let begins = |at: usize| at == 0 || chunk.get(at - 1) == Some(&b'\n');
    (0..chunk.len()).find(|at| begins(*at) && chunk[*at..].starts_with(&line))
}

/// Reads and keeps bytes until the gate opens. `None` means that the client has closed before.
async fn hold(from: &mut ReadHalf<'_>, shared: &Shared, mut kept: Vec<u8>) -> Option<Vec<u8>> {
    shared.held.send_modify(|held| *held += 1);
    let mut gate = shared.gate.subscribe();
    let mut chunk = vec![0; CHUNK];
    loop {
        tokio::select! {
            _ = gate.wait_for(Option::is_none) => return Some(kept),
            read = from.read(&mut chunk) => match read {
                Ok(count @ 1..) if kept.len() < 64 * CHUNK => kept.extend(&chunk[..count]),
                _ => return None,
            }
        }
    }
}

async fn read_server(
    mut from: ReadHalf<'_>,
    queue: mpsc::Sender<Item>,
    shared: &Shared,
    reset: &AtomicBool,
) {
    let mut clock = Clock::new(shared);
    let mut carried = 0;
    loop {
        let mut chunk = vec![0; CHUNK];
        let read = from.read(&mut chunk).await;
        let due = clock.due();
        let Ok(count @ 1..) = read else {
            let _ = queue.send(ended(&read, due, reset)).await;
            return;
        };
        chunk.truncate(count);
        carried += count;
        // A control connection never carries as many bytes.
        let breaks = carried > BREAKS_AT && carried - count <= BREAKS_AT;
        match shared.fault {
            Some(Break::Byte) if breaks => chunk[0] ^= 1,
            Some(Break::End) if breaks => {
                let _ = queue.send(Item::End(due)).await;
                // The bytes that follow are read and dropped.
                while let Ok(1..) = from.read(&mut chunk).await {}
                return;
            }
            _ => {}
        }
        if queue.send(Item::Bytes(due, chunk)).await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_held_where_its_line_begins() {
        assert_eq!(held_at(b"ATH\nMAP\nu\np\nMAP\n1\n", None), None);
        assert_eq!(held_at(b"TRS\nx\n", Some("TRS")), Some(0));
        assert_eq!(held_at(b"SRQ\nMAP\n1\n", Some("MAP")), Some(4));
        assert_eq!(held_at(b"SRQ\nxMAP\n1\n", Some("MAP")), None);
        assert_eq!(held_at(b"", Some("MAP")), None);
    }
}
