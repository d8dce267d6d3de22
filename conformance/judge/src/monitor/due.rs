//! What should have happened by now, and what the end of a connection says.

use std::time::Duration;

use netroxy_specification::notation::ast::Side;

use super::Monitor;
use super::login::Refusal;
use crate::recording::Sender;

/// How long a server waits for a login, and a client for its answer and for a target.
const DEADLINE: Duration = Duration::from_secs(15);

/// How long the answer to ATH may take.
const LOGIN_REPLY: Duration = Duration::from_secs(5);

/// How long TRS may take, apart from the wait for a target.
const TRS: Duration = Duration::from_secs(5);

/// Between `MRS false` and the next MAP for that port.
const RETRY: Duration = Duration::from_secs(15);

impl Monitor {
    /// Looks at everything on a connection that could be late.
    pub(super) fn overdue(&mut self, id: &str) {
        self.late_closes(id);
        let Some(conduct) = self.connections.get(id) else {
            return;
        };
        if conduct.is_doomed()
            || conduct.has_ended(Sender::Opener)
            || conduct.has_ended(Sender::Acceptor)
        {
            return;
        }
        self.late_login(id);
        self.late_replies(id);
        self.late_retries(id);
        self.late_keepalive(id);
        self.late_tunnels(id);
    }

    fn late_closes(&mut self, id: &str) {
        let limit = self.limits.reply;
        let (now, held_up) = (self.now, self.held_up(id));
        let Some(conduct) = self.connections.get_mut(id) else {
            return;
        };
        let ended = [Side::Client, Side::Server].map(|side| match side {
            Side::Client => conduct.has_ended(Sender::Opener),
            Side::Server => conduct.has_ended(Sender::Acceptor),
        });
        let mut late = Vec::new();
        for doom in &mut conduct.doomed {
            let ended = ended[usize::from(doom.side == Side::Server)];
            if !ended && !doom.told && now > doom.since.max(held_up) + limit {
                doom.told = true;
                late.push((doom.side, doom.rule, doom.why.clone()));
            }
        }
        let waited = limit.as_secs_f64();
        for (side, rule, why) in late {
            let seen = format!("{why}, and the {side} has not closed in {waited} s");
            self.report(id, side, rule, seen);
        }
    }

    fn late_login(&mut self, id: &str) {
        let (now, reply, slack) = (self.now, self.limits.reply, self.limits.slack);
        let held_up = self.held_up(id);
        let Some(conduct) = self.connections.get_mut(id) else {
            return;
        };
        if let Some(ath) = &mut conduct.ath {
            let silent = now.saturating_sub(ath.at.max(held_up));
            let mut late = Vec::new();
            // Who tries passwords may be kept waiting.
            if silent > LOGIN_REPLY + slack && !ath.told[0] {
                ath.told[0] = true;
                late.push((
                    Side::Server,
                    "auth.reply-time",
                    "ATH has not been answered in 5 s",
                ));
            }
            if silent > DEADLINE + reply && !ath.told[1] {
                ath.told[1] = true;
                let seen = "no ARS in 15 s, and the client has not closed";
                late.push((Side::Client, "auth.client-deadline", seen));
            }
            for (side, rule, seen) in late {
                self.report(id, side, rule, seen);
            }
            return;
        }
        let fresh = conduct.server == "Fresh" && !conduct.idle_told;
        if fresh && now > conduct.opened.max(held_up) + DEADLINE + reply {
            conduct.idle_told = true;
            let seen = "neither ATH nor TRS in 15 s, and the server has not closed";
            self.report(id, Side::Server, "auth.deadline", seen);
        }
    }

    fn late_replies(&mut self, id: &str) {
        let (now, reply, held_up) = (self.now, self.limits.reply, self.held_up(id));
        if now <= held_up + reply {
            return;
        }
        let Some(login) = self.login(id) else { return };
        let mut late = Vec::new();
        for asked in &mut login.asked {
            if now > asked.at + reply && !asked.told {
                asked.told = true;
                let seen = format!("MAP {} has not been answered", asked.port);
                late.push(("map.one-reply", seen));
            }
        }
        for (at, told) in &mut login.srqs {
            if now > *at + reply && !*told {
                *told = true;
                late.push(("keep.srs", "SRQ has not been answered".to_owned()));
            }
        }
        let waited = reply.as_secs_f64();
        for (rule, seen) in late {
            self.report(id, Side::Server, rule, format!("{seen} in {waited} s"));
        }
    }

    /// A client that does not ask again for what was refused.
    fn late_retries(&mut self, id: &str) {
        let (now, held_up) = (self.now, self.held_up(id));
        let limit = RETRY + self.limits.reply;
        let Some(login) = self.login(id) else { return };
        let due = |it: &Refusal| !it.asked_again && now > held_up.max(it.last) + limit;
        let late: Vec<i64> = login
            .refused
            .iter()
            .filter(|(_, refusal)| due(refusal))
            .map(|(port, _)| *port)
            .collect();
        login.refused.retain(|_, refusal| !due(refusal));
        for port in late {
            let seen = format!(
                "MRS {port} false, and no MAP for it in {} s",
                RETRY.as_secs()
            );
            self.report(id, Side::Client, "map.client-retries", seen);
        }
    }

    fn late_keepalive(&mut self, id: &str) {
        let (now, slack, held_up) = (self.now, self.limits.slack, self.held_up(id));
        let Some(login) = self.login(id) else { return };
        let timeout = login.timeout;
        let silent = now.saturating_sub(login.last_srq.max(held_up));
        let unheard = now.saturating_sub(login.last_srs.max(held_up));
        let times = |by: u32| timeout.saturating_mul(by).saturating_add(slack);
        let half = timeout.saturating_add(timeout / 2).saturating_add(slack);
        let seconds = timeout.as_secs();
        let checks = [
            (
                silent > times(1),
                Side::Client,
                "keep.client-interval",
                format!("no SRQ for {seconds} s, the timeout"),
            ),
            (
                silent > half,
                Side::Server,
                "keep.expiry-bound",
                format!("no SRQ for 1.5 times {seconds} s, and the server has not closed"),
            ),
            (
                unheard > times(4),
                Side::Client,
                "keep.client-gives-up",
                format!("no SRS for 4 times {seconds} s, and the client has not closed"),
            ),
        ];
        let mut late = Vec::new();
        for (told, (due, side, rule, seen)) in login.silence_told.iter_mut().zip(checks) {
            if due && !*told {
                *told = true;
                late.push((side, rule, seen));
            }
        }
        for (side, rule, seen) in late {
            self.report(id, side, rule, seen);
        }
    }

    /// A client may try its target before it says TRS; what shows then is a connection that says nothing.
    fn late_tunnels(&mut self, id: &str) {
        let (now, reply, held_up) = (self.now, self.limits.reply, self.held_up(id));
        let silent = |conduct: &&super::Conduct| conduct.server == "Fresh" && conduct.ath.is_none();
        let dialling = self.connections.values().filter(silent).count();
        let Some(login) = self.login(id) else { return };
        let waiting = login
            .trqs
            .iter_mut()
            .flat_map(|(port, trqs)| trqs.iter_mut().map(|trq| (*port, trq)));
        let limit = DEADLINE + TRS + reply;
        let mut late: Vec<_> = waiting
            .filter(|(_, (at, _))| now > held_up.max(*at) + limit)
            .collect();
        // The oldest may be those that are being dialled.
        late.sort_by_key(|(_, (at, _))| *at);
        let mut ports = Vec::new();
        for (port, (_, told)) in late.into_iter().skip(dialling) {
            if !*told {
                *told = true;
                ports.push(port);
            }
        }
        let Some(dial) = self.tunnel.step("Absent", "TrqMapped") else {
            return;
        };
        for port in ports {
            let seen = format!(
                "TRQ {port}, and no new connection in {} s",
                limit.as_secs_f64()
            );
            self.report(id, Side::Client, dial.rule, seen);
        }
    }

    /// The client ends its direction.
    pub(super) fn client_ended(&mut self, id: &str) {
        let (now, slack) = (self.now, self.limits.slack);
        let Some(login) = self.login(id) else { return };
        let lasted = now.saturating_sub(login.since);
        if login.ended.is_none() && lasted + slack < SHORT {
            self.pause_behind(id);
        }
        self.end_login(id);
    }

    /// The server ends its direction.
    pub(super) fn server_ended(&mut self, id: &str) {
        let (now, slack) = (self.now, self.limits.slack);
        let Some(conduct) = self.connections.get(id) else {
            return;
        };
        let has_reason =
            conduct.is_doomed() || conduct.excused || conduct.has_ended(Sender::Opener);
        let Some(login) = self.login(id) else { return };
        let lasted = now.saturating_sub(login.since);
        let silent = now.saturating_sub(login.last_srq);
        let early = silent + slack < login.timeout && !login.replaced && !has_reason;
        let timeout = login.timeout.as_secs();
        if lasted + slack < SHORT {
            self.pause_behind(id);
        }
        self.end_login(id);
        if early {
            self.suspects.push(Suspect {
                at: now,
                id: id.to_owned(),
                seen: format!(
                    "the server closes a login {:.1} s behind its last SRQ; the timeout is {timeout} s",
                    silent.as_secs_f64()
                ),
            });
        }
    }

    /// A server that goes down closes everything. Who keeps something open has closed one login on purpose.
    pub(super) fn suspected(&mut self) {
        let (now, reply) = (self.now, self.limits.reply);
        let (due, rest) = std::mem::take(&mut self.suspects)
            .into_iter()
            .partition(|suspect| now > suspect.at + reply);
        self.suspects = rest;
        let due: Vec<Suspect> = due;
        for suspect in due {
            let older = |conduct: &super::Conduct| {
                conduct.opened < suspect.at && !conduct.has_ended(Sender::Acceptor)
            };
            if self.connections.values().any(older) {
                self.report(&suspect.id, Side::Server, "keep.not-early", suspect.seen);
            }
        }
    }

    fn pause_behind(&mut self, id: &str) {
        let now = self.now;
        let Some(login) = self.login(id) else { return };
        let fields = login.fields.clone();
        self.pauses
            .insert(fields, (now + SHORT, "life.client-pause"));
    }
}

/// A close for which no reason was seen.
#[derive(Debug)]
pub(super) struct Suspect {
    at: Duration,
    pub(super) id: String,
    seen: String,
}

/// A control connection that has lasted less makes a client wait as long.
const SHORT: Duration = Duration::from_secs(1);
