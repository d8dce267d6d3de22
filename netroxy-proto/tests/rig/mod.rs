//! A server machine and any number of client machines, joined by queues with latency, in virtual
//! time that jumps to the next event or timer.
//!
//! Every message is encoded, and decoded by a decoder. The transcript shows what happens at the server: `>`
//! is what it received, `<` what it sent. The other lines are outputs of the machines.

mod transcript;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use netroxy_proto::client::{self, Client};
use netroxy_proto::server::{self, ConnId, Listener, MappingId, Server, UserId};
use netroxy_proto::{ClientMessage, Decoder, Limits, RemotePort, ServerMessage, Token, Trs};
use transcript::{Transcript, escaped, words};

/// More steps in one call than any session takes. The machines would never come to rest.
const LIVELOCK: usize = 5_000;

pub(crate) struct Rig {
    pub(crate) latency: Duration,
    /// What a driver chooses; to be set before the first step.
    pub(crate) start: Start,
    /// Ports that something else listens on.
    pub(crate) busy: BTreeSet<u16>,
    now: Duration,
    server: Server,
    clients: Vec<Peer>,
    conns: BTreeMap<ConnId, Conn>,
    mappings: BTreeMap<u16, MappingId>,
    ports: BTreeMap<MappingId, u16>,
    users: u64,
    events: BTreeMap<(Duration, u64), Event>,
    sequence: u64,
    transcript: Transcript,
}

/// What must not affect the machines.
#[derive(Clone, Copy)]
pub(crate) struct Start {
    /// The time of the clock at the start.
    pub(crate) clock: Duration,
    /// The first id of a connection and of a user.
    pub(crate) id: u64,
    /// How every token begins; the id of its connection follows.
    pub(crate) token: &'static str,
}

/// A client machine and what its driver knows.
struct Peer {
    name: &'static str,
    machine: Client,
    control: Option<ConnId>,
    attempts: u32,
    tunnels: u32,
    is_cut_off: bool,
}

struct Conn {
    name: String,
    /// The client machine of the connection; a script if there is none.
    peer: Option<usize>,
    /// Sent when the connection is open: TRS and the first bytes of the target.
    opening: Vec<u8>,
    at_server: Option<Decoder<ClientMessage>>,
    at_client: Option<Decoder<ServerMessage>>,
    /// Nothing arrives any more, and neither end learns of it.
    is_dead: bool,
}

enum Event {
    Reached(ConnId),
    Established(ConnId),
    Up(ConnId, Vec<u8>),
    UpEnd(ConnId),
    Down(ConnId, Vec<u8>),
    DownEnd(ConnId),
}

impl Rig {
    /// A server for user `alice` with password `secret`.
    pub(crate) fn new(timeout: i64) -> Self {
        let config = server::Config::new(
            "alice".to_owned().try_into().unwrap(),
            "secret".to_owned().try_into().unwrap(),
            timeout.try_into().unwrap(),
        );
        Self {
            latency: Duration::ZERO,
            start: Start {
                clock: Duration::ZERO,
                id: 1,
                token: "token-",
            },
            busy: BTreeSet::new(),
            now: Duration::ZERO,
            server: Server::new(config),
            clients: Vec::new(),
            conns: BTreeMap::new(),
            mappings: BTreeMap::new(),
            ports: BTreeMap::new(),
            users: 0,
            events: BTreeMap::new(),
            sequence: 0,
            transcript: Transcript::default(),
        }
    }

    /// Adds a client; `maps` are remote port and isOpen.
    pub(crate) fn client(&mut self, name: &'static str, password: &str, maps: &[(i64, bool)]) {
        let mappings = maps
            .iter()
            .map(|(port, is_open)| {
                let remote_port = (*port).try_into().unwrap();
                client::Mapping {
                    remote_port,
                    target: target(name, remote_port).try_into().unwrap(),
                    is_open: *is_open,
                }
            })
            .collect();
        let config = client::Config::new(
            name.to_owned().try_into().unwrap(),
            "alice".to_owned().try_into().unwrap(),
            password.to_owned().try_into().unwrap(),
            mappings,
            // The random part of the delays: the same in every run, another for each client.
            u64::from(name.as_bytes()[0]),
        );
        self.clients.push(Peer {
            name,
            machine: Client::new(config),
            control: None,
            attempts: 0,
            tunnels: 0,
            is_cut_off: false,
        });
    }

    /// A connection that the test itself writes to.
    pub(crate) fn script(&mut self, name: &str) -> ConnId {
        self.connect(name.to_owned(), None, Vec::new())
    }

    pub(crate) fn send(&mut self, conn: ConnId, bytes: &[u8]) {
        self.at(self.latency, Event::Up(conn, bytes.to_vec()));
    }

    /// Runs everything that happens up to `secs` after the start.
    pub(crate) fn run_to(&mut self, secs: f64) {
        let end = Duration::from_secs_f64(secs);
        for _ in 0..LIVELOCK {
            let event = self.events.keys().next().map(|(at, _)| *at);
            let timers = self.clients.iter().map(|p| p.machine.poll_timeout());
            let timers = timers.chain([self.server.poll_timeout()]).flatten();
            // A timer that was due before the start is due.
            let timers = timers.map(|at| at.saturating_sub(self.start.clock));
            let next = timers.chain(event).min();
            let Some(next) = next.filter(|at| *at <= end) else {
                self.now = end;
                return;
            };
            self.now = self.now.max(next);
            self.step();
        }
        panic!(
            "the machines do not come to rest:\n{}",
            self.transcript.text()
        );
    }

    /// A user connects. Returns the id even if the port is not open.
    pub(crate) fn user(&mut self, port: u16) -> UserId {
        let user = UserId(self.start.id + self.users);
        self.users += 1;
        match self.mappings.get(&port).copied() {
            Some(mapping) => {
                self.note(&self.user_name(user), &format!("connect {port}"));
                self.server_input(server::Input::UserAccepted { mapping, user });
            }
            None => self.note(&self.user_name(user), &format!("connect {port}: refused")),
        }
        user
    }

    pub(crate) fn user_leaves(&mut self, user: UserId) {
        self.note(&self.user_name(user), "gone");
        self.server_input(server::Input::UserGone { user });
    }

    /// The client's process ends: its connections break, and it sends nothing more.
    pub(crate) fn kill(&mut self, name: &str) {
        let at = self.clients.iter().position(|p| p.name == name).unwrap();
        self.note(name, "killed");
        let peer = self.clients.remove(at);
        for conn in self.conns.values_mut() {
            conn.peer = conn
                .peer
                .filter(|p| *p != at)
                .map(|p| p - usize::from(p > at));
        }
        if let Some(control) = peer.control {
            self.at(self.latency, Event::UpEnd(control));
        }
    }

    /// The path between a client and the server loses everything. Connections that are open at that moment
    /// stay dead when the path works again.
    pub(crate) fn cut_off(&mut self, name: &str, is_cut_off: bool) {
        let at = self.clients.iter().position(|p| p.name == name).unwrap();
        self.note(
            name,
            if is_cut_off {
                "cut off"
            } else {
                "reachable again"
            },
        );
        self.clients[at].is_cut_off = is_cut_off;
        for conn in self.conns.values_mut().filter(|c| c.peer == Some(at)) {
            conn.is_dead = true;
        }
    }

    /// The transcript so far.
    pub(crate) fn transcript(&self) -> &str {
        self.transcript.text()
    }

    /// The numbers of connections, mappings and waiting users at the server.
    pub(crate) fn census(&self) -> (usize, usize, usize) {
        self.server.census()
    }

    fn step(&mut self) {
        let due = self.events.first_entry().filter(|e| e.key().0 <= self.now);
        if let Some(entry) = due {
            let event = entry.remove();
            self.event(event);
            return;
        }
        for at in 0..self.clients.len() {
            let due = self.clients[at].machine.poll_timeout();
            if due.is_some_and(|due| due <= self.clock()) {
                self.client_input(at, client::Input::Tick);
                return;
            }
        }
        self.server_input(server::Input::Tick);
    }

    fn event(&mut self, event: Event) {
        let latency = self.latency;
        match event {
            Event::Reached(conn) => {
                let entry = self.conns.get_mut(&conn).unwrap();
                entry.at_server = Some(Decoder::new(Limits::default()));
                let name = entry.name.clone();
                self.note(&name, "connect");
                let token = format!("{}{}", self.start.token, conn.0);
                let token = Token::try_from(token.as_bytes()).unwrap();
                self.server_input(server::Input::Accepted {
                    conn,
                    listener: Listener::Plain,
                    token,
                });
                self.at(latency, Event::Established(conn));
            }
            Event::Established(conn) => {
                let entry = self.conns.get_mut(&conn).unwrap();
                entry.at_client = Some(Decoder::new(Limits::default()));
                let opening = std::mem::take(&mut entry.opening);
                if !opening.is_empty() {
                    self.at(latency, Event::Up(conn, opening));
                } else if let Some(peer) = entry.peer {
                    self.client_input(peer, client::Input::Connected);
                }
            }
            Event::Up(conn, bytes) => self.received_by_server(conn, &bytes),
            Event::Down(conn, bytes) => self.received_by_client(conn, &bytes),
            Event::UpEnd(conn) => {
                let Some(entry) = self.conns.get_mut(&conn).filter(|c| !c.is_dead) else {
                    return;
                };
                if entry.at_server.take().is_some() {
                    let name = entry.name.clone();
                    self.note(&name, "end");
                    self.server_input(server::Input::Ended { conn });
                }
            }
            Event::DownEnd(conn) => {
                let entry = self.conns.get_mut(&conn).filter(|c| !c.is_dead);
                let Some(at) = entry.and_then(|c| c.peer) else {
                    return;
                };
                if self.clients[at].control == Some(conn) {
                    self.clients[at].control = None;
                    self.client_input(at, client::Input::Ended);
                }
            }
        }
    }

    fn received_by_server(&mut self, conn: ConnId, bytes: &[u8]) {
        let Some(entry) = self.conns.get_mut(&conn).filter(|c| !c.is_dead) else {
            return;
        };
        let name = entry.name.clone();
        let Some(decoder) = &mut entry.at_server else {
            return;
        };
        decoder.push(bytes);
        while let Some(decoder) = self.conns.get_mut(&conn).and_then(|c| c.at_server.as_mut()) {
            let input = match decoder.next_message() {
                Ok(None) => break,
                Ok(Some(message)) => {
                    let mut wire = Vec::new();
                    message.encode(&mut wire);
                    self.note(&name, &format!("> {}", words(&wire)));
                    server::Input::Message { conn, message }
                }
                Err(error) => {
                    self.note(&name, &format!(">> {}", escaped(bytes)));
                    self.conns.get_mut(&conn).unwrap().at_server = None;
                    server::Input::Malformed { conn, error }
                }
            };
            self.server_input(input);
        }
    }

    fn received_by_client(&mut self, conn: ConnId, bytes: &[u8]) {
        let Some(entry) = self.conns.get_mut(&conn).filter(|c| !c.is_dead) else {
            return;
        };
        let Some(at) = entry.peer else { return };
        if let Some(decoder) = &mut entry.at_client {
            decoder.push(bytes);
        }
        while self.clients[at].control == Some(conn) {
            let decoder = self.conns.get_mut(&conn).and_then(|c| c.at_client.as_mut());
            match decoder.unwrap().next_message() {
                Ok(None) => break,
                Ok(Some(message)) => self.client_input(at, client::Input::Message(message)),
                Err(error) => self.client_input(at, client::Input::Malformed(error)),
            }
        }
    }

    fn server_input(&mut self, input: server::Input) {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            self.server.handle(self.clock(), input).unwrap();
            while let Some(output) = self.server.poll_output() {
                self.server_output(output, &mut inputs);
            }
        }
    }

    /// Carries out one output. The answers of the driver go to `then`.
    fn server_output(&mut self, output: server::Output, then: &mut VecDeque<server::Input>) {
        match output {
            server::Output::Send { conn, message } => {
                let mut wire = Vec::new();
                message.encode(&mut wire);
                self.note(&self.name(conn), &format!("< {}", words(&wire)));
                self.at(self.latency, Event::Down(conn, wire));
            }
            server::Output::Close { conn, reason } => {
                let what = format!("close {}: {reason} [{}]", self.name(conn), reason.rule());
                self.note("server", &what);
                self.conns.get_mut(&conn).unwrap().at_server = None;
                self.at(self.latency, Event::DownEnd(conn));
            }
            server::Output::LoggedIn { conn, client_name } => {
                self.note("server", &format!("{} is {client_name}", self.name(conn)));
            }
            server::Output::OpenListener {
                mapping,
                conn,
                remote_port,
                target,
            } => {
                let port = remote_port.get();
                let what = format!("listen {port} for {} ({target})", self.name(conn));
                if self.busy.contains(&port) {
                    self.note("server", &format!("{what}: in use"));
                    then.push_back(server::Input::ListenerFailed { mapping });
                    return;
                }
                self.note("server", &what);
                assert!(
                    self.mappings.insert(port, mapping).is_none(),
                    "a port is bound twice"
                );
                self.ports.insert(mapping, port);
                then.push_back(server::Input::ListenerOpened { mapping });
            }
            server::Output::CloseListener { mapping } => {
                let port = self.ports[&mapping];
                assert_eq!(self.mappings.remove(&port), Some(mapping));
                self.note("server", &format!("free {port}"));
            }
            server::Output::Join { conn, user } => {
                self.note(
                    "server",
                    &format!("join {} to {}", self.user_name(user), self.name(conn)),
                );
                let decoder = self.conns.get_mut(&conn).unwrap().at_server.take().unwrap();
                let tail = decoder.into_tail();
                if !tail.is_empty() {
                    self.note(&self.user_name(user), &format!("<< {}", escaped(&tail)));
                }
            }
            server::Output::RefuseUser { user, reason } => {
                self.note(
                    "server",
                    &format!("close {}: {reason}", self.user_name(user)),
                );
            }
        }
    }

    fn client_input(&mut self, at: usize, input: client::Input) {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            let clock = self.clock();
            self.clients[at].machine.handle(clock, input).unwrap();
            while let Some(output) = self.clients[at].machine.poll_output() {
                self.client_output(at, output, &mut inputs);
            }
        }
    }

    fn client_output(
        &mut self,
        at: usize,
        output: client::Output,
        then: &mut VecDeque<client::Input>,
    ) {
        let peer = &mut self.clients[at];
        let name = peer.name;
        match output {
            client::Output::Connect => {
                assert_eq!(peer.control, None, "two control connections");
                if peer.is_cut_off {
                    self.note(name, "cannot connect");
                    then.push_back(client::Input::ConnectFailed);
                    return;
                }
                peer.attempts += 1;
                let conn_name = format!("{name}/{}", peer.attempts);
                let conn = self.connect(conn_name, Some(at), Vec::new());
                self.clients[at].control = Some(conn);
            }
            client::Output::Send(message) => {
                let conn = peer.control.expect("a client sends on its connection");
                let mut wire = Vec::new();
                message.encode(&mut wire);
                self.at(self.latency, Event::Up(conn, wire));
            }
            client::Output::Disconnect(reason) => {
                let conn = peer.control.take().expect("a client closes its connection");
                self.note(name, &format!("disconnect: {reason} [{}]", reason.rule()));
                self.at(self.latency, Event::UpEnd(conn));
            }
            client::Output::OpenTunnel { remote_port, token } => {
                peer.tunnels += 1;
                let conn_name = format!("{name}/t{}", peer.tunnels);
                let mut opening = Vec::new();
                let trs = Trs {
                    token,
                    remote_port: remote_port.into(),
                };
                ClientMessage::Trs(trs).encode(&mut opening);
                opening.extend(format!("I am {}", target(name, remote_port)).into_bytes());
                self.connect(conn_name, Some(at), opening);
            }
            client::Output::Notice(notice) => self.note(name, &transcript::notice(notice)),
        }
    }

    fn connect(&mut self, name: String, peer: Option<usize>, opening: Vec<u8>) -> ConnId {
        let conn = ConnId(self.start.id + self.conns.len() as u64);
        let entry = Conn {
            name,
            peer,
            opening,
            at_server: None,
            at_client: None,
            is_dead: false,
        };
        self.conns.insert(conn, entry);
        self.at(self.latency, Event::Reached(conn));
        conn
    }

    fn at(&mut self, after: Duration, event: Event) {
        self.sequence += 1;
        self.events.insert((self.now + after, self.sequence), event);
    }

    fn name(&self, conn: ConnId) -> String {
        self.conns[&conn].name.clone()
    }

    /// The time that the machines get.
    fn clock(&self) -> Duration {
        self.start.clock + self.now
    }

    /// Users are counted from one.
    fn user_name(&self, user: UserId) -> String {
        format!("user{}", user.0 - self.start.id + 1)
    }

    fn note(&mut self, who: &str, what: &str) {
        self.transcript.note(self.now, who, what);
    }
}

/// The service of a client behind a remote port.
fn target(client: &str, remote_port: RemotePort) -> String {
    format!("{client}.lan:{remote_port}")
}
