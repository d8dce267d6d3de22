//! What the web interface shows beside what the server keeps anyway: tunnels while they run, and what
//! has happened lately. There is none of it without a web interface.
//!
//! Both have locks of their own, which are held for a few instructions, or while numbers are copied.
//! A tunnel comes here when it begins and when it ends, and asks for no lock in between.

use std::{
    collections::{BTreeMap, VecDeque},
    fmt,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::Ordering},
    time::SystemTime,
};

use netroxy_net::relay::{Progress, Summary};
use netroxy_proto::{Username, server::UserId};
use serde::Serialize;

use crate::user::{MappedPort, Served};

/// So many events are kept.
const EVENTS: usize = 200;
/// What is said again among the latest so many events is counted, so that one refusal that repeats
/// does not drive out the rest.
const ALIKE: usize = 16;

/// See the [module documentation](self).
#[derive(Default)]
pub(crate) struct Live {
    tunnels: Mutex<Tunnels>,
    events: Mutex<Events>,
}

#[derive(Default)]
struct Tunnels {
    open: BTreeMap<UserId, Tunnel>,
    /// Since the start.
    begun: u64,
    /// What tunnels that have ended have carried, by account.
    ended: BTreeMap<Username, Bytes>,
}

/// A tunnel that runs.
#[derive(Clone)]
pub(crate) struct Tunnel {
    pub(crate) port: Arc<MappedPort>,
    pub(crate) user: SocketAddr,
    /// When it began, in seconds since 1970.
    pub(crate) since: u64,
    progress: Arc<Progress>,
}

/// Bytes in both directions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Bytes {
    pub(crate) to_users: u64,
    pub(crate) from_users: u64,
}

impl std::ops::AddAssign for Bytes {
    fn add_assign(&mut self, other: Self) {
        self.to_users += other.to_users;
        self.from_users += other.from_users;
    }
}

/// The figures of one moment.
pub(crate) struct Survey {
    /// The oldest first.
    pub(crate) tunnels: Vec<(UserId, Tunnel, Bytes)>,
    /// Of the ports that were asked about, in their order: tunnels since each was opened, and what those
    /// that have ended have carried.
    pub(crate) served: Vec<(u64, Bytes)>,
    /// Tunnels since the start.
    pub(crate) begun: u64,
    /// What all tunnels have carried since the start, by account.
    pub(crate) carried: BTreeMap<Username, Bytes>,
}

/// What has happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Event {
    /// Counted from 1.
    pub(crate) id: u64,
    /// When it was last so, in milliseconds since 1970.
    pub(crate) time: u64,
    pub(crate) kind: Kind,
    /// A sentence. What a peer has chosen is escaped and short.
    pub(crate) text: String,
    /// How often.
    pub(crate) count: u64,
    /// The account that may know of it beside administrators.
    #[serde(skip)]
    pub(crate) owner: Option<Username>,
}

/// What an event is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    /// A client has logged in.
    ClientIn,
    /// A login has ended.
    ClientOut,
    /// A login, or a sign-in to the web interface, was refused.
    LoginRefused,
    /// A port was opened.
    MappingOpened,
    /// A port was closed.
    MappingClosed,
    /// A client does not get a port.
    MappingRefused,
    /// Somebody has switched a port on or off.
    MappingSwitched,
    /// A user was closed.
    UserRefused,
    /// Somebody has signed in to the web interface.
    SignedIn,
    /// Somebody asks for a mapping.
    RequestAsked,
    /// A client is going to map what was asked for.
    RequestAccepted,
    /// A client does not map it, or has not answered.
    RequestRefused,
    /// A client has mapped it.
    RequestMapped,
    /// Somebody has taken it back.
    RequestWithdrawn,
}

#[derive(Default)]
struct Events {
    latest: VecDeque<Event>,
    last_id: u64,
}

impl Live {
    /// A tunnel begins. Its relay says there what it has carried.
    pub(crate) fn begin(
        &self,
        id: UserId,
        port: &Arc<MappedPort>,
        user: SocketAddr,
    ) -> Arc<Progress> {
        let progress = Arc::new(Progress::default());
        let tunnel = Tunnel {
            port: port.clone(),
            user,
            since: unix_millis() / 1000,
            progress: progress.clone(),
        };
        let mut tunnels = self.tunnels();
        tunnels.begun += 1;
        tunnels.open.insert(id, tunnel);
        progress
    }

    /// A tunnel has ended: what it has carried goes from its own count to that of its port in one step.
    pub(crate) fn end(&self, id: UserId, summary: &Summary) {
        let mut tunnels = self.tunnels();
        if let Some(tunnel) = tunnels.open.remove(&id) {
            tunnel.port.served.add(summary);
            let account = &tunnel.port.client.account.username;
            let carried = Bytes {
                to_users: summary.a_to_b,
                from_users: summary.b_to_a,
            };
            match tunnels.ended.get_mut(account) {
                Some(ended) => *ended += carried,
                None => drop(tunnels.ended.insert(account.clone(), carried)),
            }
        }
    }

    /// The figures now, and those of `ports`.
    pub(crate) fn survey<'a>(&self, ports: impl Iterator<Item = &'a Served>) -> Survey {
        let tunnels = self.tunnels();
        let mut survey = Survey {
            tunnels: tunnels
                .open
                .iter()
                .map(|(id, tunnel)| (*id, tunnel.clone(), tunnel.bytes()))
                .collect(),
            served: ports.map(Served::figures).collect(),
            begun: tunnels.begun,
            carried: tunnels.ended.clone(),
        };
        drop(tunnels);
        for (_, tunnel, bytes) in &survey.tunnels {
            let account = &tunnel.port.client.account.username;
            match survey.carried.get_mut(account) {
                Some(carried) => *carried += *bytes,
                None => drop(survey.carried.insert(account.clone(), *bytes)),
            }
        }
        survey
    }

    /// Notes what has happened to something of an account.
    pub(crate) fn note(&self, kind: Kind, owner: Option<&Username>, text: fmt::Arguments<'_>) {
        let (text, time) = (text.to_string(), unix_millis());
        let mut events = self.lock_events();
        let mut alike = events.latest.iter_mut().rev().take(ALIKE);
        if let Some(event) = alike
            .find(|event| event.kind == kind && event.text == text && event.owner.as_ref() == owner)
        {
            event.count += 1;
            event.time = time;
            return;
        }
        events.last_id += 1;
        let id = events.last_id;
        if events.latest.len() == EVENTS {
            events.latest.pop_front();
        }
        events.latest.push_back(Event {
            id,
            time,
            kind,
            text,
            count: 1,
            owner: owner.cloned(),
        });
    }

    /// What has happened, the latest first, as far as `sees` lets it be seen.
    pub(crate) fn events(&self, sees: impl Fn(Option<&Username>) -> bool) -> Vec<Event> {
        let mut seen: Vec<_> = {
            let events = self.lock_events();
            let seen = events.latest.iter();
            seen.filter(|event| sees(event.owner.as_ref()))
                .cloned()
                .collect()
        };
        // One that has been counted again is as late as its last time.
        seen.sort_by_key(|event| std::cmp::Reverse((event.time, event.id)));
        seen
    }

    fn lock_events(&self) -> MutexGuard<'_, Events> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tunnels(&self) -> MutexGuard<'_, Tunnels> {
        self.tunnels.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tunnel {
    fn bytes(&self) -> Bytes {
        Bytes {
            to_users: self.progress.a_to_b(),
            from_users: self.progress.b_to_a(),
        }
    }
}

impl Served {
    fn figures(&self) -> (u64, Bytes) {
        let bytes = Bytes {
            to_users: self.to_users.load(Ordering::Relaxed),
            from_users: self.from_users.load(Ordering::Relaxed),
        };
        (self.tunnels.load(Ordering::Relaxed), bytes)
    }
}

/// The time, in milliseconds since 1970.
pub(crate) fn unix_millis() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(live: &Live, owner: Option<&str>, text: &str) {
        let owner = owner.map(|name| Username::try_from(name.as_bytes()).unwrap());
        live.note(Kind::UserRefused, owner.as_ref(), format_args!("{text}"));
    }

    fn texts(live: &Live, sees: impl Fn(Option<&Username>) -> bool) -> Vec<(String, u64)> {
        let events = live.events(sees).into_iter();
        events.map(|event| (event.text, event.count)).collect()
    }

    #[test]
    fn what_repeats_is_counted_and_drives_nothing_out() {
        let live = Live::default();
        note(&live, None, "first");
        for _ in 0..EVENTS {
            note(&live, None, "again");
        }
        let again = ("again".to_owned(), EVENTS as u64);
        assert_eq!(texts(&live, |_| true), [again, ("first".to_owned(), 1)]);
        for number in 0..EVENTS {
            note(&live, None, &number.to_string());
        }
        let kept = texts(&live, |_| true);
        assert_eq!(kept.len(), EVENTS);
        assert!(
            kept.iter()
                .all(|(text, _)| text != "first" && text != "again")
        );
    }

    #[test]
    fn an_account_sees_what_is_its_own() {
        let live = Live::default();
        note(&live, Some("alice"), "same");
        note(&live, Some("bob"), "same");
        note(&live, None, "other");
        let alice = Username::try_from(&b"alice"[..]).unwrap();
        let own = texts(&live, |owner| owner == Some(&alice));
        assert_eq!(own, [("same".to_owned(), 1)]);
        assert_eq!(texts(&live, |_| true).len(), 3);
    }
}
