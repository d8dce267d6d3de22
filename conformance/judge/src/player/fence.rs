//! Proves that nothing comes on a connection.
//!
//! Waiting alone proves little: a busy peer may send later. So the suite asks the peer for something else, a fence, and
//! waits until the peer has done it. A server answers SRQ by SRS, or accepts a fresh login. A client opens a tunnel for
//! a TRQ. A pair carries a tunnel for a new user. A peer that wanted to send something would have sent it before,
//! except from another task: so the suite waits for a short time more. The peer must not have sent anything by then.

use std::time::{Duration, Instant};

use netroxy_specification::message::{
    self, ARS, Decoded, FieldName, SRQ, SRS, TRQ, TRS, first_message,
};
use netroxy_specification::notation::ast::{Action, Expectation, Template};

use super::mismatch::{Mismatch, Seen};
use super::passed::{Begun, Passed, pass_over};
use super::pattern::Pattern;
use super::scene::Scene;
use super::state::{Actor, Player, Waited};
use crate::note::Note;
use crate::times::AFTER_FENCE;
use crate::wire::Connection;
use crate::{sut, transcript};

impl Player<'_> {
    /// Checks that nothing comes on `name` until the peer has passed a fence, and that it stays open.
    ///
    /// `until` is how long the silence has to last at least, for cases about time. It does not replace the fence.
    pub(super) async fn silence(
        &mut self,
        name: &str,
        until: Option<Instant>,
    ) -> Result<(), Mismatch> {
        let inbox = self.connection(name)?.inbox.clone();
        let ignored = self.passed_over(name, &[Pattern::Silence])?;
        let disturbed = |state: &mut crate::wire::State, passed_over: &mut Vec<Passed>| {
            let begun = pass_over(state, &ignored, passed_over) == Begun::Yes;
            let quiet = state.unread().is_empty() && state.end.is_none();
            (!begun && !quiet).then(|| Seen::of(state))
        };
        let mut passed_over = Vec::new();
        if let Some(until) = until {
            let look = |state: &mut _| disturbed(state, &mut passed_over);
            let seen = inbox.wait(until, look).await;
            self.record_ignored(name, &passed_over);
            passed_over.clear();
            seen.map_or(Ok(()), |seen| Err(Mismatch::Seen(seen)))?;
        }
        let lasted = until;
        // No fence works on a client that is not logged in: then the time alone decides.
        if lasted.is_none() || self.can_fence() {
            let passed = self.fence(name).await;
            passed.inspect_err(|_| self.overran(lasted))?;
        }
        let until = Instant::now() + self.quiet();
        let look = |state: &mut _| disturbed(state, &mut passed_over);
        if let Some(seen) = inbox.wait(until, look).await {
            self.overran(lasted);
            return Err(seen.into());
        }
        // An ignored message may have come in part. It counts as ignored only if the rest comes.
        let until = Instant::now() + self.limit();
        let complete = inbox.wait(until, |state| match disturbed(state, &mut passed_over) {
            Some(seen) => Some(Err(seen)),
            None => state.unread().is_empty().then_some(Ok(())),
        });
        let complete = complete.await;
        self.late_if(complete.is_none());
        complete.unwrap_or_else(|| Err(inbox.look(|state| Seen::of(state))))?;
        self.record_ignored(name, &passed_over);
        self.transcript
            .add(name, Action::Expect(Expectation::Silence), None);
        Ok(())
    }

    /// Notes that a silence has ended after the time that it had to last: then the peer may act again. The fence comes
    /// shortly after that time, so the suite was late if the machine stood still meanwhile.
    fn overran(&mut self, lasted: Option<Instant>) {
        if let Some(from) = lasted {
            self.in_vain = Some(Waited {
                from,
                until: Instant::now(),
                bounded: true,
            });
        }
    }

    /// Until when a silence has to last. On a connection on which we have sent nothing, it lasts at least `low` after
    /// the last event there: what we did on other connections before does not count.
    pub(super) fn lasts(
        &self,
        name: &str,
        not_before: Option<(Instant, Duration)>,
    ) -> Option<Instant> {
        let (until, low) = not_before?;
        let actor = self.actors.get(name);
        let mute = actor.filter(|actor| {
            let open = actor.connection.as_ref();
            open.is_some_and(|connection| connection.last_sent.is_none())
        });
        Some(mute.map_or(until, |actor| until.max(actor.last_event + low)))
    }

    /// Asks the peer for something else, if possible on `name`, and waits until it has done it.
    pub(super) async fn fence(&mut self, name: &str) -> Result<(), Mismatch> {
        match self.scene {
            Scene::Server { .. } => self.server_fence(name).await,
            Scene::Client(_) => self.client_fence(name).await,
            Scene::Pair { .. } => self.pair_fence().await,
        }
    }

    /// Whether the peer can pass a fence: always, except for a client that is not logged in.
    pub(super) fn can_fence(&self) -> bool {
        let open = |actor: &Actor| actor.logged_in && actor.connection.is_some();
        !matches!(self.scene, Scene::Client(_)) || self.actors.values().any(open)
    }

    /// How long to wait after a fence for what another task of the peer may still write.
    pub(super) fn quiet(&self) -> Duration {
        // A run with a small time scale does not shorten it.
        AFTER_FENCE.mul_f64(self.scale.max(1.0))
    }

    /// Sends SRQ and waits for SRS: on the connection itself if it is logged in, else on another that is, else a fresh
    /// login has to succeed.
    async fn server_fence(&mut self, name: &str) -> Result<(), Mismatch> {
        let read = |connection: &Connection| !connection.is_paused();
        let open = |actor: &Actor| actor.logged_in && actor.connection.as_ref().is_some_and(read);
        let keeper = match self.actors.get(name).is_some_and(open) {
            true => Some(name.to_owned()),
            false => self
                .actors
                .iter()
                .find(|(_, actor)| open(actor))
                .map(|(name, _)| name.clone()),
        };
        let Some(keeper) = keeper else {
            return self.fresh_login().await;
        };
        if self.kept_word(&keeper).is_some() {
            return self
                .kept_fence(&keeper)
                .await
                .map_err(|got| match keeper == name {
                    true => got,
                    false => on(keeper, got),
                });
        }
        self.send_message(&keeper, &SRQ.lines(&[]), Some(Note::Fence))
            .await?;
        let lines = self.next_message(&keeper).await?;
        if lines != SRS.lines(&[]) {
            let got = Mismatch::from(Seen::message(&lines));
            return Err(if keeper == name { got } else { on(keeper, got) });
        }
        Ok(())
    }

    /// Logs in on a fresh connection, for a fence without a connection that is logged in.
    async fn fresh_login(&mut self) -> Result<(), Mismatch> {
        let Scene::Server {
            instance,
            transport,
        } = &self.scene
        else {
            return Ok(());
        };
        let address = instance
            .address(*transport)
            .ok_or("the server has no such port")?;
        let credentials = (instance.username.as_str(), instance.password.as_str());
        let until = Instant::now() + self.tempo.reply();
        let login = sut::login(address, *transport, &self.tls, credentials, until).await;
        self.late_if(login.as_ref().is_err_and(|error| error.silent));
        let connection = login.map_err(|why| format!("no login on a fresh connection: {why}"))?;
        let ars = Template::bytes(format!("{}\ntrue\n...", ARS.word));
        self.transcript.add(
            "fence",
            Action::Expect(Expectation::Raw(ars)),
            Some(Note::FenceLogin),
        );
        connection.close(self.limit()).await;
        Ok(())
    }

    /// Sends TRQ after everything else, and waits until the client has opened the data connection and reached the
    /// target.
    async fn client_fence(&mut self, name: &str) -> Result<(), Mismatch> {
        let open = |actor: &Actor| actor.logged_in && actor.connection.is_some();
        let on_itself = self.actors.get(name).is_some_and(open);
        let other = self
            .actors
            .iter()
            .find(|(_, actor)| open(actor))
            .map(|(name, _)| name.clone());
        let keeper = if on_itself {
            Some(name.to_owned())
        } else {
            other
        };
        let keeper = keeper.ok_or("the fence needs a client that is logged in")?;
        let port = self
            .fence_ports
            .first()
            .cloned()
            .ok_or("the fence needs a client that has asked for an open mapping")?;
        self.send_message(
            &keeper,
            &TRQ.lines(&[(FieldName::Port, &port)]),
            Some(Note::Fence),
        )
        .await?;
        let until = Instant::now() + self.tempo.trs();
        let opened = self.next_speaker(None, false, until).await;
        let (connection, came) = opened.map_err(|got| fence(got, None))?;
        self.enter("fence", connection, came);
        self.transcript.add_unshown("fence", Action::Accept(None));
        let lines = self
            .next_message("fence")
            .await
            .map_err(|got| fence(got, Some(TRS.word)))?;
        if !TRS.begins(&lines) || message::value(&lines, FieldName::Port) != Some(&port) {
            return Err(
                "fence: the tunnel began with another message than TRS for its port".into(),
            );
        }
        // The connection to the target is taken from the queue, so that no later step accepts it as a tunnel of the
        // case.
        let Scene::Client(scene) = &mut self.scene else {
            return Ok(());
        };
        let listener = scene
            .target_of(&port)
            .and_then(|target| scene.targets.get_mut(&target));
        let listener = listener.ok_or("fence: its target does not listen")?;
        let left = self.tempo.trs();
        let (reached, address) = (listener.next(left).await, listener.address);
        self.late_if(reached.is_none());
        reached.ok_or("fence: the client did not connect to its target")?;
        let target = Template::bytes(address.to_string());
        let reached = Action::Accept(Some(target));
        self.transcript.add_unshown("fenced", reached);
        self.actors.remove("fence");
        Ok(())
    }

    /// Connects a new user after everything else, and waits until a tunnel of the pair's own mapping works.
    async fn pair_fence(&mut self) -> Result<(), Mismatch> {
        let limit = self.tempo.tunnel();
        let Scene::Pair { pair, .. } = &mut self.scene else {
            return Ok(());
        };
        let works = pair.works(limit).await;
        self.late_if(works.is_err());
        works.map_err(|why| fence(why.into(), None))
    }

    async fn next_message(&mut self, name: &str) -> Result<Vec<Vec<u8>>, Mismatch> {
        let inbox = self.connection(name)?.inbox.clone();
        let limit = match name {
            "fence" => self.tempo.trs(),
            _ => self.limit(),
        };
        let until = Instant::now() + limit;
        let ignored = self.passed_over(name, &[])?;
        let mut passed_over = Vec::new();
        let found = inbox.wait(until, |state| {
            pass_over(state, &ignored, &mut passed_over);
            match first_message(state.unread()) {
                Decoded::Whole { lines, length } => {
                    state.take(length);
                    Some(Ok(lines))
                }
                Decoded::Unknown => Some(Err(Seen::of(state))),
                Decoded::Partial => state.end.is_some().then(|| Err(Seen::of(state))),
            }
        });
        let found = found.await;
        self.late_if(found.is_none());
        let lines = found.unwrap_or_else(|| Err(inbox.look(|state| Seen::of(state))))?;
        self.record_ignored(name, &passed_over);
        let action = Action::Expect(Expectation::Message(transcript::message(&lines)));
        self.transcript.add(name, action, Some(Note::Fence));
        Ok(lines)
    }
}

/// Something else than SRS came on the connection of the fence, which is another than that of the step.
fn on(connection: String, got: Mismatch) -> Mismatch {
    Mismatch::On {
        connection,
        got: Box::new(got),
    }
}

fn fence(got: Mismatch, instead_of: Option<&'static str>) -> Mismatch {
    Mismatch::Fence {
        got: Box::new(got),
        instead_of,
    }
}
