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

use crate::{stream::Stream, throttle::Throttle, unsent};

const SCRATCH: usize = 64 * 1024;
/// A side that is not read, because it has said all or because the other one does not take what it
/// said, is asked so often whether it is still there: nothing else would tell that it is gone.
const CHECK: Duration = Duration::from_secs(5);
/// What a side said before it broke off may take so long to be taken.
const LAST_BYTES: Duration = Duration::from_secs(60);

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
    /// The reader has broken off, and not all that it said has been carried.
    gone: Option<Box<Gone>>,
}

/// A reader that has broken off while it was not read, and what has become of its last bytes.
struct Gone {
    why: io::ErrorKind,
    /// The writer may take so long.
    until: Instant,
    /// What was copied when it was last looked at, and what the writer's peer had not taken then.
    progress: (u64, usize),
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
            gone: None,
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

    /// Whether the reader is not read, so that its break is not seen. (One that rests after its share
    /// is read when the time is over.)
    fn is_blind(&self) -> bool {
        self.reader_ended() || !self.pending.is_empty()
    }

    fn fail(&mut self, kind: io::ErrorKind) {
        self.pending = Vec::new();
        self.written = 0;
        self.state = State::Broken(kind);
    }

    /// Looks whether a reader that is not read is gone. `back` is the direction to it. What the reader
    /// said before goes on for as long as the writer takes some of it between two looks, and for
    /// [`LAST_BYTES`]; then the result is why the reader has broken off.
    fn look(&mut self, back: &mut Self, reader: &Stream, writer: &Stream) -> Option<io::Error> {
        let told = broken(reader);
        if let Some(why) = told
            && back.completed().is_none()
        {
            back.fail(why);
        }
        // All of it has been read.
        if self.reader_ended() {
            return None;
        }
        let progress = (self.copied, unsent::bytes(writer.tcp()));
        if let Some(gone) = &mut self.gone {
            let stands = std::mem::replace(&mut gone.progress, progress) == progress;
            return (stands || Instant::now() >= gone.until).then(|| gone.why.into());
        }
        // A reader whose end has come before its break has said all: the writer gets all the time.
        let why = told.filter(|why| *why != io::ErrorKind::BrokenPipe);
        self.gone = why.or_else(|| back.aborted()).map(|why| {
            Box::new(Gone {
                why,
                until: Instant::now() + LAST_BYTES,
                progress,
            })
        });
        None
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        reader: &mut Stream,
        writer: &mut Stream,
        reader_aborted: Option<io::ErrorKind>,
    ) -> Poll<End> {
        // Who has looked for the break has taken it away from the reads.
        let reader_aborted = reader_aborted.or_else(|| self.gone.as_ref().map(|gone| gone.why));
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

/// Why a stream is broken, if it is; the system tells it once. It also tells of errors that may pass,
/// such as a network that cannot be reached; then the connection still has a peer.
fn broken(stream: &Stream) -> Option<io::ErrorKind> {
    if cfg!(unix) && stream.peer_addr().is_ok() {
        return None;
    }
    match stream.tcp().take_error() {
        Ok(None) => None,
        Ok(Some(error)) | Err(error) => Some(error.kind()),
    }
}

/// Writes some of `bytes`, which are not empty, or fails.
fn poll_write(cx: &mut Context<'_>, writer: &mut Stream, bytes: &[u8]) -> Poll<io::Result<usize>> {
    match ready!(Pin::new(writer).poll_write(cx, bytes))? {
        0 => Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
        n => Poll::Ready(Ok(n)),
    }
}

#[cfg(test)]
mod tests;
