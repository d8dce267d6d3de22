//! The step `keep`, and how later steps treat the messages that keep a connection alive.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use netroxy_specification::message::{Decoded, SRQ, SRS, first_message};
use netroxy_specification::notation::ast::{Action, Message};

use super::kept::{Kept, Sent, answer, ask};
use super::mismatch::{Mismatch, Seen};
use super::passed::{Begun, is_word, pass_over};
use super::scene::Scene;
use super::state::Player;
use crate::note::Note;
use crate::times::{SRQ_LONGEST, SRQ_SHORTEST};

impl Player<'_> {
    /// Starts the task that keeps the connection alive.
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
            word: if client { SRS.word } else { SRQ.word },
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

    /// The word of the peer's messages that keep this connection alive; steps pass them over.
    pub(super) fn kept_word(&self, name: &str) -> Option<&'static str> {
        let kept = self.actors.get(name)?.kept.as_ref()?;
        Some(match SRQ.is(kept.sent.word) {
            true => SRS.word,
            false => SRQ.word,
        })
    }

    /// Adds our messages that keep the connection alive to the transcript. If `heard`, one of the peer's was read, and
    /// ours that belongs to it is added: the SRQ before it, or the SRS after it. Otherwise all that are missing are
    /// added.
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

    /// The fence of a server on a connection that is kept alive: sends one more SRQ, and waits until each SRQ has its
    /// SRS.
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
            let answers = more.filter(|(one, _)| is_word(one, SRS.word)).count();
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
