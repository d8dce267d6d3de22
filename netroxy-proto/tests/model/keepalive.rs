//! The keepalive of the original programs, of ours, and of pairs of both, on a network that carries each
//! message within one tick.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use netroxy_proto::client::{self, Client};
use netroxy_proto::server::{self, CloseReason, ConnId, Listener, Server};
use netroxy_proto::{Ars, Ath, ClientMessage, ServerMessage};

use crate::drivers::{token_of, words};
use crate::plan::Plan;
use crate::search::{Broken, Log, Model};

const CONN: ConnId = ConnId(1);
/// The most ticks that a message is under way.
const DELAY: u8 = 1;

/// A client and a server that exchange nothing but login and keepalive.
#[derive(Clone)]
pub(crate) struct Pair {
    tick: Duration,
    /// If both timers are due, the client's comes first, so that the result does not depend on a tie.
    is_prompt: bool,
    now: Duration,
    client: ClientSide,
    server: ServerSide,
    up: VecDeque<(ClientMessage, u8)>,
    down: VecDeque<(ServerMessage, u8)>,
}

#[derive(Clone)]
enum ClientSide {
    Ours(Box<Client>),
    Original(OriginalClient),
}

#[derive(Clone)]
enum ServerSide {
    Ours(Box<Server>),
    Original(OriginalServer),
}

/// Sends SRQ one timeout after ARS, and again after each timeout. At the third one without an SRS it gives
/// up.
#[derive(Clone, Default)]
struct OriginalClient {
    timeout: Duration,
    next: Option<Duration>,
    unanswered: u32,
}

/// Checks every third of the timeout whether more than one timeout has passed since the last SRQ.
#[derive(Clone)]
struct OriginalServer {
    timeout: Duration,
    last: Option<Duration>,
    next: Duration,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Action {
    Pass,
    ServerTick,
    ClientTick,
    Up,
    Down,
}

impl Pair {
    /// The client has just connected. `phase` is the number of ticks until the server's timer.
    pub(crate) fn new(plan: &Plan, ours: (bool, bool), phase: u32) -> Self {
        let timeout = plan.terms().timeout;
        let client = if ours.0 {
            let mut client = plan.client(&plan.peers[0]);
            client.handle(Duration::ZERO, client::Input::Tick).unwrap();
            ClientSide::Ours(Box::new(client))
        } else {
            ClientSide::Original(OriginalClient::default())
        };
        let server = if ours.1 {
            let mut server = plan.server();
            let accepted = server::Input::Accepted {
                conn: CONN,
                listener: Listener::Plain,
                token: token_of(1),
            };
            server.handle(Duration::ZERO, accepted).unwrap();
            ServerSide::Ours(Box::new(server))
        } else {
            ServerSide::Original(OriginalServer {
                timeout,
                last: None,
                next: plan.ticks(phase),
            })
        };
        let mut pair = Self {
            tick: plan.ticks(1),
            is_prompt: ours == (false, false),
            now: Duration::ZERO,
            client,
            server,
            up: VecDeque::new(),
            down: VecDeque::new(),
        };
        pair.client_does(None, &mut Log::default()).unwrap();
        pair
    }

    fn client_does(&mut self, message: Option<ServerMessage>, log: &mut Log) -> Result<(), Broken> {
        let (said, leaves) = self.client.take(self.now, message);
        for message in said {
            log.note(|| format!("  client sends {}", words(&message)));
            self.up.push_back((message, 0));
        }
        if leaves {
            return Err(Broken::new(
                "keep.client-patience",
                "the client gives a healthy server up",
            ));
        }
        Ok(())
    }

    fn server_does(&mut self, message: Option<ClientMessage>, log: &mut Log) -> Result<(), Broken> {
        let (said, closes) = self.server.take(self.now, message);
        for message in said {
            log.note(|| format!("  server sends {}", words(&message)));
            self.down.push_back((message, 0));
        }
        if closes {
            return Err(Broken::new(EXPIRED, "the server closes because of silence"));
        }
        Ok(())
    }
}

/// This breaks no rule: each peer alone does what it is allowed to do.
pub(crate) const EXPIRED: &str = "a healthy client is expired";

impl ClientSide {
    /// The messages that it sends, and whether it gives up.
    fn take(
        &mut self,
        now: Duration,
        message: Option<ServerMessage>,
    ) -> (Vec<ClientMessage>, bool) {
        match self {
            Self::Original(client) => client.take(now, message),
            Self::Ours(client) => {
                let mut said = Vec::new();
                let mut leaves = false;
                let first = matches!(client.poll_output(), Some(client::Output::Connect));
                let input = match message {
                    _ if first => client::Input::Connected,
                    Some(message) => client::Input::Message(message),
                    None => client::Input::Tick,
                };
                client.handle(now, input).unwrap();
                while let Some(output) = client.poll_output() {
                    match output {
                        client::Output::Send(message) => said.push(message),
                        client::Output::Disconnect(_) => leaves = true,
                        _ => {}
                    }
                }
                (said, leaves)
            }
        }
    }

    fn next(&self) -> Option<Duration> {
        match self {
            Self::Ours(client) => client.poll_timeout(),
            Self::Original(client) => client.next,
        }
    }
}

impl ServerSide {
    /// The messages that it sends, and whether it closes because of silence.
    fn take(
        &mut self,
        now: Duration,
        message: Option<ClientMessage>,
    ) -> (Vec<ServerMessage>, bool) {
        match self {
            Self::Original(server) => server.take(now, message),
            Self::Ours(server) => {
                let input = match message {
                    Some(message) => server::Input::Message {
                        conn: CONN,
                        message,
                    },
                    None => server::Input::Tick,
                };
                server.handle(now, input).unwrap();
                let mut said = Vec::new();
                let mut closes = false;
                while let Some(output) = server.poll_output() {
                    match output {
                        server::Output::Send { message, .. } => said.push(message),
                        server::Output::Close {
                            reason: CloseReason::Misbehaved(_),
                            ..
                        } => closes = true,
                        _ => {}
                    }
                }
                (said, closes)
            }
        }
    }

    fn next(&self) -> Option<Duration> {
        match self {
            Self::Ours(server) => server.poll_timeout(),
            Self::Original(server) => Some(server.next),
        }
    }
}

impl OriginalClient {
    fn take(
        &mut self,
        now: Duration,
        message: Option<ServerMessage>,
    ) -> (Vec<ClientMessage>, bool) {
        match message {
            Some(ServerMessage::Ars(Ars::Accepted { timeout, .. })) => {
                self.timeout = timeout.duration();
                self.next = Some(now + self.timeout);
                (Vec::new(), false)
            }
            Some(ServerMessage::Srs) => {
                self.unanswered = 0;
                (Vec::new(), false)
            }
            Some(_) => (Vec::new(), false),
            None if self.timeout.is_zero() => {
                let [client_name, username, password] =
                    [&b"a"[..], b"alice", b"secret"].map(<[u8]>::to_vec);
                let ath = Ath {
                    client_name: client_name.as_slice().try_into().unwrap(),
                    username: username.as_slice().try_into().unwrap(),
                    password: password.as_slice().try_into().unwrap(),
                };
                (vec![ClientMessage::Ath(ath)], false)
            }
            None if self.unanswered == 2 => (Vec::new(), true),
            None => {
                self.unanswered += 1;
                self.next = self.next.map(|at| at + self.timeout);
                (vec![ClientMessage::Srq], false)
            }
        }
    }
}

impl OriginalServer {
    fn take(
        &mut self,
        now: Duration,
        message: Option<ClientMessage>,
    ) -> (Vec<ServerMessage>, bool) {
        match message {
            Some(ClientMessage::Ath(_)) => {
                self.last = Some(now);
                let timeout = i64::try_from(self.timeout.as_secs()).unwrap();
                let ars = Ars::Accepted {
                    timeout: timeout.try_into().unwrap(),
                    token: token_of(1),
                };
                (vec![ServerMessage::Ars(ars)], false)
            }
            Some(ClientMessage::Srq) => {
                self.last = Some(now);
                (vec![ServerMessage::Srs], false)
            }
            Some(_) => (Vec::new(), false),
            None => {
                self.next += self.timeout / 3;
                let silent = self.last.map(|last| now - last);
                (
                    Vec::new(),
                    silent.is_some_and(|silent| silent > self.timeout),
                )
            }
        }
    }
}

impl Model for Pair {
    type Action = Action;

    fn actions(&self) -> Vec<Action> {
        let mut all = Vec::new();
        let due = |at: Option<Duration>| at.is_some_and(|at| at <= self.now);
        let (client, server) = (due(self.client.next()), due(self.server.next()));
        if server && !(client && self.is_prompt) {
            all.push(Action::ServerTick);
        }
        if client {
            all.push(Action::ClientTick);
        }
        if !self.up.is_empty() {
            all.push(Action::Up);
        }
        if !self.down.is_empty() {
            all.push(Action::Down);
        }
        let ages = self
            .up
            .iter()
            .map(|m| m.1)
            .chain(self.down.iter().map(|m| m.1));
        if !client && !server && ages.max().is_none_or(|age| age < DELAY) {
            all.push(Action::Pass);
        }
        all
    }

    fn step(&mut self, action: Action, log: &mut Log) -> Result<(), Broken> {
        match action {
            Action::Pass => {
                self.now += self.tick;
                self.up.iter_mut().for_each(|m| m.1 += 1);
                self.down.iter_mut().for_each(|m| m.1 += 1);
                log.note(|| format!("at {:?}", self.now));
                Ok(())
            }
            Action::ServerTick => {
                log.note(|| "server checks for silence".to_owned());
                self.server_does(None, log)
            }
            Action::ClientTick => {
                log.note(|| "client's timer".to_owned());
                self.client_does(None, log)
            }
            Action::Up => {
                let message = self.up.pop_front().map(|m| m.0);
                log.note(|| {
                    format!(
                        "server gets {}",
                        message.as_ref().map(words).unwrap_or_default()
                    )
                });
                self.server_does(message, log)
            }
            Action::Down => {
                let message = self.down.pop_front().map(|m| m.0);
                log.note(|| {
                    format!(
                        "client gets {}",
                        message.as_ref().map(words).unwrap_or_default()
                    )
                });
                self.client_does(message, log)
            }
        }
    }

    fn fingerprint(&self, hasher: &mut DefaultHasher) {
        let left = |at: Option<Duration>| at.map(|at| at.saturating_sub(self.now));
        match &self.client {
            ClientSide::Ours(client) => client.fingerprint(self.now, hasher),
            ClientSide::Original(client) => {
                (client.timeout, left(client.next), client.unanswered).hash(hasher);
            }
        }
        match &self.server {
            ServerSide::Ours(server) => server.fingerprint(self.now, hasher),
            ServerSide::Original(server) => {
                let silent = server.last.map(|last| self.now - last);
                (silent, left(Some(server.next))).hash(hasher);
            }
        }
        for (message, age) in &self.up {
            (words(message), age).hash(hasher);
        }
        hasher.write_u8(0);
        for (message, age) in &self.down {
            (words(message), age).hash(hasher);
        }
    }

    fn is_calm(_: Action) -> bool {
        true
    }

    fn goals(&self) -> Vec<(&'static str, bool)> {
        Vec::new()
    }
}
