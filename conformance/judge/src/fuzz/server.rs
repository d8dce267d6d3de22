//! The model of a server: what the specification expects of it, act by act. The suite plays its clients and users.
//!
//! The model holds the state of every connection of the session. For each act it looks up the event in the state table
//! of the connection, adds the steps that cause the event and the steps that the specification then expects, and
//! changes its state. An act that has no meaning in this state adds nothing. If the specification allows two reactions,
//! the model expects either and then avoids everything that depends on the choice.

mod amount;
mod joins;
mod login;
mod requests;
mod time;
mod users;

use std::collections::{BTreeMap, VecDeque};

use netroxy_specification::notation::ast::{Action, Setting, Template};

use super::act::{Act, ActKind};
use super::amounts::TunnelGroup;
use super::builder::{CaseBuilder, NamedTable, SessionCase};
use super::plan::Plan;
use super::steps::{
    CONNECT_SERVER, Payload, SILENCE, any_ars, ath, expect, join, send, srq, srs, text, var,
};
use super::tunnel::Tunnel;

/// The case of a session with a server.
pub(super) fn model(plan: &Plan) -> SessionCase {
    let mut server = Server {
        case: CaseBuilder::new(),
        table: NamedTable::server(),
        tunnels: NamedTable::tunnel(),
        logins: BTreeMap::new(),
        users: Vec::new(),
        queues: Default::default(),
        ports: [None; 3],
        undecided: [false; 3],
        stale: None,
        rejected: 0,
        other_ports_used: false,
        short: plan.short,
        long: plan.long,
        clock: 0,
        waits: 0,
        group: None,
        many_logins_done: false,
    };
    for act in &plan.acts {
        if plan.short {
            server.keep_alive();
        }
        server.play(*act);
        server.case.end_act();
    }
    server.conclude();
    let config = match plan.short {
        true => vec![Setting::Timeout(3)],
        false => Vec::new(),
    };
    server.case.finish(plan, config)
}

/// The state of the model.
struct Server {
    case: CaseBuilder,
    /// The states of a connection.
    table: NamedTable,
    /// The states of a tunnel.
    tunnels: NamedTable,
    /// The open logins; acts select them by these numbers.
    logins: BTreeMap<u32, Login>,
    /// All users so far.
    users: Vec<User>,
    /// The waiting users of each port, the first one first.
    queues: [VecDeque<usize>; 3],
    /// The login that owns each port, and whether the mapping is open.
    ports: [Option<(u32, bool)>; 3],
    /// Ports with a choice of the server that the model does not know. No act uses such a port.
    undecided: [bool; 3],
    /// The token of a login that has ended, as the name of its variable.
    stale: Option<String>,
    /// How many logins were rejected.
    rejected: u32,
    /// Whether an act has used the ports of `$nth_port`, which are the same in each block of a session.
    other_ports_used: bool,
    /// Whether a short timeout is configured.
    short: bool,
    /// Whether the session is a long one: every login is kept alive.
    long: bool,
    /// How much time acts have taken, in milliseconds.
    clock: u32,
    /// How many acts have taken time.
    waits: u32,
    /// The tunnels that were opened by one act.
    group: Option<TunnelGroup>,
    /// Whether an act has opened many logins.
    many_logins_done: bool,
}

struct Login {
    actor: String,
    /// The name of the variable with the token.
    token: String,
    /// The client name.
    name: Template,
}

struct User {
    actor: String,
    port: usize,
    /// What it sent before its tunnel was joined.
    sent: Vec<Payload>,
    /// Whether it has ended its direction.
    ended: bool,
    /// Whether its connection is closed.
    gone: bool,
    /// The clock when it connected.
    since: u32,
    tunnel: Option<Tunnel>,
}

/// The names of the variables with the ports.
const PORTS: [&str; 3] = ["port", "port2", "port3"];

/// A remote port.
fn port_of(index: usize) -> Template {
    var(PORTS[index])
}

/// A good target of a MAP.
fn target() -> Template {
    text("127.0.0.1:9")
}

/// A client name that no other connection uses.
fn client_name(actor: &str) -> Template {
    join([&var("name"), &text(format!("-{actor}"))])
}

impl Server {
    fn play(&mut self, act: Act) {
        let Act {
            who, pick, size, ..
        } = act;
        let port = usize::try_from(act.port).unwrap_or(0) % 3;
        match act.kind {
            ActKind::Login => self.login(who, pick, None),
            ActKind::LoginWithRequests => self.login(who, pick, Some(port)),
            ActKind::LoginBad => self.login_bad(pick),
            ActKind::LoginAgain => self.login_again(who, pick),
            ActKind::LoginSameName => self.login_same_name(who),
            ActKind::Map => self.map(who, port, pick, size),
            ActKind::MapBeyond => self.map_beyond(who, pick),
            ActKind::MapSpelling => self.map_spelling(who, port, pick),
            ActKind::Srq => self.srq(who, size),
            ActKind::Batch => self.batch(who, port, pick),
            ActKind::MapRace => self.map_race(who),
            ActKind::Malformed => self.malformed(who, port, pick),
            ActKind::FirstOther => self.first_other(port, pick),
            ActKind::HalfMessage => self.half_message(who, port, pick),
            ActKind::EndlessLine => self.endless_line(who, pick),
            ActKind::Users => self.users_connect(port, pick),
            ActKind::UserSends => self.user_sends(port, who, size),
            ActKind::UserEnds => self.user_ends(port, who),
            ActKind::UserCloses => self.user_closes(port, size),
            ActKind::UserResets => self.user_resets(port, who),
            ActKind::Join => self.join(port, pick, None),
            ActKind::JoinEarly => self.join(port, pick, Some(size)),
            ActKind::JoinBad => self.join_bad(who, port, pick),
            ActKind::JoinUnrequested => self.join_unrequested(port),
            ActKind::JoinOnControl => self.join_on_control(who, port, pick),
            ActKind::Send
            | ActKind::SendBoth
            | ActKind::End
            | ActKind::EndAmid
            | ActKind::Close
            | ActKind::Reset => self.tunnel(act),
            ActKind::ControlClose => self.control_ends(who, Action::Close),
            ActKind::ControlReset => self.control_ends(who, Action::Reset),
            ActKind::ControlEnd => self.control_ends(who, Action::Shutdown),
            ActKind::Silence => self.silence(who),
            ActKind::KeepaliveLost => self.keepalive_lost(who),
            ActKind::KeepaliveInTime => self.keepalive_in_time(who),
            ActKind::Idle => self.idle(who, pick, size),
            ActKind::Stall | ActKind::Slow => self.slow_tunnel(act),
            ActKind::LoginLate => self.login_late(who, pick, size),
            ActKind::LoginNever => self.login_never(pick),
            ActKind::UserOverdue => self.user_overdue(port, pick),
            ActKind::ManyTunnels => self.many_tunnels(port, pick, size),
            ActKind::ManyMappings => self.many_mappings(who, size),
            ActKind::ManyLogins => self.many_logins(pick, size),
            // Acts of sessions with clients.
            ActKind::TargetLate
            | ActKind::ArsTrue
            | ActKind::ArsFalse
            | ActKind::ArsBadTimeout
            | ActKind::AnswerOther
            | ActKind::ArsAgain
            | ActKind::MrsUnrequested
            | ActKind::SrsUnrequested
            | ActKind::JoinMany
            | ActKind::JoinUnknown
            | ActKind::JoinDead => {}
        }
    }

    /// With a short timeout, no login may expire while an act takes its time.
    fn keep_alive(&mut self) {
        for login in self.logins.values() {
            self.case.act(&login.actor, send(srq()));
            self.case.judge(&login.actor, expect(srs()), &["keep.srs"]);
        }
    }

    /// At the end, every login is open and receives nothing, and a new login succeeds.
    fn conclude(&mut self) {
        for login in self.logins.values() {
            let rules = ["tunnel.one-trq-per-user"];
            self.case.judge(&login.actor, SILENCE, &rules);
        }
        let z = self.case.name('z');
        self.case.act(&z, CONNECT_SERVER);
        self.case.act(&z, send(ath(client_name(&z))));
        let rules = ["life.server-survives"];
        self.case.judge(&z, expect(any_ars(None)), &rules);
    }

    /// The ports of a login are closed.
    fn released(&mut self, who: u32, rule: &'static str) {
        for (port, owned) in PORTS.iter().zip(self.ports) {
            if owned.is_some_and(|(owner, _)| owner == who) {
                let none = self.case.name('n');
                self.case.judge(&none, Action::Refused(var(port)), &[rule]);
            }
        }
    }

    /// A login has ended: its ports are closed, its waiting users are closed, and its tunnels stay open.
    fn login_ended(&mut self, who: u32, rule: &'static str) {
        self.released(who, rule);
        self.forget(who);
    }

    /// Removes a login whose ports are closed, and its waiting users.
    fn forget(&mut self, who: u32) {
        if let Some(login) = self.logins.remove(&who) {
            self.stale = Some(login.token);
        }
        for port in 0..3 {
            if self.ports[port].is_none_or(|(owner, _)| owner != who) {
                continue;
            }
            self.ports[port] = None;
            self.undecided[port] = false;
            for index in std::mem::take(&mut self.queues[port]) {
                self.close_waiting(index);
            }
            for user in self.users.iter_mut().filter(|user| user.port == port) {
                if let Some(tunnel) = &mut user.tunnel {
                    tunnel.control_ended(&mut self.case, &self.tunnels);
                }
            }
        }
    }

    /// A login is still served, if there is one.
    fn still_serves(&mut self, rule: &'static str) {
        if let Some(login) = self.logins.values().next() {
            self.case.act(&login.actor, send(srq()));
            self.case.judge(&login.actor, expect(srs()), &[rule]);
        }
    }

    /// The control connection of a login.
    fn actor(&self, who: u32) -> Option<String> {
        self.logins.get(&who).map(|login| login.actor.clone())
    }
}
