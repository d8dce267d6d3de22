//! What a session does, and how a seed decides it.

use fastrand::Rng;
use netroxy_specification::notation::ast::Side;

use super::Plan;

/// One act. What its numbers mean is a matter of its kind; any number means something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Act {
    /// What is done.
    pub(crate) kind: Kind,
    /// On which connection.
    pub(crate) who: u32,
    /// On which port.
    pub(crate) port: u32,
    /// Which variant, where there are several.
    pub(crate) pick: u32,
    /// How much.
    pub(crate) size: u32,
}

/// What an act does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Kind {
    /// Server: a good login.
    Login,
    /// Server: a login with its first requests in one segment, or cut anywhere.
    LoginTogether,
    /// Server: a login with a wrong user name or password.
    LoginBad,
    /// Server: ATH on a control connection.
    LoginAgain,
    /// Server: a login with the name of one that is open.
    LoginReplaces,
    /// Server: MAP of a port that is free, or not.
    Map,
    /// Server: MAP of a port that does not exist.
    MapBeyond,
    /// Server: MAP whose port is an integer in another spelling.
    MapSpelt,
    /// Server: SRQ, several at a time.
    Ask,
    /// Server: several requests in one segment, or cut anywhere.
    Batch,
    /// Server: ports are opened one after the other, while data connections come.
    Rush,
    /// A malformed message, or one of the other direction.
    Malformed,
    /// Something else than a login, on a new connection.
    Stranger,
    /// Half a message, and then the end.
    Half,
    /// A line of more than a mebibyte.
    Endless,
    /// Server: users come.
    Users,
    /// Server: a user says something before it is served.
    UserSays,
    /// Server: a user ends its direction before it is served.
    UserEnds,
    /// Server: a user closes its connection before it is served.
    UserLeaves,
    /// Server: a user resets its connection before it is served.
    UserResets,
    /// Server: a good TRS. Client: a TRQ of a mapping.
    Join,
    /// TRS with bytes behind it; at a client, bytes before its TRS is read.
    JoinEarly,
    /// Server: TRS with a wrong token or port.
    JoinBad,
    /// Server: TRS that nobody has asked for.
    JoinUnasked,
    /// Server: TRS on a control connection.
    JoinOnControl,
    /// Bytes through a tunnel.
    Say,
    /// Bytes both ways at the same time.
    SayBoth,
    /// One side ends its direction.
    End,
    /// One side says much and ends its direction, while the other one talks.
    EndAmid,
    /// One side closes, perhaps with its last bytes.
    Close,
    /// One side is reset.
    Reset,
    /// The control connection closes.
    Leave,
    /// The control connection ends in our direction only.
    LeaveHalf,
    /// The control connection is reset.
    LeaveReset,
    /// Nothing may come.
    Silence,
    /// Server: nothing is sent until the login is over. Client: SRS never comes.
    Expire,
    /// Server: SRQ just in time. Client: SRQ comes in time.
    InTime,
    /// Client: a good ARS, and an answer to each MAP.
    Accept,
    /// Client: `ARS false`.
    Refuse,
    /// Client: ARS with a timeout that is none.
    OddTimeout,
    /// Client: something else than ARS.
    NoAnswer,
    /// Client: ARS that nobody has asked for.
    AnswerAgain,
    /// Client: MRS, of any port.
    Answer,
    /// Client: SRS that nobody has asked for.
    AliveUnasked,
    /// Client: several TRQ in one segment.
    JoinMany,
    /// Client: TRQ of a port that is none of its own.
    JoinUnknown,
    /// Client: TRQ of a mapping whose target refuses.
    JoinDead,
    /// Everything stands still for a while, and is then as it was.
    Stand,
    /// One side of a tunnel reads nothing for a while.
    Stall,
    /// One side of a tunnel says something slowly.
    Slow,
    /// Server: a login on a connection that has stood still. Client: ARS comes late.
    LoginLate,
    /// Server: a connection on which nothing comes. Client: ARS does not come.
    LoginNever,
    /// Server: users for whom no data connection comes.
    UserOverdue,
    /// Client: TRQ of a mapping whose target accepts late.
    TargetLate,
    /// Many tunnels at a time.
    Crowd,
    /// Many mappings in a login.
    Maps,
    /// Server: many logins, at a time or in a row.
    Logins,
}

impl Kind {
    /// Whether it takes time.
    pub(super) fn takes_time(self) -> bool {
        matches!(
            self,
            Self::Stand
                | Self::Stall
                | Self::Slow
                | Self::LoginLate
                | Self::LoginNever
                | Self::UserOverdue
                | Self::TargetLate
        )
    }

    /// Whether its size is one of a few steps, of time or of amount.
    pub(super) fn has_steps(self) -> bool {
        self.takes_time() || matches!(self, Self::Crowd | Self::Maps | Self::Logins)
    }

    /// Whether it says something, and its size is how much.
    fn says(self) -> bool {
        matches!(self, Self::UserSays | Self::JoinEarly | Self::Say)
    }
}

impl Act {
    /// Of this kind, with any numbers.
    fn any(kind: Kind, rng: &mut Rng) -> Self {
        // Small ones are more telling.
        let size = match rng.u32(..8) {
            0 => rng.u32(1..300_000),
            1 => rng.u32(1..5_000),
            _ => rng.u32(..40),
        };
        Self {
            kind,
            who: rng.u32(..4),
            port: rng.u32(..3),
            pick: rng.u32(..1 << 16),
            size,
        }
    }

    /// Of this kind, in a long session: what takes time mostly takes as long as it can, and much is said.
    fn long(kind: Kind, rng: &mut Rng) -> Self {
        let any = Self::any(kind, rng);
        let size = match (kind.has_steps(), kind.says()) {
            (true, _) => [0, 1, 2, 2, 3, 3, 3, 3][rng.usize(..8)],
            (_, true) if rng.bool() => rng.u32(70_000..=MOST),
            _ => any.size,
        };
        Self { size, ..any }
    }

    /// The same with smaller numbers, the smallest first.
    pub(super) fn simpler(self) -> impl Iterator<Item = Self> {
        let step = match self.kind.has_steps() {
            true => self.size.saturating_sub(1),
            false => self.size,
        };
        let half = [
            Self { size: 0, ..self },
            Self { port: 0, ..self },
            Self { who: 0, ..self },
            Self { pick: 0, ..self },
            Self {
                size: self.size / 8,
                ..self
            },
            Self {
                pick: self.pick & 0xff,
                ..self
            },
            Self { size: step, ..self },
        ];
        half.into_iter().filter(move |one| *one != self)
    }
}

/// The session of a seed.
///
/// Each session knows only some kinds of acts: what stands in the way of one finding is absent in half of all others.
pub(super) fn plan(side: Side, seed: u64) -> Plan {
    let mut rng = Rng::with_seed(seed ^ 0x6e65_7472_6f78_7921);
    let (first, kinds): (&[Kind], &[(Kind, u32)]) = match side {
        Side::Server => (&[Kind::Login, Kind::Map], SERVER),
        Side::Client => (&[Kind::Accept], CLIENT),
    };
    if is_long(seed) {
        return long(side, seed, &mut rng);
    }
    let short = rng.u32(..16) == 0;
    let timed = [Kind::Expire, Kind::InTime];
    let known: Vec<(Kind, u32)> = kinds
        .iter()
        .copied()
        .filter(|(kind, _)| short || side == Side::Client || !timed.contains(kind))
        .filter(|(kind, _)| rng.bool() || matches!(kind, Kind::Users | Kind::Join))
        .collect();
    let total: u32 = known.iter().map(|(_, weight)| weight).sum();
    let mut acts = Vec::new();
    // Most of what is to be found needs somebody who is logged in.
    if rng.u32(..8) > 0 {
        acts.extend(first.iter().map(|kind| Act {
            who: 0,
            port: 0,
            ..Act::any(*kind, &mut rng)
        }));
        if side == Side::Server {
            acts[1].pick = 0;
        }
    }
    let count = if short {
        rng.usize(1..6)
    } else {
        rng.usize(2..16)
    };
    for _ in 0..count {
        let mut at = rng.u32(..total.max(1));
        let kind = known.iter().find_map(|(kind, weight)| {
            if at < *weight {
                return Some(*kind);
            }
            at -= weight;
            None
        });
        acts.extend(kind.map(|kind| Act::any(kind, &mut rng)));
    }
    Plan {
        side,
        seed,
        short,
        long: false,
        acts,
    }
}

/// How many bytes are said at once at most.
pub(super) const MOST: u32 = 1 << 20;

/// Whether the session of a seed is about time and amount: one in four is. They have a dice of their own, so that the
/// other sessions are what they would be without them.
fn is_long(seed: u64) -> bool {
    Rng::with_seed(seed ^ 0x7469_6d65).u32(..4) == 0
}

/// A session about time and amount: something is open, and then it stands still, or there is much of it.
fn long(side: Side, seed: u64, rng: &mut Rng) -> Plan {
    let (first, often, kinds): (&[Kind], &[Kind], &[(Kind, u32)]) = match side {
        Side::Server => (
            &[Kind::Login, Kind::Map],
            &[Kind::Users, Kind::Join],
            SERVER_LONG,
        ),
        Side::Client => (&[Kind::Accept], &[Kind::Join], CLIENT_LONG),
    };
    let known: Vec<(Kind, u32)> = kinds
        .iter()
        .copied()
        .filter(|(kind, _)| rng.u32(..3) > 0 || *kind == Kind::Stand)
        .collect();
    let mut acts: Vec<Act> = Vec::new();
    // A client that has not been let in can be late only before that.
    if side == Side::Server || rng.u32(..4) > 0 {
        acts.extend(first.iter().map(|kind| Act {
            who: 0,
            port: 0,
            ..Act::any(*kind, rng)
        }));
    }
    // An open mapping.
    if let Some(map) = acts.get_mut(1) {
        map.pick = 0;
    }
    if rng.u32(..4) > 0 {
        acts.extend(often.iter().map(|kind| Act {
            port: 0,
            ..Act::long(*kind, rng)
        }));
    }
    let total: u32 = known.iter().map(|(_, weight)| weight).sum();
    for _ in 0..rng.usize(3..10) {
        let mut at = rng.u32(..total.max(1));
        let kind = known.iter().find(|(_, weight)| {
            let found = at < *weight;
            at = at.saturating_sub(*weight);
            found
        });
        acts.extend(kind.map(|(kind, _)| Act::long(*kind, rng)));
    }
    // Whatever has come of it has to last.
    acts.push(Act::long(Kind::Stand, rng));
    Plan {
        side,
        seed,
        short: false,
        long: true,
        acts,
    }
}

/// What is done to a server in a long session.
const SERVER_LONG: &[(Kind, u32)] = &[
    (Kind::Login, 3),
    (Kind::Map, 4),
    (Kind::Users, 10),
    (Kind::UserSays, 6),
    (Kind::UserEnds, 2),
    (Kind::Join, 10),
    (Kind::JoinEarly, 5),
    (Kind::Say, 3),
    (Kind::End, 5),
    (Kind::Leave, 1),
    (Kind::LeaveReset, 1),
    (Kind::Stand, 5),
    (Kind::Stall, 4),
    (Kind::Slow, 4),
    (Kind::LoginLate, 3),
    (Kind::LoginNever, 3),
    (Kind::UserOverdue, 4),
    (Kind::Crowd, 4),
    (Kind::Maps, 3),
    (Kind::Logins, 3),
];

/// What is done to a client in a long session.
const CLIENT_LONG: &[(Kind, u32)] = &[
    (Kind::Accept, 8),
    (Kind::Join, 10),
    (Kind::JoinEarly, 8),
    (Kind::JoinMany, 2),
    (Kind::JoinDead, 2),
    (Kind::Say, 3),
    (Kind::End, 5),
    (Kind::Leave, 1),
    (Kind::LeaveReset, 1),
    (Kind::Stand, 5),
    (Kind::Stall, 4),
    (Kind::Slow, 4),
    (Kind::LoginLate, 3),
    (Kind::LoginNever, 3),
    (Kind::TargetLate, 6),
    (Kind::Crowd, 5),
    (Kind::Maps, 3),
];

/// What is done to a server, and how often.
const SERVER: &[(Kind, u32)] = &[
    (Kind::Login, 6),
    (Kind::LoginTogether, 3),
    (Kind::LoginBad, 2),
    (Kind::LoginAgain, 2),
    (Kind::LoginReplaces, 2),
    (Kind::Map, 8),
    (Kind::MapBeyond, 2),
    (Kind::MapSpelt, 1),
    (Kind::Ask, 3),
    (Kind::Batch, 4),
    (Kind::Rush, 3),
    (Kind::Malformed, 4),
    (Kind::Stranger, 4),
    (Kind::Half, 2),
    (Kind::Endless, 1),
    (Kind::Users, 12),
    (Kind::UserSays, 4),
    (Kind::UserEnds, 2),
    (Kind::UserLeaves, 2),
    (Kind::UserResets, 2),
    (Kind::Join, 10),
    (Kind::JoinEarly, 8),
    (Kind::JoinBad, 3),
    (Kind::JoinUnasked, 2),
    (Kind::JoinOnControl, 2),
    (Kind::Say, 8),
    (Kind::SayBoth, 3),
    (Kind::End, 4),
    (Kind::EndAmid, 5),
    (Kind::Close, 4),
    (Kind::Reset, 3),
    (Kind::Leave, 2),
    (Kind::LeaveHalf, 1),
    (Kind::LeaveReset, 2),
    (Kind::Silence, 2),
    (Kind::Expire, 4),
    (Kind::InTime, 3),
];

/// What is done to a client, and how often.
const CLIENT: &[(Kind, u32)] = &[
    (Kind::Accept, 12),
    (Kind::Refuse, 2),
    (Kind::OddTimeout, 2),
    (Kind::NoAnswer, 3),
    (Kind::AnswerAgain, 2),
    (Kind::Answer, 3),
    (Kind::AliveUnasked, 2),
    (Kind::Malformed, 4),
    (Kind::Half, 2),
    (Kind::Endless, 1),
    (Kind::Join, 12),
    (Kind::JoinEarly, 8),
    (Kind::JoinMany, 4),
    (Kind::JoinUnknown, 2),
    (Kind::JoinDead, 3),
    (Kind::Say, 8),
    (Kind::SayBoth, 3),
    (Kind::End, 4),
    (Kind::EndAmid, 5),
    (Kind::Close, 4),
    (Kind::Reset, 3),
    (Kind::Leave, 2),
    (Kind::LeaveHalf, 2),
    (Kind::LeaveReset, 2),
    (Kind::Silence, 2),
    (Kind::Expire, 1),
    (Kind::InTime, 2),
];
