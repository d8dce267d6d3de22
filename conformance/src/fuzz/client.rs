//! What the specification expects of a client, act by act. We are its server and its services.

use super::act::{Act, Kind};
use super::draft::{Draft, Known, payload, segments};
use super::malformed::{INTEGERS, malformed};
use super::tunnel::Tunnel;
use super::{Modelled, Plan};
use crate::notation::ast::Side;

/// The session as a case.
pub(super) fn model(plan: &Plan) -> Modelled {
    let mut world = World {
        draft: Draft::new(),
        table: Known::client(),
        joined: Known::tunnel(),
        maps: maps(plan.seed),
        control: String::new(),
        token: String::new(),
        up: false,
        returns: 0,
        in_a_row: 0,
        tunnels: Vec::new(),
    };
    world.arrive(&[]);
    for act in &plan.acts {
        world.play(*act);
        world.draft.end();
    }
    world.conclude();
    let config: Vec<String> = world.maps.iter().map(Map::setting).collect();
    world.draft.finish(plan, true, &config)
}

/// A mapping in the configuration of the client.
#[derive(Debug, Clone, Copy)]
struct Map {
    port: &'static str,
    target: &'static str,
    open: bool,
}

/// A service that listens, one that may not, and now and then a third.
fn maps(seed: u64) -> Vec<Map> {
    let map = |port, target, open| Map { port, target, open };
    let mut maps = vec![map("$port", "$target", true)];
    maps.push(map("$port2", "$dead_target", true));
    match seed % 3 {
        0 => maps.push(map("$port3", "$target2", true)),
        1 => maps.push(map("$port3", "$target", false)),
        _ => {}
    }
    maps
}

impl Map {
    /// As in the header of a case.
    fn setting(&self) -> String {
        let closed = if self.open { "" } else { " closed" };
        format!("map {} -> {}{closed}", self.port, self.target)
    }
}

struct World {
    draft: Draft,
    table: Known,
    joined: Known,
    maps: Vec<Map>,
    /// The control connection; it has sent ATH.
    control: String,
    /// The token of the login, as it is written in TRS.
    token: String,
    /// Whether ARS has been sent.
    up: bool,
    /// How often the client has come back.
    returns: u32,
    /// How often it has come back without a login in between: each time it waits for longer.
    in_a_row: u32,
    tunnels: Vec<Tunnel>,
}

/// More would take too long.
const RETURNS: u32 = 3;
/// A careful client then waits for longer than a step has time.
const IN_A_ROW: u32 = 2;

impl World {
    fn play(&mut self, act: Act) {
        let Act { pick, size, .. } = act;
        match act.kind {
            Kind::Accept => self.accept(pick, size),
            Kind::Refuse => self.refuse(),
            Kind::OddTimeout => self.odd_timeout(pick),
            Kind::NoAnswer => self.no_answer(pick),
            Kind::AnswerAgain => self.answer_again(pick),
            Kind::Answer => self.answer(pick),
            Kind::AliveUnasked => self.alive_unasked(size),
            Kind::Malformed => self.malformed(pick),
            Kind::Half => self.half(pick),
            Kind::Endless => self.endless(),
            Kind::Join => self.join(pick, None),
            Kind::JoinEarly => self.join(pick, Some(size)),
            Kind::JoinMany => self.join_many(pick, size),
            Kind::JoinUnknown => self.join_unknown(pick),
            Kind::JoinDead => self.join_dead(size),
            Kind::Say | Kind::SayBoth | Kind::End | Kind::Close | Kind::Reset => self.tunnel(act),
            Kind::Leave => self.leave("close"),
            Kind::LeaveHalf => self.leave("shutdown"),
            Kind::LeaveReset => self.leave("reset"),
            Kind::Silence => self.silence("tunnel.failure-keeps-control"),
            Kind::Expire => self.expire(),
            Kind::InTime => self.in_time(pick),
            // What is done to servers.
            Kind::Login
            | Kind::LoginTogether
            | Kind::LoginBad
            | Kind::LoginAgain
            | Kind::LoginReplaces
            | Kind::Map
            | Kind::MapBeyond
            | Kind::MapSpelt
            | Kind::Ask
            | Kind::Batch
            | Kind::Stranger
            | Kind::Users
            | Kind::UserSays
            | Kind::UserEnds
            | Kind::UserLeaves
            | Kind::UserResets
            | Kind::JoinBad
            | Kind::JoinUnasked
            | Kind::JoinOnControl => {}
        }
    }

    /// At the end it still is as the specification wants it.
    fn conclude(&mut self) {
        if self.up {
            self.silence("tunnel.failure-keeps-control");
        }
    }

    /// The client connects and says who it is.
    fn arrive(&mut self, rules: &[&'static str]) {
        self.draft.event(&self.table, "Offline", "RetryDue");
        let Some(step) = self.draft.event(&self.table, "Connecting", "Connected") else {
            return;
        };
        self.control = self.draft.name('c');
        self.draft.judge(&self.control, "accept", rules);
        let ath = "< ATH _ $username $password";
        self.draft.judge(&self.control, ath, &[step.rule]);
        self.up = false;
    }

    /// The control connection has ended: the client comes back.
    fn come_back(&mut self, rule: &'static str) {
        self.returns += 1;
        self.in_a_row += 1;
        if self.up {
            for tunnel in &mut self.tunnels {
                tunnel.outlive(&mut self.draft, &self.joined);
            }
        }
        self.arrive(&[rule]);
    }

    /// Whether the client can be made to come back once more.
    fn may_return(&self) -> bool {
        self.returns < RETURNS && self.in_a_row < IN_A_ROW
    }

    fn state(&self) -> &'static str {
        if self.up { "Up" } else { "LoggingIn" }
    }

    /// Does something after which the client has to end its control connection.
    fn provoke(&mut self, event: &str, verb: &str, exact: Option<&'static str>) {
        let Some(step) = self.draft.event(&self.table, self.state(), event) else {
            return;
        };
        self.draft.act(&self.control, verb);
        let rule = exact.unwrap_or(step.rule);
        self.draft.judge(&self.control, "< closed", &[rule]);
        self.come_back("life.reconnect");
    }

    fn accept(&mut self, pick: u32, size: u32) {
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
        let timeout = ["30", "9223372036", "3600"][usize::try_from(pick / 6 % 3).unwrap_or(0)];
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
        self.mapped(step.rule, pick / 54);
        self.in_a_row = 0;
    }

    /// The client asks for its mappings and is answered.
    fn mapped(&mut self, rule: &'static str, pick: u32) {
        for map in &self.maps {
            let text = format!("< MAP {} {} {}", map.port, map.target, map.open);
            self.draft
                .judge(&self.control, &text, &[rule, "life.client-survives"]);
        }
        let mut answers: Vec<String> = self
            .maps
            .iter()
            .map(|map| format!("> MRS {} true", map.port))
            .collect();
        if pick % 4 == 1 {
            answers.reverse();
        }
        for answer in answers {
            self.draft.event(&self.table, "Up", "Mrs");
            self.draft.act(&self.control, &answer);
        }
        // A mapping may be noted a little after it has been asked for.
        self.draft
            .judge(&self.control, "< silence in 0.1s..", &[rule]);
        self.up = true;
    }

    fn refuse(&mut self) {
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
        self.draft.judge(&self.control, "accept in 1s..8s", &rules);
        let ath = "< ATH _ $username $password";
        self.draft.judge(&self.control, ath, &["auth.client-first"]);
    }

    fn odd_timeout(&mut self, pick: u32) {
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
                (INTEGERS[at], "frame.int")
            }
        };
        self.draft.event(&self.table, "LoggingIn", "Malformed");
        let ars = format!(">> \"ARS\\ntrue\\n{odd}\\n${{token}}\\n\"");
        self.draft.act(&self.control, &ars);
        self.draft.judge(&self.control, "< closed", &[rule]);
        self.come_back("life.client-survives");
    }

    fn no_answer(&mut self, pick: u32) {
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
                self.provoke("Malformed", &ars, Some("frame.bool"));
            }
        }
    }

    fn answer_again(&mut self, pick: u32) {
        if !self.up || !self.may_return() {
            return;
        }
        match pick % 2 {
            0 => self.provoke("ArsTrue", ">> \"ARS\\ntrue\\n30\\nanother\\n\"", None),
            _ => self.provoke("ArsFalse", "> ARS false", None),
        }
    }

    fn answer(&mut self, pick: u32) {
        if !self.up {
            return;
        }
        self.draft.event(&self.table, "Up", "Mrs");
        let unmapped = ["1", "65536", "-5", "0"][usize::try_from(pick / 2 % 4).unwrap_or(0)];
        let answer = format!("> MRS {unmapped} {}", pick.is_multiple_of(2));
        self.draft.act(&self.control, &answer);
        self.silence("map.unasked");
    }

    fn alive_unasked(&mut self, size: u32) {
        if !self.up {
            return;
        }
        self.draft.event(&self.table, "Up", "Srs");
        let many = size.clamp(1, 500);
        self.draft
            .act(&self.control, &format!(">> \"SRS\\n\"*{many}"));
        self.silence("life.client-survives");
    }

    fn malformed(&mut self, pick: u32) {
        if !self.up || !self.may_return() {
            return;
        }
        self.draft.event(&self.table, "Up", "Malformed");
        let port = braced(self.maps[0].port);
        let bad = malformed(Side::Client, &port, pick);
        self.draft
            .act(&self.control, &segments(&bad.text, pick / 64));
        if bad.lenient {
            self.draft.closed_or_silent(&self.control, bad.rule);
            self.draft.act(&self.control, "> close");
        } else {
            self.draft.judge(&self.control, "< closed", &[bad.rule]);
        }
        self.come_back("life.reconnect");
    }

    /// Half a message and then the end: it never was.
    fn half(&mut self, pick: u32) {
        if !self.may_return() {
            return;
        }
        let port = braced(self.maps[0].port);
        let text = match self.up {
            true => format!("TRQ\\n{port}"),
            false => "ARS\\ntrue\\n30\\nhalf".to_owned(),
        };
        self.draft.event(&self.table, self.state(), "Ended");
        self.draft.act(&self.control, &format!(">> \"{text}\""));
        let end = if pick.is_multiple_of(2) {
            "> close"
        } else {
            "> shutdown"
        };
        self.draft.act(&self.control, end);
        self.come_back("frame.partial-no-effect");
    }

    fn endless(&mut self) {
        if !self.may_return() {
            return;
        }
        let head = if self.up { "" } else { "\"ARS\\ntrue\\n\" " };
        let verb = format!(">> {head}\"9\"*1048577");
        self.provoke("Malformed", &verb, Some("frame.line-bound"));
    }

    /// TRQ of a mapping with a service; what comes early is said before TRS is read.
    fn join(&mut self, pick: u32, early: Option<u32>) {
        let Some(map) = self.live(pick) else { return };
        if !self.up || self.tunnels.len() > 8 {
            return;
        }
        let Some(step) = self.draft.event(&self.joined, "Absent", "TrqMapped") else {
            return;
        };
        self.draft.event(&self.table, "Up", "Trq");
        let control = self.control.clone();
        match pick / 8 % 3 {
            2 => {
                let text = format!("TRQ\\n{}\\n", braced(map.port));
                self.draft.act(&control, &segments(&text, pick / 24));
            }
            _ => self.draft.act(&control, &format!("> TRQ {}", map.port)),
        }
        let (d, t) = (self.draft.name('d'), self.draft.name('t'));
        self.draft
            .judge(&d, "accept", &[step.rule, "frame.segmentation"]);
        let trs = format!("< TRS {} {}", self.token, map.port);
        let accept = format!("accept {}", map.target);
        let first = ["tunnel.trs-first-line", "auth.token-opaque"];
        let mut tunnel_ended = [false, false];
        match early {
            None => {
                self.draft.judge(&d, &trs, &first);
                self.draft.judge(&t, &accept, &["tunnel.target"]);
            }
            Some(size) => {
                self.draft.event(&self.joined, "Dialling", "Bytes");
                let from_user = payload(&format!("{d}:early"), size.min(40_000));
                let from_target = payload(&format!("{t}:banner"), size.min(40_000));
                let ends = (pick / 2).is_multiple_of(4);
                if pick.is_multiple_of(2) {
                    self.draft.act(&d, &format!(">> {from_user}"));
                    if ends {
                        self.draft.event(&self.joined, "Dialling", "EarlyEnd");
                        self.draft.act(&d, "> shutdown");
                        tunnel_ended[0] = true;
                    }
                }
                self.draft.judge(&t, &accept, &["tunnel.target"]);
                if pick % 2 == 1 {
                    self.draft.act(&t, &format!(">> {from_target}"));
                    if ends {
                        self.draft.event(&self.joined, "Dialling", "EarlyEnd");
                        self.draft.act(&t, "> shutdown");
                        tunnel_ended[1] = true;
                    }
                }
                self.draft.judge(&d, &trs, &first);
                let (hears, bytes) = match pick % 2 {
                    0 => (&t, &from_user),
                    _ => (&d, &from_target),
                };
                self.draft
                    .judge(hears, &format!("<< {bytes}"), &["tunnel.transparent"]);
                if ends {
                    self.draft.judge(hears, "< eof", &["tunnel.half-close"]);
                }
            }
        }
        self.draft.event(&self.joined, "Dialling", "BothOpen");
        self.tunnels.push(Tunnel::new([d, t], tunnel_ended));
    }

    /// Several in one segment; nobody can tell which target belongs to which data connection.
    fn join_many(&mut self, pick: u32, size: u32) {
        let Some(map) = self.live(pick) else { return };
        if !self.up {
            return;
        }
        self.draft.event(&self.table, "Up", "Trq");
        let Some(step) = self.draft.event(&self.joined, "Absent", "TrqMapped") else {
            return;
        };
        let count = 2 + size % 6;
        let trq = format!("TRQ\\n{}\\n", braced(map.port));
        let text = trq.repeat(usize::try_from(count).unwrap_or(2));
        let control = self.control.clone();
        self.draft.act(&control, &segments(&text, pick / 8));
        let pairs: Vec<(String, String)> = (0..count)
            .map(|_| (self.draft.name('d'), self.draft.name('t')))
            .collect();
        for (d, _) in &pairs {
            let rules = ["frame.pipelining", step.rule];
            self.draft.judge(d, "accept", &rules);
            let trs = format!("< TRS {} {}", self.token, map.port);
            self.draft.judge(d, &trs, &["tunnel.trs-first-line"]);
        }
        for (_, t) in &pairs {
            let accept = format!("accept {}", map.target);
            self.draft.judge(t, &accept, &["tunnel.target"]);
        }
        for (d, _) in &pairs {
            self.draft.act(d, "> close");
        }
        for (_, t) in &pairs {
            self.draft
                .judge(t, "< closed", &["tunnel.close-propagates"]);
        }
    }

    fn join_unknown(&mut self, pick: u32) {
        if !self.up {
            return;
        }
        self.draft.event(&self.joined, "Absent", "TrqUnknown");
        let port = ["1", "0", "65536", "-1", "9223372036854775807"]
            [usize::try_from(pick % 5).unwrap_or(0)];
        let control = self.control.clone();
        self.draft.act(&control, &format!("> TRQ {port}"));
        self.silence("tunnel.unknown-port-ignored");
    }

    fn join_dead(&mut self, size: u32) {
        let dead = |map: &&Map| map.target == "$dead_target";
        let Some(map) = self.maps.iter().find(dead).copied() else {
            return;
        };
        if !self.up {
            return;
        }
        self.draft.event(&self.table, "Up", "Trq");
        self.draft.event(&self.joined, "Absent", "TrqMapped");
        let Some(step) = self.draft.event(&self.joined, "Dialling", "TargetFailed") else {
            return;
        };
        let count = 1 + size % 3;
        let control = self.control.clone();
        self.draft.act(
            &control,
            &format!(">> \"TRQ\\n{}\\n\"*{count}", braced(map.port)),
        );
        for _ in 0..count {
            let d = self.draft.name('d');
            self.draft.judge(&d, "accept", &[step.rule]);
            let trs = format!("< TRS {} {}", self.token, map.port);
            self.draft.judge(&d, &trs, &[step.rule]);
            self.draft.judge(&d, "< closed", &[step.rule]);
        }
        self.silence("tunnel.failure-keeps-control");
    }

    fn tunnel(&mut self, act: Act) {
        let open = |one: &&mut Tunnel| !one.is_closed();
        let count = self.tunnels.iter_mut().filter(open).count();
        let at = usize::try_from(act.who).unwrap_or(0) % count.max(1);
        let Some(tunnel) = self.tunnels.iter_mut().filter(open).nth(at) else {
            return;
        };
        let (draft, table) = (&mut self.draft, &self.joined);
        match act.kind {
            Kind::Say => tunnel.say(draft, table, act.pick, act.size),
            Kind::SayBoth => tunnel.say_both(draft, table, act.size),
            Kind::End => tunnel.end(draft, table, act.pick, act.size),
            Kind::Close => tunnel.close(draft, table, act.pick, act.size),
            _ => tunnel.reset(draft, table, act.pick),
        }
    }

    /// The server ends the control connection.
    fn leave(&mut self, how: &str) {
        if !self.may_return() {
            return;
        }
        let Some(step) = self.draft.event(&self.table, self.state(), "Ended") else {
            return;
        };
        self.draft.act(&self.control, &format!("> {how}"));
        self.come_back(step.rule);
    }

    fn silence(&mut self, rule: &'static str) {
        if self.up {
            self.draft.judge(&self.control, "< silence", &[rule]);
        }
    }

    /// A login with the shortest timeout in which no SRS ever comes.
    fn expire(&mut self) {
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
    fn in_time(&mut self, pick: u32) {
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

    fn short_login(&mut self) {
        let Some(step) = self.draft.event(&self.table, "LoggingIn", "ArsTrue") else {
            return;
        };
        let control = self.control.clone();
        self.draft.act(&control, "> ARS true 1 $token");
        for map in &self.maps {
            let text = format!("< MAP {} {} {}", map.port, map.target, map.open);
            self.draft.judge(&control, &text, &[step.rule]);
        }
        for map in &self.maps {
            self.draft
                .act(&control, &format!("> MRS {} true", map.port));
        }
        self.in_a_row = 0;
    }

    /// A mapping whose service listens.
    fn live(&self, pick: u32) -> Option<Map> {
        let live: Vec<Map> = self
            .maps
            .iter()
            .copied()
            .filter(|map| map.target != "$dead_target" && map.open)
            .collect();
        let at = usize::try_from(pick).unwrap_or(0) % live.len().max(1);
        live.get(at).copied()
    }
}

/// The variable of a port, as it stands in a string.
fn braced(port: &str) -> String {
    format!("${{{}}}", port.trim_start_matches('$'))
}
