//! The task of one connection from a client: control, or data.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use netroxy_net::{
    connection::{Connection, Received},
    stream::{Stream, tune},
};
use netroxy_proto::{
    ClientMessage,
    server::{CloseReason, Input, Listener},
};
use tokio::{
    net::TcpStream,
    sync::oneshot,
    time::{sleep, timeout},
};
use tokio_rustls::TlsAcceptor;
use tracing::{Instrument, debug, info, info_span};

use crate::hub::{Fate, Hub, Order, Seat};

/// So long may a TLS handshake take; the login has its own time after it (`auth.deadline`).
const HANDSHAKE: Duration = Duration::from_secs(10);
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
    let greeted = hub.stop.run_until_cancelled(greet(tcp, tls)).await;
    let Some(stream) = greeted.flatten() else {
        return;
    };
    let Some(seat) = hub.admit(listener) else {
        return;
    };
    let span = info_span!("conn", id = seat.id.0, %peer, tls = listener == Listener::Tls);
    run(&hub, Connection::new(stream), seat)
        .instrument(span)
        .await;
}

async fn greet(tcp: TcpStream, tls: Option<TlsAcceptor>) -> Option<Stream> {
    if let Err(error) = tune(&tcp) {
        debug!(%error, "connection broke at once");
        return None;
    }
    let Some(tls) = tls else {
        return Some(Stream::Plain(tcp));
    };
    let peer = tcp.peer_addr();
    match timeout(HANDSHAKE, tls.accept(tcp)).await {
        Ok(Ok(stream)) => return Some(Stream::Tls(Box::new(stream.into()))),
        Ok(Err(error)) => info!(?peer, %error, rule = "tls.no-plain-on-tls", "no TLS handshake"),
        Err(_) => info!(?peer, rule = "auth.deadline", "no TLS handshake in time"),
    }
    None
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
    let end = loop {
        tokio::select! {
            // Orders first: an answer, a close or a join must come before further input is read.
            biased;
            count = seat.orders.recv_many(&mut orders, BATCH) => {
                let mut bytes = Vec::new();
                let mut last = None;
                for order in orders.drain(..) {
                    match order {
                        Order::Send(message) => message.encode(&mut bytes),
                        // Nothing follows these.
                        Order::Close(_) | Order::Join(_) => last = Some(order),
                    }
                }
                if let Err(error) = send(&mut connection, &seat, &bytes).await {
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
                    debug!(message = name(&message), "received");
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
        End::Ended(None) => debug!("connection ended by the peer"),
        End::Ended(Some(error)) => debug!(%error, "connection broken"),
        End::WriteFailed(error) => info!(%error, "connection given up"),
        End::Stopped => {}
    }
    connection.into_stream().close().await;
}

/// Sends messages; a peer that does not take them is not waited for once the connection is to be
/// closed.
async fn send(
    connection: &mut Connection<ClientMessage>,
    seat: &Seat,
    bytes: &[u8],
) -> io::Result<()> {
    if bytes.is_empty() {
        return Ok(());
    }
    let given_up = async {
        seat.closing.cancelled().await;
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

fn name(message: &ClientMessage) -> &'static str {
    match message {
        ClientMessage::Ath(_) => "ATH",
        ClientMessage::Map(_) => "MAP",
        ClientMessage::Srq => "SRQ",
        ClientMessage::Trs(_) => "TRS",
    }
}
