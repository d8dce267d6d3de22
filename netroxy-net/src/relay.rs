//! Copies bytes both ways between two streams, exactly.
//!
//! A half-close of one side is carried over to the other side, whose own direction goes on (`tunnel.half-close`). A
//! direction that was not carried to its end ends with a reset, after the bytes before it have arrived
//! (`tunnel.last-bytes`): an aborted stream must not look like a complete one. The last bytes of a direction that was
//! carried to its end get time to arrive.
//!
//! An idle relay holds no buffer: bytes are read into one buffer of the thread, and only those are kept that the other
//! side does not take. Bulk between plain sockets goes through a pipe of the system, without a copy (Linux). Small
//! messages are cheaper to copy, so each direction changes between the two ways ([`Path`]).

use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Poll, ready};
use std::time::Duration;

use direction::{Direction, End};
pub use path::{InvalidPath, Path};
pub use pipe::close_kept_pipes;
use tokio::time::{Instant, Sleep, sleep};
use tokio_util::sync::CancellationToken;

use crate::stream::Stream;
use crate::throttle::Throttle;

mod direction;
mod path;
mod pipe;

/// How often the relay checks the socket of a side that it does not read: because that side has ended its direction, or
/// because the other side does not take the bytes. Only such a check detects that the side has broken.
const CHECK: Duration = Duration::from_secs(5);

/// What a relay did.
#[derive(Debug)]
pub struct Summary {
    /// Bytes from `a` that were written to `b`, including those that were given at the start.
    pub a_to_b: u64,
    /// Bytes from `b` that were written to `a`.
    pub b_to_a: u64,
    /// Why not everything was carried over; `None` if everything was.
    pub broken: Option<Broken>,
}

/// What ended a relay early.
#[derive(Debug)]
pub enum Broken {
    /// `a` broke.
    A(io::Error),
    /// `b` broke.
    B(io::Error),
    /// `cut` was cancelled.
    Cut,
}

impl Summary {
    /// Why the relay has ended, for a log. `a` and `b` name the two sides.
    #[must_use]
    pub fn reason(&self, a: &str, b: &str) -> String {
        match &self.broken {
            None => "both sides have ended".to_owned(),
            Some(Broken::A(error)) => format!("{a} broke off: {error}"),
            Some(Broken::B(error)) => format!("{b} broke off: {error}"),
            Some(Broken::Cut) => "the program stops".to_owned(),
        }
    }
}

/// How many bytes a relay has carried so far. Other tasks may read it while the relay runs.
///
/// The relay stores its counts here whenever it has worked, and at the latest after 2 MiB. It needs no lock, because no
/// other relay writes here.
#[derive(Debug, Default)]
pub struct Progress {
    a_to_b: AtomicU64,
    b_to_a: AtomicU64,
}

impl Progress {
    /// Bytes from `a` that were written to `b`, as [`Summary::a_to_b`].
    #[must_use]
    pub fn a_to_b(&self) -> u64 {
        self.a_to_b.load(Ordering::Relaxed)
    }

    /// Bytes from `b` that were written to `a`, as [`Summary::b_to_a`].
    #[must_use]
    pub fn b_to_a(&self) -> u64 {
        self.b_to_a.load(Ordering::Relaxed)
    }

    fn store(&self, up: &Direction, down: &Direction) {
        self.a_to_b.store(up.copied, Ordering::Relaxed);
        self.b_to_a.store(down.copied, Ordering::Relaxed);
    }
}

/// The settings of a relay.
#[derive(Debug, Default)]
pub struct Terms {
    /// Bytes that were already read from `a`.
    pub from_a: Vec<u8>,
    /// Bytes that were already read from `b`, or that are sent before its first bytes.
    pub from_b: Vec<u8>,
    /// The bound of speed, which both directions share with other relays; `None` is no bound.
    pub throttle: Option<Arc<Throttle>>,
    /// Where the relay stores its counts, if anywhere.
    pub progress: Option<Arc<Progress>>,
    /// How bytes go from socket to socket.
    pub path: Path,
}

impl From<Vec<u8>> for Terms {
    /// Bytes from `a`, and no bound.
    fn from(from_a: Vec<u8>) -> Self {
        Self {
            from_a,
            ..Self::default()
        }
    }
}

/// Relays between two streams until both have ended, one has broken, or `cut` is cancelled. Then it closes both
/// streams. A stream that has not got everything is closed by a reset.
pub async fn relay(
    mut a: Stream,
    mut b: Stream,
    terms: impl Into<Terms>,
    cut: &CancellationToken,
) -> Summary {
    let terms = terms.into();
    let mut up = Direction::new(terms.from_a, terms.throttle.clone(), terms.path);
    let mut down = Direction::new(terms.from_b, terms.throttle, terms.path);
    let progress = terms.progress.as_deref();
    let copied = cut
        .run_until_cancelled(copy(&mut a, &mut b, &mut up, &mut down, progress))
        .await;
    let broken = copied.unwrap_or(Some(Broken::Cut));
    let summary = Summary {
        a_to_b: up.copied,
        b_to_a: down.copied,
        broken,
    };
    if summary.broken.is_some() {
        let (down, up) = (down.completed(), up.completed());
        // In a box, so that its memory, twice that of everything else here, is not allocated before it is needed.
        Box::pin(async { tokio::join!(end(a, down, cut), end(b, up, cut)) }).await;
    }
    summary
}

/// Closes a stream of a broken relay after the written bytes have arrived.
async fn end(stream: Stream, completed: Option<Instant>, cut: &CancellationToken) {
    match completed {
        Some(since) => cut.run_until_cancelled(stream.linger(since)).await,
        None => cut.run_until_cancelled(stream.abort()).await,
    };
}

async fn copy(
    a: &mut Stream,
    b: &mut Stream,
    up: &mut Direction,
    down: &mut Direction,
    progress: Option<&Progress>,
) -> Option<Broken> {
    // While both sides are read there is no timer, so an idle tunnel costs none.
    let mut check: Option<Pin<Box<Sleep>>> = None;
    poll_fn(move |cx| {
        loop {
            let up_polled = up.poll(cx, a, b, down.aborted());
            let polled = (up_polled, down.poll(cx, b, a, up.aborted()));
            if let Some(progress) = progress {
                progress.store(up, down);
            }
            match polled {
                (Poll::Ready(End::ReaderBroke(error)), _) => {
                    return Poll::Ready(Some(Broken::A(error)));
                }
                (_, Poll::Ready(End::ReaderBroke(error))) => {
                    return Poll::Ready(Some(Broken::B(error)));
                }
                (Poll::Ready(End::WriterBroke(error)), Poll::Ready(_)) => {
                    return Poll::Ready(Some(Broken::B(error)));
                }
                (Poll::Ready(End::Complete), Poll::Ready(End::WriterBroke(error))) => {
                    return Poll::Ready(Some(Broken::A(error)));
                }
                (Poll::Ready(End::Complete), Poll::Ready(End::Complete)) => {
                    return Poll::Ready(None);
                }
                (Poll::Pending, _) | (_, Poll::Pending) => {}
            }
            if !up.is_not_reading() && !down.is_not_reading() && check.is_none() {
                return Poll::Pending;
            }
            let timer = check.get_or_insert_with(|| Box::pin(sleep(CHECK)));
            ready!(timer.as_mut().poll(cx));
            check = None;
            if up.is_not_reading()
                && let Some(error) = up.look(down, a, b)
            {
                return Poll::Ready(Some(Broken::A(error)));
            }
            if down.is_not_reading()
                && let Some(error) = down.look(up, b, a)
            {
                return Poll::Ready(Some(Broken::B(error)));
            }
        }
    })
    .await
}
