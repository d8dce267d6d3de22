//! A stream whose bytes leave one at a time at first.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

use crate::Manner;
use crate::lines::{Io, Stream};

/// What a peer of this manner writes to: a segment, or a record of TLS, for each byte if it drips.
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
    /// So many bytes leave on their own still.
    left: usize,
    /// The last byte has ended a line, or was none.
    between_lines: bool,
    /// Nothing leaves before.
    pause: Option<Pin<Box<Sleep>>>,
}

/// Longer than any message; bulk would take for ever.
const LONGEST: usize = 5_000;

/// Behind the first byte of each line: whoever listens sees it alone, and must not think that nothing follows.
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
