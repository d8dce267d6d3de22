//! The register of the cases that are being played.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::mpsc::UnboundedSender;

use crate::transcript::Line;

/// The cases that are being played now.
#[derive(Debug, Clone, Default)]
pub struct InPlay {
    cases: Arc<Mutex<BTreeMap<String, Instant>>>,
    lines: Option<UnboundedSender<Line>>,
}

/// A case that is being played, until this is dropped.
#[derive(Debug)]
pub struct Played {
    in_play: InPlay,
    name: String,
}

impl InPlay {
    /// A register that also sends each line of each transcript to `lines` as it happens.
    pub fn told_to(lines: UnboundedSender<Line>) -> Self {
        Self {
            lines: Some(lines),
            ..Self::default()
        }
    }

    /// The receiver of the lines of transcripts, if there is one.
    pub(crate) fn lines(&self) -> Option<UnboundedSender<Line>> {
        self.lines.clone()
    }

    /// Registers a case until the result is dropped.
    pub fn begin(&self, name: String) -> Played {
        self.lock().insert(name.clone(), Instant::now());
        let in_play = self.clone();
        Played { in_play, name }
    }

    /// The case that has been played for longest, and for how long.
    pub fn longest(&self) -> Option<(String, Duration)> {
        let in_play = self.lock();
        let (name, begun) = in_play.iter().min_by_key(|(_, begun)| **begun)?;
        Some((name.clone(), begun.elapsed()))
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Instant>> {
        self.cases.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Played {
    fn drop(&mut self) {
        self.in_play.lock().remove(&self.name);
    }
}
