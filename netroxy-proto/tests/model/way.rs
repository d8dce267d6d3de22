//! One direction of a connection.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash};

/// See the [module documentation](self).
#[derive(Clone)]
pub(crate) struct Way<M> {
    /// The messages under way, with their age in ticks; `None` is the end.
    pub(crate) items: VecDeque<(Option<M>, u8)>,
    /// Nothing arrives any more.
    pub(crate) is_dead: bool,
}

impl<M> Way<M> {
    pub(crate) fn new() -> Self {
        Self {
            items: VecDeque::new(),
            is_dead: false,
        }
    }

    pub(crate) fn push(&mut self, item: Option<M>) {
        if !self.is_dead && !self.has_ended() {
            self.items.push_back((item, 0));
        }
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.items.back().is_some_and(|item| item.0.is_none())
    }

    /// Loses the messages under way; the end arrives.
    pub(crate) fn end_now(&mut self) {
        self.items.clear();
        self.push(None);
    }

    pub(crate) fn die(&mut self) {
        self.items.clear();
        self.is_dead = true;
    }

    pub(crate) fn may_wait(&self, delay: u8) -> bool {
        self.items.front().is_none_or(|item| item.1 < delay)
    }

    pub(crate) fn grow_older(&mut self) {
        for item in &mut self.items {
            item.1 += 1;
        }
    }

    pub(crate) fn fingerprint(&self, encode: fn(&M, &mut Vec<u8>), hasher: &mut DefaultHasher) {
        (self.is_dead, self.items.len()).hash(hasher);
        for (item, age) in &self.items {
            let mut bytes = Vec::new();
            if let Some(message) = item {
                encode(message, &mut bytes);
            }
            (bytes, age).hash(hasher);
        }
    }
}
