//! Judges what a server sends.

use std::time::Duration;

use netroxy_specification::message::{ARS, ATH, FieldName, MRS, SRS, Shape, TRQ, value};
use netroxy_specification::notation::ast::{Side, Transport};

use super::client::SECOND_ATH;
use super::conduct::Ath;
use super::lines::{Fault, Item, integer, port};
use super::login::{Login, PENDING, Refusal};
use super::state::{REMEMBERED, State};
use crate::recording::Sender;
use crate::times::BACK_OFF;

impl State {
    /// Bytes have come from the server, with or without a whole message.
    pub(super) fn server_bytes(&mut self, id: &str, count: usize) {
        let Some(conduct) = self.connections.get_mut(id) else {
            return;
        };
        let refused = conduct.due_closes.iter().find(|close| {
            close.side == Side::Server && close.rule.starts_with("tunnel.") && !close.reported
        });
        if let Some(close) = refused {
            // The server has joined the data connection, so it will not close it.
            let (rule, why) = (close.rule, close.why.clone());
            conduct
                .due_closes
                .retain(|close| close.side != Side::Server);
            conduct.lines(Sender::Acceptor).stop();
            let seen = format!("{why}, and the server sends {count} bytes");
            self.report(id, Side::Server, rule, seen);
        }
    }

    pub(super) fn server_sends(&mut self, id: &str, item: Item) {
        let Some(conduct) = self.connections.get_mut(id) else {
            return;
        };
        // No message follows `ARS false`.
        let refused = conduct
            .due_closes
            .iter()
            .any(|close| close.rule == "auth.fail-close");
        if refused {
            conduct.lines(Sender::Acceptor).stop();
            let seen = format!("{} after ARS false", item.shown());
            return self.report(id, Side::Server, "auth.fail-reply", seen);
        }
        // A client that has to close reads no more. A server that has to close may not have read the reason yet.
        let reads = conduct
            .due_closes
            .iter()
            .all(|close| close.side == Side::Server);
        if !reads || conduct.has_to_close() && conduct.login.is_none() {
            return;
        }
        if conduct.server == "Fresh" && conduct.ath.is_none() && !conduct.has_to_close() {
            let seen = format!("{} on a connection that has not logged in", item.shown());
            let rule = match &item {
                Item::Message(lines) => Some(unasked(lines)),
                Item::Fault(fault) => fault.broken(),
            };
            if let Some(rule) = rule {
                self.report(id, Side::Server, rule, seen);
            }
            return;
        }
        let lines = match item {
            Item::Message(lines) => lines,
            Item::Fault(fault) => return self.server_fault(id, fault),
        };
        self.check_integers(id, Side::Server, &lines);
        let up = conduct_is_up(self, id);
        let shape = *lines.first().and_then(Shape::of).unwrap_or(&SRS);
        if !up && shape != ARS {
            let seen = format!("{} instead of ARS", shape.word);
            self.report(id, Side::Server, unasked(&lines), seen.clone());
            let event = match shape {
                MRS => "Mrs",
                TRQ => "Trq",
                _ => "Srs",
            };
            return self.client_step(id, event, &seen);
        }
        match shape {
            ARS if !up => self.ars(id, &lines),
            ARS => {
                let seen = "a second ARS for one ATH";
                self.report(id, Side::Server, "auth.ok-reply", seen);
                self.client_step(id, "ArsTrue", "a second ARS");
            }
            MRS => {
                let ok = value(&lines, FieldName::IsOk) == Some(b"true");
                self.mrs(id, port(&lines), ok);
            }
            TRQ => self.trq(id, port(&lines)),
            _ => self.srs(id),
        }
    }

    fn server_fault(&mut self, id: &str, fault: Fault) {
        let what = fault.what("server");
        let seen = format!("{}: {what}", Item::Fault(fault.clone()).shown());
        if let Some(rule) = fault.broken() {
            self.report(id, Side::Server, rule, seen.clone());
        }
        let before = self
            .connections
            .get(id)
            .map_or(0, |one| one.due_closes.len());
        self.client_step(id, "Malformed", &seen);
        // The table has one rule for every message that is not well formed.
        let rule = fault.closes();
        let conduct = self.connections.get_mut(id);
        if let Some(close) = conduct.and_then(|conduct| conduct.due_closes.get_mut(before))
            && (close.rule == "frame.unknown-word" || rule.starts_with("auth.ars-"))
        {
            close.rule = rule;
        }
    }

    fn ars(&mut self, id: &str, lines: &[Vec<u8>]) {
        let now = self.now;
        let ath = self.connections.get_mut(id).and_then(|one| one.ath.take());
        let Some(Ath { lines: ath, .. }) = ath else {
            return self.report(id, Side::Server, "auth.ok-reply", "ARS without ATH");
        };
        if value(lines, FieldName::IsOk) != Some(b"true") {
            if self.pauses.len() >= REMEMBERED {
                self.pauses.retain(|_, (earliest, _)| *earliest > now);
            }
            let earliest = now + BACK_OFF.time();
            self.pauses.insert(ath, (earliest, "auth.client-backoff"));
            self.server_step(id, "AthBad", "ARS false");
            self.client_step(id, "ArsFalse", "ARS false");
            let again = |item: &Item| matches!(item, Item::Message(lines) if ATH.begins(lines));
            let conduct = self.connections.get_mut(id);
            let held = conduct.map(|conduct| std::mem::take(&mut conduct.held));
            if held.is_some_and(|held| held.iter().any(again)) {
                self.report(id, Side::Client, "auth.client-once", SECOND_ATH);
            }
            return;
        }
        let field = |name| value(lines, name).unwrap_or_default();
        let token = field(FieldName::Token);
        let seconds = integer(field(FieldName::Timeout)).unwrap_or(0);
        let in_range = (1..=LARGEST).contains(&seconds);
        if !in_range {
            let seen = format!("a timeout of {seconds}");
            self.report(id, Side::Server, "auth.timeout-positive", seen.clone());
            self.client_step(id, "Malformed", &seen);
            let conduct = self.connections.get_mut(id);
            if let Some(close) = conduct.and_then(|conduct| conduct.due_closes.last_mut()) {
                close.rule = "auth.timeout-range";
            }
            return;
        }
        if let Some(other) = self.tokens.get(token).copied() {
            let other = self.numbered(other).map(|login| login.connection.clone());
            let seen = format!("the token of {}", other.unwrap_or_default());
            self.report(id, Side::Server, "auth.token-unique", seen);
        }
        for login in &mut self.logins {
            if login.is_namesake(&ath) {
                login.replaced |= login.ended.is_none();
                // A server ends the older login before it answers, so its end can come first.
                self.unexplained
                    .retain(|close| close.id != login.connection);
            }
        }
        let seconds = Duration::from_secs(seconds.unsigned_abs());
        let over = self.connections.get(id).map(|conduct| conduct.over);
        let over = over.unwrap_or(Transport::Plain);
        let login = Login::new(id, ath, token.to_vec(), seconds, (now, over));
        let number = self.begin_login(login);
        if let Some(conduct) = self.connections.get_mut(id) {
            conduct.login = Some(number);
        }
        self.server_step(id, "AthGood", ATH.word);
        self.client_step(id, "ArsTrue", "ARS true");
        self.release(id);
    }

    fn mrs(&mut self, id: &str, port: i64, ok: bool) {
        let now = self.now;
        let replaced = self.replaced_holder(id, port);
        let holder = self.holder(id, port);
        let Some(login) = self.login(id) else { return };
        if login.too_many_maps {
            if ok && login.mapped.len() < PORTS {
                login.mapped.insert(port, true);
            }
            return self.client_step(id, "Mrs", MRS.word);
        }
        let Some(first) = login.asked.iter().position(|asked| !asked.reported) else {
            return self.late_mrs(id, port, ok);
        };
        let wanted = login.asked.get(first).map_or(0, |asked| asked.port);
        let Some(index) = login.asked.iter().position(|asked| asked.port == port) else {
            if let Some(asked) = login.asked.get_mut(first) {
                asked.reported = true;
            }
            let seen = format!("MRS {port} {ok} where MAP {wanted} is to be answered");
            return self.report(id, Side::Server, "map.same-port", seen);
        };
        let asked = login.asked.remove(index);
        let own = login.mapped.contains_key(&port);
        if let Some(refusal) = login.refused.get_mut(&port).filter(|_| !ok) {
            refusal.last = now;
            refusal.asked_again = false;
        } else if !ok && !own && login.refused.len() < PORTS {
            let refusal = Refusal {
                first: now,
                last: now,
                asked_again: false,
            };
            login.refused.insert(port, refusal);
        } else if ok {
            login.refused.remove(&port);
        }
        if let Some(asked) = asked
            && ok
            && login.mapped.len() < PORTS
        {
            login.mapped.insert(port, asked.open);
        }
        if index > first {
            let seen = format!("MRS {port} {ok} before the answer to MAP {wanted}");
            self.report(id, Side::Server, "map.order", seen);
        }
        if ok && !(1..=65535).contains(&port) {
            let seen = format!("MRS {port} true");
            self.report(id, Side::Server, "map.port-range", seen);
        } else if ok && own {
            let seen = format!("MRS {port} true, and this login has mapped it already");
            self.report(id, Side::Server, "map.conflict-false", seen);
        } else if ok && let Some(holder) = holder {
            let seen = format!("MRS {port} true, and {holder} has mapped it");
            self.report(id, Side::Server, "map.conflict-false", seen);
        } else if let Some(before) = replaced.filter(|_| !ok) {
            let seen = format!(
                "MRS {port} false, and the login that this one replaces, {before}, had mapped it"
            );
            self.report(id, Side::Server, "auth.same-name-replaces", seen);
        }
        self.client_step(id, "Mrs", MRS.word);
    }

    /// An MRS when every unanswered MAP was reported already.
    fn late_mrs(&mut self, id: &str, port: i64, ok: bool) {
        let Some(login) = self.login(id) else { return };
        let Some(index) = login.asked.iter().position(|asked| asked.port == port) else {
            let seen = format!("MRS {port} {ok} answers no MAP");
            return self.report(id, Side::Server, "map.one-reply", seen);
        };
        if let Some(asked) = login.asked.remove(index)
            && ok
        {
            login.mapped.insert(port, asked.open);
        }
    }

    /// Another login that certainly still has the port.
    fn holder(&self, id: &str, port: i64) -> Option<String> {
        let mut open = self
            .logins
            .iter()
            .filter(|login| login.connection != id && login.ended.is_none() && !login.replaced);
        // The server may just have closed a silent login.
        let (now, slack) = (self.now, self.limits.slack);
        let holder = open.find(|login| {
            let alive = now < login.last_srq + login.timeout.saturating_sub(slack);
            alive && login.mapped.contains_key(&port)
        });
        let holder = holder.filter(|login| {
            let conduct = self.connections.get(&login.connection);
            // The monitor may not have seen the end of a connection that is held up.
            conduct.is_some_and(|conduct| {
                let seen = now > conduct.held_up + slack;
                seen && !conduct.has_to_close() && !conduct.excused
            })
        });
        holder.map(|login| login.connection.clone())
    }

    /// The login with this port that the login of `id` replaced; `None` if a third login has the port.
    fn replaced_holder(&mut self, id: &str, port: i64) -> Option<String> {
        let ath = self.login(id)?.ath.clone();
        let other = |login: &&Login| login.connection != id && login.mapped.contains_key(&port);
        let mut holders = self.logins.iter().filter(other);
        if holders.any(|login| login.ended.is_none() && !login.replaced) {
            return None;
        }
        let mine = |login: &&Login| login.replaced && login.is_namesake(&ath);
        let holder = self.logins.iter().filter(other).find(mine)?;
        Some(holder.connection.clone())
    }

    fn trq(&mut self, id: &str, port: i64) {
        let now = self.now;
        let number = self.connections.get(id).and_then(|conduct| conduct.login);
        let Some(login) = self.login(id) else { return };
        let asked = login.asked.iter().find(|asked| asked.port == port);
        let open = login.mapped.get(&port).copied();
        let open = open.or_else(|| asked.map(|asked| asked.open));
        // A client may answer a wrong TRQ too, and has to if it knows the mapping.
        if open.is_some() || (1..=65535).contains(&port) {
            let waiting = login.trqs.entry(port).or_default();
            match waiting.len() {
                0..PENDING => waiting.push_back((now, open.is_none())),
                _ => login.too_many_trqs = true,
            }
        }
        match open {
            Some(true) => {
                for conduct in self.connections.values_mut() {
                    // This TRQ explains the TRS that came just before it.
                    conduct.due_closes.retain(|close| {
                        close.reported || close.unless_asked != number.map(|number| (number, port))
                    });
                }
                self.client_step(id, "Trq", TRQ.word);
            }
            // Not all MAPs are remembered.
            Some(false) | None if login.too_many_maps => {}
            Some(false) => {
                let seen = format!("TRQ {port}, and its mapping is not open");
                self.report(id, Side::Server, "map.closed-no-tunnel", seen);
            }
            None => {
                let seen = format!("TRQ {port}, which this login has not mapped");
                self.report(id, Side::Server, "tunnel.trq-port", seen);
            }
        }
    }

    fn srs(&mut self, id: &str) {
        let now = self.now;
        let Some(login) = self.login(id) else { return };
        login.last_srs = now;
        login.silence_reported[2] = false;
        if !login.answer(now) {
            self.report(id, Side::Server, "keep.srs", "SRS answers no SRQ");
        }
        self.client_step(id, "Srs", SRS.word);
    }
}

/// How many ports of a login are remembered. No server has more.
const PORTS: usize = 65_536;

/// The longest timeout in seconds: `auth.timeout-range`.
const LARGEST: i64 = 9_223_372_036;

fn conduct_is_up(state: &State, id: &str) -> bool {
    let conduct = state.connections.get(id);
    conduct.is_some_and(|conduct| conduct.login.is_some())
}

/// The rule by which a server sends a message only as an answer.
fn unasked(lines: &[Vec<u8>]) -> &'static str {
    match lines.first().and_then(Shape::of) {
        Some(&MRS) => "map.one-reply",
        Some(&SRS) => "keep.srs",
        Some(&TRQ) => "tunnel.trq-port",
        _ => "auth.ok-reply",
    }
}
