//! Handles the requests of users: what the poller fetched, and what a person decides.

use netroxy_proto::client::Input;
use tracing::info;

use crate::RequestId;
use crate::admin::{Answer, Changed, Requests};
use crate::client::{Client, machine_config};
use crate::requests::poll::Poller;
use crate::requests::{Change, Polled};

/// The reason that a user reads if the person at the client gives none.
const NO_REASON: &str = "refused at the client";

impl Client {
    /// Begins to poll as the configuration says now. The old poller stops.
    pub(super) fn start_polling(&mut self) {
        if let Some(old) = self.poller.take() {
            tokio::spawn(old.stop());
        }
        self.pollers += 1;
        let (names, client) = (self.names.clone(), self.handle.clone());
        self.poller = Poller::start(&self.config, names, client, self.pollers);
        self.polling_problem = None;
    }

    /// Takes over the result of a poll.
    pub(super) async fn polled(&mut self, polled: Polled) {
        let Polled { by, news, posts } = polled;
        // A poller of an old configuration gets no answer, and so it ends.
        if self
            .poller
            .as_ref()
            .is_none_or(|poller| poller.number != by)
        {
            return;
        }
        let list = match news {
            Ok(list) => list,
            Err(problem) => {
                self.polling_problem = Some(problem);
                let _ = posts.send(Vec::new());
                return;
            }
        };
        self.polling_problem = None;
        let logged_in = self.login.is_some();
        let Some(terms) = &self.config.requests else {
            return;
        };
        let change = self.book.told(list, &mut self.mappings, terms, logged_in);
        let Change { added, withdrawn } = change;
        for port in withdrawn {
            self.feed(Input::Forget(port)).await;
            if self.login.is_some() {
                self.withdrawn.insert(port);
            }
        }
        if added {
            self.take_in().await;
        }
        // The poller may have been stopped.
        let _ = posts.send(self.book.posts());
    }

    /// The answer to [`Request::Requests`](crate::admin::Request::Requests).
    pub(super) fn requests(&self) -> Answer {
        if self.config.requests.is_none() {
            return Answer::Refused(NOT_CONFIGURED.to_owned());
        }
        Answer::Requests(Requests {
            problem: self.polling_problem.clone(),
            requests: self.book.states(&self.mappings),
        })
    }

    pub(super) async fn accept(&mut self, id: &RequestId) -> Answer {
        let Some(terms) = &self.config.requests else {
            return Answer::Refused(NOT_CONFIGURED.to_owned());
        };
        let logged_in = self.login.is_some();
        let accepted = self.book.accept(id, &mut self.mappings, terms, logged_in);
        if let Err(why) = accepted {
            return Answer::Refused(why);
        }
        self.take_in().await;
        self.decided(id, 1, 0, logged_in)
    }

    pub(super) async fn refuse(&mut self, id: &RequestId, reason: Option<&str>) -> Answer {
        let logged_in = self.login.is_some();
        let reason = reason.unwrap_or(NO_REASON);
        let was_mapped = match self.book.refuse(id, reason, &mut self.mappings) {
            Ok(was_mapped) => was_mapped,
            Err(why) => return Answer::Refused(why),
        };
        if was_mapped {
            self.take_in().await;
        }
        self.decided(id, 0, usize::from(was_mapped), logged_in)
    }

    fn decided(&self, id: &RequestId, added: usize, removed: usize, was_connected: bool) -> Answer {
        self.kick();
        let changed = Changed {
            added,
            removed,
            changed: 0,
            logs_in_anew: was_connected && self.login.is_none(),
            was_connected,
        };
        match self.book.state(id, &self.mappings) {
            Some(request) => Answer::Decided { request, changed },
            None => Answer::Changed(changed),
        }
    }

    /// Refuses requests whose mappings were removed, because a new configuration does not allow them.
    pub(super) fn dropped(&mut self, dropped: Vec<(RequestId, String)>) {
        for (id, reason) in dropped {
            // A request that is not in the book any more needs no reason.
            let _ = self.book.refuse(&id, &reason, &mut self.mappings);
            self.kick();
        }
    }

    /// Gives the machine the mappings as they are now.
    async fn take_in(&mut self) {
        let config = machine_config(&self.config, self.mappings.requested(), 0);
        let input = Input::Configure {
            config: Box::new(config),
            anew: self.has_withdrawn(),
        };
        self.feed(input).await;
        info!("the requested mappings were changed");
    }

    /// Whether a mapping needs a port that the server opens for another login only.
    pub(super) fn has_withdrawn(&self) -> bool {
        let mut withdrawn = self.withdrawn.iter();
        withdrawn.any(|port| self.mappings.get(*port).is_some())
    }
}

const NOT_CONFIGURED: &str = "this client takes no requests: its configuration has no \"requests\"";
