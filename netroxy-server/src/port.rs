//! A mapped port, and what it has served.

use std::num::NonZeroU64;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use netroxy_net::listen::Closable;
use netroxy_net::relay::Summary;
use netroxy_net::throttle::Throttle;
use netroxy_proto::server::{ConnId, MappingId};
use netroxy_proto::{RemotePort, Target};
use tokio_util::sync::CancellationToken;

use crate::client::Client;

/// A port that is listened on for a client.
pub(crate) struct MappedPort {
    pub(crate) mapping: MappingId,
    /// The control connection of `client`.
    pub(crate) conn: ConnId,
    pub(crate) remote_port: RemotePort,
    /// The target that the client has named.
    pub(crate) target: Target,
    pub(crate) client: Arc<Client>,
    /// One for each address.
    pub(crate) listeners: Vec<Closable>,
    pub(crate) closed: CancellationToken,
    throttle: Mutex<Option<(NonZeroU64, Arc<Throttle>)>>,
    recent_users: Mutex<RecentUsers>,
    /// Tunnels and bytes since the port was opened.
    pub(crate) served: Served,
    /// Whether new users are let in.
    on: AtomicBool,
}

/// The tunnels and bytes of a port.
#[derive(Default)]
pub(crate) struct Served {
    pub(crate) tunnels: AtomicU64,
    pub(crate) to_users: AtomicU64,
    pub(crate) from_users: AtomicU64,
}

impl Served {
    /// Adds the bytes of a tunnel.
    pub(crate) fn add(&self, summary: &Summary) {
        self.to_users.fetch_add(summary.a_to_b, Ordering::Relaxed);
        self.from_users.fetch_add(summary.b_to_a, Ordering::Relaxed);
    }
}

/// Users that have connected within a second.
struct RecentUsers {
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
            recent_users: Mutex::new(RecentUsers {
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

    /// Decides whether new users are let in or closed at once. Present users stay, and the client receives
    /// no message.
    pub(crate) fn switch(&self, on: bool) {
        self.on.store(on, Ordering::Relaxed);
    }

    /// Frees the port before it returns.
    pub(crate) fn close(&self) {
        self.listeners.iter().for_each(Closable::close);
        self.closed.cancel();
        self.client.ports.fetch_sub(1, Ordering::Relaxed);
    }

    /// Counts a new user. The result is whether there are too many within this second.
    pub(crate) fn exceeds_rate(&self, per_second: usize) -> bool {
        let mut recent_users = self
            .recent_users
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if recent_users.since.elapsed() >= Duration::from_secs(1) {
            *recent_users = RecentUsers {
                since: Instant::now(),
                count: 0,
            };
        }
        recent_users.count += 1;
        recent_users.count > per_second
    }

    /// The bound of speed that all tunnels of the port share. It is replaced when the configuration
    /// changes it.
    pub(crate) fn throttle(&self, per_second: usize) -> Option<Arc<Throttle>> {
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
