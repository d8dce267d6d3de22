//! Messages on a stream.

use std::{
    future::poll_fn,
    io,
    mem::MaybeUninit,
    net::Shutdown,
    pin::Pin,
    task::{Context, Poll, ready},
};

use netroxy_proto::{Decoder, Incoming, Limits, ParseError};
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWriteExt, ReadBuf};

use crate::stream::{Stream, limit_silence};

/// So much is read at a time at most.
const CHUNK: usize = 4096;

/// A stream that delivers messages, and hands over its unread tail when they end.
#[derive(Debug)]
pub struct Connection<M> {
    stream: Stream,
    decoder: Decoder<M>,
}

/// What came next on a [`Connection`].
#[derive(Debug)]
pub enum Received<M> {
    /// A message.
    Message(M),
    /// Bytes that are no message; nothing more can be read.
    Malformed(ParseError),
    /// The peer ended the stream, or it broke (`Some`).
    Ended(Option<io::Error>),
}

impl<M: Incoming> Connection<M> {
    /// A connection on which nothing has been read yet.
    #[must_use]
    pub fn new(stream: Stream) -> Self {
        let decoder = Decoder::new(Limits::default());
        Self { stream, decoder }
    }

    /// Waits for what comes next. Cancel safe: nothing is lost when the future is dropped.
    ///
    /// Not to be called after a message that [ends the lines](Incoming::ends_lines): use
    /// [`into_parts`](Self::into_parts).
    pub async fn receive(&mut self) -> Received<M> {
        loop {
            match self.decoder.next_message() {
                Ok(Some(message)) => return Received::Message(message),
                Err(error) => return Received::Malformed(error),
                Ok(None) => {}
            }
            match poll_fn(|cx| self.poll_read(cx)).await {
                Ok(0) => return Received::Ended(None),
                Ok(_) => {}
                Err(error) => return Received::Ended(Some(error)),
            }
        }
    }

    /// Reads into the decoder. A connection that waits holds no buffer.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut chunk = [MaybeUninit::uninit(); CHUNK];
        let mut chunk = ReadBuf::uninit(&mut chunk);
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut chunk))?;
        self.decoder.push(chunk.filled());
        Poll::Ready(Ok(chunk.filled().len()))
    }

    /// Writes encoded messages and flushes them. Not cancel safe.
    ///
    /// # Errors
    ///
    /// When the stream is broken.
    pub async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await?;
        self.stream.flush().await
    }

    /// Makes the next [`receive`](Self::receive) return what is left, then the end: for a peer that
    /// takes nothing more.
    pub fn give_up(&self) {
        // A socket that is broken already ends by itself.
        let _ = SockRef::from(self.stream.tcp()).shutdown(Shutdown::Both);
    }

    /// Makes a control connection break when the peer's system is silent ([`limit_silence`]).
    pub fn limit_silence(&self) {
        // A socket that is broken already ends by itself.
        let _ = limit_silence(self.stream.tcp());
    }

    /// The stream, and the bytes that were read from it behind the last message.
    #[must_use]
    pub fn into_parts(self) -> (Stream, Vec<u8>) {
        (self.stream, self.decoder.into_tail())
    }

    /// The stream alone, to be closed.
    #[must_use]
    pub fn into_stream(self) -> Stream {
        self.stream
    }
}
