//! The steps that act.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use netroxy_specification::message::{self, ARS, FieldName, MRS, TRQ};
use netroxy_specification::notation::ast::{
    Action, Endpoint, Expectation, Message, Side, Step, Template, Transport, Way,
};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use super::expect::Window;
use super::mismatch::{Mismatch, Seen};
use super::newcomers::Newcomers;
use super::pattern::{encode, fill};
use super::scene::Scene;
use super::secrets;
use super::state::Player;
use crate::descriptors::Noted;
use crate::note::Note;
use crate::skip::Skip;
use crate::times::{BEFORE_RESET, REFUSED_POLL};
use crate::transcript;
use crate::wire::{Connection, WriteError};

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
                self.connection(name)?.send_behind(bulk.bytes, bulk.seed);
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

    async fn send(
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
    fn done(&mut self, name: &str, action: Action, note: Option<Note>) {
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

    async fn connect(&mut self, name: &str, endpoint: &Endpoint) -> Result<(), Mismatch> {
        let (address, transport) = self.address(endpoint)?;
        (self.last_sent, self.acted) = (Instant::now(), true);
        let drip = *endpoint == Endpoint::Drip;
        let only12 = *endpoint == Endpoint::Tls12;
        let tls = match only12 {
            true => self.tls.only12(),
            false => self.tls.clone(),
        };
        let opened = Connection::open(address, transport, &tls, self.limit(), drip).await;
        self.late_if(timed_out(&opened));
        let connection = opened.map_err(|error| format!("cannot connect to {address}: {error}"))?;
        if !only12 {
            self.half_close_means_something(&connection)?;
        }
        self.enter(name, connection, self.last_sent);
        self.actor(name)?.bare = *endpoint == Endpoint::Bare && self.over_tls();
        let port = Template::bytes(address.port().to_string());
        let seen = match endpoint {
            Endpoint::Server(_) | Endpoint::Bare | Endpoint::Drip | Endpoint::Tls12 => {
                endpoint.clone()
            }
            Endpoint::Port(_) => Endpoint::Port(port),
        };
        self.transcript.add(name, Action::Connect(seen), None);
        self.transcript.came(self.last_sent);
        Ok(())
    }

    /// Connects until the port refuses. The peer may close the port in another task, so this can take a moment.
    async fn refused(&mut self, name: &str, port: &Template) -> Result<(), Mismatch> {
        let (address, _) = self.address(&Endpoint::Port(port.clone()))?;
        let until = Instant::now() + self.limit();
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match timeout(left, TcpStream::connect(address))
                .await
                .map(Noted::noted)
            {
                Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => break,
                // A listener that closes resets the connections in its queue.
                Ok(Err(error)) if error.kind() != io::ErrorKind::ConnectionReset => {
                    return Err(format!("cannot tell whether it refuses: {error}").into());
                }
                Ok(_) if Instant::now() < until => sleep(REFUSED_POLL).await,
                Ok(_) | Err(_) => {
                    let waited = self.limit().as_secs_f64();
                    return Err(self.in_vain(format!(
                        "{address} still accepts connections after {waited:.1} s"
                    )));
                }
            }
        }
        self.transcript.add(
            name,
            Action::Refused(Template::bytes(address.port().to_string())),
            None,
        );
        Ok(())
    }

    /// Checks that a user of a port is rejected: the port refuses the connection, or the connection is closed before a
    /// byte comes.
    async fn turned_away(
        &mut self,
        step: &Step,
        port: &Template,
        said: Option<&Template>,
    ) -> Result<(), Mismatch> {
        let name = step.actor.as_str();
        let (address, transport) = self.address(&Endpoint::Port(port.clone()))?;
        let port = Template::bytes(address.port().to_string());
        self.last_sent = Instant::now();
        let opened = Connection::open(address, transport, &self.tls, self.limit(), false).await;
        self.late_if(timed_out(&opened));
        let connection = match opened {
            Ok(connection) => connection,
            Err(error) if is_refusal(&error) => {
                self.transcript.add(name, Action::Refused(port), None);
                return Ok(());
            }
            Err(error) => return Err(format!("cannot tell whether it refuses: {error}").into()),
        };
        self.enter(name, connection, self.last_sent);
        let opened = Action::Connect(Endpoint::Port(port));
        self.transcript.add(name, opened, None);
        self.transcript.came(self.last_sent);
        if let Some(said) = said {
            let said = fill(said, &self.vars)?;
            let recorded = Action::SendRaw(vec![Template::bytes(said.clone())]);
            self.send(name, vec![said], recorded, None).await?;
        }
        self.expect(step, &[Expectation::Closed]).await?;
        self.actors.remove(name);
        Ok(())
    }

    fn over_tls(&self) -> bool {
        matches!(
            self.scene,
            Scene::Server {
                transport: Transport::Tls,
                ..
            }
        )
    }

    fn address(&self, endpoint: &Endpoint) -> Result<(SocketAddr, Transport), Mismatch> {
        let find = |named: Option<Transport>| match &self.scene {
            Scene::Server {
                instance,
                transport,
            } => {
                let wanted = named.unwrap_or(*transport);
                let found = instance.address(wanted).map(|address| (address, wanted));
                found.ok_or_else(|| Mismatch::from(format!("the server has no {wanted} port")))
            }
            Scene::Client(_) | Scene::Pair { .. } => {
                Err("here we do not connect to the server".into())
            }
        };
        match endpoint {
            Endpoint::Server(named) => find(*named),
            Endpoint::Bare => Ok((find(None)?.0, Transport::Plain)),
            Endpoint::Drip | Endpoint::Tls12 => find(None),
            Endpoint::Port(port) => {
                let text = fill(port, &self.vars)?;
                let port = std::str::from_utf8(&text)
                    .ok()
                    .and_then(|text| text.parse().ok());
                let port: u16 =
                    port.ok_or_else(|| "a port is a number from 1 to 65535".to_owned())?;
                let host = match &self.scene {
                    Scene::Pair { .. } => Ipv4Addr::LOCALHOST.into(),
                    Scene::Server { .. } | Scene::Client(_) => find(None)?.0.ip(),
                };
                Ok((SocketAddr::new(host, port), Transport::Plain))
            }
        }
    }

    async fn accept(
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
            Some(Way::Bare) => connection.inbox.deafen(),
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

    /// Makes the TLS handshake on a connection that was opened without TLS.
    async fn handshake(&mut self, name: &str) -> Result<(), Mismatch> {
        let limit = self.limit();
        let actor = self.actor(name)?;
        let (begun, open) = (actor.begun, actor.connection.take());
        let connection = open.ok_or_else(|| format!("the case has closed `{name}` already"))?;
        if let Some(seen) = connection.inbox.look(|state| {
            (state.end.is_some() || !state.unread().is_empty()).then(|| Seen::of(state))
        }) {
            return Err(seen.into());
        }
        self.last_sent = Instant::now();
        let shaken = connection.handshake(&self.tls, limit).await;
        self.late_if(timed_out(&shaken));
        let connection = shaken.map_err(|error| format!("the handshake failed: {error}"))?;
        self.half_close_means_something(&connection)?;
        // It has been open since before the handshake.
        self.enter(name, connection, begun);
        self.done(name, Action::Handshake, None);
        Ok(())
    }

    /// Skips a case about half-closed tunnels if the peer has chosen TLS 1.2, with which it may close both directions
    /// at once. It was offered all versions, so it supports no newer one.
    fn half_close_means_something(&mut self, connection: &Connection) -> Result<(), Mismatch> {
        if !self.half_closes || !connection.is_tls12() {
            return Ok(());
        }
        self.skip = Some(Skip::Tls12);
        Err(Skip::Tls12.to_string().into())
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

    /// Checks that a client that does not trust the certificate ends its connection in the handshake, or after it
    /// before it sends a byte.
    async fn distrusts(&mut self, line: usize, step: &Step) -> Result<(), Mismatch> {
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

/// Whether opening a connection took longer than its limit.
pub(super) fn timed_out<T>(outcome: &io::Result<T>) -> bool {
    matches!(outcome, Err(error) if error.kind() == io::ErrorKind::TimedOut)
}

/// Whether the port has refused a connection. A reset counts: a listener that closes resets the connections in its
/// queue.
fn is_refusal(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionReset
    )
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
    use super::*;
    use crate::wire::Tls;

    #[test]
    fn a_write_to_a_closed_connection_is_noted_and_a_stuck_one_fails() {
        assert_eq!(tolerated(Ok(())).unwrap(), None);
        let broken = io::Error::from(io::ErrorKind::BrokenPipe);
        let note = tolerated(Err(WriteError::Broken(broken))).unwrap();
        let told = "the connection is broken: broken pipe".to_owned();
        assert_eq!(note, Some(Note::Unwritten(told)));
        assert!(tolerated(Err(WriteError::Stuck)).is_err());
    }

    #[tokio::test]
    async fn a_handshake_that_does_not_end_times_out_and_a_refusal_does_not() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (tls, limit) = (Tls::new().unwrap(), Duration::from_millis(50));
        let open = || Connection::open(address, Transport::Tls, &tls, limit, false);
        assert!(timed_out(&open().await));
        drop(listener);
        let refused = open().await;
        assert!(refused.is_err() && !timed_out(&refused));
    }
}
