//! The check of each new connection. Strangers, clients and users share the descriptors of the process, and no
//! address takes all of them.
//!
//! Three kinds of connections are counted. A *fresh* one has not logged in or become a tunnel yet;
//! anyone can open it. A *login* is a control connection. A *user* has connected to a mapped port; it
//! counts for two descriptors from its start, because its data connection will follow.
//!
//! If descriptors are scarce, known addresses have priority. Users and strangers do not get the reserve of
//! descriptors, clients that are logged in do. An address that holds a login may open more fresh connections,
//! because these are its data connections: one for each waiting user, and some that each client opens ahead of
//! its users. Wrong passwords do not shut such an address out. All other fresh connections are strangers. If
//! their bound is reached, a new stranger takes the place of the oldest one. A server that refused new
//! strangers would accept no login during a flood. This one leaves each stranger some time (a fifth of a
//! second if 5,000 of them connect each second), which is enough for a login.

mod counts;
mod origin;
mod penalties;
mod refusal;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use counts::{Counts, Kind};
use origin::Origin;
pub(crate) use refusal::Refusal;
use tokio_util::sync::CancellationToken;

use crate::limits::Figures;

/// See the [module documentation](self).
pub(crate) struct Admission(Mutex<Counts>);

/// A connection that is let in; it counts until the pass is dropped.
pub(crate) struct Pass {
    admission: Arc<Admission>,
    origin: Origin,
    kind: Kind,
    /// Cancelled when a new stranger takes the place of this one; `None` if it is no stranger.
    replaced: Option<CancellationToken>,
}

/// The counts of connections, for `status`.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Census {
    /// Fresh connections.
    pub fresh_connections: usize,
    /// Clients that are logged in.
    pub clients: usize,
    /// Users, including those that wait.
    pub users: usize,
    /// Mapped ports.
    pub ports: usize,
    /// Descriptors that these use, and those that waiting users will use.
    pub descriptors: usize,
    /// Descriptors that connections may use.
    pub descriptor_limit: usize,
    /// Refusals since the start of the server, by reason.
    pub refused: BTreeMap<String, u64>,
}

impl Admission {
    pub(crate) fn new(figures: Figures) -> Arc<Self> {
        Arc::new(Self(Mutex::new(Counts::new(figures))))
    }

    /// Changes the limits. Present connections stay.
    pub(crate) fn set_figures(&self, figures: Figures) {
        self.counts().figures = figures;
    }

    /// One of the limits. Each message reads one, so they are not copied.
    pub(crate) fn limit(&self, which: impl FnOnce(&Figures) -> usize) -> usize {
        which(&self.counts().figures)
    }

    /// Lets in a connection to a control port; `waiting` users wait for data connections.
    pub(crate) fn fresh(self: &Arc<Self>, ip: IpAddr, waiting: usize) -> Result<Pass, Refusal> {
        let origin = Origin::of(ip);
        let mut counts = self.counts();
        let is_stranger = counts.fresh(origin, waiting, Instant::now())?;
        let stranger = is_stranger.then(|| counts.next_stranger());
        Ok(self.pass(&mut counts, origin, Kind::Fresh { stranger }))
    }

    /// Lets in a user whose client has `of_client` users already and may have `most_of_client`.
    pub(crate) fn user(
        self: &Arc<Self>,
        ip: IpAddr,
        of_client: usize,
        most_of_client: usize,
    ) -> Result<Pass, Refusal> {
        let origin = Origin::of(ip);
        let mut counts = self.counts();
        counts.user(origin, of_client, most_of_client)?;
        Ok(self.pass(&mut counts, origin, Kind::User))
    }

    /// Lets in a connection to the web interface. It may use the reserve, so that an operator can look at a server
    /// without free descriptors.
    pub(crate) fn web(self: &Arc<Self>, ip: IpAddr) -> Result<Pass, Refusal> {
        let origin = Origin::of(ip);
        let mut counts = self.counts();
        counts.web(origin)?;
        Ok(self.pass(&mut counts, origin, Kind::Web))
    }

    /// Refuses an address that has shown too many wrong passwords, also if it holds a login, and counts the
    /// refusal.
    pub(crate) fn may_show_a_password(&self, ip: IpAddr) -> Result<(), Refusal> {
        let mut counts = self.counts();
        if counts.is_shut_out(Origin::of(ip), Instant::now()) {
            return Err(counts.refuse(Refusal::WrongPasswords));
        }
        Ok(())
    }

    /// Notes a wrong password.
    pub(crate) fn wrong_password(&self, ip: IpAddr) {
        let mut counts = self.counts();
        let each = Duration::from_secs(counts.figures.wrong_password_seconds.min(600));
        if !each.is_zero() {
            counts.penalties.add(Origin::of(ip), each, Instant::now());
        }
    }

    /// Counts a refusal that another module has decided.
    pub(crate) fn refuse(&self, refusal: Refusal) -> Refusal {
        self.counts().refuse(refusal)
    }

    /// Counts a mapped port with so many listeners.
    pub(crate) fn port_opened(&self, listeners: usize) {
        let mut counts = self.counts();
        counts.ports += 1;
        counts.listeners += listeners;
    }

    /// Removes a mapped port with so many listeners from the count.
    pub(crate) fn port_closed(&self, listeners: usize) {
        let mut counts = self.counts();
        counts.ports = counts.ports.saturating_sub(1);
        counts.listeners = counts.listeners.saturating_sub(listeners);
    }

    pub(crate) fn census(&self) -> Census {
        let counts = self.counts();
        Census {
            fresh_connections: counts.fresh.in_all,
            clients: counts.logins.in_all,
            users: counts.users.in_all,
            ports: counts.ports,
            descriptors: counts.descriptors(),
            descriptor_limit: counts.figures.descriptors,
            refused: counts
                .refused
                .iter()
                .map(|(refusal, count)| (refusal.to_string(), *count))
                .collect(),
        }
    }

    fn pass(self: &Arc<Self>, counts: &mut Counts, origin: Origin, kind: Kind) -> Pass {
        counts.count(origin, kind);
        let replaced = match kind {
            Kind::Fresh {
                stranger: Some(number),
            } => Some(counts.strangers.entry(number).or_default().clone()),
            Kind::Fresh { stranger: None } | Kind::Login | Kind::User | Kind::Web => None,
        };
        Pass {
            admission: self.clone(),
            origin,
            kind,
            replaced,
        }
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pass {
    /// Returns when a new stranger takes the place of this one. If this is no stranger, it never returns.
    pub(crate) fn replaced(&self) -> impl Future<Output = ()> + use<> {
        let replaced = self.replaced.clone();
        async move {
            match replaced {
                Some(replaced) => replaced.cancelled().await,
                None => std::future::pending().await,
            }
        }
    }

    /// Turns a fresh connection into a login, if one more client may log in.
    pub(crate) fn log_in(&mut self) -> Result<(), Refusal> {
        let mut counts = self.admission.counts();
        if self.kind != Kind::Login {
            if counts.logins.in_all >= counts.figures.clients {
                return Err(counts.refuse(Refusal::Clients));
            }
            counts.forget(self.origin, self.kind);
            self.kind = Kind::Login;
            counts.count(self.origin, self.kind);
        }
        Ok(())
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        self.admission.counts().forget(self.origin, self.kind);
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;

    use super::*;
    use crate::limits::Limits;

    const STRANGER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
    const OTHER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2));

    fn admission(limits: &str, descriptors: u64) -> Arc<Admission> {
        let limits: Limits = serde_json::from_str(limits).unwrap();
        Admission::new(limits.figures(descriptors))
    }

    fn login(admission: &Arc<Admission>, ip: IpAddr) -> Pass {
        let kind = Kind::Fresh { stranger: None };
        let mut pass = admission.pass(&mut admission.counts(), Origin::of(ip), kind);
        pass.log_in().unwrap();
        pass
    }

    /// Tries `tries` times to let a connection in. The result holds the passes and the last refusal.
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
    fn the_fresh_connections_of_an_address_are_bounded() {
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
        // They do not count as strangers, so others have their full bound.
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
    fn an_ipv6_network_of_64_bits_counts_as_one_address() {
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
    fn in_a_flood_each_new_stranger_takes_the_place_of_the_oldest() {
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
            "the newest strangers stay"
        );
        assert!(stays(&&known) && stays(&&data));
        drop(passes);
        assert_eq!(admission.census().fresh_connections, 1);
        assert!(admission.counts().strangers.is_empty());
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
            "an address with a login is exempt"
        );
    }

    #[test]
    fn users_do_not_get_the_reserve_of_descriptors() {
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
        assert_eq!(
            data.len(),
            31,
            "the whole reserve except the login's descriptor"
        );
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
        // A proxy on this machine connects for users of many addresses.
        let loopback = "127.0.0.1".parse().unwrap();
        let (more, refusal) = many(10, || admission.user(loopback, 0, usize::MAX));
        assert_eq!((more.len(), refusal), (7, Some(Refusal::Users)));
    }

    #[test]
    fn the_logins_are_bounded() {
        let admission = admission(r#"{"clients": 1}"#, 1000);
        // Both have shown their passwords at the same time.
        let mut first = admission.fresh(STRANGER, 0).unwrap();
        let mut second = admission.fresh(STRANGER, 0).unwrap();
        assert_eq!(first.log_in(), Ok(()));
        assert_eq!(second.log_in(), Err(Refusal::Clients));
        assert_eq!(first.log_in(), Ok(()), "it is logged in already");
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
    fn three_wrong_passwords_shut_an_address_out_of_the_web_interface() {
        let admission = admission("{}", 1000);
        let _client = login(&admission, STRANGER);
        for _ in 0..3 {
            assert_eq!(admission.may_show_a_password(STRANGER), Ok(()));
            admission.wrong_password(STRANGER);
        }
        let refused = Err(Refusal::WrongPasswords);
        // The penalty is 15 seconds, less the time that has passed; one more password makes it enough.
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
