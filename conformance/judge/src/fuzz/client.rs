//! The model of a client: what the specification expects of it, act by act. The suite plays its server, its users and
//! its targets.
//!
//! The model knows the control connection, the mappings and the tunnels. For each act it looks up the event in a state
//! table, adds the steps that cause the event and the steps that the specification then expects, and changes its state.
//! An act that has no meaning in this state adds nothing. If an act ends the control connection, the client must
//! connect again and send ATH.

mod amount;
mod joins;
mod login;
mod time;

use netroxy_specification::message::ARS;
use netroxy_specification::notation::ast::{Action, Setting, Side, Template};

use super::act::{Act, ActKind};
use super::amounts::TunnelGroup;
use super::builder::{CaseBuilder, NamedTable, SessionCase};
use super::malformed::malformed;
use super::plan::Plan;
use super::steps::{
    CLOSED, SILENCE, any_ath, ars, encoded, expect, join, message, mrs, repeated, segments, send,
    send_bytes, srs, text, var,
};
use super::tunnel::Tunnel;

/// The case of a session with a client.
pub(super) fn model(plan: &Plan) -> SessionCase {
    let mut client = Client {
        case: CaseBuilder::new(),
        table: NamedTable::client(),
        tunnel_table: NamedTable::tunnel(),
        maps: maps(plan),
        control: String::new(),
        token: text(""),
        up: false,
        arrived: 0,
        reconnects: 0,
        in_a_row: 0,
        tunnels: Vec::new(),
        long: plan.long,
        waits: 0,
        silent_target_used: false,
        group: None,
        many_served: false,
        many: plan.long && plan.seed.is_multiple_of(3),
    };
    client.connects(&[]);
    for act in &plan.acts {
        client.play(*act);
        client.case.end_act();
    }
    client.conclude();
    let mut config: Vec<Setting> = client.maps.iter().map(Map::setting).collect();
    if client.many {
        config.push(Setting::Maps {
            count: MANY,
            target: var("target"),
        });
    }
    client.case.finish(plan, config)
}

/// A mapping in the configuration of the client; port and target are names of variables.
#[derive(Debug, Clone, Copy)]
struct Map {
    port: &'static str,
    target: &'static str,
    open: bool,
}

/// How many mappings the configuration has besides, if it has many. A peer must allow 100 in a login.
const MANY: u32 = 97;

/// The mappings of a session: one with a target, one with a dead target, and perhaps a third. In a long session the
/// third one has a target that accepts late.
fn maps(plan: &Plan) -> Vec<Map> {
    let map = |port, target, open| Map { port, target, open };
    let mut maps = vec![map("port", "target", true)];
    maps.push(map("port2", "dead_target", true));
    match plan.seed % 3 {
        _ if plan.long => maps.push(map("port3", "silent_target", true)),
        0 => maps.push(map("port3", "target2", true)),
        1 => maps.push(map("port3", "target", false)),
        _ => {}
    }
    maps
}

impl Map {
    /// The line of the header.
    fn setting(&self) -> Setting {
        Setting::Map {
            port: var(self.port),
            target: var(self.target),
            open: self.open,
        }
    }
}

/// The state of the model.
struct Client {
    case: CaseBuilder,
    /// The states of the client.
    table: NamedTable,
    /// The states of a tunnel.
    tunnel_table: NamedTable,
    maps: Vec<Map>,
    /// The control connection, on which ATH has come.
    control: String,
    /// The token of the login.
    token: Template,
    /// Whether ARS was sent.
    up: bool,
    /// How many lines the case had when ATH came.
    arrived: usize,
    /// How often the client has connected again.
    reconnects: u32,
    /// How often it has connected again since the last login. Its wait before that grows each time.
    in_a_row: u32,
    tunnels: Vec<Tunnel>,
    /// Whether the session is a long one: every login is kept alive.
    long: bool,
    /// How many acts have taken time.
    waits: u32,
    /// Whether an act has used the silent target, which accepts since then.
    silent_target_used: bool,
    /// The tunnels that were opened by one act.
    group: Option<TunnelGroup>,
    /// Whether the configuration has many mappings.
    many: bool,
    /// Whether an act has used each of them.
    many_served: bool,
}

/// How often a client connects again in a session at most; each time takes seconds.
const RECONNECTS: u32 = 3;
/// How often it connects again without a login at most. After that a client may wait for longer than a step does.
const IN_A_ROW: u32 = 2;

impl Client {
    fn play(&mut self, act: Act) {
        let Act { pick, size, .. } = act;
        match act.kind {
            ActKind::ArsTrue => self.ars_true(pick, size),
            ActKind::ArsFalse => self.ars_false(),
            ActKind::ArsBadTimeout => self.ars_bad_timeout(pick),
            ActKind::AnswerOther => self.answer_other(pick),
            ActKind::ArsAgain => self.ars_again(pick),
            ActKind::MrsUnrequested => self.mrs_unrequested(pick),
            ActKind::SrsUnrequested => self.srs_unrequested(size),
            ActKind::Malformed => self.malformed(pick),
            ActKind::HalfMessage => self.half_message(pick),
            ActKind::EndlessLine => self.endless_line(),
            ActKind::Join => self.join(pick, None),
            ActKind::JoinEarly => self.join(pick, Some(size)),
            ActKind::JoinMany => self.join_many(pick, size),
            ActKind::JoinUnknown => self.join_unknown(pick),
            ActKind::JoinDead => self.join_dead(size),
            ActKind::Send
            | ActKind::SendBoth
            | ActKind::End
            | ActKind::EndAmid
            | ActKind::Close
            | ActKind::Reset => self.tunnel(act),
            ActKind::ControlClose => self.control_ends(Action::Close),
            ActKind::ControlEnd => self.control_ends(Action::Shutdown),
            ActKind::ControlReset => self.control_ends(Action::Reset),
            ActKind::Silence => self.silence("tunnel.failure-keeps-control"),
            ActKind::KeepaliveLost => self.keepalive_lost(),
            ActKind::KeepaliveInTime => self.keepalive_in_time(pick),
            ActKind::Idle => self.idle(act),
            ActKind::Stall | ActKind::Slow => self.slow_tunnel(act),
            ActKind::LoginLate => self.ars_late(pick, size),
            ActKind::LoginNever => self.ars_never(pick),
            ActKind::TargetLate => self.target_late(size),
            ActKind::ManyTunnels => self.many_tunnels(pick, size),
            ActKind::ManyMappings => self.many_mappings(size),
            // Acts of sessions with servers.
            ActKind::UserOverdue
            | ActKind::ManyLogins
            | ActKind::Login
            | ActKind::LoginWithRequests
            | ActKind::LoginBad
            | ActKind::LoginAgain
            | ActKind::LoginSameName
            | ActKind::Map
            | ActKind::MapBeyond
            | ActKind::MapSpelling
            | ActKind::Srq
            | ActKind::Batch
            | ActKind::MapRace
            | ActKind::FirstOther
            | ActKind::Users
            | ActKind::UserSends
            | ActKind::UserEnds
            | ActKind::UserCloses
            | ActKind::UserResets
            | ActKind::JoinBad
            | ActKind::JoinUnrequested
            | ActKind::JoinOnControl => {}
        }
    }

    /// At the end, the control connection is open and receives nothing.
    fn conclude(&mut self) {
        if self.up {
            self.silence("tunnel.failure-keeps-control");
        }
    }

    /// The client connects and sends ATH; these rules judge that it connects.
    fn connects(&mut self, rules: &[&'static str]) {
        self.case.event(&self.table, "Offline", "RetryDue");
        let Some(step) = self.case.event(&self.table, "Connecting", "Connected") else {
            return;
        };
        self.control = self.case.name('c');
        self.case.judge(&self.control, Action::Accept(None), rules);
        let ath = expect(any_ath());
        self.case.judge(&self.control, ath, &[step.rule]);
        self.up = false;
        self.arrived = self.case.height();
    }

    /// The control connection has ended: the client connects again.
    fn reconnects(&mut self, rule: &'static str) {
        self.reconnects += 1;
        self.in_a_row += 1;
        if self.up {
            for tunnel in &mut self.tunnels {
                tunnel.control_ended(&mut self.case, &self.tunnel_table);
            }
        }
        self.connects(&[rule]);
    }

    /// Whether the client may have to connect again once more.
    fn may_reconnect(&self) -> bool {
        self.reconnects < RECONNECTS && self.in_a_row < IN_A_ROW
    }

    fn state(&self) -> &'static str {
        if self.up { "Up" } else { "LoggingIn" }
    }

    /// Causes an event after which the client must close its control connection. The rule is that of the table, unless
    /// a more exact one is given.
    fn provoke(&mut self, event: &str, action: Action, exact: Option<&'static str>) {
        let Some(step) = self.case.event(&self.table, self.state(), event) else {
            return;
        };
        self.case.act(&self.control, action);
        let rule = exact.unwrap_or(step.rule);
        self.case.judge(&self.control, CLOSED, &[rule]);
        self.reconnects("life.reconnect");
    }

    /// A second ARS.
    fn ars_again(&mut self, pick: u32) {
        if !self.up || !self.may_reconnect() {
            return;
        }
        match pick % 2 {
            0 => {
                let ars = encoded(&ars("30", text("another")));
                self.provoke("ArsTrue", send_bytes(ars), None);
            }
            _ => {
                let ars = message(&ARS, [text("false")]);
                self.provoke("ArsFalse", send(ars), None);
            }
        }
    }

    /// MRS of a port without a MAP.
    fn mrs_unrequested(&mut self, pick: u32) {
        if !self.up {
            return;
        }
        self.case.event(&self.table, "Up", "Mrs");
        let unmapped = ["1", "65536", "-5", "0"][usize::try_from(pick / 2 % 4).unwrap_or(0)];
        let mrs = mrs(text(unmapped), pick.is_multiple_of(2));
        self.case.act(&self.control, send(mrs));
        self.silence("map.unasked");
    }

    /// One or more SRS without an SRQ.
    fn srs_unrequested(&mut self, size: u32) {
        if !self.up {
            return;
        }
        self.case.event(&self.table, "Up", "Srs");
        let answers = repeated(&encoded(&srs()), size.clamp(1, 500));
        self.case.act(&self.control, send_bytes(answers));
        self.silence("life.client-survives");
    }

    /// A malformed message after the login.
    fn malformed(&mut self, pick: u32) {
        if !self.up || !self.may_reconnect() {
            return;
        }
        self.case.event(&self.table, "Up", "Malformed");
        let bad = malformed(Side::Client, var(self.maps[0].port), pick);
        self.case.act(&self.control, segments(bad.bytes, pick / 64));
        if bad.lenient {
            self.case.closed_or_silent(&self.control, bad.rule);
            self.case.act(&self.control, Action::Close);
        } else {
            self.case.judge(&self.control, CLOSED, &[bad.rule]);
        }
        self.reconnects("life.reconnect");
    }

    /// A part of a message, then the end of the connection. The part must have no effect.
    fn half_message(&mut self, pick: u32) {
        if !self.may_reconnect() {
            return;
        }
        let bytes = match self.up {
            true => join([&text("TRQ\n"), &var(self.maps[0].port)]),
            false => text("ARS\ntrue\n30\nhalf"),
        };
        self.case.event(&self.table, self.state(), "Ended");
        self.case.act(&self.control, send_bytes(bytes));
        let end = match pick.is_multiple_of(2) {
            true => Action::Close,
            false => Action::Shutdown,
        };
        self.case.act(&self.control, end);
        self.reconnects("frame.partial-no-effect");
    }

    /// A line of more than a mebibyte: a word, or the timeout of ARS.
    fn endless_line(&mut self) {
        if !self.may_reconnect() {
            return;
        }
        let head = (!self.up).then(|| text("ARS\ntrue\n"));
        let line = repeated(&text("9"), 1_048_577);
        let segments = head.into_iter().chain([line]).collect();
        let action = Action::SendRaw(segments);
        self.provoke("Malformed", action, Some("frame.line-bound"));
    }

    fn silence(&mut self, rule: &'static str) {
        if self.up {
            self.case.judge(&self.control, SILENCE, &[rule]);
        }
    }
}
