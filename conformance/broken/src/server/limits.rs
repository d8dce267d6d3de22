//! Bugs about limits, and about logins with the same name.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use super::{Login, Shared, State};
use crate::Bug;

/// The longest timeout, in seconds.
pub(super) const LONGEST: u64 = 9_223_372_036;

impl Shared {
    /// Whether a bug rejects another login.
    pub(super) fn is_full(&self, state: &State) -> bool {
        match self.bug {
            Some(Bug::OneClientOnly) => !state.logins.is_empty(),
            Some(Bug::LoginsEverAtMost16) => state.ever.len() >= 16,
            Some(Bug::ClientsAtMost8) => state.logins.len() >= 8,
            Some(Bug::ClientsAtMost15) => state.logins.len() >= 15,
            _ => false,
        }
    }

    /// Ends the oldest login if a bug allows only 15.
    pub(super) async fn end_first_of_many(&self) {
        let first = {
            let state = self.state();
            let many = self.has(Bug::SixteenthEndsFirst) && state.logins.len() >= 15;
            state.logins.keys().min().copied().filter(|_| many)
        };
        if let Some(first) = first {
            self.log_out(first, false).await;
        }
    }

    /// How many logins of this name there were.
    pub(super) fn logins_of(&self, name: &[u8]) -> usize {
        let state = self.state();
        state.ever.iter().filter(|(other, _)| other == name).count()
    }

    /// The token of the first login, if a bug gives it again.
    pub(super) fn token_again(&self, name: &[u8]) -> Option<Vec<u8>> {
        if !self.has(Bug::FifthLoginFirstToken) || self.logins_of(name) != 4 {
            return None;
        }
        let state = self.state();
        let first = state.ever.iter().find(|(other, _)| other == name);
        first.map(|(_, token)| token.clone())
    }

    /// Ends all logins of this name when this login would have expired, if it has been replaced by then.
    pub(super) fn end_at_old_expiry(self: Arc<Self>, id: u64, name: &[u8]) {
        if !self.has(Bug::OldExpiryEndsNew) {
            return;
        }
        let (name, timeout) = (name.to_vec(), Duration::from_secs(self.timeout));
        tokio::spawn(async move {
            sleep(timeout.mul_f64(1.25)).await;
            if !self.state().logins.contains_key(&id) {
                self.end_namesakes(&name);
            }
        });
    }

    /// Ends all logins of a name.
    pub(super) fn end_namesakes(&self, name: &[u8]) {
        let state = self.state();
        let namesakes = state.logins.values().filter(|login| login.name == name);
        namesakes.for_each(|login| login.ended.cancel());
    }

    /// The answer to a MAP of a login that has too many mappings already, for a bug.
    pub(super) fn has_enough_ports(&self, id: u64) -> Option<bool> {
        let (most, answer) = match self.bug {
            Some(Bug::MappingsAtMost50) => (50, false),
            Some(Bug::MappingsAtMost64) => (64, false),
            Some(Bug::MappingsAtMost99) => (99, false),
            Some(Bug::MappingsBeyond64Deaf) => (64, true),
            _ => return None,
        };
        let state = self.state();
        let login = state.logins.get(&id)?;
        (login.mapped.len() >= most).then_some(answer)
    }

    /// Whether a MAP of this port ends the login.
    pub(super) fn closes_on(&self, port: i64) -> bool {
        match self.bug {
            Some(Bug::HighestPortCloses) => port == 65_535,
            Some(Bug::LowestPortCloses) => port == 1,
            _ => false,
        }
    }

    /// Whether a bug closes a user of this port at once, because too many users wait or have connected.
    pub(super) fn rejects_user(&self, state: &mut State, number: u16) -> bool {
        let Some(login) = state.ports.get(&number).map(|port| port.login) else {
            return false;
        };
        let own = state.ports.values().filter(|port| port.login == login);
        let waiting: usize = own.map(|port| port.waiting.len()).sum();
        match self.bug {
            Some(Bug::WaitingAtMost16) => waiting >= 16,
            // A joined user frees its place.
            Some(Bug::GoneUsersKeepPlaces) => {
                state.places += 1;
                state.places > 100 + self.mixer.ever()
            }
            Some(Bug::WaitingAtMost99) => waiting >= 99,
            Some(Bug::WaitingAtMost64) if waiting >= 64 => {
                let port = state.ports.get_mut(&number);
                drop(port.and_then(|port| port.waiting.pop_front()));
                false
            }
            Some(Bug::UsersEverAtMost100) => self.mixer.ever() >= 100,
            _ => false,
        }
    }

    /// The login that receives the TRQ for a user of this login.
    pub(super) fn trq_receiver<'a>(&self, state: &'a State, id: u64) -> Option<&'a Login> {
        let own = state.logins.get(&id)?;
        if self.has(Bug::NameForgotten) {
            let open = state.logins.values().filter(|login| login.name == own.name);
            let ever = state.ever.iter().filter(|(name, _)| *name == own.name);
            return Some(own).filter(|_| open.count() == ever.count());
        }
        if !self.has(Bug::TrqToLastOfName) {
            return Some(own);
        }
        let namesakes = state
            .logins
            .iter()
            .filter(|(_, login)| login.name == own.name);
        namesakes.max_by_key(|(id, _)| **id).map(|(_, login)| login)
    }
}
