//! What the drivers of both machines do, as in `netroxy-server/src/hub.rs` and
//! `netroxy-client/src/client.rs`.

use std::rc::Rc;

use netroxy_proto::client::{self, Notice};
use netroxy_proto::server::{ConnId, Input, Listener, Output};
use netroxy_proto::{ClientMessage, ServerMessage, Token, Trs};

use crate::mutant::Around;
use crate::search::{Broken, Log};
use crate::way::Way;
use crate::world::{Conn, Control, Fate, Kind, Port, Seat, World, user_id};

/// The server's driver.
impl World {
    /// Feeds one input to the server, and then the answers of its driver to the outputs.
    pub(crate) fn feed(&mut self, input: Input, log: &mut Log) -> Result<(), Broken> {
        let mut next = Some(input);
        while let Some(mut input) = next.take() {
            self.tell_monitor(&input);
            let mutant = self.plan.mutant;
            if let Some(mutant) = mutant {
                mutant.server_input(&mut input);
            }
            let server = Rc::make_mut(&mut self.server);
            if mutant.is_none_or(|mutant| !mutant.ignores(&input)) {
                let done = server.handle(self.now, input.clone());
                done.map_err(|e| Broken::new("driver contract", e.to_string()))?;
            }
            let steps = server.take_steps().map(|row| (row.state, row.event));
            self.rows.borrow_mut().server.extend(steps);
            let mut outputs: Vec<Output> = std::iter::from_fn(|| server.poll_output()).collect();
            if let Some(mutant) = mutant {
                mutant.server_outputs(&input, &mut outputs, &self.around());
            }
            for output in outputs {
                next = self.carry_out(output, log)?.or(next);
            }
        }
        let busy: Vec<ConnId> = self
            .listeners
            .iter()
            .filter(|p| !p.is_open)
            .map(|p| p.conn)
            .collect();
        self.monitor.settled(&busy)
    }

    fn tell_monitor(&mut self, input: &Input) {
        let now = self.now;
        let monitor = Rc::make_mut(&mut self.monitor);
        match input {
            Input::Accepted { conn, listener, .. } => monitor.accepted(now, *conn, *listener),
            Input::Message { conn, message } => monitor.received(now, *conn, message),
            // The world has one account, which the machine checks.
            Input::Login { .. } => {}
            Input::Malformed { conn, .. } => monitor.malformed(*conn),
            Input::Ended { conn } => monitor.ended(*conn),
            Input::UserGone { user } => monitor.user_went(*user),
            Input::UserAccepted { mapping, user } => {
                let port = self.listeners.iter().find(|p| p.mapping == *mapping);
                monitor.user_came(now, *user, port.map_or(0, |p| p.number));
            }
            Input::ListenerOpened { .. } | Input::ListenerFailed { .. } | Input::Tick => {}
        }
    }

    fn carry_out(&mut self, output: Output, log: &mut Log) -> Result<Option<Input>, Broken> {
        let now = self.now;
        match output {
            Output::Send { conn, message } => {
                log.note(|| format!("  server to {}: {}", conn.0, words(&message)));
                Rc::make_mut(&mut self.monitor).sent(now, conn, &message)?;
                if let Some(conn) = self.conn(conn) {
                    conn.down.push(Some(message));
                }
            }
            Output::Close { conn, reason } => {
                log.note(|| format!("  server closes {}: {reason}", conn.0));
                Rc::make_mut(&mut self.monitor).closed(now, conn)?;
                if let Some(conn) = self.conn(conn) {
                    conn.seat = Seat::Closing;
                    conn.down.push(None);
                }
            }
            Output::LoggedIn { .. } => {}
            Output::OpenListener {
                mapping,
                conn,
                remote_port,
                ..
            } => {
                self.listeners.push(Port {
                    mapping,
                    conn,
                    number: remote_port.get(),
                    is_open: false,
                    is_orphan: false,
                });
                if !self.plan.slow_ports {
                    return self.open(self.listeners.len() - 1, true, log).map(Some);
                }
            }
            Output::CloseListener { mapping } => {
                if let Some(at) = self.listeners.iter().position(|p| p.mapping == mapping) {
                    if self.listeners[at].is_open {
                        let port = self.listeners.remove(at);
                        log.note(|| format!("  server closes port {}", port.number));
                        if !port.is_orphan {
                            Rc::make_mut(&mut self.monitor).port_closed(port.number)?;
                        }
                    } else {
                        self.listeners[at].is_orphan = true;
                    }
                }
            }
            Output::Join { conn, user } => {
                log.note(|| format!("  server joins {} with user {}", conn.0, user.0));
                Rc::make_mut(&mut self.monitor).joined(conn, user)?;
                if let Some(conn) = self.conn(conn) {
                    conn.seat = Seat::Joined(user);
                }
                self.set_fate(user.0, Fate::Joined);
            }
            Output::RefuseUser { user, reason } => {
                log.note(|| format!("  server closes user {}: {reason}", user.0));
                Rc::make_mut(&mut self.monitor).user_closed(now, user)?;
                self.set_fate(user.0, Fate::Over);
            }
        }
        Ok(None)
    }

    /// The driver listens on a port, if the port is free.
    fn open(&mut self, at: usize, free: bool, log: &mut Log) -> Result<Input, Broken> {
        let port = &self.listeners[at];
        let (mapping, conn, number) = (port.mapping, port.conn, port.number);
        let taken = |p: &Port| p.is_open && p.number == number;
        if !free || self.listeners.iter().any(taken) {
            log.note(|| format!("  port {number} cannot be bound"));
            self.listeners.remove(at);
            return Ok(Input::ListenerFailed { mapping });
        }
        log.note(|| format!("  server listens on port {number} for {}", conn.0));
        let port = &mut self.listeners[at];
        port.is_open = true;
        if !port.is_orphan {
            Rc::make_mut(&mut self.monitor).port_opened(conn, number)?;
        }
        Ok(Input::ListenerOpened { mapping })
    }

    pub(crate) fn bind(&mut self, at: usize, free: bool, log: &mut Log) -> Result<(), Broken> {
        self.left.busy_ports -= u8::from(!free);
        let input = self.open(at, free, log)?;
        self.feed(input, log)
    }

    pub(crate) fn admit(&mut self, at: usize, log: &mut Log) -> Result<(), Broken> {
        if let Fate::Knocking(mapping) = self.users[at].fate {
            self.users[at].fate = Fate::Waiting;
            let user = user_id(at);
            self.feed(Input::UserAccepted { mapping, user }, log)?;
        }
        Ok(())
    }

    /// The server receives the oldest message of a connection.
    pub(crate) fn up(&mut self, at: usize, log: &mut Log) -> Result<(), Broken> {
        let conn = &mut self.conns[at];
        let (id, seat) = (conn.id, conn.seat);
        match (conn.up.items.pop_front(), seat) {
            (Some((Some(message), _)), Seat::Open | Seat::Closing) => {
                log.note(|| format!("{} to server: {}", id.0, words(&message)));
                self.feed(Input::Message { conn: id, message }, log)
            }
            (Some((None, _)), Seat::Open | Seat::Closing) => {
                log.note(|| format!("{} ends", id.0));
                conn.seat = Seat::Gone;
                conn.down.push(None);
                self.feed(Input::Ended { conn: id }, log)
            }
            (Some((None, _)), Seat::Joined(user)) => {
                log.note(|| format!("{} ends, and its tunnel", id.0));
                conn.seat = Seat::Gone;
                self.set_fate(user.0, Fate::Over);
                Rc::make_mut(&mut self.monitor).tunnel_ended(id, user);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// The server's end of a new connection.
    pub(crate) fn accept(
        &mut self,
        id: u64,
        kind: Kind,
        listener: Listener,
        log: &mut Log,
    ) -> Result<(), Broken> {
        let conn = Conn {
            id: ConnId(id),
            kind,
            seat: Seat::Open,
            up: Way::new(),
            down: Way::new(),
        };
        let at = self.conns.partition_point(|other| other.id < conn.id);
        self.conns.insert(at, conn);
        let accepted = Input::Accepted {
            conn: ConnId(id),
            listener,
            token: token_of(id),
        };
        self.feed(accepted, log)
    }

    fn set_fate(&mut self, user: u64, fate: Fate) {
        let at = usize::try_from(user).unwrap();
        self.users[at].fate = fate;
    }

    fn around(&self) -> Around {
        let tunnels = self.conns.iter();
        Around {
            waiting: self.monitor.waiting(),
            tunnels: tunnels
                .filter(|c| matches!(c.seat, Seat::Joined(_)))
                .map(|c| c.id)
                .collect(),
            timeout: self.plan.timeout,
        }
    }
}

/// The client's driver.
impl World {
    /// Feeds one input to a client.
    pub(crate) fn feed_client(
        &mut self,
        at: usize,
        input: client::Input,
        log: &mut Log,
    ) -> Result<(), Broken> {
        let now = self.now;
        let peer = &mut self.peers[at];
        let monitor = Rc::make_mut(&mut peer.monitor);
        match &input {
            client::Input::Connected => monitor.connected(now),
            client::Input::ConnectFailed | client::Input::Ended | client::Input::Broken => {
                monitor.ended(now)
            }
            client::Input::Message(message) => monitor.received(now, message),
            client::Input::Malformed(_) => monitor.malformed(),
            client::Input::Tick | client::Input::Configure { .. } | client::Input::Forget(_) => {}
        }
        let machine = Rc::make_mut(&mut peer.machine);
        let done = machine.handle(now, input);
        done.map_err(|e| Broken::new("driver contract", e.to_string()))?;
        let steps = machine.take_steps().map(|row| (row.state, row.event));
        self.rows.borrow_mut().client.extend(steps);
        let mut outputs: Vec<_> = std::iter::from_fn(|| machine.poll_output()).collect();
        if let Some(mutant) = self.plan.mutant {
            mutant.client_outputs(&mut outputs, peer.dialled);
        }
        for output in outputs {
            self.carry_out_for_client(at, output, log)?;
        }
        self.peers[at].monitor.settled()
    }

    fn carry_out_for_client(
        &mut self,
        at: usize,
        output: client::Output,
        log: &mut Log,
    ) -> Result<(), Broken> {
        let now = self.now;
        let plan = self.plan.clone();
        let name = plan.peers[at].name;
        let monitor = Rc::make_mut(&mut self.peers[at].monitor);
        match output {
            client::Output::Connect => {
                monitor.dials(now)?;
                self.peers[at].control = Control::Connecting;
            }
            client::Output::Send(message) => {
                log.note(|| format!("  {name} sends {}", words(&message)));
                monitor.sent(now, &message)?;
                if let Some(conn) = self.control(at) {
                    conn.up.push(Some(message));
                }
            }
            client::Output::Disconnect(reason) => {
                log.note(|| format!("  {name} closes its control connection: {reason}"));
                monitor.closed(now)?;
                self.hang_up(at);
            }
            client::Output::OpenTunnel { remote_port, token } => {
                monitor.tunnels(remote_port.into(), &token)?;
                let id = self.new_id(at);
                log.note(|| format!("  {name} opens data connection {id}"));
                self.accept(id, Kind::Data, Listener::Plain, log)?;
                let remote_port = remote_port.into();
                let trs = ClientMessage::Trs(Trs { token, remote_port });
                if let Some(conn) = self.conn(ConnId(id)) {
                    conn.up.push(Some(trs));
                }
            }
            client::Output::Notice(Notice::MapRefused(port, delay)) => {
                log.note(|| format!("  {name} asks for {port} again in {delay:?}"));
            }
            client::Output::Notice(_) => {}
        }
        Ok(())
    }

    pub(crate) fn connect(&mut self, at: usize, log: &mut Log) -> Result<(), Broken> {
        let id = self.new_id(at);
        log.note(|| format!("{} opens control connection {id}", self.plan.peers[at].name));
        self.peers[at].control = Control::Open(id);
        self.accept(id, Kind::Control(at), Listener::Plain, log)?;
        self.feed_client(at, client::Input::Connected, log)
    }

    /// The client receives the oldest message of a connection.
    pub(crate) fn down(&mut self, at: usize, log: &mut Log) -> Result<(), Broken> {
        let conn = &mut self.conns[at];
        let (id, kind) = (conn.id, conn.kind);
        let item = conn.down.items.pop_front();
        // Only the control connection of a client reads messages.
        let (Some((item, _)), Kind::Control(peer)) = (item, kind) else {
            return Ok(());
        };
        if self.peers[peer].control != Control::Open(id.0) {
            return Ok(());
        }
        let name = self.plan.clone().peers[peer].name;
        if let Some(message) = item {
            log.note(|| format!("{name} gets {}", words(&message)));
            return self.feed_client(peer, client::Input::Message(message), log);
        }
        log.note(|| format!("{name} sees the end of {}", id.0));
        self.hang_up(peer);
        self.feed_client(peer, client::Input::Ended, log)
    }

    /// The client drops its control connection.
    fn hang_up(&mut self, at: usize) {
        if let Some(conn) = self.control(at) {
            conn.down.die();
            conn.up.push(None);
        }
        self.peers[at].control = Control::None;
    }

    fn control(&mut self, at: usize) -> Option<&mut Conn> {
        match self.peers[at].control {
            Control::Open(id) => self.conn(ConnId(id)),
            Control::None | Control::Connecting => None,
        }
    }

    fn new_id(&mut self, at: usize) -> u64 {
        self.peers[at].dialled += 1;
        100 * (u64::try_from(at).unwrap() + 1) + self.peers[at].dialled
    }
}

/// The token of a connection, in place of a random one.
pub(crate) fn token_of(conn: u64) -> Token {
    Token::try_from(format!("token-{conn}").as_bytes()).unwrap()
}

/// A message on one line.
pub(crate) fn words<M: Encode>(message: &M) -> String {
    let mut bytes = Vec::new();
    message.put(&mut bytes);
    let text = String::from_utf8(bytes).unwrap();
    text.trim_end().replace('\n', " ")
}

/// A message of either direction.
pub(crate) trait Encode {
    fn put(&self, out: &mut Vec<u8>);
}

impl Encode for ClientMessage {
    fn put(&self, out: &mut Vec<u8>) {
        self.encode(out);
    }
}

impl Encode for ServerMessage {
    fn put(&self, out: &mut Vec<u8>) {
        self.encode(out);
    }
}
