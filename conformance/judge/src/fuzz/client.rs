//! What the specification expects of a client, act by act. We are its server and its services.

mod amount;
mod joins;
mod login;
mod time;

use netroxy_specification::notation::ast::Side;

use super::act::{Act, Kind};
use super::amount::Crowd;
use super::draft::{Draft, Known, segments};
use super::malformed::malformed;
use super::tunnel::Tunnel;
use super::{Modelled, Plan};

/// The session as a case.
pub(super) fn model(plan: &Plan) -> Modelled {
    let mut world = World {
        draft: Draft::new(),
        table: Known::client(),
        joined: Known::tunnel(),
        maps: maps(plan),
        control: String::new(),
        token: String::new(),
        up: false,
        arrived: 0,
        returns: 0,
        in_a_row: 0,
        tunnels: Vec::new(),
        long: plan.long,
        waits: 0,
        reachable: false,
        crowd: None,
        served: false,
        many: plan.long && plan.seed.is_multiple_of(3),
    };
    world.arrive(&[]);
    for act in &plan.acts {
        world.play(*act);
        world.draft.end();
    }
    world.conclude();
    let mut config: Vec<String> = world.maps.iter().map(Map::setting).collect();
    if world.many {
        config.push(format!("maps {MANY} -> $target"));
    }
    world.draft.finish(plan, true, &config)
}

/// A mapping in the configuration of the client.
#[derive(Debug, Clone, Copy)]
struct Map {
    port: &'static str,
    target: &'static str,
    open: bool,
}

/// How many mappings there are besides, where there are many: a peer has to hold 100 in a login.
const MANY: u32 = 97;

/// A service that listens, one that may not, and now and then a third; in a long session that one accepts late.
fn maps(plan: &Plan) -> Vec<Map> {
    let map = |port, target, open| Map { port, target, open };
    let mut maps = vec![map("$port", "$target", true)];
    maps.push(map("$port2", "$dead_target", true));
    match plan.seed % 3 {
        _ if plan.long => maps.push(map("$port3", "$silent_target", true)),
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
    /// How many lines there were when ATH had come.
    arrived: usize,
    /// How often the client has come back.
    returns: u32,
    /// How often it has come back without a login in between: each time it waits for longer.
    in_a_row: u32,
    tunnels: Vec<Tunnel>,
    /// Whether the session takes its time: each login is kept alive.
    long: bool,
    /// How many acts have taken time.
    waits: u32,
    /// Whether the silent target has begun to accept.
    reachable: bool,
    /// Many tunnels that were opened together.
    crowd: Option<Crowd>,
    /// Whether there are many mappings.
    many: bool,
    /// Whether each of them has been used.
    served: bool,
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
            Kind::Say | Kind::SayBoth | Kind::End | Kind::EndAmid | Kind::Close | Kind::Reset => {
                self.tunnel(act)
            }
            Kind::Leave => self.leave("close"),
            Kind::LeaveHalf => self.leave("shutdown"),
            Kind::LeaveReset => self.leave("reset"),
            Kind::Silence => self.silence("tunnel.failure-keeps-control"),
            Kind::Expire => self.expire(),
            Kind::InTime => self.in_time(pick),
            Kind::Stand => self.stand(act),
            Kind::Stall | Kind::Slow => self.linger(act),
            Kind::LoginLate => self.accept_late(pick, size),
            Kind::LoginNever => self.accept_never(pick),
            Kind::TargetLate => self.target_late(size),
            Kind::Crowd => self.crowd(pick, size),
            Kind::Maps => self.serve_many(size),
            // What is done to servers.
            Kind::UserOverdue
            | Kind::Logins
            | Kind::Login
            | Kind::LoginTogether
            | Kind::LoginBad
            | Kind::LoginAgain
            | Kind::LoginReplaces
            | Kind::Map
            | Kind::MapBeyond
            | Kind::MapSpelt
            | Kind::Ask
            | Kind::Batch
            | Kind::Rush
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
        self.arrived = self.draft.height();
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

    fn silence(&mut self, rule: &'static str) {
        if self.up {
            self.draft.judge(&self.control, "< silence", &[rule]);
        }
    }
}

/// The variable of a port, as it stands in a string.
fn braced(port: &str) -> String {
    format!("${{{}}}", port.trim_start_matches('$'))
}
