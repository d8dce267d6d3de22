//! One direction of a relay.

use std::{
    cell::RefCell,
    future::Future,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, Interest, ReadBuf},
    net::TcpStream,
    time::{Instant, Sleep, sleep},
};

use super::{
    path::{LARGE, Pace, Path},
    pipe::{self, Pipe},
};
use crate::{stream::Stream, throttle::Throttle, unsent};

/// What a side said before it broke off may take so long to be taken.
const LAST_BYTES: Duration = Duration::from_secs(60);
/// So many bytes are carried at a time while other tasks wait for their turn.
const TURN: usize = 2 * 1024 * 1024;

thread_local! {
    static BUFFER: RefCell<Box<[u8]>> = RefCell::new(vec![0; LARGE].into_boxed_slice());
}

/// One direction: from one stream, the reader, to the other one, the writer.
pub(super) struct Direction {
    held: Held,
    pub(super) copied: u64,
    unflushed: bool,
    pub(super) state: State,
    pace: Pace,
    throttle: Option<Arc<Throttle>>,
    /// Nothing is read until then: what was carried took the share of this time.
    rest: Option<Pin<Box<Sleep>>>,
    /// The reader has broken off, and not all that it said has been carried.
    gone: Option<Box<Gone>>,
}

/// What was read but not written yet.
enum Held {
    Nothing,
    Bytes { bytes: Vec<u8>, written: usize },
    Pipe(Pipe),
}

/// A reader that has broken off while it was not read, and what has become of its last bytes.
struct Gone {
    why: io::ErrorKind,
    /// The writer may take so long.
    until: Instant,
    /// What was copied when it was last looked at, and what the writer's peer had not taken then.
    progress: (u64, usize),
}

pub(super) enum State {
    Copying,
    ShuttingDown,
    /// Everything, the end included, was handed to the writer.
    Complete(Instant),
    Broken(io::ErrorKind),
}

/// How a direction ended.
pub(super) enum End {
    /// The reader's end was carried over to the writer.
    Complete,
    /// The reader broke: there is nothing left to relay in either direction.
    ReaderBroke(io::Error),
    /// The writer broke. The other direction goes on: its reader may still hold bytes that came
    /// before.
    WriterBroke(io::Error),
}

impl Direction {
    /// `first` was read from the reader already.
    pub(super) fn new(first: Vec<u8>, throttle: Option<Arc<Throttle>>, path: Path) -> Self {
        Self {
            held: Held::bytes(first),
            copied: 0,
            unflushed: false,
            state: State::Copying,
            pace: Pace::new(path),
            throttle,
            rest: None,
            gone: None,
        }
    }

    /// When everything, the end included, had been handed to the writer.
    pub(super) fn completed(&self) -> Option<Instant> {
        match self.state {
            State::Complete(since) => Some(since),
            State::Copying | State::ShuttingDown | State::Broken(_) => None,
        }
    }

    /// Why the writer was aborted, if it was. The write has taken the error of the connection away,
    /// so a read gives no error but an end. A peer that closed in order before has let its end
    /// arrive, which the system tells by another error.
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

    /// Whether the reader is not read, so that its break is not seen. (One that rests after its share
    /// is read when the time is over.)
    pub(super) fn is_blind(&self) -> bool {
        self.reader_ended() || !matches!(self.held, Held::Nothing)
    }

    fn fail(&mut self, kind: io::ErrorKind) {
        self.held = Held::Nothing;
        self.state = State::Broken(kind);
    }

    /// Looks whether a reader that is not read is gone. `back` is the direction to it. What the reader
    /// said before goes on for as long as the writer takes some of it between two looks, and for
    /// [`LAST_BYTES`]; then the result is why the reader has broken off.
    pub(super) fn look(
        &mut self,
        back: &mut Self,
        reader: &Stream,
        writer: &Stream,
    ) -> Option<io::Error> {
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

    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        reader: &mut Stream,
        writer: &mut Stream,
        reader_aborted: Option<io::ErrorKind>,
    ) -> Poll<End> {
        // Who has looked for the break has taken it away from the reads.
        let reader_aborted = reader_aborted.or_else(|| self.gone.as_ref().map(|gone| gone.why));
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
        if let Some(rest) = &mut self.rest {
            ready!(rest.as_mut().poll(cx));
            self.rest = None;
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

    /// Fills a pipe from the reader. One that stays empty goes back.
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

    /// Reads into the thread's buffer and writes what came; the rest is held.
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
            self.rest = (!wait.is_zero()).then(|| Box::pin(sleep(wait)));
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

/// Calls `io`, which does not wait, until it has something to say, each time that the socket is ready.
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
