//! rustls' unbuffered connections of client and server as one.

use std::io;

use rustls::{
    Error, HandshakeKind,
    client::UnbufferedClientConnection,
    server::UnbufferedServerConnection,
    unbuffered::{ConnectionState, EncodeError, UnbufferedStatus},
};

use super::backlog::Backlog;

/// The secrets and the state of one end.
pub(super) enum Session {
    Client(Box<UnbufferedClientConnection>),
    Server(Box<UnbufferedServerConnection>),
}

/// What has become of received bytes.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// All that was complete is decrypted.
    All,
    /// The peer has said that it will say no more.
    Goodbye,
}

/// What is to be encrypted.
#[derive(Clone, Copy)]
pub(super) enum Say<'a> {
    Bytes(&'a [u8]),
    Goodbye,
}

/// What one call of rustls has come to.
enum Step {
    /// The next call has more.
    More,
    /// There is nothing to do before more bytes come.
    Idle,
    Goodbye,
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
    /// Decrypts what is complete in `incoming`, in place. Plaintext goes to `plain`, and what the
    /// handshake, a key update or an error makes this end say goes to `outgoing`.
    ///
    /// Tells how many bytes are done with. The others have to be there again, before newer ones, at
    /// the next call of any function.
    pub(super) fn hear(
        &mut self,
        incoming: &mut [u8],
        plain: &mut impl FnMut(&[u8]),
        outgoing: &mut Backlog,
    ) -> (usize, Result<Heard, Error>) {
        let mut done = 0;
        loop {
            let rest = incoming.get_mut(done..).unwrap_or_default();
            let (discard, step) = either!(self, connection => {
                one_step(connection.process_tls_records(rest), plain, outgoing)
            });
            done += discard;
            match step {
                Ok(Step::More) => {}
                Ok(Step::Idle) => return (done, Ok(Heard::All)),
                Ok(Step::Goodbye) => return (done, Ok(Heard::Goodbye)),
                Err(error) => {
                    // rustls gives the alert before it looks at any byte.
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

    /// Encrypts into `sealed` and tells how many bytes that has made. `incoming` is what
    /// [`hear`](Self::hear) has left.
    ///
    /// # Errors
    ///
    /// `BrokenPipe` when the connection is over, others when the keys of TLS 1.2 are used up.
    pub(super) fn say(
        &mut self,
        incoming: &mut [u8],
        say: Say<'_>,
        sealed: &mut [u8],
    ) -> io::Result<usize> {
        either!(self, connection => seal(connection.process_tls_records(incoming), say, sealed))
    }

    pub(super) fn is_handshaking(&self) -> bool {
        either!(self, connection => connection.is_handshaking())
    }

    pub(super) fn handshake_kind(&self) -> Option<HandshakeKind> {
        either!(self, connection => connection.handshake_kind())
    }

    /// Whether rustls has something to say that `hear` has not taken from it.
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
        // It leaves before anything that follows.
        ConnectionState::TransmitTlsData(transmit) => {
            transmit.done();
            Ok(Step::More)
        }
        ConnectionState::PeerClosed => Ok(Step::Goodbye),
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
    say: Say<'_>,
    sealed: &mut [u8],
) -> io::Result<usize> {
    debug_assert_eq!(status.discard, 0, "all has been heard");
    match status.state {
        Ok(ConnectionState::WriteTraffic(mut traffic)) => match say {
            Say::Bytes(bytes) => traffic.encrypt(bytes, sealed),
            Say::Goodbye => traffic.queue_close_notify(sealed),
        }
        .map_err(io::Error::other),
        _ => Err(io::ErrorKind::BrokenPipe.into()),
    }
}
