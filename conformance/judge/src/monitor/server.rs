//! What the server says.

use std::time::Duration;

use netroxy_specification::notation::ast::{Action, Expectation, Side, Transport};
use netroxy_specification::notation::print_action;

use super::client::SECOND_ATH;
use super::conduct::{Ath, Doom};
use super::lines::{Fault, Field, Item, integer, is_canonical};
use super::login::{Login, Refusal};
use super::{Monitor, PENDING, REMEMBERED};
use crate::transcript;

impl Monitor {
    /// Bytes come from the server, whole messages or not.
    pub(super) fn server_bytes(&mut self, id: &str, count: usize) {
        let Some(conduct) = self.connections.get_mut(id) else {
            return;
        };
        let refused = conduct.doomed.iter().find(|doom| {
            doom.side == Side::Server && doom.rule.starts_with("tunnel.") && !doom.told
        });
        if let Some(doom) = refused {
            // Who joins it has not refused it.
            let (rule, why) = (doom.rule, doom.why.clone());
            conduct.doomed.retain(|doom| doom.side != Side::Server);
            conduct.lines(crate::recording::Sender::Acceptor).stop();
            let seen = format!("{why}, and {count} bytes come all the same");
            self.report(id, Side::Server, rule, seen);
        }
    }

    pub(super) fn server_says(&mut self, id: &str, item: Item) {
        let Some(conduct) = self.connections.get_mut(id) else {
            return;
        };
        // Behind `ARS false` there is nothing.
        let refused = conduct
            .doomed
            .iter()
            .any(|doom| doom.rule == "auth.fail-close");
        if refused {
            conduct.lines(crate::recording::Sender::Acceptor).stop();
            let seen = format!("{} behind ARS false", shown(&item));
            return self.report(id, Side::Server, "auth.fail-reply", seen);
        }
        // A client that has to close listens no more; a server that has to close may not have noticed yet.
        let listens = conduct.doomed.iter().all(|doom| doom.side == Side::Server);
        if !listens || conduct.is_doomed() && conduct.login.is_none() {
            return;
        }
        if conduct.server == "Fresh" && conduct.ath.is_none() && !conduct.is_doomed() {
            let seen = format!("{} on a connection that has not logged in", shown(&item));
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
        let field = |index: usize| lines.get(index).map(Vec::as_slice).unwrap_or_default();
        match field(0) {
            b"ARS" if !up => self.ars(id, &lines),
            b"ARS" => {
                self.report(
                    id,
                    Side::Server,
                    "auth.ok-reply",
                    "a second ARS for one ATH",
                );
                self.client_step(id, "ArsTrue", "a second ARS");
            }
            word => {
                if !up {
                    let word = String::from_utf8_lossy(word).into_owned();
                    let seen = format!("{word} where ARS is awaited");
                    self.report(id, Side::Server, unasked(&lines), seen.clone());
                    let event = match word.as_str() {
                        "MRS" => "Mrs",
                        "TRQ" => "Trq",
                        _ => "Srs",
                    };
                    return self.client_step(id, event, &seen);
                }
                match word {
                    b"MRS" => self.mrs(id, integer(field(1)).unwrap_or(0), field(2) == b"true"),
                    b"TRQ" => self.trq(id, integer(field(1)).unwrap_or(0)),
                    _ => self.srs(id),
                }
            }
        }
    }

    /// What the client does on an event, as far as it can be seen: it has to close, or not.
    pub(super) fn client_step(&mut self, id: &str, event: &str, why: &str) {
        let now = self.now;
        let Some(conduct) = self.connections.get_mut(id) else {
            return;
        };
        let Some(step) = self.client.step(conduct.client, event) else {
            return;
        };
        conduct.client = step.next;
        if step.action == "Disconnect" {
            conduct.doomed.push(Doom {
                side: Side::Client,
                rule: step.rule,
                why: why.to_owned(),
                since: now,
                told: false,
                unless_asked: None,
            });
        }
    }

    fn server_fault(&mut self, id: &str, fault: Fault) {
        let what = fault.what("server");
        let seen = format!("{}: {what}", shown(&Item::Fault(fault.clone())));
        if let Some(rule) = fault.broken() {
            self.report(id, Side::Server, rule, seen.clone());
        }
        let before = self.connections.get(id).map_or(0, |one| one.doomed.len());
        self.client_step(id, "Malformed", &seen);
        // The table has one rule for all that is no message.
        let rule = fault.closes();
        let conduct = self.connections.get_mut(id);
        if let Some(doom) = conduct.and_then(|conduct| conduct.doomed.get_mut(before))
            && (doom.rule == "frame.unknown-word" || rule.starts_with("auth.ars-"))
        {
            doom.rule = rule;
        }
    }

    fn ars(&mut self, id: &str, lines: &[Vec<u8>]) {
        let now = self.now;
        let ath = self.connections.get_mut(id).and_then(|one| one.ath.take());
        let Some(Ath { fields, .. }) = ath else {
            return self.report(id, Side::Server, "auth.ok-reply", "ARS without ATH");
        };
        let [_, ok, rest @ ..] = lines else { return };
        if ok != b"true" {
            if self.pauses.len() >= REMEMBERED {
                self.pauses.retain(|_, (earliest, _)| *earliest > now);
            }
            self.pauses.insert(
                fields,
                (now + Duration::from_secs(1), "auth.client-backoff"),
            );
            self.server_step(id, "AthBad", "ARS false");
            self.client_step(id, "ArsFalse", "ARS false");
            let again = |item: &Item| matches!(item, Item::Message(lines) if lines[0] == b"ATH");
            let conduct = self.connections.get_mut(id);
            let held = conduct.map(|conduct| std::mem::take(&mut conduct.held));
            if held.is_some_and(|held| held.iter().any(again)) {
                self.report(id, Side::Client, "auth.client-once", SECOND_ATH);
            }
            return;
        }
        let [timeout, token] = rest else { return };
        let seconds = integer(timeout).unwrap_or(0);
        let in_range = (1..=LARGEST).contains(&seconds);
        if !in_range {
            let seen = format!("a timeout of {seconds}");
            self.report(id, Side::Server, "auth.timeout-positive", seen.clone());
            self.client_step(id, "Malformed", &seen);
            let conduct = self.connections.get_mut(id);
            if let Some(doom) = conduct.and_then(|conduct| conduct.doomed.last_mut()) {
                doom.rule = "auth.timeout-range";
            }
            return;
        }
        if let Some(other) = self.tokens.get(token).copied() {
            let other = self.numbered(other).map(|login| login.connection.clone());
            let seen = format!("the token of {}", other.unwrap_or_default());
            self.report(id, Side::Server, "auth.token-unique", seen);
        }
        for login in &mut self.logins {
            if login.is_namesake(&fields) {
                login.replaced |= login.ended.is_none();
                // A server ends the older login before it answers, so its end can come first.
                self.suspects
                    .retain(|suspect| suspect.id != login.connection);
            }
        }
        let seconds = Duration::from_secs(seconds.unsigned_abs());
        let over = self.connections.get(id).map(|conduct| conduct.over);
        let over = over.unwrap_or(Transport::Plain);
        let login = Login::new(id, fields, token.clone(), seconds, (now, over));
        let number = self.begin_login(login);
        if let Some(conduct) = self.connections.get_mut(id) {
            conduct.login = Some(number);
        }
        self.server_step(id, "AthGood", "ATH");
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
            return self.client_step(id, "Mrs", "MRS");
        }
        let Some(first) = login.asked.iter().position(|asked| !asked.told) else {
            return self.late_mrs(id, port, ok);
        };
        let wanted = login.asked.get(first).map_or(0, |asked| asked.port);
        let Some(index) = login.asked.iter().position(|asked| asked.port == port) else {
            if let Some(asked) = login.asked.get_mut(first) {
                asked.told = true;
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
            let seen = format!("MRS {port} {ok} before that for MAP {wanted}");
            self.report(id, Side::Server, "map.order", seen);
        }
        if ok && !(1..=65535).contains(&port) {
            let seen = format!("MRS {port} true");
            self.report(id, Side::Server, "map.port-range", seen);
        } else if ok && own {
            let seen = format!("MRS {port} true, and this login has it already");
            self.report(id, Side::Server, "map.conflict-false", seen);
        } else if ok && let Some(holder) = holder {
            let seen = format!("MRS {port} true, and {holder} has it");
            self.report(id, Side::Server, "map.conflict-false", seen);
        } else if let Some(before) = replaced.filter(|_| !ok) {
            let seen = format!("MRS {port} false, and {before} of the same client has had it");
            self.report(id, Side::Server, "auth.same-name-replaces", seen);
        }
        self.client_step(id, "Mrs", "MRS");
    }

    /// An MRS where all that is owed has been told to be missing, or wrong.
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

    /// Another login that has a port for so long that its end cannot be under way.
    fn holder(&self, id: &str, port: i64) -> Option<String> {
        let mut open = self
            .logins
            .iter()
            .filter(|login| login.connection != id && login.ended.is_none() && !login.replaced);
        // A silent one may have been closed a moment ago.
        let (now, slack) = (self.now, self.limits.slack);
        let holder = open.find(|login| {
            let alive = now < login.last_srq + login.timeout.saturating_sub(slack);
            alive && login.mapped.contains_key(&port)
        });
        let holder = holder.filter(|login| {
            let conduct = self.connections.get(&login.connection);
            // The end of one that is held up may not have been seen.
            conduct.is_some_and(|conduct| {
                let seen = now > conduct.held_up + slack;
                seen && !conduct.is_doomed() && !conduct.excused
            })
        });
        holder.map(|login| login.connection.clone())
    }

    /// The login that was replaced by this one and has had the port, if nobody else has it.
    fn replaced_holder(&mut self, id: &str, port: i64) -> Option<String> {
        let fields = self.login(id)?.fields.clone();
        let other = |login: &&Login| login.connection != id && login.mapped.contains_key(&port);
        let mut holders = self.logins.iter().filter(other);
        if holders.any(|login| login.ended.is_none() && !login.replaced) {
            return None;
        }
        let mine = |login: &&Login| login.replaced && login.is_namesake(&fields);
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
        // A client may answer what it should not have been asked; it has to where it knows the mapping.
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
                    // A user who came just then.
                    conduct.doomed.retain(|doom| {
                        doom.told || doom.unless_asked != number.map(|number| (number, port))
                    });
                }
                self.client_step(id, "Trq", "TRQ");
            }
            // What was asked is not remembered.
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
        login.silence_told[2] = false;
        if !login.answer(now) {
            self.report(id, Side::Server, "keep.srs", "SRS answers no SRQ");
        }
        self.client_step(id, "Srs", "SRS");
    }
}

/// No server has more ports than these, and one that says so fills no memory.
const PORTS: usize = 65_536;

/// The most seconds that fit 64 bits of nanoseconds.
const LARGEST: i64 = 9_223_372_036;

fn conduct_is_up(monitor: &Monitor, id: &str) -> bool {
    let conduct = monitor.connections.get(id);
    conduct.is_some_and(|conduct| conduct.login.is_some())
}

/// The rule that lets the server send a message only when it was asked for.
fn unasked(lines: &[Vec<u8>]) -> &'static str {
    match lines.first().map(Vec::as_slice) {
        Some(b"MRS") => "map.one-reply",
        Some(b"SRS") => "keep.srs",
        Some(b"TRQ") => "tunnel.trq-port",
        _ => "auth.ok-reply",
    }
}

/// In the notation, shortened.
pub(super) fn shown(item: &Item) -> String {
    let shorten = |line: &[u8]| match line.get(..40) {
        Some(begin) if line.len() > 40 => [begin, b"..."].concat(),
        _ => line.to_vec(),
    };
    match item {
        Item::Message(lines) => {
            let lines: Vec<Vec<u8>> = lines.iter().map(|line| shorten(line)).collect();
            let message = Expectation::Message(transcript::message(&lines));
            let text = print_action(&Action::Expect(message));
            text.trim_start_matches("< ").to_owned()
        }
        Item::Fault(
            Fault::Word(line)
            | Fault::Integer(Field { line, .. })
            | Fault::Boolean(Field { line, .. }),
        ) => {
            let line = netroxy_specification::notation::ast::Template::bytes(shorten(line));
            let text = print_action(&Action::Expect(Expectation::Raw(line)));
            text.trim_start_matches("<< ").to_owned()
        }
        Item::Fault(Fault::Long { .. }) => "a long line".to_owned(),
    }
}

impl Monitor {
    /// Every integer as a sender has to write it.
    pub(super) fn check_integers(&mut self, id: &str, side: Side, lines: &[Vec<u8>]) {
        let index = match lines.first().map(Vec::as_slice) {
            Some(b"MAP" | b"MRS" | b"TRQ") => 1,
            Some(b"ARS" | b"TRS") => 2,
            _ => return,
        };
        let Some(line) = lines.get(index).filter(|line| !is_canonical(line)) else {
            return;
        };
        let seen = format!(
            "{} for an integer",
            shown(&Item::Fault(Fault::Word(line.clone())))
        );
        self.report(id, side, "frame.int-canonical", seen);
        // A receiver is free to close.
        if let Some(conduct) = self.connections.get_mut(id) {
            conduct.excused = true;
        }
    }
}
