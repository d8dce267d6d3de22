//! Reports what has not come in time, and judges when a connection ends.

use netroxy_specification::notation::ast::Side;

use super::conduct::Conduct;
use super::login::Refusal;
use super::state::{State, UnexplainedClose};
use crate::recording::Sender;
use crate::times::{CLIENT_PAUSE, FIRST_MESSAGE, MAP_RETRY, REPLY, TRS};

impl State {
    /// Checks everything on a connection that could be late.
    pub(super) fn overdue(&mut self, id: &str) {
        self.late_closes(id);
        let Some(conduct) = self.connections.get(id) else {
            return;
        };
        if conduct.has_to_close()
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
        for close in &mut conduct.due_closes {
            let ended = ended[usize::from(close.side == Side::Server)];
            if !ended && !close.reported && now > close.since.max(held_up) + limit {
                close.reported = true;
                late.push((close.side, close.rule, close.why.clone()));
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
            // A server may delay the answer to a wrong password.
            if silent > REPLY.time() + slack && !ath.reported[0] {
                ath.reported[0] = true;
                late.push((
                    Side::Server,
                    "auth.reply-time",
                    "ATH has not been answered in 5 s",
                ));
            }
            if silent > FIRST_MESSAGE.time() + reply && !ath.reported[1] {
                ath.reported[1] = true;
                let seen = "no ARS in 15 s, and the client has not closed";
                late.push((Side::Client, "auth.client-deadline", seen));
            }
            for (side, rule, seen) in late {
                self.report(id, side, rule, seen);
            }
            return;
        }
        let fresh = conduct.server == "Fresh" && !conduct.idle_reported;
        if fresh && now > conduct.opened.max(held_up) + FIRST_MESSAGE.time() + reply {
            conduct.idle_reported = true;
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
            if now > asked.at + reply && !asked.reported {
                asked.reported = true;
                let seen = format!("MAP {} has not been answered", asked.port);
                late.push(("map.one-reply", seen));
            }
        }
        for (at, reported) in &mut login.srqs {
            if now > *at + reply && !*reported {
                *reported = true;
                late.push(("keep.srs", "SRQ has not been answered".to_owned()));
            }
        }
        let waited = reply.as_secs_f64();
        for (rule, seen) in late {
            self.report(id, Side::Server, rule, format!("{seen} in {waited} s"));
        }
    }

    /// Mappings that were refused, and that the client does not ask for again.
    fn late_retries(&mut self, id: &str) {
        let (now, held_up) = (self.now, self.held_up(id));
        let limit = MAP_RETRY.time() + self.limits.reply;
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
                MAP_RETRY.time().as_secs()
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
        for (reported, (due, side, rule, seen)) in login.silence_reported.iter_mut().zip(checks) {
            if due && !*reported {
                *reported = true;
                late.push((side, rule, seen));
            }
        }
        for (side, rule, seen) in late {
            self.report(id, side, rule, seen);
        }
    }

    /// TRQs without TRS. A client may connect to its target before it sends TRS; until then its connection is silent.
    fn late_tunnels(&mut self, id: &str) {
        let (now, reply, held_up) = (self.now, self.limits.reply, self.held_up(id));
        let silent = |conduct: &&Conduct| conduct.server == "Fresh" && conduct.ath.is_none();
        let dialling = self.connections.values().filter(silent).count();
        let Some(login) = self.login(id) else { return };
        let waiting = login
            .trqs
            .iter_mut()
            .flat_map(|(port, trqs)| trqs.iter_mut().map(|trq| (*port, trq)));
        let limit = FIRST_MESSAGE.time() + TRS.time() + reply;
        let mut late: Vec<_> = waiting
            .filter(|(_, (at, _))| now > held_up.max(*at) + limit)
            .collect();
        // The silent connections count as answers to the oldest TRQs.
        late.sort_by_key(|(_, (at, _))| *at);
        let mut ports = Vec::new();
        for (port, (_, reported)) in late.into_iter().skip(dialling) {
            if !*reported {
                *reported = true;
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

    /// The client has ended its direction.
    pub(super) fn client_ended(&mut self, id: &str) {
        let (now, slack) = (self.now, self.limits.slack);
        let Some(login) = self.login(id) else { return };
        let lasted = now.saturating_sub(login.since);
        if login.ended.is_none() && lasted + slack < CLIENT_PAUSE.time() {
            self.pause_after(id);
        }
        self.end_login(id);
    }

    /// The server has ended its direction.
    pub(super) fn server_ended(&mut self, id: &str) {
        let (now, slack) = (self.now, self.limits.slack);
        let Some(conduct) = self.connections.get(id) else {
            return;
        };
        let has_reason =
            conduct.has_to_close() || conduct.excused || conduct.has_ended(Sender::Opener);
        let Some(login) = self.login(id) else { return };
        let lasted = now.saturating_sub(login.since);
        let silent = now.saturating_sub(login.last_srq);
        let early = silent + slack < login.timeout && !login.replaced && !has_reason;
        let timeout = login.timeout.as_secs();
        if lasted + slack < CLIENT_PAUSE.time() {
            self.pause_after(id);
        }
        self.end_login(id);
        if early {
            self.unexplained.push(UnexplainedClose {
                at: now,
                id: id.to_owned(),
                seen: format!(
                    "the server closes a login {:.1} s after its last SRQ; the timeout is {timeout} s",
                    silent.as_secs_f64()
                ),
            });
        }
    }

    /// Reports closes without a reason. A server that stops closes everything, and is not reported; one that keeps an
    /// older connection open has closed the login on purpose.
    pub(super) fn report_unexplained(&mut self) {
        let (now, reply) = (self.now, self.limits.reply);
        let (due, rest) = std::mem::take(&mut self.unexplained)
            .into_iter()
            .partition(|close| now > close.at + reply);
        self.unexplained = rest;
        let due: Vec<UnexplainedClose> = due;
        for close in due {
            let older = |conduct: &Conduct| {
                conduct.opened < close.at && !conduct.has_ended(Sender::Acceptor)
            };
            if self.connections.values().any(older) {
                self.report(&close.id, Side::Server, "keep.not-early", close.seen);
            }
        }
    }

    fn pause_after(&mut self, id: &str) {
        let now = self.now;
        let Some(login) = self.login(id) else { return };
        let ath = login.ath.clone();
        self.pauses
            .insert(ath, (now + CLIENT_PAUSE.time(), "life.client-pause"));
    }
}
