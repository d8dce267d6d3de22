//! Builds the parts of a step of the notation: templates, messages, actions, and time bounds.

use fastrand::Rng;
use netroxy_specification::message::{ARS, ATH, MAP, MRS, SRQ, SRS, Shape, TRQ, TRS};
use netroxy_specification::notation::ast::{
    Action, Alternative, Bulk, Endpoint, Expectation, Field, Grade, Low, Message, Piece, Step,
    Template, Within,
};

/// `< closed`.
pub(super) const CLOSED: Action = Action::Expect(Expectation::Closed);
/// `< eof`.
pub(super) const EOF: Action = Action::Expect(Expectation::Eof);
/// `< silence`.
pub(super) const SILENCE: Action = Action::Expect(Expectation::Silence);
/// `connect server`.
pub(super) const CONNECT_SERVER: Action = Action::Connect(Endpoint::Server(None));

/// The value of a variable.
pub(super) fn var(name: &str) -> Template {
    Template::new([Piece::Var(name.to_owned())], 1)
}

/// Bytes without variables.
pub(super) fn text(bytes: impl Into<Vec<u8>>) -> Template {
    Template::bytes(bytes)
}

/// One template after the other, each once.
pub(super) fn join<'a>(parts: impl IntoIterator<Item = &'a Template>) -> Template {
    let pieces = parts.into_iter().flat_map(Template::pieces).cloned();
    Template::new(pieces, 1)
}

/// The pieces of a template, repeated.
pub(super) fn repeated(template: &Template, times: u32) -> Template {
    Template::new(template.pieces().iter().cloned(), times)
}

/// A message whose fields all have a known value.
pub(super) fn message<const N: usize>(shape: &Shape, fields: [Template; N]) -> Message {
    Message {
        word: shape.word.to_owned(),
        fields: fields.into_iter().map(Field::Text).collect(),
    }
}

/// ATH with the valid user name and password.
pub(super) fn ath(name: Template) -> Message {
    message(&ATH, [name, var("username"), var("password")])
}

/// ATH of a client: any client name, and the valid user name and password.
pub(super) fn any_ath() -> Message {
    let mut ath = ath(text(""));
    ath.fields[0] = Field::Any;
    ath
}

/// `ARS true` with a known timeout and token.
pub(super) fn ars(timeout: &str, token: Template) -> Message {
    message(&ARS, [text("true"), text(timeout), token])
}

/// `ARS true` of a server: any timeout, and a token that is remembered if it gets a name.
pub(super) fn any_ars(token: Option<&str>) -> Message {
    let mut ars = ars("", text(""));
    ars.fields[1] = Field::Any;
    ars.fields[2] = token.map_or(Field::Any, |name| Field::Bind(name.to_owned()));
    ars
}

/// MAP; `127.0.0.1:9` is a good target for a server, which never connects to it.
pub(super) fn map(port: Template, target: Template, open: bool) -> Message {
    message(&MAP, [port, target, text(open.to_string())])
}

/// MRS.
pub(super) fn mrs(port: Template, granted: bool) -> Message {
    message(&MRS, [port, text(granted.to_string())])
}

/// TRQ.
pub(super) fn trq(port: Template) -> Message {
    message(&TRQ, [port])
}

/// TRS.
pub(super) fn trs(token: Template, port: Template) -> Message {
    message(&TRS, [token, port])
}

/// SRQ.
pub(super) fn srq() -> Message {
    message(&SRQ, [])
}

/// SRS.
pub(super) fn srs() -> Message {
    message(&SRS, [])
}

/// The bytes of a message: its word and its fields, each with a line feed. A field of any value has no bytes.
pub(super) fn encoded(message: &Message) -> Template {
    let mut pieces = vec![Piece::Bytes(format!("{}\n", message.word).into_bytes())];
    for field in &message.fields {
        if let Field::Text(template) = field {
            pieces.extend(template.pieces().iter().cloned());
        }
        pieces.push(Piece::Bytes(b"\n".to_vec()));
    }
    Template::new(pieces, 1)
}

/// `> WORD fields`.
pub(super) fn send(message: Message) -> Action {
    Action::Send(message)
}

/// `>> "..."`: these bytes in one segment.
pub(super) fn send_bytes(bytes: Template) -> Action {
    Action::SendRaw(vec![bytes])
}

/// `< WORD fields`.
pub(super) fn expect(message: Message) -> Action {
    Action::Expect(Expectation::Message(message))
}

/// `<< "..."`.
pub(super) fn expect_bytes(bytes: Template) -> Action {
    Action::Expect(Expectation::Raw(bytes))
}

/// `connect $port`.
pub(super) fn connect(port: Template) -> Action {
    Action::Connect(Endpoint::Port(port))
}

/// `accept $target`.
pub(super) fn accept(target: Template) -> Action {
    Action::Accept(Some(target))
}

/// `one of` with two expectations: the first is right, the second has this grade.
pub(super) fn one_of(first: Expectation, second: Expectation, grade: Grade) -> Action {
    let alternative = |expectation, grade| Alternative {
        expectation,
        grade,
        comment: None,
    };
    Action::OneOf(vec![
        alternative(first, Grade::Pass),
        alternative(second, grade),
    ])
}

/// A step that is judged by these rules, the most exact one first.
pub(super) fn step(actor: &str, action: Action, rules: &[&'static str]) -> Step {
    Step {
        actor: actor.to_owned(),
        action,
        within: None,
        marks: rules.iter().map(|&rule| rule.to_owned()).collect(),
        comment: None,
    }
}

/// Not before so many milliseconds.
pub(super) fn from(low: u32) -> Within {
    from_low(Low::Ms(low))
}

/// Not before this bound.
pub(super) fn from_low(low: Low) -> Within {
    Within {
        low: Some(low),
        high: None,
        lenient: false,
    }
}

/// Not after so many milliseconds.
pub(super) fn until(high: u32) -> Within {
    Within {
        low: None,
        high: Some(high),
        lenient: false,
    }
}

/// Not before and not after so many milliseconds.
pub(super) fn between(low: u32, high: u32) -> Within {
    Within {
        high: Some(high),
        ..from(low)
    }
}

/// `bytes` sent in one of several ways, chosen by `pick`: at once, cut into two to four segments, or byte by byte.
pub(super) fn segments(bytes: Template, pick: u32) -> Action {
    match pick % 4 {
        0 | 1 => send_bytes(bytes),
        2 => {
            let atoms = atoms(&bytes);
            let mut rng = Rng::with_seed(pick.into());
            let mut cuts: Vec<usize> = (0..rng.usize(1..4))
                .map(|_| rng.usize(..atoms.len().max(1)))
                .filter(|cut| *cut > 0)
                .collect();
            cuts.sort_unstable();
            cuts.dedup();
            cuts.push(atoms.len());
            let mut from = 0;
            let segments = cuts.into_iter().map(|to| {
                let segment = Template::new(atoms[from..to].iter().cloned(), 1);
                from = to;
                segment
            });
            Action::SendRaw(segments.collect())
        }
        _ => Action::SendDrip(bytes),
    }
}

/// The smallest pieces, between which a template may be cut: single bytes and variables.
fn atoms(template: &Template) -> Vec<Piece> {
    let mut atoms = Vec::new();
    for piece in template.pieces() {
        match piece {
            Piece::Bytes(bytes) => {
                atoms.extend(bytes.iter().map(|byte| Piece::Bytes(vec![*byte])));
            }
            Piece::Var(_) | Piece::Near(..) => atoms.push(piece.clone()),
        }
    }
    atoms
}

/// Bytes that only one connection sends: a string, or noise if there are many.
#[derive(Debug, Clone)]
pub(super) enum Payload {
    String(Template),
    Noise(Bulk),
}

impl Payload {
    /// A payload that begins with `tag` (a string) or depends on it (noise). Its length grows with `size`.
    pub(super) fn new(tag: &str, size: u32) -> Self {
        match size {
            0..40 => {
                let dots = ".".repeat(usize::try_from(size).unwrap_or(0));
                Self::String(text(format!("{tag}{dots}")))
            }
            40..300 => Self::String(repeated(&text(format!("{tag} ")), size / 8)),
            _ => {
                let seed = tag.bytes().fold(size, |sum, byte| {
                    sum.wrapping_mul(31).wrapping_add(byte.into())
                });
                Self::Noise(Bulk {
                    bytes: size,
                    seed: seed & 0xffff,
                })
            }
        }
    }

    /// `>>`: the connection sends it.
    pub(super) fn send(&self) -> Action {
        match self {
            Self::String(bytes) => send_bytes(bytes.clone()),
            Self::Noise(bulk) => Action::SendRandom(*bulk),
        }
    }

    /// `<<`: the connection receives it.
    pub(super) fn expect(&self) -> Action {
        Action::Expect(match self {
            Self::String(bytes) => Expectation::Raw(bytes.clone()),
            Self::Noise(bulk) => Expectation::Random(*bulk),
        })
    }
}
