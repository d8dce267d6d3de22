//! The state of the server as the web interface shows it, with rates and the traffic of the last minutes.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use netroxy_proto::Username;
use netroxy_proto::server::Listener;
use serde::Serialize;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

use super::viewer::Viewer;
use crate::Census;
use crate::accounts::Account;
use crate::hub::Hub;
use crate::live::{Bytes, Survey, unix_millis};
use crate::requests::{Request, RequestView};

/// The period over which rates are measured, and a step of the history.
const STEP: Duration = Duration::from_secs(1);
/// The most steps that are kept: five minutes.
const STEPS: usize = 300;

/// A listener for clients.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct ClientListener {
    pub(crate) address: SocketAddr,
    pub(crate) tls: bool,
}

/// Takes snapshots, and keeps the figures that rates need.
pub(super) struct Board {
    hub: Arc<Hub>,
    /// When the server started, in seconds since 1970.
    pub(super) started: u64,
    meter: Mutex<Meter>,
    latest: watch::Sender<Arc<Snapshot>>,
}

/// The state of the server at a moment.
#[derive(Default)]
pub(super) struct Snapshot {
    pub(super) clients: Vec<Client>,
    pub(super) mappings: Vec<Mapping>,
    /// The newest first.
    pub(super) tunnels: Vec<Tunnel>,
    /// The newest first.
    pub(super) requests: Vec<RequestView>,
    /// Tunnels that have begun since the start of the server.
    pub(super) begun: u64,
    traffic: BTreeMap<Username, Traffic>,
}

/// A client that is logged in.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Client {
    pub(super) id: u64,
    pub(super) name: String,
    user: String,
    address: SocketAddr,
    tls: bool,
    since: u64,
    mappings: usize,
    users: usize,
    /// Whether it takes requests for mappings.
    takes_requests: bool,
    #[serde(skip)]
    owner: Arc<Account>,
}

/// A mapped port.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Mapping {
    pub(super) port: u16,
    target: String,
    client: String,
    client_id: u64,
    user: String,
    pub(super) on: bool,
    tunnels: usize,
    tunnels_total: u64,
    #[serde(flatten)]
    traffic: Traffic,
    #[serde(skip)]
    owner: Arc<Account>,
}

/// An open tunnel.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Tunnel {
    id: u64,
    port: u16,
    client: String,
    client_id: u64,
    user: String,
    /// The user's address.
    address: SocketAddr,
    since: u64,
    #[serde(flatten)]
    traffic: Traffic,
    #[serde(skip)]
    owner: Arc<Account>,
}

/// Bytes so far, and the bytes of the last second.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(super) struct Traffic {
    pub(super) bytes_to_users: u64,
    pub(super) bytes_from_users: u64,
    rate_to_users: u64,
    rate_from_users: u64,
}

impl Traffic {
    fn new(bytes: Bytes, rate: Bytes) -> Self {
        Self {
            bytes_to_users: bytes.to_users,
            bytes_from_users: bytes.from_users,
            rate_to_users: rate.to_users,
            rate_from_users: rate.from_users,
        }
    }

    fn add(&mut self, other: Self) {
        self.bytes_to_users += other.bytes_to_users;
        self.bytes_from_users += other.bytes_from_users;
        self.rate_to_users += other.rate_to_users;
        self.rate_from_users += other.rate_from_users;
    }
}

/// The server in figures.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Status {
    version: &'static str,
    started: u64,
    now: u64,
    listeners: Vec<ClientListener>,
    clients: usize,
    mappings: usize,
    tunnels: usize,
    requests: usize,
    #[serde(flatten)]
    traffic: Traffic,
    /// Only for administrators.
    census: Option<Census>,
}

/// Rates of the last minutes, the oldest first, in bytes a second.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct History {
    /// Seconds from one rate to the next.
    step: u64,
    to_users: Vec<u64>,
    from_users: Vec<u64>,
}

/// The figures from which rates are computed.
struct Meter {
    at: Instant,
    /// Bytes at the time `at`, and the rates up to it.
    tunnels: BTreeMap<u64, (Bytes, Bytes)>,
    accounts: BTreeMap<Username, (Bytes, Bytes)>,
    past: Past,
}

/// Rates of each account in the last steps. Accounts without traffic in these steps are left out.
#[derive(Default)]
struct Past(BTreeMap<Username, VecDeque<Bytes>>);

impl Past {
    fn push(&mut self, rates: impl Iterator<Item = (Username, Bytes)>) {
        let mut rates: BTreeMap<_, _> = rates
            .filter(|(_, rate)| *rate != Bytes::default())
            .collect();
        self.0.retain(|account, steps| {
            steps.push_back(rates.remove(account).unwrap_or_default());
            if steps.len() > STEPS {
                steps.pop_front();
            }
            steps.iter().any(|step| *step != Bytes::default())
        });
        for (account, rate) in rates {
            self.0.insert(account, VecDeque::from([rate]));
        }
    }

    fn sum(&self, sees: impl Fn(&Username) -> bool) -> History {
        let (mut to_users, mut from_users) = (vec![0; STEPS], vec![0; STEPS]);
        for (_, steps) in self.0.iter().filter(|(account, _)| sees(account)) {
            let cells = to_users.iter_mut().zip(&mut from_users).rev();
            for (step, (to_user, from_user)) in steps.iter().rev().zip(cells) {
                *to_user += step.to_users;
                *from_user += step.from_users;
            }
        }
        History {
            step: STEP.as_secs(),
            to_users,
            from_users,
        }
    }
}

impl Board {
    pub(super) fn new(hub: Arc<Hub>) -> Self {
        Self {
            hub,
            started: unix_millis() / 1000,
            meter: Mutex::new(Meter {
                at: Instant::now(),
                tunnels: BTreeMap::new(),
                accounts: BTreeMap::new(),
                past: Past::default(),
            }),
            latest: watch::Sender::default(),
        }
    }

    /// Measures each second, and publishes a snapshot to all subscribers. It never returns. A change of a
    /// request is published at once.
    pub(super) async fn keep(&self) {
        let mut seconds = interval(STEP);
        seconds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut changed = self.hub.requests.subscribe();
        loop {
            tokio::select! {
                _ = seconds.tick() => {
                    self.measure();
                    // This refuses requests that have waited for too long.
                    self.hub.requests(|_, _| ());
                }
                // The sender lives as long as the hub.
                _ = changed.changed() => {}
            }
            if self.latest.receiver_count() > 0 {
                self.refresh();
            } else {
                // There are no subscribers, so the last snapshot is dropped without a notification.
                self.latest.send_if_modified(|latest| {
                    *latest = Arc::default();
                    false
                });
            }
        }
    }

    fn measure(&self) {
        if let Some(live) = &self.hub.live {
            let survey = live.survey(std::iter::empty());
            self.meter().measure(&survey, Instant::now());
        }
    }

    /// A receiver of each further snapshot.
    pub(super) fn subscribe(&self) -> watch::Receiver<Arc<Snapshot>> {
        self.latest.subscribe()
    }

    /// Publishes the current state to all subscribers.
    pub(super) fn refresh(&self) {
        self.latest.send_replace(Arc::new(self.now()));
    }

    /// The current state. The lists are copied under the locks, and put together outside of them.
    pub(super) fn now(&self) -> Snapshot {
        let clients = self.hub.clients();
        let ports = self.hub.mapped_ports();
        let live = self.hub.live.as_ref();
        let survey = live.map(|live| live.survey(ports.iter().map(|port| &port.served)));
        let (requests, takers) = self.hub.requests(|list, now| {
            let takers: BTreeSet<_> = list.takers(now).cloned().collect();
            (list.all().map(Request::view).collect(), takers)
        });
        let Some(survey) = survey else {
            return Snapshot::default();
        };
        let meter = self.meter();
        let mut of_port: BTreeMap<_, (usize, Traffic)> = BTreeMap::new();
        let mut tunnels: Vec<_> = survey
            .tunnels
            .iter()
            .map(|(id, tunnel, bytes)| {
                let client = &tunnel.port.client;
                let rate = meter
                    .tunnels
                    .get(&id.0)
                    .map_or_else(Bytes::default, |known| known.1);
                let traffic = Traffic::new(*bytes, rate);
                let of_port = of_port.entry(tunnel.port.mapping).or_default();
                of_port.0 += 1;
                of_port.1.add(traffic);
                Tunnel {
                    id: id.0,
                    port: tunnel.port.remote_port.get(),
                    client: client.name.to_string(),
                    client_id: client.id.0,
                    user: client.account.username.to_string(),
                    address: tunnel.user,
                    since: tunnel.since,
                    traffic,
                    owner: client.account.clone(),
                }
            })
            .collect();
        tunnels.reverse();
        let rates = &meter.accounts;
        let traffic = survey.carried.iter().map(|(account, bytes)| {
            let rate = rates
                .get(account)
                .map_or_else(Bytes::default, |known| known.1);
            (account.clone(), Traffic::new(*bytes, rate))
        });
        let traffic = traffic.collect();
        drop(meter);
        let mut mappings: Vec<_> = ports
            .iter()
            .zip(&survey.served)
            .map(|(port, (begun, ended))| {
                let (open, mut traffic) = of_port.get(&port.mapping).copied().unwrap_or_default();
                traffic.add(Traffic::new(*ended, Bytes::default()));
                Mapping {
                    port: port.remote_port.get(),
                    target: port.target.to_string(),
                    client: port.client.name.to_string(),
                    client_id: port.client.id.0,
                    user: port.client.account.username.to_string(),
                    on: port.is_on(),
                    tunnels: open,
                    tunnels_total: *begun,
                    traffic,
                    owner: port.client.account.clone(),
                }
            })
            .collect();
        mappings.sort_by_key(|mapping| mapping.port);
        let now = unix_millis() / 1000;
        let clients = clients.into_iter().map(|client| Client {
            id: client.id.0,
            name: client.name.to_string(),
            user: client.account.username.to_string(),
            address: client.peer,
            tls: client.listener == Listener::Tls,
            since: now.saturating_sub(client.since.elapsed().as_secs()),
            mappings: client.ports.load(Ordering::Relaxed),
            users: client.users.load(Ordering::Relaxed),
            takes_requests: takers.contains(&client.who()),
            owner: client.account.clone(),
        });
        Snapshot {
            clients: clients.collect(),
            mappings,
            tunnels,
            requests,
            begun: survey.begun,
            traffic,
        }
    }

    /// The traffic of the last minutes that a viewer may see.
    pub(super) fn history(&self, viewer: &Viewer) -> History {
        let meter = self.meter();
        meter.past.sum(|account| viewer.may_see(Some(account)))
    }

    pub(super) fn status(
        &self,
        snapshot: &Snapshot,
        viewer: &Viewer,
        listeners: &[ClientListener],
    ) -> Status {
        Status {
            version: crate::VERSION,
            started: self.started,
            now: unix_millis() / 1000,
            listeners: listeners.to_vec(),
            clients: snapshot.clients(viewer).count(),
            mappings: snapshot.mappings(viewer).count(),
            tunnels: snapshot.tunnels(viewer).count(),
            requests: snapshot.requests(viewer).count(),
            traffic: snapshot.traffic(|account| viewer.may_see(Some(account))),
            census: viewer.administrator.then(|| self.hub.admission.census()),
        }
    }

    fn meter(&self) -> MutexGuard<'_, Meter> {
        self.meter.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Snapshot {
    pub(super) fn clients(&self, viewer: &Viewer) -> impl Iterator<Item = &Client> {
        self.clients
            .iter()
            .filter(|one| viewer.may_see(Some(&one.owner.username)))
    }

    pub(super) fn mappings(&self, viewer: &Viewer) -> impl Iterator<Item = &Mapping> {
        self.mappings
            .iter()
            .filter(|one| viewer.may_see(Some(&one.owner.username)))
    }

    pub(super) fn tunnels(&self, viewer: &Viewer) -> impl Iterator<Item = &Tunnel> {
        self.tunnels
            .iter()
            .filter(|one| viewer.may_see(Some(&one.owner.username)))
    }

    pub(super) fn requests(&self, viewer: &Viewer) -> impl Iterator<Item = &RequestView> {
        self.requests
            .iter()
            .filter(|one| viewer.may_see(Some(&one.owner)))
    }

    /// The traffic of some accounts since the start of the server.
    pub(super) fn traffic(&self, sees: impl Fn(&Username) -> bool) -> Traffic {
        let mut sum = Traffic::default();
        let seen = self.traffic.iter().filter(|(account, _)| sees(account));
        seen.for_each(|(_, traffic)| sum.add(*traffic));
        sum
    }
}

impl Meter {
    fn measure(&mut self, survey: &Survey, now: Instant) {
        let passed = now.saturating_duration_since(self.at);
        let rate = |before: Option<&(Bytes, Bytes)>, bytes: Bytes| {
            // A new tunnel or account had no bytes before.
            let before = before.map_or_else(Bytes::default, |known| known.0);
            let rate = Bytes {
                to_users: per_second(bytes.to_users.saturating_sub(before.to_users), passed),
                from_users: per_second(bytes.from_users.saturating_sub(before.from_users), passed),
            };
            (bytes, rate)
        };
        let tunnels = survey.tunnels.iter();
        self.tunnels = tunnels
            .map(|(id, _, bytes)| (id.0, rate(self.tunnels.get(&id.0), *bytes)))
            .collect();
        let accounts = survey.carried.iter();
        self.accounts = accounts
            .map(|(account, bytes)| (account.clone(), rate(self.accounts.get(account), *bytes)))
            .collect();
        let rates = self.accounts.iter();
        self.past
            .push(rates.map(|(account, (_, rate))| (account.clone(), *rate)));
        self.at = now;
    }
}

fn per_second(bytes: u64, passed: Duration) -> u64 {
    let rate = u128::from(bytes) * 1_000_000 / passed.as_micros().max(1);
    u64::try_from(rate).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Username {
        Username::try_from(text.as_bytes()).unwrap()
    }

    fn bytes(to_users: u64, from_users: u64) -> Bytes {
        Bytes {
            to_users,
            from_users,
        }
    }

    #[test]
    fn the_history_holds_five_minutes_of_each_account() {
        let mut past = Past::default();
        past.push([(name("alice"), bytes(7, 1))].into_iter());
        past.push([(name("alice"), bytes(8, 2)), (name("bob"), bytes(100, 0))].into_iter());
        past.push(std::iter::empty());
        let all = past.sum(|_| true);
        assert_eq!((all.to_users.len(), all.from_users.len()), (STEPS, STEPS));
        assert_eq!(all.to_users[STEPS - 4..], [0, 7, 108, 0]);
        assert_eq!(all.from_users[STEPS - 4..], [0, 1, 2, 0]);
        let own = past.sum(|account| *account == name("bob"));
        assert_eq!(own.to_users[STEPS - 4..], [0, 0, 100, 0]);
        for _ in 0..STEPS - 2 {
            past.push(std::iter::empty());
        }
        let all = past.sum(|_| true);
        assert_eq!(all.to_users[..2], [108, 0]);
        assert!(past.0.contains_key(&name("bob")));
        past.push(std::iter::empty());
        assert!(
            past.0.is_empty(),
            "an account without traffic uses no memory"
        );
    }

    #[test]
    fn a_rate_is_the_bytes_of_one_second() {
        let start = Instant::now();
        let mut meter = Meter {
            at: start,
            tunnels: BTreeMap::new(),
            accounts: BTreeMap::new(),
            past: Past::default(),
        };
        let survey = |to_users| Survey {
            tunnels: Vec::new(),
            served: Vec::new(),
            begun: 0,
            carried: [(name("alice"), bytes(to_users, 10))].into(),
        };
        meter.measure(&survey(1000), start + Duration::from_secs(2));
        assert_eq!(
            meter.accounts[&name("alice")],
            (bytes(1000, 10), bytes(500, 5))
        );
        meter.measure(&survey(1600), start + Duration::from_millis(2500));
        assert_eq!(meter.accounts[&name("alice")].1, bytes(1200, 0));
        // No time has passed since the last measurement.
        meter.measure(&survey(1600), start + Duration::from_millis(2500));
        assert_eq!(meter.accounts[&name("alice")].1, bytes(0, 0));
    }
}
