//! The tasks that keep control connections alive.
//!
//! As a client the suite sends SRQ three times in each timeout, as a server it answers each SRQ by SRS. A task does so,
//! because a step can take longer than the timeout: for example `still`, or the wait for a server that reads on after
//! its FIN.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use netroxy_specification::message::{Decoded, SRQ, first_message};
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::times::SRQ_LONGEST;
use crate::wire::{Aside, Inbox};

/// The task that keeps a connection alive. Dropping this value ends it.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) sent: Arc<Sent>,
    pub(super) task: JoinHandle<()>,
    /// How many of our messages are in the transcript.
    pub(super) noted: usize,
    /// How many of the peer's messages that belong to ours have been read.
    pub(super) heard: usize,
}

/// What the task has sent, and when.
#[derive(Debug)]
pub(super) struct Sent {
    pub(super) word: &'static str,
    pub(super) aside: Aside,
    pub(super) times: Mutex<Vec<Instant>>,
}

impl Sent {
    /// Sends one more message. Returns how many there were in all, and whether the connection was still open.
    pub(super) fn one_more(&self) -> (usize, bool) {
        // The lock is held while sending, so that the times are in the order of the wire.
        let mut times = self.times.lock().unwrap_or_else(PoisonError::into_inner);
        times.push(Instant::now());
        let sent = self.aside.send(format!("{}\n", self.word).into_bytes());
        (times.len(), sent)
    }

    pub(super) fn time(&self, index: usize) -> Option<Instant> {
        let times = self.times.lock().unwrap_or_else(PoisonError::into_inner);
        times.get(index).copied()
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// As a client: sends SRQ at once, then again after each `pause`, until the connection ends.
pub(super) async fn ask(pause: Duration, sent: Arc<Sent>) {
    while sent.one_more().1 {
        sleep(pause).await;
    }
}

/// As a server: answers each SRQ by SRS. It leaves the bytes in the inbox for the steps.
pub(super) async fn answer(inbox: Arc<Inbox>, sent: Arc<Sent>) {
    let mut next = inbox.look(|state| state.position());
    loop {
        let asked = inbox.wait(Instant::now() + SRQ_LONGEST, |state| {
            loop {
                match first_message(state.since(next)) {
                    Decoded::Whole { lines, length } => {
                        next += length;
                        if SRQ.begins(&lines) {
                            return Some(true);
                        }
                    }
                    // After bytes that are no message, the next message cannot be found.
                    Decoded::Unknown => return Some(false),
                    Decoded::Partial => return state.end.as_ref().map(|_| false),
                }
            }
        });
        match asked.await {
            Some(true) if sent.one_more().1 => {}
            Some(_) => return,
            None => {}
        }
    }
}
