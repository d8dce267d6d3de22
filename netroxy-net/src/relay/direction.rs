//! One direction of a relay: it carries bytes from one stream, the reader, to the other one, the writer.
//!
//! # How it works
//!
//! **Bytes.** Each turn reads once into a buffer of the thread, and writes what came. Only bytes that the writer does
//! not take are held, and nothing more is read until they are written. So an idle direction holds no memory, and a slow
//! writer slows down the reader. Bulk between plain sockets goes through a [`Pipe`] instead of the buffer. After the
//! end of the reader the writer is shut down, and the direction is complete.
//!
//! **Errors.** A failed read ends the relay: neither direction can go on. A failed write ends only this direction. The
//! other direction still reads from that stream, because bytes that came before the break may be in its receive buffer.
//!
//! **A lost error.** The system reports a reset to one call only. If a write gets it, the next read of the same socket
//! returns an end, as if the peer had closed in order. So the direction that wrote passes the error on
//! ([`aborted`](Direction::aborted)), and the direction that reads treats that end as a break.
//!
//! **A reader that is not read.** The break of a reader is found by reading it. A direction does not read after the end
//! of its reader, or while it holds bytes. So the relay calls [`look`](Direction::look) every 5 s, which takes the
//! error from the socket. The last bytes of a broken reader are still written as long as the writer takes some of them
//! between two looks, for at most 60 s.

use std::cell::RefCell;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep};

use super::path::{LARGE, Pace, Path};
use super::pipe::{self, Pipe};
use crate::stream::Stream;
use crate::throttle::Throttle;
use crate::unsent;

/// How long the writer may take for the last bytes of a reader that has broken.
const LAST_BYTES: Duration = Duration::from_secs(60);
/// How many bytes are carried before other tasks get their turn.
const TURN: usize = 2 * 1024 * 1024;

thread_local! {
    static BUFFER: RefCell<Box<[u8]>> = RefCell::new(vec![0; LARGE].into_boxed_slice());
}

/// One direction.
pub(super) struct Direction {
    held: Held,
    pub(super) copied: u64,
    unflushed: bool,
    pub(super) state: State,
    pace: Pace,
    throttle: Option<Arc<Throttle>>,
    /// The wait until the bound of speed allows the next read.
    pause: Option<Pin<Box<Sleep>>>,
    /// The reader has broken, and not all of its bytes have been carried.
    broken_reader: Option<Box<BrokenReader>>,
}

/// Bytes that were read and are not written yet.
enum Held {
    Nothing,
    Bytes { bytes: Vec<u8>, written: usize },
    Pipe(Pipe),
}

/// A reader that broke while it was not read, and the progress of its last bytes.
struct BrokenReader {
    why: io::ErrorKind,
    /// Until when the writer may take the last bytes.
    until: Instant,
    /// At the last look: how many bytes were copied, and how many of them the writer's peer had not taken.
    progress: (u64, usize),
}

pub(super) enum State {
    Copying,
    ShuttingDown,
    /// Everything, including the end, was given to the writer, at this time.
    Complete(Instant),
    Broken(io::ErrorKind),
}

/// How a direction ended.
pub(super) enum End {
    /// The reader's end was carried over to the writer.
    Complete,
    /// The reader broke. The relay ends in both directions.
    ReaderBroke(io::Error),
    /// The writer broke. The other direction goes on: bytes that came before the break may still be there to read.
    WriterBroke(io::Error),
}

impl Direction {
    /// A new direction. `first` are bytes that were already read from the reader.
    pub(super) fn new(first: Vec<u8>, throttle: Option<Arc<Throttle>>, path: Path) -> Self {
        Self {
            held: Held::bytes(first),
            copied: 0,
            unflushed: false,
            state: State::Copying,
            pace: Pace::new(path),
            throttle,
            pause: None,
            broken_reader: None,
        }
    }

    /// When everything, including the end, was given to the writer; `None` if that has not happened.
    pub(super) fn completed(&self) -> Option<Instant> {
        match self.state {
            State::Complete(since) => Some(since),
            State::Copying | State::ShuttingDown | State::Broken(_) => None,
        }
    }

    /// The error of a failed write, if the peer of the writer has broken the connection. That write took the error from
    /// the socket, so a read returns an end and no error. If the peer had closed in order before, the error is
    /// `BrokenPipe`, and this is `None`.
    pub(super) fn aborted(&self) -> Option<io::ErrorKind> {
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

    /// Whether the reader is not read, so that no read finds its break. (During a wait for the bound of speed this is
    /// false, because the wait ends by itself.)
    pub(super) fn is_not_reading(&self) -> bool {
        self.reader_ended() || !matches!(self.held, Held::Nothing)
    }

    fn fail(&mut self, kind: io::ErrorKind) {
        self.held = Held::Nothing;
        self.state = State::Broken(kind);
    }

    /// Checks whether a reader that is not read has broken. `back` is the direction to it. The last bytes of a broken
    /// reader are written as long as the writer takes some of them between two looks, for at most [`LAST_BYTES`]. After
    /// that the result is the error of the reader.
    pub(super) fn look(
        &mut self,
        back: &mut Self,
        reader: &Stream,
        writer: &Stream,
    ) -> Option<io::Error> {
        let error = broken(reader);
        if let Some(why) = error
            && back.completed().is_none()
        {
            back.fail(why);
        }
        // All bytes of the reader have been read, so it has nothing more to lose.
        if self.reader_ended() {
            return None;
        }
        let progress = (self.copied, unsent::bytes(writer.tcp()));
        if let Some(broken_reader) = &mut self.broken_reader {
            let stands = std::mem::replace(&mut broken_reader.progress, progress) == progress;
            return (stands || Instant::now() >= broken_reader.until)
                .then(|| broken_reader.why.into());
        }
        // A reader that closed in order before its break has sent everything: its bytes have no time limit.
        let why = error.filter(|why| *why != io::ErrorKind::BrokenPipe);
        self.broken_reader = why.or_else(|| back.aborted()).map(|why| {
            Box::new(BrokenReader {
                why,
                until: Instant::now() + LAST_BYTES,
                progress,
            })
        });
        None
    }

    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        reader: &mut Stream,
        writer: &mut Stream,
        reader_aborted: Option<io::ErrorKind>,
    ) -> Poll<End> {
        // A look took the error from the socket, so a read does not return it.
        let reader_aborted =
            reader_aborted.or_else(|| self.broken_reader.as_ref().map(|broken| broken.why));
        let before = self.copied;
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
                State::Copying if !matches!(self.held, Held::Nothing) => {
                    ready!(self.poll_write_held(cx, writer))
                }
                State::Copying if self.copied - before >= TURN as u64 => {
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
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

    /// Reads once. Errors of the reader are the outer result, errors of the writer the inner one.
    fn poll_read_on(
        &mut self,
        cx: &mut Context<'_>,
        reader: &mut Stream,
        writer: &mut Stream,
    ) -> Poll<io::Result<io::Result<()>>> {
        if let Some(pause) = &mut self.pause {
            ready!(pause.as_mut().poll(cx));
            self.pause = None;
        }
        if self.throttle.is_none()
            && self.pace.wants_pipe()
            && let (Stream::Plain(from), Stream::Plain(_)) = (&*reader, &*writer)
            && let Some(pipe) = pipe::take()
        {
            return self.poll_fill(cx, from, pipe).map_ok(Ok);
        }
        self.poll_copy(cx, reader, writer)
    }

    /// Fills a pipe from the reader. A pipe that stays empty goes back to the pool.
    fn poll_fill(
        &mut self,
        cx: &mut Context<'_>,
        reader: &TcpStream,
        mut pipe: Pipe,
    ) -> Poll<io::Result<()>> {
        let filled = poll_io(cx, reader, Interest::READABLE, || pipe.fill(reader));
        match filled {
            Poll::Ready(Ok(bytes)) if bytes > 0 => {
                self.pace.spliced(bytes);
                self.held = Held::Pipe(pipe);
                return Poll::Ready(Ok(()));
            }
            Poll::Ready(Ok(_)) => self.state = State::ShuttingDown,
            Poll::Ready(Err(_)) | Poll::Pending => {}
        }
        pipe.give_back();
        filled.map_ok(|_| ())
    }

    /// Reads into the buffer of the thread and writes the bytes. What the writer does not take is held.
    fn poll_copy(
        &mut self,
        cx: &mut Context<'_>,
        reader: &mut Stream,
        writer: &mut Stream,
    ) -> Poll<io::Result<io::Result<()>>> {
        let chunk = self.pace.chunk();
        let piece = self.throttle.as_ref().map_or(chunk, |t| t.piece());
        BUFFER.with_borrow_mut(|buffer| {
            let mut chunk = ReadBuf::new(buffer.get_mut(..piece.min(chunk)).unwrap_or_default());
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
                    Poll::Pending => break,
                }
            }
            self.pace.copied(chunk.len(), rest.is_empty());
            self.held = Held::bytes(rest.to_vec());
            Poll::Ready(Ok(Ok(())))
        })
    }

    /// Writes some of what is held.
    fn poll_write_held(
        &mut self,
        cx: &mut Context<'_>,
        writer: &mut Stream,
    ) -> Poll<io::Result<()>> {
        let n = match &mut self.held {
            Held::Nothing => return Poll::Ready(Ok(())),
            Held::Bytes { bytes, written } => {
                let rest = bytes.get(*written..).unwrap_or_default();
                let n = ready!(poll_write(cx, writer, rest))?;
                *written += n;
                n
            }
            Held::Pipe(pipe) => {
                let writer = writer.tcp();
                match ready!(poll_io(cx, writer, Interest::WRITABLE, || pipe.drain(writer)))? {
                    0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                    n => n,
                }
            }
        };
        self.wrote(n);
        if self.held.is_written() {
            let held = std::mem::replace(&mut self.held, Held::Nothing);
            if let Held::Pipe(pipe) = held {
                pipe.give_back();
            }
        }
        Poll::Ready(Ok(()))
    }

    fn wrote(&mut self, n: usize) {
        self.copied += n as u64;
        self.unflushed = true;
        if let Some(throttle) = &self.throttle {
            let wait = throttle.take(n, Instant::now().into_std());
            self.pause = (!wait.is_zero()).then(|| Box::pin(sleep(wait)));
        }
    }
}

impl Held {
    fn bytes(bytes: Vec<u8>) -> Self {
        if bytes.is_empty() {
            Self::Nothing
        } else {
            Self::Bytes { bytes, written: 0 }
        }
    }

    fn is_written(&self) -> bool {
        match self {
            Self::Nothing => true,
            Self::Bytes { bytes, written } => *written == bytes.len(),
            Self::Pipe(pipe) => pipe.is_empty(),
        }
    }
}

/// Waits until the socket is ready, and calls `io`, which does not block. Repeats that until the result of `io` is not
/// `WouldBlock`.
fn poll_io<T>(
    cx: &mut Context<'_>,
    tcp: &TcpStream,
    interest: Interest,
    mut io: impl FnMut() -> io::Result<T>,
) -> Poll<io::Result<T>> {
    loop {
        ready!(if interest.is_writable() {
            tcp.poll_write_ready(cx)
        } else {
            tcp.poll_read_ready(cx)
        })?;
        match tcp.try_io(interest, &mut io) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            done => return Poll::Ready(done),
        }
    }
}

/// Why a stream is broken, if it is. The system reports that once. It also reports errors that may pass, such as a
/// network that cannot be reached. In that case the connection still has a peer, and this is `None`.
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
