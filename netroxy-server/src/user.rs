//! Mapped ports and the users who connect to them.

use std::{
    net::SocketAddr,
    num::NonZeroU64,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use netroxy_net::{
    listen::Closable,
    log::REFUSAL,
    relay::{Terms, relay},
    stream::{Stream, tune},
    throttle::Throttle,
};
use netroxy_proto::{
    RemotePort, Target,
    server::{Input, MappingId, UserId},
};
use tokio::{io::Interest, net::TcpStream, sync::oneshot, time::timeout};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, debug, info, info_span};

use crate::{
    Config,
    admission::{Pass, Refusal},
    config::MappedPorts,
    handshake::shake_hands,
    hub::{Client, Fate, Hub},
    proxy_protocol,
};

/// A port that is listened on for a client.
pub(crate) struct MappedPort {
    pub(crate) mapping: MappingId,
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
}

/// What a port has served.
#[derive(Default)]
pub(crate) struct Served {
    pub(crate) tunnels: AtomicU64,
    pub(crate) to_users: AtomicU64,
    pub(crate) from_users: AtomicU64,
}

/// Users that have come within a second.
struct Newcomers {
    since: Instant,
    count: usize,
}

impl MappedPort {
    pub(crate) fn new(
        mapping: MappingId,
        remote_port: RemotePort,
        target: Target,
        client: Arc<Client>,
        listeners: Vec<Closable>,
    ) -> Arc<Self> {
        client.ports.fetch_add(1, Ordering::Relaxed);
        Arc::new(Self {
            mapping,
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
        })
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
            if let Err(error) = tune(&tcp) {
                debug!(%error, "user broke the connection at once");
                continue;
            }
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
                Some(Ok((stream, peer, guest))) => enter(&hub, guest, special, stream, peer),
                Some(Err(refusal)) => refuse(&port, peer, refusal),
                None => {}
            }
        });
        return;
    }
    match port.let_in(hub, special, peer) {
        Ok(guest) => enter(hub, guest, special, Stream::Plain(tcp), peer),
        Err(refusal) => refuse(port, peer, refusal),
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
) -> Result<(Stream, SocketAddr, Guest), Refusal> {
    if special.is_some_and(|s| s.trusted_proxies.contain(peer.ip())) {
        // Until the header has come, the proxy's connection is a stranger.
        let pass = hub.admission.fresh(peer.ip(), 0)?;
        let header = timeout(config.user_timeout, proxy_protocol::read(&mut tcp));
        match pass.replaced.run_until_cancelled(header).await {
            Some(Ok(Ok(source))) => peer = source.unwrap_or(peer),
            Some(Ok(Err(_)) | Err(_)) => return Err(hub.admission.refuse(Refusal::ProxyHeader)),
            // The newcomer's pass has counted it.
            None => return Err(Refusal::FreshInAll),
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
    Ok((stream, peer, guest))
}

fn refuse(port: &MappedPort, peer: SocketAddr, reason: Refusal) {
    info!(target: REFUSAL, remote_port = %port.remote_port, user = %peer, %reason, "user refused");
}

/// Lets a user wait for its tunnel.
fn enter(
    hub: &Arc<Hub>,
    guest: Guest,
    special: Option<&MappedPorts>,
    stream: Stream,
    peer: SocketAddr,
) {
    let port = &guest.port;
    let Some((id, fate)) = hub.admit_user(port.mapping) else {
        refuse(port, peer, hub.admission.refuse(Refusal::Waiting));
        return;
    };
    let header = special
        .and_then(|s| s.proxy_protocol)
        .and_then(|version| version.header(peer, stream.tcp().local_addr().ok()?).ok());
    let terms = Terms {
        from_a: Vec::new(),
        from_b: header.unwrap_or_default(),
        throttle: special.and_then(|s| port.throttle(s.bytes_per_second)),
    };
    let span = info_span!("tunnel", id = id.0, remote_port = %port.remote_port, user = %peer);
    let user = serve(hub.clone(), id, fate, stream, terms, guest).instrument(span);
    hub.tasks.spawn(user);
}

async fn serve(
    hub: Arc<Hub>,
    id: UserId,
    mut fate: oneshot::Receiver<Fate>,
    stream: Stream,
    terms: Terms,
    guest: Guest,
) {
    let fate = tokio::select! {
        biased;
        fate = &mut fate => fate.ok(),
        () = broken(stream.tcp()) => {
            hub.feed(Input::UserGone { user: id });
            debug!("user broke the connection before there was a tunnel");
            fate.try_recv().ok()
        }
        () = hub.stop.cancelled() => None,
    };
    match fate {
        Some(Fate::Joined { data, early }) => {
            let terms = Terms {
                from_a: early,
                ..terms
            };
            tunnel(&hub, stream, data, terms, &guest.port.served).await;
        }
        Some(Fate::Refused(reason)) => info!(target: REFUSAL, %reason, "user refused"),
        None => {}
    }
}

async fn tunnel(hub: &Hub, user: Stream, data: Stream, terms: Terms, served: &Served) {
    info!("tunnel open");
    let start = Instant::now();
    served.tunnels.fetch_add(1, Ordering::Relaxed);
    let summary = relay(data, user, terms, &hub.cut).await;
    served.to_users.fetch_add(summary.a_to_b, Ordering::Relaxed);
    served
        .from_users
        .fetch_add(summary.b_to_a, Ordering::Relaxed);
    info!(
        to_user = summary.a_to_b,
        from_user = summary.b_to_a,
        seconds = start.elapsed().as_secs_f64(),
        reason = summary.reason("the client", "the user"),
        "tunnel closed"
    );
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
