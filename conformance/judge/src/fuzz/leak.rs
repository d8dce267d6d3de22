//! What a program keeps when everything that has used it is closed, and how much it takes meanwhile.
//!
//! The same thing is done N times against one instance and 2 N times against another. What both have open in the end,
//! and have needed at their peaks, is the program's own affair; what the second one has beyond that grows with what is
//! done to it.

use std::path::Path;
use std::time::Duration;

use tokio::time::sleep;

use crate::run::{self, Job};
use crate::sut::Instance;
use crate::wire::Tls;

/// Something that is done often.
#[derive(Debug, Clone, Copy)]
pub(super) struct Burst {
    /// For the name of its file.
    pub(super) name: &'static str,
    rules: &'static str,
    config: &'static str,
    before: &'static str,
    turn: &'static str,
    after: &'static str,
}

/// What grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Growth {
    /// So many descriptors stay open.
    Descriptors([usize; 2]),
    /// So many MiB are in use at the peak.
    Memory([usize; 2]),
}

/// What grows, and from how much to how much.
impl std::fmt::Display for Growth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [few, many] = TURNS;
        match self {
            Self::Descriptors([less, more]) => write!(
                f,
                "{less} descriptors stay open after {few} turns, {more} after {many}"
            ),
            Self::Memory([less, more]) => write!(
                f,
                "{less} MiB of memory at the peak of {few} turns, {more} MiB of {many}"
            ),
        }
    }
}

impl Burst {
    /// All that are done to this side.
    pub(super) fn all(side: netroxy_specification::notation::ast::Side) -> &'static [Self] {
        match side {
            netroxy_specification::notation::ast::Side::Server => SERVER,
            netroxy_specification::notation::ast::Side::Client => CLIENT,
        }
    }

    /// As a case that does it so often.
    pub(super) fn text(&self, turns: usize) -> String {
        let Self {
            name,
            rules,
            config,
            before,
            turn,
            after,
        } = self;
        let turn = turn.trim_end().replace('\n', "\n  ");
        format!(
            "title {name}, {turns} times\n{rules}\n{config}\n{before}\nrepeat {turns}\n  {turn}\n\n{after}"
        )
    }
}

/// Twice as often the second time.
pub(super) const TURNS: [usize; 2] = [40, 80];

/// How much more memory is growth and no accident.
const MUCH: usize = 24;

/// What grows with a burst; nothing where it has not come to that, or nobody can know.
pub(super) async fn growth(jobs: [Job; 2], tls: &Tls) -> Option<Vec<Growth>> {
    let (mut open, mut peak) = ([0; 2], [0; 2]);
    for (at, job) in jobs.iter().enumerate() {
        let (outcome, instance) = run::stage(job, tls).await.ok()?;
        // A step that did not come true is a finding of another kind.
        let played = outcome.broken.is_none();
        drop(outcome);
        let seen = match (played, settled(&instance).await) {
            (true, Some(open)) => peak_memory(&instance).map(|peak| (open, peak)),
            _ => None,
        };
        instance.stop().await;
        (open[at], peak[at]) = seen?;
    }
    let mut found = Vec::new();
    if open[1].saturating_sub(open[0]) >= (TURNS[1] - TURNS[0]) / 2 {
        found.push(Growth::Descriptors(open));
    }
    if peak[1].saturating_sub(peak[0]) >= MUCH {
        found.push(Growth::Memory(peak));
    }
    Some(found)
}

/// The number of open descriptors when it does not fall any more.
async fn settled(instance: &Instance) -> Option<usize> {
    let mut least = descriptors(instance)?;
    let mut quiet = 0;
    while quiet < 15 {
        sleep(Duration::from_millis(100)).await;
        let now = descriptors(instance)?;
        quiet = if now < least { 0 } else { quiet + 1 };
        least = least.min(now);
    }
    Some(least)
}

fn descriptors(instance: &Instance) -> Option<usize> {
    let folder = format!("/proc/{}/fd", instance.pid()?);
    Some(Path::new(&folder).read_dir().ok()?.count())
}

/// The most that has been in use, in MiB.
fn peak_memory(instance: &Instance) -> Option<usize> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", instance.pid()?)).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: usize = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kibibytes / 1024)
}

const LOGIN: &str = "ctl connect server
ctl > ATH $name $username $password
ctl < ARS true _ ?token
ctl > MAP $port 127.0.0.1:9 true
ctl < MRS $port true
";

const SERVER: &[Burst] = &[
    Burst {
        name: "endless-line",
        rules: "role server\nrules frame.line-bound",
        config: "",
        before: "x connect server [frame.line-bound]\nx >> \"ATH\\n\"\n",
        turn: "x >> \"9\"*1048576",
        after: "",
    },
    Burst {
        name: "logins",
        rules: "role server\nrules auth.ok-reply",
        config: "",
        before: "",
        turn: "c connect server
c > ATH \"$name-c\" $username $password
c < ARS true _ _ [auth.ok-reply]
c > close",
        after: "",
    },
    Burst {
        name: "aborts",
        rules: "role server\nrules life.survives-abort",
        config: "",
        before: "",
        turn: "c connect server [life.survives-abort]
c >> \"ATH\\n\"
c > reset",
        after: "",
    },
    Burst {
        name: "refused-tunnels",
        rules: "role server\nrules tunnel.bad-token-close",
        config: "",
        before: LOGIN,
        turn: "x connect server
x > TRS no-token $port
x < closed [tunnel.bad-token-close]
x > close",
        after: "ctl > close\n",
    },
    Burst {
        name: "unasked-tunnels",
        rules: "role server\nrules map.bound-when-true",
        config: "",
        before: LOGIN,
        turn: "x connect server
x > TRS $token $port
x > close",
        after: "u connect $port [map.bound-when-true]\nctl > close\n",
    },
    Burst {
        name: "waiting-users",
        rules: "role server\nrules tunnel.one-trq-per-user",
        config: "",
        before: LOGIN,
        turn: "u connect $port
ctl < TRQ $port [tunnel.one-trq-per-user]
u > close",
        after: "ctl > close\n",
    },
    Burst {
        name: "tunnels",
        rules: "role server\nrules tunnel.transparent tunnel.close-propagates",
        config: "",
        before: LOGIN,
        turn: "u connect $port
ctl < TRQ $port
d connect server
d > TRS $token $port
u >> \"hello\"
d << \"hello\" [tunnel.transparent]
u > close
d < closed [tunnel.close-propagates]
d > close",
        after: "ctl > close\n",
    },
];

const ACCEPT: &str = "ctl accept
ctl < ATH _ $username $password
ctl > ARS true 30 $token
ctl < MAP $port $target true
ctl < MAP $port2 $dead_target true
ctl > MRS $port true
ctl > MRS $port2 true
ctl < silence in 0.1s..
";

const MAPS: &str = "config map $port -> $target\nconfig map $port2 -> $dead_target\n";

const CLIENT: &[Burst] = &[
    Burst {
        name: "endless-line",
        rules: "role client\nrules frame.line-bound",
        config: MAPS,
        before: "ctl accept [frame.line-bound]\nctl < ATH _ $username $password\nctl >> \"ARS\\n\"\n",
        turn: "ctl >> \"9\"*1048576",
        after: "",
    },
    Burst {
        name: "tunnels",
        rules: "role client\nrules tunnel.trs-first-line tunnel.close-propagates",
        config: MAPS,
        before: ACCEPT,
        turn: "ctl > TRQ $port
d accept
d < TRS $token $port [tunnel.trs-first-line]
t accept $target
d > close
t < closed [tunnel.close-propagates]
t > close",
        after: "",
    },
    Burst {
        name: "dead-targets",
        rules: "role client\nrules tunnel.refused-close",
        config: MAPS,
        before: ACCEPT,
        turn: "ctl > TRQ $port2
d accept [tunnel.refused-close]
d > close",
        after: "",
    },
];
