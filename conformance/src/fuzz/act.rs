//! What a session does, and how a seed decides it.

use fastrand::Rng;

use super::Plan;
use crate::notation::ast::Side;

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

    /// The same with smaller numbers, the smallest first.
    pub(super) fn simpler(self) -> impl Iterator<Item = Self> {
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
        acts,
    }
}

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
