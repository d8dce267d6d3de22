//! Copies bytes both ways between two streams, exactly.
//!
//! A half-close of one side is carried over to the other, whose own direction goes on
//! (`tunnel.half-close`). What was not carried to its end ends with a reset, after the bytes before
//! it have arrived (`tunnel.last-bytes`): an aborted stream must not look like a complete one. What
//! was carried to its end is left to arrive.
//!
//! An idle relay holds no buffer: bytes are read into one buffer of the thread and kept only as
//! far as the other side does not take them.

use std::{
    cell::RefCell,
    future::poll_fn,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep},
};
use tokio_util::sync::CancellationToken;

use crate::{stream::Stream, throttle::Throttle};

const SCRATCH: usize = 64 * 1024;
/// A side that has said all is asked so often whether it still listens: nothing else would tell
/// that it is gone.
const CHECK: Duration = Duration::from_secs(5);

thread_local! {
    static BUFFER: RefCell<Box<[u8]>> = RefCell::new(vec![0; SCRATCH].into_boxed_slice());
}

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

/// How a relay begins, and how fast it is.
#[derive(Debug, Default)]
pub struct Terms {
    /// Bytes from `a` that were read already.
    pub from_a: Vec<u8>,
    /// Bytes from `b` that were read already, or that stand for its beginning.
    pub from_b: Vec<u8>,
    /// What both directions share with other relays; `None` is no bound.
    pub throttle: Option<Arc<Throttle>>,
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
    let mut up = Direction::new(terms.from_a, terms.throttle.clone());
    let mut down = Direction::new(terms.from_b, terms.throttle);
    let copied = cut
        .run_until_cancelled(copy(&mut a, &mut b, &mut up, &mut down))
        .await;
    let broken = copied.unwrap_or(Some(Broken::Cut));
    let summary = Summary {
        a_to_b: up.copied,
        b_to_a: down.copied,
        broken,
    };
    if summary.broken.is_some() {
        tokio::join!(end(a, down.completed(), cut), end(b, up.completed(), cut));
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
) -> Option<Broken> {
    // There is none while both sides talk: an idle tunnel costs no timer.
    let mut check: Option<Pin<Box<Sleep>>> = None;
    poll_fn(move |cx| {
        loop {
            let up_polled = up.poll(cx, a, b, down.aborted());
            let polled = (up_polled, down.poll(cx, b, a, up.aborted()));
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
            if !up.reader_ended() && !down.reader_ended() {
                return Poll::Pending;
            }
            let timer = check.get_or_insert_with(|| Box::pin(sleep(CHECK)));
            ready!(timer.as_mut().poll(cx));
            check = None;
            // Only where nothing is left to be read: else the error would overtake it.
            if up.reader_ended() {
                down.fail_if_gone(a);
            }
            if down.reader_ended() {
                up.fail_if_gone(b);
            }
        }
    })
    .await
}

/// One direction of a relay.
struct Direction {
    /// Read but not written yet.
    pending: Vec<u8>,
    written: usize,
    copied: u64,
    unflushed: bool,
    state: State,
    throttle: Option<Arc<Throttle>>,
    /// Nothing is read until then: what was carried took the share of this time.
    rest: Option<Pin<Box<Sleep>>>,
}

enum State {
    Copying,
    ShuttingDown,
    /// Everything, the end included, was handed to the writer.
    Complete(Instant),
    Broken(io::ErrorKind),
}

/// How a direction ended.
enum End {
    /// The reader's end was carried over to the writer.
    Complete,
    /// The reader broke: there is nothing left to relay in either direction.
    ReaderBroke(io::Error),
    /// The writer broke. The other direction goes on: its reader may still hold bytes that came
    /// before.
    WriterBroke(io::Error),
}

impl Direction {
    fn new(pending: Vec<u8>, throttle: Option<Arc<Throttle>>) -> Self {
        Self {
            throttle,
            rest: None,
            pending,
            written: 0,
            copied: 0,
            unflushed: false,
            state: State::Copying,
        }
    }

    /// When everything, the end included, had been handed to the writer.
    fn completed(&self) -> Option<Instant> {
        match self.state {
            State::Complete(since) => Some(since),
            State::Copying | State::ShuttingDown | State::Broken(_) => None,
        }
    }

    /// Why the writer was aborted, if it was. The write has taken the error of the connection away,
    /// so a read gives no error but an end. A peer that closed in order before has let its end
    /// arrive, which the system tells by another error.
    fn aborted(&self) -> Option<io::ErrorKind> {
        match self.state {
            State::Broken(io::ErrorKind::BrokenPipe) => None,
            State::Broken(kind) => Some(kind),
            State::Copying | State::ShuttingDown | State::Complete(_) => None,
        }
    }

    /// Whether the reader's end was read.
    fn reader_ended(&self) -> bool {
        matches!(self.state, State::ShuttingDown | State::Complete(_))
    }

    fn fail(&mut self, kind: io::ErrorKind) {
        self.pending = Vec::new();
        self.written = 0;
        self.state = State::Broken(kind);
    }

    /// For a writer that nobody writes to: whether it is broken.
    fn fail_if_gone(&mut self, writer: &Stream) {
        if self.completed().is_some() {
            return;
        }
        if let Ok(Some(error)) | Err(error) = writer.tcp().take_error() {
            self.fail(error.kind());
        }
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        reader: &mut Stream,
        writer: &mut Stream,
        reader_aborted: Option<io::ErrorKind>,
    ) -> Poll<End> {
        loop {
            let written = match &self.state {
                State::Complete(_) => return Poll::Ready(End::Complete),
                State::Broken(kind) => {
                    return Poll::Ready(End::WriterBroke(io::Error::from(*kind)));
                }
                State::ShuttingDown if let Some(kind) = reader_aborted => {
                    return Poll::Ready(End::ReaderBroke(io::Error::from(kind)));
                }
                State::ShuttingDown => {
                    let done = ready!(Pin::new(&mut *writer).poll_shutdown(cx));
                    done.map(|()| self.state = State::Complete(Instant::now()))
                }
                State::Copying if self.written < self.pending.len() => {
                    ready!(self.poll_pending(cx, writer))
                }
                State::Copying => match self.poll_read_on(cx, reader, writer) {
                    Poll::Ready(Ok(written)) => written,
                    Poll::Ready(Err(error)) => return Poll::Ready(End::ReaderBroke(error)),
                    Poll::Pending if self.unflushed => {
                        let flushed = ready!(Pin::new(&mut *writer).poll_flush(cx));
                        self.unflushed = false;
                        match flushed {
                            Ok(()) => return Poll::Pending,
                            Err(error) => Err(error),
                        }
                    }
                    Poll::Pending => return Poll::Pending,
                },
            };
            if let Err(error) = written {
                self.fail(error.kind());
            }
        }
    }

    /// Reads once and writes what came; the rest becomes pending. Errors of the reader are the
    /// outer result, errors of the writer the inner one.
    fn poll_read_on(
        &mut self,
        cx: &mut Context<'_>,
        reader: &mut Stream,
        writer: &mut Stream,
    ) -> Poll<io::Result<io::Result<()>>> {
        if let Some(rest) = &mut self.rest {
            ready!(rest.as_mut().poll(cx));
            self.rest = None;
        }
        let piece = self.throttle.as_ref().map_or(SCRATCH, |t| t.piece());
        BUFFER.with_borrow_mut(|buffer| {
            let mut chunk = ReadBuf::new(buffer.get_mut(..piece.min(SCRATCH)).unwrap_or_default());
            ready!(Pin::new(reader).poll_read(cx, &mut chunk))?;
            let chunk = chunk.filled();
            if chunk.is_empty() {
                self.state = State::ShuttingDown;
                return Poll::Ready(Ok(Ok(())));
            }
            let mut rest = chunk;
            while !rest.is_empty() {
                match poll_write(cx, writer, rest) {
                    Poll::Ready(Ok(n)) => {
                        rest = rest.get(n..).unwrap_or_default();
                        self.wrote(n);
                    }
                    Poll::Ready(Err(error)) => return Poll::Ready(Ok(Err(error))),
                    Poll::Pending => {
                        self.pending = rest.to_vec();
                        self.written = 0;
                        break;
                    }
                }
            }
            Poll::Ready(Ok(Ok(())))
        })
    }

    fn poll_pending(&mut self, cx: &mut Context<'_>, writer: &mut Stream) -> Poll<io::Result<()>> {
        let rest = self.pending.get(self.written..).unwrap_or_default();
        let n = ready!(poll_write(cx, writer, rest))?;
        self.written += n;
        self.wrote(n);
        if self.written == self.pending.len() {
            self.pending = Vec::new();
            self.written = 0;
        }
        Poll::Ready(Ok(()))
    }

    fn wrote(&mut self, n: usize) {
        self.copied += n as u64;
        self.unflushed = true;
        if let Some(throttle) = &self.throttle {
            let wait = throttle.take(n, Instant::now().into_std());
            self.rest = (!wait.is_zero()).then(|| Box::pin(sleep(wait)));
        }
    }
}

/// Writes some of `bytes`, which are not empty, or fails.
fn poll_write(cx: &mut Context<'_>, writer: &mut Stream, bytes: &[u8]) -> Poll<io::Result<usize>> {
    match ready!(Pin::new(writer).poll_write(cx, bytes))? {
        0 => Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
        n => Poll::Ready(Ok(n)),
    }
}
