//! How its server answers a client, and how its logins end.

use super::World;
use crate::fuzz::draft::segments;
use crate::fuzz::malformed::INTEGERS;

impl World {
    pub(super) fn accept(&mut self, pick: u32, size: u32) {
        if self.up {
            return;
        }
        let token = match pick % 6 {
            0 => "\"\"".to_owned(),
            1 => format!("\"t\"*{}", size.clamp(1, 4096)),
            2 => "\" \\0\\x80\\xff\\t\\\"X \"".to_owned(),
            3 => "\"${token}\\r\"".to_owned(),
            _ => "$token".to_owned(),
        };
        let timeouts = match self.long {
            true => ["30", "10", "3600"],
            false => ["30", "9223372036", "3600"],
        };
        let timeout = timeouts[usize::try_from(pick / 6 % 3).unwrap_or(0)];
        let Some(step) = self.draft.event(&self.table, "LoggingIn", "ArsTrue") else {
            return;
        };
        if token.contains('*') {
            let ars = format!("> ARS true {timeout} {token}");
            self.draft.act(&self.control, &ars);
        } else {
            let text = match token.as_str() {
                "$token" => "${token}",
                quoted => quoted.trim_matches('"'),
            };
            // Whatever trims quotes must not take one from the token.
            let ars = format!("ARS\\ntrue\\n{timeout}\\n{text}\\n");
            match pick / 18 % 3 {
                0 | 1 => {
                    let ars = format!("> ARS true {timeout} {token}");
                    self.draft.act(&self.control, &ars);
                }
                _ => self.draft.act(&self.control, &segments(&ars, pick / 54)),
            }
        }
        self.token = token;
        self.mapped(step.rule);
        self.in_a_row = 0;
    }

    /// The client asks for its mappings and is answered.
    pub(super) fn mapped(&mut self, rule: &'static str) {
        // It may ask in any order, and wait for each answer before it asks for more.
        self.draft
            .judge(&self.control, "< maps", &[rule, "life.client-survives"]);
        self.draft.event(&self.table, "Up", "Mrs");
        // A mapping may be noted a little after it has been asked for.
        self.draft
            .judge(&self.control, "< silence in 0.1s..", &[rule]);
        self.up = true;
        if self.long {
            self.draft.act(&self.control, "keep");
        }
    }

    pub(super) fn refuse(&mut self) {
        if self.up || !self.may_return() {
            return;
        }
        let Some(step) = self.draft.event(&self.table, "LoggingIn", "ArsFalse") else {
            return;
        };
        self.draft.act(&self.control, "> ARS false");
        self.draft.judge(&self.control, "< closed", &[step.rule]);
        self.returns += 1;
        self.in_a_row += 1;
        self.draft.event(&self.table, "Offline", "RetryDue");
        self.draft.event(&self.table, "Connecting", "Connected");
        self.control = self.draft.name('c');
        let rules = ["auth.client-backoff", "life.reconnect"];
        self.draft.judge(&self.control, "accept in 1s..15s", &rules);
        let ath = "< ATH _ $username $password";
        self.draft.judge(&self.control, ath, &["auth.client-first"]);
    }

    pub(super) fn odd_timeout(&mut self, pick: u32) {
        if self.up || !self.may_return() {
            return;
        }
        let (odd, rule) = match pick % 12 {
            0 => ("0", "auth.timeout-range"),
            1 => ("-1", "auth.timeout-range"),
            2 => ("9223372037", "auth.timeout-range"),
            3 => ("18446744073", "auth.timeout-range"),
            4 => ("18446744074", "auth.timeout-range"),
            5 => ("9223372036854775807", "auth.timeout-range"),
            6 => ("-9223372036854775808", "auth.timeout-range"),
            _ => {
                let at = usize::try_from(pick / 12).unwrap_or(0) % INTEGERS.len();
                (INTEGERS[at], "auth.ars-int")
            }
        };
        self.draft.event(&self.table, "LoggingIn", "Malformed");
        let ars = format!(">> \"ARS\\ntrue\\n{odd}\\n${{token}}\\n\"");
        self.draft.act(&self.control, &ars);
        self.draft.judge(&self.control, "< closed", &[rule]);
        self.come_back("life.client-survives");
    }

    pub(super) fn no_answer(&mut self, pick: u32) {
        if self.up || !self.may_return() {
            return;
        }
        let port = self.maps[0].port;
        match pick % 5 {
            0 => self.provoke("Srs", "> SRS", None),
            1 => self.provoke("Mrs", &format!("> MRS {port} true"), None),
            2 => self.provoke("Trq", &format!("> TRQ {port}"), None),
            3 => self.provoke(
                "Malformed",
                ">> \"HTTP/1.1 400 Bad Request\\r\\n\\r\\n\"",
                None,
            ),
            _ => {
                let boolean =
                    ["True", "1", "", "true\\r"][usize::try_from(pick / 5 % 4).unwrap_or(0)];
                let ars = format!(">> \"ARS\\n{boolean}\\n30\\n${{token}}\\n\"");
                self.provoke("Malformed", &ars, Some("auth.ars-bool"));
            }
        }
    }

    /// The server ends the control connection.
    pub(super) fn leave(&mut self, how: &str) {
        if !self.may_return() {
            return;
        }
        let Some(step) = self.draft.event(&self.table, self.state(), "Ended") else {
            return;
        };
        self.draft.act(&self.control, &format!("> {how}"));
        self.come_back(step.rule);
    }

    /// A login with the shortest timeout in which no SRS ever comes.
    pub(super) fn expire(&mut self) {
        if self.up || !self.may_return() {
            return;
        }
        let Some(step) = self.draft.event(&self.table, "Up", "KeepaliveLost") else {
            return;
        };
        self.short_login();
        let control = self.control.clone();
        self.draft.act(&control, "ignore SRQ");
        let rules = [step.rule, "keep.client-patience"];
        self.draft.judge(&control, "< closed in 1s..4s", &rules);
        self.up = true;
        self.come_back("life.reconnect");
    }

    /// A login with the shortest timeout in which the client asks in time; then we close it.
    pub(super) fn in_time(&mut self, pick: u32) {
        if self.up || !self.may_return() {
            return;
        }
        let Some(step) = self.draft.event(&self.table, "Up", "KeepaliveDue") else {
            return;
        };
        self.short_login();
        let control = self.control.clone();
        for _ in 0..=pick % 3 {
            self.draft.judge(
                &control,
                "< SRQ in ..1s",
                &[step.rule, "keep.client-patience"],
            );
            self.draft.event(&self.table, "Up", "Srs");
            self.draft.act(&control, "> SRS");
        }
        self.draft.event(&self.table, "Up", "Ended");
        self.draft.act(&control, "> shutdown");
        self.up = true;
        self.come_back("life.reconnect");
    }

    pub(super) fn short_login(&mut self) {
        let Some(step) = self.draft.event(&self.table, "LoggingIn", "ArsTrue") else {
            return;
        };
        let control = self.control.clone();
        self.draft.act(&control, "> ARS true 1 $token");
        self.draft.judge(&control, "< maps", &[step.rule]);
        self.in_a_row = 0;
    }
}
