//! Messages on a stream.

use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::net::Shutdown;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use netroxy_proto::{Decoder, Incoming, Limits, ParseError};
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWriteExt, ReadBuf};

use crate::stream::{Stream, limit_silence};

/// The most that one read takes, in bytes.
const CHUNK: usize = 4096;

/// A stream of messages. After the last message it hands over the stream and the bytes that follow.
#[derive(Debug)]
pub struct Connection<M> {
    stream: Stream,
    decoder: Decoder<M>,
}

/// The next event on a [`Connection`].
#[derive(Debug)]
pub enum Received<M> {
    /// A message.
    Message(M),
    /// Bytes that are no message. Nothing more can be read.
    Malformed(ParseError),
    /// The peer ended the stream (`None`), or it broke (`Some`).
    Ended(Option<io::Error>),
}

impl<M: Incoming> Connection<M> {
    /// A connection on which nothing has been read yet.
    #[must_use]
    pub fn new(stream: Stream) -> Self {
        let decoder = Decoder::new(Limits::default());
        Self { stream, decoder }
    }

    /// Waits for the next event. Cancel safe: no bytes are lost if the future is dropped.
    ///
    /// Do not call it after a message that [ends the lines](Incoming::ends_lines): call
    /// [`into_parts`](Self::into_parts) then.
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

    /// Reads into the decoder. The buffer is on the stack, so a waiting connection holds none.
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
    /// If the stream is broken.
    pub async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await?;
        self.stream.flush().await
    }

    /// Shuts the socket down in both directions: [`receive`](Self::receive) returns what is left, then the end. It is
    /// for a peer that does not read any more.
    pub fn give_up(&self) {
        // If it fails, the socket is already broken, and the next read ends.
        let _ = SockRef::from(self.stream.tcp()).shutdown(Shutdown::Both);
    }

    /// Makes a control connection break if the peer's system does not answer ([`limit_silence`]).
    pub fn limit_silence(&self) {
        // If it fails, the socket is already broken, and the next read ends.
        let _ = limit_silence(self.stream.tcp());
    }

    /// The stream, and the bytes that were read after the last message.
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
