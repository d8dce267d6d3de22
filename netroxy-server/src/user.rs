//! Mapped ports and the users who connect to them.

use std::{
    net::SocketAddr,
    num::NonZeroU64,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use netroxy_net::{
    listen::Closable,
    log::REFUSAL,
    relay::{Summary, Terms, relay},
    stream::Stream,
    throttle::Throttle,
};
use netroxy_proto::{
    RemotePort, Target,
    server::{ConnId, Input, MappingId, UserId},
};
use tokio::{io::Interest, net::TcpStream, sync::oneshot, time::timeout};
use tokio_util::sync::CancellationToken;
use tracing::{Level, Span, debug, enabled, info, info_span};

use crate::{
    Config,
    admission::{Pass, Refusal},
    config::MappedPorts,
    handshake::shake_hands,
    hub::{Client, Fate, Hub},
    live::{self, Live},
    proxy_protocol,
};

/// A port that is listened on for a client.
pub(crate) struct MappedPort {
    pub(crate) mapping: MappingId,
    /// The control connection of `client`.
    conn: ConnId,
    pub(crate) remote_port: RemotePort,
    /// What the client says is behind it.
    pub(crate) target: Target,
    pub(crate) client: Arc<Client>,
    /// One for each address.
    listeners: Vec<Closable>,
    closed: CancellationToken,
    throttle: Mutex<Option<(NonZeroU64, Arc<Throttle>)>>,
    newcomers: Mutex<Newcomers>,
    /// What was served since the port was opened.
    pub(crate) served: Served,
    /// Whether new users are let in.
    on: AtomicBool,
}

/// What a port has served.
#[derive(Default)]
pub(crate) struct Served {
    pub(crate) tunnels: AtomicU64,
    pub(crate) to_users: AtomicU64,
    pub(crate) from_users: AtomicU64,
}

impl Served {
    /// Counts what a tunnel has carried.
    pub(crate) fn add(&self, summary: &Summary) {
        self.to_users.fetch_add(summary.a_to_b, Ordering::Relaxed);
        self.from_users.fetch_add(summary.b_to_a, Ordering::Relaxed);
    }
}

/// Users that have come within a second.
struct Newcomers {
    since: Instant,
    count: usize,
}

impl MappedPort {
    pub(crate) fn new(
        mapping: MappingId,
        conn: ConnId,
        remote_port: RemotePort,
        target: Target,
        client: Arc<Client>,
        listeners: Vec<Closable>,
        on: bool,
    ) -> Arc<Self> {
        client.ports.fetch_add(1, Ordering::Relaxed);
        Arc::new(Self {
            mapping,
            conn,
            remote_port,
            target,
            client,
            listeners,
            closed: CancellationToken::new(),
            throttle: Mutex::new(None),
            newcomers: Mutex::new(Newcomers {
                since: Instant::now(),
                count: 0,
            }),
            served: Served::default(),
            on: AtomicBool::new(on),
        })
    }

    /// Whether new users are let in.
    pub(crate) fn is_on(&self) -> bool {
        self.on.load(Ordering::Relaxed)
    }

    /// Lets new users in, or closes them at once. Those who are there stay, and the client is not told.
    pub(crate) fn switch(&self, on: bool) {
        self.on.store(on, Ordering::Relaxed);
    }

    /// The user's address is left out: so refusals for one reason are one event.
    fn note_refusal(&self, hub: &Hub, reason: &dyn std::fmt::Display) {
        let owner = Some(&self.client.account.username);
        let text = format_args!("user of port {} refused: {reason}", self.remote_port);
        hub.note(live::Kind::UserRefused, owner, text);
    }

    /// How many listeners there are, each for a task of its own.
    pub(crate) fn doors(&self) -> usize {
        self.listeners.len()
    }

    /// Frees the port before it returns.
    pub(crate) fn close(&self) {
        self.listeners.iter().for_each(Closable::close);
        self.closed.cancel();
        self.client.ports.fetch_sub(1, Ordering::Relaxed);
    }

    /// Lets a user in, if its address may come and there is room.
    fn let_in(
        self: &Arc<Self>,
        hub: &Hub,
        special: Option<&MappedPorts>,
        peer: SocketAddr,
    ) -> Result<Guest, Refusal> {
        if let Some(special) = special {
            if !special.users.admit(peer.ip()) {
                return Err(hub.admission.refuse(Refusal::Network));
            }
            if special.users_per_second > 0 && self.is_rush(special.users_per_second) {
                return Err(hub.admission.refuse(Refusal::UsersPerSecond));
            }
        }
        let most = self.client.account.max_tunnels.map_or_else(
            || hub.admission.limit(|limits| limits.tunnels_per_client),
            |most| if most == 0 { usize::MAX } else { most },
        );
        let of_client = self.client.users.fetch_add(1, Ordering::Relaxed);
        match hub.admission.user(peer.ip(), of_client, most) {
            Ok(pass) => Ok(Guest {
                _pass: pass,
                port: self.clone(),
                peer,
            }),
            Err(refusal) => {
                self.client.users.fetch_sub(1, Ordering::Relaxed);
                Err(refusal)
            }
        }
    }

    fn is_rush(&self, per_second: usize) -> bool {
        let mut newcomers = self
            .newcomers
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if newcomers.since.elapsed() >= Duration::from_secs(1) {
            *newcomers = Newcomers {
                since: Instant::now(),
                count: 0,
            };
        }
        newcomers.count += 1;
        newcomers.count > per_second
    }

    /// The bound of speed that all tunnels of the port share; another one after the configuration
    /// has changed it.
    fn throttle(&self, per_second: usize) -> Option<Arc<Throttle>> {
        let per_second = u64::try_from(per_second).ok().and_then(NonZeroU64::new)?;
        let mut throttle = self.throttle.lock().unwrap_or_else(PoisonError::into_inner);
        match &*throttle {
            Some((rate, shared)) if *rate == per_second => Some(shared.clone()),
            _ => {
                let shared = Arc::new(Throttle::new(per_second));
                *throttle = Some((per_second, shared.clone()));
                Some(shared)
            }
        }
    }
}

/// A user that was let in; it counts until this is dropped.
struct Guest {
    _pass: Pass,
    port: Arc<MappedPort>,
    peer: SocketAddr,
}

impl Guest {
    /// What is said about the user is said in here. A span for as long as the tunnel lives would cost
    /// memory, and time whenever bytes come.
    fn span(&self, id: UserId) -> Span {
        info_span!("tunnel", id = id.0, remote_port = %self.port.remote_port, user = %self.peer)
    }

    /// Counts what a tunnel has carried, and says it.
    fn closed(&self, live: Option<&Live>, id: UserId, start: Instant, summary: &Summary) {
        match live {
            Some(live) => live.end(id, summary),
            None => self.port.served.add(summary),
        }
        let (to_user, from_user) = (summary.a_to_b, summary.b_to_a);
        let seconds = start.elapsed().as_secs_f64();
        let reason = summary.reason("the client", "the user");
        let say = || info!(to_user, from_user, seconds, reason, "tunnel closed");
        self.span(id).in_scope(say);
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.port.client.users.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Accepts users at one address until the port is closed.
pub(crate) async fn accept(hub: Arc<Hub>, port: Arc<MappedPort>, door: usize) {
    let Some(listener) = port.listeners.get(door) else {
        return;
    };
    let accept = async {
        while let Some((tcp, peer)) = listener.accept().await {
            come(&hub, &port, tcp, peer);
        }
    };
    tokio::select! {
        () = port.closed.cancelled() => {}
        () = hub.stop.cancelled() => listener.close(),
        () = accept => {}
    }
}

/// Serves a user. One who need not say anything first is entered here, and not in a task of its
/// own: users are served in the order in which they came (`tunnel.fifo`).
fn come(hub: &Arc<Hub>, port: &Arc<MappedPort>, tcp: TcpStream, peer: SocketAddr) {
    if !port.is_on() {
        refuse(hub, port, peer, hub.admission.refuse(Refusal::SwitchedOff));
        return;
    }
    let config = hub.config();
    let special = config.mapped_port(port.remote_port.get());
    let says_first =
        special.is_some_and(|s| s.tls.is_some() || s.trusted_proxies.contain(peer.ip()));
    if says_first {
        let (hub, port) = (hub.clone(), port.clone());
        hub.tasks.clone().spawn(async move {
            let special = config.mapped_port(port.remote_port.get());
            let arriving = hub
                .stop
                .run_until_cancelled(arrive(&hub, &port, &config, special, tcp, peer));
            match arriving.await {
                Some(Ok((stream, guest))) => enter(&hub, guest, special, stream),
                Some(Err(refusal)) => refuse(&hub, &port, peer, refusal),
                None => {}
            }
        });
        return;
    }
    match port.let_in(hub, special, peer) {
        Ok(guest) => enter(hub, guest, special, Stream::Plain(tcp)),
        Err(refusal) => refuse(hub, port, peer, refusal),
    }
}

/// Hears whom a proxy speaks for, and shakes hands. The user's address is that of the header.
async fn arrive(
    hub: &Arc<Hub>,
    port: &Arc<MappedPort>,
    config: &Config,
    special: Option<&MappedPorts>,
    mut tcp: TcpStream,
    mut peer: SocketAddr,
) -> Result<(Stream, Guest), Refusal> {
    if special.is_some_and(|s| s.trusted_proxies.contain(peer.ip())) {
        // Until the header has come, the proxy's connection is a stranger.
        let pass = hub.admission.fresh(peer.ip(), 0)?;
        let header = timeout(config.user_timeout, proxy_protocol::read(&mut tcp));
        let read = tokio::select! {
            read = header => read,
            // The newcomer's pass has counted it.
            () = pass.replaced() => return Err(Refusal::FreshInAll),
        };
        match read {
            Ok(Ok(source)) => peer = source.unwrap_or(peer),
            Ok(Err(_)) | Err(_) => return Err(hub.admission.refuse(Refusal::ProxyHeader)),
        }
    }
    let guest = port.let_in(hub, special, peer)?;
    let stream = match special.and_then(|s| s.tls.as_ref()) {
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
    Ok((stream, guest))
}

fn refuse(hub: &Hub, port: &MappedPort, peer: SocketAddr, reason: Refusal) {
    info!(target: REFUSAL, remote_port = %port.remote_port, user = %peer, %reason, "user refused");
    port.note_refusal(hub, &reason);
}

/// Lets a user wait for its tunnel.
fn enter(hub: &Arc<Hub>, guest: Guest, special: Option<&MappedPorts>, stream: Stream) {
    let (port, peer) = (&guest.port, guest.peer);
    let Some((id, fate)) = hub.admit_user(port.mapping) else {
        refuse(hub, port, peer, hub.admission.refuse(Refusal::Waiting));
        return;
    };
    let header = special
        .and_then(|s| s.proxy_protocol)
        .and_then(|version| version.header(peer, stream.tcp().local_addr().ok()?).ok());
    let terms = Terms {
        from_b: header.unwrap_or_default(),
        throttle: special.and_then(|s| port.throttle(s.bytes_per_second)),
        ..Terms::default()
    };
    let conn = port.conn;
    let waiting = Waiting {
        hub: hub.clone(),
        id,
        fate,
        stream,
        terms,
        guest,
    };
    hub.begin(conn, Box::new(waiting));
}

/// A user that waits for its tunnel.
pub(crate) struct Waiting {
    hub: Arc<Hub>,
    id: UserId,
    fate: oneshot::Receiver<Fate>,
    stream: Stream,
    terms: Terms,
    guest: Guest,
}

/// Serves a user. The box goes when the tunnel begins, whose task is to hold what a tunnel needs, each
/// thing once: so all is moved into the relay from here.
pub(crate) async fn serve(mut waiting: Box<Waiting>) {
    let Some((data, early)) = waiting.joined().await else {
        return;
    };
    let start = Instant::now();
    waiting.begin(early);
    let Waiting {
        hub,
        id,
        stream,
        terms,
        guest,
        ..
    } = *waiting;
    let summary = relay(data, stream, terms, &hub.cut).await;
    guest.closed(hub.live.as_ref(), id, start, &summary);
}

impl Waiting {
    /// Says and notes that the tunnel begins, with the bytes that the client has sent already.
    fn begin(&mut self, early: Vec<u8>) {
        let (id, guest) = (self.id, &self.guest);
        if enabled!(Level::DEBUG) {
            guest.span(id).in_scope(|| debug!("tunnel open"));
        }
        guest.port.served.tunnels.fetch_add(1, Ordering::Relaxed);
        self.terms.from_a = early;
        let live = self.hub.live.as_ref();
        self.terms.progress = live.map(|live| live.begin(id, &guest.port, guest.peer));
    }

    /// The data connection that the user is joined to, and what was read from it already.
    async fn joined(&mut self) -> Option<(Stream, Vec<u8>)> {
        let fate = tokio::select! {
            biased;
            fate = &mut self.fate => fate.ok(),
            () = broken(self.stream.tcp()) => {
                self.hub.feed(Input::UserGone { user: self.id });
                let say = || debug!("user broke the connection before there was a tunnel");
                self.guest.span(self.id).in_scope(say);
                self.fate.try_recv().ok()
            }
            () = self.hub.stop.cancelled() => None,
        };
        match fate? {
            Fate::Joined { data, early } => Some((data, early)),
            Fate::Refused(reason) => {
                let say = || info!(target: REFUSAL, %reason, "user refused");
                self.guest.span(self.id).in_scope(say);
                self.guest.port.note_refusal(&self.hub, &reason);
                None
            }
        }
    }
}

/// Returns when the connection is broken. A half-close is none: the user may have said all and
/// wait for the answer.
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

    use super::*;

    /// The bytes of what a function returns.
    fn size_of_result<A, R>(_: impl FnOnce(A) -> R) -> usize {
        size_of::<R>()
    }

    #[test]
    fn a_tunnel_holds_little_beside_its_relay() {
        let task = size_of_result(serve);
        let of_relay = |(a, b, cut): (Stream, Stream, &'static CancellationToken)| {
            relay(a, b, Terms::default(), cut)
        };
        let relay = size_of_result(of_relay);
        // Who the user is, when the tunnel began, the hub, and what the compiler adds.
        assert!(task <= relay + 224, "{task} {relay}");
    }
}
