//! The bugs: one knob each.

use std::fmt;

/// Who has a bug.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    /// The server.
    Server,
    /// The client.
    Client,
    /// Either.
    Both,
}

macro_rules! bugs {
    ($($bug:ident: $side:ident, $rule:literal, $what:literal;)*) => {
        /// One way to break the protocol.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Bug {
            $(#[doc = concat!("A peer that ", $what, "; it breaks `", $rule, "`.")] $bug,)*
        }

        impl Bug {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$bug),*];

            /// Who has it.
            #[must_use]
            pub const fn side(self) -> Side {
                match self { $(Self::$bug => Side::$side),* }
            }

            /// The id of the rule that it breaks.
            #[must_use]
            pub const fn rule(self) -> &'static str {
                match self { $(Self::$bug => $rule),* }
            }

            /// What it does; goes on from "a peer that".
            #[must_use]
            pub const fn what(self) -> &'static str {
                match self { $(Self::$bug => $what),* }
            }
        }
    };
}

bugs! {
    CrIgnored: Both, "frame.lf-only", "takes CR LF for the end of a line";
    CrEndsLine: Both, "frame.lf-only", "takes CR alone for the end of a line";
    CutMessageLost: Both, "frame.segmentation", "forgets a message that has not come whole";
    BegunMessageLost: Both, "frame.segmentation", "forgets a message that has begun in the segment of the one before";
    ByteLostAtBorder: Both, "frame.segmentation", "loses a byte where a segment ends inside of a line";
    RestOfSegmentLost: Both, "frame.pipelining", "handles one message of a segment and forgets the rest";
    CrowdLost: Both, "frame.pipelining", "forgets the rest of a segment behind its twentieth message";
    RestBehindAthLost: Server, "frame.pipelining", "forgets what comes in one segment with ATH";
    RestBehindMapLost: Server, "frame.pipelining", "forgets what comes in one segment with MAP";
    RestBehindSrqLost: Server, "frame.pipelining", "forgets what comes in one segment with SRQ";
    RestBehindArsLost: Client, "frame.pipelining", "forgets what comes in one segment with ARS";
    RestBehindMrsLost: Client, "frame.pipelining", "forgets what comes in one segment with MRS";
    RestBehindTrqLost: Client, "frame.pipelining", "forgets what comes in one segment with TRQ";
    RestBehindSrsLost: Client, "frame.pipelining", "forgets what comes in one segment with SRS";
    BehindArsCloses: Client, "frame.pipelining", "closes when something comes with ARS";
    EndCompletes: Both, "frame.partial-no-effect", "takes the end of the stream for the end of a line";
    LastLineEager: Both, "frame.partial-no-effect", "acts on a message before its last line has ended";
    LinesEndInCrLf: Both, "frame.sender-grammar", "ends its lines by CR LF once it is logged in";
    EmptyLineBehindMessages: Both, "frame.sender-grammar", "writes an empty line after each message once it is logged in";
    AsksItsClient: Server, "frame.sender-grammar", "asks its clients by SRQ";
    TrqAcknowledged: Client, "frame.sender-grammar", "acknowledges a TRQ by MRS";
    MessagesInterleaved: Both, "frame.sender-whole", "writes another message between the lines of one";
    UnknownIgnored: Both, "frame.unknown-word", "passes over a line that is no word";
    BytesBehindMessageIgnored: Both, "frame.unknown-word", "passes over what is no message in the segment of a message";
    UnknownIgnoredBeforeLogin: Server, "frame.unknown-word", "passes over a line that is no word, before the login";
    EmptyLinesIgnored: Both, "frame.unknown-word", "passes over an empty line";
    OwnWordsIgnored: Both, "frame.unknown-word", "passes over words of the other direction";
    WordsInAnyCase: Server, "frame.unknown-word", "knows words in small letters too";
    LineLimitLow: Both, "frame.line-limit", "refuses a line of more than 1024 bytes";
    LineLimitOffByOne: Both, "frame.line-limit", "refuses a line of 4096 bytes";
    LineUnbounded: Both, "frame.line-bound", "buffers a line however long it is";
    LineUnboundedBeforeLogin: Both, "frame.line-bound", "does so before the login alone";
    LineUnboundedAfterLogin: Both, "frame.line-bound", "does so after the login alone";
    TextUtf8: Both, "frame.text", "refuses a text that is not UTF-8";
    TextAscii: Client, "frame.text", "strips what is not ASCII from texts";
    TextTrimmed: Client, "auth.token-opaque", "strips blanks from texts";
    IntegerEchoed: Both, "frame.int-canonical", "writes a port as the other side wrote it";
    IntegerWithPlus: Both, "frame.int-canonical", "writes ports with a plus sign";
    IntegerGuessed: Both, "frame.int", "takes what is no integer for 30";
    IntegerTrimmed: Both, "frame.int", "strips blanks and CR from integers";
    TrsPortGuessed: Server, "frame.int", "takes what is no port in TRS for the lowest port of the login";
    BooleanGuessed: Both, "frame.bool", "takes what is no boolean for false";
    BooleanTruthy: Both, "frame.bool", "takes what is no boolean for true";
    BooleanCapitalised: Both, "frame.bool-canonical", "writes True and False in MAP and MRS";
    BooleanNumeric: Both, "frame.bool-canonical", "writes 1 and 0 for booleans in MAP and MRS";
    SrsLate: Server, "time.prompt", "answers SRQ after 3 seconds";
    MrsLate: Server, "time.prompt", "answers MAP after 3 seconds";
    TrqLate: Server, "time.prompt", "sends TRQ 3 seconds after a user has come";
    JoinLate: Server, "time.prompt", "joins a data connection after 3 seconds";
    MapsLate: Client, "time.prompt", "sends its MAPs 3 seconds after ARS";
    TargetLate: Client, "tunnel.target", "connects to a target 7 seconds after TRS";
    EndLate: Both, "time.prompt", "passes on the end of a direction after 3 seconds";
    SrqBeforeLogin: Server, "auth.first", "answers SRQ before the login";
    MapAfterRefusal: Server, "auth.first", "answers MAP on a connection that it has refused";
    MapBeforeLogin: Server, "auth.first", "answers MAP before the login";
    BeforeLoginIgnored: Server, "auth.first", "passes over what comes before the login";
    EmptyNameRefused: Server, "auth.ok-reply", "refuses an empty client name";
    LoginsEverAtMost16: Server, "auth.ok-reply", "refuses every login after the sixteenth";
    ArsTwice: Server, "auth.ok-reply", "answers ATH twice";
    BinaryNameRefused: Server, "auth.ok-reply", "refuses a client name that is not ASCII";
    PasswordNotCompared: Server, "auth.fail-reply", "does not look at the password";
    PasswordEmptyAccepted: Server, "auth.fail-reply", "accepts an empty password";
    RefusalWithFields: Server, "auth.fail-reply", "sends timeout and token with ARS false";
    RefusalSilent: Server, "auth.fail-reply", "closes without ARS false";
    RefusalLostWithRest: Server, "auth.fail-reply", "closes without ARS false when more has come with ATH";
    RefusalKept: Server, "auth.fail-close", "leaves a refused connection open";
    RefusalForgotten: Server, "auth.fail-close", "lets a refused connection try again";
    UsernameNotCompared: Server, "auth.fail-reply", "does not look at the user name";
    PasswordWithLess: Server, "auth.exact", "accepts the first half of the password";
    CredentialsInAnyCase: Server, "auth.exact", "takes no heed of capitals in user name and password";
    PasswordPrefix: Server, "auth.exact", "accepts a password that begins with the right one";
    PasswordCutTo64: Server, "frame.line-limit", "compares only what fits into 64 bytes";
    CredentialsSwapped: Server, "auth.exact", "accepts user name and password in any order";
    CredentialsTrimmed: Server, "auth.exact", "strips blanks and CR from user name and password";
    SecondLoginAccepted: Server, "auth.once", "accepts a second ATH";
    SecondLoginRefused: Server, "auth.once", "refuses a second ATH and goes on";
    SecondLoginIgnored: Server, "auth.once", "passes over a second ATH";
    TokenForAll: Server, "auth.token-unique", "gives everybody the same token";
    TokenOfName: Server, "auth.token-unique", "makes the token from the client name";
    FifthLoginFirstToken: Server, "auth.token-unique", "gives the fifth login of a name the token of the first";
    TimeoutZeroSent: Server, "auth.timeout-positive", "sends a timeout of 0";
    TimeoutCutTo16Bits: Server, "auth.timeout-positive", "sends the last 16 bits of a timeout";
    TimeoutAtMostADay: Server, "auth.timeout-positive", "sends 86400 for a longer timeout";
    TimeoutAtLeastThree: Server, "auth.timeout-positive", "sends 3 for a shorter timeout";
    LoginNeverDue: Server, "auth.deadline", "waits for a login for ever";
    LoginDueAtOnce: Server, "auth.deadline-floor", "closes a connection without a login after 0.3 seconds";
    LoginDueEarly: Server, "auth.deadline-floor", "does so after 5 seconds";
    HandshakeDueEarly: Server, "auth.deadline-floor", "closes a connection without a handshake after 3 seconds";
    HandshakeCountsTwice: Server, "auth.deadline", "waits for a login for 12 seconds more after a handshake";
    RefusalLate: Server, "auth.reply-time", "sends ARS false after 7 seconds";
    AnswerLate: Server, "auth.reply-time", "sends ARS true after 6 seconds, from the third login on";
    ControlLimited: Server, "keep.not-early", "ends a login 9 seconds after its connection was accepted";
    ControlIdleClosed: Server, "keep.not-early", "ends a login on which nothing comes for 4 seconds";
    ControlIdleClosedLate: Server, "keep.not-early", "does so after 9 seconds";
    UserTimeShort: Server, "tunnel.user-patience", "closes a user that has waited for 2 seconds";
    UserTimeNearlyEnough: Server, "tunnel.user-patience", "does so after 6 seconds";
    ClosesAllWaitingLate: Server, "tunnel.waiting-closed", "closes waiting users 4 seconds after their client has gone";
    TrsRenews: Server, "keep.only-srq", "takes TRS for a sign of life";
    UserRenews: Server, "keep.only-srq", "takes a user for a sign of life of the client";
    HalfSrqRenews: Server, "keep.only-srq", "takes half an SRQ for a sign of life";
    LoginDueOnlyWhenSilent: Server, "auth.deadline", "waits for ever once a byte has come";
    HandshakeNeverDue: Server, "auth.deadline", "waits for a handshake for ever";
    SameNameRefused: Server, "auth.same-name", "refuses a login with a name that is in use";
    SameNameKept: Server, "auth.same-name-replaces", "keeps the older login of the same name";
    SameNameReleasedLate: Server, "auth.same-name-replaces", "ends the older login half a second later";
    FifthReplacesNobody: Server, "auth.same-name-replaces", "keeps the older login when the fifth of a name comes";
    ReplacedTokenServed: Server, "auth.same-name-replaces", "serves the successor's users to the token of a replaced login";
    MrsTwice: Server, "map.one-reply", "answers MAP twice";
    HighestPortCloses: Server, "map.one-reply", "closes when somebody asks for port 65535";
    LowestPortCloses: Server, "map.one-reply", "closes when somebody asks for port 1";
    MrsPortOffByOne: Server, "map.same-port", "answers a MAP with the next port";
    MrsPortSigned: Server, "map.same-port", "writes ports as signed numbers of 16 bits";
    MrsHighestPortAsZero: Server, "map.same-port", "writes port 65535 as 0";
    MrsPortModulo: Server, "map.port-range", "writes the port modulo 65536";
    MrsPortOfFirst: Server, "map.order", "writes the lowest port of the login";
    MrsSwapped: Server, "map.order", "answers two MAPs of a segment in the wrong order";
    MappingsAtMost50: Server, "map.capacity", "gives a login no more than 50 ports";
    MappingsAtMost64: Server, "map.capacity", "gives a login no more than 64 ports";
    MappingsAtMost99: Server, "map.capacity", "gives a login no more than 99 ports";
    MappingsBeyond64Deaf: Server, "map.capacity", "listens on the first 64 ports of a login alone, and answers true for all";
    MrsBeforeBind: Server, "map.bound-when-true", "answers true, and listens a little later";
    ConflictTrue: Server, "map.conflict-false", "answers true for a port that is taken";
    ControlPortGivenAway: Server, "map.conflict-false", "answers true for its own control port, and serves that one no more";
    ConflictTakesOver: Server, "map.conflict-false", "gives a port to whoever asks last";
    ConflictReopens: Server, "map.conflict-keeps-first", "gives a mapping to another login while it answers false";
    ConflictDropsFirst: Server, "map.conflict-keeps-first", "ends a mapping when somebody asks for its port";
    PortRangeTrue: Server, "map.port-range", "answers true for ports that do not exist";
    PortModulo: Server, "map.port-range", "takes ports modulo 65536";
    PortZeroTrue: Server, "map.port-range", "answers true for port 0";
    PortNegativeTrue: Server, "map.port-range", "answers true for negative ports";
    MrsFalseCloses: Server, "map.false-keeps-login", "closes when it answers false";
    MrsFalseDropsOthers: Server, "map.false-harmless", "ends the other mappings when it answers false";
    ClosedHangs: Server, "map.closed-closes", "leaves users of a closed mapping waiting";
    ClosedClosesLate: Server, "map.closed-closes", "closes users of a closed mapping after 9 seconds";
    ClosedIsOpen: Server, "map.closed-closes", "opens closed mappings";
    ClosedSendsTrq: Server, "map.closed-no-tunnel", "sends TRQ for users of closed mappings, which it closes";
    PortsNeverReleased: Server, "map.released-on-close", "keeps the ports of logins that have ended";
    PortsReleasedLate: Server, "map.released-on-close", "keeps the ports for a minute";
    PortsKeptOnClose: Server, "map.released-on-close", "keeps the ports of clients that close";
    PortsKeptOnReset: Server, "map.released-on-close", "keeps the ports of clients that reset";
    PortsKeptOnViolation: Server, "map.released-on-close", "keeps the ports of clients that it throws out";
    PortsKeptOnExpiry: Server, "map.released-on-close", "keeps the ports of clients that expire";
    PortsKeptWithTunnel: Server, "map.released-on-close", "keeps the ports while a tunnel is open";
    OneEndsAllPorts: Server, "map.others-untouched", "ends all mappings when a client goes";
    OneEndsAllTunnels: Server, "map.others-untouched", "ends all tunnels when a client goes";
    OneEndsAllWaiting: Server, "map.others-untouched", "closes all waiting users when a client goes";
    ExpiryEndsAllOfName: Server, "map.others-untouched", "ends all logins of a name when one of them expires";
    TrqTwice: Server, "tunnel.one-trq-per-user", "sends TRQ twice";
    TrqTwiceInCrowd: Server, "tunnel.one-trq-per-user", "sends TRQ twice for the third user that waits";
    TrqOnlyForFirst: Server, "tunnel.one-trq-per-user", "sends no TRQ while another user waits";
    TrqMissingNowAndThen: Server, "tunnel.one-trq-per-user", "forgets one TRQ of 25";
    UsersEverAtMost100: Server, "tunnel.one-trq-per-user", "closes every user after the hundredth";
    TrqHeldWhileOthersWait: Server, "tunnel.concurrent", "sends no TRQ while a user of another port waits";
    TrqFirstPort: Server, "tunnel.trq-port", "names the lowest port of the login";
    TokenNotCompared: Server, "tunnel.bad-token-close", "takes any token";
    TokenEmptyAccepted: Server, "tunnel.bad-token-close", "takes an empty token for anybody's";
    TokenWithMore: Server, "tunnel.token-exact", "accepts a token with something behind it";
    TokenWithLess: Server, "tunnel.token-exact", "compares only as much of a token as it is given";
    TokenInAnyCase: Server, "tunnel.token-exact", "takes no heed of capitals in tokens";
    TokenBehindSomething: Server, "tunnel.token-exact", "accepts a token with something before it";
    TokenTrimmed: Server, "tunnel.token-exact", "strips blanks from tokens";
    TokenCutTo4095: Server, "frame.line-limit", "does not look at long tokens";
    BadTokenKept: Server, "tunnel.bad-token-close", "leaves a connection with a wrong token open";
    TokenOfTlsAnywhere: Server, "tunnel.token-scope", "accepts a token of the TLS port on the plain one";
    TokenOfPlainAnywhere: Server, "tunnel.token-scope", "accepts a token of the plain port on the TLS one";
    BadPortKept: Server, "tunnel.bad-port-close", "leaves a connection with a wrong port open";
    PortOfAnotherServed: Server, "tunnel.bad-port-close", "serves users of another login";
    TokenOfNameServed: Server, "tunnel.bad-port-close", "serves the users of another login that has the same name";
    AnyPortServed: Server, "tunnel.isolation", "serves whoever has waited longest on any port";
    TrsOnControlIgnored: Server, "tunnel.not-on-control", "passes over TRS on a control connection";
    TrsOnControlJudged: Server, "tunnel.not-on-control", "closes a control connection for TRS only if the token is right";
    TrsAnswered: Server, "tunnel.trs-unanswered", "answers TRS";
    UserGreeted: Server, "tunnel.user-pure", "greets users";
    ClosedUserTold: Server, "tunnel.user-pure", "tells users of a closed mapping in words that it is closed";
    WaitingUserTold: Server, "tunnel.user-pure", "tells users in words that no data connection has come";
    EndedUserTold: Server, "tunnel.user-pure", "tells waiting users in words that their client has gone";
    RefusedTunnelEndsControls: Server, "tunnel.failure-keeps-control", "ends the logins when it refuses a data connection";
    BrokenTunnelEndsControl: Both, "tunnel.failure-keeps-control", "ends the login when a tunnel breaks";
    Lifo: Server, "tunnel.fifo", "serves the user that came last";
    SecondComesFirst: Server, "tunnel.fifo", "lets the third user pass the second";
    WaitingAtMost16: Server, "tunnel.waiting-capacity", "closes the seventeenth user that waits";
    WaitingAtMost64: Server, "tunnel.waiting-capacity", "closes the user that has waited longest when the sixty-fifth comes";
    WaitingAtMost99: Server, "tunnel.waiting-capacity", "closes the hundredth user that waits";
    GoneUsersKeepPlaces: Server, "tunnel.waiting-capacity", "has a hundred places for users, and never gives back those of users who have gone";
    TunnelsAtMost8: Both, "tunnel.capacity", "closes the ninth tunnel that is open at a time";
    TunnelsAtMost64: Both, "tunnel.capacity", "lets the sixty-fifth tunnel that is open at a time stand still";
    TunnelsAtMost99: Both, "tunnel.capacity", "closes the hundredth tunnel that is open at a time";
    DialsAtMost8: Client, "tunnel.capacity", "serves a TRQ only when fewer than 8 tunnels are open";
    UnsolicitedKept: Server, "tunnel.no-unsolicited", "leaves a data connection open for which nobody waits";
    GoneUserServed: Server, "tunnel.user-gone", "joins users that have gone";
    GoneUserKeepsAll: Server, "tunnel.no-unsolicited", "leaves a data connection hanging when its user has gone";
    UserWaitsForever: Server, "tunnel.user-timeout", "lets users wait for ever";
    WaitingUsersKept: Server, "tunnel.waiting-closed", "lets users wait whose client has gone";
    EarlyDataLost: Server, "tunnel.early-data", "throws away what has been read behind TRS";
    EarlyDataTwice: Server, "tunnel.early-data", "sends what came with TRS twice";
    EarlySegmentLost: Server, "tunnel.early-data", "throws away the first segment behind TRS";
    EarlyDataAtMost64Kib: Server, "tunnel.early-data", "keeps no more than 64 KiB of what comes with TRS";
    EarlyDataTrimmed: Server, "tunnel.early-data", "strips blanks, CR and LF from the beginning of what comes with TRS";
    EarlyDataAsText: Server, "tunnel.early-data", "takes what comes with TRS for UTF-8, and replaces what is none";
    EarlyDataEndsAtNul: Server, "tunnel.early-data", "carries what comes with TRS up to a byte that is 0";
    EarlyUserDataLost: Server, "tunnel.early-user-data", "throws away what a user has said before it was joined";
    EarlyUserDataLostNowAndThen: Server, "tunnel.early-user-data", "does so with each fifth user";
    EarlyUserDataLostAtEnd: Server, "tunnel.early-user-data", "gives up a user that has ended its direction before it was joined";
    EarlyUserDataAtMost16Kib: Server, "tunnel.early-user-data", "keeps no more than 16 KiB of what a user has said before it was joined";
    EarlyUserDataAtMost64Kib: Server, "tunnel.early-user-data", "keeps no more than 64 KiB of it";
    EarlyUserDataAtMost1Mib: Server, "tunnel.early-user-data", "keeps no more than 1 MiB of it";
    EarlyUserDataAsText: Server, "tunnel.early-user-data", "takes it for UTF-8, and replaces what is none";
    EarlyBytesAtMost64Kib: Client, "tunnel.transparent", "keeps no more than 64 KiB of what a user says before the target is reached";
    EarlyBytesAsText: Client, "tunnel.transparent", "takes it for UTF-8, and replaces what is none";
    FirstSegmentLost: Client, "tunnel.transparent", "throws away the first segment behind TRS";
    BannerLost: Client, "tunnel.transparent", "throws away what a target says first";
    EarlyUserEndCloses: Client, "tunnel.half-close", "gives up a user that has ended its direction before the target was reached";
    TunnelNulDropped: Both, "tunnel.transparent", "drops bytes that are 0";
    TunnelSevenBits: Both, "tunnel.transparent", "carries 7 bits of each byte";
    TunnelCrDropped: Both, "tunnel.transparent", "drops CR";
    TunnelByteLostAtBorder: Both, "tunnel.transparent", "loses the last byte of a full buffer";
    TunnelSwapsBytes: Both, "tunnel.transparent", "swaps the first two bytes of each piece";
    TunnelSingleByteTwice: Both, "tunnel.transparent", "sends a single byte twice";
    TunnelLosesBehindMegabyte: Both, "tunnel.transparent", "loses bytes behind the first MiB";
    TunnelFlipsAt16Mib: Both, "tunnel.transparent", "changes the byte behind the first 16 MiB";
    TunnelLosesInwardsBehind16Mib: Both, "tunnel.transparent", "loses bytes of the data connection behind the first 16 MiB";
    TunnelLosesOutwardsBehind16Mib: Both, "tunnel.transparent", "loses bytes of the user or target behind the first 16 MiB";
    TunnelEndsAt16Mib: Both, "tunnel.transparent", "closes a tunnel that has carried 16 MiB in one direction";
    TunnelHearsWords: Server, "tunnel.transparent", "takes SRQ in a tunnel for itself";
    TunnelLosesNowAndThen: Both, "tunnel.transparent", "loses 1 piece of 60";
    TunnelsOddMute: Both, "tunnel.transparent", "loses the first piece of every other tunnel";
    TunnelsMix: Both, "tunnel.isolation", "exchanges pieces of tunnels";
    TunnelsMixNowAndThen: Both, "tunnel.isolation", "exchanges 1 piece of 20 between tunnels";
    TunnelsTakeTurns: Both, "tunnel.concurrent", "carries one tunnel at a time";
    TunnelUnbounded: Both, "tunnel.backpressure", "reads as fast as it can, whoever takes it";
    TunnelUnboundedInwards: Both, "tunnel.backpressure", "does so with the data connection alone";
    TunnelUnboundedOutwards: Both, "tunnel.backpressure", "does so with the user or target alone";
    HalfCloseCloses: Both, "tunnel.half-close", "closes a tunnel when one direction ends";
    HalfCloseInwardsCloses: Both, "tunnel.half-close", "does so when the data connection ends its direction";
    HalfCloseOutwardsCloses: Both, "tunnel.half-close", "does so when the user or target ends its direction";
    HalfCloseHurries: Both, "tunnel.half-close", "closes a tunnel a tenth of a second after one direction has ended";
    SecondEndSwallowed: Both, "tunnel.close-propagates", "does not pass on the end of the direction that ends last";
    EndSwallowed: Both, "tunnel.end-passed", "does not pass on the end of a direction";
    EndSwallowedInwards: Both, "tunnel.end-passed", "does not pass on the end of the data connection's direction";
    EndSwallowedOutwards: Both, "tunnel.end-passed", "does not pass on the end of the user's or target's direction";
    ResetNotPassed: Both, "tunnel.reset-propagates", "does not pass on a reset";
    BreakCutsBoth: Both, "tunnel.last-bytes", "closes both sides at once when one has gone";
    ResetDropsHeld: Both, "tunnel.last-bytes", "throws away what it holds when its sender resets";
    BrokenSinkIgnored: Both, "tunnel.reset-propagates", "goes on reading for a side that has gone";
    TunnelIdleClosedLate: Both, "tunnel.idle", "closes a tunnel in which nothing passes for 8 seconds";
    TunnelLimited: Both, "tunnel.idle", "closes a tunnel 9 seconds after it was joined, also one that is busy";
    DataSilentClosed: Both, "tunnel.idle", "closes a tunnel when the data connection is silent for 3 seconds";
    FarSilentClosed: Both, "tunnel.idle", "closes a tunnel when the user or target is silent for 3 seconds";
    StalledWriteCloses: Both, "tunnel.idle", "closes a tunnel when a side takes nothing for 3 seconds";
    StalledWriteClosesLate: Both, "tunnel.idle", "does so after 8 seconds";
    HalfCloseEndsAfterOne: Both, "tunnel.half-close", "closes a tunnel when nothing passes for a second after one direction has ended";
    HalfCloseEndsAfterThree: Both, "tunnel.half-close", "does so after 3 seconds";
    HalfCloseLimited: Both, "tunnel.half-close", "closes a tunnel 6 seconds after one direction has ended, also one that is busy";
    HalfCloseInwardsLimited: Both, "tunnel.half-close", "does so when the data connection has ended its direction";
    HalfCloseOutwardsLimited: Both, "tunnel.half-close", "does so when the user or target has ended its direction";
    TunnelIdleClosed: Both, "tunnel.idle", "closes a tunnel in which nothing passes for 2 seconds";
    TunnelsEndWithControl: Both, "tunnel.outlives-control", "closes the tunnels when the control connection ends";
    SrsTwice: Server, "keep.srs", "answers SRQ twice";
    SrsEverySecond: Server, "keep.srs", "answers every other SRQ";
    SrsMissingInCrowd: Server, "keep.srs", "forgets one SRS of 50";
    SrqDoesNotRenew: Server, "keep.refresh", "counts the silence from the login alone";
    MapRenews: Server, "keep.only-srq", "takes MAP for a sign of life";
    TunnelRenews: Server, "keep.only-srq", "takes bytes of a tunnel for a sign of life";
    ExpiryEarly: Server, "keep.not-early", "expires a client after 0.7 timeouts";
    ExpiryOverflows: Server, "keep.not-early", "expires a client at once when the timeout is the longest there is";
    OldExpiryEndsNew: Server, "keep.not-early", "ends a login when the silence of the one that it has replaced is over";
    ExpiryLate: Server, "keep.expiry-bound", "expires a client after 2.5 timeouts";
    ExpiryCoarse: Server, "keep.expiry-bound", "expires no client before 3 seconds have passed";
    ExpiryNever: Server, "keep.expiry-bound", "never expires a client";
    ExpiryNeverAfterSrq: Server, "keep.expiry-bound", "never expires a client that has sent SRQ";
    OneClientOnly: Server, "life.client-independence", "refuses a client while another is logged in";
    ClientsAtMost8: Server, "life.client-independence", "refuses a client while 8 are logged in";
    ClientsAtMost15: Server, "life.client-independence", "refuses a client while 15 are logged in";
    SixteenthEndsFirst: Server, "life.client-independence", "ends the oldest login when the sixteenth client comes";
    EmptyNameReplaces: Server, "life.client-independence", "ends a login with the empty name when another comes";
    NameForgotten: Server, "life.client-independence", "sends no TRQ to a login of whose name another login has ended";
    TrqToLastOfName: Server, "life.client-independence", "sends TRQ to the login that came last with the name";
    AbortBeforeLoginFatal: Server, "life.survives-abort", "serves nobody any more when a connection is reset before its login";
    AbortAfterLoginFatal: Server, "life.survives-abort", "serves nobody any more when a client resets";
    AbortedUserFatal: Server, "life.survives-abort", "serves nobody any more when a user has gone that was waiting";
    BrokenTunnelFatal: Server, "life.survives-abort", "serves nobody any more when a tunnel breaks";
    EarlyUserEndsLogin: Server, "life.server-survives", "throws out the client of a user that speaks before it is joined";
    StrangerEndsAll: Server, "life.server-survives", "throws everybody out when somebody sends nonsense who has not logged in";
    ViolationEndsAll: Server, "life.server-survives", "throws everybody out when a client sends nonsense";
    StaleTokenServed: Server, "life.stale-token", "serves a token whose login has ended";
    StaleTokenKept: Server, "life.stale-token", "leaves a connection open whose token's login has ended";
    PlainOnTlsServed: Server, "tls.no-plain-on-tls", "speaks plain on the TLS port too";
    PlainOnTlsKept: Server, "tls.no-plain-on-tls", "leaves a plain connection to the TLS port open";
    MapsBeforeArs: Client, "auth.client-waits", "sends MAP before ARS";
    SrqBeforeArs: Client, "auth.client-waits", "sends SRQ before ARS";
    SrqBeforeAth: Client, "auth.client-first", "sends SRQ before ATH";
    MapsBeforeAth: Client, "auth.client-first", "sends MAP before ATH";
    AthTwice: Client, "auth.client-once", "sends ATH twice";
    AthForSrq: Client, "auth.client-once", "sends ATH in place of SRQ";
    AthAfterFalse: Client, "auth.client-once", "sends ATH again when a mapping is refused";
    PlainFallback: Server, "tls.no-plain-effect", "falls back to plain on the TLS port";
    PlainLoginCounts: Server, "tls.no-plain-effect", "lets a plain login on the TLS port replace another one, and closes it";
    PlainTrsCounts: Server, "tls.no-plain-effect", "gives a user to a plain TRS on the TLS port, and closes both";
    TokenCounted: Server, "auth.token-random", "counts its tokens up";
    TokenShort: Server, "auth.token-random", "makes tokens of 8 hexadecimal digits";
    TokenSharesPrefix: Server, "auth.token-random", "makes tokens that differ in their last 8 digits alone";
    TokenOfClock: Server, "auth.token-random", "writes the time into its tokens";
    TokenOfClockInPart: Server, "auth.token-random", "makes the first half of a token from the time";
    FirstByteLostByChance: Both, "tunnel.transparent", "loses the first byte of one tunnel in 20, by chance";
    EndsEarlyByChance: Both, "tunnel.transparent", "ends one tunnel in 20 behind its first bytes, by chance";
    WrongUserByChance: Server, "tunnel.fifo", "joins one data connection in 20 with the user that came last, by chance";
    WrongPortByChance: Server, "tunnel.isolation", "joins one data connection in 20 with a user of another port, by chance";
    SrsMissingByChance: Server, "keep.srs", "forgets one SRS of 20, by chance";
    MrsMissingByChance: Server, "map.one-reply", "forgets one MRS of 20, by chance";
    TrqMissingByChance: Server, "tunnel.one-trq-per-user", "forgets one TRQ of 20, by chance";
    LoginRefusedByChance: Server, "auth.ok-reply", "refuses one good login of 20, by chance";
    EarlyDataLostByChance: Server, "tunnel.early-data", "loses what came with one TRS of 20, by chance";
    EarlyUserDataLostByChance: Server, "tunnel.early-user-data", "loses what one user of 20 has said before it was joined, by chance";
    CloseNotifyNever: Both, "tls.close-notify", "ends a direction of a TLS connection by a FIN alone";
    CloseNotifyNotAtHalf: Both, "tls.close-notify", "does so when it is the first to end";
    CloseNotifyNotAtClose: Both, "tls.close-notify", "does so when it is the second to end";
    TruncationPassed: Both, "tls.truncation", "takes a FIN without close_notify for the end of what was sent";
    Tls13Alone: Both, "tls.version", "knows TLS 1.3 alone";
    HandshakeRenewsDeadline: Server, "auth.deadline", "counts the time to log in from the end of the TLS handshake";
    SameNameKeptElsewhere: Server, "auth.same-name-replaces", "keeps the older login of the same name on the other port";
    SameNameKeptOnPlain: Server, "auth.same-name-replaces", "does so when the older login is plain";
    SameNameKeptOnTls: Server, "auth.same-name-replaces", "does so when the older login is over TLS";
    OldKeepaliveGoesOn: Client, "auth.client-waits", "sends SRQ before ARS, because the keepalive of the login before goes on";
    SecondArsIgnored: Client, "auth.one-reply", "passes over an ARS that it has not asked for";
    SecondArsFalseIgnored: Client, "auth.one-reply", "passes over an ARS false that it has not asked for";
    ArsAwaited: Client, "auth.ars-first", "passes over everything before ARS";
    TrqBeforeArsIgnored: Client, "auth.ars-first", "passes over TRQ before ARS";
    MrsBeforeArsIgnored: Client, "auth.ars-first", "passes over MRS before ARS";
    SrsBeforeArsIgnored: Client, "auth.ars-first", "passes over SRS before ARS";
    GarbageBeforeArsKept: Client, "auth.ars-first", "leaves a connection open on which another protocol is spoken";
    ArsIntegerGuessed: Client, "auth.ars-int", "takes a timeout that is no integer for 30";
    ArsIntegerKept: Client, "auth.ars-int", "leaves a connection open whose timeout is no integer";
    ArsBooleanTruthy: Client, "auth.ars-bool", "takes what is no boolean in ARS for true";
    ArsBooleanKept: Client, "auth.ars-bool", "leaves a connection open on which ARS holds no boolean";
    RefusedKept: Client, "auth.refused-close", "leaves a refused connection open";
    RefusedGoesOn: Client, "auth.refused-silent", "sends MAP after ARS false";
    RefusedTriesAgain: Client, "auth.refused-silent", "sends ATH again on a connection that is refused";
    NoPauseAfterRefusal: Client, "auth.client-backoff", "connects at once after a refusal";
    TokenCutTo32: Client, "frame.line-limit", "keeps 32 bytes of the token";
    TokenInSmallLetters: Client, "auth.token-opaque", "sends the token in small letters";
    TokenEmptyReplaced: Client, "auth.token-opaque", "sends another token in place of an empty one";
    TokenOfFirstLogin: Client, "auth.token-opaque", "sends the token of its first login for ever";
    TokenOfSecondLogin: Client, "auth.token-opaque", "sends the token of its second login for ever";
    TokenOfLoginBefore: Client, "auth.token-opaque", "sends the token of the login before";
    TimeoutNotChecked: Client, "auth.timeout-range", "takes any timeout";
    TimeoutZeroAccepted: Client, "auth.timeout-range", "takes a timeout of 0";
    TimeoutOneRefused: Client, "auth.timeout-range", "refuses a timeout of 1";
    TimeoutNegativeAccepted: Client, "auth.timeout-range", "takes a negative timeout";
    TimeoutHugeAccepted: Client, "auth.timeout-range", "takes a timeout that no clock can hold";
    TimeoutLongestRefused: Client, "auth.timeout-range", "refuses a timeout of more than a day";
    ArsNeverDue: Client, "auth.client-deadline", "waits for ARS for ever";
    ArsDueEarly: Client, "auth.client-deadline-floor", "gives up an answer to ATH after 3 seconds";
    ArsDueNearlyEnough: Client, "auth.client-deadline-floor", "does so after 6 seconds";
    SessionLimited: Client, "keep.client-patience", "ends a login after 9 seconds";
    SessionIdleClosed: Client, "keep.client-patience", "ends a login on which nothing comes for 8 seconds";
    MapsAgainAtOnce: Client, "map.retry-pause", "asks again for a refused mapping at once";
    MapsAgainAtOnceLater: Client, "map.retry-pause", "does so from the second refusal on";
    MapsAgainLate: Client, "map.client-retries", "asks again for a refused mapping after 18 seconds";
    TargetGivenUpEarly: Client, "tunnel.dial-patience", "takes a target for unreachable after 3 seconds";
    TargetGivenUpNearlyEnough: Client, "tunnel.dial-patience", "does so after 6 seconds";
    TargetNeverGivenUp: Client, "tunnel.dial-deadline", "waits for a target for as long as its system does";
    TrsLate: Client, "tunnel.trs-time", "sends TRS 6 seconds after it has opened the data connection";
    DataLate: Client, "tunnel.trs-time", "opens the data connection after 7 seconds";
    RefusedTargetClosedLate: Client, "tunnel.refused-close", "closes the data connection 20 seconds after the target has refused";
    TrqCountsAsSrs: Client, "keep.client-gives-up", "takes TRQ for a sign of life of the server";
    MrsCountsAsSrs: Client, "keep.client-gives-up", "takes MRS for a sign of life of the server";
    BytesCountAsSrs: Client, "keep.client-gives-up", "takes bytes of a tunnel for a sign of life of the server";
    SrqALittleLate: Client, "keep.client-interval", "sends SRQ each 1.2 timeouts";
    ReconnectsLate: Client, "life.reconnect-time", "connects again after 18 seconds";
    ThirdFailureLast: Client, "life.retry-connect", "ends when three attempts in a row have not reached the server";
    ThirdEarlyEndLast: Client, "life.reconnect-time", "ends when it was closed three times in a row before the login";
    ThirdRefusalLast: Client, "life.reconnect-time", "ends when it was refused three times in a row";
    FourthEarlyEndInAllLast: Client, "life.reconnect-time", "ends when it was closed four times in all before the login";
    PausesForever: Client, "life.reconnect-time", "waits four times as long after each loss";
    ArsDueOnlyWhenSilent: Client, "auth.client-deadline", "waits for ever once a byte has come";
    MapsReversed: Client, "map.client-order", "sends MAPs in the wrong order";
    LastMapMissing: Client, "map.client-all", "leaves out its last mapping";
    ClosedMapMissing: Client, "map.client-all", "leaves out its closed mappings";
    MapsAtMost50: Client, "map.client-all", "sends no more than 50 MAPs";
    MapsAtMost64: Client, "map.capacity", "sends no more than 64 MAPs";
    MapsAtMost99: Client, "map.capacity", "sends no more than 99 MAPs";
    TrqBeyond64Ignored: Client, "map.capacity", "serves the first 64 of its mappings alone";
    MapsOnce: Client, "map.client-all", "sends MAPs in its first login alone";
    MapsInFourLogins: Client, "map.client-all", "sends MAPs in its first four logins alone";
    HighestPortLost: Client, "map.client-all", "sends no MAP for port 65535";
    LowestPortLost: Client, "map.client-all", "sends no MAP for port 1";
    MapWithoutMappings: Client, "map.client-all", "sends a MAP although it has no mappings";
    UnaskedMrsCloses: Client, "map.unasked", "closes for an MRS that it has not asked for";
    RefusedMapCloses: Client, "map.client-survives-false", "closes when a mapping is refused";
    RefusedMapDropsOthers: Client, "map.client-keeps-others", "serves no mapping any more when one is refused";
    AllFalseCloses: Client, "map.client-survives-false", "closes when all mappings are refused";
    RefusedMapForgotten: Client, "map.client-retries", "does not ask again for a refused mapping";
    TrqLostNowAndThen: Client, "tunnel.trs-new-connection", "forgets one TRQ of 25";
    TrqBeforeMrsLost: Client, "tunnel.trs-new-connection", "passes over TRQ before MRS true";
    TrqAfterFirstLost: Client, "tunnel.trs-new-connection", "serves the first TRQ alone";
    ClosedTrqLost: Client, "tunnel.trs-new-connection", "passes over TRQ for its closed mappings";
    TrsTwice: Client, "tunnel.one-trs", "opens two data connections for a TRQ";
    TrsInAdvance: Client, "tunnel.one-trs", "opens a data connection before there is a TRQ";
    TrsAgainWhenClosed: Client, "tunnel.one-trs", "opens another data connection when one was closed";
    TrsOnControlToo: Client, "tunnel.no-trs-on-control", "sends TRS on its control connection too";
    TrsOnControlOnly: Client, "tunnel.no-trs-on-control", "sends TRS on its control connection in place of a data connection";
    LfBehindTrs: Client, "tunnel.trs-pure", "sends a LF after TRS";
    BannerBehindTrs: Client, "tunnel.trs-pure", "greets the user on a data connection";
    RefusalTold: Client, "tunnel.trs-pure", "tells in words that a target cannot be reached";
    QuietTunnelPoked: Client, "tunnel.trs-pure", "sends a byte on a data connection that is quiet for 1 second";
    TrqsEverAtMost100: Client, "tunnel.trs-new-connection", "serves no TRQ after the hundredth";
    OldTrqAgain: Client, "tunnel.one-trs", "answers the last TRQ of a login once more in the next login";
    UnknownTrqCloses: Client, "tunnel.unknown-port-ignored", "closes for a TRQ of a port that it has not mapped";
    UnknownTrqServed: Client, "tunnel.unknown-port-ignored", "serves a TRQ of a port that it has not mapped";
    TrsPortOfFirst: Client, "tunnel.trs-first-line", "writes the port of its first mapping into TRS";
    TrsPortSigned: Client, "tunnel.trs-first-line", "writes the port in TRS as a signed number of 16 bits";
    TrsBehindEmptyLine: Client, "tunnel.trs-first-line", "begins a data connection by an empty line";
    TargetAlwaysFirst: Client, "tunnel.target", "connects to the target of its first mapping";
    SharedTargetRefused: Client, "tunnel.target", "serves the first mapping alone of those with one target";
    TargetOfNext: Client, "tunnel.target", "connects to the target of the next mapping";
    TargetOfSecondIsFirst: Client, "tunnel.target", "connects to the target of its first mapping for the second one";
    DialsInline: Client, "tunnel.dial-apart", "reads nothing on its control connection while it connects to a target";
    DialsInTurn: Client, "tunnel.dial-holds-none", "connects to its targets one after the other";
    DialsHoldTunnels: Client, "tunnel.dial-holds-none", "carries nothing through its tunnels while it connects to a target";
    OneTunnelAtATime: Client, "tunnel.concurrent", "serves one tunnel at a time";
    RefusedTargetEndsControl: Client, "tunnel.failure-keeps-control", "ends the login when a target refuses";
    RefusedTargetHangs: Client, "tunnel.refused-close", "leaves the data connection open when the target refuses";
    RefusedTargetNoData: Client, "tunnel.refused-trs", "opens no data connection when the target refuses";
    RefusedTargetNoTrs: Client, "tunnel.refused-trs", "closes the data connection without TRS when the target refuses";
    SrqTooRarely: Client, "keep.client-interval", "sends SRQ each 1.6 timeouts";
    SrqNever: Client, "keep.client-interval", "sends no SRQ";
    SrqEachTwoSeconds: Client, "keep.client-interval", "sends SRQ no more often than each 2 seconds";
    SrqInFirstLogin: Client, "keep.client-interval", "sends SRQ in its first login alone";
    SrqNotWhenBusy: Client, "keep.client-interval", "sends no SRQ while a tunnel is open";
    TimeoutOfFirstLogin: Client, "keep.client-interval", "keeps to the timeout of its first login";
    PatienceShort: Client, "keep.client-patience", "gives up 0.4 timeouts behind an SRQ";
    KeepaliveOverflows: Client, "keep.client-patience", "gives up soon when the timeout is the longest there is";
    OldPatienceGoesOn: Client, "keep.client-patience", "gives a login up when the one before would have been given up";
    SrsNotCounted: Client, "keep.client-patience", "takes no notice of SRS";
    PatienceEndless: Client, "keep.client-gives-up", "never gives up";
    NeverReconnects: Client, "life.reconnect", "ends with its control connection";
    NoReconnectAfterReset: Client, "life.reconnect", "ends when its control connection is reset";
    NoReconnectAfterEarlyEnd: Client, "life.reconnect", "ends when it is closed before the login";
    NoReconnectWhenAbsent: Client, "life.retry-connect", "ends when the server cannot be reached";
    NoReconnectAfterRefusal: Client, "life.reconnect", "ends when it is refused";
    NoReconnectAfterGivingUp: Client, "life.reconnect", "ends when it gets no SRS";
    SecondSessionLast: Client, "life.reconnect", "ends with its second control connection";
    NoPauseAfterLogin: Client, "life.client-pause", "connects at once when a short login has ended";
    NoPauseBeforeLogin: Client, "life.client-pause", "connects at once when it was closed before its login";
    ViolationFatal: Client, "life.client-survives", "ends when a server sends nonsense";
    BehindArsFatal: Client, "life.client-survives", "ends when something comes with ARS";
    DataWithoutTls: Client, "tls.both-connections", "opens data connections without TLS";
    CertificateNotVerified: Client, "tls.verify", "does not look at the certificate";
    TrqLostByChance: Client, "tunnel.trs-new-connection", "forgets one TRQ of 20, by chance";
    WrongTargetByChance: Client, "tunnel.target", "connects one tunnel in 20 to the target of the next mapping, by chance";
    CertificateOfDataNotVerified: Client, "tls.verify", "does not look at the certificate of data connections";
    CertificateVerifiedOnce: Client, "tls.verify", "looks at the certificate of its first connection alone";
    CertificateHostNotChecked: Client, "tls.verify", "takes a certificate of another host";
    CertificateDatesNotChecked: Client, "tls.verify", "takes a certificate whose time is over";
    CertificateIssuerNotChecked: Client, "tls.verify", "takes a certificate for which nobody vouches";
    HandshakeAwaited: Client, "life.connect-deadline", "waits for a handshake for ever";
}

impl Bug {
    /// Such as `early-data-lost`.
    #[must_use]
    pub fn name(self) -> String {
        let mut name = String::new();
        for letter in format!("{self:?}").chars() {
            if letter.is_ascii_uppercase() && !name.is_empty() {
                name.push('-');
            }
            name.push(letter.to_ascii_lowercase());
        }
        name
    }

    /// The bug of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|bug| bug.name() == name)
    }
}

impl fmt::Display for Bug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())
    }
}
