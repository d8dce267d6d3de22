//! What the specification expects of a server, act by act.

mod amount;
mod joins;
mod login;
mod requests;
mod time;
mod users;

use std::collections::{BTreeMap, VecDeque};

use super::act::{Act, Kind};
use super::amount::Crowd;
use super::draft::{Draft, Known};
use super::tunnel::Tunnel;
use super::{Modelled, Plan};

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
        refused: 0,
        rushed: false,
        short: plan.short,
        long: plan.long,
        clock: 0,
        waits: 0,
        crowd: None,
        thronged: false,
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
    /// Wrong logins.
    refused: u32,
    /// Whether the ports of a rush are taken.
    rushed: bool,
    /// Whether time matters.
    short: bool,
    /// Whether the session takes its time: each login is kept alive.
    long: bool,
    /// How long everything has stood still, in milliseconds.
    clock: u32,
    /// How many acts have taken time.
    waits: u32,
    /// Many tunnels that were opened together.
    crowd: Option<Crowd>,
    /// Whether many clients have logged in.
    thronged: bool,
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
    /// What the clock was when it came.
    since: u32,
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
            Kind::Rush => self.rush(who),
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
            Kind::Say | Kind::SayBoth | Kind::End | Kind::EndAmid | Kind::Close | Kind::Reset => {
                self.tunnel(act)
            }
            Kind::Leave => self.leave(who, "close"),
            Kind::LeaveReset => self.leave(who, "reset"),
            Kind::LeaveHalf => self.leave(who, "shutdown"),
            Kind::Silence => self.silence(who),
            Kind::Expire => self.expire(who),
            Kind::InTime => self.in_time(who),
            Kind::Stand => self.stand(who, pick, size),
            Kind::Stall | Kind::Slow => self.linger(act),
            Kind::LoginLate => self.login_late(who, pick, size),
            Kind::LoginNever => self.login_never(pick),
            Kind::UserOverdue => self.user_overdue(port, pick),
            Kind::Crowd => self.crowd(port, pick, size),
            Kind::Maps => self.maps(who, size),
            Kind::Logins => self.many_logins(pick, size),
            // What is done to clients.
            Kind::TargetLate
            | Kind::Accept
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
