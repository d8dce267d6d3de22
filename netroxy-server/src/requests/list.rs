//! The list of requests as a state machine. It has no lock, no clock and no random source.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use netroxy_proto::{ClientName, Username};
use serde::{Deserialize, Serialize};

use crate::client::Who;
use crate::live::Kind;

/// A request that its client does not answer is refused after this time.
const UNDECIDED: Duration = Duration::from_secs(24 * 60 * 60);
/// The reason of such a refusal.
const NO_ANSWER: &str = "no answer within 24 hours";
/// How long a client counts as one that takes requests after its last poll has ended.
const STAYS: Duration = Duration::from_secs(60);
/// The most requests in all, and of one account that asks. New requests take the place of refused ones.
const MOST: (usize, usize) = (1000, 100);
/// The most clients that take requests, in all and of one account. Further ones are refused until one is gone.
const MOST_TAKERS: (usize, usize) = (1024, 256);
/// The most polls at a time. Each holds a connection, and the page and other programs need some too.
const MOST_POLLS: usize = 64;

/// A moment: for deadlines, and as the API shows it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    pub(crate) at: Instant,
    /// Seconds since 1970.
    pub(crate) unix: u64,
}

/// The mapping that a client is asked for.
#[derive(Debug, Clone)]
pub(crate) struct Wish {
    pub(crate) who: Who,
    pub(crate) target: SocketAddr,
    pub(crate) port: u16,
    /// The account that asks.
    pub(crate) by: Username,
}

/// The state of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum State {
    /// The client has not decided.
    Asked,
    /// The client is going to map the port.
    Accepted,
    /// The request has ended; its reason says why.
    Refused,
    /// The client has mapped the port.
    Mapped,
}

impl State {
    const ALL: [Self; 4] = [Self::Asked, Self::Accepted, Self::Refused, Self::Mapped];

    /// Whether the client receives a request in this state.
    fn is_open(self) -> bool {
        self != Self::Refused
    }

    /// The event of a request that enters this state.
    fn kind(self) -> Kind {
        match self {
            Self::Asked => Kind::RequestAsked,
            Self::Accepted => Kind::RequestAccepted,
            Self::Refused => Kind::RequestRefused,
            Self::Mapped => Kind::RequestMapped,
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Asked => "asked",
            Self::Accepted => "accepted",
            Self::Refused => "refused",
            Self::Mapped => "mapped",
        })
    }
}

/// The id of a request: 64 random bits, shown as 16 hex digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Id(pub(crate) u64);

impl Id {
    /// Reads an id as it is shown, and in no other spelling.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let id = Self(u64::from_str_radix(text, 16).ok()?);
        (id.to_string() == text).then_some(id)
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// A request.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) id: Id,
    pub(crate) wish: Wish,
    asked: u64,
    changed: u64,
    pub(crate) state: State,
    reason: Option<String>,
    /// When it entered its state.
    since: Instant,
}

/// A request as the API shows it.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct RequestView {
    id: String,
    client: String,
    /// The account of the client.
    user: String,
    target: String,
    port: u16,
    by: String,
    asked: u64,
    changed: u64,
    state: State,
    reason: Option<String>,
    #[serde(skip)]
    pub(crate) owner: Username,
}

impl Request {
    fn set(&mut self, state: State, reason: Option<String>, now: Moment) {
        self.state = state;
        self.reason = reason;
        self.changed = now.unix;
        self.since = now.at;
    }

    pub(crate) fn view(&self) -> RequestView {
        RequestView {
            id: self.id.to_string(),
            client: self.wish.who.name.to_string(),
            user: self.wish.who.account.to_string(),
            target: self.wish.target.to_string(),
            port: self.wish.port,
            by: self.wish.by.to_string(),
            asked: self.asked,
            changed: self.changed,
            state: self.state,
            reason: self.reason.clone(),
            owner: self.wish.who.account.clone(),
        }
    }
}

/// Why a new request is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotTaken {
    #[error(
        "client {0} does not take requests: its configuration needs a section \"requests\", and the client must run"
    )]
    TakesNone(ClientName),
    #[error("port {0} is mapped already")]
    Mapped(u16),
    #[error("client {0} has an open request for port {1} already")]
    Open(ClientName, u16),
    #[error("{} requests of this account are open: withdraw one of them first", MOST.1)]
    ManyOfAccount,
    #[error("{} requests are open on this server: one of them must end first", MOST.0)]
    Many,
}

impl NotTaken {
    /// Whether a bound is reached.
    pub(crate) fn is_bound(&self) -> bool {
        matches!(self, Self::ManyOfAccount | Self::Many)
    }
}

/// A client's answer to a request.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Decision {
    Accepted,
    Refused,
}

/// Why a decision is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotDecided {
    /// This account has no such request.
    Unknown,
    /// It was refused before.
    Over,
}

/// The error that too many clients poll or take requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooMany;

/// A change of a request.
#[derive(Debug, Clone)]
pub(crate) struct Change {
    pub(crate) request: Request,
    /// The event of the change; `None` if another event reports it: the end of a login or of a port.
    pub(crate) kind: Option<Kind>,
    /// The account that has withdrawn it.
    withdrawn_by: Option<Username>,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Request {
            wish,
            state,
            reason,
            ..
        } = &self.request;
        let (port, target, name) = (wish.port, wish.target, &wish.who.name);
        write!(f, "request for port {port} -> {target} of client {name} ")?;
        match (&self.withdrawn_by, state, reason) {
            (Some(by), _, _) => write!(f, "withdrawn by {by}"),
            (None, State::Asked, _) => write!(f, "asked by {}", wish.by),
            (None, State::Refused, Some(reason)) => write!(f, "refused: {reason}"),
            (None, state, _) => write!(f, "{state}"),
        }
    }
}

/// A client that takes requests.
#[derive(Debug)]
struct Taker {
    /// The version of its open requests.
    version: u64,
    /// Polls that are under way.
    polls: usize,
    /// When the last poll ended.
    last: Instant,
}

impl Taker {
    fn is_there(&self, now: Moment) -> bool {
        self.polls > 0 || now.at.saturating_duration_since(self.last) < STAYS
    }
}

/// A mapped port.
#[derive(Debug)]
struct Port {
    /// The number of its client's login.
    login: u64,
    who: Who,
}

/// See the [module documentation](self).
#[derive(Debug)]
pub(crate) struct List {
    /// In the order in which they were asked.
    requests: Vec<Request>,
    takers: BTreeMap<Who, Taker>,
    ports: BTreeMap<u16, Port>,
    /// The latest version. No version is used twice, not even after a restart.
    version: u64,
    changes: Vec<Change>,
}

impl List {
    /// An empty list, whose versions come after `version`.
    pub(crate) fn new(version: u64) -> Self {
        Self {
            requests: Vec::new(),
            takers: BTreeMap::new(),
            ports: BTreeMap::new(),
            version,
            changes: Vec::new(),
        }
    }

    /// The changes since the last call.
    pub(crate) fn take_changes(&mut self) -> Vec<Change> {
        std::mem::take(&mut self.changes)
    }

    /// Adds a request. `id` is new.
    pub(crate) fn ask(&mut self, wish: Wish, id: Id, now: Moment) -> Result<Request, NotTaken> {
        if !self.takes(&wish.who, now) {
            return Err(NotTaken::TakesNone(wish.who.name));
        }
        if self.ports.contains_key(&wish.port) {
            return Err(NotTaken::Mapped(wish.port));
        }
        // A request with another target is the same: a port is mapped once.
        let is_same = |other: &Request| other.wish.who == wish.who && other.wish.port == wish.port;
        if (self.requests.iter()).any(|other| other.state.is_open() && is_same(other)) {
            return Err(NotTaken::Open(wish.who.name, wish.port));
        }
        let (in_all, of_account) = MOST;
        let is_own = |other: &Request| other.wish.by == wish.by;
        if self.requests.iter().filter(|other| is_own(other)).count() >= of_account
            && !self.drop_refused(is_own)
        {
            return Err(NotTaken::ManyOfAccount);
        }
        if self.requests.len() >= in_all && !self.drop_refused(|_| true) {
            return Err(NotTaken::Many);
        }
        let request = Request {
            id,
            wish,
            asked: now.unix,
            changed: now.unix,
            state: State::Asked,
            reason: None,
            since: now.at,
        };
        self.note(&request, Some(Kind::RequestAsked));
        self.requests.push(request.clone());
        Ok(request)
    }

    /// Makes room: drops the request that was refused first. The result is false if there is none.
    fn drop_refused(&mut self, which: impl Fn(&Request) -> bool) -> bool {
        let refused = self.requests.iter().enumerate();
        let refused = refused.filter(|(_, one)| one.state == State::Refused && which(one));
        let Some((place, _)) = refused.min_by_key(|(_, one)| one.since) else {
            return false;
        };
        self.requests.remove(place);
        true
    }

    pub(crate) fn find(&self, id: Id) -> Option<&Request> {
        self.requests.iter().find(|one| one.id == id)
    }

    /// Takes a request off the list. If it was mapped, the result holds the login that has its port.
    pub(crate) fn withdraw(&mut self, id: Id, by: &Username) -> Option<(Request, Option<u64>)> {
        let place = self.requests.iter().position(|one| one.id == id)?;
        let request = self.requests.remove(place);
        self.touch(&request.wish.who);
        self.changes.push(Change {
            request: request.clone(),
            kind: Some(Kind::RequestWithdrawn),
            withdrawn_by: Some(by.clone()),
        });
        let port = self.ports.get(&request.wish.port);
        let login = port.filter(|_| request.state == State::Mapped);
        let login = login.map(|port| port.login);
        Some((request, login))
    }

    /// Notes the decision of the client's account. The same decision again changes nothing.
    pub(crate) fn decide(
        &mut self,
        id: Id,
        account: &Username,
        decision: &Decision,
        reason: Option<String>,
        now: Moment,
    ) -> Result<Request, NotDecided> {
        let own = |one: &&mut Request| one.id == id && one.wish.who.account == *account;
        let mut requests = self.requests.iter_mut();
        let request = requests.find(own).ok_or(NotDecided::Unknown)?;
        match (decision, request.state) {
            (Decision::Accepted, State::Refused) => return Err(NotDecided::Over),
            (Decision::Accepted, State::Asked) => {
                request.set(State::Accepted, None, now);
                // The client may map the port before it accepts.
                let port = self.ports.get(&request.wish.port);
                if port.is_some_and(|port| port.who == request.wish.who) {
                    request.set(State::Mapped, None, now);
                }
            }
            (Decision::Refused, State::Asked | State::Accepted | State::Mapped) => {
                request.set(State::Refused, reason, now);
            }
            (Decision::Accepted, State::Accepted | State::Mapped)
            | (Decision::Refused, State::Refused) => return Ok(request.clone()),
        }
        let request = request.clone();
        self.note(&request, Some(request.state.kind()));
        Ok(request)
    }

    /// Notes that a client has mapped a port.
    pub(crate) fn opened(&mut self, port: u16, login: u64, who: Who, now: Moment) {
        self.set_all(State::Mapped, None, now, |one| {
            one.state == State::Accepted && one.wish.port == port && one.wish.who == who
        });
        self.ports.insert(port, Port { login, who });
    }

    /// Notes that a login does not have a port any more.
    pub(crate) fn closed(&mut self, port: u16, login: u64, now: Moment) {
        if self.ports.get(&port).is_none_or(|port| port.login != login) {
            return;
        }
        self.ports.remove(&port);
        self.set_all(State::Accepted, None, now, |one| {
            one.state == State::Mapped && one.wish.port == port
        });
    }

    /// Notes that a client's control connection has ended. After its next login the client decides again.
    pub(crate) fn gone(&mut self, login: u64, who: &Who, now: Moment) {
        self.ports.retain(|_, port| port.login != login);
        self.set_all(State::Asked, None, now, |one| {
            matches!(one.state, State::Accepted | State::Mapped) && one.wish.who == *who
        });
    }

    /// Refuses requests that were not answered in time, and removes clients that take no requests any more.
    pub(crate) fn tick(&mut self, now: Moment) {
        let is_over = |one: &Request| now.at.saturating_duration_since(one.since) >= UNDECIDED;
        self.set_all(State::Refused, Some(NO_ANSWER), now, |one| {
            one.state == State::Asked && is_over(one)
        });
        self.takers.retain(|_, taker| taker.is_there(now));
    }

    /// Notes that a client begins to poll. [`end_poll`](Self::end_poll) has to follow.
    pub(crate) fn begin_poll(&mut self, who: &Who, now: Moment) -> Result<(), TooMany> {
        if self.takers.values().map(|taker| taker.polls).sum::<usize>() >= MOST_POLLS {
            return Err(TooMany);
        }
        if !self.takers.contains_key(who) {
            let (in_all, of_account) = MOST_TAKERS;
            let own = self.takers.keys().filter(|o| o.account == who.account);
            if self.takers.len() >= in_all || own.count() >= of_account {
                return Err(TooMany);
            }
            self.version += 1;
            let taker = Taker {
                version: self.version,
                polls: 0,
                last: now.at,
            };
            self.takers.insert(who.clone(), taker);
        }
        if let Some(taker) = self.takers.get_mut(who) {
            taker.polls += 1;
        }
        Ok(())
    }

    pub(crate) fn end_poll(&mut self, who: &Who, now: Moment) {
        if let Some(taker) = self.takers.get_mut(who) {
            taker.polls = taker.polls.saturating_sub(1);
            taker.last = now.at;
        }
    }

    /// The version of the open requests to a client that polls.
    pub(crate) fn version(&self, who: &Who) -> Option<u64> {
        self.takers.get(who).map(|taker| taker.version)
    }

    /// The open requests to a client, the oldest first.
    pub(crate) fn open(&self, who: &Who) -> impl Iterator<Item = &Request> {
        let of_client = self.requests.iter().filter(|one| one.wish.who == *who);
        of_client.filter(|one| one.state.is_open())
    }

    /// All requests, the newest first.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Request> {
        self.requests.iter().rev()
    }

    /// How many requests there are in each state.
    pub(crate) fn counts(&self) -> BTreeMap<State, usize> {
        let mut counts: BTreeMap<_, _> = State::ALL.map(|state| (state, 0)).into();
        for request in &self.requests {
            *counts.entry(request.state).or_default() += 1;
        }
        counts
    }

    /// The clients that take requests, logged in or not.
    pub(crate) fn takers(&self, now: Moment) -> impl Iterator<Item = &Who> {
        let takers = self.takers.iter();
        takers.filter_map(move |(who, taker)| taker.is_there(now).then_some(who))
    }

    fn takes(&self, who: &Who, now: Moment) -> bool {
        self.takers.get(who).is_some_and(|t| t.is_there(now))
    }

    fn set_all(
        &mut self,
        state: State,
        reason: Option<&str>,
        now: Moment,
        which: impl Fn(&Request) -> bool,
    ) {
        let mut changed = Vec::new();
        for request in self.requests.iter_mut().filter(|one| which(one)) {
            request.set(state, reason.map(str::to_owned), now);
            changed.push(request.clone());
        }
        for request in changed {
            let is_told = matches!(state, State::Asked | State::Accepted);
            self.note(&request, (!is_told).then(|| state.kind()));
        }
    }

    fn note(&mut self, request: &Request, kind: Option<Kind>) {
        self.touch(&request.wish.who);
        self.changes.push(Change {
            request: request.clone(),
            kind,
            withdrawn_by: None,
        });
    }

    fn touch(&mut self, who: &Who) {
        self.version += 1;
        if let Some(taker) = self.takers.get_mut(who) {
            taker.version = self.version;
        }
    }
}

#[cfg(test)]
mod tests;
