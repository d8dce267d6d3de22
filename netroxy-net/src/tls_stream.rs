//! TLS on a TCP stream, made for bulk and for many idle connections.
//!
//! # How it works
//!
//! The unbuffered connections of rustls do no IO: they turn received records into plaintext, and plaintext into
//! records. This module moves the bytes between them and the socket, in pieces of up to 256 KiB, through two buffers of
//! the thread.
//!
//! **Reads.** One system call reads into the buffer of the thread, after the bytes of an incomplete record that an
//! earlier call has left (`incoming`). All complete records are decrypted in place. The plaintext goes to the reader;
//! what the reader has no room for, about one record, goes to `plain` and is read first the next time. The bytes of an
//! incomplete record go back to `incoming`.
//!
//! **Writes.** A piece is encrypted into the other buffer of the thread and written by one system call. What the socket
//! does not take goes to `outgoing`. No more plaintext is accepted until `outgoing` is empty. Handshake messages, key
//! updates and alerts go through `outgoing` too.
//!
//! **Memory.** So a connection holds memory only for an incomplete record, for plaintext that its reader had no room
//! for, and for one piece that the socket has not taken. An idle connection holds none.

use std::cell::RefCell;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::{fmt, io};

use rustls::client::UnbufferedClientConnection;
use rustls::server::UnbufferedServerConnection;
use rustls::{ClientConfig, Error, HandshakeKind, ServerConfig};
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

mod backlog;
mod session;

use backlog::Backlog;
use session::{Decrypted, Input, Session};

/// The most bytes that are read, or encrypted, at a time.
const PIECE: usize = 256 * 1024;
/// The longest record: a header, a payload of 16 KiB, and the 2 KiB by which TLS 1.2 lets encryption lengthen it.
const RECORD: usize = 5 + 16 * 1024 + 2 * 1024;
/// The most bytes that the records of one incomplete handshake message may take.
const HANDSHAKE_MESSAGE: usize = 64 * 1024;
/// The most bytes that encryption adds to a piece: less than 64 for each record of 16 KiB, and the records of a key
/// update.
const OVERHEAD: usize = PIECE / (16 * 1024) * 64 + 1024;

thread_local! {
    static RECEIVED: RefCell<Box<[u8]>> = RefCell::new(vec![0; PIECE].into_boxed_slice());
    static SEALED: RefCell<Box<[u8]>> = RefCell::new(vec![0; PIECE + OVERHEAD].into_boxed_slice());
}

/// A TCP stream with TLS, after the handshake.
///
/// Reads end in order only after the peer's `close_notify`. An end of TCP without it is `UnexpectedEof`, and invalid
/// TLS is `InvalidData` with a [`rustls::Error`] inside. After the peer has ended its direction, writes still work.
///
/// A write encrypts at most 256 KiB, and is done when these bytes are with the socket or in memory. The next write
/// first waits until the socket has taken them all; [`poll_flush`](AsyncWrite::poll_flush) waits for the same. A
/// shutdown sends `close_notify` and then ends the direction of TCP.
pub struct TlsStream {
    tcp: TcpStream,
    session: Session,
    /// Received bytes of an incomplete record.
    incoming: Vec<u8>,
    /// Decrypted bytes that are not read yet.
    plain: Backlog,
    /// Encrypted bytes that the socket has not taken yet.
    outgoing: Backlog,
    reading: Reading,
    /// Whether `close_notify` was encrypted.
    sent_close_notify: bool,
}

/// The state of the peer's direction.
enum Reading {
    Open,
    /// The peer has sent `close_notify`.
    Ended,
    /// Invalid TLS or an alert has come. `reported` is whether a read has returned the error.
    Failed {
        error: Error,
        reported: bool,
    },
}

/// Makes the handshake of a server.
///
/// # Errors
///
/// If the stream breaks or ends, or if the TLS of the peer is invalid or not acceptable. In the second case the peer is
/// sent an alert, if the socket takes it. The error comes with the TCP stream.
pub async fn accept(
    config: Arc<ServerConfig>,
    tcp: TcpStream,
) -> Result<TlsStream, (io::Error, TcpStream)> {
    match UnbufferedServerConnection::new(config) {
        Ok(connection) => shake_hands(tcp, Session::Server(Box::new(connection))).await,
        Err(error) => Err((io::Error::other(error), tcp)),
    }
}

/// Makes the handshake of a client with the server `name`.
///
/// # Errors
///
/// As for [`accept`], without the TCP stream.
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
    /// A stream before its handshake.
    fn begin(tcp: TcpStream, session: Session) -> Self {
        let mut stream = Self {
            tcp,
            session,
            incoming: Vec::new(),
            plain: Backlog::default(),
            outgoing: Backlog::default(),
            reading: Reading::Open,
            sent_close_notify: false,
        };
        // A client sends the first message.
        stream.decrypt(&mut [], &mut ReadBuf::new(&mut []));
        stream
    }

    /// The stream below TLS.
    #[must_use]
    pub fn tcp(&self) -> &TcpStream {
        &self.tcp
    }

    /// Whether the handshake was full or resumed an earlier session.
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

    /// The error of the peer's direction, if it has failed. It counts as reported then.
    fn failure(&mut self) -> Option<io::Error> {
        match &mut self.reading {
            Reading::Failed { error, reported } => {
                *reported = true;
                Some(io::Error::new(io::ErrorKind::InvalidData, error.clone()))
            }
            Reading::Open | Reading::Ended => None,
        }
    }

    /// Reads once, and decrypts the complete records into `buf`. Plaintext for which `buf` has no room is kept.
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
        // Plaintext is shorter than its records. So at most the plaintext of one record is kept.
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
            self.decrypt(room.get_mut(..length).unwrap_or_default(), buf);
            Poll::Ready(Ok(()))
        })
    }

    /// Decrypts the complete records of `bytes`, which begin with those of `incoming`, and keeps the rest there.
    fn decrypt(&mut self, bytes: &mut [u8], buf: &mut ReadBuf<'_>) {
        let left = &mut self.plain;
        let mut plain = |bytes: &[u8]| {
            let (fits, rest) = bytes.split_at(bytes.len().min(buf.remaining()));
            buf.put_slice(fits);
            left.push(rest);
        };
        let (done, decrypted) = self.session.decrypt(bytes, &mut plain, &mut self.outgoing);
        let rest = match decrypted {
            Ok(Decrypted::All) => bytes.get(done..).unwrap_or_default(),
            Ok(Decrypted::Closed) => {
                self.reading = Reading::Ended;
                &[]
            }
            Err(error) => {
                let reported = false;
                self.reading = Reading::Failed { error, reported };
                // It holds the alert. The caller may drop this stream without another write.
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

    /// Encrypts into `sealed`; the result is the number of bytes there.
    fn encrypt(&mut self, input: Input<'_>, sealed: &mut [u8]) -> io::Result<usize> {
        let encrypted = self.session.encrypt(&mut self.incoming, input, sealed);
        if encrypted.is_err() {
            // The keys of TLS 1.2 can reach their limit. rustls then has a `close_notify` to send, which goes to
            // `outgoing` here.
            let plain = &mut |_: &[u8]| {};
            let _ = (self.session).decrypt(&mut self.incoming, plain, &mut self.outgoing);
        }
        encrypted
    }

    /// Writes `outgoing` until it is empty.
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
                // The first read fails at once. A later read first waits for more bytes or the end.
                Reading::Failed {
                    reported: false, ..
                } => {
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
        if this.sent_close_notify {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        ready!(this.poll_outgoing(cx))?;
        // For a socket without room, nothing is encrypted.
        ready!(this.tcp.poll_write_ready(cx))?;
        let bytes = buf.get(..buf.len().min(PIECE)).unwrap_or_default();
        SEALED.with_borrow_mut(|sealed| {
            let length = this.encrypt(Input::Bytes(bytes), sealed)?;
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
        if !this.sent_close_notify && !matches!(this.reading, Reading::Failed { .. }) {
            let mut sealed = [0; OVERHEAD];
            let length = this.encrypt(Input::CloseNotify, &mut sealed)?;
            this.outgoing.push(sealed.get(..length).unwrap_or_default());
        }
        this.sent_close_notify = true;
        ready!(this.poll_outgoing(cx))?;
        match ready!(Pin::new(&mut this.tcp).poll_shutdown(cx)) {
            // The peer has already reset the connection.
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
