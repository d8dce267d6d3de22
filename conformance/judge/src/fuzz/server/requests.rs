//! Requests on a control connection, valid and malformed.

use netroxy_specification::notation::ast::{Action, Expectation, Side, Template};

use super::{Server, client_name, port_of, target};
use crate::fuzz::malformed::malformed;
use crate::fuzz::steps::{
    CLOSED, CONNECT_SERVER, ath, encoded, expect, expect_bytes, join, map, mrs, repeated, segments,
    send, send_bytes, srq, srs, step, text, trs, var,
};

/// How many ports a race opens; the suite has some thousands for all sessions.
const RACE_PORTS: u32 = 100;

impl Server {
    /// MAP of one of three ports, which may be taken.
    pub(super) fn map(&mut self, who: u32, port: usize, pick: u32, size: u32) {
        let Some(actor) = self.actor(who) else { return };
        if self.undecided[port] {
            return;
        }
        let Some(step) = self.case.event(&self.table, "Control", "Map") else {
            return;
        };
        let target = match pick / 8 % 6 {
            0 => text(""),
            1 => repeated(&text("t"), size.clamp(1, 4096)),
            2 => text(b"\xff\xfe:80"),
            3 => text("[::1]:80\r"),
            _ => target(),
        };
        let open = pick % 8 < 6;
        self.case
            .act(&actor, send(map(port_of(port), target, open)));
        let free = self.ports[port].is_none();
        let answer = expect(mrs(port_of(port), free));
        if free {
            self.ports[port] = Some((who, open));
            let rules = [step.rule, "map.same-port"];
            self.case.judge(&actor, answer, &rules);
        } else {
            let rules = ["map.conflict-false", step.rule];
            self.case.judge(&actor, answer, &rules);
        }
    }

    /// MAP of a port that does not exist, or of the control port.
    pub(super) fn map_beyond(&mut self, who: u32, pick: u32) {
        let Some(actor) = self.actor(who) else { return };
        if self.case.event(&self.table, "Control", "Map").is_none() {
            return;
        }
        let out_of_range = [
            "0",
            "-1",
            "65536",
            "70000",
            "9223372036854775807",
            "-9223372036854775808",
        ];
        let at = usize::try_from(pick).unwrap_or(0) % (out_of_range.len() + 1);
        let (port, rule) = match out_of_range.get(at) {
            Some(port) => (text(*port), "map.port-range"),
            None => (var("control"), "map.conflict-false"),
        };
        self.case
            .act(&actor, send(map(port.clone(), target(), true)));
        self.case.judge(&actor, expect(mrs(port, false)), &[rule]);
    }

    /// MAP of a port with a sign or leading zeros. The server may accept it or close the connection, so the connection
    /// is not used after that.
    pub(super) fn map_spelling(&mut self, who: u32, port: usize, pick: u32) {
        let Some(actor) = self.actor(who) else { return };
        if self.ports[port].is_some() || self.undecided[port] {
            return;
        }
        let sign = ["+", "0", "000"][usize::try_from(pick).unwrap_or(0) % 3];
        let spelling = join([&text(sign), &port_of(port)]);
        self.case.act(&actor, send(map(spelling, target(), true)));
        let accepted = Expectation::Message(mrs(port_of(port), true));
        let rule = "frame.int-canonical";
        self.case
            .either(&actor, accepted, Expectation::Closed, rule);
        self.ports[port] = Some((who, true));
        self.case.act(&actor, Action::Close);
        self.login_ended(who, "map.released-on-close");
    }

    /// One SRQ, or many at once.
    pub(super) fn srq(&mut self, who: u32, size: u32) {
        let Some(actor) = self.actor(who) else { return };
        let Some(step) = self.case.event(&self.table, "Control", "Srq") else {
            return;
        };
        if size < 2 {
            self.case.act(&actor, send(srq()));
            self.case.judge(&actor, expect(srs()), &[step.rule]);
        } else {
            let many = size.min(2000);
            let requests = repeated(&encoded(&srq()), many);
            let answers = repeated(&encoded(&srs()), many);
            self.case.act(&actor, send_bytes(requests));
            let rules = [step.rule, "frame.pipelining"];
            self.case.judge(&actor, expect_bytes(answers), &rules);
        }
    }

    /// Four requests in one segment or cut anywhere; the answers come in the same order.
    pub(super) fn batch(&mut self, who: u32, port: usize, pick: u32) {
        let Some(actor) = self.actor(who) else { return };
        let (mut requests, mut answers) = (Vec::new(), Vec::new());
        for (turn, what) in [pick, pick / 3, pick / 9, pick / 27]
            .into_iter()
            .enumerate()
        {
            let port = (port + turn) % 3;
            match what % 3 {
                0 => {
                    self.case.event(&self.table, "Control", "Srq");
                    requests.push(srq());
                    answers.push((srs(), "keep.srs"));
                }
                1 if !self.undecided[port] => {
                    self.case.event(&self.table, "Control", "Map");
                    let free = self.ports[port].is_none();
                    requests.push(map(port_of(port), text("a:1"), true));
                    answers.push((mrs(port_of(port), free), "map.order"));
                    self.ports[port].get_or_insert((who, true));
                }
                _ => {
                    requests.push(map(text("65536"), text(""), false));
                    answers.push((mrs(text("65536"), false), "map.port-range"));
                }
            }
        }
        let bytes: Vec<Template> = requests.iter().map(encoded).collect();
        self.case.act(&actor, segments(join(&bytes), pick / 81));
        for (answer, rule) in answers {
            let rules = match rule {
                "map.port-range" => vec![rule],
                _ => vec!["frame.pipelining", rule, "frame.segmentation"],
            };
            self.case.judge(&actor, expect(answer), &rules);
        }
    }

    /// A client opens ports one after the other. At the same time, data connections without a TRQ come, so the server
    /// reads and changes its mappings at the same time.
    pub(super) fn map_race(&mut self, who: u32) {
        let Some(login) = self.logins.get(&who) else {
            return;
        };
        if std::mem::replace(&mut self.other_ports_used, true) {
            return;
        }
        let (actor, token) = (login.actor.clone(), var(&login.token));
        self.case.event(&self.table, "Control", "Map");
        self.case.event(&self.table, "Fresh", "TrsBad");
        // The connections are opened first, so that MAP and all TRS come at the same moment.
        let strangers = [(); 3].map(|()| self.case.name('x'));
        let connect = strangers.iter().map(|x| step(x, CONNECT_SERVER, &[]));
        let map = step(&actor, send(map(var("nth_port"), target(), true)), &[]);
        let trs = send(trs(token, text("1")));
        let join = strangers.iter().map(|x| step(x, trs.clone(), &[]));
        self.case
            .block(RACE_PORTS, false, connect.chain([map]).chain(join));
        let rules = ["map.one-reply", "map.order"];
        let mrs = step(&actor, expect(mrs(var("nth_port"), true)), &rules);
        self.case.block(RACE_PORTS, false, [mrs]);
    }

    /// A malformed message on a control connection.
    pub(super) fn malformed(&mut self, who: u32, port: usize, pick: u32) {
        let Some(actor) = self.actor(who) else { return };
        if self
            .case
            .event(&self.table, "Control", "Malformed")
            .is_none()
        {
            return;
        }
        let bad = malformed(Side::Server, port_of(port), pick);
        self.case.act(&actor, segments(bad.bytes, pick / 64));
        if bad.lenient {
            self.case.closed_or_silent(&actor, bad.rule);
            self.case.act(&actor, Action::Close);
        } else {
            self.case.judge(&actor, CLOSED, &[bad.rule]);
        }
        self.login_ended(who, "map.released-on-close");
    }

    /// A part of a message, then the end of the connection. The part must have no effect.
    pub(super) fn half_message(&mut self, who: u32, port: usize, pick: u32) {
        let free = self.ports[port].is_none();
        let end = match pick % 2 {
            0 => Action::Close,
            _ => Action::Reset,
        };
        if let Some(actor) = self.actor(who).filter(|_| free && pick % 4 < 2) {
            self.case.event(&self.table, "Control", "Ended");
            let parts = [
                &text("SRQ\nMAP\n"),
                &port_of(port),
                &text("\n127.0.0.1:9\ntrue"),
            ];
            self.case.act(&actor, send_bytes(join(parts)));
            self.case.judge(&actor, expect(srs()), &["keep.srs"]);
            self.case.act(&actor, end);
            self.login_ended(who, "map.released-on-close");
        } else {
            self.case.event(&self.table, "Fresh", "Ended");
            let x = self.case.name('x');
            self.case.act(&x, CONNECT_SERVER);
            let ath = encoded(&ath(client_name("half")));
            let bytes = match pick / 4 % 4 {
                0 => join([
                    &text("ATH\n"),
                    &client_name("half"),
                    &text("\n"),
                    &var("username"),
                    &text("\n"),
                    &var("password"),
                ]),
                1 => join([&text("TRS\nno-token\n"), &port_of(port)]),
                2 => text("A"),
                _ => join([&ath, &text("MAP\n"), &port_of(port), &text("\n1")]),
            };
            self.case.act(&x, send_bytes(bytes));
            self.case.act(&x, end);
            self.still_serves("life.survives-abort");
        }
        if free {
            let none = self.case.name('n');
            let refused = Action::Refused(port_of(port));
            self.case
                .judge(&none, refused, &["frame.partial-no-effect"]);
        }
    }

    /// A line of more than a mebibyte: a word, a port or a target.
    pub(super) fn endless_line(&mut self, who: u32, pick: u32) {
        let Some(actor) = self.actor(who) else { return };
        self.case.event(&self.table, "Control", "Malformed");
        let head = ["", "MAP\n", "MAP\n1\n"][usize::try_from(pick % 3).unwrap_or(0)];
        let head = (!head.is_empty()).then(|| text(head));
        let line = repeated(&text("9"), 1_048_577);
        let segments = head.into_iter().chain([line]).collect();
        self.case.act(&actor, Action::SendRaw(segments));
        self.case.judge(&actor, CLOSED, &["frame.line-bound"]);
        self.login_ended(who, "map.released-on-close");
    }
}
