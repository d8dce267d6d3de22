//! The steps that act on connections, or on the peer.

use std::time::{Duration, Instant};

use netroxy_specification::message::{self, ARS, FieldName, MRS, TRQ};
use netroxy_specification::notation::ast::{Action, Message, Side, Step, Template};
use tokio::time::sleep;

use super::mismatch::Mismatch;
use super::newcomers::Newcomers;
use super::pattern::{encode, fill};
use super::scene::Scene;
use super::secrets;
use super::state::Player;
use crate::note::Note;
use crate::times::BEFORE_RESET;
use crate::transcript;
use crate::wire::WriteError;

impl Player<'_> {
    pub(super) async fn act(&mut self, line: usize, step: &Step) -> Result<(), Mismatch> {
        let name = step.actor.as_str();
        match &step.action {
            Action::Connect(endpoint) => self.connect(name, endpoint).await,
            Action::Refused(port) => self.refused(name, port).await,
            Action::TurnedAway { port, said } => self.turned_away(step, port, said.as_ref()).await,
            Action::Maps(refused) => self.maps(name, refused).await,
            Action::Accept(target) => self.accept(line, step, target.as_ref(), None).await,
            Action::AcceptAs(way) => self.accept(line, step, None, Some(*way)).await,
            Action::Handshake => self.handshake(name).await,
            Action::Certificate(shown) => {
                self.tls = self.tls.showing(*shown);
                self.transcript.add(name, step.action.clone(), None);
                Ok(())
            }
            Action::Distrusts => self.distrusts(line, step).await,
            Action::Down(ms) => self.down(name, *ms).await,
            Action::Late(ms) => self.late_target(name, *ms),
            Action::Keep => self.keep(name),
            Action::Pause => {
                self.connection(name)?.pause();
                self.transcript.add(name, Action::Pause, None);
                Ok(())
            }
            Action::Send(message) => {
                let lines = encode(message, &self.vars)?;
                self.send_message(name, &lines, None).await
            }
            Action::SendRaw(segments) => {
                let segments = segments
                    .iter()
                    .map(|one| fill(one, &self.vars))
                    .collect::<Result<Vec<_>, _>>()?;
                let recorded = segments
                    .iter()
                    .map(|bytes| Template::bytes(bytes.clone()))
                    .collect();
                self.send(name, segments, Action::SendRaw(recorded), None)
                    .await
            }
            Action::SendDrip(bytes) => {
                let bytes = fill(bytes, &self.vars)?;
                let segments = bytes.iter().map(|byte| vec![*byte]).collect();
                self.send(
                    name,
                    segments,
                    Action::SendDrip(Template::bytes(bytes)),
                    None,
                )
                .await
            }
            Action::SendSlow(bytes) => {
                let bytes = fill(bytes, &self.vars)?;
                let pause = self.still / u32::try_from(bytes.len()).unwrap_or(u32::MAX).max(1);
                let segments = bytes.iter().map(|byte| vec![*byte]).collect();
                self.send_apart(name, segments, pause).await
            }
            Action::SendEvery(ms, segments) => {
                let segments = segments
                    .iter()
                    .map(|one| fill(one, &self.vars))
                    .collect::<Result<Vec<_>, _>>()?;
                let pause = Duration::from_millis((*ms).into());
                self.send_apart(name, segments, pause).await
            }
            Action::SendRandom(bulk) => {
                self.connection(name)?
                    .send_in_background(bulk.bytes, bulk.seed);
                self.done(name, step.action.clone(), None);
                Ok(())
            }
            Action::Unguessable(value) => {
                let value = fill(value, &self.vars)?;
                self.secrets.push(value.clone());
                let seen = Action::Unguessable(Template::bytes(value));
                self.transcript.add(name, seen, None);
                self.early = secrets::flaw(&self.secrets);
                Ok(())
            }
            Action::Ignore(word) => {
                self.actor(name)?.ignored.push(word.clone());
                self.transcript.add(name, step.action.clone(), None);
                Ok(())
            }
            Action::Shutdown => {
                let limit = self.limit();
                let outcome = self.connection(name)?.shutdown(limit).await;
                let note = tolerated(outcome)?;
                self.done(name, Action::Shutdown, note);
                Ok(())
            }
            Action::Cut => {
                let limit = self.limit();
                let outcome = self.connection(name)?.cut(limit).await;
                let note = tolerated(outcome)?;
                self.done(name, Action::Cut, note);
                Ok(())
            }
            Action::Close | Action::Reset => self.leave(name, &step.action).await,
            Action::Restart => self.restart(name).await,
            Action::Expect(_) | Action::OneOf(_) => Ok(()),
        }
    }

    async fn restart(&mut self, name: &str) -> Result<(), Mismatch> {
        let Scene::Pair { pair, .. } = &mut self.scene else {
            return Err("only one of a pair can be restarted".into());
        };
        let side = match name {
            "server" => Side::Server,
            _ => Side::Client,
        };
        pair.restart(side).await?;
        self.transcript.add(name, Action::Restart, None);
        Ok(())
    }

    /// Sends one message in one segment.
    pub(super) async fn send_message(
        &mut self,
        name: &str,
        lines: &[Vec<u8>],
        note: Option<Note>,
    ) -> Result<(), Mismatch> {
        let bytes = message::bytes(lines);
        let message: Message = transcript::message(lines);
        let field = |name| message::value(lines, name);
        let port = field(FieldName::Port);
        if let Some(port) = port.filter(|_| TRQ.fits(lines)) {
            self.dial = self.dials(port);
        }
        // In a case for clients the suite is the server, so its ARS decides whether a login succeeds.
        let granted = field(FieldName::IsOk) == Some(b"true");
        if granted && ARS.begins(lines) {
            self.actor(name)?.logged_in = true;
        }
        // A refused mapping need not carry a tunnel, so no fence uses it.
        if let Some(port) = port.filter(|_| MRS.fits(lines))
            && let Some(index) = self.fence_ports.iter().position(|known| known == port)
        {
            let known = self.fence_ports.remove(index);
            if granted {
                self.fence_ports.insert(0, known);
            }
        }
        self.send(name, vec![bytes], Action::Send(message), note)
            .await
    }

    /// Sends segments with a pause after each but the last. Bytes that arrive meanwhile stay in the inbox.
    async fn send_apart(
        &mut self,
        name: &str,
        segments: Vec<Vec<u8>>,
        pause: Duration,
    ) -> Result<(), Mismatch> {
        let mut next = Instant::now();
        for segment in segments {
            // Each time is counted from the first segment, so that delays do not add up.
            sleep(next.saturating_duration_since(Instant::now())).await;
            next += pause;
            let recorded = Action::SendRaw(vec![Template::bytes(segment.clone())]);
            self.send(name, vec![segment], recorded, None).await?;
        }
        Ok(())
    }

    pub(super) async fn send(
        &mut self,
        name: &str,
        bytes: Vec<Vec<u8>>,
        action: Action,
        note: Option<Note>,
    ) -> Result<(), Mismatch> {
        let limit = self.limit();
        let outcome = self.connection(name)?.send(bytes, limit).await;
        self.late_if(matches!(outcome, Err(WriteError::Stuck)));
        let failed = tolerated(outcome)?;
        self.done(name, action, failed.or(note));
        Ok(())
    }

    /// Records an act of ours. Its time is the moment before it, which the connection has noted.
    pub(super) fn done(&mut self, name: &str, action: Action, note: Option<Note>) {
        let sent = self
            .actors
            .get(name)
            .and_then(|actor| actor.connection.as_ref()?.last_sent);
        self.last_sent = sent.unwrap_or_else(Instant::now);
        self.acted = true;
        self.transcript.add(name, action, note);
        self.transcript.came(self.last_sent);
    }

    async fn leave(&mut self, name: &str, action: &Action) -> Result<(), Mismatch> {
        let limit = self.limit();
        let actor = self.actor(name)?;
        actor.kept = None;
        let open = actor.connection.take();
        let connection = open.ok_or_else(|| format!("the case has closed `{name}` already"))?;
        if *action == Action::Reset {
            connection.settled(limit.min(BEFORE_RESET)).await;
        }
        (self.last_sent, self.acted) = (Instant::now(), true);
        match action {
            Action::Reset => connection
                .reset()
                .await
                .map_err(|error| format!("cannot reset: {error}"))?,
            _ => connection.close(limit).await,
        }
        self.transcript.add(name, action.clone(), None);
        self.transcript.came(self.last_sent);
        Ok(())
    }

    /// Makes the client's connections to the server fail for a while.
    async fn down(&mut self, name: &str, ms: u32) -> Result<(), Mismatch> {
        let Scene::Client(scene) = &mut self.scene else {
            return Err("in a case for servers we do not listen".into());
        };
        self.transcript.add(name, Action::Down(ms), None);
        let pause = Duration::from_millis(ms.into());
        let outcome = scene.server.down(pause).await;
        self.newcomers = Newcomers::default();
        outcome.map_err(|error| format!("cannot listen again: {error}").into())
    }

    /// Makes the silent target accept after a while.
    fn late_target(&mut self, name: &str, ms: u32) -> Result<(), Mismatch> {
        let (targets, silent) = match &mut self.scene {
            Scene::Server { .. } => {
                return Err("in a case for servers there are no targets".into());
            }
            Scene::Client(scene) => (&mut scene.targets, scene.silent.take()),
            Scene::Pair {
                targets, silent, ..
            } => (targets, silent.take()),
        };
        let silent =
            silent.ok_or("no mapping leads to the silent target, or it accepts already")?;
        let listener = silent.accept_after(Duration::from_millis(ms.into()));
        targets.insert(listener.address, listener);
        self.transcript.add(name, Action::Late(ms), None);
        Ok(())
    }
}

/// Turns a write to a connection that the peer has closed into a note. It is not a fault: the next expectation decides.
fn tolerated(outcome: Result<(), WriteError>) -> Result<Option<Note>, WriteError> {
    match outcome {
        Ok(()) => Ok(None),
        Err(error @ WriteError::Broken(_)) => Ok(Some(Note::Unwritten(error.to_string()))),
        Err(error @ WriteError::Stuck) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn a_write_to_a_closed_connection_is_noted_and_a_stuck_one_fails() {
        assert_eq!(tolerated(Ok(())).unwrap(), None);
        let broken = io::Error::from(io::ErrorKind::BrokenPipe);
        let note = tolerated(Err(WriteError::Broken(broken))).unwrap();
        let told = "the connection is broken: broken pipe".to_owned();
        assert_eq!(note, Some(Note::Unwritten(told)));
        assert!(tolerated(Err(WriteError::Stuck)).is_err());
    }
}
