//! The book of requests and decisions.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use netroxy_proto::RemotePort;
use tracing::{info, warn};

use super::types::{Asked, Decision, LONGEST_REASON, Post, RequestId, Told, Wanted, shortened};
use crate::admin::{RequestStanding, RequestState};
use crate::mappings::Mappings;
use crate::{Accept, RequestsConfig};

/// How many requests are read. The server has no more for all clients together.
const MOST: usize = 1000;
/// How much of a text of the server is kept and shown, in characters.
const LONGEST_TEXT: usize = 64;

/// All requests that the server holds for this client.
#[derive(Debug, Default)]
pub(crate) struct Book(BTreeMap<RequestId, Entry>);

#[derive(Debug)]
struct Entry {
    asked: Asked,
    /// The mapping that is requested, or why the request is not valid.
    wanted: Result<Wanted, String>,
    verdict: Verdict,
    /// Whether the log says that it waits.
    is_shown: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Verdict {
    /// A person has to decide.
    Waiting,
    /// Its mapping is in the table of mappings.
    Accepted,
    Refused(String),
}

/// What has changed in the table of mappings.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Change {
    /// Whether mappings were added.
    pub(crate) added: bool,
    /// Ports whose requests were withdrawn. The server has closed them.
    pub(crate) withdrawn: Vec<RemotePort>,
}

impl Book {
    /// Takes over the list of all requests from the server.
    pub(crate) fn told(
        &mut self,
        list: Vec<Asked>,
        mappings: &mut Mappings,
        terms: &RequestsConfig,
        logged_in: bool,
    ) -> Change {
        let mut old = std::mem::take(&mut self.0);
        for asked in list.into_iter().take(MOST) {
            if self.0.contains_key(&asked.id) {
                continue;
            }
            let id = asked.id.clone();
            let asked = asked.shortened(LONGEST_TEXT);
            // The id of an accepted request with another mapping is a new request.
            let known = old.remove(&id);
            let entry = match known {
                Some(entry) if entry.asked.is_same(&asked) => Entry { asked, ..entry },
                other => {
                    if let Some(other) = other {
                        old.insert(id.clone(), other);
                    }
                    Entry::new(asked)
                }
            };
            self.0.insert(id, entry);
        }
        let withdrawn = old.into_keys().filter_map(|id| {
            let port = mappings.withdraw(&id)?;
            info!(target: netroxy_net::log::REFUSAL, %id, remote_port = %port, "a request was withdrawn");
            Some(port)
        });
        let withdrawn = withdrawn.collect();
        let added = self.decide(mappings, terms, logged_in);
        Change { added, withdrawn }
    }

    /// Decides about waiting requests. Returns whether mappings were added.
    pub(crate) fn decide(
        &mut self,
        mappings: &mut Mappings,
        terms: &RequestsConfig,
        logged_in: bool,
    ) -> bool {
        let mut added = false;
        let mut waiting: Vec<_> = self.0.values_mut().collect();
        waiting.retain(|entry| entry.verdict == Verdict::Waiting);
        waiting.sort_by_key(|entry| entry.asked.asked);
        for entry in waiting {
            let decided = match (&entry.wanted, terms.accept) {
                (Err(reason), _) => Err(reason.clone()),
                (Ok(wanted), Accept::Auto) => {
                    mappings.request(wanted, terms, logged_in).map(|()| true)
                }
                (Ok(wanted), Accept::ByHand) => mappings.may_request(wanted, terms).map(|_| false),
            };
            match decided {
                Ok(true) => {
                    added = true;
                    entry.accept();
                }
                Ok(false) if !entry.is_shown => {
                    entry.is_shown = true;
                    let Asked {
                        id,
                        target,
                        port,
                        by,
                        ..
                    } = &entry.asked;
                    warn!(
                        %id, remote_port = port, %target, %by,
                        "a request waits: 'netroxy-client requests accept {id}' maps it"
                    );
                }
                Ok(false) => {}
                Err(reason) => entry.refuse(reason),
            }
        }
        added
    }

    /// Accepts a request for a person, and adds its mapping.
    ///
    /// # Errors
    ///
    /// Why it cannot be accepted.
    pub(crate) fn accept(
        &mut self,
        id: &RequestId,
        mappings: &mut Mappings,
        terms: &RequestsConfig,
        logged_in: bool,
    ) -> Result<(), String> {
        let entry = self.find(id)?;
        match &entry.verdict {
            Verdict::Waiting => {}
            Verdict::Accepted => return Err(format!("request {id} is accepted already")),
            Verdict::Refused(reason) => {
                return Err(format!("request {id} was refused: {reason}"));
            }
        }
        let wanted = entry.wanted.clone()?;
        mappings.request(&wanted, terms, logged_in)?;
        entry.accept();
        Ok(())
    }

    /// Refuses a request. If it was accepted before, removes its mapping and returns true.
    ///
    /// # Errors
    ///
    /// Why it cannot be refused.
    pub(crate) fn refuse(
        &mut self,
        id: &RequestId,
        reason: &str,
        mappings: &mut Mappings,
    ) -> Result<bool, String> {
        let entry = self.find(id)?;
        if let Verdict::Refused(reason) = &entry.verdict {
            return Err(format!("request {id} was refused already: {reason}"));
        }
        entry.refuse(shortened(reason, LONGEST_REASON));
        Ok(mappings.withdraw(id).is_some())
    }

    fn find(&mut self, id: &RequestId) -> Result<&mut Entry, String> {
        let entry = self.0.get_mut(id);
        entry.ok_or_else(|| {
            format!("there is no request {id}: 'netroxy-client requests' lists the requests")
        })
    }

    /// The decisions that the server does not know yet, in the order in which to report them.
    pub(crate) fn posts(&self) -> Vec<Post> {
        let post = |(id, entry): (&RequestId, &Entry)| {
            let decision = match (&entry.verdict, entry.asked.state) {
                (Verdict::Accepted, Told::Asked) => Decision::Accepted,
                (Verdict::Refused(reason), _) => Decision::Refused(reason.clone()),
                (Verdict::Waiting | Verdict::Accepted, _) => return None,
            };
            let id = id.clone();
            Some(Post { id, decision })
        };
        let mut posts: Vec<_> = self.0.iter().filter_map(post).collect();
        // Not all are reported at once, and the user of an accepted request waits for the mapping.
        posts.sort_by_key(|post| post.decision != Decision::Accepted);
        posts
    }

    /// The states of all requests, the oldest one first.
    pub(crate) fn states(&self, mappings: &Mappings) -> Vec<RequestState> {
        let mut all: Vec<_> = self.0.values().collect();
        all.sort_by_key(|entry| entry.asked.asked);
        let state = |entry: &Entry| entry.state(mappings);
        all.into_iter().map(state).collect()
    }

    /// The state of one request.
    pub(crate) fn state(&self, id: &RequestId, mappings: &Mappings) -> Option<RequestState> {
        Some(self.0.get(id)?.state(mappings))
    }
}

impl Entry {
    fn new(asked: Asked) -> Self {
        Self {
            wanted: wanted(&asked),
            asked,
            verdict: Verdict::Waiting,
            is_shown: false,
        }
    }

    fn accept(&mut self) {
        self.verdict = Verdict::Accepted;
        let Asked {
            id,
            target,
            port,
            by,
            ..
        } = &self.asked;
        info!(
            target: netroxy_net::log::REFUSAL,
            %id, remote_port = port, service = %target, %by, "a request was accepted"
        );
    }

    fn refuse(&mut self, reason: String) {
        let Asked {
            id,
            target,
            port,
            by,
            ..
        } = &self.asked;
        info!(
            target: netroxy_net::log::REFUSAL,
            %id, remote_port = port, service = %target, %by, %reason, "a request was refused"
        );
        self.verdict = Verdict::Refused(reason);
    }

    fn state(&self, mappings: &Mappings) -> RequestState {
        let (standing, reason) = match &self.verdict {
            Verdict::Waiting => (RequestStanding::Waiting, None),
            Verdict::Refused(reason) => (RequestStanding::Refused, Some(reason.clone())),
            Verdict::Accepted if mappings.is_mapped(&self.asked.id) => {
                (RequestStanding::Mapped, None)
            }
            Verdict::Accepted => (RequestStanding::Accepted, None),
        };
        RequestState {
            id: self.asked.id.clone(),
            remote_port: self.asked.port,
            target: self.asked.target.clone(),
            by: self.asked.by.clone(),
            asked: self.asked.asked,
            state: standing,
            reason,
        }
    }
}

/// The mapping that is requested, or why the request is not valid.
fn wanted(asked: &Asked) -> Result<Wanted, String> {
    let target: SocketAddr = asked.target.parse().map_err(|_| {
        "the target has to be an IP address and a port, such as 127.0.0.1:22 or [::1]:22".to_owned()
    })?;
    let remote_port = RemotePort::try_from(asked.port)
        .map_err(|_| "the port has to be a number from 1 to 65535".to_owned())?;
    Ok(Wanted {
        id: asked.id.clone(),
        target,
        remote_port,
    })
}

#[cfg(test)]
#[path = "book/tests.rs"]
mod tests;
