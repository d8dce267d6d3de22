//! A TCP stream, with or without TLS.

use std::{
    future::poll_fn,
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
    time::{Instant, sleep, timeout},
};

use crate::{tls_stream::TlsStream, unsent};

/// A connection between client and server, or to a user or target (always plain).
#[derive(Debug)]
pub enum Stream {
    /// TCP alone.
    Plain(TcpStream),
    /// TLS over TCP, from the first byte.
    Tls(Box<TlsStream>),
}

/// Refuses a connection of a socket to itself. The system opens one when no program listens on the
/// port that is dialled, and the system gives the dialling socket that same port.
///
/// # Errors
///
/// `ConnectionRefused`, as for any port without a listener, and when the socket is broken already.
pub fn not_to_itself(tcp: TcpStream) -> io::Result<TcpStream> {
    if tcp.local_addr()? == tcp.peer_addr()? {
        return Err(io::ErrorKind::ConnectionRefused.into());
    }
    Ok(tcp)
}

/// Makes small messages leave at once, and finds peers that have vanished: an idle connection whose
/// peer's system does not answer is broken after 30 seconds. (A peer that has closed and whose
/// system still answers for it looks like one that half-closed, for a minute on Linux.)
///
/// # Errors
///
/// When the socket is broken already.
pub fn tune<'s>(socket: impl Into<SockRef<'s>>) -> io::Result<()> {
    let socket = socket.into();
    socket.set_tcp_nodelay(true)?;
    let keepalive = TcpKeepalive::new()
        .with_time(Duration::from_secs(20))
        .with_interval(Duration::from_secs(5));
    match socket.set_tcp_keepalive(&keepalive.clone().with_retries(2)) {
        // Windows before 10, version 1703, takes no number of probes: it sends ten.
        Err(error) if cfg!(windows) && error.raw_os_error() == Some(NO_SUCH_OPTION) => {
            socket.set_tcp_keepalive(&keepalive)
        }
        outcome => outcome,
    }
}

/// WSAENOPROTOOPT
const NO_SUCH_OPTION: i32 = 10042;

/// A control connection breaks when its peer's system has confirmed nothing for so long.
pub const SILENCE: Duration = Duration::from_secs(30);

/// Makes a control connection break after [`SILENCE`] (Linux and Android). Both peers have to notice
/// a dead path there: the client takes another one, and the server frees the ports. A tunnel may
/// wait for its path to come back.
///
/// # Errors
///
/// When the socket is broken already.
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
    /// and dropped until the peer ends, but no longer than 3 s from then and 1 s from now. That is
    /// short enough that a peer which goes on sending soon learns that it is not read any more
    /// (`tunnel.reset-propagates`), also where several relays linger in a row. The time begins when
    /// the peer has taken what was written, as for [`abort`](Self::abort).
    pub async fn linger(mut self, since: Instant) {
        const IN_ALL: Duration = Duration::from_secs(3);
        const LEAST: Duration = Duration::from_secs(1);
        self.deliver().await;
        let limit = IN_ALL.saturating_sub(since.elapsed()).max(LEAST);
        let _ = timeout(limit, drain(&mut self, u64::MAX)).await;
    }

    /// Ends the stream with a reset, so that the peer cannot take what it got for the whole, after
    /// the peer has taken what was written. A reset throws away all that is under way, so it waits
    /// as long as the peer takes some of it every 3 s, for 60 s at most. What the peer sends
    /// meanwhile is dropped. When the future is dropped, the stream is reset at once.
    pub fn abort(mut self) -> impl Future<Output = ()> {
        // Not in the future: a caller may drop it before its first poll.
        let _ = SockRef::from(self.tcp()).set_linger(Some(Duration::ZERO));
        async move { self.deliver().await }
    }

    /// Waits until the peer has taken what was written, see [`abort`](Self::abort).
    async fn deliver(&mut self) {
        const IN_ALL: Duration = Duration::from_secs(60);
        const STALLED: Duration = Duration::from_secs(3);
        const LONGEST_NAP: Duration = Duration::from_millis(100);
        let until = Instant::now() + IN_ALL;
        let (mut left, mut taken) = (usize::MAX, Instant::now());
        let mut nap = Duration::from_millis(1);
        // A peer that is gone takes nothing more.
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

    /// Writes what TLS has kept back, and reads and drops what has come: a peer that cannot write
    /// may not read.
    fn poll_flush_and_drop(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut waste = [0; 1024];
        // As much as a socket can hold; a peer that goes on sending is read at the next turn.
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
