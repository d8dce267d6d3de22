//! Requests for mappings: a person asks that a client maps a port to a target, and the client decides.
//!
//! The server only keeps the list, in memory, and sends it to clients that poll. A client takes requests if
//! its configuration has a section `requests`. It compares each request with the targets that are allowed
//! there, and sends MAP for an accepted one as for any other mapping.

mod list;

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use list::Change;
pub(crate) use list::{
    Decision, Id, List, Moment, NotDecided, Request, RequestView, State, TooMany, Wish,
};
use tokio::sync::watch;
use tracing::info;

use crate::live::{Live, unix_millis};

/// The list of a server, and a notification of its changes.
pub(crate) struct Requests {
    list: Mutex<List>,
    changed: watch::Sender<()>,
}

impl Default for Requests {
    fn default() -> Self {
        Self {
            // No version of this list equals one of a list before a restart of the server.
            list: Mutex::new(List::new(unix_millis())),
            changed: watch::Sender::default(),
        }
    }
}

impl Requests {
    /// A receiver that is notified of each further change.
    pub(crate) fn subscribe(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// Reads or changes the list, and adds its changes to the events of `live`.
    pub(crate) fn with<T>(
        &self,
        live: Option<&Live>,
        act: impl FnOnce(&mut List, Moment) -> T,
    ) -> T {
        let now = Moment::now();
        let (result, changes) = {
            let mut list = self.list.lock().unwrap_or_else(PoisonError::into_inner);
            list.tick(now);
            (act(&mut list, now), list.take_changes())
        };
        if !changes.is_empty() {
            changes.iter().for_each(|change| note(live, change));
            self.changed.send_replace(());
        }
        result
    }
}

impl Moment {
    fn now() -> Self {
        Self {
            at: Instant::now(),
            unix: unix_millis() / 1000,
        }
    }
}

fn note(live: Option<&Live>, change: &Change) {
    let Some(kind) = change.kind else { return };
    let owner = &change.request.wish.who.account;
    info!(id = %change.request.id, user = %owner, "{change}");
    if let Some(live) = live {
        live.note(kind, Some(owner), format_args!("{change}"));
    }
}
