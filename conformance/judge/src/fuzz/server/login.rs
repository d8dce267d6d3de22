//! Logins: valid and wrong ones, and their ends.

use std::collections::VecDeque;

use netroxy_specification::message::{ARS, ATH};
use netroxy_specification::notation::ast::{Action, Expectation, Side, Template};

use super::{Login, Server, client_name, port_of, target};
use crate::fuzz::malformed::{INTEGERS, malformed};
use crate::fuzz::steps::{
    CLOSED, CONNECT_SERVER, SILENCE, any_ars, ath, between, encoded, expect, from, join, map,
    message, mrs, segments, send, send_bytes, srq, srs, text, trs, var,
};

impl Server {
    /// A client logs in. With a port, its MAP and SRQ follow ATH without a wait.
    pub(super) fn login(&mut self, who: u32, pick: u32, port: Option<usize>) {
        if self.logins.contains_key(&who) {
            return;
        }
        let Some(step) = self.case.event(&self.table, "Fresh", "AthGood") else {
            return;
        };
        let actor = self.case.name('c');
        let token = format!("token_{actor}");
        let name = chosen_name(&actor, pick);
        self.case.act(&actor, CONNECT_SERVER);
        let ath = ath(name.clone());
        let free = port.filter(|port| self.ports[*port].is_none() && !self.undecided[*port]);
        if port.is_none() {
            self.case.act(&actor, send(ath));
        } else {
            let map = free.map(|port| encoded(&map(port_of(port), target(), true)));
            let bytes = [Some(encoded(&ath)), map, Some(encoded(&srq()))];
            let bytes = join(bytes.iter().flatten());
            self.case.act(&actor, segments(bytes, pick / 8));
        }
        let ars = expect(any_ars(Some(&token)));
        self.case.judge(&actor, ars, &[step.rule]);
        if port.is_some() {
            if let Some(port) = free {
                let mrs = expect(mrs(port_of(port), true));
                self.case.event(&self.table, "Control", "Map");
                let rules = ["frame.pipelining", "map.one-reply"];
                self.case.judge(&actor, mrs, &rules);
                self.ports[port] = Some((who, true));
            }
            self.case.event(&self.table, "Control", "Srq");
            let rules = ["frame.pipelining", "keep.srs"];
            self.case.judge(&actor, expect(srs()), &rules);
        }
        self.logged_in(who, Login { actor, token, name });
    }

    /// A client logs in on a connection that is already open; these rules judge the answer too.
    pub(super) fn log_in(&mut self, who: u32, actor: &str, pick: u32, rules: &[&'static str]) {
        let Some(step) = self.case.event(&self.table, "Fresh", "AthGood") else {
            return;
        };
        let token = format!("token_{actor}");
        let name = chosen_name(actor, pick);
        self.case.act(actor, send(ath(name.clone())));
        let mut rules = rules.to_vec();
        rules.push(step.rule);
        let ars = expect(any_ars(Some(&token)));
        self.case.judge(actor, ars, &rules);
        let actor = actor.to_owned();
        self.logged_in(who, Login { actor, token, name });
    }

    fn logged_in(&mut self, who: u32, login: Login) {
        if self.long {
            self.case.act(&login.actor, Action::Keep);
        }
        self.logins.insert(who, login);
    }

    /// A login with a wrong user name or password.
    pub(super) fn login_bad(&mut self, pick: u32) {
        if !self.may_be_rejected() {
            return;
        }
        let Some(step) = self.case.event(&self.table, "Fresh", "AthBad") else {
            return;
        };
        let c = self.case.name('c');
        self.case.act(&c, CONNECT_SERVER);
        let (user, password) = (var("username"), var("password"));
        let secrets = [
            (user.clone(), join([&text("not-"), &password])),
            (user.clone(), join([&password, &text(" ")])),
            (user.clone(), text("")),
            (user.clone(), join([&password, &text("\r")])),
            (join([&text("x"), &user]), password.clone()),
            (text(""), password.clone()),
            (password, user),
        ];
        let at = usize::try_from(pick).unwrap_or(0) % secrets.len();
        let (user, password) = secrets[at].clone();
        let ath = message(&ATH, [client_name(&c), user, password]);
        self.case.act(&c, send(ath));
        let rejected = expect(message(&ARS, [text("false")]));
        let rules = ["auth.fail-reply", "auth.exact"];
        self.case.judge(&c, rejected, &rules);
        self.case.judge(&c, CLOSED, &[step.rule]);
    }

    /// Whether the server must still answer a wrong login (section 14.4). If so, the login is counted.
    fn may_be_rejected(&mut self) -> bool {
        let is_answered = self.rejected < 3;
        self.rejected += u32::from(is_answered);
        is_answered
    }

    /// ATH on a control connection, valid or not.
    pub(super) fn login_again(&mut self, who: u32, pick: u32) {
        let Some(actor) = self.actor(who) else { return };
        let good = pick.is_multiple_of(2) || !self.may_be_rejected();
        let event = if good { "AthGood" } else { "AthBad" };
        let Some(step) = self.case.event(&self.table, "Control", event) else {
            return;
        };
        let name = client_name(&actor);
        if good {
            self.case.act(&actor, send(ath(name)));
        } else {
            let password = join([&text("not-"), &var("password")]);
            let ath = message(&ATH, [name, var("username"), password]);
            self.case.act(&actor, send(ath));
            let rejected = Expectation::Message(message(&ARS, [text("false")]));
            self.case
                .either(&actor, Expectation::Closed, rejected, step.rule);
        }
        self.case.judge(&actor, CLOSED, &[step.rule]);
        self.login_ended(who, "map.released-on-close");
    }

    /// A login with the client name of another one, which it replaces.
    pub(super) fn login_same_name(&mut self, who: u32) {
        let Some(old) = self.logins.get(&who) else {
            return;
        };
        let (old, name) = (old.actor.clone(), old.name.clone());
        let Some(place) = (0..4).find(|place| !self.logins.contains_key(place)) else {
            return;
        };
        let Some(step) = self.case.event(&self.table, "Fresh", "AthGood") else {
            return;
        };
        let actor = self.case.name('c');
        let token = format!("token_{actor}");
        self.case.act(&actor, CONNECT_SERVER);
        self.case.act(&actor, send(ath(name.clone())));
        let ars = expect(any_ars(Some(&token)));
        self.case.judge(&actor, ars, &["auth.same-name", step.rule]);
        // A login without a client name replaces none.
        if !name.pieces().is_empty()
            && let Some(step) = self.case.event(&self.table, "Control", "Replaced")
        {
            // The suite detects the replacement by the closed ports, if there are any.
            self.released(who, step.rule);
            self.case.act(&old, Action::Close);
            self.forget(who);
        }
        self.logged_in(place, Login { actor, token, name });
    }

    /// A new connection on which something else than a valid ATH or TRS comes.
    pub(super) fn first_other(&mut self, port: usize, pick: u32) {
        let event = ["Map", "Srq", "Malformed", "TrsBad", "Ended", "TrsBad"];
        let event = event[usize::try_from(pick % 6).unwrap_or(0)];
        let Some(step) = self.case.event(&self.table, "Fresh", event) else {
            return;
        };
        let x = self.case.name('x');
        self.case.act(&x, CONNECT_SERVER);
        let rule = match event {
            "Map" => {
                self.case.act(&x, send(map(port_of(port), target(), true)));
                step.rule
            }
            "Srq" => {
                self.case.act(&x, send(srq()));
                step.rule
            }
            "TrsBad" if (pick / 64).is_multiple_of(2) => {
                let integer = INTEGERS[usize::try_from(pick / 6).unwrap_or(0) % INTEGERS.len()];
                let trs = trs(text("no-token"), text(integer));
                self.case.act(&x, send_bytes(encoded(&trs)));
                "frame.int"
            }
            "TrsBad" => {
                self.case.act(&x, send(trs(text(""), port_of(port))));
                step.rule
            }
            "Ended" => {
                let ends = [Action::Reset, Action::Close, Action::Shutdown];
                let end = ends[usize::try_from(pick / 6 % 3).unwrap_or(0)].clone();
                self.case.act(&x, end);
                self.still_serves(step.rule);
                return;
            }
            _ => {
                let bad = malformed(Side::Server, port_of(port), pick / 6);
                self.case.act(&x, send_bytes(bad.bytes));
                if bad.lenient {
                    self.case.closed_or_silent(&x, bad.rule);
                    self.case.act(&x, Action::Close);
                    return;
                }
                "auth.first"
            }
        };
        self.case.judge(&x, CLOSED, &[rule]);
    }

    /// The client ends its control connection.
    pub(super) fn control_ends(&mut self, who: u32, how: Action) {
        let Some(actor) = self.actor(who) else { return };
        let Some(step) = self.case.event(&self.table, "Control", "Ended") else {
            return;
        };
        let half = how == Action::Shutdown;
        if half {
            // A connection that tests whether a port is closed may still be a user.
            self.case.act(&actor, Action::Ignore("TRQ".to_owned()));
        }
        self.case.act(&actor, how);
        self.released(who, step.rule);
        if half {
            self.case.judge(&actor, CLOSED, &[step.rule]);
        }
        self.forget(who);
    }

    pub(super) fn silence(&mut self, who: u32) {
        let Some(actor) = self.actor(who) else { return };
        let rules = ["tunnel.one-trq-per-user"];
        self.case.judge(&actor, SILENCE, &rules);
    }

    /// The login expires.
    pub(super) fn keepalive_lost(&mut self, who: u32) {
        if !self.is_alone(who) {
            return;
        }
        let Some(actor) = self.actor(who) else { return };
        self.case.event(&self.table, "Control", "Overdue");
        let rules = ["keep.expiry-bound", "keep.not-early"];
        let within = between(3_000, 4_500);
        self.case.judge_within(&actor, CLOSED, within, &rules);
        self.login_ended(who, "map.released-on-close");
    }

    /// An SRQ extends the login shortly before it expires.
    pub(super) fn keepalive_in_time(&mut self, who: u32) {
        if !self.is_alone(who) {
            return;
        }
        let Some(actor) = self.actor(who) else { return };
        let rules = ["keep.refresh"];
        self.case.judge_within(&actor, SILENCE, from(2_000), &rules);
        self.case.act(&actor, send(srq()));
        self.case.judge(&actor, expect(srs()), &["keep.srs"]);
    }

    /// Whether this login is the only one, and no user waits: nothing else expires while the act takes time.
    pub(super) fn is_alone(&self, who: u32) -> bool {
        self.logins.len() == 1
            && self.logins.contains_key(&who)
            && self.queues.iter().all(VecDeque::is_empty)
    }
}

/// The client name of a login: none, or one that no other connection uses.
fn chosen_name(actor: &str, pick: u32) -> Template {
    match pick % 8 {
        0 => text(""),
        _ => client_name(actor),
    }
}
