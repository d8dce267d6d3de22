//! Copies bytes both ways between two streams, exactly.
//!
//! A half-close of one side is carried over to the other, whose own direction goes on
//! (`tunnel.half-close`). A stream that breaks breaks the other one too, with a reset: an aborted
//! stream must not look like a complete one.
//!
//! An idle relay holds no buffer: bytes are read into one buffer of the thread and kept only as
//! far as the other side does not take them.

use std::{
    cell::RefCell,
    future::poll_fn,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::stream::Stream;

const SCRATCH: usize = 64 * 1024;

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
    /// What broke, if not both sides ended.
    pub broken: Option<io::Error>,
}

/// Relays between two streams until both have ended or one is broken; `early` are bytes from `a`
/// that were read already. Then both are closed, or reset if one broke.
pub async fn relay(mut a: Stream, mut b: Stream, early: Vec<u8>) -> Summary {
    let summary = copy_both_ways(&mut a, &mut b, early).await;
    if summary.broken.is_some() {
        a.reset();
        b.reset();
    }
    summary
}

/// [`relay`] without the end of the streams.
pub async fn copy_both_ways<A, B>(a: &mut A, b: &mut B, early: Vec<u8>) -> Summary
where
    A: AsyncRead + AsyncWrite + Unpin,
    B: AsyncRead + AsyncWrite + Unpin,
{
    let mut up = Direction::new(early);
    let mut down = Direction::new(Vec::new());
    let broken = poll_fn(|cx| {
        let up = up.poll(cx, a, b);
        let down = down.poll(cx, b, a);
        match (up, down) {
            (Poll::Ready(End::ReaderBroke(error)), _)
            | (_, Poll::Ready(End::ReaderBroke(error))) => Poll::Ready(Some(error)),
            (Poll::Ready(up), Poll::Ready(down)) => {
                Poll::Ready(up.error().or_else(|| down.error()))
            }
            _ => Poll::Pending,
        }
    })
    .await;
    Summary {
        a_to_b: up.copied,
        b_to_a: down.copied,
        broken,
    }
}

/// One direction of a relay.
struct Direction {
    /// Read but not written yet.
    pending: Vec<u8>,
    written: usize,
    copied: u64,
    unflushed: bool,
    state: State,
}

enum State {
    Copying,
    ShuttingDown,
    Over(Option<io::ErrorKind>),
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

impl End {
    fn error(self) -> Option<io::Error> {
        match self {
            Self::Complete => None,
            Self::ReaderBroke(error) | Self::WriterBroke(error) => Some(error),
        }
    }
}

impl Direction {
    fn new(pending: Vec<u8>) -> Self {
        Self {
            pending,
            written: 0,
            copied: 0,
            unflushed: false,
            state: State::Copying,
        }
    }

    fn poll<R, W>(&mut self, cx: &mut Context<'_>, reader: &mut R, writer: &mut W) -> Poll<End>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        loop {
            let written = match &self.state {
                State::Over(None) => return Poll::Ready(End::Complete),
                State::Over(Some(kind)) => {
                    return Poll::Ready(End::WriterBroke(io::Error::from(*kind)));
                }
                State::ShuttingDown => {
                    let done = ready!(Pin::new(&mut *writer).poll_shutdown(cx));
                    done.map(|()| self.state = State::Over(None))
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
                self.pending = Vec::new();
                self.written = 0;
                self.state = State::Over(Some(error.kind()));
            }
        }
    }

    /// Reads once and writes what came; the rest becomes pending. Errors of the reader are the
    /// outer result, errors of the writer the inner one.
    fn poll_read_on<R, W>(
        &mut self,
        cx: &mut Context<'_>,
        reader: &mut R,
        writer: &mut W,
    ) -> Poll<io::Result<io::Result<()>>>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        BUFFER.with_borrow_mut(|buffer| {
            let mut chunk = ReadBuf::new(buffer);
            ready!(Pin::new(reader).poll_read(cx, &mut chunk))?;
            let chunk = chunk.filled();
            if chunk.is_empty() {
                self.state = State::ShuttingDown;
                return Poll::Ready(Ok(Ok(())));
            }
            let mut rest = chunk;
            while !rest.is_empty() {
                match Pin::new(&mut *writer).poll_write(cx, rest) {
                    Poll::Ready(Ok(0)) => {
                        return Poll::Ready(Ok(Err(io::ErrorKind::WriteZero.into())));
                    }
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

    fn poll_pending<W: AsyncWrite + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        writer: &mut W,
    ) -> Poll<io::Result<()>> {
        let rest = self.pending.get(self.written..).unwrap_or_default();
        match ready!(Pin::new(writer).poll_write(cx, rest)) {
            Ok(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
            Ok(n) => {
                self.written += n;
                self.wrote(n);
            }
            Err(error) => return Poll::Ready(Err(error)),
        }
        if self.written == self.pending.len() {
            self.pending = Vec::new();
            self.written = 0;
        }
        Poll::Ready(Ok(()))
    }

    fn wrote(&mut self, n: usize) {
        self.copied += n as u64;
        self.unflushed = true;
    }
}
