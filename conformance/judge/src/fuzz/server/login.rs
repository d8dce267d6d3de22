//! Logins: how they begin, what they must not be, and how they end.

use std::collections::VecDeque;

use netroxy_specification::notation::ast::Side;

use super::{Login, PORTS, World, braced};
use crate::fuzz::draft::segments;
use crate::fuzz::malformed::{INTEGERS, malformed};

impl World {
    /// Opens a login at a free place; with a port, its MAP and SRQ come in the same breath.
    pub(super) fn login(&mut self, who: u32, pick: u32, port: Option<usize>) {
        if self.logins.contains_key(&who) {
            return;
        }
        let Some(step) = self.draft.event(&self.table, "Fresh", "AthGood") else {
            return;
        };
        let actor = self.draft.name('c');
        let token = format!("token_{actor}");
        let name = match pick % 8 {
            0 => String::new(),
            _ => format!("${{name}}-{actor}"),
        };
        self.draft.act(&actor, "connect server");
        let ath = format!("ATH\\n{name}\\n${{username}}\\n${{password}}\\n");
        let maps = port.filter(|port| self.ports[*port].is_none() && !self.spoilt[*port]);
        match port {
            None => self
                .draft
                .act(&actor, &format!("> ATH \"{name}\" $username $password")),
            Some(_) => {
                let map = maps.map_or_else(String::new, |port| {
                    format!("MAP\\n{}\\n127.0.0.1:9\\ntrue\\n", braced(port))
                });
                let text = format!("{ath}{map}SRQ\\n");
                self.draft.act(&actor, &segments(&text, pick / 8));
            }
        }
        let ars = format!("< ARS true _ ?{token}");
        self.draft.judge(&actor, &ars, &[step.rule]);
        if port.is_some() {
            if let Some(port) = maps {
                let mrs = format!("< MRS {} true", PORTS[port]);
                self.draft.event(&self.table, "Control", "Map");
                self.draft
                    .judge(&actor, &mrs, &["frame.pipelining", "map.one-reply"]);
                self.ports[port] = Some((who, true));
            }
            self.draft.event(&self.table, "Control", "Srq");
            self.draft
                .judge(&actor, "< SRS", &["frame.pipelining", "keep.srs"]);
        }
        self.logged_in(who, Login { actor, token, name });
    }

    /// A good login on a connection that is open, by these rules.
    pub(super) fn log_in(&mut self, who: u32, actor: &str, pick: u32, rules: &[&'static str]) {
        let Some(step) = self.draft.event(&self.table, "Fresh", "AthGood") else {
            return;
        };
        let token = format!("token_{actor}");
        let name = match pick % 8 {
            0 => String::new(),
            _ => format!("${{name}}-{actor}"),
        };
        self.draft
            .act(actor, &format!("> ATH \"{name}\" $username $password"));
        let mut rules = rules.to_vec();
        rules.push(step.rule);
        self.draft
            .judge(actor, &format!("< ARS true _ ?{token}"), &rules);
        let actor = actor.to_owned();
        self.logged_in(who, Login { actor, token, name });
    }

    fn logged_in(&mut self, who: u32, login: Login) {
        if self.long {
            self.draft.act(&login.actor, "keep");
        }
        self.logins.insert(who, login);
    }

    pub(super) fn login_bad(&mut self, pick: u32) {
        if !self.may_be_refused() {
            return;
        }
        let Some(step) = self.draft.event(&self.table, "Fresh", "AthBad") else {
            return;
        };
        let c = self.draft.name('c');
        self.draft.act(&c, "connect server");
        let secrets = [
            "$username \"not-$password\"",
            "$username \"$password \"",
            "$username \"\"",
            "$username \"${password}\\r\"",
            "\"x$username\" $password",
            "\"\" $password",
            "$password $username",
        ];
        let secret = secrets[usize::try_from(pick).unwrap_or(0) % secrets.len()];
        self.draft
            .act(&c, &format!("> ATH \"${{name}}-{c}\" {secret}"));
        self.draft
            .judge(&c, "< ARS false", &["auth.fail-reply", "auth.exact"]);
        self.draft.judge(&c, "< closed", &[step.rule]);
    }

    /// Whether one more wrong login is answered (section 14.4); if so, it is counted.
    fn may_be_refused(&mut self) -> bool {
        let is_answered = self.refused < 3;
        self.refused += u32::from(is_answered);
        is_answered
    }

    pub(super) fn login_again(&mut self, who: u32, pick: u32) {
        let Some(actor) = self.actor(who) else { return };
        let good = pick.is_multiple_of(2) || !self.may_be_refused();
        let event = if good { "AthGood" } else { "AthBad" };
        let Some(step) = self.draft.event(&self.table, "Control", event) else {
            return;
        };
        if good {
            let ath = format!("> ATH \"${{name}}-{actor}\" $username $password");
            self.draft.act(&actor, &ath);
        } else {
            let ath = format!("> ATH \"${{name}}-{actor}\" $username \"not-$password\"");
            self.draft.act(&actor, &ath);
            self.draft.either(&actor, "closed", "ARS false", step.rule);
        }
        self.draft.judge(&actor, "< closed", &[step.rule]);
        self.over(who, "map.released-on-close");
    }

    pub(super) fn login_replaces(&mut self, who: u32) {
        let Some(old) = self.logins.get(&who) else {
            return;
        };
        let (old, name) = (old.actor.clone(), old.name.clone());
        let Some(place) = (0..4).find(|place| !self.logins.contains_key(place)) else {
            return;
        };
        let Some(step) = self.draft.event(&self.table, "Fresh", "AthGood") else {
            return;
        };
        let actor = self.draft.name('c');
        let token = format!("token_{actor}");
        self.draft.act(&actor, "connect server");
        self.draft
            .act(&actor, &format!("> ATH \"{name}\" $username $password"));
        let ars = format!("< ARS true _ ?{token}");
        self.draft
            .judge(&actor, &ars, &["auth.same-name", step.rule]);
        // The empty name names nobody.
        if !name.is_empty()
            && let Some(step) = self.draft.event(&self.table, "Control", "Replaced")
        {
            // Where nothing is left to be released, nothing can be seen.
            self.release(who, step.rule);
            self.draft.act(&old, "> close");
            self.forget(who);
        }
        self.logged_in(place, Login { actor, token, name });
    }

    /// A new connection that does not log in.
    pub(super) fn stranger(&mut self, port: usize, pick: u32) {
        let event = ["Map", "Srq", "Malformed", "TrsBad", "Ended", "TrsBad"];
        let event = event[usize::try_from(pick % 6).unwrap_or(0)];
        let Some(step) = self.draft.event(&self.table, "Fresh", event) else {
            return;
        };
        let x = self.draft.name('x');
        self.draft.act(&x, "connect server");
        match event {
            "Map" => self
                .draft
                .act(&x, &format!("> MAP {} 127.0.0.1:9 true", PORTS[port])),
            "Srq" => self.draft.act(&x, "> SRQ"),
            "TrsBad" => {
                let integer = INTEGERS[usize::try_from(pick / 6).unwrap_or(0) % INTEGERS.len()];
                let (trs, rule) = match pick / 64 % 2 {
                    0 => (format!(">> \"TRS\\nno-token\\n{integer}\\n\""), "frame.int"),
                    _ => (format!("> TRS \"\" {}", PORTS[port]), step.rule),
                };
                self.draft.act(&x, &trs);
                self.draft.judge(&x, "< closed", &[rule]);
                return;
            }
            "Ended" => {
                let early = ["> reset", "> close", "> shutdown"];
                self.draft
                    .act(&x, early[usize::try_from(pick / 6 % 3).unwrap_or(0)]);
                self.serves_on(step.rule);
                return;
            }
            _ => {
                let bad = malformed(Side::Server, &braced(port), pick / 6);
                self.draft.act(&x, &format!(">> \"{}\"", bad.text));
                if bad.lenient {
                    self.draft.closed_or_silent(&x, bad.rule);
                    self.draft.act(&x, "> close");
                } else {
                    self.draft.judge(&x, "< closed", &["auth.first"]);
                }
                return;
            }
        }
        self.draft.judge(&x, "< closed", &[step.rule]);
    }

    /// The client ends its control connection.
    pub(super) fn leave(&mut self, who: u32, how: &str) {
        let Some(actor) = self.actor(who) else { return };
        let Some(step) = self.draft.event(&self.table, "Control", "Ended") else {
            return;
        };
        if how == "shutdown" {
            // Who tries a port can be a user.
            self.draft.act(&actor, "ignore TRQ");
        }
        self.draft.act(&actor, &format!("> {how}"));
        self.release(who, step.rule);
        if how == "shutdown" {
            self.draft.judge(&actor, "< closed", &[step.rule]);
        }
        self.forget(who);
    }

    pub(super) fn silence(&mut self, who: u32) {
        let Some(actor) = self.actor(who) else { return };
        self.draft
            .judge(&actor, "< silence", &["tunnel.one-trq-per-user"]);
    }

    /// Only where nobody else can run out of time.
    pub(super) fn expire(&mut self, who: u32) {
        if !self.is_timed(who) {
            return;
        }
        let Some(actor) = self.actor(who) else { return };
        self.draft.event(&self.table, "Control", "Overdue");
        let rules = ["keep.expiry-bound", "keep.not-early"];
        self.draft.judge(&actor, "< closed in 3s..4.5s", &rules);
        self.over(who, "map.released-on-close");
    }

    pub(super) fn in_time(&mut self, who: u32) {
        if !self.is_timed(who) {
            return;
        }
        let Some(actor) = self.actor(who) else { return };
        self.draft
            .judge(&actor, "< silence in 2s..", &["keep.refresh"]);
        self.draft.act(&actor, "> SRQ");
        self.draft.judge(&actor, "< SRS", &["keep.srs"]);
    }

    /// Whether nobody else is logged in, nor waits.
    pub(super) fn is_timed(&self, who: u32) -> bool {
        self.logins.len() == 1
            && self.logins.contains_key(&who)
            && self.queues.iter().all(VecDeque::is_empty)
    }
}
