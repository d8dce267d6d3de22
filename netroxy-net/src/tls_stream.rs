//! TLS on a TCP stream, made for bulk and for many idle connections.
//!
//! Bytes are read and written in pieces of up to 256 KiB, many records at a time, through buffers of
//! the thread. A connection holds memory of its own only for an incomplete record, for plaintext that
//! the reader had no room for (about one record), and for one piece that the socket has not taken; an
//! idle one holds none.

use std::{
    cell::RefCell,
    fmt,
    future::poll_fn,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use rustls::{
    ClientConfig, Error, HandshakeKind, ServerConfig, client::UnbufferedClientConnection,
    server::UnbufferedServerConnection,
};
use rustls_pki_types::ServerName;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

mod backlog;
mod session;

use backlog::Backlog;
use session::{Heard, Say, Session};

/// So many bytes are read, or encrypted, at a time at most.
const PIECE: usize = 256 * 1024;
/// The longest record: header, and a payload of 16 KiB with the 2 KiB that TLS 1.2 lets it grow by.
const RECORD: usize = 5 + 16 * 1024 + 2 * 1024;
/// The most that the records of one incomplete handshake message may take.
const HANDSHAKE_MESSAGE: usize = 64 * 1024;
/// What encryption adds to a piece: less than 64 bytes to each record of 16 KiB, and the records of
/// a key update.
const OVERHEAD: usize = PIECE / (16 * 1024) * 64 + 1024;

thread_local! {
    static RECEIVED: RefCell<Box<[u8]>> = RefCell::new(vec![0; PIECE].into_boxed_slice());
    static SEALED: RefCell<Box<[u8]>> = RefCell::new(vec![0; PIECE + OVERHEAD].into_boxed_slice());
}

/// A TCP stream with TLS that has shaken hands.
///
/// Reads end in order only after the peer's `close_notify`; an end of TCP alone is `UnexpectedEof`,
/// and what is no valid TLS is `InvalidData` with a [`rustls::Error`] inside. The peer may end its
/// direction first: writes go on.
///
/// A write encrypts at most 256 KiB and is done when the socket has taken a part of that; the next
/// write waits for the rest, and [`poll_flush`](AsyncWrite::poll_flush) writes it. Shutting down sends
/// `close_notify` and then ends TCP's direction.
pub struct TlsStream {
    tcp: TcpStream,
    session: Session,
    /// Received, but not complete.
    incoming: Vec<u8>,
    /// Decrypted, but not read.
    plain: Backlog,
    /// Encrypted, but not taken by the socket.
    outgoing: Backlog,
    reading: Reading,
    /// `close_notify` has been said.
    said_goodbye: bool,
}

/// How far the peer's direction is.
enum Reading {
    Open,
    /// The peer has ended it by `close_notify`.
    Ended,
    /// What came is no valid TLS, or an alert. `told` is whether a read has failed by it.
    Failed {
        error: Error,
        told: bool,
    },
}

/// Shakes hands as a server.
///
/// # Errors
///
/// When the stream breaks or ends, and when the peer does not speak TLS as it is wanted; the peer has
/// been sent an alert then, as far as the socket took it. The TCP stream is given back.
pub async fn accept(
    config: Arc<ServerConfig>,
    tcp: TcpStream,
) -> Result<TlsStream, (io::Error, TcpStream)> {
    match UnbufferedServerConnection::new(config) {
        Ok(connection) => shake_hands(tcp, Session::Server(Box::new(connection))).await,
        Err(error) => Err((io::Error::other(error), tcp)),
    }
}

/// Shakes hands as a client with the server of that name.
///
/// # Errors
///
/// As for [`accept`].
pub async fn connect(
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
    tcp: TcpStream,
) -> io::Result<TlsStream> {
    let connection = UnbufferedClientConnection::new(config, name).map_err(io::Error::other)?;
    let shaken = shake_hands(tcp, Session::Client(Box::new(connection))).await;
    shaken.map_err(|(error, _)| error)
}

async fn shake_hands(
    tcp: TcpStream,
    session: Session,
) -> Result<TlsStream, (io::Error, TcpStream)> {
    let mut stream = TlsStream::begin(tcp, session);
    match poll_fn(|cx| stream.poll_handshake(cx)).await {
        Ok(()) => Ok(stream),
        Err(error) => Err((error, stream.tcp)),
    }
}

impl TlsStream {
    /// A stream that has not shaken hands.
    fn begin(tcp: TcpStream, session: Session) -> Self {
        let mut stream = Self {
            tcp,
            session,
            incoming: Vec::new(),
            plain: Backlog::default(),
            outgoing: Backlog::default(),
            reading: Reading::Open,
            said_goodbye: false,
        };
        // A client speaks first.
        stream.hear(&mut [], &mut ReadBuf::new(&mut []));
        stream
    }

    /// The stream below TLS.
    #[must_use]
    pub fn tcp(&self) -> &TcpStream {
        &self.tcp
    }

    /// Whether the two ends knew each other from an earlier connection.
    #[must_use]
    pub fn handshake_kind(&self) -> Option<HandshakeKind> {
        self.session.handshake_kind()
    }

    fn poll_handshake(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            if let Some(error) = self.failure() {
                return Poll::Ready(Err(error));
            }
            ready!(self.poll_outgoing(cx))?;
            if !self.session.is_handshaking() {
                return Poll::Ready(Ok(()));
            }
            ready!(self.poll_receive(cx, &mut ReadBuf::new(&mut [])))?;
        }
    }

    /// Why the peer's direction has failed, if it has.
    fn failure(&mut self) -> Option<io::Error> {
        match &mut self.reading {
            Reading::Failed { error, told } => {
                *told = true;
                Some(io::Error::new(io::ErrorKind::InvalidData, error.clone()))
            }
            Reading::Open | Reading::Ended => None,
        }
    }

    /// Reads once and decrypts what that has completed. What `buf` has no room for is kept.
    fn poll_receive(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let held = self.incoming.len();
        if held >= HANDSHAKE_MESSAGE {
            let text = "the other side sends a TLS handshake message that does not end";
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, text)));
        }
        // Plaintext is shorter than what it is made of, so no more is left over than one record has.
        let room = buf.remaining().max(held + RECORD);
        RECEIVED.with_borrow_mut(|received| {
            let room = received.get_mut(..room.min(PIECE)).unwrap_or_default();
            let (before, space) = room.split_at_mut(held);
            let mut chunk = ReadBuf::new(space);
            ready!(Pin::new(&mut self.tcp).poll_read(cx, &mut chunk))?;
            let length = held + chunk.filled().len();
            if let Some(error) = self.failure() {
                return Poll::Ready(Err(error));
            }
            if length == held {
                let text = "the other side has closed the connection without ending TLS";
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::UnexpectedEof, text)));
            }
            before.copy_from_slice(&self.incoming);
            self.hear(room.get_mut(..length).unwrap_or_default(), buf);
            Poll::Ready(Ok(()))
        })
    }

    /// Decrypts what is complete in `bytes`, which begin with those that were held, and holds the rest.
    fn hear(&mut self, bytes: &mut [u8], buf: &mut ReadBuf<'_>) {
        let left = &mut self.plain;
        let mut plain = |bytes: &[u8]| {
            let (fits, rest) = bytes.split_at(bytes.len().min(buf.remaining()));
            buf.put_slice(fits);
            left.push(rest);
        };
        let (done, heard) = self.session.hear(bytes, &mut plain, &mut self.outgoing);
        let rest = match heard {
            Ok(Heard::All) => bytes.get(done..).unwrap_or_default(),
            Ok(Heard::Goodbye) => {
                self.reading = Reading::Ended;
                &[]
            }
            Err(error) => {
                let told = false;
                self.reading = Reading::Failed { error, told };
                // The alert: this end may be dropped without another write.
                if !self.outgoing.is_empty()
                    && let Ok(count) = self.tcp.try_write(self.outgoing.rest())
                {
                    self.outgoing.take(count);
                }
                &[]
            }
        };
        if rest.is_empty() {
            self.incoming = Vec::new();
        } else {
            self.incoming.clear();
            self.incoming.extend_from_slice(rest);
        }
    }

    /// Encrypts into `sealed`, and tells how many bytes that has made.
    fn say(&mut self, say: Say<'_>, sealed: &mut [u8]) -> io::Result<usize> {
        let said = self.session.say(&mut self.incoming, say, sealed);
        if said.is_err() {
            // With TLS 1.2 the keys can be used up. rustls has said goodbye then.
            let plain = &mut |_: &[u8]| {};
            let _ = (self.session).hear(&mut self.incoming, plain, &mut self.outgoing);
        }
        said
    }

    /// Writes what the socket has not taken.
    fn poll_outgoing(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.outgoing.is_empty() {
            let tcp = Pin::new(&mut self.tcp);
            match ready!(tcp.poll_write(cx, self.outgoing.rest()))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                count => self.outgoing.take(count),
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for TlsStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let (before, room) = (buf.filled().len(), buf.remaining());
        while buf.filled().len() == before && room > 0 {
            if !this.plain.is_empty() {
                let count = this.plain.rest().len().min(room);
                buf.put_slice(this.plain.rest().get(..count).unwrap_or_default());
                this.plain.take(count);
                break;
            }
            match this.reading {
                Reading::Ended => break,
                // Only then: whoever reads again waits for something to come, or for the end.
                Reading::Failed { told: false, .. } => {
                    return Poll::Ready(this.failure().map_or(Ok(()), Err));
                }
                Reading::Failed { .. } | Reading::Open => {}
            }
            ready!(this.poll_receive(cx, buf))?;
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for TlsStream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if let Reading::Failed { error, .. } = &this.reading {
            let error = io::Error::new(io::ErrorKind::InvalidData, error.clone());
            return Poll::Ready(Err(error));
        }
        if this.said_goodbye {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        ready!(this.poll_outgoing(cx))?;
        // Nothing is encrypted for a socket that has no room.
        ready!(this.tcp.poll_write_ready(cx))?;
        let bytes = buf.get(..buf.len().min(PIECE)).unwrap_or_default();
        SEALED.with_borrow_mut(|sealed| {
            let length = this.say(Say::Bytes(bytes), sealed)?;
            let sealed = sealed.get(..length).unwrap_or_default();
            let taken = match Pin::new(&mut this.tcp).poll_write(cx, sealed) {
                Poll::Ready(taken) => taken?,
                Poll::Pending => 0,
            };
            this.outgoing.push(sealed.get(taken..).unwrap_or_default());
            Poll::Ready(Ok(bytes.len()))
        })
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().poll_outgoing(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.said_goodbye && !matches!(this.reading, Reading::Failed { .. }) {
            let mut sealed = [0; OVERHEAD];
            let length = this.say(Say::Goodbye, &mut sealed)?;
            this.outgoing.push(sealed.get(..length).unwrap_or_default());
        }
        this.said_goodbye = true;
        ready!(this.poll_outgoing(cx))?;
        match ready!(Pin::new(&mut this.tcp).poll_shutdown(cx)) {
            // The peer has broken it off.
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Poll::Ready(Ok(())),
            done => Poll::Ready(done),
        }
    }
}

impl fmt::Debug for TlsStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsStream")
            .field("tcp", &self.tcp)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
