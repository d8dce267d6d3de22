//! Requests for mappings: a person asks that a client maps a port to a target, and the client decides.
//!
//! The server only keeps the list, in memory, and tells clients of it. It can make no client do
//! anything: a client takes requests if its configuration says so, looks each of them up in a list of its own,
//! and then answers by MAP like for any other mapping.

mod api;
mod list;

use std::{
    sync::{Mutex, PoisonError},
    time::Instant,
};

use netroxy_proto::ClientName;
use tokio::sync::watch;
use tracing::info;

pub(super) use api::{ask, decide, list, open, withdraw};
pub(crate) use list::Who;
use list::{Change, Crowd, List, Moment};
pub(super) use list::{Request, State, Told};

use crate::{hub::Hub, live::unix_millis};

/// The list of a server, and the news of it.
pub(crate) struct Requests {
    list: Mutex<List>,
    changed: watch::Sender<()>,
}

impl Default for Requests {
    fn default() -> Self {
        Self {
            // A client that was told a version before a restart has to see that this is another list.
            list: Mutex::new(List::new(unix_millis())),
            changed: watch::Sender::default(),
        }
    }
}

impl Requests {
    /// Hears of each change from now on.
    pub(super) fn subscribe(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
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

impl Hub {
    /// Reads or changes the list of requests, and notes what has changed in it.
    pub(crate) fn requests<T>(&self, act: impl FnOnce(&mut List, Moment) -> T) -> T {
        let now = Moment::now();
        let (result, changes) = {
            let list = self.requests.list.lock();
            let mut list = list.unwrap_or_else(PoisonError::into_inner);
            list.tick(now);
            (act(&mut list, now), list.take_changes())
        };
        if !changes.is_empty() {
            changes.iter().for_each(|change| self.note_change(change));
            self.requests.changed.send_replace(());
        }
        result
    }

    fn note_change(&self, change: &Change) {
        let Some(kind) = change.kind else { return };
        let owner = &change.request.wish.who.account;
        info!(id = %change.request.id, user = %owner, "{change}");
        self.note(kind, Some(owner), format_args!("{change}"));
    }
}

/// A poll of a client, as long as it lasts.
struct Poll<'a> {
    hub: &'a Hub,
    who: Who,
}

impl<'a> Poll<'a> {
    fn begin(hub: &'a Hub, who: Who) -> Result<Self, Crowd> {
        hub.requests(|list, now| list.begin_poll(&who, now))?;
        Ok(Self { hub, who })
    }

    fn version(&self) -> Option<u64> {
        self.hub.requests(|list, _| list.version(&self.who))
    }
}

impl Drop for Poll<'_> {
    fn drop(&mut self) {
        self.hub.requests(|list, now| list.end_poll(&self.who, now));
    }
}

/// Whether a text names a client: by its bytes, or as it is shown.
fn is_name(name: &ClientName, text: &str) -> bool {
    name.as_bytes() == text.as_bytes() || name.to_string() == text
}
