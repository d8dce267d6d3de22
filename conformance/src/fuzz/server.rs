//! What the specification expects of a server, act by act.

use std::collections::{BTreeMap, VecDeque};

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
        table: Known::server(),
        tunnels: Known::tunnel(),
        logins: BTreeMap::new(),
        users: Vec::new(),
        queues: Default::default(),
        ports: [None; 3],
        spoilt: [false; 3],
        stale: None,
        short: plan.short,
    };
    for act in &plan.acts {
        if plan.short {
            world.keep_alive();
        }
        world.play(*act);
        world.draft.end();
    }
    world.conclude();
    let config: &[String] = match plan.short {
        true => &["timeout 3".to_owned()],
        false => &[],
    };
    world.draft.finish(plan, true, config)
}

/// What the server has to have in mind.
struct World {
    draft: Draft,
    table: Known,
    tunnels: Known,
    /// Who is logged in, by the number of its place.
    logins: BTreeMap<u32, Login>,
    /// Everybody who has ever come.
    users: Vec<User>,
    /// The waiting users of each port.
    queues: [VecDeque<usize>; 3],
    /// Whose each port is, and whether the mapping is open.
    ports: [Option<(u32, bool)>; 3],
    /// Ports of which a server that is allowed to do otherwise may think otherwise from now on.
    spoilt: [bool; 3],
    /// A token that is none any more.
    stale: Option<String>,
    /// Whether time matters.
    short: bool,
}

struct Login {
    actor: String,
    token: String,
    /// The client name.
    name: String,
}

struct User {
    actor: String,
    port: usize,
    /// What it has said before it was served.
    said: Vec<String>,
    ended: bool,
    /// Whether we have closed it.
    gone: bool,
    tunnel: Option<Tunnel>,
}

const PORTS: [&str; 3] = ["$port", "$port2", "$port3"];

impl World {
    fn play(&mut self, act: Act) {
        let Act {
            who, pick, size, ..
        } = act;
        let port = usize::try_from(act.port).unwrap_or(0) % 3;
        match act.kind {
            Kind::Login => self.login(who, pick, None),
            Kind::LoginTogether => self.login(who, pick, Some(port)),
            Kind::LoginBad => self.login_bad(pick),
            Kind::LoginAgain => self.login_again(who, pick),
            Kind::LoginReplaces => self.login_replaces(who),
            Kind::Map => self.map(who, port, pick, size),
            Kind::MapBeyond => self.map_beyond(who, pick),
            Kind::MapSpelt => self.map_spelt(who, port, pick),
            Kind::Ask => self.ask(who, size),
            Kind::Batch => self.batch(who, port, pick),
            Kind::Malformed => self.malformed(who, port, pick),
            Kind::Stranger => self.stranger(port, pick),
            Kind::Half => self.half(who, port, pick),
            Kind::Endless => self.endless(who, pick),
            Kind::Users => self.come(port, pick),
            Kind::UserSays => self.user_says(port, who, size),
            Kind::UserEnds => self.user_ends(port, who),
            Kind::UserLeaves => self.user_leaves(port, size),
            Kind::UserResets => self.user_resets(port, who),
            Kind::Join => self.join(port, pick, None),
            Kind::JoinEarly => self.join(port, pick, Some(size)),
            Kind::JoinBad => self.join_bad(who, port, pick),
            Kind::JoinUnasked => self.join_unasked(port),
            Kind::JoinOnControl => self.join_on_control(who, port, pick),
            Kind::Say | Kind::SayBoth | Kind::End | Kind::Close | Kind::Reset => self.tunnel(act),
            Kind::Leave => self.leave(who, "close"),
            Kind::LeaveReset => self.leave(who, "reset"),
            Kind::LeaveHalf => self.leave(who, "shutdown"),
            Kind::Silence => self.silence(who),
            Kind::Expire => self.expire(who),
            Kind::InTime => self.in_time(who),
            // What is done to clients.
            Kind::Accept
            | Kind::Refuse
            | Kind::OddTimeout
            | Kind::NoAnswer
            | Kind::AnswerAgain
            | Kind::Answer
            | Kind::AliveUnasked
            | Kind::JoinMany
            | Kind::JoinUnknown
            | Kind::JoinDead => {}
        }
    }

    /// Where time matters, an act must not take it from those who are logged in.
    fn keep_alive(&mut self) {
        for login in self.logins.values() {
            self.draft.act(&login.actor, "> SRQ");
            self.draft.judge(&login.actor, "< SRS", &["keep.srs"]);
        }
    }

    /// At the end everybody is still as the specification wants it.
    fn conclude(&mut self) {
        for login in self.logins.values() {
            self.draft
                .judge(&login.actor, "< silence", &["tunnel.one-trq-per-user"]);
        }
        let z = self.draft.name('z');
        self.draft.act(&z, "connect server");
        self.draft
            .act(&z, &format!("> ATH \"${{name}}-{z}\" $username $password"));
        self.draft
            .judge(&z, "< ARS true _ _", &["life.server-survives"]);
    }

    /// Opens a login at a free place; with a port, its MAP and SRQ come in the same breath.
    fn login(&mut self, who: u32, pick: u32, port: Option<usize>) {
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
        let login = Login { actor, token, name };
        self.logins.insert(who, login);
    }

    fn login_bad(&mut self, pick: u32) {
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

    fn login_again(&mut self, who: u32, pick: u32) {
        let Some(actor) = self.actor(who) else { return };
        let good = pick.is_multiple_of(2);
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

    fn login_replaces(&mut self, who: u32) {
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
        let login = Login { actor, token, name };
        self.logins.insert(place, login);
    }

    fn map(&mut self, who: u32, port: usize, pick: u32, size: u32) {
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

    fn map_beyond(&mut self, who: u32, pick: u32) {
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
    fn map_spelt(&mut self, who: u32, port: usize, pick: u32) {
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

    fn ask(&mut self, who: u32, size: u32) {
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
    fn batch(&mut self, who: u32, port: usize, pick: u32) {
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

    fn malformed(&mut self, who: u32, port: usize, pick: u32) {
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

    /// A new connection that does not log in.
    fn stranger(&mut self, port: usize, pick: u32) {
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

    /// Half a message and then the end: it never was.
    fn half(&mut self, who: u32, port: usize, pick: u32) {
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

    fn endless(&mut self, who: u32, pick: u32) {
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

    /// Users of a port; several of them come at once.
    fn come(&mut self, port: usize, pick: u32) {
        let Some((who, open)) = self.ports[port] else {
            return;
        };
        let (Some(actor), false) = (self.actor(who), self.spoilt[port]) else {
            return;
        };
        let event = if open { "UserOpen" } else { "UserNotOpen" };
        let Some(step) = self.draft.event(&self.tunnels, "Absent", event) else {
            return;
        };
        let count = [1, 1, 1, 1, 2, 3, 5][usize::try_from(pick).unwrap_or(0) % 7];
        if self.users.len() + count > 12 {
            return;
        }
        let names: Vec<String> = (0..count).map(|_| self.draft.name('u')).collect();
        for user in &names {
            let connect = format!("connect {}", PORTS[port]);
            self.draft.judge(user, &connect, &["map.bound-when-true"]);
            if !open {
                if (pick / 7).is_multiple_of(2) {
                    self.draft.act(user, ">> \"GET / HTTP/1.0\\r\\n\\r\\n\"");
                }
                self.draft.judge(user, "< closed", &[step.rule]);
            }
        }
        if !open {
            self.draft
                .judge(&actor, "< silence", &["map.closed-no-tunnel"]);
            return;
        }
        for user in names {
            let trq = format!("< TRQ {}", PORTS[port]);
            self.draft
                .judge(&actor, &trq, &[step.rule, "tunnel.trq-port"]);
            self.queues[port].push_back(self.users.len());
            self.users.push(User {
                actor: user,
                port,
                said: Vec::new(),
                ended: false,
                gone: false,
                tunnel: None,
            });
        }
    }

    /// One of those who wait on a port and are still there.
    fn waiting(&self, port: usize, who: u32) -> Option<usize> {
        let there: Vec<usize> = self.queues[port]
            .iter()
            .copied()
            .filter(|index| !self.users[*index].gone)
            .collect();
        let at = usize::try_from(who).unwrap_or(0) % there.len().max(1);
        there.get(at).copied()
    }

    fn user_says(&mut self, port: usize, who: u32, size: u32) {
        let Some(index) = self.waiting(port, who) else {
            return;
        };
        if self.users[index].ended {
            return;
        }
        self.draft.event(&self.tunnels, "Waiting", "Bytes");
        let user = &mut self.users[index];
        // So much fits on its way to a server that does not read yet.
        let tag = format!("{}:early{}", user.actor, user.said.len());
        let bytes = payload(&tag, size.min(40_000));
        self.draft.act(&user.actor, &format!(">> {bytes}"));
        user.said.push(bytes);
    }

    fn user_ends(&mut self, port: usize, who: u32) {
        let Some(index) = self.waiting(port, who) else {
            return;
        };
        if self.users[index].ended {
            return;
        }
        self.draft.event(&self.tunnels, "Waiting", "UserEnd");
        self.draft.act(&self.users[index].actor, "> shutdown");
        self.users[index].ended = true;
    }

    /// The last one says something and closes: that is to be delivered all the same.
    fn user_leaves(&mut self, port: usize, size: u32) {
        let Some(index) = self.queues[port].back().copied() else {
            return;
        };
        if self.users[index].ended || self.users[index].gone {
            return;
        }
        self.draft.event(&self.tunnels, "Waiting", "UserEnd");
        let user = &mut self.users[index];
        let bytes = payload(&format!("{}:gone", user.actor), size.min(40_000));
        self.draft.act(&user.actor, &format!(">> {bytes}"));
        self.draft.act(&user.actor, "> close");
        user.said.push(bytes);
        user.gone = true;
    }

    fn user_resets(&mut self, port: usize, who: u32) {
        let (Some(index), Some((owner, _))) = (self.waiting(port, who), self.ports[port]) else {
            return;
        };
        let Some(control) = self.actor(owner) else {
            return;
        };
        self.draft.event(&self.tunnels, "Waiting", "UserReset");
        self.draft.act(&self.users[index].actor, "> reset");
        // The server has had time to notice.
        self.draft
            .judge(&control, "< silence", &["life.survives-abort"]);
        self.users[index].gone = true;
        self.queues[port].retain(|waiting| *waiting != index);
    }

    /// A good TRS for whoever has waited longest; with bytes behind it, if a size is given.
    fn join(&mut self, port: usize, pick: u32, early: Option<u32>) {
        let (Some((owner, _)), Some(index)) =
            (self.ports[port], self.queues[port].front().copied())
        else {
            return;
        };
        let Some(token) = self.logins.get(&owner).map(|login| login.token.clone()) else {
            return;
        };
        if self.spoilt[port] {
            return;
        }
        let Some(step) = self.draft.event(&self.table, "Fresh", "TrsGood") else {
            return;
        };
        self.draft.event(&self.tunnels, "Waiting", "TrsGood");
        self.queues[port].pop_front();
        let d = self.draft.name('d');
        self.draft.act(&d, "connect server");
        let trs = format!("TRS\\n${{{token}}}\\n{}\\n", braced(port));
        let user = &mut self.users[index];
        let early = early.filter(|_| !user.gone);
        match early {
            None => self.draft.act(&d, &segments(&trs, pick)),
            Some(size) => {
                let text = format!("{d}:early");
                let more = payload(&format!("{d}:more"), size);
                match pick % 4 {
                    // Behind it, in a segment of its own.
                    0 if size > 0 => {
                        self.draft.act(&d, &format!(">> \"{trs}\""));
                        self.draft.act(&d, &format!(">> \"{text}\""));
                        self.draft.act(&d, &format!(">> {more}"));
                    }
                    0 | 1 => {
                        self.draft.act(&d, &format!(">> \"{trs}{text}\""));
                        self.draft.act(&d, &format!(">> {more}"));
                    }
                    _ => {
                        self.draft.act(&d, &segments(&format!("{trs}{text}"), pick));
                        self.draft.act(&d, &format!(">> {more}"));
                    }
                }
                let rule = ["tunnel.early-data"];
                self.draft
                    .judge(&user.actor, &format!("<< \"{text}\""), &rule);
                self.draft.judge(&user.actor, &format!("<< {more}"), &rule);
            }
        }
        for bytes in &user.said {
            let rules = ["tunnel.early-user-data", step.rule];
            self.draft.judge(&d, &format!("<< {bytes}"), &rules);
        }
        if user.ended || user.gone {
            self.draft.event(&self.tunnels, "Open", "DirectionEnd");
            self.draft.judge(&d, "< eof", &["tunnel.half-close"]);
        } else if user.said.is_empty() {
            // That it is joined, and with whom.
            let bytes = format!("\"{}:here\"", user.actor);
            self.draft.act(&user.actor, &format!(">> {bytes}"));
            let rules = [step.rule, "tunnel.isolation"];
            self.draft.judge(&d, &format!("<< {bytes}"), &rules);
        }
        if user.gone {
            self.draft.act(&d, "> close");
        } else {
            let sides = [user.actor.clone(), d];
            let mut tunnel = Tunnel::new(sides, [user.ended, false]);
            if user.ended {
                // It waits for an answer.
                tunnel.say(&mut self.draft, &self.tunnels, 1, 0);
            }
            user.tunnel = Some(tunnel);
        }
    }

    /// TRS that must not be joined with anybody.
    fn join_bad(&mut self, who: u32, port: usize, pick: u32) {
        let owner = self.ports[port].map(|(owner, _)| owner);
        let mine = owner.and_then(|owner| self.logins.get(&owner));
        let other = self.logins.iter().find(|(place, _)| Some(**place) != owner);
        let unmapped = (0..3).find(|port| self.ports[*port].is_none());
        let own = self.logins.get(&who).map(|login| &login.token);
        let (token, named, rule) = match (pick % 6, mine, other, unmapped, own) {
            (0, Some(login), ..) => (
                format!("\"${{{}}}x\"", login.token),
                port,
                "tunnel.token-exact",
            ),
            (1, Some(login), ..) => (
                format!("\" ${{{}}}\"", login.token),
                port,
                "tunnel.token-exact",
            ),
            (2, _, Some((_, login)), ..) => (
                format!("\"${{{}}}\"", login.token),
                port,
                "tunnel.bad-port-close",
            ),
            (3, _, _, Some(unmapped), Some(token)) => (
                format!("\"${{{token}}}\""),
                unmapped,
                "tunnel.bad-port-close",
            ),
            (4, ..) if self.stale.is_some() => (
                format!("\"${{{}}}\"", self.stale.clone().unwrap_or_default()),
                port,
                "life.stale-token",
            ),
            _ => (
                "ffffffffffffffffffffffffffffffff".to_owned(),
                port,
                "tunnel.bad-token-close",
            ),
        };
        self.draft.event(&self.table, "Fresh", "TrsBad");
        let x = self.draft.name('x');
        self.draft.act(&x, "connect server");
        self.draft
            .act(&x, &format!("> TRS {token} {}", PORTS[named]));
        self.draft.judge(&x, "< closed", &[rule]);
    }

    fn join_unasked(&mut self, port: usize) {
        let Some((owner, true)) = self.ports[port] else {
            return;
        };
        let Some(token) = self.logins.get(&owner).map(|login| login.token.clone()) else {
            return;
        };
        if !self.queues[port].is_empty() || self.spoilt[port] {
            return;
        }
        self.draft.event(&self.table, "Fresh", "TrsBad");
        let x = self.draft.name('x');
        self.draft.act(&x, "connect server");
        self.draft
            .act(&x, &format!("> TRS \"${{{token}}}\" {}", PORTS[port]));
        self.draft.closed_or_silent(&x, "tunnel.no-unsolicited");
        self.draft.act(&x, "> close");
        // Who has kept it may join it with the next user.
        self.spoilt[port] = true;
    }

    fn join_on_control(&mut self, who: u32, port: usize, pick: u32) {
        let Some(login) = self.logins.get(&who) else {
            return;
        };
        let (actor, token) = (login.actor.clone(), login.token.clone());
        let good = self.ports[port].is_some_and(|(owner, _)| owner == who)
            && !self.queues[port].is_empty();
        let (event, token) = match good && !pick.is_multiple_of(4) {
            true => ("TrsGood", format!("\"${{{token}}}\"")),
            false => ("TrsBad", "no-token".to_owned()),
        };
        let Some(step) = self.draft.event(&self.table, "Control", event) else {
            return;
        };
        self.draft
            .act(&actor, &format!("> TRS {token} {}", PORTS[port]));
        self.draft.judge(&actor, "< closed", &[step.rule]);
        self.over(who, "map.released-on-close");
    }

    fn tunnel(&mut self, act: Act) {
        let open = |user: &&mut User| user.tunnel.as_ref().is_some_and(|one| !one.is_closed());
        let count = self.users.iter_mut().filter(open).count();
        let at = usize::try_from(act.who).unwrap_or(0) % count.max(1);
        let Some(user) = self.users.iter_mut().filter(open).nth(at) else {
            return;
        };
        let Some(tunnel) = &mut user.tunnel else {
            return;
        };
        let (draft, table) = (&mut self.draft, &self.tunnels);
        match act.kind {
            Kind::Say => tunnel.say(draft, table, act.pick, act.size),
            Kind::SayBoth => tunnel.say_both(draft, table, act.size),
            Kind::End => tunnel.end(draft, table, act.pick, act.size),
            Kind::Close => tunnel.close(draft, table, act.pick, act.size),
            _ => tunnel.reset(draft, table, act.pick),
        }
    }

    /// The client ends its control connection.
    fn leave(&mut self, who: u32, how: &str) {
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

    fn silence(&mut self, who: u32) {
        let Some(actor) = self.actor(who) else { return };
        self.draft
            .judge(&actor, "< silence", &["tunnel.one-trq-per-user"]);
    }

    /// Only where nobody else can run out of time.
    fn expire(&mut self, who: u32) {
        if !self.is_timed(who) {
            return;
        }
        let Some(actor) = self.actor(who) else { return };
        self.draft.event(&self.table, "Control", "Overdue");
        let rules = ["keep.expiry-bound", "keep.not-early"];
        self.draft.judge(&actor, "< closed in 3s..4.5s", &rules);
        self.over(who, "map.released-on-close");
    }

    fn in_time(&mut self, who: u32) {
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
    fn is_timed(&self, who: u32) -> bool {
        self.logins.len() == 1
            && self.logins.contains_key(&who)
            && self.queues.iter().all(VecDeque::is_empty)
    }

    /// The ports of a login are closed.
    fn release(&mut self, who: u32, rule: &'static str) {
        for (port, owned) in PORTS.iter().zip(self.ports) {
            if owned.is_some_and(|(owner, _)| owner == who) {
                let none = self.draft.name('n');
                self.draft.judge(&none, &format!("refused {port}"), &[rule]);
            }
        }
    }

    /// A login is over: its ports are free, its users are closed, its tunnels live on.
    fn over(&mut self, who: u32, rule: &'static str) {
        self.release(who, rule);
        self.forget(who);
    }

    /// What else ends with a login whose ports are free.
    fn forget(&mut self, who: u32) {
        if let Some(login) = self.logins.remove(&who) {
            self.stale = Some(login.token);
        }
        for port in 0..3 {
            if self.ports[port].is_none_or(|(owner, _)| owner != who) {
                continue;
            }
            self.ports[port] = None;
            self.spoilt[port] = false;
            for index in std::mem::take(&mut self.queues[port]) {
                self.close_waiting(index);
            }
            for user in self.users.iter_mut().filter(|user| user.port == port) {
                if let Some(tunnel) = &mut user.tunnel {
                    tunnel.outlive(&mut self.draft, &self.tunnels);
                }
            }
        }
    }

    fn close_waiting(&mut self, index: usize) {
        let user = &mut self.users[index];
        if user.gone {
            return;
        }
        user.gone = true;
        let actor = user.actor.clone();
        self.draft.event(&self.tunnels, "Waiting", "ControlEnd");
        self.draft.closed_or_silent(&actor, "tunnel.waiting-closed");
        self.draft.act(&actor, "> close");
        // It may have taken its time.
        if self.short {
            self.keep_alive();
        }
    }

    /// Somebody who is logged in is still served.
    fn serves_on(&mut self, rule: &'static str) {
        if let Some(login) = self.logins.values().next() {
            self.draft.act(&login.actor, "> SRQ");
            self.draft.judge(&login.actor, "< SRS", &[rule]);
        }
    }

    fn actor(&self, who: u32) -> Option<String> {
        self.logins.get(&who).map(|login| login.actor.clone())
    }
}

/// The variable of a port, as it stands in a string.
fn braced(port: usize) -> String {
    format!("${{{}}}", PORTS[port].trim_start_matches('$'))
}
