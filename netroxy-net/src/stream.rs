//! A TCP stream, with or without TLS.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use socket2::{SockRef, TcpKeepalive};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf},
    net::TcpStream,
    time::{Instant, timeout},
};
use tokio_rustls::TlsStream;

/// A connection between client and server, or to a user or target (always plain).
#[derive(Debug)]
pub enum Stream {
    /// TCP alone.
    Plain(TcpStream),
    /// TLS over TCP, from the first byte.
    Tls(Box<TlsStream<TcpStream>>),
}

/// Makes small messages leave at once, and finds peers that have vanished.
///
/// # Errors
///
/// When the socket is broken already.
pub fn tune(tcp: &TcpStream) -> io::Result<()> {
    tcp.set_nodelay(true)?;
    let keepalive = TcpKeepalive::new()
        .with_time(Duration::from_secs(30))
        .with_interval(Duration::from_secs(10));
    SockRef::from(tcp).set_tcp_keepalive(&keepalive)
}

impl Stream {
    /// The TCP stream, below TLS.
    #[must_use]
    pub fn tcp(&self) -> &TcpStream {
        match self {
            Self::Plain(tcp) => tcp,
            Self::Tls(tls) => tls.get_ref().0,
        }
    }

    /// The address of the other end.
    ///
    /// # Errors
    ///
    /// When the socket is broken already.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.tcp().peer_addr()
    }

    /// Ends the stream so that everything written arrives, unless the peer takes longer than a
    /// second or goes on sending.
    pub async fn close(mut self) {
        const LIMIT: Duration = Duration::from_secs(1);
        const BYTES: u64 = 1024 * 1024;
        let shut_down_and_drain = async {
            self.shutdown().await?;
            drain(&mut self, BYTES).await
        };
        // Either way the stream is closed now; the peer decides which one it is.
        let _ = timeout(LIMIT, shut_down_and_drain).await;
    }

    /// Leaves a stream that was shut down at `since` to its peer: what the peer still sends is read
    /// and dropped, until it ends, 3 s have passed since then, and 1 s from now. That is time to
    /// take what is on its way, and short enough that a peer which goes on sending soon learns that
    /// nobody listens (`tunnel.close-propagates`), also where several relays linger in a row.
    pub async fn linger(mut self, since: Instant) {
        const IN_ALL: Duration = Duration::from_secs(3);
        const LEAST: Duration = Duration::from_secs(1);
        let limit = IN_ALL.saturating_sub(since.elapsed()).max(LEAST);
        let _ = timeout(limit, drain(&mut self, u64::MAX)).await;
    }

    /// Ends the stream with a reset, so that the peer cannot take what it got for the whole.
    pub fn reset(self) {
        let _ = SockRef::from(self.tcp()).set_linger(Some(Duration::ZERO));
    }
}

/// A socket that is closed with unread input sends a reset, which destroys what its peer has not
/// read yet.
async fn drain(stream: &mut Stream, bytes: u64) -> io::Result<u64> {
    tokio::io::copy(&mut stream.take(bytes), &mut tokio::io::sink()).await
}

macro_rules! delegate {
    ($self:ident, $stream:ident => $call:expr) => {
        match $self.get_mut() {
            Self::Plain($stream) => $call,
            Self::Tls($stream) => $call,
        }
    };
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        delegate!(self, s => Pin::new(s).poll_read(cx, buf))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        delegate!(self, s => Pin::new(s).poll_write(cx, buf))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        delegate!(self, s => Pin::new(s).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        delegate!(self, s => Pin::new(s).poll_shutdown(cx))
    }
}
