//! Leaks: descriptors that stay open after every connection is closed, and memory that grows.
//!
//! The same action is repeated N times with one instance and 2 N times with another. What both have open in the end,
//! and what both need at the peak, does not depend on the number. What only the second instance has or needs grows with
//! it.

use std::path::Path;

use netroxy_specification::notation::ast::{Case, Side};
use netroxy_specification::notation::parse;
use tokio::time::sleep;

use crate::run::{self, Job};
use crate::sut::Programs;
use crate::times::LEAK_POLL;
use crate::wire::Tls;

/// An action that is repeated, in the notation.
#[derive(Debug, Clone, Copy)]
pub(super) struct Burst {
    /// The name, also for the name of the file.
    pub(super) name: &'static str,
    /// The lines `role` and `rules`.
    rules: &'static str,
    config: &'static str,
    before: &'static str,
    /// The repeated steps.
    turn: &'static str,
    after: &'static str,
}

/// What grows with the number of turns: the value after each of [`TURNS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Growth {
    /// The number of descriptors that stay open.
    Descriptors([usize; 2]),
    /// The memory at the peak, in MiB.
    Memory([usize; 2]),
}

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
    /// All bursts for this side.
    pub(super) fn all(side: Side) -> &'static [Self] {
        match side {
            Side::Server => SERVER,
            Side::Client => CLIENT,
        }
    }

    /// The case with this number of turns; `None` if the burst has a syntax error.
    pub(super) fn case(&self, turns: usize) -> Option<Case> {
        let Self {
            name,
            rules,
            config,
            before,
            turn,
            after,
        } = self;
        let turn = turn.trim_end().replace('\n', "\n  ");
        let text = format!(
            "title {name}, {turns} times\n{rules}\n{config}\n{before}\nrepeat {turns}\n  {turn}\n\n{after}"
        );
        parse(&text).ok()
    }
}

/// How often the action is repeated with each instance.
pub(super) const TURNS: [usize; 2] = [40, 80];

/// How much more memory counts as a leak, in MiB.
const LEAKED_MEMORY: usize = 24;

/// What grows with a burst. `None` if a session does not start or fails, or if `/proc` does not show the program.
pub(super) async fn growth(jobs: [Job; 2], tls: &Tls) -> Option<Vec<Growth>> {
    let (mut open, mut peak) = ([0; 2], [0; 2]);
    for (at, job) in jobs.iter().enumerate() {
        let (outcome, programs) = run::stage(job, tls).await.ok()?;
        // A failed step is a finding of another kind.
        let played = outcome.broken.is_none();
        drop(outcome);
        let seen = match (played, settled(&programs).await) {
            (true, Some(open)) => peak_memory(&programs).map(|peak| (open, peak)),
            _ => None,
        };
        programs.stop().await;
        (open[at], peak[at]) = seen?;
    }
    let mut found = Vec::new();
    if open[1].saturating_sub(open[0]) >= (TURNS[1] - TURNS[0]) / 2 {
        found.push(Growth::Descriptors(open));
    }
    if peak[1].saturating_sub(peak[0]) >= LEAKED_MEMORY {
        found.push(Growth::Memory(peak));
    }
    Some(found)
}

/// The number of open descriptors after it has not fallen for 1.5 seconds.
async fn settled(programs: &Programs) -> Option<usize> {
    let mut least = descriptors(programs)?;
    let mut quiet = 0;
    while quiet < 15 {
        sleep(LEAK_POLL).await;
        let now = descriptors(programs)?;
        quiet = if now < least { 0 } else { quiet + 1 };
        least = least.min(now);
    }
    Some(least)
}

/// The number of open descriptors now.
fn descriptors(programs: &Programs) -> Option<usize> {
    let folder = format!("/proc/{}/fd", programs.pid()?);
    Some(Path::new(&folder).read_dir().ok()?.count())
}

/// The memory at the peak, in MiB.
fn peak_memory(programs: &Programs) -> Option<usize> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", programs.pid()?)).ok()?;
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
