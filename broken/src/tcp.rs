//! TCP as it is, or byte by byte at first.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::Manner;

/// A connection between client and server, below TLS.
pub(crate) struct Tcp {
    stream: TcpStream,
    /// So many bytes leave on their own still.
    drips: usize,
}

/// Longer than any message; bulk would take for ever.
const DRIPS: usize = 5_000;

impl Tcp {
    pub(crate) fn new(stream: TcpStream, manner: Manner) -> Self {
        let drips = match manner {
            Manner::Drips => {
                let _ = stream.set_nodelay(true);
                DRIPS
            }
            Manner::Good | Manner::Lonely | Manner::Bad(_) => 0,
        };
        Self { stream, drips }
    }
}

impl AsyncRead for Tcp {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Tcp {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let now = match self.drips {
            0 => bytes,
            _ => bytes.get(..1).unwrap_or(bytes),
        };
        let written = Pin::new(&mut self.stream).poll_write(cx, now);
        self.drips = self.drips.saturating_sub(now.len());
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
