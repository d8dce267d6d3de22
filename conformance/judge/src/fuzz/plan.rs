//! Plans: the acts of a session, which its seed decides.

use fastrand::Rng;
use netroxy_specification::notation::ast::Side;

use super::act::{Act, ActKind};

/// A session before the model makes a case of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Plan {
    /// The judged side.
    pub(crate) side: Side,
    /// The seed, which is also in the title of the case.
    pub(crate) seed: u64,
    /// Whether a short timeout is configured, so that acts can let a login expire.
    pub(crate) short: bool,
    /// Whether the session is about time and amount. The suite keeps every login of such a session alive.
    pub(crate) long: bool,
    /// The acts, in their order.
    pub(crate) acts: Vec<Act>,
}

impl Plan {
    /// The session of a seed: always the same.
    ///
    /// A session uses only some kinds of acts, so an act that hides another finding is absent in half of the sessions.
    pub(crate) fn of(side: Side, seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed ^ 0x6e65_7472_6f78_7921);
        if is_long(seed) {
            long(side, seed, &mut rng)
        } else {
            quick(side, seed, &mut rng)
        }
    }

    /// The same session with other acts.
    pub(crate) fn with(&self, acts: Vec<Act>) -> Self {
        Self {
            acts,
            ..self.clone()
        }
    }
}

/// A session that takes as little time as possible.
fn quick(side: Side, seed: u64, rng: &mut Rng) -> Plan {
    let (first, kinds): (&[ActKind], &[(ActKind, u32)]) = match side {
        Side::Server => (&[ActKind::Login, ActKind::Map], SERVER),
        Side::Client => (&[ActKind::ArsTrue], CLIENT),
    };
    let short = rng.u32(..16) == 0;
    let timed = [ActKind::KeepaliveLost, ActKind::KeepaliveInTime];
    let used: Vec<(ActKind, u32)> = kinds
        .iter()
        .copied()
        .filter(|(kind, _)| short || side == Side::Client || !timed.contains(kind))
        .filter(|(kind, _)| rng.bool() || matches!(kind, ActKind::Users | ActKind::Join))
        .collect();
    let mut acts = Vec::new();
    // Most findings need a login.
    if rng.u32(..8) > 0 {
        acts.extend(first.iter().map(|kind| Act {
            who: 0,
            port: 0,
            ..Act::random(*kind, rng)
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
        acts.extend(weighted(&used, rng).map(|kind| Act::random(kind, rng)));
    }
    Plan {
        side,
        seed,
        short,
        long: false,
        acts,
    }
}

/// Whether the session of a seed is about time and amount: one in four is. A separate random number decides this, so
/// the other sessions are the same as without long ones.
fn is_long(seed: u64) -> bool {
    Rng::with_seed(seed ^ 0x7469_6d65).u32(..4) == 0
}

/// A session about time and amount: logins, users and tunnels are open, and they stay idle or become many.
fn long(side: Side, seed: u64, rng: &mut Rng) -> Plan {
    let (first, often, kinds): (&[ActKind], &[ActKind], &[(ActKind, u32)]) = match side {
        Side::Server => (
            &[ActKind::Login, ActKind::Map],
            &[ActKind::Users, ActKind::Join],
            SERVER_LONG,
        ),
        Side::Client => (&[ActKind::ArsTrue], &[ActKind::Join], CLIENT_LONG),
    };
    let used: Vec<(ActKind, u32)> = kinds
        .iter()
        .copied()
        .filter(|(kind, _)| rng.u32(..3) > 0 || *kind == ActKind::Idle)
        .collect();
    let mut acts: Vec<Act> = Vec::new();
    // Late answers to ATH are only possible before ARS.
    if side == Side::Server || rng.u32(..4) > 0 {
        acts.extend(first.iter().map(|kind| Act {
            who: 0,
            port: 0,
            ..Act::random(*kind, rng)
        }));
    }
    // The mapping is open.
    if let Some(map) = acts.get_mut(1) {
        map.pick = 0;
    }
    if rng.u32(..4) > 0 {
        acts.extend(often.iter().map(|kind| Act {
            port: 0,
            ..Act::random_long(*kind, rng)
        }));
    }
    for _ in 0..rng.usize(3..10) {
        acts.extend(weighted(&used, rng).map(|kind| Act::random_long(kind, rng)));
    }
    // Everything that is open must stay open.
    acts.push(Act::random_long(ActKind::Idle, rng));
    Plan {
        side,
        seed,
        short: false,
        long: true,
        acts,
    }
}

/// A random kind, chosen by weight; `None` if there are no kinds.
fn weighted(kinds: &[(ActKind, u32)], rng: &mut Rng) -> Option<ActKind> {
    let total: u32 = kinds.iter().map(|(_, weight)| weight).sum();
    let mut at = rng.u32(..total.max(1));
    kinds.iter().find_map(|(kind, weight)| {
        if at < *weight {
            return Some(*kind);
        }
        at -= weight;
        None
    })
}

/// The acts of long sessions with a server, and their weights.
const SERVER_LONG: &[(ActKind, u32)] = &[
    (ActKind::Login, 3),
    (ActKind::Map, 4),
    (ActKind::Users, 10),
    (ActKind::UserSends, 6),
    (ActKind::UserEnds, 2),
    (ActKind::Join, 10),
    (ActKind::JoinEarly, 5),
    (ActKind::Send, 3),
    (ActKind::End, 5),
    (ActKind::ControlClose, 1),
    (ActKind::ControlReset, 1),
    (ActKind::Idle, 5),
    (ActKind::Stall, 4),
    (ActKind::Slow, 4),
    (ActKind::LoginLate, 3),
    (ActKind::LoginNever, 3),
    (ActKind::UserOverdue, 4),
    (ActKind::ManyTunnels, 4),
    (ActKind::ManyMappings, 3),
    (ActKind::ManyLogins, 3),
];

/// The acts of long sessions with a client, and their weights.
const CLIENT_LONG: &[(ActKind, u32)] = &[
    (ActKind::ArsTrue, 8),
    (ActKind::Join, 10),
    (ActKind::JoinEarly, 8),
    (ActKind::JoinMany, 2),
    (ActKind::JoinDead, 2),
    (ActKind::Send, 3),
    (ActKind::End, 5),
    (ActKind::ControlClose, 1),
    (ActKind::ControlReset, 1),
    (ActKind::Idle, 5),
    (ActKind::Stall, 4),
    (ActKind::Slow, 4),
    (ActKind::LoginLate, 3),
    (ActKind::LoginNever, 3),
    (ActKind::TargetLate, 6),
    (ActKind::ManyTunnels, 5),
    (ActKind::ManyMappings, 3),
];

/// The acts of other sessions with a server, and their weights.
const SERVER: &[(ActKind, u32)] = &[
    (ActKind::Login, 6),
    (ActKind::LoginWithRequests, 3),
    (ActKind::LoginBad, 2),
    (ActKind::LoginAgain, 2),
    (ActKind::LoginSameName, 2),
    (ActKind::Map, 8),
    (ActKind::MapBeyond, 2),
    (ActKind::MapSpelling, 1),
    (ActKind::Srq, 3),
    (ActKind::Batch, 4),
    (ActKind::MapRace, 3),
    (ActKind::Malformed, 4),
    (ActKind::FirstOther, 4),
    (ActKind::HalfMessage, 2),
    (ActKind::EndlessLine, 1),
    (ActKind::Users, 12),
    (ActKind::UserSends, 4),
    (ActKind::UserEnds, 2),
    (ActKind::UserCloses, 2),
    (ActKind::UserResets, 2),
    (ActKind::Join, 10),
    (ActKind::JoinEarly, 8),
    (ActKind::JoinBad, 3),
    (ActKind::JoinUnrequested, 2),
    (ActKind::JoinOnControl, 2),
    (ActKind::Send, 8),
    (ActKind::SendBoth, 3),
    (ActKind::End, 4),
    (ActKind::EndAmid, 5),
    (ActKind::Close, 4),
    (ActKind::Reset, 3),
    (ActKind::ControlClose, 2),
    (ActKind::ControlEnd, 1),
    (ActKind::ControlReset, 2),
    (ActKind::Silence, 2),
    (ActKind::KeepaliveLost, 4),
    (ActKind::KeepaliveInTime, 3),
];

/// The acts of other sessions with a client, and their weights.
const CLIENT: &[(ActKind, u32)] = &[
    (ActKind::ArsTrue, 12),
    (ActKind::ArsFalse, 2),
    (ActKind::ArsBadTimeout, 2),
    (ActKind::AnswerOther, 3),
    (ActKind::ArsAgain, 2),
    (ActKind::MrsUnrequested, 3),
    (ActKind::SrsUnrequested, 2),
    (ActKind::Malformed, 4),
    (ActKind::HalfMessage, 2),
    (ActKind::EndlessLine, 1),
    (ActKind::Join, 12),
    (ActKind::JoinEarly, 8),
    (ActKind::JoinMany, 4),
    (ActKind::JoinUnknown, 2),
    (ActKind::JoinDead, 3),
    (ActKind::Send, 8),
    (ActKind::SendBoth, 3),
    (ActKind::End, 4),
    (ActKind::EndAmid, 5),
    (ActKind::Close, 4),
    (ActKind::Reset, 3),
    (ActKind::ControlClose, 2),
    (ActKind::ControlEnd, 2),
    (ActKind::ControlReset, 2),
    (ActKind::Silence, 2),
    (ActKind::KeepaliveLost, 1),
    (ActKind::KeepaliveInTime, 2),
];
