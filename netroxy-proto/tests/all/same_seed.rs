//! The same session gives the same transcript, byte by byte, whatever tokens, ids and clock the driver chooses.
//!
//! Sessions are generated from seeds and played in virtual time. They have users, clients that start and are killed,
//! strangers that send any messages, and breaks. Each session is played twice, with other tokens, ids and clocks. The
//! transcripts have numbers in place of tokens. All else has to be equal, times and order included.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use insta::assert_snapshot;

use crate::rig::{Rig, Start};

/// A session: its conditions and what happens in it.
#[derive(Debug)]
struct Session {
    timeout: i64,
    latency: u64,
    acts: Vec<Act>,
}

/// Clients, ports, users and strangers are numbered. An act of one that does not exist has no effect.
#[derive(Debug)]
enum Act {
    /// Milliseconds pass.
    Wait(u64),
    /// A client starts, with these mappings.
    Client(usize, bool, Vec<(usize, bool)>),
    Kill(usize),
    CutOff(usize, bool),
    /// Something else listens on a port.
    Busy(usize, bool),
    User(usize),
    Leave(usize),
    Stranger,
    Say(usize, Words),
}

/// What a stranger sends.
#[derive(Debug)]
enum Words {
    Login(usize, bool),
    Map(usize, bool),
    /// With the token of any connection, for a port.
    Tunnel(u64, usize),
    Srq,
    Half,
    Nonsense,
}

/// Two starts that differ in everything.
const STARTS: [Start; 2] = [
    Start {
        clock: Duration::ZERO,
        id: 1,
        token: "ABC.",
    },
    Start {
        clock: Duration::from_millis(987_654_321),
        id: 40_000,
        token: "Q9/=xyz",
    },
];

/// The random part of a client's delays depends on the ports, so they are the same in both plays.
const PORTS: [i64; 3] = [1001, 1002, 1003];

const CLIENTS: [&str; 3] = ["a", "b", "c"];

#[test]
fn the_same_seed_gives_the_same_transcript_from_any_start() {
    let mut seen = BTreeMap::from([("join", 0), ("free", 0), ("disconnect", 0), ("in use", 0)]);
    let mut sessions = BTreeSet::new();
    for seed in 0..300 {
        let session = Session::new(seed);
        let [one, other] = STARTS.map(|start| session.play(start));
        assert_eq!(one, other, "seed {seed}: {session:?}");
        for (what, count) in &mut seen {
            *count += usize::from(one.contains(what));
        }
        sessions.insert(one);
    }
    // The sessions differ, and many things happen in them.
    assert_eq!(sessions.len(), 300);
    assert!(seen.values().all(|count| *count > 50), "{seen:?}");
}

#[test]
fn another_process_gives_the_same_transcript() {
    assert_snapshot!(Session::new(275).play(STARTS[0]));
}

impl Session {
    fn new(seed: u64) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed);
        let timeout = *rng.choice(&[3, 30, 300]).unwrap();
        let latency = *rng.choice(&[0, 1, 20, 400]).unwrap();
        let mut acts = vec![Act::client(&mut rng, 0)];
        acts.extend((0..40).map(|_| Act::any(&mut rng)));
        acts.push(Act::Wait(12_000));
        Self {
            timeout,
            latency,
            acts,
        }
    }

    /// The canonical transcript.
    fn play(&self, start: Start) -> String {
        let token = start.token;
        let first = start.id;
        let mut rig = Rig::new(self.timeout);
        rig.start = start;
        rig.latency = Duration::from_millis(self.latency);
        let (mut now, mut alive) = (0, Vec::new());
        let (mut users, mut strangers) = (Vec::new(), Vec::new());
        let port = |index: usize| u16::try_from(PORTS[index]).unwrap();
        for act in &self.acts {
            match act {
                Act::Wait(ms) => now += ms,
                Act::Client(index, knows, maps) if !alive.contains(index) => {
                    let maps: Vec<_> = maps.iter().map(|(at, open)| (PORTS[*at], *open)).collect();
                    let password = if *knows { "secret" } else { "guess" };
                    rig.client(CLIENTS[*index], password, &maps);
                    alive.push(*index);
                }
                Act::Kill(index) if alive.contains(index) => {
                    rig.kill(CLIENTS[*index]);
                    alive.retain(|one| one != index);
                }
                Act::CutOff(index, off) if alive.contains(index) => {
                    rig.cut_off(CLIENTS[*index], *off);
                }
                Act::Busy(index, true) => drop(rig.busy.insert(port(*index))),
                Act::Busy(index, false) => drop(rig.busy.remove(&port(*index))),
                Act::User(index) => users.push(rig.user(port(*index))),
                Act::Leave(index) if *index < users.len() => rig.user_leaves(users[*index]),
                Act::Stranger => strangers.push(rig.script(&format!("s{}", strangers.len()))),
                Act::Say(index, words) if *index < strangers.len() => {
                    rig.send(strangers[*index], &words.bytes(token, first));
                }
                Act::Client(..) | Act::Kill(_) | Act::CutOff(..) | Act::Leave(_) | Act::Say(..) => {
                }
            }
            rig.run_to(Duration::from_millis(now).as_secs_f64());
        }
        let (connections, mappings, waiting) = rig.census();
        let text = format!(
            "{}{connections} connections, {mappings} mappings, {waiting} waiting\n",
            rig.transcript()
        );
        canonical(&text, token)
    }
}

impl Act {
    fn any(rng: &mut fastrand::Rng) -> Self {
        match rng.u32(..100) {
            0..30 => Self::Wait(*rng.choice(&[0, 1, 50, 700, 4_000]).unwrap()),
            30..55 => Self::User(rng.usize(..3)),
            55..60 => Self::Leave(rng.usize(..8)),
            60..68 => {
                let index = rng.usize(..3);
                Self::client(rng, index)
            }
            68..71 => Self::Kill(rng.usize(..3)),
            71..76 => Self::CutOff(rng.usize(..3), rng.bool()),
            76..80 => Self::Busy(rng.usize(..3), rng.bool()),
            80..86 => Self::Stranger,
            _ => Self::Say(rng.usize(..4), Words::any(rng)),
        }
    }

    fn client(rng: &mut fastrand::Rng, index: usize) -> Self {
        let ports = [0, 1, 2].into_iter().filter(|_| rng.bool());
        let ports: Vec<usize> = ports.collect();
        let maps = ports.into_iter().map(|port| (port, rng.u32(..8) > 0));
        let maps = maps.collect();
        Self::Client(index, rng.u32(..16) > 0, maps)
    }
}

impl Words {
    fn any(rng: &mut fastrand::Rng) -> Self {
        match rng.u32(..16) {
            0..5 => Self::Login(rng.usize(..3), rng.u32(..4) > 0),
            5..8 => Self::Map(rng.usize(..3), rng.bool()),
            8..12 => Self::Tunnel(rng.u64(..10), rng.usize(..3)),
            12..14 => Self::Srq,
            14 => Self::Half,
            _ => Self::Nonsense,
        }
    }

    fn bytes(&self, token: &str, first: u64) -> Vec<u8> {
        let text = match self {
            Self::Login(name, true) => format!("ATH\n{}\nalice\nsecret\n", CLIENTS[*name]),
            Self::Login(name, false) => format!("ATH\n{}\nalice\nguess\n", CLIENTS[*name]),
            Self::Map(port, open) => format!("MAP\n{}\nt:1\n{open}\n", PORTS[*port]),
            Self::Tunnel(id, port) => {
                format!("TRS\n{token}{}\n{}\nand more", first + id, PORTS[*port])
            }
            Self::Srq => "SRQ\n".to_owned(),
            Self::Half => "MAP\n".to_owned(),
            Self::Nonsense => "GET / HTTP/1.1\r\n".to_owned(),
        };
        text.into_bytes()
    }
}

/// Replaces each token by a number, in the order in which the tokens appear.
fn canonical(text: &str, token: &str) -> String {
    let mut numbers = BTreeMap::new();
    let mut parts = text.split(token);
    let mut named = parts.next().unwrap().to_owned();
    for part in parts {
        let digits = part.bytes().take_while(u8::is_ascii_digit).count();
        let (id, rest) = part.split_at(digits);
        let next = numbers.len() + 1;
        let number = numbers.entry(id.to_owned()).or_insert(next);
        named.push_str(&format!("$token{number}{rest}"));
    }
    named
}
