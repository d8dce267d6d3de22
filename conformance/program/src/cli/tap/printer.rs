//! Prints the text of a tap in its own thread, so that a reader that does not read holds up no connection.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use crate::cli::complaint::Complaint;
use crate::cli::exit::EXIT_HARNESS;
use crate::output::out;

/// Prints texts in their order.
pub(super) struct Printer {
    texts: mpsc::Sender<String>,
    /// Ready when all texts were printed.
    done: oneshot::Receiver<()>,
    /// The reader does not read at the moment.
    blocked: bool,
    /// How many lines were left out.
    missing: usize,
    /// Nothing more is printed.
    given_up: Arc<AtomicBool>,
}

/// How many texts may wait.
const QUEUED: usize = 64;

/// How long a text may wait for a place in the queue.
const PATIENCE: Duration = Duration::from_millis(100);

/// How long the last texts may take.
const LAST: Duration = Duration::from_secs(2);

impl Printer {
    /// Starts the thread.
    pub(super) fn new() -> Self {
        let (texts, mut queue) = mpsc::channel::<String>(QUEUED);
        let (all_printed, done) = oneshot::channel();
        let given_up = Arc::new(AtomicBool::new(false));
        let silent = Arc::clone(&given_up);
        std::thread::spawn(move || {
            while let Some(text) = queue.blocking_recv() {
                if !silent.load(Ordering::Relaxed) {
                    out(&text);
                }
            }
            // It fails only if the program ends.
            let _ = all_printed.send(());
        });
        Self {
            texts,
            done,
            blocked: false,
            missing: 0,
            given_up,
        }
    }

    /// Prints a text. A text that does not get a place in the queue in time is left out, and its lines are counted.
    pub(super) async fn print(&mut self, mut text: String) {
        if text.is_empty() {
            return;
        }
        let lines = text.lines().count();
        if self.missing > 0 && self.texts.capacity() > 0 {
            let note = format!(
                "tap: {} lines are missing here, because the output was not read\n",
                self.missing
            );
            text.insert_str(0, &note);
        }
        self.blocked = match self.blocked {
            // A reader that does not read is waited for only once.
            true => self.texts.try_send(text).is_err(),
            false => !matches!(timeout(PATIENCE, self.texts.send(text)).await, Ok(Ok(()))),
        };
        match self.blocked {
            true => self.missing += lines,
            false => self.missing = 0,
        }
    }

    /// Waits until all texts were printed, for at most [`LAST`].
    ///
    /// # Errors
    /// When standard output is not read.
    pub(super) async fn end(self) -> Result<(), Complaint> {
        drop(self.texts);
        let said = timeout(LAST, self.done).await.is_ok();
        if said && self.missing == 0 {
            return Ok(());
        }
        self.given_up.store(true, Ordering::Relaxed);
        let message = "standard output is not read, so the last lines of the tap are missing";
        Err(Complaint::new(EXIT_HARNESS, message))
    }
}
