//! The steps in which the peer opens a connection.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use netroxy_specification::notation::ast::{Action, Step, Template, Transport, Way};
use tokio::net::TcpStream;
use tokio::time::sleep;

use super::expect::Window;
use super::mismatch::{Mismatch, Seen};
use super::open::timed_out;
use super::pattern::fill;
use super::scene::Scene;
use super::state::Player;
use crate::note::Note;
use crate::wire::Connection;

impl Player<'_> {
    pub(super) async fn accept(
        &mut self,
        line: usize,
        step: &Step,
        target: Option<&Template>,
        way: Option<Way>,
    ) -> Result<(), Mismatch> {
        let begun = Instant::now();
        let control = self.control.contains(&line);
        let (connection, came) = match (target, way) {
            (None, None | Some(Way::Drip | Way::Tls12)) => {
                let (within, until) = self.until_accepted(step, None, control);
                let (connection, came) = self.next_speaker(way, control, until).await?;
                self.late_if(within.missed(came));
                self.early = within.check(came)?.map(|early| early.to_string());
                (connection, came)
            }
            _ => {
                let (stream, came, transport) = self.awaited(line, step, target).await?;
                let transport = match way {
                    Some(_) => Transport::Plain,
                    None => transport,
                };
                let limit = self.limit();
                let accepted = Connection::accept(stream, transport, &self.tls, limit, false).await;
                self.late_if(timed_out(&accepted));
                let connection = accepted.map_err(no_handshake)?;
                (connection, came)
            }
        };
        match way {
            Some(Way::Bare) => connection.inbox.discard_all(),
            Some(Way::Tls12) => {}
            Some(Way::Drip) | None => self.half_close_means_something(&connection)?,
        }
        let is_mute = connection.inbox.look(|state| state.unread().is_empty());
        self.enter(&step.actor, connection, came);
        if target.is_none() {
            let dial = if control { Duration::ZERO } else { self.dial };
            let actor = self.actor(&step.actor)?;
            actor.dial = dial;
            actor.mute_since = (is_mute && way != Some(Way::Bare)).then_some(came);
        }
        self.transcript.add(&step.actor, step.action.clone(), None);
        self.transcript.came(begun.max(came));
        if let Some(target) = target {
            let target = Template::bytes(fill(target, &self.vars)?);
            self.transcript.whole(Action::Accept(Some(target)));
        }
        Ok(())
    }

    /// Checks that a client that does not trust the certificate ends its connection in the handshake, or after it
    /// before it sends a byte.
    pub(super) async fn distrusts(&mut self, line: usize, step: &Step) -> Result<(), Mismatch> {
        let (stream, _, transport) = self.awaited(line, step, None).await?;
        let limit = self.limit();
        let accepted = Connection::accept(stream, transport, &self.tls, limit, false).await;
        let note = match accepted {
            Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                let got = "it neither ends the TLS handshake nor the connection";
                return Err(self.in_vain(got.to_owned()));
            }
            Err(error) => error.to_string().to_ascii_lowercase(),
            Ok(connection) => {
                let ended = connection.inbox.wait(Instant::now() + limit, |state| {
                    (state.end.is_some() || !state.unread().is_empty()).then(|| Seen::of(state))
                });
                match ended.await {
                    Some(seen) if seen.is_close() => seen.to_string(),
                    Some(seen) => return Err(seen.into()),
                    None => return Err(self.in_vain(Seen::nothing())),
                }
            }
        };
        self.transcript
            .add(&step.actor, Action::Distrusts, Some(Note::Distrusted(note)));
        Ok(())
    }

    /// Waits for the next connection, and checks the bounds of the step.
    async fn awaited(
        &mut self,
        line: usize,
        step: &Step,
        target: Option<&Template>,
    ) -> Result<(TcpStream, Instant, Transport), Mismatch> {
        let control = self.control.contains(&line);
        let (within, until) = self.until_accepted(step, target, control);
        let (stream, came, transport) = self.next_connection(target, until).await?;
        self.late_if(within.missed(came));
        self.early = within.check(came)?.map(|early| early.to_string());
        Ok((stream, came, transport))
    }

    /// The bounds of a step that waits for a connection, and the time at which it gives up.
    fn until_accepted(
        &self,
        step: &Step,
        target: Option<&Template>,
        control: bool,
    ) -> (Window, Instant) {
        let within = self.window(step, &[]);
        let limit = self.connection_limit(target, control);
        let until = match step.within {
            Some(bounds) if bounds.high.is_some() => within.until,
            // Without an upper bound, the usual time counts from the lower bound.
            Some(_) => within.begins(Instant::now()) + limit,
            None => Instant::now() + limit,
        };
        (within, until)
    }

    /// The next connection to the suite on which the client sends something, and the time at which it was opened. For
    /// one that was opened ahead, the time at which the client first sent on it. If the client sends nothing in time,
    /// the next connection that it has opened: later steps judge it.
    pub(super) async fn next_speaker(
        &mut self,
        way: Option<Way>,
        control: bool,
        until: Instant,
    ) -> Result<(Connection, Instant), Mismatch> {
        let tls = match way {
            Some(Way::Tls12) => self.tls.only12(),
            _ => self.tls.clone(),
        };
        let (limit, drip) = (self.limit(), way == Some(Way::Drip));
        let (begun, let_in) = (Instant::now(), self.let_in);
        // A client may connect to its target before it sends TRS, and this target does not answer.
        let tries = !control && !self.dial.is_zero();
        let patience = self.quiet();
        let Scene::Client(scene) = &mut self.scene else {
            return Err("only a client in a case of its own connects here".into());
        };
        let mut waits = until;
        let mut ended = None;
        let spoken = loop {
            tokio::select! {
                biased;
                newcomer = self.newcomers.next() => {
                    if newcomer.has_spoken() {
                        break Some(newcomer);
                    }
                    if newcomer.has_come_since(let_in) {
                        ended.get_or_insert(newcomer);
                    }
                }
                next = scene.server.next(until.saturating_duration_since(Instant::now())) => {
                    let Some((stream, came)) = next else { break None };
                    let (transport, tls) = (scene.transport, tls.clone());
                    let accepting = async move {
                        Connection::accept(stream, transport, &tls, limit, drip).await
                    };
                    self.newcomers.take(came, accepting);
                    if tries {
                        waits = waits.min(Instant::now() + patience);
                    }
                }
                () = sleep(waits.saturating_duration_since(Instant::now())) => break None,
            }
        };
        let found = match spoken {
            Some(spoken) => Some(self.newcomers.first(spoken, let_in, patience).await),
            None => self.newcomers.oldest(let_in).await.or(ended),
        };
        let Some(newcomer) = found else {
            let waited = until.saturating_duration_since(begun).as_secs_f64();
            return Err(self.in_vain(format!("no connection in {waited:.1} s")));
        };
        self.late_if(timed_out(&newcomer.connection));
        let came = newcomer.since(let_in);
        let connection = newcomer.connection.map_err(no_handshake)?;
        self.let_in = Some(Instant::now());
        Ok((connection, came))
    }

    /// The next connection that the client has opened, to the suite or to one of its targets.
    pub(super) async fn next_connection(
        &mut self,
        target: Option<&Template>,
        until: Instant,
    ) -> Result<(TcpStream, Instant, Transport), Mismatch> {
        let wanted = target.map(|target| fill(target, &self.vars)).transpose()?;
        let (targets, control) = match &mut self.scene {
            Scene::Server { .. } => {
                return Err("in a case for servers we connect, and do not accept".into());
            }
            Scene::Client(scene) => (
                &mut scene.targets,
                Some((&mut scene.server, scene.transport)),
            ),
            Scene::Pair { targets, .. } => (targets, None),
        };
        let (listener, transport) = match wanted {
            None => control.ok_or("the client connects to its server, not here")?,
            Some(wanted) => {
                let named = String::from_utf8_lossy(&wanted).parse::<SocketAddr>();
                let found = named.ok().and_then(|address| targets.get_mut(&address));
                let listener = found.ok_or("nothing listens at that target")?;
                (listener, Transport::Plain)
            }
        };
        let limit = until.saturating_duration_since(Instant::now());
        let stream = listener.next(limit).await;
        match stream {
            Some((stream, came)) => Ok((stream, came, transport)),
            None => {
                let waited = limit.as_secs_f64();
                Err(self.in_vain(format!("no connection in {waited:.1} s")))
            }
        }
    }
}

fn no_handshake(error: io::Error) -> String {
    format!("the handshake of a connection failed: {error}")
}
