//! What somebody who is logged in asks for, well and badly.

use netroxy_specification::notation::ast::Side;

use super::{PORTS, World, braced};
use crate::fuzz::draft::segments;
use crate::fuzz::malformed::malformed;

/// How many ports; a suite has some thousands for all of its sessions.
const RUSH: u32 = 100;

impl World {
    pub(super) fn map(&mut self, who: u32, port: usize, pick: u32, size: u32) {
        let Some(actor) = self.actor(who) else { return };
        if self.spoilt[port] {
            return;
        }
        let Some(step) = self.draft.event(&self.table, "Control", "Map") else {
            return;
        };
        let target = match pick / 8 % 6 {
            0 => "\"\"".to_owned(),
            1 => format!("\"t\"*{}", size.clamp(1, 4096)),
            2 => "\"\\xff\\xfe:80\"".to_owned(),
            3 => "\"[::1]:80\\r\"".to_owned(),
            _ => "127.0.0.1:9".to_owned(),
        };
        let open = pick % 8 < 6;
        self.draft
            .act(&actor, &format!("> MAP {} {target} {open}", PORTS[port]));
        let free = self.ports[port].is_none();
        let answer = format!("< MRS {} {free}", PORTS[port]);
        if free {
            self.ports[port] = Some((who, open));
            self.draft
                .judge(&actor, &answer, &[step.rule, "map.same-port"]);
        } else {
            self.draft
                .judge(&actor, &answer, &["map.conflict-false", step.rule]);
        }
    }

    pub(super) fn map_beyond(&mut self, who: u32, pick: u32) {
        let Some(actor) = self.actor(who) else { return };
        if self.draft.event(&self.table, "Control", "Map").is_none() {
            return;
        }
        let ports = [
            "0",
            "-1",
            "65536",
            "70000",
            "9223372036854775807",
            "-9223372036854775808",
            "$control",
        ];
        let port = ports[usize::try_from(pick).unwrap_or(0) % ports.len()];
        let rule = match port {
            "$control" => "map.conflict-false",
            _ => "map.port-range",
        };
        self.draft
            .act(&actor, &format!("> MAP {port} 127.0.0.1:9 true"));
        self.draft
            .judge(&actor, &format!("< MRS {port} false"), &[rule]);
    }

    /// A receiver is free to take another spelling or to close, so nothing is done on the connection behind it.
    pub(super) fn map_spelt(&mut self, who: u32, port: usize, pick: u32) {
        let Some(actor) = self.actor(who) else { return };
        if self.ports[port].is_some() || self.spoilt[port] {
            return;
        }
        let sign = ["+", "0", "000"][usize::try_from(pick).unwrap_or(0) % 3];
        let map = format!("> MAP \"{sign}{}\" 127.0.0.1:9 true", braced(port));
        self.draft.act(&actor, &map);
        let mrs = format!("MRS {} true", PORTS[port]);
        self.draft
            .either(&actor, &mrs, "closed", "frame.int-canonical");
        self.ports[port] = Some((who, true));
        self.draft.act(&actor, "> close");
        self.over(who, "map.released-on-close");
    }

    pub(super) fn ask(&mut self, who: u32, size: u32) {
        let Some(actor) = self.actor(who) else { return };
        let Some(step) = self.draft.event(&self.table, "Control", "Srq") else {
            return;
        };
        if size < 2 {
            self.draft.act(&actor, "> SRQ");
            self.draft.judge(&actor, "< SRS", &[step.rule]);
        } else {
            let many = size.min(2000);
            self.draft.act(&actor, &format!(">> \"SRQ\\n\"*{many}"));
            let answers = format!("<< \"SRS\\n\"*{many}");
            self.draft
                .judge(&actor, &answers, &[step.rule, "frame.pipelining"]);
        }
    }

    /// Requests in one segment or cut, answered in their order.
    pub(super) fn batch(&mut self, who: u32, port: usize, pick: u32) {
        let Some(actor) = self.actor(who) else { return };
        let (mut text, mut answers) = (String::new(), Vec::new());
        for (turn, what) in [pick, pick / 3, pick / 9, pick / 27]
            .into_iter()
            .enumerate()
        {
            let port = (port + turn) % 3;
            match what % 3 {
                0 => {
                    self.draft.event(&self.table, "Control", "Srq");
                    text.push_str("SRQ\\n");
                    answers.push(("< SRS".to_owned(), "keep.srs"));
                }
                1 if !self.spoilt[port] => {
                    self.draft.event(&self.table, "Control", "Map");
                    let free = self.ports[port].is_none();
                    text.push_str(&format!("MAP\\n{}\\na:1\\ntrue\\n", braced(port)));
                    answers.push((format!("< MRS {} {free}", PORTS[port]), "map.order"));
                    self.ports[port].get_or_insert((who, true));
                }
                _ => {
                    text.push_str("MAP\\n65536\\n\\nfalse\\n");
                    answers.push(("< MRS 65536 false".to_owned(), "map.port-range"));
                }
            }
        }
        self.draft.act(&actor, &segments(&text, pick / 81));
        for (answer, rule) in answers {
            let rules = match rule {
                "map.port-range" => vec![rule],
                _ => vec!["frame.pipelining", rule, "frame.segmentation"],
            };
            self.draft.judge(&actor, &answer, &rules);
        }
    }

    /// Ports are opened one by one while data connections come that belong to nobody: whatever both look at, they look
    /// at together.
    pub(super) fn rush(&mut self, who: u32) {
        let Some(login) = self.logins.get(&who) else {
            return;
        };
        // The ports are the same in each block of a session.
        if std::mem::replace(&mut self.rushed, true) {
            return;
        }
        let (actor, token) = (login.actor.clone(), login.token.clone());
        self.draft.event(&self.table, "Control", "Map");
        self.draft.event(&self.table, "Fresh", "TrsBad");
        // They are open before, so that all of it comes at the same moment.
        let strangers = [(); 3].map(|()| self.draft.name('x'));
        let mut turn: Vec<String> = Vec::new();
        turn.extend(strangers.iter().map(|x| format!("{x} connect server")));
        turn.push(format!("{actor} > MAP $nth_port 127.0.0.1:9 true"));
        let trs = |x: &String| format!("{x} > TRS \"${{{token}}}\" 1");
        turn.extend(strangers.iter().map(trs));
        self.draft.repeat(RUSH, &turn, &[]);
        let answer = format!("{actor} < MRS $nth_port true");
        self.draft
            .repeat(RUSH, &[answer], &["map.one-reply", "map.order"]);
    }

    pub(super) fn malformed(&mut self, who: u32, port: usize, pick: u32) {
        let Some(actor) = self.actor(who) else { return };
        if self
            .draft
            .event(&self.table, "Control", "Malformed")
            .is_none()
        {
            return;
        }
        let bad = malformed(Side::Server, &braced(port), pick);
        self.draft.act(&actor, &segments(&bad.text, pick / 64));
        if bad.lenient {
            self.draft.closed_or_silent(&actor, bad.rule);
            self.draft.act(&actor, "> close");
        } else {
            self.draft.judge(&actor, "< closed", &[bad.rule]);
        }
        self.over(who, "map.released-on-close");
    }

    /// Half a message and then the end: it never was.
    pub(super) fn half(&mut self, who: u32, port: usize, pick: u32) {
        let free = self.ports[port].is_none();
        let end = ["> close", "> reset"][usize::try_from(pick % 2).unwrap_or(0)];
        let port_text = braced(port);
        if let Some(actor) = self.actor(who).filter(|_| free && pick % 4 < 2) {
            self.draft.event(&self.table, "Control", "Ended");
            self.draft.act(
                &actor,
                &format!(">> \"SRQ\\nMAP\\n{port_text}\\n127.0.0.1:9\\ntrue\""),
            );
            self.draft.judge(&actor, "< SRS", &["keep.srs"]);
            self.draft.act(&actor, end);
            self.over(who, "map.released-on-close");
        } else {
            self.draft.event(&self.table, "Fresh", "Ended");
            let x = self.draft.name('x');
            self.draft.act(&x, "connect server");
            let texts = [
                "ATH\\n${name}-half\\n${username}\\n${password}".to_owned(),
                format!("TRS\\nno-token\\n{port_text}"),
                "A".to_owned(),
                format!(
                    "ATH\\n${{name}}-half\\n${{username}}\\n${{password}}\\nMAP\\n{port_text}\\n1"
                ),
            ];
            let text = &texts[usize::try_from(pick / 4 % 4).unwrap_or(0)];
            self.draft.act(&x, &format!(">> \"{text}\""));
            self.draft.act(&x, end);
            self.serves_on("life.survives-abort");
        }
        if free {
            let none = self.draft.name('n');
            let refused = format!("refused {}", PORTS[port]);
            self.draft
                .judge(&none, &refused, &["frame.partial-no-effect"]);
        }
    }

    pub(super) fn endless(&mut self, who: u32, pick: u32) {
        let Some(actor) = self.actor(who) else { return };
        self.draft.event(&self.table, "Control", "Malformed");
        let head = ["", "MAP\\n", "MAP\\n1\\n"][usize::try_from(pick % 3).unwrap_or(0)];
        let head = match head {
            "" => String::new(),
            head => format!("\"{head}\" "),
        };
        self.draft.act(&actor, &format!(">> {head}\"9\"*1048577"));
        self.draft.judge(&actor, "< closed", &["frame.line-bound"]);
        self.over(who, "map.released-on-close");
    }
}
