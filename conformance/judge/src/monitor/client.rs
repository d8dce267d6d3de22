//! What the client says.

use std::time::Duration;

use netroxy_specification::notation::ast::{Side, Transport};

use super::conduct::{Ath, Doom, HELD};
use super::lines::{Fault, Item, LIMIT, integer};
use super::login::Asked;
use super::server::shown;
use super::{Monitor, PENDING};
use crate::recording::Sender;

/// At least between `MRS false` and the next MAP for that port.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// What both sides of it are told by.
pub(super) const SECOND_ATH: &str = "a second ATH on one connection";

impl Monitor {
    /// Bytes come from the client, whole messages or not.
    pub(super) fn client_bytes(&mut self, id: &str) {
        let (now, slack) = (self.now, self.limits.slack);
        let held_up = self.held_up(id);
        let Some(conduct) = self.connections.get_mut(id) else {
            return;
        };
        let refused = conduct
            .doomed
            .iter()
            .any(|doom| doom.rule == "auth.refused-close" && now > doom.since.max(held_up) + slack);
        if refused && !conduct.refused_told {
            conduct.refused_told = true;
            let seen = "it goes on sending after ARS false";
            self.report(id, Side::Client, "auth.refused-silent", seen);
        }
    }

    pub(super) fn client_says(&mut self, id: &str, item: Item) {
        let Some(conduct) = self.connections.get_mut(id) else {
            return;
        };
        if conduct.is_doomed() {
            return;
        }
        // What follows ATH depends on how it is answered.
        if conduct.ath.is_some() {
            let again = matches!(&item, Item::Message(lines) if lines[0] == b"ATH");
            // A second ATH is told when it is known what becomes of the first.
            if conduct.held.is_empty() && !again {
                let seen = format!("{} before its ATH is answered", shown(&item));
                conduct.held.push_back(item);
                return self.report(id, Side::Client, "auth.client-waits", seen);
            }
            if conduct.held.len() < HELD {
                conduct.held.push_back(item);
            }
            return;
        }
        self.said(id, item);
    }

    /// Goes on with what was said before ATH was answered.
    pub(super) fn release(&mut self, id: &str) {
        while let Some(conduct) = self.connections.get_mut(id)
            && let Some(item) = conduct.held.pop_front()
        {
            self.said(id, item);
        }
    }

    /// What the server does on an event, as far as it can be seen: it has to close, or not.
    pub(super) fn server_step(&mut self, id: &str, event: &str, why: &str) {
        let now = self.now;
        let Some(conduct) = self.connections.get_mut(id) else {
            return;
        };
        let Some(step) = self.server.step(conduct.server, event) else {
            return;
        };
        conduct.server = step.next;
        if matches!(step.action, "Close" | "Reject") {
            conduct.doomed.push(Doom {
                side: Side::Server,
                rule: step.rule,
                why: why.to_owned(),
                since: now,
                told: false,
                unless_asked: None,
            });
        }
    }

    fn said(&mut self, id: &str, item: Item) {
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
        let text = shown(&Item::Message(lines.clone()));
        match (lines.first().map(Vec::as_slice), fresh) {
            (Some(b"ATH"), true) => self.ath(id, lines),
            (Some(b"ATH"), false) => {
                self.report(id, Side::Client, "auth.client-once", SECOND_ATH);
                self.server_step(id, "AthGood", SECOND_ATH);
            }
            (Some(b"TRS"), true) => self.trs(id, &lines),
            (Some(b"TRS"), false) => {
                let seen = "TRS on a control connection";
                self.report(id, Side::Client, "tunnel.no-trs-on-control", seen);
                self.server_step(id, "TrsBad", seen);
            }
            (Some(b"MAP" | b"SRQ"), true) => {
                let seen = format!("{text} on a connection that has not logged in");
                self.report(id, Side::Client, "auth.client-first", seen.clone());
                self.server_step(id, "Map", &seen);
            }
            (Some(b"MAP"), false) => self.map(id, &lines),
            _ => self.srq(id),
        }
    }

    fn client_fault(&mut self, id: &str, fault: Fault) {
        let (what, broken, rule) = (fault.what("client"), fault.broken(), fault.closes());
        let seen = format!("{}: {what}", shown(&Item::Fault(fault)));
        if let Some(broken) = broken {
            self.report(id, Side::Client, broken, seen.clone());
        }
        self.server_step(id, "Malformed", &seen);
        let conduct = self.connections.get_mut(id);
        if let Some(doom) = conduct.and_then(|conduct| conduct.doomed.last_mut()) {
            // The table has one rule for all that is no message.
            doom.rule = rule;
        }
    }

    fn ath(&mut self, id: &str, lines: Vec<Vec<u8>>) {
        let (now, slack) = (self.now, self.limits.slack);
        let fields: Vec<Vec<u8>> = lines.into_iter().skip(1).collect();
        let named = fields.first().is_some_and(|name| !name.is_empty());
        let opened = self.connections.get(id).map_or(now, |one| one.opened);
        if named
            && let Some((earliest, rule)) = self.pauses.remove(&fields)
            && opened + slack < earliest
        {
            let early = (earliest - opened).as_secs_f64();
            let seen = format!("the same client is back {early:.1} s too early");
            self.report(id, Side::Client, rule, seen);
        }
        let Some(conduct) = self.connections.get_mut(id) else {
            return;
        };
        let ath = Ath {
            fields,
            at: now,
            told: [false; 2],
        };
        conduct.ath = Some(ath);
        self.client_step(id, "Connected", "ATH");
    }

    fn map(&mut self, id: &str, lines: &[Vec<u8>]) {
        let (now, slack) = (self.now, self.limits.slack);
        let [_, port, _, open] = lines else { return };
        let asked = Asked {
            port: integer(port).unwrap_or(0),
            open: open == b"true",
            at: now,
            told: false,
        };
        let mut early = None;
        if let Some(login) = self.login(id) {
            if let Some(refusal) = login.refused.get_mut(&asked.port) {
                let paused = now.saturating_sub(refusal.last);
                let under_way = now <= refusal.first + slack;
                if paused + slack >= RETRY_PAUSE {
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
        self.server_step(id, "Map", "MAP");
    }

    fn srq(&mut self, id: &str) {
        let now = self.now;
        if let Some(login) = self.login(id) {
            login.last_srq = now;
            login.silence_told = [false, false, login.silence_told[2]];
            login.ask(now);
        }
        self.server_step(id, "Srq", "SRQ");
    }

    /// A data connection begins, or what should have been one.
    fn trs(&mut self, id: &str, lines: &[Vec<u8>]) {
        let now = self.now;
        let [_, token, port] = lines else { return };
        let port = integer(port).unwrap_or(0);
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
            let seen =
                format!("TRS {port} on {over}, with a token that was given on the other one");
            if over_tls {
                self.report(id, Side::Client, "tls.both-connections", seen.clone());
            }
            return self.refuse(id, "tunnel.token-scope", &seen, None);
        }
        let asked = login
            .trqs
            .get_mut(&port)
            .and_then(std::collections::VecDeque::pop_front);
        // Where not all is remembered, it is taken for an answer.
        let asked = asked.or_else(|| login.too_many_trqs.then_some((now, false)));
        let mapped =
            login.mapped.contains_key(&port) || login.asked.iter().any(|asked| asked.port == port);
        // The client may not have heard of the end.
        let ended = login.ended.map(|at| at.max(login.held_up));
        if asked.is_none() {
            let seen = format!("TRS {port} without a TRQ");
            self.report(id, Side::Client, "tunnel.one-trs", seen);
        }
        match (asked, ended) {
            // It may have been under way when the login ended.
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
                self.server_step(id, "TrsGood", "TRS");
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
        if let Some(doom) = conduct.and_then(|conduct| conduct.doomed.last_mut()) {
            doom.rule = rule;
            doom.unless_asked = unless_asked;
        }
    }
}
