//! What users ask for, and what becomes of it.

use crate::{
    RequestId,
    admin::{Answer, Requests},
    requests::{
        Change,
        poll::{Polled, Poller},
    },
};

use super::{Changed, Client, Input, RemotePort, info, machine_config};

/// What a user is told if the person at the client gives no reason.
const NO_REASON: &str = "refused at the client";

impl Client {
    /// Begins to poll as the configuration says now; the poller of before stops.
    pub(super) fn start_polling(&mut self) {
        if let Some(old) = self.poller.take() {
            tokio::spawn(old.stop());
        }
        self.pollers += 1;
        let (names, client) = (self.names.clone(), self.handle.clone());
        self.poller = Poller::start(&self.config, names, client, self.pollers);
        self.polling_problem = None;
    }

    /// The poller has heard of the server.
    pub(super) async fn polled(&mut self, polled: Polled) {
        let Polled { by, news, posts } = polled;
        // One of a configuration that does not count any more ends when it gets no answer.
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

    /// What the administrator asks.
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

    /// Requested mappings are gone from the table, because a new configuration does not have room for them.
    pub(super) fn dropped(&mut self, dropped: Vec<(RequestId, String)>) {
        for (id, reason) in dropped {
            // One that is not known any more has no user who waits for the reason.
            let _ = self.book.refuse(&id, &reason, &mut self.mappings);
            self.kick();
        }
    }

    /// The server does not listen on the port. A request that never was mapped is refused: whether it was one.
    pub(super) fn give_up(&mut self, port: RemotePort) -> bool {
        let Some(id) = self.mappings.give_up(port) else {
            return false;
        };
        let reason = format!("the server cannot listen on the port {port}: is it in use there?");
        let _ = self.book.refuse(&id, &reason, &mut self.mappings);
        self.tell_machine(Input::Forget(port));
        self.kick();
        true
    }

    /// The machine gets the table of mappings as it is now.
    async fn take_in(&mut self) {
        let config = machine_config(&self.config, self.mappings.requested(), 0);
        let input = Input::Configure {
            config: Box::new(config),
            anew: self.has_withdrawn(),
        };
        self.feed(input).await;
        info!("the mappings that users have asked for were changed");
    }

    /// Whether a port is wanted again that the server gives to another login only.
    pub(super) fn has_withdrawn(&self) -> bool {
        let mut withdrawn = self.withdrawn.iter();
        withdrawn.any(|port| self.mappings.get(*port).is_some())
    }

    /// There is something to tell the server.
    fn kick(&self) {
        if let Some(poller) = &self.poller {
            poller.kick();
        }
    }
}

const NOT_CONFIGURED: &str = "this client takes no requests: its configuration has no \"requests\"";
