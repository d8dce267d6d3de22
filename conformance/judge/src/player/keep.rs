//! Control connections that the suite keeps alive, whatever the case waits for.
//!
//! As a client it sends SRQ three times in each timeout, as a server it answers each SRQ by SRS. A task does so, because
//! a step can take longer than the timeout: a server that lingers after its FIN, or `still`.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use netroxy_specification::message::{Decoded, first_message};
use netroxy_specification::notation::ast::{Action, Expectation, Message};
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::expect::{Begun, pass_over};
use super::mismatch::{Mismatch, Seen};
use super::{Player, Scene};
use crate::note::Note;
use crate::times::{SRQ_LONGEST, SRQ_SHORTEST};
use crate::transcript;
use crate::wire::{Aside, Inbox};

/// What keeps a connection alive. Dropping it ends that.
#[derive(Debug)]
pub(super) struct Kept {
    sent: Arc<Sent>,
    task: JoinHandle<()>,
    /// How many of our messages are in the transcript.
    noted: usize,
    /// How many messages of the peer belong to ours, of those that have been read.
    heard: usize,
}

/// What has been sent beside the steps, and when.
#[derive(Debug)]
struct Sent {
    word: &'static str,
    aside: Aside,
    times: Mutex<Vec<Instant>>,
}

impl Sent {
    /// Sends one more; tells how many there have been, and whether the connection is still there.
    fn one_more(&self) -> (usize, bool) {
        // Under the lock, so that the count has the order of the wire.
        let mut times = self.times.lock().unwrap_or_else(PoisonError::into_inner);
        times.push(Instant::now());
        let sent = self.aside.send(format!("{}\n", self.word).into_bytes());
        (times.len(), sent)
    }

    fn time(&self, index: usize) -> Option<Instant> {
        let times = self.times.lock().unwrap_or_else(PoisonError::into_inner);
        times.get(index).copied()
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Player<'_> {
    /// From now on the connection is kept alive.
    pub(super) fn keep(&mut self, name: &str) -> Result<(), Mismatch> {
        let client = matches!(self.scene, Scene::Client(_));
        let actor = self.actor(name)?;
        if !actor.logged_in {
            return Err(format!("`{name}` has not logged in: there is nothing to keep").into());
        }
        let pause = (actor.timeout.unwrap_or(SRQ_LONGEST) / 3).clamp(SRQ_SHORTEST, SRQ_LONGEST);
        let connection = self.connection(name)?;
        let (aside, inbox) = (connection.aside(), Arc::clone(&connection.inbox));
        let sent = Arc::new(Sent {
            word: if client { "SRS" } else { "SRQ" },
            aside,
            times: Mutex::default(),
        });
        let task = match client {
            true => tokio::spawn(answer(inbox, Arc::clone(&sent))),
            false => tokio::spawn(ask(pause, Arc::clone(&sent))),
        };
        self.actor(name)?.kept = Some(Kept {
            sent,
            task,
            noted: 0,
            heard: 0,
        });
        self.transcript.add(name, Action::Keep, None);
        Ok(())
    }

    /// The word of the peer that belongs to keeping this connection; it is passed over.
    pub(super) fn kept_word(&self, name: &str) -> Option<&'static str> {
        let kept = self.actors.get(name)?.kept.as_ref()?;
        Some(match kept.sent.word {
            "SRQ" => "SRS",
            _ => "SRQ",
        })
    }

    /// One of these has been read. Adds the message of ours that belongs to it: the SRQ before it, or the SRS after it.
    pub(super) fn note_kept(&mut self, name: &str, heard: bool) {
        let kept = self.actors.get_mut(name).and_then(|one| one.kept.as_mut());
        let Some(kept) = kept else { return };
        kept.heard += usize::from(heard);
        let mut noted = Vec::new();
        while !heard || kept.noted < kept.heard {
            let Some(time) = kept.sent.time(kept.noted) else {
                break;
            };
            kept.noted += 1;
            noted.push(time);
        }
        let word = kept.sent.word.to_owned();
        for time in noted {
            let fields = Vec::new();
            let message = Message {
                word: word.clone(),
                fields,
            };
            self.transcript
                .add(name, Action::Send(message), Some(Note::Keep));
            self.transcript.came(time);
        }
    }

    /// The fence of a server on a connection that is kept: SRS of one SRQ more, whatever was on its way.
    pub(super) async fn kept_fence(&mut self, name: &str) -> Result<(), Mismatch> {
        let Some(kept) = self.actor(name)?.kept.as_ref() else {
            return Ok(());
        };
        let (wanted, _) = kept.sent.one_more();
        let mut missing = wanted.saturating_sub(kept.heard);
        let inbox = Arc::clone(&self.connection(name)?.inbox);
        let ignored = self.passed_over(name, &[])?;
        let until = Instant::now() + self.limit();
        let mut passed_over = Vec::new();
        let found = inbox.wait(until, |state| {
            let before = passed_over.len();
            let begun = pass_over(state, &ignored, &mut passed_over);
            let more = passed_over[before..].iter();
            let answers = more.filter(|(one, _)| is_word(one, "SRS")).count();
            missing = missing.saturating_sub(answers);
            let quiet = begun == Begun::Yes || state.unread().is_empty() && state.end.is_none();
            match (missing, quiet) {
                (0, _) => Some(Ok(())),
                (_, true) => None,
                (_, false) if matches!(first_message(state.unread()), Decoded::Partial) => {
                    state.end.is_some().then(|| Err(Seen::of(state)))
                }
                (_, false) => Some(Err(Seen::of(state))),
            }
        });
        let found = found.await;
        self.late_if(found.is_none());
        self.record_ignored(name, &passed_over);
        let found = found.unwrap_or_else(|| Err(inbox.look(|state| Seen::of(state))));
        found.map_err(Mismatch::Seen)
    }
}

/// Whether it is a message of this word.
pub(super) fn is_word(seen: &Expectation, wanted: &str) -> bool {
    matches!(seen, Expectation::Message(message) if message.word == wanted)
}

/// As a client: asks at once, then again and again.
async fn ask(pause: Duration, sent: Arc<Sent>) {
    while sent.one_more().1 {
        sleep(pause).await;
    }
}

/// As a server: answers whatever SRQ comes, and takes nothing away from the steps.
async fn answer(inbox: Arc<Inbox>, sent: Arc<Sent>) {
    let mut next = inbox.look(|state| state.position());
    loop {
        let asked = inbox.wait(Instant::now() + SRQ_LONGEST, |state| {
            loop {
                match first_message(state.since(next)) {
                    Decoded::Whole { lines, length } => {
                        next += length;
                        if transcript::message(&lines).word == "SRQ" {
                            return Some(true);
                        }
                    }
                    // Behind nonsense there are no lines.
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
