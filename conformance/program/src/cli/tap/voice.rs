//! What a tap says, said by a thread of its own: a reader that does not read must not hold up connections.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use crate::cli::{Complaint, EXIT_HARNESS};
use crate::output::out;

/// Says texts in their order.
pub(super) struct Voice {
    texts: mpsc::Sender<String>,
    /// Told when all has been said.
    done: oneshot::Receiver<()>,
    /// Nobody reads at the moment.
    unheard: bool,
    /// Lines that were not said.
    missing: usize,
    given_up: Arc<AtomicBool>,
}

/// Texts that wait to be said.
const QUEUED: usize = 64;

/// How long a text may wait for the ones before it.
const PATIENCE: Duration = Duration::from_millis(100);

/// How long the last texts may take.
const LAST: Duration = Duration::from_secs(2);

impl Voice {
    /// Begins to say things.
    pub(super) fn new() -> Self {
        let (texts, mut queue) = mpsc::channel::<String>(QUEUED);
        let (all_said, done) = oneshot::channel();
        let given_up = Arc::new(AtomicBool::new(false));
        let silent = Arc::clone(&given_up);
        std::thread::spawn(move || {
            while let Some(text) = queue.blocking_recv() {
                if !silent.load(Ordering::Relaxed) {
                    out(&text);
                }
            }
            // Nobody waits for it when the program has ended.
            let _ = all_said.send(());
        });
        Self {
            texts,
            done,
            unheard: false,
            missing: 0,
            given_up,
        }
    }

    /// Says a text. What is not taken in time is left out, and counted.
    pub(super) async fn say(&mut self, mut text: String) {
        if text.is_empty() {
            return;
        }
        let lines = text.lines().count();
        if self.missing > 0 && self.texts.capacity() > 0 {
            let note = format!(
                "tap: {} lines are missing here, because nobody read them\n",
                self.missing
            );
            text.insert_str(0, &note);
        }
        self.unheard = match self.unheard {
            // It is not waited for again and again.
            true => self.texts.try_send(text).is_err(),
            false => !matches!(timeout(PATIENCE, self.texts.send(text)).await, Ok(Ok(()))),
        };
        match self.unheard {
            true => self.missing += lines,
            false => self.missing = 0,
        }
    }

    /// Waits until all has been said, but not for ever.
    ///
    /// # Errors
    /// When nobody reads it.
    pub(super) async fn end(self) -> Result<(), Complaint> {
        drop(self.texts);
        let said = timeout(LAST, self.done).await.is_ok();
        if said && self.missing == 0 {
            return Ok(());
        }
        self.given_up.store(true, Ordering::Relaxed);
        let message = "nobody reads standard output, so the last lines of the tap are missing";
        Err(Complaint::new(EXIT_HARNESS, message))
    }
}
