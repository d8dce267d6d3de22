//! Copies bytes both ways between two streams, exactly.
//!
//! A half-close of one side is carried over to the other, whose own direction goes on
//! (`tunnel.half-close`). What was not carried to its end ends with a reset, after the bytes before
//! it have arrived (`tunnel.last-bytes`): an aborted stream must not look like a complete one. What
//! was carried to its end is left to arrive.
//!
//! An idle relay holds no buffer: bytes are read into one buffer of the thread and kept only as
//! far as the other side does not take them. Bulk between plain sockets goes through a pipe of the
//! system instead, without a copy (Linux); small messages are cheaper to copy, so each direction
//! changes its [`Path`] with what it carries.

use std::{
    future::{Future, poll_fn},
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Poll, ready},
    time::Duration,
};

use tokio::time::{Instant, Sleep, sleep};
use tokio_util::sync::CancellationToken;

use crate::{stream::Stream, throttle::Throttle};
use direction::{Direction, End};
pub use path::{InvalidPath, Path};
pub use pipe::close_kept_pipes;

mod direction;
mod path;
mod pipe;

/// A side that is not read, because it has said all or because the other one does not take what it
/// said, is asked so often whether it is still there: nothing else would tell that it is gone.
const CHECK: Duration = Duration::from_secs(5);

/// What a relay did.
#[derive(Debug)]
pub struct Summary {
    /// Bytes from `a` that were written to `b`, those given at the start included.
    pub a_to_b: u64,
    /// Bytes from `b` that were written to `a`.
    pub b_to_a: u64,
    /// Why not everything was carried over, if so.
    pub broken: Option<Broken>,
}

/// What ended a relay early.
#[derive(Debug)]
pub enum Broken {
    /// `a` broke.
    A(io::Error),
    /// `b` broke.
    B(io::Error),
    /// The relay was told to stop.
    Cut,
}

impl Summary {
    /// Why the relay has ended, for a log; `a` and `b` name the two sides.
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

/// What a relay has carried so far, for others to read while it runs.
///
/// The relay stores its own counts here whenever it has worked, 2 MiB later at most. It asks for no lock, and
/// no other relay writes to the same place.
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

    fn tell(&self, up: &Direction, down: &Direction) {
        self.a_to_b.store(up.copied, Ordering::Relaxed);
        self.b_to_a.store(down.copied, Ordering::Relaxed);
    }
}

/// How a relay begins, and how fast it is.
#[derive(Debug, Default)]
pub struct Terms {
    /// Bytes from `a` that were read already.
    pub from_a: Vec<u8>,
    /// Bytes from `b` that were read already, or that stand for its beginning.
    pub from_b: Vec<u8>,
    /// What both directions share with other relays; `None` is no bound.
    pub throttle: Option<Arc<Throttle>>,
    /// Where the relay says what it has carried; `None` is nowhere.
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

/// Relays between two streams until both have ended or one is broken, or `cut` is cancelled. Both
/// streams are closed then: by a reset where not everything was carried over.
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
        // In a box: only now is there any need for its room, which is twice that of all else.
        Box::pin(async { tokio::join!(end(a, down, cut), end(b, up, cut)) }).await;
    }
    summary
}

/// Closes a stream of a broken relay, after what was written to it has arrived.
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
    // There is none while both sides talk: an idle tunnel costs no timer.
    let mut check: Option<Pin<Box<Sleep>>> = None;
    poll_fn(move |cx| {
        loop {
            let up_polled = up.poll(cx, a, b, down.aborted());
            let polled = (up_polled, down.poll(cx, b, a, up.aborted()));
            if let Some(progress) = progress {
                progress.tell(up, down);
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
            if !up.is_blind() && !down.is_blind() && check.is_none() {
                return Poll::Pending;
            }
            let timer = check.get_or_insert_with(|| Box::pin(sleep(CHECK)));
            ready!(timer.as_mut().poll(cx));
            check = None;
            if up.is_blind()
                && let Some(error) = up.look(down, a, b)
            {
                return Poll::Ready(Some(Broken::A(error)));
            }
            if down.is_blind()
                && let Some(error) = down.look(up, b, a)
            {
                return Poll::Ready(Some(Broken::B(error)));
            }
        }
    })
    .await
}
