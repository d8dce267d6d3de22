//! Judges what a client sends.

use netroxy_specification::message::{ATH, FieldName, MAP, SRQ, Shape, TRS, value};
use netroxy_specification::notation::ast::{Side, Transport};

use super::conduct::{Ath, HELD};
use super::lines::{Fault, Item, LIMIT, port};
use super::login::{Asked, PENDING};
use super::state::State;
use crate::recording::Sender;
use crate::times::MAP_PAUSE;

/// Part of what is reported of both sides.
pub(super) const SECOND_ATH: &str = "a second ATH on one connection";

impl State {
    /// Bytes have come from the client, with or without a whole message.
    pub(super) fn client_bytes(&mut self, id: &str) {
        let (now, slack) = (self.now, self.limits.slack);
        let held_up = self.held_up(id);
        let Some(conduct) = self.connections.get_mut(id) else {
            return;
        };
        let refused = conduct.due_closes.iter().any(|close| {
            close.rule == "auth.refused-close" && now > close.since.max(held_up) + slack
        });
        if refused && !conduct.refused_reported {
            conduct.refused_reported = true;
            let seen = "the client goes on sending after ARS false";
            self.report(id, Side::Client, "auth.refused-silent", seen);
        }
    }

    pub(super) fn client_sends(&mut self, id: &str, item: Item) {
        let Some(conduct) = self.connections.get_mut(id) else {
            return;
        };
        if conduct.has_to_close() {
            return;
        }
        // The answer to ATH decides what may follow it.
        if conduct.ath.is_some() {
            let again = matches!(&item, Item::Message(lines) if ATH.begins(lines));
            // A second ATH is reported when the first is answered.
            if conduct.held.is_empty() && !again {
                let seen = format!("{} before its ATH is answered", item.shown());
                conduct.held.push_back(item);
                return self.report(id, Side::Client, "auth.client-waits", seen);
            }
            if conduct.held.len() < HELD {
                conduct.held.push_back(item);
            }
            return;
        }
        self.judge(id, item);
    }

    /// Judges what was sent before ATH was answered.
    pub(super) fn release(&mut self, id: &str) {
        while let Some(conduct) = self.connections.get_mut(id)
            && let Some(item) = conduct.held.pop_front()
        {
            self.judge(id, item);
        }
    }

    fn judge(&mut self, id: &str, item: Item) {
        let lines = match item {
            Item::Message(lines) => lines,
            Item::Fault(fault) => return self.client_fault(id, fault),
        };
        self.check_integers(id, Side::Client, &lines);
        let fresh = self
            .connections
            .get(id)
            .is_some_and(|one| one.server == "Fresh");
        // A receiver is free to take longer lines, or to close.
        if lines.iter().any(|line| line.len() > LIMIT)
            && let Some(conduct) = self.connections.get_mut(id)
        {
            conduct.excused = true;
        }
        let text = Item::Message(lines.clone()).shown();
        match (lines.first().and_then(Shape::of), fresh) {
            (Some(&ATH), true) => self.ath(id, lines),
            (Some(&ATH), false) => {
                self.report(id, Side::Client, "auth.client-once", SECOND_ATH);
                self.server_step(id, "AthGood", SECOND_ATH);
            }
            (Some(&TRS), true) => self.trs(id, &lines),
            (Some(&TRS), false) => {
                let seen = "TRS on a control connection";
                self.report(id, Side::Client, "tunnel.no-trs-on-control", seen);
                self.server_step(id, "TrsBad", seen);
            }
            (Some(&MAP | &SRQ), true) => {
                let seen = format!("{text} on a connection that has not logged in");
                self.report(id, Side::Client, "auth.client-first", seen.clone());
                self.server_step(id, "Map", &seen);
            }
            (Some(&MAP), false) => self.map(id, &lines),
            _ => self.srq(id),
        }
    }

    fn client_fault(&mut self, id: &str, fault: Fault) {
        let (what, broken, rule) = (fault.what("client"), fault.broken(), fault.closes());
        let seen = format!("{}: {what}", Item::Fault(fault).shown());
        if let Some(broken) = broken {
            self.report(id, Side::Client, broken, seen.clone());
        }
        self.server_step(id, "Malformed", &seen);
        let conduct = self.connections.get_mut(id);
        if let Some(close) = conduct.and_then(|conduct| conduct.due_closes.last_mut()) {
            // The table has one rule for every message that is not well formed.
            close.rule = rule;
        }
    }

    fn ath(&mut self, id: &str, lines: Vec<Vec<u8>>) {
        let (now, slack) = (self.now, self.limits.slack);
        let named = value(&lines, FieldName::ClientName).is_some_and(|name| !name.is_empty());
        let opened = self.connections.get(id).map_or(now, |one| one.opened);
        if named
            && let Some((earliest, rule)) = self.pauses.remove(&lines)
            && opened + slack < earliest
        {
            let early = (earliest - opened).as_secs_f64();
            let seen = format!("the same client connects again {early:.1} s too early");
            self.report(id, Side::Client, rule, seen);
        }
        let Some(conduct) = self.connections.get_mut(id) else {
            return;
        };
        let ath = Ath {
            lines,
            at: now,
            reported: [false; 2],
        };
        conduct.ath = Some(ath);
        self.client_step(id, "Connected", ATH.word);
    }

    fn map(&mut self, id: &str, lines: &[Vec<u8>]) {
        let (now, slack) = (self.now, self.limits.slack);
        let asked = Asked {
            port: port(lines),
            open: value(lines, FieldName::IsOpen) == Some(b"true"),
            at: now,
            reported: false,
        };
        let mut early = None;
        if let Some(login) = self.login(id) {
            if let Some(refusal) = login.refused.get_mut(&asked.port) {
                let paused = now.saturating_sub(refusal.last);
                let under_way = now <= refusal.first + slack;
                if paused + slack >= MAP_PAUSE.time() {
                    login.refused.remove(&asked.port);
                } else {
                    refusal.asked_again = true;
                    early = (!under_way).then_some((asked.port, paused));
                }
            }
            login.too_many_maps |= login.asked.len() >= PENDING;
            match login.too_many_maps {
                true => login.asked.clear(),
                false => login.asked.push_back(asked),
            }
        }
        if let Some((port, paused)) = early {
            let seen = format!(
                "MAP {port} {:.1} s after MRS {port} false",
                paused.as_secs_f64()
            );
            self.report(id, Side::Client, "map.retry-pause", seen);
        }
        self.server_step(id, "Map", MAP.word);
    }

    fn srq(&mut self, id: &str) {
        let now = self.now;
        if let Some(login) = self.login(id) {
            login.last_srq = now;
            login.silence_reported = [false, false, login.silence_reported[2]];
            login.ask(now);
        }
        self.server_step(id, "Srq", SRQ.word);
    }

    /// A TRS on a new connection.
    fn trs(&mut self, id: &str, lines: &[Vec<u8>]) {
        let now = self.now;
        let token = value(lines, FieldName::Token).unwrap_or_default();
        let port = port(lines);
        if let Some(conduct) = self.connections.get_mut(id) {
            conduct.lines(Sender::Opener).stop();
        }
        let over = self.connections.get(id).map(|conduct| conduct.over);
        let over = over.unwrap_or(Transport::Plain);
        let number = self.tokens.get(token).copied();
        let blind = self.unread_ever > 0 || self.forgotten > 0;
        let Some((number, login)) =
            number.and_then(|number| Some((number, self.numbered(number)?)))
        else {
            if !blind {
                let seen = "TRS with a token that no login has";
                self.report(id, Side::Client, "tunnel.trs-first-line", seen);
                self.refuse(id, "tunnel.bad-token-close", seen, None);
            } else if let Some(conduct) = self.connections.get_mut(id) {
                conduct.server = "Data";
                conduct.lines(Sender::Acceptor).stop();
            }
            return;
        };
        let elsewhere = login.over != over;
        if elsewhere {
            let over_tls = login.over == Transport::Tls;
            let seen = format!("TRS {port} on {over}, with a token of the other listener");
            if over_tls {
                self.report(id, Side::Client, "tls.both-connections", seen.clone());
            }
            return self.refuse(id, "tunnel.token-scope", &seen, None);
        }
        let asked = login
            .trqs
            .get_mut(&port)
            .and_then(std::collections::VecDeque::pop_front);
        // If not all TRQs are remembered, it counts as the answer to one.
        let asked = asked.or_else(|| login.too_many_trqs.then_some((now, false)));
        let mapped =
            login.mapped.contains_key(&port) || login.asked.iter().any(|asked| asked.port == port);
        // The end may not have reached the client.
        let ended = login.ended.map(|at| at.max(login.held_up));
        if asked.is_none() {
            let seen = format!("TRS {port} without a TRQ");
            self.report(id, Side::Client, "tunnel.one-trs", seen);
        }
        match (asked, ended) {
            // Earlier, the client may have sent it before the login ended.
            (_, Some(at)) if now > at + self.limits.slack => {
                let seen = "TRS with the token of a login that has ended";
                self.refuse(id, "life.stale-token", seen, None);
            }
            (None, None) if !mapped => {
                let seen = format!("TRS {port}, which the login has not mapped");
                self.refuse(id, "tunnel.bad-port-close", &seen, None);
            }
            (None, None) => {
                let seen = format!("TRS {port} without a TRQ");
                self.refuse(id, "tunnel.no-unsolicited", &seen, Some((number, port)));
            }
            _ => {
                self.server_step(id, "TrsGood", TRS.word);
                if let Some(conduct) = self.connections.get_mut(id) {
                    conduct.lines(Sender::Acceptor).stop();
                }
            }
        }
    }

    fn refuse(
        &mut self,
        id: &str,
        rule: &'static str,
        why: &str,
        unless_asked: Option<(usize, i64)>,
    ) {
        self.server_step(id, "TrsBad", why);
        let conduct = self.connections.get_mut(id);
        if let Some(close) = conduct.and_then(|conduct| conduct.due_closes.last_mut()) {
            close.rule = rule;
            close.unless_asked = unless_asked;
        }
    }
}
