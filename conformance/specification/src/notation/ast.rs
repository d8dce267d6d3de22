//! The syntax tree of the notation. Every value of these types can be printed, parsed and played.

use std::fmt;

/// A whole case file: its header, then its steps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    /// One sentence: what the case judges.
    pub title: Noted<String>,
    /// The side that is judged.
    pub role: Noted<Role>,
    /// The ids of the rules that this case judges.
    pub rules: Noted<Vec<String>>,
    /// A case that differs in one thing and must succeed.
    pub twin: Option<Noted<String>>,
    /// What the configuration of the judged program contains.
    pub config: Vec<Noted<Setting>>,
    /// The transports that it is run on; `None` means plain.
    pub over: Option<Noted<Vec<Transport>>>,
    /// The steps, with the blank lines and comments between them.
    pub body: Vec<Line>,
}

/// A header value with its comment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Noted<T> {
    /// The value.
    pub value: T,
    /// The text after `#`, if any.
    pub comment: Option<String>,
}

/// The side that is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// The program that listens.
    Server,
    /// The program that connects.
    Client,
    /// One of each; a case sees what users and targets see of them.
    Pair,
}

/// One of the two programs of a tunnel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// The program that listens.
    Server,
    /// The program that connects.
    Client,
}

/// What carries the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Transport {
    /// TCP without TLS.
    Plain,
    /// TLS over TCP.
    Tls,
}

impl Transport {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Plain, Self::Tls];
}

/// One `config` line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Setting {
    /// The server's timeout in seconds.
    Timeout(u64),
    /// The client verifies the server's certificate.
    Verify,
    /// The client verifies the server's certificate, and trusts the authority of the suite, whose certificate it is shown.
    Trust,
    /// Several mappings of the client, whose remote ports are the values of `$nth_port`.
    Maps {
        /// How many, at least 1.
        count: u32,
        /// The target of all of them.
        target: Template,
    },
    /// A mapping of the client.
    Map {
        /// The remote port: a variable, or a number if no program has to listen on it.
        port: Template,
        /// The target.
        target: Template,
        /// What the mapping says in `isOpen`.
        open: bool,
    },
}

/// A line below the header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// An empty line.
    Blank,
    /// A line with a comment only.
    Comment(String),
    /// One step.
    Step(Step),
    /// A block that is played several times, with fresh connections each time.
    Repeat(Repeat),
}

/// `repeat N` and its indented lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repeat {
    /// How often, at least 1.
    pub count: u32,
    /// Whether the connections and variables of a turn stay for the same turn of later blocks.
    pub kept: bool,
    /// The text after `#`, if any.
    pub comment: Option<String>,
    /// The block; it contains no other `repeat`.
    pub body: Vec<Line>,
}

/// What the suite does on a connection, or expects on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The name of the connection.
    pub actor: String,
    /// What happens on it.
    pub action: Action,
    /// Its time bounds, if not the usual ones.
    pub within: Option<Within>,
    /// The rules that are broken when this step fails.
    pub marks: Vec<String>,
    /// The text after `#`, if any.
    pub comment: Option<String>,
}

/// The verb of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// `connect server`, `connect $port`: open a connection.
    Connect(Endpoint),
    /// `refused $port`: a mapped port must refuse connections.
    Refused(Template),
    /// `turned away $port`: a user is refused, or is accepted and closed before it receives a byte.
    TurnedAway {
        /// The remote port.
        port: Template,
        /// What the user sends if it is accepted.
        said: Option<Template>,
    },
    /// `accept`, `accept $target`: accept the next connection that the client opens.
    Accept(Option<Template>),
    /// `accept drip`, `accept tls12`, `accept bare`: as `accept`, in another way.
    AcceptAs(Way),
    /// `handshake`: a bare connection to the TLS port becomes one over TLS.
    Handshake,
    /// `certificate NAME`: the certificate that the suite shows to the client from now on.
    Certificate(Shown),
    /// `distrusts`: the client ends its next connection without ATH, because of our certificate.
    Distrusts,
    /// `down TIME`: the client cannot connect to the server for this time in milliseconds.
    Down(u32),
    /// `pause`: we do not read until the next step that expects something on this connection.
    Pause,
    /// `> WORD fields`: send a message.
    Send(Message),
    /// `>> "..."`: send bytes, one segment per string.
    SendRaw(Vec<Template>),
    /// `>> drip "..."`: send bytes, one segment per byte.
    SendDrip(Template),
    /// `>> slow "..."`: send bytes, one segment per byte, spread evenly over `still`.
    SendSlow(Template),
    /// `>> every TIME "..."`: send bytes, one segment per string, with so many milliseconds between two.
    SendEvery(u32, Vec<Template>),
    /// `>> random SIZE SEED`: send reproducible noise; the case goes on meanwhile.
    SendRandom(Bulk),
    /// `unguessable $token`: this value, compared with those of earlier such steps, looks random.
    Unguessable(Template),
    /// `keep`: from now on the suite keeps this control connection alive during all steps.
    Keep,
    /// `late TIME`: the silent target begins to accept after this time in milliseconds.
    Late(u32),
    /// `ignore WORD`: messages of this word are passed over from now on.
    Ignore(String),
    /// `> shutdown`: end our direction only.
    Shutdown,
    /// `> cut`: end our direction of a TLS connection by a FIN alone, without close_notify.
    Cut,
    /// `> close`: close the connection.
    Close,
    /// `> reset`: abort the connection.
    Reset,
    /// `restart`: kill one of the two programs and start it again.
    Restart,
    /// `< ...`, `<< ...`: one thing must come.
    Expect(Expectation),
    /// `< one of`: one of several things must come.
    OneOf(Vec<Alternative>),
    /// `< maps`, `< maps but $port`: the client sends a MAP for each of its mappings, in any order. Each is answered at
    /// once: by `MRS false` if its port is named here, else by `MRS true`.
    Maps(Vec<Template>),
}

/// Where a connection goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// `server`: the control port of the named transport, or of the transport of the case.
    Server(Option<Transport>),
    /// `server bare`: the control port of the case's own transport, over TCP without TLS.
    Bare,
    /// `server drip`: as `server`, and all that we send on it, TLS included, leaves byte by byte.
    Drip,
    /// `server tls12`: as `server`, and we offer TLS 1.2 alone.
    Tls12,
    /// A mapped port.
    Port(Template),
}

/// Another way to accept a connection of the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// All that we send, TLS included, leaves byte by byte.
    Drip,
    /// We offer TLS 1.2 alone.
    Tls12,
    /// Over TCP without a TLS handshake. What the client sends is thrown away.
    Bare,
}

impl Way {
    /// All of them.
    pub(crate) const ALL: [Self; 3] = [Self::Drip, Self::Tls12, Self::Bare];
}

/// A certificate of the suite.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Shown {
    /// The one of the fixtures, which no authority has signed.
    Other,
    /// One that a client trusts with `config trust`.
    Trusted,
    /// As trusted, but for another host.
    Misnamed,
    /// As trusted, but expired.
    Expired,
}

impl Shown {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Other, Self::Trusted, Self::Misnamed, Self::Expired];
}

/// A message: a word and its fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Capital letters.
    pub word: String,
    /// The lines after the word.
    pub fields: Vec<Field>,
}

/// A field of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Field {
    /// These bytes.
    Text(Template),
    /// `?name`: anything; it is remembered.
    Bind(String),
    /// `_`: anything.
    Any,
}

/// Bytes with variables in them, repeated `times` times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    pieces: Vec<Piece>,
    times: u32,
}

/// A part of a [`Template`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// Bytes as they are.
    Bytes(Vec<u8>),
    /// The value of a variable.
    Var(String),
    /// A value near that of a variable.
    Near(Near, String),
}

/// How a value is changed into a wrong one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Near {
    /// `${name:half}`: its first half.
    Half,
    /// `${name:case}`: its first letter in the other case; without a letter, with another first byte.
    Case,
}

/// Reproducible noise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bulk {
    /// How many bytes.
    pub bytes: u32,
    /// Which noise.
    pub seed: u32,
}

/// What must come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expectation {
    /// This message is the next one.
    Message(Message),
    /// These bytes are the next ones.
    Raw(Template),
    /// This noise is next.
    Random(Bulk),
    /// The connection ends in any way and nothing comes before that.
    Closed,
    /// The peer's direction ends in an orderly way and nothing comes before that.
    Eof,
    /// The connection is aborted and nothing comes before that.
    Reset,
    /// Nothing comes, and the connection stays open.
    Silence,
    /// The peer takes no more of what we send.
    Stalled,
}

/// A line below `one of`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alternative {
    /// What may come.
    pub expectation: Expectation,
    /// Whether it is allowed or recommended.
    pub grade: Grade,
    /// The text after `#`, if any.
    pub comment: Option<String>,
}

/// The grade of an [`Alternative`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grade {
    /// Right.
    Pass,
    /// Allowed, not recommended.
    Nonstrict,
}

/// `in LOW..HIGH`, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Within {
    /// Not before.
    pub low: Option<Low>,
    /// Not after.
    pub high: Option<u32>,
    /// Whether earlier than `low` is nonstrict, not wrong.
    pub lenient: bool,
}

/// A lower bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Low {
    /// So many milliseconds.
    Ms(u32),
    /// `still`: a time longer than each deadline of the judged program.
    Still,
}

impl Case {
    /// The number of the first line below the header.
    pub fn first_line(&self) -> usize {
        3 + usize::from(self.twin.is_some())
            + self.config.len()
            + usize::from(self.over.is_some())
            + 2
    }
}

impl Action {
    /// The message that it sends or expects.
    pub fn message(&self) -> Option<&Message> {
        match self {
            Self::Send(message) | Self::Expect(Expectation::Message(message)) => Some(message),
            _ => None,
        }
    }
}

impl Line {
    /// How many lines of a file it takes.
    pub fn height(&self) -> usize {
        match self {
            Self::Blank | Self::Comment(_) => 1,
            Self::Step(Step {
                action: Action::OneOf(alternatives),
                ..
            }) => 1 + alternatives.len(),
            Self::Step(_) => 1,
            Self::Repeat(repeat) => 1 + repeat.body.iter().map(Self::height).sum::<usize>(),
        }
    }
}

/// The templates of an action, as the vector that `Action::templates` and `Action::templates_mut` return. The reference
/// decides whether they can be changed: `$iter` is `iter` or `iter_mut`, and `$of` is the name of the method.
macro_rules! templates {
    ($action:expr, $iter:ident, $of:ident) => {
        match $action {
            Self::Connect(Endpoint::Port(port)) | Self::Refused(port) => vec![port],
            Self::TurnedAway { port, said } => std::iter::once(port).chain(said).collect(),
            Self::Accept(target) => target.$iter().collect(),
            Self::Maps(templates) | Self::SendRaw(templates) | Self::SendEvery(_, templates) => {
                templates.$iter().collect()
            }
            Self::SendDrip(bytes) | Self::SendSlow(bytes) | Self::Unguessable(bytes) => vec![bytes],
            Self::Send(message) => message.$of(),
            Self::Expect(expectation) => expectation.$of(),
            Self::OneOf(alternatives) => {
                let each = alternatives.$iter();
                each.flat_map(|one| one.expectation.$of()).collect()
            }
            Self::Connect(_)
            | Self::AcceptAs(_)
            | Self::Handshake
            | Self::Certificate(_)
            | Self::Distrusts
            | Self::Down(_)
            | Self::Late(_)
            | Self::Pause
            | Self::Keep
            | Self::SendRandom(_)
            | Self::Ignore(_)
            | Self::Shutdown
            | Self::Cut
            | Self::Close
            | Self::Reset
            | Self::Restart => Vec::new(),
        }
    };
}

impl Action {
    /// All its templates.
    pub fn templates(&self) -> Vec<&Template> {
        templates!(self, iter, templates)
    }

    /// All its templates, to change them.
    pub fn templates_mut(&mut self) -> Vec<&mut Template> {
        templates!(self, iter_mut, templates_mut)
    }
}

impl Expectation {
    fn templates(&self) -> Vec<&Template> {
        match self {
            Self::Message(message) => message.templates(),
            Self::Raw(bytes) => vec![bytes],
            Self::Random(_)
            | Self::Closed
            | Self::Eof
            | Self::Reset
            | Self::Silence
            | Self::Stalled => Vec::new(),
        }
    }

    fn templates_mut(&mut self) -> Vec<&mut Template> {
        match self {
            Self::Message(message) => message.templates_mut(),
            Self::Raw(bytes) => vec![bytes],
            Self::Random(_)
            | Self::Closed
            | Self::Eof
            | Self::Reset
            | Self::Silence
            | Self::Stalled => Vec::new(),
        }
    }
}

impl Message {
    fn templates(&self) -> Vec<&Template> {
        self.fields.iter().filter_map(Field::text).collect()
    }

    /// The texts of its fields, to change them.
    pub fn templates_mut(&mut self) -> Vec<&mut Template> {
        self.fields.iter_mut().filter_map(Field::text_mut).collect()
    }
}

impl Field {
    fn text(&self) -> Option<&Template> {
        match self {
            Self::Text(text) => Some(text),
            Self::Bind(_) | Self::Any => None,
        }
    }

    fn text_mut(&mut self) -> Option<&mut Template> {
        match self {
            Self::Text(text) => Some(text),
            Self::Bind(_) | Self::Any => None,
        }
    }
}

impl Template {
    /// Joins neighbouring bytes, so that equal texts are equal values.
    pub fn new(parts: impl IntoIterator<Item = Piece>, times: u32) -> Self {
        let mut pieces: Vec<Piece> = Vec::new();
        for part in parts {
            match (pieces.last_mut(), part) {
                (_, Piece::Bytes(bytes)) if bytes.is_empty() => {}
                (Some(Piece::Bytes(last)), Piece::Bytes(bytes)) => last.extend(bytes),
                (_, part) => pieces.push(part),
            }
        }
        Self { pieces, times }
    }

    /// Bytes without variables.
    pub fn bytes(bytes: impl Into<Vec<u8>>) -> Self {
        Self::new([Piece::Bytes(bytes.into())], 1)
    }

    /// The parts, neighbouring bytes joined.
    pub fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    /// Whether a variable of this name is one of its parts.
    pub fn names(&self, variable: &str) -> bool {
        self.pieces().iter().any(|piece| match piece {
            Piece::Var(name) | Piece::Near(_, name) => name == variable,
            Piece::Bytes(_) => false,
        })
    }

    /// How often the parts are repeated.
    pub fn times(&self) -> u32 {
        self.times
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Server => "server",
            Self::Client => "client",
            Self::Pair => "pair",
        })
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Role::from(*self).fmt(f)
    }
}

impl From<Side> for Role {
    fn from(side: Side) -> Self {
        match side {
            Side::Server => Self::Server,
            Side::Client => Self::Client,
        }
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plain => "plain",
            Self::Tls => "tls",
        })
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Drip => "drip",
            Self::Tls12 => "tls12",
            Self::Bare => "bare",
        })
    }
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Other => "other",
            Self::Trusted => "trusted",
            Self::Misnamed => "misnamed",
            Self::Expired => "expired",
        })
    }
}

impl fmt::Display for Near {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Half => "half",
            Self::Case => "case",
        })
    }
}

impl fmt::Display for Grade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pass => "pass",
            Self::Nonstrict => "nonstrict",
        })
    }
}
