//! The one check of who may come in: strangers, clients and users share the descriptors of the
//! process, and no address takes all of them.
//!
//! Three kinds of connections are counted. A *fresh* one has not logged in or become a tunnel yet;
//! anybody can open it. A *login* is a control connection. A *user* has come to a mapped port; it
//! counts for two descriptors from its first moment, because its data connection will follow.
//!
//! Under pressure those who are known come first. Users and strangers do not get the reserve of
//! descriptors, clients that are logged in do. An address that holds a login may open more fresh connections, because
//! these are its data connections: as many as users wait, and some that each client opens ahead of its users. Wrong
//! passwords from there do not shut it out. All other fresh connections are strangers. At their bound a
//! newcomer takes the place of the one that has been there longest. A server that refused newcomers
//! would be shut for as long as a flood lasts. This one leaves each stranger some time (a fifth of a
//! second if 5,000 of them come in each second), and a login needs little.

use std::{
    collections::BTreeMap,
    fmt,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio_util::sync::CancellationToken;

use crate::limits::Figures;

/// Wrong passwords shut an address out for so long at most.
const LONGEST_PENALTY: Duration = Duration::from_secs(600);
/// So many data connections a client may open ahead of its users: our client opens no more unless it is told to.
const AHEAD_PER_LOGIN: usize = 16;
/// So many addresses are remembered for their wrong passwords; the earliest are forgotten.
const MOST_PENALTIES: usize = 65_536;
/// Connections to the web interface in all, and those of one address.
const MOST_WEB: (usize, usize) = (128, 32);

/// Who an address belongs to, as far as limits go: an IPv4 address, or the 64 bits of an IPv6
/// address that one customer usually gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Origin(IpAddr);

impl Origin {
    pub(crate) fn of(ip: IpAddr) -> Self {
        Self(match ip.to_canonical() {
            IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() & (u128::MAX << 64)).into(),
            ip @ IpAddr::V4(_) => ip,
        })
    }

    /// A proxy on this machine brings users of many addresses: there is no bound per address.
    fn is_shared(self) -> bool {
        self.0.is_loopback() || self.0 == IpAddr::V6(Ipv6Addr::UNSPECIFIED)
    }
}

/// Why somebody is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Refusal {
    /// No descriptors but the reserve are left.
    Descriptors,
    /// Too many fresh connections: a newcomer took the place.
    FreshInAll,
    /// Too many fresh connections of this address.
    FreshPerAddress,
    /// Too many wrong passwords from this address.
    WrongPasswords,
    /// Too many clients are logged in.
    Clients,
    /// Too many users.
    Users,
    /// Too many users of this client.
    UsersPerClient,
    /// Too many users from this address.
    UsersPerAddress,
    /// Too many users wait.
    Waiting,
    /// The networks of the port do not include the address.
    Network,
    /// More new users a second than the port allows.
    UsersPerSecond,
    /// A trusted proxy sent no PROXY header.
    ProxyHeader,
    /// The user's TLS handshake failed.
    Handshake,
    /// The account may not map this port.
    PortNotAllowed,
    /// The client has too many mappings.
    PortsPerClient,
    /// The client leaves too many answers unread.
    UnreadAnswers,
    /// The mapping is switched off.
    SwitchedOff,
    /// Too many connections to the web interface.
    Web,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Descriptors => "the process has no free descriptors",
            Self::FreshInAll => "too many connections that have not logged in",
            Self::FreshPerAddress => "too many connections of this address that have not logged in",
            Self::WrongPasswords => "too many wrong passwords from this address",
            Self::Clients => "too many clients are logged in",
            Self::Users => "too many tunnels",
            Self::UsersPerClient => "too many tunnels of this client",
            Self::UsersPerAddress => "too many users from this address",
            Self::Waiting => "too many users wait",
            Self::Network => "the port is not for users of this address",
            Self::UsersPerSecond => "too many new users a second",
            Self::ProxyHeader => "a trusted proxy sent no PROXY header",
            Self::Handshake => "no TLS handshake",
            Self::PortNotAllowed => "the account may not map this port",
            Self::PortsPerClient => "the client has too many mappings",
            Self::UnreadAnswers => "the client does not read its answers",
            Self::SwitchedOff => "the mapping is switched off",
            Self::Web => "too many connections to the web interface",
        })
    }
}

/// See the [module documentation](self).
pub(crate) struct Admission(Mutex<Book>);

struct Book {
    figures: Figures,
    fresh: Tally,
    /// Those of `fresh` whose address held no login when they came, and how each is told to go.
    strangers: BTreeMap<u64, CancellationToken>,
    next_stranger: u64,
    logins: Tally,
    users: Tally,
    /// Connections to the web interface.
    web: Tally,
    ports: usize,
    /// Those of the ports: one for each address.
    listeners: usize,
    penalties: Penalties,
    refused: BTreeMap<Refusal, u64>,
}

/// How many there are, in all and of each origin.
#[derive(Default)]
struct Tally {
    in_all: usize,
    by_origin: BTreeMap<Origin, usize>,
}

impl Tally {
    fn of(&self, origin: Origin) -> usize {
        self.by_origin.get(&origin).copied().unwrap_or(0)
    }

    fn add(&mut self, origin: Origin) {
        self.in_all += 1;
        *self.by_origin.entry(origin).or_default() += 1;
    }

    fn remove(&mut self, origin: Origin) {
        self.in_all = self.in_all.saturating_sub(1);
        if let Some(count) = self.by_origin.get_mut(&origin) {
            *count -= 1;
            if *count == 0 {
                self.by_origin.remove(&origin);
            }
        }
    }
}

/// Until when the wrong passwords of an origin count. Each adds some seconds.
#[derive(Default)]
struct Penalties {
    until: BTreeMap<Origin, Instant>,
    /// When those that are over were thrown out.
    swept: Option<Instant>,
}

impl Penalties {
    fn add(&mut self, origin: Origin, each: Duration, now: Instant) {
        // Not at each turn: many addresses guess at once.
        let is_swept = |at: Instant| now.saturating_duration_since(at) < Duration::from_secs(1);
        if self.until.len() >= MOST_PENALTIES && !self.swept.is_some_and(is_swept) {
            self.until.retain(|_, until| *until > now);
            self.swept = Some(now);
        }
        if self.until.len() >= MOST_PENALTIES {
            self.until.pop_first();
        }
        let until = self.until.get(&origin).copied().unwrap_or(now).max(now);
        self.until
            .insert(origin, (until + each).min(now + LONGEST_PENALTY));
    }

    fn left(&self, origin: Origin, now: Instant) -> Duration {
        self.until
            .get(&origin)
            .map_or(Duration::ZERO, |until| until.saturating_duration_since(now))
    }
}

/// What a connection counts as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Fresh {
        /// Its number, if it is a stranger.
        stranger: Option<u64>,
    },
    Login,
    User,
    Web,
}

/// A connection that is let in; it counts until the pass is dropped.
pub(crate) struct Pass {
    admission: Arc<Admission>,
    origin: Origin,
    kind: Kind,
    /// Of a stranger: cancelled when a newcomer takes its place.
    replaced: Option<CancellationToken>,
}

/// What is counted now, for `status`.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Census {
    /// Fresh connections.
    pub fresh_connections: usize,
    /// Clients that are logged in.
    pub clients: usize,
    /// Users, those that wait included.
    pub users: usize,
    /// Mapped ports.
    pub ports: usize,
    /// Descriptors that these use, and users that will.
    pub descriptors: usize,
    /// Descriptors that connections may use.
    pub descriptor_limit: usize,
    /// How many were refused since the start, by reason.
    pub refused: BTreeMap<String, u64>,
}

impl Admission {
    pub(crate) fn new(figures: Figures) -> Arc<Self> {
        Arc::new(Self(Mutex::new(Book {
            figures,
            fresh: Tally::default(),
            strangers: BTreeMap::new(),
            next_stranger: 0,
            logins: Tally::default(),
            users: Tally::default(),
            web: Tally::default(),
            ports: 0,
            listeners: 0,
            penalties: Penalties::default(),
            refused: BTreeMap::new(),
        })))
    }

    /// New limits; who is in stays.
    pub(crate) fn set_figures(&self, figures: Figures) {
        self.book().figures = figures;
    }

    /// One of the limits. Each message asks for one, so they are not copied.
    pub(crate) fn limit(&self, which: impl FnOnce(&Figures) -> usize) -> usize {
        which(&self.book().figures)
    }

    /// Lets in a connection to a control port; `waiting` users wait for data connections.
    pub(crate) fn fresh(self: &Arc<Self>, ip: IpAddr, waiting: usize) -> Result<Pass, Refusal> {
        let origin = Origin::of(ip);
        let mut book = self.book();
        let is_stranger = book.fresh(origin, waiting, Instant::now())?;
        let stranger = is_stranger.then(|| book.next_stranger());
        Ok(self.pass(&mut book, origin, Kind::Fresh { stranger }))
    }

    /// Lets in a user whose client has `of_client` of them already, of at most `most_of_client`.
    pub(crate) fn user(
        self: &Arc<Self>,
        ip: IpAddr,
        of_client: usize,
        most_of_client: usize,
    ) -> Result<Pass, Refusal> {
        let origin = Origin::of(ip);
        let mut book = self.book();
        book.user(origin, of_client, most_of_client)?;
        Ok(self.pass(&mut book, origin, Kind::User))
    }

    /// Lets in a connection to the web interface. It may use the reserve: an operator looks when it
    /// is full.
    pub(crate) fn web(self: &Arc<Self>, ip: IpAddr) -> Result<Pass, Refusal> {
        let origin = Origin::of(ip);
        let mut book = self.book();
        book.web(origin)?;
        Ok(self.pass(&mut book, origin, Kind::Web))
    }

    /// Whether an address has shown too many wrong passwords, which is counted then. A login from there
    /// does not excuse it: this is for passwords alone.
    pub(crate) fn may_show_a_password(&self, ip: IpAddr) -> Result<(), Refusal> {
        let mut book = self.book();
        if book.is_shut_out(Origin::of(ip), Instant::now()) {
            return Err(book.refuse(Refusal::WrongPasswords));
        }
        Ok(())
    }

    /// Notes a wrong password.
    pub(crate) fn wrong_password(&self, ip: IpAddr) {
        let mut book = self.book();
        let each = Duration::from_secs(book.figures.wrong_password_seconds.min(600));
        if !each.is_zero() {
            book.penalties.add(Origin::of(ip), each, Instant::now());
        }
    }

    /// Counts a refusal that was decided elsewhere.
    pub(crate) fn refuse(&self, refusal: Refusal) -> Refusal {
        self.book().refuse(refusal)
    }

    /// Counts a mapped port, which has so many listeners.
    pub(crate) fn port_opened(&self, listeners: usize) {
        let mut book = self.book();
        book.ports += 1;
        book.listeners += listeners;
    }

    /// Counts a mapped port no longer.
    pub(crate) fn port_closed(&self, listeners: usize) {
        let mut book = self.book();
        book.ports = book.ports.saturating_sub(1);
        book.listeners = book.listeners.saturating_sub(listeners);
    }

    pub(crate) fn census(&self) -> Census {
        let book = self.book();
        Census {
            fresh_connections: book.fresh.in_all,
            clients: book.logins.in_all,
            users: book.users.in_all,
            ports: book.ports,
            descriptors: book.descriptors(),
            descriptor_limit: book.figures.descriptors,
            refused: book
                .refused
                .iter()
                .map(|(refusal, count)| (refusal.to_string(), *count))
                .collect(),
        }
    }

    fn pass(self: &Arc<Self>, book: &mut Book, origin: Origin, kind: Kind) -> Pass {
        book.count(origin, kind);
        let replaced = match kind {
            Kind::Fresh {
                stranger: Some(number),
            } => Some(book.strangers.entry(number).or_default().clone()),
            Kind::Fresh { stranger: None } | Kind::Login | Kind::User | Kind::Web => None,
        };
        Pass {
            admission: self.clone(),
            origin,
            kind,
            replaced,
        }
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Book {
    /// Whether a fresh connection that may come in is a stranger.
    fn fresh(&mut self, origin: Origin, waiting: usize, now: Instant) -> Result<bool, Refusal> {
        let figures = &self.figures;
        let logins = self.logins.of(origin);
        let is_known = logins > 0;
        let room = if is_known {
            figures.descriptors
        } else {
            figures.free
        };
        let mut most = figures.fresh_per_address;
        if is_known {
            let ahead = logins.saturating_mul(AHEAD_PER_LOGIN);
            most = most.saturating_add(waiting).saturating_add(ahead);
        }
        let is_crowd = self.fresh.of(origin) >= most;
        let refusal = if !is_known && self.is_shut_out(origin, now) {
            Refusal::WrongPasswords
        } else if self.descriptors() >= room {
            Refusal::Descriptors
        } else if is_crowd && !origin.is_shared() {
            Refusal::FreshPerAddress
        } else {
            // More than its share comes through a proxy, from whomever.
            return Ok(!is_known || is_crowd);
        };
        Err(self.refuse(refusal))
    }

    /// Whether three wrong passwords or more stand against an origin.
    fn is_shut_out(&self, origin: Origin, now: Instant) -> bool {
        let penalty = self.penalties.left(origin, now);
        let three = Duration::from_secs(self.figures.wrong_password_seconds.saturating_mul(3));
        !penalty.is_zero() && penalty >= three.min(LONGEST_PENALTY / 2)
    }

    /// The number of a stranger that is let in; at the bound the oldest one goes.
    fn next_stranger(&mut self) -> u64 {
        if self.strangers.len() >= self.figures.fresh
            && let Some((_, replaced)) = self.strangers.pop_first()
        {
            replaced.cancel();
            self.refuse(Refusal::FreshInAll);
        }
        self.next_stranger += 1;
        self.next_stranger
    }

    fn user(&mut self, origin: Origin, of_client: usize, most: usize) -> Result<(), Refusal> {
        let figures = &self.figures;
        let refusal = if self.users.in_all >= figures.tunnels {
            Refusal::Users
        } else if self.descriptors().saturating_add(2) > figures.free {
            Refusal::Descriptors
        } else if of_client >= most {
            Refusal::UsersPerClient
        } else if !origin.is_shared() && self.users.of(origin) >= figures.users_per_address {
            Refusal::UsersPerAddress
        } else {
            return Ok(());
        };
        Err(self.refuse(refusal))
    }

    fn web(&mut self, origin: Origin) -> Result<(), Refusal> {
        let (in_all, of_address) = MOST_WEB;
        let is_crowd = !origin.is_shared() && self.web.of(origin) >= of_address;
        let refusal = if self.web.in_all >= in_all || is_crowd {
            Refusal::Web
        } else if self.descriptors() >= self.figures.descriptors {
            Refusal::Descriptors
        } else {
            return Ok(());
        };
        Err(self.refuse(refusal))
    }

    fn descriptors(&self) -> usize {
        let single = self.fresh.in_all + self.logins.in_all + self.web.in_all;
        single + 2 * self.users.in_all + self.listeners
    }

    fn refuse(&mut self, refusal: Refusal) -> Refusal {
        *self.refused.entry(refusal).or_default() += 1;
        refusal
    }

    fn count(&mut self, origin: Origin, kind: Kind) {
        match kind {
            Kind::Fresh { .. } => self.fresh.add(origin),
            Kind::Login => self.logins.add(origin),
            Kind::User => self.users.add(origin),
            Kind::Web => self.web.add(origin),
        }
    }

    fn forget(&mut self, origin: Origin, kind: Kind) {
        match kind {
            Kind::Fresh { stranger } => {
                self.fresh.remove(origin);
                if let Some(number) = stranger {
                    self.strangers.remove(&number);
                }
            }
            Kind::Login => self.logins.remove(origin),
            Kind::User => self.users.remove(origin),
            Kind::Web => self.web.remove(origin),
        }
    }
}

impl Pass {
    /// Returns when a newcomer takes the place of this connection; never, unless it is a stranger.
    pub(crate) fn replaced(&self) -> impl Future<Output = ()> + use<> {
        let replaced = self.replaced.clone();
        async move {
            match replaced {
                Some(replaced) => replaced.cancelled().await,
                None => std::future::pending().await,
            }
        }
    }

    /// Makes a fresh connection a login, if one more client may log in.
    pub(crate) fn log_in(&mut self) -> Result<(), Refusal> {
        let mut book = self.admission.book();
        if self.kind != Kind::Login {
            if book.logins.in_all >= book.figures.clients {
                return Err(book.refuse(Refusal::Clients));
            }
            book.forget(self.origin, self.kind);
            self.kind = Kind::Login;
            book.count(self.origin, self.kind);
        }
        Ok(())
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        self.admission.book().forget(self.origin, self.kind);
    }
}

#[cfg(test)]
mod tests {
    use crate::limits::Limits;

    use super::*;

    const STRANGER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
    const OTHER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2));

    fn admission(limits: &str, descriptors: u64) -> Arc<Admission> {
        let limits: Limits = serde_json::from_str(limits).unwrap();
        Admission::new(limits.figures(descriptors))
    }

    fn login(admission: &Arc<Admission>, ip: IpAddr) -> Pass {
        let kind = Kind::Fresh { stranger: None };
        let mut pass = admission.pass(&mut admission.book(), Origin::of(ip), kind);
        pass.log_in().unwrap();
        pass
    }

    /// Lets in as many as come in, of `tries`.
    fn many(
        tries: usize,
        mut one: impl FnMut() -> Result<Pass, Refusal>,
    ) -> (Vec<Pass>, Option<Refusal>) {
        let mut passes = Vec::new();
        let mut last = None;
        for _ in 0..tries {
            match one() {
                Ok(pass) => passes.push(pass),
                Err(refusal) => last = Some(refusal),
            }
        }
        (passes, last)
    }

    #[test]
    fn an_address_has_its_share_of_fresh_connections() {
        let admission = admission("{}", 100_000);
        let (passes, refusal) = many(100, || admission.fresh(STRANGER, 0));
        assert_eq!(
            (passes.len(), refusal),
            (64, Some(Refusal::FreshPerAddress))
        );
        assert!(admission.fresh(OTHER, 0).is_ok());
        drop(passes);
        assert!(admission.fresh(STRANGER, 0).is_ok());
        assert_eq!(admission.census().fresh_connections, 0);
        assert_eq!(admission.census().refused.values().sum::<u64>(), 36);
    }

    #[test]
    fn data_connections_of_a_client_are_no_strangers() {
        let admission = admission("{}", 100_000);
        let mut login = admission.fresh(STRANGER, 0).unwrap();
        login.log_in().unwrap();
        let (passes, _) = many(1000, || admission.fresh(STRANGER, 500));
        assert_eq!(passes.len(), 64 + 16 + 500);
        // They are not counted as strangers: the others have all their room.
        let (others, _) = many(64, || admission.fresh(OTHER, 500));
        assert_eq!(others.len(), 64);
    }

    #[test]
    fn connections_that_clients_open_ahead_leave_room_for_users() {
        let admission = admission("{}", 100_000);
        let logins: Vec<_> = (0..10).map(|_| login(&admission, STRANGER)).collect();
        let (_ahead, refusal) = many(160, || admission.fresh(STRANGER, 0));
        assert_eq!(refusal, None);
        let (data, _) = many(65, || admission.fresh(STRANGER, 0));
        assert_eq!(data.len(), 64);
        drop(logins);
        assert!(admission.fresh(STRANGER, 0).is_err());
    }

    #[test]
    fn a_proxy_of_this_machine_brings_clients_and_strangers() {
        let admission = admission("{}", 100_000);
        let loopback = "127.0.0.1".parse().unwrap();
        let _login = login(&admission, loopback);
        let (passes, refusal) = many(5000, || admission.fresh(loopback, 100));
        assert_eq!(refusal, None);
        let stays = |pass: &&Pass| !pass.replaced.as_ref().is_some_and(|r| r.is_cancelled());
        assert_eq!(passes.iter().filter(stays).count(), 64 + 16 + 100 + 1024);
        assert!(passes[..180].iter().all(|pass| stays(&pass)));
    }

    #[test]
    fn a_network_of_ipv6_is_one_address() {
        let admission = admission("{}", 100_000);
        let ip = |last: u16| IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 1, 2, 3, 4, 5, last));
        let mut next = 0;
        let (passes, _) = many(100, || {
            next += 1;
            admission.fresh(ip(next), 0)
        });
        assert_eq!(passes.len(), 64);
        let mapped: IpAddr = "::ffff:192.0.2.1".parse().unwrap();
        assert_eq!(Origin::of(mapped), Origin::of(STRANGER));
        assert_ne!(
            Origin::of(ip(1)),
            Origin::of("2001:db8:1:3::1".parse().unwrap())
        );
    }

    #[test]
    fn in_a_flood_each_newcomer_takes_the_place_of_a_stranger() {
        let admission = admission("{}", 100_000);
        let known = login(&admission, STRANGER);
        let data = admission.fresh(STRANGER, 1).unwrap();
        let mut next = 0_u32;
        let (passes, refusal) = many(5000, || {
            next += 1;
            admission.fresh(IpAddr::V4((0x0b00_0000 + next).into()), 0)
        });
        assert_eq!((passes.len(), refusal), (5000, None));
        let stays = |pass: &&Pass| !pass.replaced.as_ref().is_some_and(|r| r.is_cancelled());
        assert_eq!(passes.iter().filter(stays).count(), 1024);
        assert!(
            passes[5000 - 1024..].iter().all(|pass| stays(&pass)),
            "the oldest go"
        );
        assert!(stays(&&known) && stays(&&data));
        drop(passes);
        assert_eq!(admission.census().fresh_connections, 1);
        assert!(admission.book().strangers.is_empty());
    }

    #[test]
    fn wrong_passwords_shut_an_address_out_for_a_while() {
        let admission = admission("{}", 1000);
        for _ in 0..3 {
            assert!(admission.fresh(STRANGER, 0).is_ok());
            admission.wrong_password(STRANGER);
        }
        admission.wrong_password(STRANGER);
        assert_eq!(
            admission.fresh(STRANGER, 0).err(),
            Some(Refusal::WrongPasswords)
        );
        assert!(admission.fresh(OTHER, 0).is_ok());
        let _login = login(&admission, STRANGER);
        assert!(
            admission.fresh(STRANGER, 0).is_ok(),
            "who is logged in is exempt"
        );
    }

    #[test]
    fn penalties_add_up_and_pass() {
        let (mut penalties, now) = (Penalties::default(), Instant::now());
        let (origin, each) = (Origin::of(STRANGER), Duration::from_secs(5));
        for _ in 0..1000 {
            penalties.add(origin, each, now);
        }
        assert_eq!(penalties.left(origin, now), LONGEST_PENALTY);
        let later = now + Duration::from_secs(590);
        assert_eq!(penalties.left(origin, later), Duration::from_secs(10));
        assert_eq!(
            penalties.left(origin, now + LONGEST_PENALTY),
            Duration::ZERO
        );
        for n in 0..70_000_u32 {
            penalties.add(Origin::of(IpAddr::V4(n.into())), each, now);
        }
        assert!(penalties.until.len() <= MOST_PENALTIES);
    }

    #[test]
    fn users_leave_the_reserve_to_clients() {
        // 200 descriptors: 16 of the process, 32 in reserve, so 152 are free.
        let admission = admission(r#"{"usersPerAddress": 0, "tunnels": 0}"#, 200);
        let (users, refusal) = many(1000, || admission.user(STRANGER, 0, usize::MAX));
        assert_eq!((users.len(), refusal), (76, Some(Refusal::Descriptors)));
        assert_eq!(
            admission.fresh(STRANGER, 0).err(),
            Some(Refusal::Descriptors)
        );
        let _login = login(&admission, OTHER);
        let (data, _) = many(1000, || admission.fresh(OTHER, 100));
        assert_eq!(data.len(), 31, "the reserve without the login");
    }

    #[test]
    fn users_have_bounds_in_all_and_per_client_and_per_address() {
        let admission = admission(r#"{"tunnels": 10, "usersPerAddress": 3}"#, 1000);
        let (users, refusal) = many(5, || admission.user(STRANGER, 0, usize::MAX));
        assert_eq!((users.len(), refusal), (3, Some(Refusal::UsersPerAddress)));
        assert_eq!(
            admission.user(OTHER, 5, 5).err(),
            Some(Refusal::UsersPerClient)
        );
        // A proxy on this machine brings users of many addresses.
        let loopback = "127.0.0.1".parse().unwrap();
        let (more, refusal) = many(10, || admission.user(loopback, 0, usize::MAX));
        assert_eq!((more.len(), refusal), (7, Some(Refusal::Users)));
    }

    #[test]
    fn so_many_clients_at_most() {
        let admission = admission(r#"{"clients": 1}"#, 1000);
        // Both have shown their passwords at the same time.
        let mut first = admission.fresh(STRANGER, 0).unwrap();
        let mut second = admission.fresh(STRANGER, 0).unwrap();
        assert_eq!(first.log_in(), Ok(()));
        assert_eq!(second.log_in(), Err(Refusal::Clients));
        assert_eq!(first.log_in(), Ok(()), "it is one already");
        assert_eq!(admission.census().fresh_connections, 1);
        drop(first);
        assert_eq!(second.log_in(), Ok(()));
        drop(second);
        let census = admission.census();
        assert_eq!((census.clients, census.fresh_connections), (0, 0));
    }

    #[test]
    fn connections_to_the_web_interface_are_bounded_and_use_the_reserve() {
        let admission = admission("{}", 1000);
        let (of_one, refusal) = many(40, || admission.web(STRANGER));
        assert_eq!((of_one.len(), refusal), (32, Some(Refusal::Web)));
        let loopback = "127.0.0.1".parse().unwrap();
        let (all, refusal) = many(100, || admission.web(loopback));
        assert_eq!((all.len(), refusal), (96, Some(Refusal::Web)));
        assert_eq!(admission.census().descriptors, 128);
        drop((of_one, all));
        assert_eq!(admission.census().descriptors, 0);
        // 10 descriptors, all of them in the reserve: a user does not get one.
        let small = Admission::new(Limits::default().figures(26));
        assert_eq!(small.user(OTHER, 0, 9).err(), Some(Refusal::Users));
        let (few, refusal) = many(11, || small.web(OTHER));
        assert_eq!((few.len(), refusal), (10, Some(Refusal::Descriptors)));
    }

    #[test]
    fn three_wrong_passwords_shut_out_who_signs_in() {
        let admission = admission("{}", 1000);
        let _client = login(&admission, STRANGER);
        for _ in 0..3 {
            assert_eq!(admission.may_show_a_password(STRANGER), Ok(()));
            admission.wrong_password(STRANGER);
        }
        let refused = Err(Refusal::WrongPasswords);
        // 15 seconds stand against it, less the moment that has gone by.
        admission.wrong_password(STRANGER);
        assert_eq!(admission.may_show_a_password(STRANGER), refused);
        assert_eq!(admission.may_show_a_password(OTHER), Ok(()));
    }

    #[test]
    fn each_address_of_a_mapped_port_takes_a_descriptor() {
        let admission = admission("{}", 1000);
        admission.port_opened(2);
        admission.port_opened(1);
        let census = admission.census();
        assert_eq!((census.ports, census.descriptors), (2, 3));
        admission.port_closed(2);
        let census = admission.census();
        assert_eq!((census.ports, census.descriptors), (1, 1));
    }
}
