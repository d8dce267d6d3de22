//! The task of one connection from a client: control, or data.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use netroxy_net::{
    connection::{Connection, Received},
    stream::{Stream, tune},
};
use netroxy_proto::{
    Ars, ClientMessage, ServerMessage,
    server::{CloseReason, Input, Listener},
};
use tokio::{net::TcpStream, sync::oneshot, time::sleep};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, debug, info, info_span};

use crate::hub::{Fate, Hub, Order, Seat};

/// So many messages are sent in one write at most.
const BATCH: usize = 64;
/// So long may the last words to a client take when the server closes the connection.
const LAST_WORDS: Duration = Duration::from_secs(2);

pub(crate) async fn serve(
    hub: Arc<Hub>,
    listener: Listener,
    tcp: TcpStream,
    peer: SocketAddr,
    tls: Option<TlsAcceptor>,
) {
    // Before the handshake, which is part of the time to log in (`auth.deadline`).
    let Some(seat) = hub.admit(listener) else {
        return;
    };
    let span = info_span!("conn", id = seat.id.0, %peer, tls = listener == Listener::Tls);
    let task = async {
        let greeted = tokio::select! {
            stream = greet(tcp, tls) => stream,
            () = seat.closing.cancelled() => {
                info!(rule = "auth.deadline", "no TLS handshake in time");
                None
            }
            () = hub.stop.cancelled() => None,
        };
        match greeted {
            Some(stream) => run(&hub, Connection::new(stream), seat).await,
            None => hub.feed(Input::Ended { conn: seat.id }),
        }
    };
    task.instrument(span).await;
}

async fn greet(tcp: TcpStream, tls: Option<TlsAcceptor>) -> Option<Stream> {
    if let Err(error) = tune(&tcp) {
        debug!(%error, "connection broke at once");
        return None;
    }
    let Some(tls) = tls else {
        return Some(Stream::Plain(tcp));
    };
    match tls.accept(tcp).await {
        Ok(stream) => Some(Stream::Tls(Box::new(stream.into()))),
        Err(error) => {
            let cause = error
                .get_ref()
                .and_then(|e| e.downcast_ref::<rustls::Error>());
            let plain = matches!(cause, Some(rustls::Error::InvalidMessage(_)));
            info!(%error, rule = plain.then_some("tls.no-plain-on-tls"), "no TLS handshake");
            None
        }
    }
}

/// Why a connection's task ends.
enum End {
    Closed(CloseReason),
    Ended(Option<io::Error>),
    WriteFailed(io::Error),
    Stopped,
}

async fn run(hub: &Arc<Hub>, mut connection: Connection<ClientMessage>, mut seat: Seat) {
    let mut orders = Vec::new();
    let mut logged_in = false;
    let end = loop {
        tokio::select! {
            // Orders first: answers go out before more questions are read.
            biased;
            count = seat.orders.recv_many(&mut orders, BATCH) => {
                let mut bytes = Vec::new();
                let mut last = None;
                for order in orders.drain(..) {
                    match order {
                        Order::Send(message) => {
                            logged_in |= matches!(message, ServerMessage::Ars(Ars::Accepted { .. }));
                            message.encode(&mut bytes);
                        }
                        // Nothing follows these.
                        Order::Close(_) | Order::Join(_) => last = Some(order),
                    }
                }
                if let Err(error) = send(&mut connection, &seat, &hub.stop, &bytes).await {
                    break End::WriteFailed(error);
                }
                match last {
                    Some(Order::Close(reason)) => break End::Closed(reason),
                    Some(Order::Join(user)) => return join(connection, user),
                    Some(Order::Send(_)) | None if count > 0 => {}
                    Some(Order::Send(_)) | None => break End::Stopped,
                }
            }
            () = hub.stop.cancelled() => break End::Stopped,
            received = connection.receive() => match received {
                Received::Message(message) => {
                    hub.feed(Input::Message { conn: seat.id, message });
                }
                Received::Malformed(error) => {
                    hub.feed(Input::Malformed { conn: seat.id, error });
                }
                Received::Ended(error) => break End::Ended(error),
            },
        }
    };
    hub.feed(Input::Ended { conn: seat.id });
    match end {
        End::Closed(reason) => info!(%reason, rule = reason.rule(), "connection closed"),
        End::Ended(error) if logged_in => {
            info!(
                error = error.map(tracing::field::display),
                "client has gone"
            );
        }
        End::Ended(error) => {
            debug!(
                error = error.map(tracing::field::display),
                "connection ended"
            );
        }
        End::WriteFailed(error) => info!(%error, "connection given up"),
        End::Stopped => {}
    }
    connection.into_stream().close().await;
}

/// Sends messages; a peer that does not take them is not waited for long once the connection is to
/// be closed or the server stops.
async fn send(
    connection: &mut Connection<ClientMessage>,
    seat: &Seat,
    stop: &CancellationToken,
    bytes: &[u8],
) -> io::Result<()> {
    if bytes.is_empty() {
        return Ok(());
    }
    let given_up = async {
        tokio::select! {
            () = seat.closing.cancelled() => {}
            () = stop.cancelled() => {}
        }
        sleep(LAST_WORDS).await;
    };
    tokio::select! {
        sent = connection.send(bytes) => sent,
        () = given_up => Err(io::ErrorKind::TimedOut.into()),
    }
}

fn join(connection: Connection<ClientMessage>, user: oneshot::Sender<Fate>) {
    let (data, early) = connection.into_parts();
    // If the user has just gone, the data connection is dropped, which closes it.
    let _ = user.send(Fate::Joined { data, early });
}
