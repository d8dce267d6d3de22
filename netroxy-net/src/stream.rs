//! A TCP stream, with or without TLS.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

use crate::tls_stream::TlsStream;
use crate::unsent;

/// A connection between client and server, or to a user or target (always plain).
#[derive(Debug)]
pub enum Stream {
    /// TCP alone.
    Plain(TcpStream),
    /// TLS over TCP, from the first byte.
    Tls(Box<TlsStream>),
}

/// Refuses a connection of a socket to itself. The system opens one if no program listens on the port, and the
/// connecting socket gets that same port by chance.
///
/// # Errors
///
/// `ConnectionRefused`, as for any port without a listener, or the error of a socket that is already broken.
pub fn not_to_itself(tcp: TcpStream) -> io::Result<TcpStream> {
    if tcp.local_addr()? == tcp.peer_addr()? {
        return Err(io::ErrorKind::ConnectionRefused.into());
    }
    Ok(tcp)
}

/// Sets the options of a socket. Small messages are sent at once, and an idle connection breaks after 30 s if the
/// system of the peer does not answer. (If the peer has closed and its system still answers, the connection looks
/// half-closed; on Linux that lasts a minute.)
///
/// # Errors
///
/// If the socket is already broken.
pub fn tune<'s>(socket: impl Into<SockRef<'s>>) -> io::Result<()> {
    let socket = socket.into();
    socket.set_tcp_nodelay(true)?;
    let keepalive = TcpKeepalive::new()
        .with_time(Duration::from_secs(20))
        .with_interval(Duration::from_secs(5));
    match socket.set_tcp_keepalive(&keepalive.clone().with_retries(2)) {
        // Windows before 10, version 1703, has no option for the number of probes: it sends ten.
        Err(error) if cfg!(windows) && error.raw_os_error() == Some(NO_SUCH_OPTION) => {
            socket.set_tcp_keepalive(&keepalive)
        }
        outcome => outcome,
    }
}

/// WSAENOPROTOOPT of Windows.
const NO_SUCH_OPTION: i32 = 10042;

/// A control connection breaks if the peer's system acknowledges nothing for this time.
pub const SILENCE: Duration = Duration::from_secs(30);

/// Makes a control connection break after [`SILENCE`] (Linux and Android). Both peers must detect a dead path there:
/// the client connects again, and the server frees the ports. A tunnel may wait until its path works again.
///
/// # Errors
///
/// If the socket is already broken.
pub fn limit_silence(tcp: &TcpStream) -> io::Result<()> {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    SockRef::from(tcp).set_tcp_user_timeout(Some(SILENCE))?;
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    let _ = tcp;
    Ok(())
}

impl From<TlsStream> for Stream {
    fn from(tls: TlsStream) -> Self {
        Self::Tls(Box::new(tls))
    }
}

impl Stream {
    /// The TCP stream, below TLS.
    #[must_use]
    pub fn tcp(&self) -> &TcpStream {
        match self {
            Self::Plain(tcp) => tcp,
            Self::Tls(tls) => tls.tcp(),
        }
    }

    /// The address of the other end.
    ///
    /// # Errors
    ///
    /// If the socket is already broken.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.tcp().peer_addr()
    }

    /// Ends the stream in order. Everything that was written arrives, unless the peer takes longer than 1 s or sends
    /// more than 1 MiB.
    pub async fn close(mut self) {
        const LIMIT: Duration = Duration::from_secs(1);
        const BYTES: u64 = 1024 * 1024;
        let shut_down_and_drain = async {
            self.shutdown().await?;
            drain(&mut self, BYTES).await
        };
        // The stream is closed in each case.
        let _ = timeout(LIMIT, shut_down_and_drain).await;
    }

    /// Waits for the end of a stream that was shut down at `since`. First it waits until the peer has taken the written
    /// bytes, as [`abort`](Self::abort) does. Then it reads and drops what the peer sends, until the peer ends,
    /// until 3 s after `since`, or for 1 s if that is later. After that the stream is closed, and a peer that goes on
    /// sending gets a reset (`tunnel.reset-propagates`). The times are short, because several relays may wait one after
    /// the other.
    pub async fn linger(mut self, since: Instant) {
        const IN_ALL: Duration = Duration::from_secs(3);
        const LEAST: Duration = Duration::from_secs(1);
        self.deliver().await;
        let limit = IN_ALL.saturating_sub(since.elapsed()).max(LEAST);
        let _ = timeout(limit, drain(&mut self, u64::MAX)).await;
    }

    /// Ends the stream with a reset, so that the peer does not take a part for the whole. A reset destroys bytes that
    /// are under way, so it comes after the peer has taken them: this waits as long as the peer takes some bytes every
    /// 3 s, for at most 60 s. What the peer sends meanwhile is dropped. If the future is dropped, the stream is reset
    /// at once.
    pub fn abort(mut self) -> impl Future<Output = ()> {
        // Outside of the future, because the caller may drop the future before its first poll.
        let _ = SockRef::from(self.tcp()).set_linger(Some(Duration::ZERO));
        async move { self.deliver().await }
    }

    /// Waits until the peer has taken the written bytes; [`abort`](Self::abort) says for how long.
    async fn deliver(&mut self) {
        const IN_ALL: Duration = Duration::from_secs(60);
        const STALLED: Duration = Duration::from_secs(3);
        const LONGEST_NAP: Duration = Duration::from_millis(100);
        let until = Instant::now() + IN_ALL;
        let (mut left, mut taken) = (usize::MAX, Instant::now());
        let mut nap = Duration::from_millis(1);
        // A broken socket has no peer address, and no peer that could take bytes.
        while self.peer_addr().is_ok() && Instant::now() < until.min(taken + STALLED) {
            let flushed = match timeout(nap, poll_fn(|cx| self.poll_flush_and_drop(cx))).await {
                Ok(Err(_)) => return,
                Ok(Ok(())) => true,
                Err(_) => false,
            };
            let unsent = unsent::bytes(self.tcp());
            if flushed && unsent == 0 {
                return;
            }
            if unsent < left {
                (left, taken) = (unsent, Instant::now());
            }
            if flushed {
                sleep(nap).await;
            }
            nap = (nap * 2).min(LONGEST_NAP);
        }
    }

    /// Writes what TLS holds back, and reads and drops what has come: a peer may not read while it cannot write.
    fn poll_flush_and_drop(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut waste = [0; 1024];
        // 4 MiB, as much as a socket can hold. If the peer goes on sending, the next call reads more.
        for _ in 0..4096 {
            let mut waste = ReadBuf::new(&mut waste);
            match Pin::new(&mut *self).poll_read(cx, &mut waste) {
                Poll::Ready(Ok(())) if !waste.filled().is_empty() => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Ready(Ok(())) | Poll::Pending => break,
            }
        }
        Pin::new(self).poll_flush(cx)
    }
}

/// Reads and drops up to `bytes` bytes. Otherwise the close would send a reset, because the socket has unread input,
/// and the reset would destroy what the peer has not read yet.
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
