//! The acts of which sessions consist.

use fastrand::Rng;

/// One act of a session. The kind decides what each number means; every number has a meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Act {
    pub(crate) kind: ActKind,
    /// Which connection.
    pub(crate) who: u32,
    /// Which port.
    pub(crate) port: u32,
    /// Which variant.
    pub(crate) pick: u32,
    /// How much, or how long.
    pub(crate) size: u32,
}

/// What an act does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum ActKind {
    /// Server: a valid login.
    Login,
    /// Server: a login and its first requests, in one segment or cut anywhere.
    LoginWithRequests,
    /// Server: a login with a wrong user name or password.
    LoginBad,
    /// Server: ATH on a control connection.
    LoginAgain,
    /// Server: a login with the client name of another one that is open.
    LoginSameName,
    /// Server: MAP of one of three ports, which may be taken.
    Map,
    /// Server: MAP of a port that does not exist.
    MapBeyond,
    /// Server: MAP of a port with a sign or leading zeros.
    MapSpelling,
    /// Server: one or more SRQ.
    Srq,
    /// Server: several requests, in one segment or cut anywhere.
    Batch,
    /// Server: a client opens ports one after the other while data connections come.
    MapRace,
    /// A malformed message, or one that only the other peer sends.
    Malformed,
    /// Server: something else than a login, on a new connection.
    FirstOther,
    /// A part of a message, then the end of the connection.
    HalfMessage,
    /// A line of more than a mebibyte.
    EndlessLine,
    /// Server: users connect.
    Users,
    /// Server: a user sends bytes before its tunnel is joined.
    UserSends,
    /// Server: a user ends its direction before its tunnel is joined.
    UserEnds,
    /// Server: a user sends bytes and closes before its tunnel is joined.
    UserCloses,
    /// Server: a user resets its connection before its tunnel is joined.
    UserResets,
    /// Server: a valid TRS. Client: a TRQ of a mapping.
    Join,
    /// Server: bytes follow TRS. Client: bytes come before its TRS is read.
    JoinEarly,
    /// Server: TRS with a wrong token or port.
    JoinBad,
    /// Server: TRS without a TRQ.
    JoinUnrequested,
    /// Server: TRS on a control connection.
    JoinOnControl,
    /// One side of a tunnel sends bytes.
    Send,
    /// Both sides of a tunnel send bytes at the same time.
    SendBoth,
    /// One side ends its direction.
    End,
    /// One side sends much and ends its direction while the other side sends.
    EndAmid,
    /// One side closes, perhaps after its last bytes.
    Close,
    /// One side resets.
    Reset,
    /// We close a control connection.
    ControlClose,
    /// We end our direction of a control connection.
    ControlEnd,
    /// We reset a control connection.
    ControlReset,
    /// The control connection stays open and receives nothing.
    Silence,
    /// Server: nothing is sent until the login expires. Client: no SRS comes.
    KeepaliveLost,
    /// Server: SRQ comes shortly before the login expires. Client: SRQ comes in time.
    KeepaliveInTime,
    /// Client: `ARS true`, and an answer to each MAP.
    ArsTrue,
    /// Client: `ARS false`.
    ArsFalse,
    /// Client: ARS with a timeout out of range, or one that is no integer.
    ArsBadTimeout,
    /// Client: something else than ARS.
    AnswerOther,
    /// Client: a second ARS.
    ArsAgain,
    /// Client: MRS of a port without a MAP.
    MrsUnrequested,
    /// Client: SRS without an SRQ.
    SrsUnrequested,
    /// Client: several TRQ in one segment.
    JoinMany,
    /// Client: TRQ of a port that is not mapped.
    JoinUnknown,
    /// Client: TRQ of a mapping whose target refuses.
    JoinDead,
    /// Nothing is sent for a while; after that, everything works as before.
    Idle,
    /// One side of a tunnel reads nothing for a while.
    Stall,
    /// One side of a tunnel sends slowly.
    Slow,
    /// Server: a login on a connection that was idle first. Client: ARS comes late.
    LoginLate,
    /// Server: a connection on which nothing comes. Client: ARS does not come.
    LoginNever,
    /// Server: a user without a data connection.
    UserOverdue,
    /// Client: TRQ of a mapping whose target accepts late.
    TargetLate,
    /// Many tunnels at a time.
    ManyTunnels,
    /// Many mappings of a login.
    ManyMappings,
    /// Server: many logins, at a time or in a row.
    ManyLogins,
}

impl ActKind {
    /// Whether the act takes seconds.
    pub(super) fn takes_time(self) -> bool {
        matches!(
            self,
            Self::Idle
                | Self::Stall
                | Self::Slow
                | Self::LoginLate
                | Self::LoginNever
                | Self::UserOverdue
                | Self::TargetLate
        )
    }

    /// Whether the size of the act selects one of four times or amounts.
    pub(super) fn has_four_sizes(self) -> bool {
        self.takes_time()
            || matches!(
                self,
                Self::ManyTunnels | Self::ManyMappings | Self::ManyLogins
            )
    }

    /// Whether the size of the act is a number of bytes that a connection sends.
    fn sends_size(self) -> bool {
        matches!(self, Self::UserSends | Self::JoinEarly | Self::Send)
    }
}

/// How many bytes an act sends at once at most.
pub(super) const MAX_BYTES: u32 = 1 << 20;

impl Act {
    /// An act of this kind with random numbers.
    pub(super) fn random(kind: ActKind, rng: &mut Rng) -> Self {
        // Small sizes find more.
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

    /// An act for a long session: mostly the longest time or the largest amount, and many bytes.
    pub(super) fn random_long(kind: ActKind, rng: &mut Rng) -> Self {
        let random = Self::random(kind, rng);
        let size = match (kind.has_four_sizes(), kind.sends_size()) {
            (true, _) => [0, 1, 2, 2, 3, 3, 3, 3][rng.usize(..8)],
            (_, true) if rng.bool() => rng.u32(70_000..=MAX_BYTES),
            _ => random.size,
        };
        Self { size, ..random }
    }

    /// The same act with one smaller number each, the smallest numbers first.
    pub(super) fn simpler(self) -> impl Iterator<Item = Self> {
        let step = match self.kind.has_four_sizes() {
            true => self.size.saturating_sub(1),
            false => self.size,
        };
        let simpler = [
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
        simpler.into_iter().filter(move |act| *act != self)
    }
}
