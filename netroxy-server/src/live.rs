//! Open tunnels and recent events, for the web interface. A server without a web interface keeps none.
//!
//! Tunnels and events have a lock each, which is held for a few instructions or while figures are copied.
//! A tunnel takes the lock when it begins and when it ends, and not in between.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use netroxy_net::relay::{Progress, Summary};
use netroxy_proto::Username;
use netroxy_proto::server::UserId;
use serde::Serialize;

use crate::port::{MappedPort, Served};

/// The most events that are kept.
const EVENTS: usize = 200;
/// An event that equals one of so many latest events is counted and not kept again. So a refusal that
/// repeats does not displace other events.
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
    /// Tunnels that have begun since the start of the server.
    begun: u64,
    /// Bytes of the tunnels that have ended, by account.
    ended: BTreeMap<Username, Bytes>,
}

/// An open tunnel.
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
    /// One entry for each requested port, in the order of the request: how many tunnels have begun since the
    /// port was opened, and the bytes of those that have ended.
    pub(crate) served: Vec<(u64, Bytes)>,
    /// Tunnels that have begun since the start of the server.
    pub(crate) begun: u64,
    /// Bytes of all tunnels since the start of the server, by account.
    pub(crate) carried: BTreeMap<Username, Bytes>,
}

/// An event that the web interface shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Event {
    /// Counted from 1.
    pub(crate) id: u64,
    /// When it happened last, in milliseconds since 1970.
    pub(crate) time: u64,
    pub(crate) kind: Kind,
    /// A sentence. Texts of a peer are escaped and short in it.
    pub(crate) text: String,
    /// How often it happened.
    pub(crate) count: u64,
    /// The account that may see it beside administrators.
    #[serde(skip)]
    pub(crate) owner: Option<Username>,
}

/// The kind of an event.
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
    /// A client was refused a port.
    MappingRefused,
    /// A port was switched on or off.
    MappingSwitched,
    /// A user was refused.
    UserRefused,
    /// An account has signed in to the web interface.
    SignedIn,
    /// An account has asked for a mapping.
    RequestAsked,
    /// A client has accepted a request and is going to map the port.
    RequestAccepted,
    /// A client has refused a request, or has not answered it in time.
    RequestRefused,
    /// A client has mapped the port of a request.
    RequestMapped,
    /// A request was withdrawn.
    RequestWithdrawn,
}

#[derive(Default)]
struct Events {
    latest: VecDeque<Event>,
    last_id: u64,
}

impl Live {
    /// Adds a tunnel that begins. Its relay counts its bytes in the result.
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

    /// Removes a tunnel that has ended. Its bytes are added to those of its port and account under one lock.
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

    /// The current figures, and those of `ports`.
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

    /// Adds an event. `owner` is the account that may see it beside administrators.
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

    /// The events for whose owner `sees` is true, the latest first.
    pub(crate) fn events(&self, sees: impl Fn(Option<&Username>) -> bool) -> Vec<Event> {
        let mut seen: Vec<_> = {
            let events = self.lock_events();
            let seen = events.latest.iter();
            seen.filter(|event| sees(event.owner.as_ref()))
                .cloned()
                .collect()
        };
        // A counted event is as recent as its last time.
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
    fn an_event_that_repeats_is_counted_and_displaces_no_other() {
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
    fn an_account_sees_only_its_own_events() {
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
