//! One type for the unbuffered connections of rustls: that of a client and that of a server.

use std::io;

use rustls::client::UnbufferedClientConnection;
use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{ConnectionState, EncodeError, UnbufferedStatus};
use rustls::{Error, HandshakeKind};

use super::backlog::Backlog;

/// The keys and the state of one end.
pub(super) enum Session {
    Client(Box<UnbufferedClientConnection>),
    Server(Box<UnbufferedServerConnection>),
}

/// What a call of [`Session::decrypt`] found.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Decrypted {
    /// All complete records are decrypted.
    All,
    /// The peer has sent `close_notify`.
    Closed,
}

/// What to encrypt.
#[derive(Clone, Copy)]
pub(super) enum Input<'a> {
    Bytes(&'a [u8]),
    CloseNotify,
}

/// The result of one call of rustls.
enum Step {
    /// Another call may do more.
    More,
    /// Nothing can be done before more bytes come.
    Idle,
    /// The peer has sent `close_notify`.
    Closed,
}

macro_rules! either {
    ($session:expr, $connection:ident => $call:expr) => {
        match $session {
            Session::Client($connection) => $call,
            Session::Server($connection) => $call,
        }
    };
}

impl Session {
    /// Decrypts the complete records of `incoming`, in place. Plaintext goes to `plain`. Messages that the handshake, a
    /// key update or an error makes this end send go to `outgoing`.
    ///
    /// Returns how many bytes are processed. The caller must pass the others again, before newer ones, in the next call
    /// of any function.
    pub(super) fn decrypt(
        &mut self,
        incoming: &mut [u8],
        plain: &mut impl FnMut(&[u8]),
        outgoing: &mut Backlog,
    ) -> (usize, Result<Decrypted, Error>) {
        let mut done = 0;
        loop {
            let rest = incoming.get_mut(done..).unwrap_or_default();
            let (discard, step) = either!(self, connection => {
                one_step(connection.process_tls_records(rest), plain, outgoing)
            });
            done += discard;
            match step {
                Ok(Step::More) => {}
                Ok(Step::Idle) => return (done, Ok(Decrypted::All)),
                Ok(Step::Closed) => return (done, Ok(Decrypted::Closed)),
                Err(error) => {
                    // rustls returns the alert before it reads any byte.
                    while self.wants_write() {
                        let _ = either!(self, connection => {
                            one_step(connection.process_tls_records(&mut []), plain, outgoing)
                        });
                    }
                    return (done, Err(error));
                }
            }
        }
    }

    /// Encrypts into `sealed`, and returns the number of bytes there. `incoming` holds the bytes that
    /// [`decrypt`](Self::decrypt) has left.
    ///
    /// # Errors
    ///
    /// `BrokenPipe` if the connection is over, other kinds if the keys of TLS 1.2 have reached their limit.
    pub(super) fn encrypt(
        &mut self,
        incoming: &mut [u8],
        input: Input<'_>,
        sealed: &mut [u8],
    ) -> io::Result<usize> {
        either!(self, connection => seal(connection.process_tls_records(incoming), input, sealed))
    }

    pub(super) fn is_handshaking(&self) -> bool {
        either!(self, connection => connection.is_handshaking())
    }

    pub(super) fn handshake_kind(&self) -> Option<HandshakeKind> {
        either!(self, connection => connection.handshake_kind())
    }

    /// Whether rustls has messages to send that are not in `outgoing` yet.
    fn wants_write(&self) -> bool {
        either!(self, connection => connection.wants_write())
    }
}

fn one_step<Data>(
    status: UnbufferedStatus<'_, '_, Data>,
    plain: &mut impl FnMut(&[u8]),
    outgoing: &mut Backlog,
) -> (usize, Result<Step, Error>) {
    let step = status.state.and_then(|state| match state {
        ConnectionState::ReadTraffic(mut traffic) => {
            while let Some(record) = traffic.next_record() {
                plain(record?.payload);
            }
            Ok(Step::More)
        }
        ConnectionState::EncodeTlsData(mut message) => {
            let length = match message.encode(&mut []) {
                Err(EncodeError::InsufficientSize(needed)) => needed.required_size,
                Ok(_) | Err(EncodeError::AlreadyEncoded) => 0,
            };
            let encoded = message.encode(outgoing.grow(length));
            encoded.map_err(|error| Error::General(error.to_string()))?;
            Ok(Step::More)
        }
        // `outgoing` is sent in order, so this counts as sent.
        ConnectionState::TransmitTlsData(transmit) => {
            transmit.done();
            Ok(Step::More)
        }
        ConnectionState::PeerClosed => Ok(Step::Closed),
        ConnectionState::BlockedHandshake
        | ConnectionState::WriteTraffic(_)
        | ConnectionState::Closed => Ok(Step::Idle),
        // Neither end allows early data.
        _ => Err(Error::General("unexpected state of TLS".to_owned())),
    });
    (status.discard, step)
}

fn seal<Data>(
    status: UnbufferedStatus<'_, '_, Data>,
    input: Input<'_>,
    sealed: &mut [u8],
) -> io::Result<usize> {
    debug_assert_eq!(
        status.discard, 0,
        "decrypt has processed all complete records"
    );
    match status.state {
        Ok(ConnectionState::WriteTraffic(mut traffic)) => match input {
            Input::Bytes(bytes) => traffic.encrypt(bytes, sealed),
            Input::CloseNotify => traffic.queue_close_notify(sealed),
        }
        .map_err(io::Error::other),
        _ => Err(io::ErrorKind::BrokenPipe.into()),
    }
}
