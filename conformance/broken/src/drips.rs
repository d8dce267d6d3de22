//! A stream that sends its first bytes one at a time.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

use crate::Manner;
use crate::lines::{Io, Stream};

/// The stream that a peer of this manner uses. If it drips, each byte is a segment or a TLS record of its own.
pub(crate) fn written_by(manner: Manner, stream: impl Io + 'static) -> Stream {
    match manner {
        Manner::Drips => Box::new(Drips {
            stream,
            left: LONGEST,
            between_lines: true,
            pause: None,
        }),
        _ => Box::new(stream),
    }
}

struct Drips<S> {
    stream: S,
    /// How many bytes are still sent one at a time.
    left: usize,
    /// Whether the last byte has ended a line, or no byte was sent.
    between_lines: bool,
    /// The pause before the next byte.
    pause: Option<Pin<Box<Sleep>>>,
}

/// How many bytes are sent one at a time: more than any message has. All bytes of a transfer would take too long.
const LONGEST: usize = 5_000;

/// The pause after the first byte of each line: the other side reads it alone, and must wait for the rest.
const PAUSE: Duration = Duration::from_millis(2);

impl<S: AsyncRead + Unpin> AsyncRead for Drips<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Drips<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.left == 0 {
            return Pin::new(&mut self.stream).poll_write(cx, bytes);
        }
        if let Some(pause) = &mut self.pause {
            ready!(pause.as_mut().poll(cx));
            self.pause = None;
        }
        let now = bytes.get(..1).unwrap_or(bytes);
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, now))?;
        self.left -= written;
        if self.between_lines {
            self.pause = Some(Box::pin(sleep(PAUSE)));
        }
        self.between_lines = now == b"\n";
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
