//! The answers to ATH, and the ends of logins.

use netroxy_specification::message::ARS;
use netroxy_specification::notation::ast::Action;

use super::Client;
use crate::fuzz::malformed::INTEGERS;
use crate::fuzz::steps::{
    CLOSED, SILENCE, any_ath, ars, between, encoded, expect, from, join, message, mrs, repeated,
    segments, send, send_bytes, srq, srs, text, trq, until, var,
};

impl Client {
    /// `ARS true`, and an answer to each MAP.
    pub(super) fn ars_true(&mut self, pick: u32, size: u32) {
        if self.up {
            return;
        }
        let repeats = pick % 6 == 1;
        let token = match pick % 6 {
            0 => text(""),
            1 => repeated(&text("t"), size.clamp(1, 4096)),
            2 => text(b" \0\x80\xff\t\"X "),
            3 => join([&var("token"), &text("\r")]),
            _ => var("token"),
        };
        let timeouts = match self.long {
            true => ["30", "10", "3600"],
            false => ["30", "9223372036", "3600"],
        };
        let timeout = timeouts[usize::try_from(pick / 6 % 3).unwrap_or(0)];
        let Some(step) = self.case.event(&self.table, "LoggingIn", "ArsTrue") else {
            return;
        };
        let ars = ars(timeout, token.clone());
        // A repeated string is no part of another one, so it is not cut.
        let action = match pick / 18 % 3 {
            2 if !repeats => segments(encoded(&ars), pick / 54),
            _ => send(ars),
        };
        self.case.act(&self.control, action);
        self.token = token;
        self.mapped(step.rule);
        self.in_a_row = 0;
    }

    /// The client sends a MAP for each of its mappings, and all are granted.
    fn mapped(&mut self, rule: &'static str) {
        // The client may send them in any order, and may wait for each answer.
        let rules = [rule, "life.client-survives"];
        self.case
            .judge(&self.control, Action::Maps(Vec::new()), &rules);
        self.case.event(&self.table, "Up", "Mrs");
        // This gives the client time to process the last MRS.
        self.case
            .judge_within(&self.control, SILENCE, from(100), &[rule]);
        self.up = true;
        if self.long {
            self.case.act(&self.control, Action::Keep);
        }
    }

    /// `ARS false`. The client must wait before it connects again.
    pub(super) fn ars_false(&mut self) {
        if self.up || !self.may_reconnect() {
            return;
        }
        let Some(step) = self.case.event(&self.table, "LoggingIn", "ArsFalse") else {
            return;
        };
        let ars = message(&ARS, [text("false")]);
        self.case.act(&self.control, send(ars));
        self.case.judge(&self.control, CLOSED, &[step.rule]);
        self.reconnects += 1;
        self.in_a_row += 1;
        self.case.event(&self.table, "Offline", "RetryDue");
        self.case.event(&self.table, "Connecting", "Connected");
        self.control = self.case.name('c');
        let rules = ["auth.client-backoff", "life.reconnect"];
        let within = between(1_000, 15_000);
        self.case
            .judge_within(&self.control, Action::Accept(None), within, &rules);
        let ath = expect(any_ath());
        self.case.judge(&self.control, ath, &["auth.client-first"]);
    }

    /// ARS with a timeout out of range, or one that is no integer.
    pub(super) fn ars_bad_timeout(&mut self, pick: u32) {
        if self.up || !self.may_reconnect() {
            return;
        }
        let out_of_range = [
            "0",
            "-1",
            "9223372037",
            "18446744073",
            "18446744074",
            "9223372036854775807",
            "-9223372036854775808",
        ];
        let at = usize::try_from(pick % 12).unwrap_or(0);
        let (timeout, rule) = match out_of_range.get(at) {
            Some(timeout) => (text(*timeout), "auth.timeout-range"),
            None => {
                let at = usize::try_from(pick / 12).unwrap_or(0) % INTEGERS.len();
                (text(INTEGERS[at]), "auth.ars-int")
            }
        };
        self.case.event(&self.table, "LoggingIn", "Malformed");
        let ars = message(&ARS, [text("true"), timeout, var("token")]);
        self.case.act(&self.control, send_bytes(encoded(&ars)));
        self.case.judge(&self.control, CLOSED, &[rule]);
        self.reconnects("life.client-survives");
    }

    /// Something else than ARS comes first.
    pub(super) fn answer_other(&mut self, pick: u32) {
        if self.up || !self.may_reconnect() {
            return;
        }
        let port = var(self.maps[0].port);
        match pick % 5 {
            0 => self.provoke("Srs", send(srs()), None),
            1 => self.provoke("Mrs", send(mrs(port, true)), None),
            2 => self.provoke("Trq", send(trq(port)), None),
            3 => {
                let http = text("HTTP/1.1 400 Bad Request\r\n\r\n");
                self.provoke("Malformed", send_bytes(http), None);
            }
            _ => {
                let booleans = ["True", "1", "", "true\r"];
                let boolean = booleans[usize::try_from(pick / 5 % 4).unwrap_or(0)];
                let ars = message(&ARS, [text(boolean), text("30"), var("token")]);
                let ars = send_bytes(encoded(&ars));
                self.provoke("Malformed", ars, Some("auth.ars-bool"));
            }
        }
    }

    /// The server ends the control connection.
    pub(super) fn control_ends(&mut self, how: Action) {
        if !self.may_reconnect() {
            return;
        }
        let Some(step) = self.case.event(&self.table, self.state(), "Ended") else {
            return;
        };
        self.case.act(&self.control, how);
        self.reconnects(step.rule);
    }

    /// A login with the shortest timeout; no SRS comes.
    pub(super) fn keepalive_lost(&mut self) {
        if self.up || !self.may_reconnect() {
            return;
        }
        let Some(step) = self.case.event(&self.table, "Up", "KeepaliveLost") else {
            return;
        };
        self.short_login();
        let ignore = Action::Ignore("SRQ".to_owned());
        self.case.act(&self.control, ignore);
        let rules = [step.rule, "keep.client-patience"];
        let within = between(1_000, 4_000);
        self.case
            .judge_within(&self.control, CLOSED, within, &rules);
        self.up = true;
        self.reconnects("life.reconnect");
    }

    /// A login with the shortest timeout; the client sends each SRQ in time. Then we end the connection.
    pub(super) fn keepalive_in_time(&mut self, pick: u32) {
        if self.up || !self.may_reconnect() {
            return;
        }
        let Some(step) = self.case.event(&self.table, "Up", "KeepaliveDue") else {
            return;
        };
        self.short_login();
        let rules = [step.rule, "keep.client-patience"];
        for _ in 0..=pick % 3 {
            self.case
                .judge_within(&self.control, expect(srq()), until(1_000), &rules);
            self.case.event(&self.table, "Up", "Srs");
            self.case.act(&self.control, send(srs()));
        }
        self.case.event(&self.table, "Up", "Ended");
        self.case.act(&self.control, Action::Shutdown);
        self.up = true;
        self.reconnects("life.reconnect");
    }

    /// `ARS true` with a timeout of 1 second.
    fn short_login(&mut self) {
        let Some(step) = self.case.event(&self.table, "LoggingIn", "ArsTrue") else {
            return;
        };
        self.case.act(&self.control, send(ars("1", var("token"))));
        self.case
            .judge(&self.control, Action::Maps(Vec::new()), &[step.rule]);
        self.in_a_row = 0;
    }
}
