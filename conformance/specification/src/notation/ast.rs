//! The parts of a transcript. What can be written here can be parsed, printed and played.

use std::fmt;

/// A whole case file: its header, then its steps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    /// One sentence that says what must hold.
    pub title: Noted<String>,
    /// Who is judged.
    pub role: Noted<Role>,
    /// The ids of the rules that this case judges.
    pub rules: Noted<Vec<String>>,
    /// The case that differs by one thing and must succeed.
    pub twin: Option<Noted<String>>,
    /// What the configuration of the judged program must say.
    pub config: Vec<Noted<Setting>>,
    /// The transports it is run on; none means plain.
    pub over: Option<Noted<Vec<Transport>>>,
    /// The steps, with the blank lines and comments between them.
    pub body: Vec<Line>,
}

/// A header value with the comment behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Noted<T> {
    /// The value.
    pub value: T,
    /// The text behind `#`, if any.
    pub comment: Option<String>,
}

/// The side that is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// The program that listens.
    Server,
    /// The program that connects.
    Client,
    /// One of each, and what users and services see of them.
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
    /// Bare TCP.
    Plain,
    /// TLS over TCP.
    Tls,
}

impl Transport {
    /// All there are.
    pub const ALL: [Self; 2] = [Self::Plain, Self::Tls];
}

/// One `config` line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Setting {
    /// The server's timeout in seconds.
    Timeout(u64),
    /// The client is told to verify the server's certificate.
    Verify,
    /// The client is told to verify the server's certificate, and whom it may trust; the suite shows such a certificate.
    Trust,
    /// So many mappings of the client, with the remote ports that `$nth_port` names.
    Maps {
        /// How many, at least one.
        count: u32,
        /// The address of the service behind all of them.
        target: Template,
    },
    /// A mapping of the client.
    Map {
        /// The remote port: a variable, or a number where nobody has to listen on it.
        port: Template,
        /// The address of the service.
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
    /// A line that only holds a comment.
    Comment(String),
    /// One step.
    Step(Step),
    /// A block that is played several times, with fresh connections each time.
    Repeat(Repeat),
}

/// `repeat N` and its indented lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repeat {
    /// How often, at least once.
    pub count: u32,
    /// Whether what is opened and remembered inside outlives its turn, for the turns of later blocks.
    pub kept: bool,
    /// The text behind `#`, if any.
    pub comment: Option<String>,
    /// The block; it holds no further `repeat`.
    pub body: Vec<Line>,
}

/// What one actor does, or must see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The name of the connection.
    pub actor: String,
    /// What happens on it.
    pub action: Action,
    /// When it has to happen, instead of "soon".
    pub within: Option<Within>,
    /// The rules that are broken when this step fails.
    pub marks: Vec<String>,
    /// The text behind `#`, if any.
    pub comment: Option<String>,
}

/// The verb of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// `connect server`, `connect $port`: open a connection.
    Connect(Endpoint),
    /// `refused $port`: a mapped port must refuse connections.
    Refused(Template),
    /// `turned away $port`: a user is refused, or is accepted and closed before it has got a byte.
    TurnedAway {
        /// The remote port.
        port: Template,
        /// What the user says when it is accepted.
        said: Option<Template>,
    },
    /// `accept`, `accept $target`: take the next connection that the client has opened.
    Accept(Option<Template>),
    /// `accept drip` and its like: as `accept`, in another way.
    AcceptAs(Way),
    /// `handshake`: a bare connection to the TLS port becomes one over TLS.
    Handshake,
    /// `certificate NAME`: what the suite shows to the client from now on.
    Certificate(Shown),
    /// `distrusts`: the client ends its next connection without ATH, because of our certificate.
    Distrusts,
    /// `down TIME`: for so long, in milliseconds, the client cannot connect to the server.
    Down(u32),
    /// `pause`: we read no more until a step waits for something on this connection.
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
    /// `>> random SIZE SEED`: send reproducible noise while the case goes on.
    SendRandom(Bulk),
    /// `unguessable $token`: with all that were named before, this value looks as if nobody could guess it.
    Unguessable(Template),
    /// `keep`: from now on this control connection is kept alive, whatever the case waits for.
    Keep,
    /// `late TIME`: the silent target begins to accept so many milliseconds from now.
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
    /// `restart`: end one of the two programs without a warning and start it again.
    Restart,
    /// `< ...`, `<< ...`: one thing must come.
    Expect(Expectation),
    /// `< one of`: one of several things must come.
    OneOf(Vec<Alternative>),
    /// `< maps`, `< maps but $port`: the client sends a MAP for each of its mappings, in any order. Each is answered
    /// as soon as it has come, by true, or by false where its port is named here.
    Maps(Vec<Template>),
}

/// Where a connection goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// `server`: the control port; of the case's own transport unless one is named.
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

/// How a connection of the client is taken, where not as usual.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// All that we send, TLS included, leaves byte by byte.
    Drip,
    /// We offer TLS 1.2 alone.
    Tls12,
    /// Over TCP without a TLS handshake, and what the client says is thrown away.
    Bare,
}

impl Way {
    /// All there are.
    pub(crate) const ALL: [Self; 3] = [Self::Drip, Self::Tls12, Self::Bare];
}

/// A certificate of the suite.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Shown {
    /// That of the fixtures, for which nobody vouches.
    Other,
    /// One that a client trusts with `config trust`.
    Trusted,
    /// As trusted, but for another host.
    Misnamed,
    /// As trusted, but its time is over.
    Expired,
}

impl Shown {
    /// All there are.
    pub const ALL: [Self; 4] = [Self::Other, Self::Trusted, Self::Misnamed, Self::Expired];
}

/// A message: a word and its fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Capital letters.
    pub word: String,
    /// The lines behind the word.
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
    /// What comes close to the value of a variable.
    Near(Near, String),
}

/// How a value is changed that must not be taken for the right one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Near {
    /// `${name:half}`: its first half.
    Half,
    /// `${name:case}`: its first letter is in the other case; without a letter, its first byte is another.
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
    /// What we are sending is not taken any more.
    Stalled,
}

/// A line below `one of`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alternative {
    /// What may come.
    pub expectation: Expectation,
    /// What it is worth.
    pub grade: Grade,
    /// The text behind `#`, if any.
    pub comment: Option<String>,
}

/// The worth of an [`Alternative`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grade {
    /// As it should be.
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
    /// To come before `low` is nonstrict, not wrong.
    pub lenient: bool,
}

/// A lower bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Low {
    /// So many milliseconds.
    Ms(u32),
    /// `still`: longer than every deadline of the judged program.
    Still,
}

impl Case {
    /// The transports that its steps name, whatever its own is.
    pub fn named_transports(&self) -> impl Iterator<Item = Transport> {
        self.steps().filter_map(|step| match step.action {
            Action::Connect(Endpoint::Server(named)) => named,
            _ => None,
        })
    }

    /// Whether it has tunnels, and one direction of a connection that belongs to them ends while the other one goes on.
    pub fn half_closes(&self) -> bool {
        let says = |step: &Step, word: &str| match &step.action {
            Action::Send(message) | Action::Expect(Expectation::Message(message)) => {
                message.word == word
            }
            Action::SendRaw(segments) => segments.iter().any(|segment| {
                let first = segment.pieces().first();
                matches!(first, Some(Piece::Bytes(bytes)) if bytes.starts_with(word.as_bytes()))
            }),
            _ => false,
        };
        let logs_in = |actor: &str| {
            self.steps()
                .any(|step| step.actor == actor && says(step, "ATH"))
        };
        let ends = |step: &Step| {
            let half = matches!(
                step.action,
                Action::Shutdown | Action::Expect(Expectation::Eof)
            );
            half && !logs_in(&step.actor)
        };
        self.steps().any(|step| says(step, "TRS")) && self.steps().any(ends)
    }

    /// Whether it asks a server to listen on a port that it names itself, and not on one of its own.
    pub fn names_a_port(&self) -> bool {
        let port = |field: &Field| match field {
            Field::Text(template) => match template.pieces() {
                [Piece::Bytes(digits)] => {
                    let digits = std::str::from_utf8(digits).ok()?;
                    digits.parse::<u16>().ok()
                }
                _ => None,
            },
            Field::Bind(_) | Field::Any => None,
        };
        self.steps().any(|step| match &step.action {
            Action::Send(map) if map.word == "MAP" => map
                .fields
                .first()
                .and_then(port)
                .is_some_and(|port| port > 0),
            _ => false,
        })
    }

    /// All steps, those of blocks once.
    fn steps(&self) -> impl Iterator<Item = &Step> {
        let lines = self.body.iter().flat_map(|line| match line {
            Line::Repeat(repeat) => repeat.body.as_slice(),
            line => std::slice::from_ref(line),
        });
        lines.filter_map(|line| match line {
            Line::Step(step) => Some(step),
            Line::Blank | Line::Comment(_) | Line::Repeat(_) => None,
        })
    }

    /// Whether a client has to come back in it, or meets a server that was started again.
    pub fn needs_reconnect(&self) -> bool {
        let logs_in = |line: &Line| match line {
            Line::Step(step) => match &step.action {
                Action::Expect(Expectation::Message(message)) => usize::from(message.word == "ATH"),
                Action::Restart if step.actor == "server" => 2,
                _ => 0,
            },
            Line::Blank | Line::Comment(_) | Line::Repeat(_) => 0,
        };
        let logins = self.body.iter().map(|line| match line {
            Line::Repeat(repeat) => {
                let count = usize::try_from(repeat.count).unwrap_or(usize::MAX);
                let turn: usize = repeat.body.iter().map(logs_in).sum();
                turn.saturating_mul(count)
            }
            _ => logs_in(line),
        });
        let after_a_break = self.body.iter().any(|line| {
            matches!(
                line,
                Line::Step(Step {
                    action: Action::Down(_),
                    ..
                })
            )
        });
        self.role.value != Role::Server && (logins.sum::<usize>() > 1 || after_a_break)
    }

    /// The number of the first line below the header.
    pub fn first_line(&self) -> usize {
        3 + usize::from(self.twin.is_some())
            + self.config.len()
            + usize::from(self.over.is_some())
            + 2
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

impl Action {
    /// All its templates.
    pub fn templates(&self) -> Vec<&Template> {
        match self {
            Self::Connect(Endpoint::Port(port)) | Self::Refused(port) => vec![port],
            Self::TurnedAway { port, said } => std::iter::once(port).chain(said).collect(),
            Self::Accept(target) => target.iter().collect(),
            Self::Maps(templates) | Self::SendRaw(templates) | Self::SendEvery(_, templates) => {
                templates.iter().collect()
            }
            Self::SendDrip(bytes) | Self::SendSlow(bytes) | Self::Unguessable(bytes) => vec![bytes],
            Self::Send(message) => message.templates(),
            Self::Expect(expectation) => expectation.templates(),
            Self::OneOf(alternatives) => {
                let each = alternatives.iter().map(|one| &one.expectation);
                each.flat_map(Expectation::templates).collect()
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
}

impl Message {
    fn templates(&self) -> Vec<&Template> {
        let mut texts = Vec::new();
        for field in &self.fields {
            match field {
                Field::Text(text) => texts.push(text),
                Field::Bind(_) | Field::Any => {}
            }
        }
        texts
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
