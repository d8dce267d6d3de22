//! What could not be ended: it is told at the end, and a run that leaves something behind is not green.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use super::family::Survivor;

/// All of it, for a person.
static REMAINS: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

/// Notes what an ended program has left.
pub(super) fn note(what: String) {
    let mut remains = REMAINS.lock().unwrap_or_else(PoisonError::into_inner);
    remains.insert(what);
}

/// Notes processes that an ended program has left.
pub(crate) fn note_survivors(survivors: &BTreeSet<Survivor>) {
    survivors.iter().map(Survivor::told).for_each(note);
}

/// Everything that this program has started and could not end.
pub fn remains() -> BTreeSet<String> {
    REMAINS
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .clone()
}

impl Survivor {
    /// What it is, and what a person can do about it.
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
