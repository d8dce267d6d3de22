//! The counts of connections, and their bounds.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::origin::{Origin, Tally};
use super::penalties::{LONGEST_PENALTY, Penalties};
use super::refusal::Refusal;
use crate::limits::Figures;

/// How many data connections a client may open ahead of its users. Our client opens no more by default.
const AHEAD_PER_LOGIN: usize = 16;
/// The most connections to the web interface in all, and of one address.
const MOST_WEB: (usize, usize) = (128, 32);

pub(super) struct Counts {
    pub(super) figures: Figures,
    pub(super) fresh: Tally,
    /// Those of `fresh` whose address held no login when they connected. Each token closes its connection.
    pub(super) strangers: BTreeMap<u64, CancellationToken>,
    pub(super) next_stranger: u64,
    pub(super) logins: Tally,
    pub(super) users: Tally,
    /// Connections to the web interface.
    pub(super) web: Tally,
    pub(super) ports: usize,
    /// Listeners of the ports: one for each address.
    pub(super) listeners: usize,
    pub(super) penalties: Penalties,
    pub(super) refused: BTreeMap<Refusal, u64>,
}

/// The kind of a counted connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Fresh {
        /// The number of a stranger; `None` if it is none.
        stranger: Option<u64>,
    },
    Login,
    User,
    Web,
}

impl Counts {
    /// Counts of a server without connections.
    pub(super) fn new(figures: Figures) -> Self {
        Self {
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
        }
    }

    /// Checks a fresh connection. The result is whether it is a stranger.
    pub(super) fn fresh(
        &mut self,
        origin: Origin,
        waiting: usize,
        now: Instant,
    ) -> Result<bool, Refusal> {
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
            // A proxy's connections above the bound count as strangers.
            return Ok(!is_known || is_crowd);
        };
        Err(self.refuse(refusal))
    }

    /// Whether the penalty of an origin is that of three wrong passwords or more.
    pub(super) fn is_shut_out(&self, origin: Origin, now: Instant) -> bool {
        let penalty = self.penalties.left(origin, now);
        let three = Duration::from_secs(self.figures.wrong_password_seconds.saturating_mul(3));
        !penalty.is_zero() && penalty >= three.min(LONGEST_PENALTY / 2)
    }

    /// The number of a new stranger. At their bound, the oldest stranger is closed.
    pub(super) fn next_stranger(&mut self) -> u64 {
        if self.strangers.len() >= self.figures.fresh
            && let Some((_, replaced)) = self.strangers.pop_first()
        {
            replaced.cancel();
            self.refuse(Refusal::FreshInAll);
        }
        self.next_stranger += 1;
        self.next_stranger
    }

    pub(super) fn user(
        &mut self,
        origin: Origin,
        of_client: usize,
        most: usize,
    ) -> Result<(), Refusal> {
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

    pub(super) fn web(&mut self, origin: Origin) -> Result<(), Refusal> {
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

    pub(super) fn descriptors(&self) -> usize {
        let single = self.fresh.in_all + self.logins.in_all + self.web.in_all;
        single + 2 * self.users.in_all + self.listeners
    }

    pub(super) fn refuse(&mut self, refusal: Refusal) -> Refusal {
        *self.refused.entry(refusal).or_default() += 1;
        refusal
    }

    pub(super) fn count(&mut self, origin: Origin, kind: Kind) {
        match kind {
            Kind::Fresh { .. } => self.fresh.add(origin),
            Kind::Login => self.logins.add(origin),
            Kind::User => self.users.add(origin),
            Kind::Web => self.web.add(origin),
        }
    }

    pub(super) fn forget(&mut self, origin: Origin, kind: Kind) {
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
