//! What a server must and must not do, judged by its inputs and outputs.
//!
//! The monitor has no state machine. It gets what comes to the server and what leaves it, and names the
//! rule that is broken. It could judge any other server by the same facts.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use netroxy_proto::server::{ConnId, Listener, UserId};
use netroxy_proto::{Ars, Ath, ClientMessage, Mrs, PortNumber, ServerMessage, Trs};

use crate::search::Broken;

mod settled;

type Verdict = Result<(), Broken>;

/// The configuration of the server.
#[derive(Debug, Clone)]
pub(crate) struct Terms {
    pub(crate) username: Vec<u8>,
    pub(crate) password: Vec<u8>,
    pub(crate) timeout: Duration,
    pub(crate) login_deadline: Duration,
    pub(crate) user_deadline: Duration,
}

/// See the [module documentation](self).
#[derive(Debug, Clone)]
pub(crate) struct ServerMonitor {
    terms: Terms,
    conns: BTreeMap<ConnId, Conn>,
    /// Tokens of logins that have ended.
    ended: Vec<Vec<u8>>,
    /// The login that has a port, and whether users are let through.
    ports: BTreeMap<u16, (ConnId, bool)>,
    /// Waiting users, in the order in which they connected.
    waiting: Vec<Waiting>,
    /// Users that are to be closed, and the rule.
    unwanted: BTreeMap<UserId, &'static str>,
    joined: BTreeMap<UserId, ConnId>,
    /// TRQs that have still to be sent.
    owed: Vec<(ConnId, u16)>,
}

#[derive(Debug, Clone)]
struct Conn {
    listener: Listener,
    kind: Kind,
    /// The time of the accept, of the login, or of the last SRQ.
    since: Duration,
    /// The rule by which the server has to close it.
    doomed: Option<&'static str>,
}

#[derive(Debug, Clone)]
enum Kind {
    Fresh,
    /// A good ATH is to be answered.
    Known(Ath),
    /// A bad ATH is to be answered.
    Stranger,
    Control(Login),
    /// A good TRS: this user is to be joined.
    Tunnel(UserId),
    Joined,
}

#[derive(Debug, Clone)]
struct Login {
    name: Vec<u8>,
    token: Vec<u8>,
    /// MAPs without an answer: number and isOpen.
    asked: VecDeque<(PortNumber, bool)>,
    /// SRQs without an answer.
    alive: u32,
}

#[derive(Debug, Clone)]
struct Waiting {
    user: UserId,
    port: u16,
    owner: ConnId,
    since: Duration,
}

/// What comes to the server.
impl ServerMonitor {
    pub(crate) fn new(terms: Terms) -> Self {
        Self {
            terms,
            conns: BTreeMap::new(),
            ended: Vec::new(),
            ports: BTreeMap::new(),
            waiting: Vec::new(),
            unwanted: BTreeMap::new(),
            joined: BTreeMap::new(),
            owed: Vec::new(),
        }
    }

    pub(crate) fn accepted(&mut self, now: Duration, conn: ConnId, listener: Listener) {
        let fresh = Conn {
            listener,
            kind: Kind::Fresh,
            since: now,
            doomed: None,
        };
        self.conns.insert(conn, fresh);
    }

    pub(crate) fn received(&mut self, now: Duration, conn: ConnId, message: &ClientMessage) {
        let judged = match message {
            ClientMessage::Trs(trs) => self.judge(conn, trs),
            _ => Err(""),
        };
        let Some(entry) = self.conns.get_mut(&conn) else {
            return;
        };
        match (&mut entry.kind, message) {
            (Kind::Fresh, ClientMessage::Ath(ath)) => {
                let good = ath.username.as_bytes() == self.terms.username
                    && ath.password.expose() == self.terms.password;
                if good {
                    entry.kind = Kind::Known(ath.clone());
                    self.replace(conn, ath.client_name.as_bytes());
                } else {
                    entry.kind = Kind::Stranger;
                    entry.doomed = Some("auth.fail-close");
                }
            }
            (Kind::Fresh, ClientMessage::Trs(_)) => match judged {
                Ok(user) => entry.kind = Kind::Tunnel(user),
                Err(rule) => entry.doomed = Some(rule),
            },
            (Kind::Fresh, _) => entry.doomed = Some("auth.first"),
            (Kind::Control(_), ClientMessage::Ath(_)) => entry.doomed = Some("auth.once"),
            (Kind::Control(_), ClientMessage::Trs(_)) => {
                entry.doomed = Some("tunnel.not-on-control");
            }
            (Kind::Control(login), ClientMessage::Map(map)) => {
                login.asked.push_back((map.remote_port, map.is_open));
            }
            (Kind::Control(login), ClientMessage::Srq) => {
                login.alive += 1;
                entry.since = now;
            }
            (Kind::Known(_) | Kind::Stranger | Kind::Tunnel(_) | Kind::Joined, _) => {}
        }
    }

    pub(crate) fn malformed(&mut self, conn: ConnId) {
        if let Some(entry) = self.conns.get_mut(&conn) {
            entry.doomed = Some("frame.unknown-word");
        }
    }

    /// A connection has ended or broken, as the server sees it.
    pub(crate) fn ended(&mut self, conn: ConnId) {
        if let Some(Conn {
            kind: Kind::Control(login),
            ..
        }) = self.conns.remove(&conn)
        {
            self.ended.push(login.token);
        }
        self.owed.retain(|(owner, _)| *owner != conn);
    }

    pub(crate) fn user_came(&mut self, now: Duration, user: UserId, port: u16) {
        match self.ports.get(&port) {
            Some((owner, true)) => {
                let owner = *owner;
                self.owed.push((owner, port));
                self.waiting.push(Waiting {
                    user,
                    port,
                    owner,
                    since: now,
                });
            }
            Some((_, false)) => {
                self.unwanted.insert(user, "map.closed-closes");
            }
            // The user was accepted just before the port was closed.
            None => {
                self.unwanted.insert(user, "tunnel.waiting-closed");
            }
        }
    }

    pub(crate) fn user_went(&mut self, user: UserId) {
        self.waiting.retain(|waiting| waiting.user != user);
    }

    /// The server has to close an older login of the same name at once.
    fn replace(&mut self, by: ConnId, name: &[u8]) {
        for (conn, entry) in &mut self.conns {
            if let Kind::Control(login) = &entry.kind
                && *conn != by
                && !name.is_empty()
                && login.name == name
            {
                entry.doomed = Some("auth.same-name-replaces");
            }
        }
    }

    /// The user with whom a TRS is to be joined, or the rule by which it is refused.
    fn judge(&self, conn: ConnId, trs: &Trs) -> Result<UserId, &'static str> {
        let token = trs.token.expose();
        let issuer = self.conns.iter().find_map(|(id, entry)| match &entry.kind {
            Kind::Control(login) if login.token == token => Some((*id, entry.listener)),
            _ => None,
        });
        let (issuer, listener) = issuer.ok_or_else(|| {
            if self.ended.iter().any(|old| old == token) {
                "life.stale-token"
            } else {
                "tunnel.bad-token-close"
            }
        })?;
        if self.conns.get(&conn).map(|c| c.listener) != Some(listener) {
            return Err("tunnel.token-scope");
        }
        let port = trs.remote_port.remote_port().map(|port| port.get());
        let mapped = port.filter(|port| self.ports.get(port).is_some_and(|p| p.0 == issuer));
        let port = mapped.ok_or("tunnel.bad-port-close")?;
        let first = self.waiting.iter().find(|waiting| waiting.port == port);
        Ok(first.ok_or("tunnel.no-unsolicited")?.user)
    }
}

/// What leaves the server.
impl ServerMonitor {
    pub(crate) fn sent(&mut self, now: Duration, conn: ConnId, message: &ServerMessage) -> Verdict {
        let token_is_old = match message {
            ServerMessage::Ars(Ars::Accepted { token, .. }) => self.knows(token.expose()),
            _ => false,
        };
        let Some(entry) = self.conns.get_mut(&conn) else {
            return broken(
                "life.survives-abort",
                "a message for a connection that is over",
            );
        };
        match (&mut entry.kind, message) {
            (Kind::Known(ath), ServerMessage::Ars(Ars::Accepted { timeout, token })) => {
                if timeout.duration() != self.terms.timeout {
                    return broken("auth.ok-reply", "another timeout than configured");
                }
                if token_is_old {
                    return broken("auth.token-unique", "a token that is known already");
                }
                entry.kind = Kind::Control(Login {
                    name: ath.client_name.as_bytes().to_vec(),
                    token: token.expose().to_vec(),
                    asked: VecDeque::new(),
                    alive: 0,
                });
                entry.since = now;
                Ok(())
            }
            (Kind::Known(_), ServerMessage::Ars(Ars::Rejected)) => {
                broken("auth.ok-reply", "a good ATH was refused")
            }
            (Kind::Stranger, ServerMessage::Ars(Ars::Rejected)) => {
                entry.kind = Kind::Fresh;
                Ok(())
            }
            (Kind::Stranger, ServerMessage::Ars(Ars::Accepted { .. })) => {
                broken("auth.fail-reply", "a bad ATH was accepted")
            }
            (Kind::Control(login), ServerMessage::Srs) => {
                if login.alive == 0 {
                    return broken("keep.srs", "an SRS without SRQ");
                }
                login.alive -= 1;
                Ok(())
            }
            (Kind::Control(_), ServerMessage::Mrs(mrs)) => self.answered(conn, mrs),
            (Kind::Control(_), ServerMessage::Trq(trq)) => {
                let port = trq.remote_port.remote_port().map(|port| port.get());
                let mapped = port.and_then(|port| self.ports.get(&port));
                match (port, mapped) {
                    (Some(port), Some((owner, true))) if *owner == conn => self.asked(conn, port),
                    (_, Some((owner, false))) if *owner == conn => {
                        broken("map.closed-no-tunnel", "TRQ for a closed mapping")
                    }
                    _ => broken("tunnel.trq-port", "TRQ for a port of another login"),
                }
            }
            (Kind::Fresh | Kind::Tunnel(_) | Kind::Joined, _) => {
                broken("tunnel.trs-unanswered", "a message on a data connection")
            }
            (_, ServerMessage::Ars(_)) => broken("auth.ok-reply", "an ARS without ATH"),
            _ => broken("auth.ok-reply", "ATH is answered by another message"),
        }
    }

    /// The server has closed a connection.
    pub(crate) fn closed(&mut self, now: Duration, conn: ConnId) -> Verdict {
        let Some(entry) = self.conns.get(&conn) else {
            return broken("life.survives-abort", "a connection is closed twice");
        };
        let silent = now.saturating_sub(entry.since);
        match entry.kind {
            Kind::Stranger => return broken("auth.fail-reply", "closed without an answer"),
            _ if entry.doomed.is_some() => {}
            Kind::Joined => return broken("tunnel.outlives-control", "a tunnel is closed"),
            Kind::Control(_) if silent < self.terms.timeout => {
                let what = format!("closed after {silent:?} of silence");
                return broken("keep.not-early", what);
            }
            Kind::Tunnel(_) => return broken("tunnel.fifo", "a good TRS is refused"),
            Kind::Fresh if silent < self.terms.login_deadline => {
                return broken("auth.deadline", "closed too early");
            }
            _ => {}
        }
        self.ended(conn);
        Ok(())
    }

    /// The server listens on a port for a login.
    pub(crate) fn port_opened(&mut self, conn: ConnId, port: u16) -> Verdict {
        if self.ports.contains_key(&port) {
            return broken("map.conflict-keeps-first", format!("port {port} is taken"));
        }
        let asked = self.conns.get(&conn).and_then(|c| match &c.kind {
            Kind::Control(login) => login
                .asked
                .iter()
                .find(|map| map.0 == i64::from(port).into()),
            _ => None,
        });
        let Some((_, is_open)) = asked else {
            return broken("map.released-on-close", "a port is opened without a MAP");
        };
        self.ports.insert(port, (conn, *is_open));
        Ok(())
    }

    pub(crate) fn port_closed(&mut self, port: u16) -> Verdict {
        let owner = self.ports.remove(&port).map(|p| p.0);
        if owner.is_some_and(|owner| self.conns.contains_key(&owner)) {
            return broken("map.others-untouched", format!("port {port} is in use"));
        }
        Ok(())
    }

    pub(crate) fn user_closed(&mut self, now: Duration, user: UserId) -> Verdict {
        if self.unwanted.remove(&user).is_some() {
            return Ok(());
        }
        if self.joined.contains_key(&user) {
            return broken("tunnel.outlives-control", "the user of a tunnel is closed");
        }
        let Some(at) = self.waiting.iter().position(|w| w.user == user) else {
            return broken("tunnel.user-gone", "a user that has gone is closed");
        };
        let Waiting { owner, since, .. } = self.waiting.remove(at);
        let too_early = now.saturating_sub(since) < self.terms.user_deadline;
        if too_early && self.conns.contains_key(&owner) {
            return broken("tunnel.user-timeout", "a user is closed too early");
        }
        Ok(())
    }

    pub(crate) fn joined(&mut self, conn: ConnId, user: UserId) -> Verdict {
        let Some(entry) = self.conns.get_mut(&conn) else {
            return broken("life.survives-abort", "a connection that is over is joined");
        };
        let expected = match (&entry.kind, entry.doomed) {
            (_, Some(rule)) => return broken(rule, "joined instead of closed"),
            (Kind::Tunnel(user), None) => *user,
            _ => return broken("tunnel.isolation", "joined without TRS"),
        };
        let find = |user| self.waiting.iter().find(|waiting| waiting.user == user);
        match (find(expected), find(user)) {
            _ if expected == user => {}
            _ if self.joined.contains_key(&user) => {
                return broken("tunnel.isolation", "a user gets two tunnels");
            }
            (_, None) => return broken("tunnel.user-gone", "joined with a user that has gone"),
            (Some(first), Some(other)) if first.port == other.port => {
                return broken("tunnel.fifo", "another user has waited longer");
            }
            _ => return broken("tunnel.isolation", "joined with a user of another port"),
        }
        entry.kind = Kind::Joined;
        self.waiting.retain(|waiting| waiting.user != user);
        self.joined.insert(user, conn);
        Ok(())
    }

    /// A tunnel is over: by its user or by its target, never by the server alone.
    pub(crate) fn tunnel_ended(&mut self, conn: ConnId, user: UserId) {
        self.conns.remove(&conn);
        self.joined.remove(&user);
    }

    fn answered(&mut self, conn: ConnId, mrs: &Mrs) -> Verdict {
        let Some(Kind::Control(login)) = self.conns.get_mut(&conn).map(|c| &mut c.kind) else {
            return Ok(());
        };
        let number = mrs.remote_port;
        let Some((asked, _)) = login.asked.pop_front() else {
            return broken("map.one-reply", "an MRS without MAP");
        };
        if asked != number {
            let rule = if login.asked.iter().any(|map| map.0 == number) {
                "map.order"
            } else {
                "map.same-port"
            };
            return broken(
                rule,
                format!("port {asked} was requested first, port {number} is answered"),
            );
        }
        let owner = mrs.remote_port.remote_port();
        let owner = owner.and_then(|port| self.ports.get(&port.get()));
        match owner {
            None if mrs.is_ok => broken("map.bound-when-true", "no login has the port"),
            Some((owner, _)) if mrs.is_ok && *owner != conn => {
                broken("map.conflict-keeps-first", "the port is another login's")
            }
            _ => Ok(()),
        }
    }

    fn asked(&mut self, conn: ConnId, port: u16) -> Verdict {
        let Some(at) = self.owed.iter().position(|owed| *owed == (conn, port)) else {
            return broken("tunnel.one-trq-per-user", "more TRQs than users");
        };
        self.owed.remove(at);
        Ok(())
    }

    fn knows(&self, token: &[u8]) -> bool {
        self.ended.iter().any(|old| old == token)
            || self.conns.values().any(|entry| match &entry.kind {
                Kind::Control(login) => login.token == token,
                _ => false,
            })
    }
}

fn broken(rule: &'static str, what: impl Into<String>) -> Verdict {
    Err(Broken::new(rule, what))
}
