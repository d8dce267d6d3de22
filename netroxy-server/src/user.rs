//! The users of mapped ports.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use netroxy_net::log::REFUSAL;
use netroxy_net::relay::{Summary, Terms, relay};
use netroxy_net::stream::Stream;
use netroxy_proto::server::{Input, UserId};
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::time::timeout;
use tracing::{Level, Span, debug, enabled, info, info_span};

use crate::admission::{Pass, Refusal};
use crate::config::MappedPorts;
use crate::handshake::shake_hands;
use crate::hub::{Fate, Hub, UserTask};
use crate::live::{self, Live};
use crate::port::MappedPort;
use crate::{Config, proxy_protocol};

/// A user that was let in; it counts until this is dropped.
struct AdmittedUser {
    _pass: Pass,
    port: Arc<MappedPort>,
    peer: SocketAddr,
}

impl AdmittedUser {
    /// The span of the user's log lines. A span that lived as long as the tunnel would cost memory, and time
    /// with each piece of data.
    fn span(&self, id: UserId) -> Span {
        info_span!("tunnel", id = id.0, remote_port = %self.port.remote_port, user = %self.peer)
    }

    /// Counts and logs the bytes of a tunnel that has ended.
    fn closed(&self, live: Option<&Live>, id: UserId, start: Instant, summary: &Summary) {
        match live {
            Some(live) => live.end(id, summary),
            None => self.port.served.add(summary),
        }
        let (to_user, from_user) = (summary.a_to_b, summary.b_to_a);
        let seconds = start.elapsed().as_secs_f64();
        let reason = summary.reason("the client", "the user");
        let log = || info!(to_user, from_user, seconds, reason, "tunnel closed");
        self.span(id).in_scope(log);
    }
}

impl Drop for AdmittedUser {
    fn drop(&mut self) {
        self.port.client.users.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Begins the tasks that accept the users of a port, one for each address.
pub(crate) fn accept(hub: &Arc<Hub>, port: &Arc<MappedPort>) {
    for number in 0..port.listeners.len() {
        hub.tasks
            .spawn(accept_at(hub.clone(), port.clone(), number));
    }
}

/// Accepts users at one address until the port is closed.
async fn accept_at(hub: Arc<Hub>, port: Arc<MappedPort>, number: usize) {
    let Some(listener) = port.listeners.get(number) else {
        return;
    };
    let accept = async {
        while let Some((tcp, peer)) = listener.accept().await {
            handle_user(&hub, &port, tcp, peer);
        }
    };
    tokio::select! {
        () = port.closed.cancelled() => {}
        () = hub.stop.cancelled() => listener.close(),
        () = accept => {}
    }
}

/// Handles a new user. A user whose first bytes are not for the server is registered here and not in a task of
/// its own, because users are served in the order of their arrival (`tunnel.fifo`).
fn handle_user(hub: &Arc<Hub>, port: &Arc<MappedPort>, tcp: TcpStream, peer: SocketAddr) {
    if !port.is_on() {
        refuse(hub, port, peer, hub.admission.refuse(Refusal::SwitchedOff));
        return;
    }
    let config = hub.config();
    let settings = config.mapped_port(port.remote_port.get());
    let sends_first =
        settings.is_some_and(|s| s.tls.is_some() || s.trusted_proxies.contain(peer.ip()));
    if sends_first {
        let (hub, port) = (hub.clone(), port.clone());
        hub.tasks.clone().spawn(async move {
            let settings = config.mapped_port(port.remote_port.get());
            let preparing = hub
                .stop
                .run_until_cancelled(prepare(&hub, &port, &config, settings, tcp, peer));
            match preparing.await {
                Some(Ok((stream, admitted))) => register(&hub, admitted, settings, stream),
                Some(Err(refusal)) => refuse(&hub, &port, peer, refusal),
                None => {}
            }
        });
        return;
    }
    match let_in(hub, port, settings, peer) {
        Ok(admitted) => register(hub, admitted, settings, Stream::Plain(tcp)),
        Err(refusal) => refuse(hub, port, peer, refusal),
    }
}

/// Lets a user in, if its address is allowed and no limit is reached.
fn let_in(
    hub: &Hub,
    port: &Arc<MappedPort>,
    settings: Option<&MappedPorts>,
    peer: SocketAddr,
) -> Result<AdmittedUser, Refusal> {
    if let Some(settings) = settings {
        if !settings.users.admit(peer.ip()) {
            return Err(hub.admission.refuse(Refusal::Network));
        }
        if settings.users_per_second > 0 && port.exceeds_rate(settings.users_per_second) {
            return Err(hub.admission.refuse(Refusal::UsersPerSecond));
        }
    }
    let most = port.client.account.max_tunnels.map_or_else(
        || hub.admission.limit(|limits| limits.tunnels_per_client),
        |most| if most == 0 { usize::MAX } else { most },
    );
    let of_client = port.client.users.fetch_add(1, Ordering::Relaxed);
    match hub.admission.user(peer.ip(), of_client, most) {
        Ok(pass) => Ok(AdmittedUser {
            _pass: pass,
            port: port.clone(),
            peer,
        }),
        Err(refusal) => {
            port.client.users.fetch_sub(1, Ordering::Relaxed);
            Err(refusal)
        }
    }
}

/// Reads the header of a trusted proxy, and makes the TLS handshake. The user's address is that of the header.
async fn prepare(
    hub: &Arc<Hub>,
    port: &Arc<MappedPort>,
    config: &Config,
    settings: Option<&MappedPorts>,
    mut tcp: TcpStream,
    mut peer: SocketAddr,
) -> Result<(Stream, AdmittedUser), Refusal> {
    if settings.is_some_and(|s| s.trusted_proxies.contain(peer.ip())) {
        // Until the header has arrived, the proxy's connection counts as a stranger.
        let pass = hub.admission.fresh(peer.ip(), 0)?;
        let header = timeout(config.user_timeout, proxy_protocol::read(&mut tcp));
        let read = tokio::select! {
            read = header => read,
            // The refusal was counted when the new connection was let in.
            () = pass.replaced() => return Err(Refusal::FreshInAll),
        };
        match read {
            Ok(Ok(source)) => peer = source.unwrap_or(peer),
            Ok(Err(_)) | Err(_) => return Err(hub.admission.refuse(Refusal::ProxyHeader)),
        }
    }
    let admitted = let_in(hub, port, settings, peer)?;
    let stream = match settings.and_then(|s| s.tls.as_ref()) {
        None => Stream::Plain(tcp),
        Some(tls) => {
            let shaking = shake_hands(&hub.user_handshakes, tls.clone(), tcp);
            match timeout(config.user_timeout, shaking).await {
                Ok(Ok(stream)) => stream.into(),
                Ok(Err(error)) => {
                    debug!(user = %peer, %error, "no TLS handshake");
                    return Err(hub.admission.refuse(Refusal::Handshake));
                }
                Err(_) => return Err(hub.admission.refuse(Refusal::Handshake)),
            }
        }
    };
    Ok((stream, admitted))
}

/// Adds an event for a refused user. It does not name the user's address, so that refusals for one reason
/// are one event.
fn note_refusal(hub: &Hub, port: &MappedPort, reason: &dyn std::fmt::Display) {
    let owner = Some(&port.client.account.username);
    let text = format_args!("user of port {} refused: {reason}", port.remote_port);
    hub.note(live::Kind::UserRefused, owner, text);
}

fn refuse(hub: &Hub, port: &MappedPort, peer: SocketAddr, reason: Refusal) {
    info!(target: REFUSAL, remote_port = %port.remote_port, user = %peer, %reason, "user refused");
    note_refusal(hub, port, &reason);
}

/// Registers a user, which then waits for its tunnel.
fn register(
    hub: &Arc<Hub>,
    admitted: AdmittedUser,
    settings: Option<&MappedPorts>,
    stream: Stream,
) {
    let (port, peer) = (&admitted.port, admitted.peer);
    let Some((id, fate)) = hub.admit_user(port.mapping) else {
        refuse(hub, port, peer, hub.admission.refuse(Refusal::Waiting));
        return;
    };
    let header = settings
        .and_then(|s| s.proxy_protocol)
        .and_then(|version| version.header(peer, stream.tcp().local_addr().ok()?).ok());
    let terms = Terms {
        from_b: header.unwrap_or_default(),
        throttle: settings.and_then(|s| port.throttle(s.bytes_per_second)),
        ..Terms::default()
    };
    let conn = port.conn;
    let waiting = Waiting {
        hub: hub.clone(),
        id,
        fate,
        stream,
        terms,
        admitted,
    };
    hub.begin(conn, Box::new(waiting));
}

/// A user that waits for its tunnel.
struct Waiting {
    hub: Arc<Hub>,
    id: UserId,
    fate: oneshot::Receiver<Fate>,
    stream: Stream,
    terms: Terms,
    admitted: AdmittedUser,
}

/// The task of a user. The box is freed when the tunnel begins: the task of a tunnel holds each thing that the
/// tunnel needs only once, so all is moved from here into the relay.
async fn serve(mut waiting: Box<Waiting>) {
    let Some((data, early)) = waiting.joined().await else {
        return;
    };
    let start = Instant::now();
    waiting.open(early);
    let Waiting {
        hub,
        id,
        stream,
        terms,
        admitted,
        ..
    } = *waiting;
    let summary = relay(data, stream, terms, &hub.cut).await;
    admitted.closed(hub.live.as_ref(), id, start, &summary);
}

impl UserTask for Waiting {
    fn begin(self: Box<Self>) {
        let tasks = self.hub.tasks.clone();
        tasks.spawn(serve(self));
    }
}

impl Waiting {
    /// Logs and counts a tunnel that begins. `early` is what the client has sent already.
    fn open(&mut self, early: Vec<u8>) {
        let (id, admitted) = (self.id, &self.admitted);
        if enabled!(Level::DEBUG) {
            admitted.span(id).in_scope(|| debug!("tunnel open"));
        }
        admitted.port.served.tunnels.fetch_add(1, Ordering::Relaxed);
        self.terms.from_a = early;
        let live = self.hub.live.as_ref();
        self.terms.progress = live.map(|live| live.begin(id, &admitted.port, admitted.peer));
    }

    /// Waits for the data connection. The result holds what was read from it already; it is `None` if the user
    /// gets no tunnel.
    async fn joined(&mut self) -> Option<(Stream, Vec<u8>)> {
        let fate = tokio::select! {
            biased;
            fate = &mut self.fate => fate.ok(),
            () = broken(self.stream.tcp()) => {
                self.hub.feed(Input::UserGone { user: self.id });
                let log = || debug!("the user's connection broke before its tunnel opened");
                self.admitted.span(self.id).in_scope(log);
                self.fate.try_recv().ok()
            }
            () = self.hub.stop.cancelled() => None,
        };
        match fate? {
            Fate::Joined { data, early } => Some((data, early)),
            Fate::Refused(reason) => {
                let log = || info!(target: REFUSAL, %reason, "user refused");
                self.admitted.span(self.id).in_scope(log);
                note_refusal(&self.hub, &self.admitted.port, &reason);
                None
            }
        }
    }
}

/// Returns when the connection is broken. A half-closed connection is not broken: the user may have sent all
/// and wait for the answer.
async fn broken(tcp: &TcpStream) {
    while let Ok(ready) = tcp.ready(Interest::ERROR).await {
        if ready.is_error() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::mem::size_of;

    use tokio_util::sync::CancellationToken;

    use super::*;

    /// The size of a function's result, in bytes.
    fn size_of_result<A, R>(_: impl FnOnce(A) -> R) -> usize {
        size_of::<R>()
    }

    #[test]
    fn the_task_of_a_tunnel_is_little_larger_than_its_relay() {
        let task = size_of_result(serve);
        let of_relay = |(a, b, cut): (Stream, Stream, &'static CancellationToken)| {
            relay(a, b, Terms::default(), cut)
        };
        let relay = size_of_result(of_relay);
        // The user, the time of the tunnel's start, the hub, and the compiler's own state.
        assert!(task <= relay + 224, "{task} {relay}");
    }
}
