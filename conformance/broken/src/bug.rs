//! The bugs that a peer can have, one at a time.

use std::fmt;

/// The side that can have a bug.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    /// The server.
    Server,
    /// The client.
    Client,
    /// Either side.
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
            /// All bugs.
            pub const ALL: &[Self] = &[$(Self::$bug),*];

            /// The side that can have it.
            #[must_use]
            pub const fn side(self) -> Side {
                match self { $(Self::$bug => Side::$side),* }
            }

            /// The id of the rule that it breaks.
            #[must_use]
            pub const fn rule(self) -> &'static str {
                match self { $(Self::$bug => $rule),* }
            }

            /// What the peer does; it completes the sentence "a peer that".
            #[must_use]
            pub const fn what(self) -> &'static str {
                match self { $(Self::$bug => $what),* }
            }
        }
    };
}

bugs! {
    CrIgnored: Both, "frame.lf-only", "reads CR LF as the end of a line";
    CrEndsLine: Both, "frame.lf-only", "reads CR alone as the end of a line";
    CutMessageLost: Both, "frame.segmentation", "drops a message that comes in more than one segment";
    BegunMessageLost: Both, "frame.segmentation", "drops a message that begins in the segment of the previous one";
    ByteLostAtBorder: Both, "frame.segmentation", "loses a byte if a segment ends inside a line";
    RestOfSegmentLost: Both, "frame.pipelining", "handles one message of a segment and drops the rest";
    CrowdLost: Both, "frame.pipelining", "drops the rest of a segment after its twentieth message";
    RestAfterAthLost: Server, "frame.pipelining", "drops what follows ATH in its segment";
    RestAfterMapLost: Server, "frame.pipelining", "drops what follows MAP in its segment";
    RestAfterSrqLost: Server, "frame.pipelining", "drops what follows SRQ in its segment";
    RestAfterArsLost: Client, "frame.pipelining", "drops what follows ARS in its segment";
    RestAfterMrsLost: Client, "frame.pipelining", "drops what follows MRS in its segment";
    RestAfterTrqLost: Client, "frame.pipelining", "drops what follows TRQ in its segment";
    RestAfterSrsLost: Client, "frame.pipelining", "drops what follows SRS in its segment";
    AfterArsCloses: Client, "frame.pipelining", "closes if something follows ARS in its segment";
    EndCompletes: Both, "frame.partial-no-effect", "reads the end of the stream as the end of a line";
    LastLineEager: Both, "frame.partial-no-effect", "acts on a message before its last line has ended";
    LinesEndInCrLf: Both, "frame.sender-grammar", "ends its lines with CR LF after the login";
    EmptyLineAfterMessages: Both, "frame.sender-grammar", "sends an empty line after each message after the login";
    AsksItsClient: Server, "frame.sender-grammar", "sends SRQ to its clients";
    TrqAcknowledged: Client, "frame.sender-grammar", "answers TRQ with MRS";
    MessagesInterleaved: Both, "frame.sender-whole", "sends another message between the lines of one";
    UnknownIgnored: Both, "frame.unknown-word", "ignores an unknown word";
    BytesAfterMessageIgnored: Both, "frame.unknown-word", "ignores malformed bytes in the segment of a message";
    UnknownIgnoredBeforeLogin: Server, "frame.unknown-word", "ignores an unknown word before the login";
    EmptyLinesIgnored: Both, "frame.unknown-word", "ignores an empty line";
    OwnWordsIgnored: Both, "frame.unknown-word", "ignores words that only it may send";
    WordsInAnyCase: Server, "frame.unknown-word", "accepts words in small letters";
    LineLimitLow: Both, "frame.line-limit", "rejects a line of more than 1024 bytes";
    LineLimitOffByOne: Both, "frame.line-limit", "rejects a line of 4096 bytes";
    LineUnbounded: Both, "frame.line-bound", "buffers a line of any length";
    LineUnboundedBeforeLogin: Both, "frame.line-bound", "buffers a line of any length before the login";
    LineUnboundedAfterLogin: Both, "frame.line-bound", "buffers a line of any length after the login";
    TextUtf8: Both, "frame.text", "rejects a text that is not UTF-8";
    TextAscii: Client, "frame.text", "removes what is not ASCII from texts";
    TextTrimmed: Client, "auth.token-opaque", "strips blanks from texts";
    IntegerEchoed: Both, "frame.int-canonical", "writes a port as the other side wrote it";
    IntegerWithPlus: Both, "frame.int-canonical", "writes ports with a plus sign";
    IntegerGuessed: Both, "frame.int", "reads a malformed integer as 30";
    IntegerTrimmed: Both, "frame.int", "strips blanks and CR from integers";
    TrsPortGuessed: Server, "frame.int", "reads a malformed port in TRS as the lowest port of the login";
    BooleanGuessed: Both, "frame.bool", "reads a malformed boolean as false";
    BooleanTruthy: Both, "frame.bool", "reads a malformed boolean as true";
    BooleanCapitalised: Both, "frame.bool-canonical", "writes True and False in MAP and MRS";
    BooleanNumeric: Both, "frame.bool-canonical", "writes 1 and 0 for booleans in MAP and MRS";
    SrsLate: Server, "time.prompt", "answers SRQ after 3 seconds";
    MrsLate: Server, "time.prompt", "answers MAP after 3 seconds";
    TrqLate: Server, "time.prompt", "sends TRQ 3 seconds after a user has connected";
    JoinLate: Server, "time.prompt", "joins a data connection after 3 seconds";
    MapsLate: Client, "time.prompt", "sends its MAPs 3 seconds after ARS";
    TargetLate: Client, "tunnel.target", "connects to a target 7 seconds after TRS";
    EndLate: Both, "time.prompt", "passes on the end of a direction 3 seconds late";
    SrqBeforeLogin: Server, "auth.first", "answers SRQ before the login";
    MapAfterRefusal: Server, "auth.first", "answers MAP on a connection whose login it has rejected";
    MapBeforeLogin: Server, "auth.first", "answers MAP before the login";
    BeforeLoginIgnored: Server, "auth.first", "ignores messages before the login";
    EmptyNameRefused: Server, "auth.ok-reply", "rejects an empty client name";
    LoginsEverAtMost16: Server, "auth.ok-reply", "rejects every login after the sixteenth";
    ArsTwice: Server, "auth.ok-reply", "answers ATH twice";
    BinaryNameRefused: Server, "auth.ok-reply", "rejects a client name that is not ASCII";
    PasswordNotCompared: Server, "auth.fail-reply", "does not check the password";
    PasswordEmptyAccepted: Server, "auth.fail-reply", "accepts an empty password";
    RefusalWithFields: Server, "auth.fail-reply", "sends timeout and token with ARS false";
    RefusalSilent: Server, "auth.fail-reply", "closes without ARS false";
    RefusalLostWithRest: Server, "auth.fail-reply", "closes without ARS false if something follows ATH in its segment";
    RefusalKept: Server, "auth.fail-close", "leaves a connection open after ARS false";
    RefusalForgotten: Server, "auth.fail-close", "accepts another login on a connection after ARS false";
    UsernameNotCompared: Server, "auth.fail-reply", "does not check the user name";
    PasswordWithLess: Server, "auth.exact", "accepts the first half of the password";
    CredentialsInAnyCase: Server, "auth.exact", "ignores the case of user name and password";
    PasswordPrefix: Server, "auth.exact", "accepts the right password with more bytes after it";
    PasswordCutTo64: Server, "frame.line-limit", "accepts any password of more than 64 bytes";
    CredentialsSwapped: Server, "auth.exact", "accepts user name and password in any order";
    CredentialsTrimmed: Server, "auth.exact", "strips blanks and CR from user name and password";
    SecondLoginAccepted: Server, "auth.once", "accepts a second ATH";
    SecondLoginRefused: Server, "auth.once", "answers a second ATH with ARS false and keeps the login";
    SecondLoginIgnored: Server, "auth.once", "ignores a second ATH";
    TokenForAll: Server, "auth.token-unique", "gives every login the same token";
    TokenOfName: Server, "auth.token-unique", "makes the token from the client name";
    FifthLoginFirstToken: Server, "auth.token-unique", "gives the fifth login of a name the token of the first";
    TimeoutZeroSent: Server, "auth.timeout-positive", "sends a timeout of 0";
    TimeoutCutTo16Bits: Server, "auth.timeout-positive", "sends only the last 16 bits of a timeout";
    TimeoutAtMostADay: Server, "auth.timeout-positive", "sends 86400 for a longer timeout";
    TimeoutAtLeastThree: Server, "auth.timeout-positive", "sends 3 for a shorter timeout";
    LoginNeverDue: Server, "auth.deadline", "has no deadline for a login";
    LoginDueAtOnce: Server, "auth.deadline-floor", "closes a connection without a login after 0.3 seconds";
    LoginDueEarly: Server, "auth.deadline-floor", "closes a connection without a login after 5 seconds";
    HandshakeDueEarly: Server, "auth.deadline-floor", "closes a connection without a TLS handshake after 3 seconds";
    HandshakeCountsTwice: Server, "auth.deadline", "allows 16 seconds for a login after a TLS handshake";
    RefusalLate: Server, "auth.reply-time", "sends ARS false after 7 seconds";
    AnswerLate: Server, "auth.reply-time", "sends ARS true after 6 seconds, from the third login on";
    ControlLimited: Server, "keep.not-early", "ends a login after 9 seconds";
    ControlIdleClosed: Server, "keep.not-early", "ends a login on which nothing comes for 4 seconds";
    ControlIdleClosedLate: Server, "keep.not-early", "ends a login on which nothing comes for 9 seconds";
    UserTimeShort: Server, "tunnel.user-patience", "closes a user that has waited for 2 seconds";
    UserTimeNearlyEnough: Server, "tunnel.user-patience", "closes a user that has waited for 6 seconds";
    ClosesAllWaitingLate: Server, "tunnel.waiting-closed", "closes waiting users 4 seconds after the end of their login";
    TrsRenews: Server, "keep.only-srq", "extends a login when TRS comes";
    UserRenews: Server, "keep.only-srq", "extends a login when a user connects";
    HalfSrqRenews: Server, "keep.only-srq", "extends a login when a part of an SRQ comes";
    LoginDueOnlyWhenSilent: Server, "auth.deadline", "has no deadline for a login after its first byte";
    HandshakeNeverDue: Server, "auth.deadline", "has no deadline for a TLS handshake";
    SameNameRefused: Server, "auth.same-name", "rejects a login with a name that is in use";
    SameNameKept: Server, "auth.same-name-replaces", "keeps the older login of the same name";
    SameNameReleasedLate: Server, "auth.same-name-replaces", "ends the older login of the same name half a second late";
    FifthReplacesNobody: Server, "auth.same-name-replaces", "keeps the older login when the fifth login of a name comes";
    ReplacedTokenServed: Server, "auth.same-name-replaces", "joins the token of a replaced login with users of the new login";
    MrsTwice: Server, "map.one-reply", "answers MAP twice";
    HighestPortCloses: Server, "map.one-reply", "closes when a client sends MAP for port 65535";
    LowestPortCloses: Server, "map.one-reply", "closes when a client sends MAP for port 1";
    MrsPortOffByOne: Server, "map.same-port", "answers a MAP with the next port";
    MrsPortSigned: Server, "map.same-port", "writes ports as signed numbers of 16 bits";
    MrsHighestPortAsZero: Server, "map.same-port", "writes port 65535 as 0";
    MrsPortModulo: Server, "map.port-range", "answers a MAP with the port modulo 65536";
    MrsPortOfFirst: Server, "map.order", "answers each MAP with the lowest port of the login";
    MrsSwapped: Server, "map.order", "answers two MAPs of a segment in the wrong order";
    MappingsAtMost50: Server, "map.capacity", "allows at most 50 mappings in a login";
    MappingsAtMost64: Server, "map.capacity", "allows at most 64 mappings in a login";
    MappingsAtMost99: Server, "map.capacity", "allows at most 99 mappings in a login";
    MappingsBeyond64Deaf: Server, "map.capacity", "listens only on the first 64 ports of a login, and answers true for all";
    MrsBeforeBind: Server, "map.bound-when-true", "answers true and listens 1 second later";
    ConflictTrue: Server, "map.conflict-false", "answers true for a port that is taken";
    ControlPortGivenAway: Server, "map.conflict-false", "answers true for its own control port and stops serving it";
    ConflictTakesOver: Server, "map.conflict-false", "gives a taken port to the next client that sends MAP for it";
    ConflictReopens: Server, "map.conflict-keeps-first", "gives a mapping to another login although it answers false";
    ConflictDropsFirst: Server, "map.conflict-keeps-first", "ends a mapping when a client sends MAP for its port";
    PortRangeTrue: Server, "map.port-range", "answers true for ports that do not exist";
    PortModulo: Server, "map.port-range", "reads ports modulo 65536";
    PortZeroTrue: Server, "map.port-range", "answers true for port 0";
    PortNegativeTrue: Server, "map.port-range", "answers true for negative ports";
    MrsFalseCloses: Server, "map.false-keeps-login", "closes when it answers false";
    MrsFalseDropsOthers: Server, "map.false-harmless", "ends the other mappings when it answers false";
    ClosedHangs: Server, "map.closed-closes", "leaves users of a closed mapping open";
    ClosedClosesLate: Server, "map.closed-closes", "closes users of a closed mapping after 9 seconds";
    ClosedIsOpen: Server, "map.closed-closes", "opens closed mappings";
    ClosedSendsTrq: Server, "map.closed-no-tunnel", "sends TRQ for users of closed mappings, and closes them";
    PortsNeverReleased: Server, "map.released-on-close", "keeps the ports of logins that have ended";
    PortsReleasedLate: Server, "map.released-on-close", "keeps the ports of an ended login for a minute";
    PortsKeptOnClose: Server, "map.released-on-close", "keeps the ports of a client that closes";
    PortsKeptOnReset: Server, "map.released-on-close", "keeps the ports of a client that resets";
    PortsKeptOnViolation: Server, "map.released-on-close", "keeps the ports of a client that breaks a rule";
    PortsKeptOnExpiry: Server, "map.released-on-close", "keeps the ports of a login that expires";
    PortsKeptWithTunnel: Server, "map.released-on-close", "keeps the ports of an ended login while a tunnel is open";
    OneEndsAllPorts: Server, "map.others-untouched", "ends all mappings when a login ends";
    OneEndsAllTunnels: Server, "map.others-untouched", "ends all tunnels when a login ends";
    OneEndsAllWaiting: Server, "map.others-untouched", "closes all waiting users when a login ends";
    ExpiryEndsAllOfName: Server, "map.others-untouched", "ends all logins of a name when one of them expires";
    TrqTwice: Server, "tunnel.one-trq-per-user", "sends TRQ twice";
    TrqTwiceInCrowd: Server, "tunnel.one-trq-per-user", "sends TRQ twice for the third waiting user";
    TrqOnlyForFirst: Server, "tunnel.one-trq-per-user", "sends no TRQ while another user waits";
    TrqMissingNowAndThen: Server, "tunnel.one-trq-per-user", "does not send one TRQ of 25";
    UsersEverAtMost100: Server, "tunnel.one-trq-per-user", "closes every user after the hundredth";
    TrqHeldWhileOthersWait: Server, "tunnel.concurrent", "sends no TRQ while a user of another port waits";
    TrqFirstPort: Server, "tunnel.trq-port", "writes the lowest port of the login in each TRQ";
    TokenNotCompared: Server, "tunnel.bad-token-close", "accepts any token";
    TokenEmptyAccepted: Server, "tunnel.bad-token-close", "accepts an empty token";
    TokenWithMore: Server, "tunnel.token-exact", "accepts a token with more bytes after it";
    TokenWithLess: Server, "tunnel.token-exact", "accepts the beginning of a token";
    TokenInAnyCase: Server, "tunnel.token-exact", "ignores the case of tokens";
    TokenAfterOtherBytes: Server, "tunnel.token-exact", "accepts a token with more bytes before it";
    TokenTrimmed: Server, "tunnel.token-exact", "strips blanks from tokens";
    TokenCutTo4095: Server, "frame.line-limit", "accepts any token of at least 4095 bytes";
    BadTokenKept: Server, "tunnel.bad-token-close", "leaves a data connection with a wrong token open";
    TokenOfTlsAnywhere: Server, "tunnel.token-scope", "accepts a token of the TLS port on the plain one";
    TokenOfPlainAnywhere: Server, "tunnel.token-scope", "accepts a token of the plain port on the TLS one";
    BadPortKept: Server, "tunnel.bad-port-close", "leaves a data connection with a wrong port open";
    PortOfAnotherServed: Server, "tunnel.bad-port-close", "joins a data connection with users of another login";
    TokenOfNameServed: Server, "tunnel.bad-port-close", "joins a data connection with users of another login that has the same name";
    AnyPortServed: Server, "tunnel.isolation", "joins a data connection with the user that has waited longest on any port";
    TrsOnControlIgnored: Server, "tunnel.not-on-control", "ignores TRS on a control connection";
    TrsOnControlJudged: Server, "tunnel.not-on-control", "closes a control connection after TRS only if the token is right";
    TrsAnswered: Server, "tunnel.trs-unanswered", "answers TRS";
    UserGreeted: Server, "tunnel.user-pure", "sends a greeting to users";
    ClosedUserTold: Server, "tunnel.user-pure", "sends a message to users of a closed mapping";
    WaitingUserTold: Server, "tunnel.user-pure", "sends a message to a user without a data connection";
    EndedUserTold: Server, "tunnel.user-pure", "sends a message to waiting users when their login ends";
    RefusedTunnelEndsControls: Server, "tunnel.failure-keeps-control", "ends all logins when it closes a wrong data connection";
    BrokenTunnelEndsControl: Both, "tunnel.failure-keeps-control", "ends the login when a tunnel breaks";
    Lifo: Server, "tunnel.fifo", "joins the last waiting user first";
    SecondComesFirst: Server, "tunnel.fifo", "joins the third waiting user before the second";
    WaitingAtMost16: Server, "tunnel.waiting-capacity", "closes the seventeenth waiting user";
    WaitingAtMost64: Server, "tunnel.waiting-capacity", "closes the first waiting user when the sixty-fifth connects";
    WaitingAtMost99: Server, "tunnel.waiting-capacity", "closes the hundredth waiting user";
    GoneUsersKeepPlaces: Server, "tunnel.waiting-capacity", "has a hundred places for users and never frees those of users that have closed";
    TunnelsAtMost8: Both, "tunnel.capacity", "closes the ninth open tunnel";
    TunnelsAtMost64: Both, "tunnel.capacity", "carries no bytes in the sixty-fifth open tunnel";
    TunnelsAtMost99: Both, "tunnel.capacity", "closes the hundredth open tunnel";
    DialsAtMost8: Client, "tunnel.capacity", "handles a TRQ only while fewer than 8 tunnels are open";
    UnsolicitedKept: Server, "tunnel.no-unsolicited", "leaves a data connection open if no user waits";
    GoneUserServed: Server, "tunnel.user-gone", "joins users that have already reset";
    GoneUserKeepsAll: Server, "tunnel.no-unsolicited", "leaves a data connection open if its user has reset";
    UserWaitsForever: Server, "tunnel.user-timeout", "has no deadline for waiting users";
    WaitingUsersKept: Server, "tunnel.waiting-closed", "leaves waiting users open when their login ends";
    EarlyDataLost: Server, "tunnel.early-data", "drops the bytes that it reads together with TRS";
    EarlyDataTwice: Server, "tunnel.early-data", "sends the bytes that it reads together with TRS twice";
    EarlySegmentLost: Server, "tunnel.early-data", "drops the first segment after TRS";
    EarlyDataAtMost64Kib: Server, "tunnel.early-data", "keeps at most 64 KiB of the bytes that follow TRS";
    EarlyDataTrimmed: Server, "tunnel.early-data", "strips blanks, CR and LF from the start of the bytes that it reads together with TRS";
    EarlyDataAsText: Server, "tunnel.early-data", "replaces what is not UTF-8 in the bytes that it reads together with TRS";
    EarlyDataEndsAtNul: Server, "tunnel.early-data", "drops the bytes that it reads together with TRS from the first zero byte on";
    EarlyUserDataLost: Server, "tunnel.early-user-data", "drops the bytes that a user sends before its tunnel is joined";
    EarlyUserDataLostNowAndThen: Server, "tunnel.early-user-data", "drops the bytes that every fifth user sends before its tunnel is joined";
    EarlyUserDataLostAtEnd: Server, "tunnel.early-user-data", "closes a user that has ended its direction before its tunnel was joined";
    EarlyUserDataAtMost16Kib: Server, "tunnel.early-user-data", "keeps at most 16 KiB of the bytes that a user sends before its tunnel is joined";
    EarlyUserDataAtMost64Kib: Server, "tunnel.early-user-data", "keeps at most 64 KiB of the bytes that a user sends before its tunnel is joined";
    EarlyUserDataAtMost1Mib: Server, "tunnel.early-user-data", "keeps at most 1 MiB of the bytes that a user sends before its tunnel is joined";
    EarlyUserDataAsText: Server, "tunnel.early-user-data", "replaces what is not UTF-8 in the bytes that a user sends before its tunnel is joined";
    EarlyBytesAtMost64Kib: Client, "tunnel.transparent", "keeps at most 64 KiB of the bytes that come before it reaches the target";
    EarlyBytesAsText: Client, "tunnel.transparent", "replaces what is not UTF-8 in the bytes that come before it reaches the target";
    FirstSegmentLost: Client, "tunnel.transparent", "drops the first segment that comes after TRS";
    BannerLost: Client, "tunnel.transparent", "drops the first bytes of a target";
    EarlyUserEndCloses: Client, "tunnel.half-close", "closes a user that has ended its direction before the target was reached";
    TunnelNulDropped: Both, "tunnel.transparent", "drops zero bytes";
    TunnelSevenBits: Both, "tunnel.transparent", "carries only 7 bits of each byte";
    TunnelCrDropped: Both, "tunnel.transparent", "drops CR";
    TunnelByteLostAtBorder: Both, "tunnel.transparent", "loses the last byte of a full buffer";
    TunnelSwapsBytes: Both, "tunnel.transparent", "swaps the first two bytes of each piece";
    TunnelSingleByteTwice: Both, "tunnel.transparent", "sends a single byte twice";
    TunnelLosesAfterMegabyte: Both, "tunnel.transparent", "loses bytes after the first MiB";
    TunnelFlipsAt16Mib: Both, "tunnel.transparent", "changes the byte after the first 16 MiB";
    TunnelLosesInwardsAfter16Mib: Both, "tunnel.transparent", "loses bytes of the data connection after the first 16 MiB";
    TunnelLosesOutwardsAfter16Mib: Both, "tunnel.transparent", "loses bytes of the user or target after the first 16 MiB";
    TunnelEndsAt16Mib: Both, "tunnel.transparent", "closes a tunnel that has carried 16 MiB in one direction";
    TunnelHearsWords: Server, "tunnel.transparent", "removes SRQ from the bytes of a tunnel";
    TunnelLosesNowAndThen: Both, "tunnel.transparent", "loses 1 piece of 60";
    TunnelsOddMute: Both, "tunnel.transparent", "loses the first piece of every other tunnel";
    TunnelsMix: Both, "tunnel.isolation", "exchanges pieces between tunnels";
    TunnelsMixNowAndThen: Both, "tunnel.isolation", "exchanges 1 piece of 20 between tunnels";
    TunnelsTakeTurns: Both, "tunnel.concurrent", "carries one tunnel at a time";
    TunnelUnbounded: Both, "tunnel.backpressure", "reads without a bound if the other side does not read";
    TunnelUnboundedInwards: Both, "tunnel.backpressure", "reads from the data connection without a bound if the other side does not read";
    TunnelUnboundedOutwards: Both, "tunnel.backpressure", "reads from the user or target without a bound if the other side does not read";
    HalfCloseCloses: Both, "tunnel.half-close", "closes a tunnel when one direction ends";
    HalfCloseInwardsCloses: Both, "tunnel.half-close", "closes a tunnel when the data connection ends its direction";
    HalfCloseOutwardsCloses: Both, "tunnel.half-close", "closes a tunnel when the user or target ends its direction";
    HalfCloseHurries: Both, "tunnel.half-close", "closes a tunnel a tenth of a second after one direction has ended";
    SecondEndSwallowed: Both, "tunnel.close-propagates", "does not pass on the end of the direction that ends last";
    EndSwallowed: Both, "tunnel.end-passed", "does not pass on the end of a direction";
    EndSwallowedInwards: Both, "tunnel.end-passed", "does not pass on the end of the data connection's direction";
    EndSwallowedOutwards: Both, "tunnel.end-passed", "does not pass on the end of the user's or target's direction";
    ResetNotPassed: Both, "tunnel.reset-propagates", "does not pass on a reset";
    BreakCutsBoth: Both, "tunnel.last-bytes", "closes both sides of a tunnel at once when one side breaks";
    ResetDropsHeld: Both, "tunnel.last-bytes", "drops the bytes that it still holds when their sender resets";
    BrokenSinkIgnored: Both, "tunnel.reset-propagates", "continues to read for a side that has closed";
    TunnelIdleClosedLate: Both, "tunnel.idle", "closes a tunnel that carries nothing for 8 seconds";
    TunnelLimited: Both, "tunnel.idle", "closes a tunnel 9 seconds after it was joined, even if it carries bytes";
    DataSilentClosed: Both, "tunnel.idle", "closes a tunnel when the data connection sends nothing for 3 seconds";
    FarSilentClosed: Both, "tunnel.idle", "closes a tunnel when the user or target sends nothing for 3 seconds";
    StalledWriteCloses: Both, "tunnel.idle", "closes a tunnel when a side reads nothing for 3 seconds";
    StalledWriteClosesLate: Both, "tunnel.idle", "closes a tunnel when a side reads nothing for 8 seconds";
    HalfCloseEndsAfterOne: Both, "tunnel.half-close", "closes a tunnel that carries nothing for a second after one direction has ended";
    HalfCloseEndsAfterThree: Both, "tunnel.half-close", "closes a tunnel that carries nothing for 3 seconds after one direction has ended";
    HalfCloseLimited: Both, "tunnel.half-close", "closes a tunnel 6 seconds after one direction has ended, even if it carries bytes";
    HalfCloseInwardsLimited: Both, "tunnel.half-close", "closes a tunnel 6 seconds after the data connection has ended its direction, even if it carries bytes";
    HalfCloseOutwardsLimited: Both, "tunnel.half-close", "closes a tunnel 6 seconds after the user or target has ended its direction, even if it carries bytes";
    TunnelIdleClosed: Both, "tunnel.idle", "closes a tunnel that carries nothing for 2 seconds";
    TunnelsEndWithControl: Both, "tunnel.outlives-control", "closes the tunnels when the control connection ends";
    SrsTwice: Server, "keep.srs", "answers SRQ twice";
    SrsEverySecond: Server, "keep.srs", "answers only every other SRQ";
    SrsMissingInCrowd: Server, "keep.srs", "does not answer one SRQ of 50";
    SrqDoesNotRenew: Server, "keep.refresh", "does not extend a login when SRQ comes";
    MapRenews: Server, "keep.only-srq", "extends a login when MAP comes";
    TunnelRenews: Server, "keep.only-srq", "extends a login when a tunnel carries bytes";
    ExpiryEarly: Server, "keep.not-early", "expires a login after 0.7 timeouts";
    ExpiryOverflows: Server, "keep.not-early", "expires a login at once if the timeout is the longest one";
    OldExpiryEndsNew: Server, "keep.not-early", "ends a login when the login that it has replaced would have expired";
    ExpiryLate: Server, "keep.expiry-bound", "expires a login after 2.5 timeouts";
    ExpiryCoarse: Server, "keep.expiry-bound", "expires no login before 3 seconds have passed";
    ExpiryNever: Server, "keep.expiry-bound", "never expires a login";
    ExpiryNeverAfterSrq: Server, "keep.expiry-bound", "never expires a login after its first SRQ";
    OneClientOnly: Server, "life.client-independence", "rejects a client while another is logged in";
    ClientsAtMost8: Server, "life.client-independence", "rejects a client while 8 are logged in";
    ClientsAtMost15: Server, "life.client-independence", "rejects a client while 15 are logged in";
    SixteenthEndsFirst: Server, "life.client-independence", "ends the oldest login when the sixteenth client logs in";
    EmptyNameReplaces: Server, "life.client-independence", "ends a login with the empty name when another such login comes";
    NameForgotten: Server, "life.client-independence", "sends no TRQ to a login after another login of the same name has ended";
    TrqToLastOfName: Server, "life.client-independence", "sends TRQ to the newest login of the same name";
    AbortBeforeLoginFatal: Server, "life.survives-abort", "stops serving when a connection is reset before its login";
    AbortAfterLoginFatal: Server, "life.survives-abort", "stops serving when a client resets";
    AbortedUserFatal: Server, "life.survives-abort", "stops serving when a waiting user resets";
    BrokenTunnelFatal: Server, "life.survives-abort", "stops serving when a tunnel breaks";
    EarlyUserEndsLogin: Server, "life.server-survives", "ends all logins when a user sends bytes before its tunnel is joined";
    StrangerEndsAll: Server, "life.server-survives", "ends all logins when a connection without a login sends a malformed message";
    ViolationEndsAll: Server, "life.server-survives", "ends all logins when a client breaks a rule";
    StaleTokenServed: Server, "life.stale-token", "accepts the token of a login that has ended";
    StaleTokenKept: Server, "life.stale-token", "leaves a data connection open if its token is of a login that has ended";
    PlainOnTlsServed: Server, "tls.no-plain-on-tls", "accepts plain connections on the TLS port";
    PlainOnTlsKept: Server, "tls.no-plain-on-tls", "leaves a plain connection to the TLS port open";
    MapsBeforeArs: Client, "auth.client-waits", "sends MAP before ARS";
    SrqBeforeArs: Client, "auth.client-waits", "sends SRQ before ARS";
    SrqBeforeAth: Client, "auth.client-first", "sends SRQ before ATH";
    MapsBeforeAth: Client, "auth.client-first", "sends MAP before ATH";
    AthTwice: Client, "auth.client-once", "sends ATH twice";
    AthForSrq: Client, "auth.client-once", "sends ATH instead of SRQ";
    AthAfterFalse: Client, "auth.client-once", "sends ATH again when a MAP is answered with false";
    PlainFallback: Server, "tls.no-plain-effect", "serves plain connections on the TLS port";
    PlainLoginCounts: Server, "tls.no-plain-effect", "lets a plain login on the TLS port replace another login, and closes it";
    PlainTrsCounts: Server, "tls.no-plain-effect", "gives a waiting user to a plain TRS on the TLS port, and closes both";
    TokenCounted: Server, "auth.token-random", "makes tokens from a counter";
    TokenShort: Server, "auth.token-random", "makes tokens of 8 hexadecimal digits";
    TokenSharesPrefix: Server, "auth.token-random", "makes tokens that differ only in their last 8 digits";
    TokenOfClock: Server, "auth.token-random", "makes tokens from the time";
    TokenOfClockInPart: Server, "auth.token-random", "makes the first half of a token from the time";
    FirstByteLostByChance: Both, "tunnel.transparent", "loses the first byte of one tunnel in 20, by chance";
    EndsEarlyByChance: Both, "tunnel.transparent", "ends one tunnel in 20 after its first bytes, by chance";
    WrongUserByChance: Server, "tunnel.fifo", "joins one data connection in 20 with the last waiting user, by chance";
    WrongPortByChance: Server, "tunnel.isolation", "joins one data connection in 20 with a user of another port, by chance";
    SrsMissingByChance: Server, "keep.srs", "does not answer one SRQ of 20, by chance";
    MrsMissingByChance: Server, "map.one-reply", "does not answer one MAP of 20, by chance";
    TrqMissingByChance: Server, "tunnel.one-trq-per-user", "does not send one TRQ of 20, by chance";
    LoginRefusedByChance: Server, "auth.ok-reply", "rejects one valid login of 20, by chance";
    EarlyDataLostByChance: Server, "tunnel.early-data", "drops the bytes that it reads together with one TRS of 20, by chance";
    EarlyUserDataLostByChance: Server, "tunnel.early-user-data", "drops the bytes that one user of 20 sends before its tunnel is joined, by chance";
    CloseNotifyNever: Both, "tls.close-notify", "ends its direction of a TLS connection without close_notify";
    CloseNotifyNotAtHalf: Both, "tls.close-notify", "ends its direction of a TLS connection without close_notify if it ends first";
    CloseNotifyNotAtClose: Both, "tls.close-notify", "ends its direction of a TLS connection without close_notify if it ends second";
    TruncationPassed: Both, "tls.truncation", "reads a FIN without close_notify as the end of a direction";
    Tls13Alone: Both, "tls.version", "supports only TLS 1.3";
    HandshakeRenewsDeadline: Server, "auth.deadline", "counts the deadline for a login from the end of the TLS handshake";
    SameNameKeptElsewhere: Server, "auth.same-name-replaces", "keeps the older login of the same name if it is on the other control port";
    SameNameKeptOnPlain: Server, "auth.same-name-replaces", "keeps an older plain login of the same name if the new one is over TLS";
    SameNameKeptOnTls: Server, "auth.same-name-replaces", "keeps an older login of the same name over TLS if the new one is plain";
    OldKeepaliveGoesOn: Client, "auth.client-waits", "sends SRQ before ARS, because the keepalive of the previous login continues";
    SecondArsIgnored: Client, "auth.one-reply", "ignores a second ARS";
    SecondArsFalseIgnored: Client, "auth.one-reply", "ignores a second ARS if it is false";
    ArsAwaited: Client, "auth.ars-first", "ignores all messages before ARS";
    TrqBeforeArsIgnored: Client, "auth.ars-first", "ignores TRQ before ARS";
    MrsBeforeArsIgnored: Client, "auth.ars-first", "ignores MRS before ARS";
    SrsBeforeArsIgnored: Client, "auth.ars-first", "ignores SRS before ARS";
    GarbageBeforeArsKept: Client, "auth.ars-first", "leaves a connection open after a malformed message before ARS";
    ArsIntegerGuessed: Client, "auth.ars-int", "reads a malformed timeout in ARS as 30";
    ArsIntegerKept: Client, "auth.ars-int", "leaves a connection open after a malformed timeout in ARS";
    ArsBooleanTruthy: Client, "auth.ars-bool", "reads a malformed boolean in ARS as true";
    ArsBooleanKept: Client, "auth.ars-bool", "leaves a connection open after a malformed boolean in ARS";
    RefusedKept: Client, "auth.refused-close", "leaves a connection open after ARS false";
    RefusedGoesOn: Client, "auth.refused-silent", "sends MAP after ARS false";
    RefusedTriesAgain: Client, "auth.refused-silent", "sends ATH again after ARS false";
    NoPauseAfterRefusal: Client, "auth.client-backoff", "connects again at once after ARS false";
    TokenCutTo32: Client, "frame.line-limit", "keeps only 32 bytes of the token";
    TokenInSmallLetters: Client, "auth.token-opaque", "sends the token in small letters";
    TokenEmptyReplaced: Client, "auth.token-opaque", "sends another token instead of an empty one";
    TokenOfFirstLogin: Client, "auth.token-opaque", "always sends the token of its first login";
    TokenOfSecondLogin: Client, "auth.token-opaque", "sends the token of its second login from then on";
    TokenOfLoginBefore: Client, "auth.token-opaque", "sends the token of the previous login";
    TimeoutNotChecked: Client, "auth.timeout-range", "accepts any timeout";
    TimeoutZeroAccepted: Client, "auth.timeout-range", "accepts a timeout of 0";
    TimeoutOneRefused: Client, "auth.timeout-range", "rejects a timeout of 1";
    TimeoutNegativeAccepted: Client, "auth.timeout-range", "accepts a negative timeout";
    TimeoutHugeAccepted: Client, "auth.timeout-range", "accepts a timeout above the longest one";
    TimeoutLongestRefused: Client, "auth.timeout-range", "rejects a timeout of more than a day";
    ArsNeverDue: Client, "auth.client-deadline", "has no deadline for ARS";
    ArsDueEarly: Client, "auth.client-deadline-floor", "closes if ARS does not come within 3 seconds";
    ArsDueNearlyEnough: Client, "auth.client-deadline-floor", "closes if ARS does not come within 6 seconds";
    SessionLimited: Client, "keep.client-patience", "ends a login after 9 seconds";
    SessionIdleClosed: Client, "keep.client-patience", "ends a login on which nothing comes for 8 seconds";
    MapsAgainAtOnce: Client, "map.retry-pause", "sends a rejected MAP again at once";
    MapsAgainAtOnceLater: Client, "map.retry-pause", "sends a rejected MAP again at once from the second rejection on";
    MapsAgainLate: Client, "map.client-retries", "sends a rejected MAP again after 18 seconds";
    TargetGivenUpEarly: Client, "tunnel.dial-patience", "stops connecting to a target after 3 seconds";
    TargetGivenUpNearlyEnough: Client, "tunnel.dial-patience", "stops connecting to a target after 6 seconds";
    TargetNeverGivenUp: Client, "tunnel.dial-deadline", "has no deadline of its own for a connection to a target";
    TrsLate: Client, "tunnel.trs-time", "sends TRS 6 seconds after it has opened the data connection";
    DataLate: Client, "tunnel.trs-time", "opens the data connection after 7 seconds";
    RefusedTargetClosedLate: Client, "tunnel.refused-close", "closes the data connection 20 seconds after the target has refused";
    TrqCountsAsSrs: Client, "keep.client-gives-up", "counts TRQ as an answer to SRQ";
    MrsCountsAsSrs: Client, "keep.client-gives-up", "counts MRS as an answer to SRQ";
    BytesCountAsSrs: Client, "keep.client-gives-up", "counts bytes of a tunnel as an answer to SRQ";
    SrqALittleLate: Client, "keep.client-interval", "sends SRQ every 1.2 timeouts";
    ReconnectsLate: Client, "life.reconnect-time", "connects again after 18 seconds";
    ThirdFailureLast: Client, "life.retry-connect", "ends after three attempts in a row have not reached the server";
    ThirdEarlyEndLast: Client, "life.reconnect-time", "ends after three connections in a row were closed before the login";
    ThirdRefusalLast: Client, "life.reconnect-time", "ends after three rejected logins in a row";
    FourthEarlyEndInAllLast: Client, "life.reconnect-time", "ends after four connections in all were closed before the login";
    PausesForever: Client, "life.reconnect-time", "waits four times as long after each loss";
    ArsDueOnlyWhenSilent: Client, "auth.client-deadline", "has no deadline for ARS after its first byte";
    MapsReversed: Client, "map.client-order", "sends MAPs in the wrong order";
    LastMapMissing: Client, "map.client-all", "sends no MAP for its last mapping";
    ClosedMapMissing: Client, "map.client-all", "sends no MAP for its closed mappings";
    MapsAtMost50: Client, "map.client-all", "sends at most 50 MAPs";
    MapsAtMost64: Client, "map.capacity", "sends at most 64 MAPs";
    MapsAtMost99: Client, "map.capacity", "sends at most 99 MAPs";
    TrqBeyond64Ignored: Client, "map.capacity", "ignores TRQ for all but its first 64 mappings";
    MapsOnce: Client, "map.client-all", "sends MAPs only in its first login";
    MapsInFourLogins: Client, "map.client-all", "sends MAPs only in its first four logins";
    HighestPortLost: Client, "map.client-all", "sends no MAP for port 65535";
    LowestPortLost: Client, "map.client-all", "sends no MAP for port 1";
    MapWithoutMappings: Client, "map.client-all", "sends a MAP although it has no mappings";
    UnaskedMrsCloses: Client, "map.unasked", "closes after an MRS without a MAP";
    RefusedMapCloses: Client, "map.client-survives-false", "closes when a MAP is answered with false";
    RefusedMapDropsOthers: Client, "map.client-keeps-others", "ignores every TRQ after a MAP was answered with false";
    AllFalseCloses: Client, "map.client-survives-false", "closes when all MAPs are answered with false";
    RefusedMapForgotten: Client, "map.client-retries", "does not send a rejected MAP again";
    TrqLostNowAndThen: Client, "tunnel.trs-new-connection", "ignores one TRQ of 25";
    TrqBeforeMrsLost: Client, "tunnel.trs-new-connection", "ignores TRQ before MRS true";
    TrqAfterFirstLost: Client, "tunnel.trs-new-connection", "ignores every TRQ after the first";
    ClosedTrqLost: Client, "tunnel.trs-new-connection", "ignores TRQ for its closed mappings";
    TrsTwice: Client, "tunnel.one-trs", "opens two data connections for a TRQ";
    TrsInAdvance: Client, "tunnel.one-trs", "opens a data connection before a TRQ comes";
    TrsAgainWhenClosed: Client, "tunnel.one-trs", "opens another data connection after one was closed";
    TrsOnControlToo: Client, "tunnel.no-trs-on-control", "sends TRS on its control connection too";
    TrsOnControlOnly: Client, "tunnel.no-trs-on-control", "sends TRS on its control connection instead of a data connection";
    LfAfterTrs: Client, "tunnel.trs-pure", "sends a line feed after TRS";
    BannerAfterTrs: Client, "tunnel.trs-pure", "sends a greeting after TRS";
    RefusalTold: Client, "tunnel.trs-pure", "sends a message on the data connection if it cannot reach the target";
    QuietTunnelPoked: Client, "tunnel.trs-pure", "sends a byte on a data connection that receives nothing for 1 second";
    TrqsEverAtMost100: Client, "tunnel.trs-new-connection", "ignores every TRQ after the hundredth";
    OldTrqAgain: Client, "tunnel.one-trs", "answers the last TRQ of a login again in the next login";
    UnknownTrqCloses: Client, "tunnel.unknown-port-ignored", "closes after a TRQ of a port that is not mapped";
    UnknownTrqServed: Client, "tunnel.unknown-port-ignored", "answers a TRQ of a port that is not mapped";
    TrsPortOfFirst: Client, "tunnel.trs-first-line", "writes the port of its first mapping in each TRS";
    TrsPortSigned: Client, "tunnel.trs-first-line", "writes the port in TRS as a signed number of 16 bits";
    TrsAfterEmptyLine: Client, "tunnel.trs-first-line", "sends an empty line before TRS";
    TargetAlwaysFirst: Client, "tunnel.target", "always connects to the target of its first mapping";
    SharedTargetRefused: Client, "tunnel.target", "serves only the first of several mappings with the same target";
    TargetOfNext: Client, "tunnel.target", "connects to the target of the next mapping";
    TargetOfSecondIsFirst: Client, "tunnel.target", "connects to the target of its first mapping for its second mapping";
    DialsInline: Client, "tunnel.dial-apart", "reads nothing on its control connection while it connects to a target";
    DialsInTurn: Client, "tunnel.dial-holds-none", "connects to its targets one after the other";
    DialsHoldTunnels: Client, "tunnel.dial-holds-none", "carries no bytes in its tunnels while it connects to a target";
    OneTunnelAtATime: Client, "tunnel.concurrent", "serves one tunnel at a time";
    RefusedTargetEndsControl: Client, "tunnel.failure-keeps-control", "ends the login when a target refuses";
    RefusedTargetHangs: Client, "tunnel.refused-close", "leaves the data connection open when the target refuses";
    RefusedTargetNoData: Client, "tunnel.refused-trs", "opens no data connection when the target refuses";
    RefusedTargetNoTrs: Client, "tunnel.refused-trs", "closes the data connection without TRS when the target refuses";
    SrqTooRarely: Client, "keep.client-interval", "sends SRQ every 1.6 timeouts";
    SrqNever: Client, "keep.client-interval", "sends no SRQ";
    SrqEachTwoSeconds: Client, "keep.client-interval", "sends SRQ at most every 2 seconds";
    SrqInFirstLogin: Client, "keep.client-interval", "sends SRQ only in its first login";
    SrqNotWhenBusy: Client, "keep.client-interval", "sends no SRQ while a tunnel is open";
    TimeoutOfFirstLogin: Client, "keep.client-interval", "uses the timeout of its first login in every login";
    PatienceShort: Client, "keep.client-patience", "gives up 0.4 timeouts after an SRQ";
    KeepaliveOverflows: Client, "keep.client-patience", "uses a timeout of 0.2 seconds if the timeout is the longest one";
    OldPatienceGoesOn: Client, "keep.client-patience", "gives up every later login after twice the timeout of its first login";
    SrsNotCounted: Client, "keep.client-patience", "ignores SRS";
    PatienceEndless: Client, "keep.client-gives-up", "never gives up a login without SRS";
    NeverReconnects: Client, "life.reconnect", "ends when its control connection ends";
    NoReconnectAfterReset: Client, "life.reconnect", "ends when its control connection is reset";
    NoReconnectAfterEarlyEnd: Client, "life.reconnect", "ends when its connection is closed before the login";
    NoReconnectWhenAbsent: Client, "life.retry-connect", "ends when the server cannot be reached";
    NoReconnectAfterRefusal: Client, "life.reconnect", "ends after ARS false";
    NoReconnectAfterGivingUp: Client, "life.reconnect", "ends when no SRS comes";
    SecondSessionLast: Client, "life.reconnect", "ends when its second control connection ends";
    NoPauseAfterLogin: Client, "life.client-pause", "connects again at once after a login has ended";
    NoPauseBeforeLogin: Client, "life.client-pause", "connects again at once when its connection is closed before the login";
    ViolationFatal: Client, "life.client-survives", "ends when a server breaks a rule";
    AfterArsFatal: Client, "life.client-survives", "ends when something follows ARS in its segment";
    DataWithoutTls: Client, "tls.both-connections", "opens data connections without TLS";
    CertificateNotVerified: Client, "tls.verify", "does not verify the certificate";
    TrqLostByChance: Client, "tunnel.trs-new-connection", "ignores one TRQ of 20, by chance";
    WrongTargetByChance: Client, "tunnel.target", "connects one tunnel in 20 to the target of the next mapping, by chance";
    CertificateOfDataNotVerified: Client, "tls.verify", "does not verify the certificate of data connections";
    CertificateVerifiedOnce: Client, "tls.verify", "verifies the certificate of its first connection only";
    CertificateHostNotChecked: Client, "tls.verify", "accepts a certificate of another host";
    CertificateDatesNotChecked: Client, "tls.verify", "accepts an expired certificate";
    CertificateIssuerNotChecked: Client, "tls.verify", "accepts a certificate of an unknown issuer";
    HandshakeAwaited: Client, "life.connect-deadline", "has no deadline for a TLS handshake";
}

impl Bug {
    /// The name, such as `early-data-lost`.
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
