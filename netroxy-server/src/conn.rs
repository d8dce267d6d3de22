//! The task of a connection from a client: a control or a data connection.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use netroxy_net::connection::{Connection, Received};
use netroxy_net::log::REFUSAL;
use netroxy_net::stream::Stream;
use netroxy_proto::server::{CloseReason, Input, Listener};
use netroxy_proto::{Ath, ClientMessage};
use rustls::ServerConfig;
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, debug, info, info_span};

use crate::accounts::Account;
use crate::admission::{Pass, Refusal};
use crate::handshake::shake_hands;
use crate::hub::{Fate, Hub, Order, Seat};
use crate::{Config, live, proxy_protocol};

/// The most messages that are sent in one write.
const BATCH: usize = 64;
/// How long a client may leave a batch of answers unread (section 20 of the specification).
const UNREAD: Duration = Duration::from_secs(10);
/// How long the last messages to a client may take when the server closes the connection.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// A connection that was accepted on a control port.
pub(crate) struct Arrival {
    pub(crate) tcp: TcpStream,
    pub(crate) peer: SocketAddr,
    pub(crate) listener: Listener,
    /// Counts the connection as long as it lives.
    pub(crate) pass: Pass,
}

pub(crate) async fn serve(hub: Arc<Hub>, mut arrival: Arrival) {
    let config = hub.config();
    if config.trusted_proxies.contain(arrival.peer.ip()) {
        let real = hub
            .stop
            .run_until_cancelled(real_peer(&hub, &config, &mut arrival));
        match real.await {
            Some(Ok(())) => {}
            Some(Err(reason)) => {
                info!(target: REFUSAL, peer = %arrival.peer, %reason, "connection refused");
                return;
            }
            None => return,
        }
    }
    let Arrival {
        tcp,
        peer,
        listener,
        pass,
    } = arrival;
    let tls = match listener {
        Listener::Plain => None,
        Listener::Tls => config.tls.as_ref().map(|tls| tls.server.clone()),
    };
    // The connection may live longer than this configuration.
    drop(config);
    // Before the handshake, because the time to log in includes it (`auth.deadline`).
    let Some(seat) = hub.admit(listener, peer) else {
        return;
    };
    let span = info_span!("conn", id = seat.id.0, %peer, tls = listener == Listener::Tls);
    let task = async {
        let greeted = tokio::select! {
            stream = greet(&hub, tcp, tls) => stream,
            () = seat.closing.cancelled() => {
                info!(rule = "auth.deadline", "no TLS handshake in time");
                None
            }
            () = pass.replaced() => {
                info!(target: REFUSAL, reason = %Refusal::FreshInAll, "connection closed");
                None
            }
            () = hub.stop.cancelled() => None,
        };
        match greeted {
            Some(stream) => {
                Serving {
                    hub: &hub,
                    peer,
                    pass,
                }
                .run(Connection::new(stream), seat)
                .await
            }
            None => hub.feed(Input::Ended { conn: seat.id }),
        }
    };
    task.instrument(span).await;
}

/// Reads the PROXY header of a trusted proxy. From then on the connection belongs to the address in it.
async fn real_peer(hub: &Hub, config: &Config, arrival: &mut Arrival) -> Result<(), Refusal> {
    let header = timeout(config.login_timeout, proxy_protocol::read(&mut arrival.tcp));
    let read = tokio::select! {
        read = header => read,
        // The refusal was counted when the new connection was let in.
        () = arrival.pass.replaced() => return Err(Refusal::FreshInAll),
    };
    match read {
        Ok(Ok(Some(source))) => {
            arrival.pass = hub.admission.fresh(source.ip(), hub.waiting())?;
            arrival.peer = source;
            Ok(())
        }
        Ok(Ok(None)) => Ok(()),
        Ok(Err(_)) | Err(_) => Err(hub.admission.refuse(Refusal::ProxyHeader)),
    }
}

async fn greet(hub: &Hub, tcp: TcpStream, tls: Option<Arc<ServerConfig>>) -> Option<Stream> {
    let Some(tls) = tls else {
        return Some(Stream::Plain(tcp));
    };
    match shake_hands(&hub.handshakes, tls, tcp).await {
        Ok(stream) => Some(stream.into()),
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
    Left(&'static str),
    /// A new connection took its place before it had logged in.
    Replaced,
    Ended(Option<io::Error>),
    WriteFailed(io::Error),
    Stopped,
}

/// What a connection's task holds.
struct Serving<'a> {
    hub: &'a Arc<Hub>,
    peer: SocketAddr,
    pass: Pass,
}

impl Serving<'_> {
    async fn run(mut self, mut connection: Connection<ClientMessage>, mut seat: Seat) {
        let mut orders = Vec::new();
        let mut logged_in = false;
        let end = loop {
            tokio::select! {
                // Orders first: answers are sent before further messages are read.
                biased;
                count = seat.orders.recv_many(&mut orders, BATCH) => {
                    if count == 0 {
                        break End::Stopped;
                    }
                    let mut bytes = Vec::new();
                    let (mut last, mut messages) = (None, 0);
                    for order in orders.drain(..) {
                        match order {
                            Order::Send(message) => {
                                messages += 1;
                                message.encode(&mut bytes);
                            }
                            Order::Serve(user) => user.begin(),
                            // Nothing follows these.
                            Order::Close(_) | Order::Leave(_) | Order::Join(_) => last = Some(order),
                        }
                    }
                    let sent = send(&mut connection, &seat, &self.hub.stop, &bytes).await;
                    seat.unsent.fetch_sub(messages, Ordering::Relaxed);
                    if let Err(error) = sent {
                        break End::WriteFailed(error);
                    }
                    match last {
                        Some(Order::Close(reason)) => break End::Closed(reason),
                        Some(Order::Leave(why)) => break End::Left(why),
                        Some(Order::Join(user)) => return join(connection, user),
                        Some(Order::Send(_) | Order::Serve(_)) | None => {}
                    }
                }
                () = self.hub.stop.cancelled() => break End::Stopped,
                () = self.pass.replaced(), if !logged_in => break End::Replaced,
                received = connection.receive() => match received {
                    Received::Message(ClientMessage::Ath(ath)) => {
                        let replaced = self.pass.replaced();
                        // Many passwords may wait to be checked. The next turn of the loop handles
                        // what has ended the wait.
                        tokio::select! {
                            () = seat.closing.cancelled() => {}
                            () = self.hub.stop.cancelled() => {}
                            () = replaced, if !logged_in => {}
                            account = self.check(&ath) => {
                                if self.hub.login(seat.id, ath, account) {
                                    logged_in = true;
                                    connection.limit_silence();
                                }
                            }
                        }
                    }
                    Received::Message(message) => {
                        self.hub.feed(Input::Message { conn: seat.id, message });
                    }
                    Received::Malformed(error) => {
                        self.hub.feed(Input::Malformed { conn: seat.id, error });
                    }
                    Received::Ended(error) => break End::Ended(error),
                },
            }
        };
        self.hub.feed(Input::Ended { conn: seat.id });
        // There are no further orders.
        while let Ok(order) = seat.orders.try_recv() {
            if let Order::Serve(user) = order {
                user.begin();
            }
        }
        match end {
            End::Closed(reason) => {
                info!(%reason, rule = reason.rule(), "connection closed");
            }
            End::Left(reason) => info!(reason, "connection closed"),
            End::Replaced => {
                info!(target: REFUSAL, reason = %Refusal::FreshInAll, "connection closed");
                // The new connection needs the descriptor, and no message has to arrive here.
                return;
            }
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

    /// The account that a login belongs to, if its password is right and there is room. The
    /// connection counts as a login then.
    async fn check(&mut self, ath: &Ath) -> Option<Arc<Account>> {
        let admission = &self.hub.admission;
        let Some(account) = self.hub.config().accounts.check(ath).await else {
            admission.wrong_password(self.peer.ip());
            let text = format_args!("wrong user name or password from {}", self.peer.ip());
            self.hub.note(live::Kind::LoginRefused, None, text);
            return None;
        };
        match self.pass.log_in() {
            Ok(()) => Some(account),
            Err(reason) => {
                info!(target: REFUSAL, user = %account.username, %reason, "login refused");
                None
            }
        }
    }
}

/// Sends messages. Fails if the peer does not take them within [`UNREAD`], or within [`LAST_WORDS`] after
/// the last order or the stop of the server.
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
        // What can be sent at once needs no timer.
        biased;
        sent = connection.send(bytes) => sent,
        () = given_up => Err(io::ErrorKind::TimedOut.into()),
        () = sleep(UNREAD) => Err(io::ErrorKind::TimedOut.into()),
    }
}

fn join(connection: Connection<ClientMessage>, user: oneshot::Sender<Fate>) {
    let (data, early) = connection.into_parts();
    // If the user's task has just ended, the data connection is dropped, which closes it.
    let _ = user.send(Fate::Joined { data, early });
}

#[cfg(test)]
mod tests;
