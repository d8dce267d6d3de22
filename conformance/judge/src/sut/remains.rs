//! The processes and containers that the suite could not end. A run reports them at its end, and is not green.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use super::family::Survivor;

/// One sentence for each process or container.
static REMAINS: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

/// Notes one sentence about a process or container that the suite could not end.
pub(super) fn note(what: String) {
    let mut remains = REMAINS.lock().unwrap_or_else(PoisonError::into_inner);
    remains.insert(what);
}

/// Notes the processes that the suite could not end.
pub(crate) fn note_survivors(survivors: &BTreeSet<Survivor>) {
    survivors.iter().map(Survivor::told).for_each(note);
}

/// The processes and containers that the suite has started and could not end, one sentence each.
pub fn remains() -> BTreeSet<String> {
    REMAINS
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .clone()
}

impl Survivor {
    /// The sentence about this process, and how to end it if it belongs to another user.
    fn told(&self) -> String {
        let Self {
            id,
            name,
            forbidden,
        } = self;
        match forbidden {
            true => format!(
                "process {id}, `{name}`, belongs to another user, who may end it: `sudo kill -KILL {id}`"
            ),
            false => format!("process {id}, `{name}`, does not end although it was killed"),
        }
    }
}
