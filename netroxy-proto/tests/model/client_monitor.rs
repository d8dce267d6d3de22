//! What a client must and must not do, judged by its inputs and outputs, like [`crate::server_monitor`].

use std::hash::{Hash, Hasher};
use std::time::Duration;

use netroxy_proto::{Ars, ClientMessage, PortNumber, ServerMessage, Token};

use crate::search::Broken;

type Verdict = Result<(), Broken>;

/// See the [module documentation](self).
#[derive(Debug, Clone)]
pub(crate) struct ClientMonitor {
    /// Remote ports of the mappings, in their order.
    mappings: Vec<PortNumber>,
    connect_deadline: Duration,
    login_deadline: Duration,
    phase: Phase,
    /// The rule by which the client has to close the connection.
    doomed: Option<&'static str>,
    /// The next connection comes no earlier, by this rule.
    not_before: (Duration, &'static str),
}

#[derive(Debug, Clone)]
enum Phase {
    Offline,
    /// Since when.
    Connecting(Duration),
    /// Whether ATH is sent, and since when.
    LoggingIn(bool, Duration),
    Up(Login),
}

#[derive(Debug, Clone)]
struct Login {
    since: Duration,
    timeout: Duration,
    token: Vec<u8>,
    /// The number of mappings that were requested.
    mapped: usize,
    /// Refused and not requested again.
    refused: Vec<PortNumber>,
    /// TRQs without a tunnel.
    asked: Vec<PortNumber>,
    last_srq: Duration,
    last_srs: Duration,
    unanswered: Option<Duration>,
}

const PAUSE: Duration = Duration::from_secs(1);

impl ClientMonitor {
    pub(crate) fn new(
        mappings: Vec<PortNumber>,
        connect_deadline: Duration,
        login_deadline: Duration,
    ) -> Self {
        Self {
            mappings,
            connect_deadline,
            login_deadline,
            phase: Phase::Offline,
            doomed: None,
            not_before: (Duration::ZERO, ""),
        }
    }

    /// The client opens a control connection.
    pub(crate) fn dials(&mut self, now: Duration) -> Verdict {
        let (at, rule) = self.not_before;
        if now < at {
            return broken(rule, "connects too soon");
        }
        if !matches!(self.phase, Phase::Offline) {
            return broken("life.reconnect", "a second control connection");
        }
        self.phase = Phase::Connecting(now);
        Ok(())
    }

    pub(crate) fn connected(&mut self, now: Duration) {
        self.phase = Phase::LoggingIn(false, now);
    }

    pub(crate) fn received(&mut self, now: Duration, message: &ServerMessage) {
        let known = |port: &PortNumber| self.mappings.contains(port);
        match (&mut self.phase, message) {
            (Phase::LoggingIn(..), ServerMessage::Ars(Ars::Accepted { timeout, token })) => {
                self.phase = Phase::Up(Login {
                    since: now,
                    timeout: timeout.duration(),
                    token: token.expose().to_vec(),
                    mapped: 0,
                    refused: Vec::new(),
                    asked: Vec::new(),
                    last_srq: now,
                    last_srs: now,
                    unanswered: None,
                });
            }
            (Phase::LoggingIn(..), ServerMessage::Ars(Ars::Rejected)) => {
                self.doomed = Some("auth.refused-close");
            }
            (Phase::LoggingIn(..), _) => self.doomed = Some("auth.ars-first"),
            (Phase::Up(_), ServerMessage::Ars(_)) => self.doomed = Some("auth.one-reply"),
            (Phase::Up(login), ServerMessage::Mrs(mrs)) => {
                login.refused.retain(|port| *port != mrs.remote_port);
                if !mrs.is_ok && known(&mrs.remote_port) {
                    login.refused.push(mrs.remote_port);
                }
            }
            (Phase::Up(login), ServerMessage::Trq(trq)) if known(&trq.remote_port) => {
                login.asked.push(trq.remote_port);
            }
            (Phase::Up(login), ServerMessage::Srs) => {
                login.last_srs = now;
                login.unanswered = None;
            }
            (Phase::Up(_) | Phase::Offline | Phase::Connecting(_), _) => {}
        }
    }

    pub(crate) fn malformed(&mut self) {
        self.doomed = Some("frame.unknown-word");
    }

    /// The connection has ended, or could not be opened.
    pub(crate) fn ended(&mut self, now: Duration) {
        let lasted = match &self.phase {
            Phase::Up(login) => now - login.since,
            _ => Duration::ZERO,
        };
        if lasted < PAUSE {
            self.not_before = (now + PAUSE, "life.client-pause");
        }
        if self.doomed == Some("auth.refused-close") {
            self.not_before.1 = "auth.client-backoff";
        }
        self.phase = Phase::Offline;
        self.doomed = None;
    }
}

/// What leaves the client.
impl ClientMonitor {
    pub(crate) fn sent(&mut self, now: Duration, message: &ClientMessage) -> Verdict {
        if let Some(rule) = self.doomed {
            let rule = match rule {
                "auth.refused-close" => "auth.refused-silent",
                rule => rule,
            };
            return broken(rule, "the client sends another message");
        }
        match (&mut self.phase, message) {
            (Phase::LoggingIn(said, _), ClientMessage::Ath(_)) if !*said => *said = true,
            (Phase::LoggingIn(true, _), ClientMessage::Ath(_)) => {
                return broken("auth.client-once", "a second ATH");
            }
            (Phase::LoggingIn(true, _), _) => {
                return broken("auth.client-waits", "a message before ARS");
            }
            (Phase::Offline | Phase::Connecting(_) | Phase::LoggingIn(..), _) => {
                return broken("auth.client-first", "a message without a login");
            }
            (Phase::Up(login), ClientMessage::Map(map)) => {
                if self.mappings.get(login.mapped) == Some(&map.remote_port) {
                    login.mapped += 1;
                } else if let Some(at) = position(&login.refused, map.remote_port) {
                    login.refused.remove(at);
                } else {
                    return broken("map.client-order", "a MAP out of order");
                }
            }
            (Phase::Up(login), ClientMessage::Srq) => {
                login.last_srq = now;
                login.unanswered.get_or_insert(now);
            }
            (Phase::Up(_), ClientMessage::Ath(_)) => {
                return broken("auth.client-once", "a second ATH");
            }
            (Phase::Up(_), ClientMessage::Trs(_)) => {
                return broken("tunnel.no-trs-on-control", "TRS on a control connection");
            }
        }
        Ok(())
    }

    /// The client opens a data connection.
    pub(crate) fn tunnels(&mut self, port: PortNumber, with: &Token) -> Verdict {
        let Phase::Up(login) = &mut self.phase else {
            return broken("tunnel.trs-new-connection", "a tunnel without a login");
        };
        if login.token != with.expose() {
            return broken("tunnel.trs-first-line", "the token is not the login's");
        }
        let Some(at) = position(&login.asked, port) else {
            return broken("tunnel.one-trs", "a tunnel without TRQ");
        };
        login.asked.remove(at);
        Ok(())
    }

    /// The client closes the control connection.
    pub(crate) fn closed(&mut self, now: Duration) -> Verdict {
        match &self.phase {
            _ if self.doomed.is_some() => {}
            Phase::Connecting(since) if now - *since < self.connect_deadline => {
                return broken("life.connect-deadline", "the client gives up too early");
            }
            Phase::LoggingIn(_, since) if now - *since < self.login_deadline => {
                return broken("auth.client-deadline", "the client gives up too early");
            }
            Phase::Up(login) if login.unanswered.is_none_or(|at| now - at < login.timeout) => {
                return broken("keep.client-patience", "the client closes without a reason");
            }
            _ => {}
        }
        self.ended(now);
        Ok(())
    }

    /// The client has done everything that it has to do at once.
    pub(crate) fn settled(&self) -> Verdict {
        if let Some(rule) = self.doomed {
            return broken(rule, "the connection is still open");
        }
        match &self.phase {
            Phase::LoggingIn(false, _) => broken("auth.client-first", "no ATH"),
            Phase::Up(login) if login.mapped < self.mappings.len() => {
                broken("map.client-all", "a mapping is not requested")
            }
            Phase::Up(login) if !login.asked.is_empty() => {
                broken("tunnel.trs-new-connection", "TRQ has no effect")
            }
            _ => Ok(()),
        }
    }

    /// Everything that is due now has been done.
    pub(crate) fn passed(&self, now: Duration) -> Verdict {
        match &self.phase {
            Phase::Connecting(since) if now - *since >= self.connect_deadline => broken(
                "life.connect-deadline",
                "the client still waits for a connection",
            ),
            Phase::LoggingIn(_, since) if now - *since >= self.login_deadline => {
                broken("auth.client-deadline", "the client still waits for ARS")
            }
            Phase::Up(login) if now - login.last_srq >= login.timeout => {
                broken("keep.client-interval", "a whole timeout without SRQ")
            }
            Phase::Up(login) if now - login.last_srs >= login.timeout * 4 => {
                broken("keep.client-gives-up", "four timeouts without SRS")
            }
            _ => Ok(()),
        }
    }

    /// Whether there is a login.
    pub(crate) fn is_up(&self) -> bool {
        matches!(self.phase, Phase::Up(_))
    }

    /// Everything that later verdicts depend on.
    pub(crate) fn fingerprint(&self, now: Duration, hasher: &mut impl Hasher) {
        match &self.phase {
            Phase::Offline => self.not_before.0.saturating_sub(now).hash(hasher),
            Phase::Connecting(since) => (1, now - *since).hash(hasher),
            Phase::LoggingIn(_, since) => (2, now - *since).hash(hasher),
            Phase::Up(login) => {
                (3, (now - login.since).min(PAUSE)).hash(hasher);
                (now - login.last_srq, now - login.last_srs).hash(hasher);
                login.unanswered.map(|at| now - at).hash(hasher);
                for port in &login.refused {
                    port.to_string().hash(hasher);
                }
            }
        }
    }
}

fn position(ports: &[PortNumber], port: PortNumber) -> Option<usize> {
    ports.iter().position(|one| *one == port)
}

fn broken(rule: &'static str, what: &str) -> Verdict {
    Err(Broken::new(rule, what))
}
