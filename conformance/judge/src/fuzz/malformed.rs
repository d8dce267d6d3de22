//! Malformed messages, derived from the grammar.

use fastrand::Rng;
use netroxy_specification::message::{Kind, MAP, MRS, Shape};
use netroxy_specification::notation::ast::{Side, Template};

use super::steps::{encoded, map, message, mrs, text, trq};

/// A malformed message, and the expected reaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Malformed {
    pub(super) bytes: Template,
    /// The rule that says that the connection closes.
    pub(super) rule: &'static str,
    /// Whether the rule only recommends it.
    pub(super) lenient: bool,
}

/// A malformed message for a peer of this side. `port` is a remote port; `pick` decides what is wrong.
pub(super) fn malformed(side: Side, port: Template, pick: u32) -> Malformed {
    let mut rng = Rng::with_seed(pick.into());
    let sender = match side {
        Side::Server => Side::Client,
        Side::Client => Side::Server,
    };
    let own: Vec<Shape> = Shape::sent_by(sender).collect();
    let other: Vec<Shape> = Shape::sent_by(side).collect();
    let unknown = |bytes: Template| Malformed {
        bytes,
        rule: "frame.unknown-word",
        lenient: true,
    };
    let word = own[rng.usize(..own.len())].word;
    match rng.u32(..9) {
        0 => unknown(example(&other[rng.usize(..other.len())])),
        1 => unknown(text(format!("{}\n", word.to_ascii_lowercase()))),
        2 => unknown(text(format!("{word}\r\n"))),
        3 => {
            let words: [&[u8]; 4] = [b"\n", b"\0\n", b" \n", b"\xff\xfe\n"];
            unknown(text(words[rng.usize(..4)]))
        }
        4 => unknown(text(format!(
            "{}{word}{}\n",
            [" ", "", "X"][rng.usize(..3)],
            [" ", "X", "\0"][rng.usize(..3)]
        ))),
        5 | 6 => {
            let boolean = text(BOOLEANS[rng.usize(..BOOLEANS.len())]);
            let message = match side {
                Side::Server => message(&MAP, [port, text("127.0.0.1:9"), boolean]),
                Side::Client => message(&MRS, [port, boolean]),
            };
            Malformed {
                bytes: encoded(&message),
                rule: "frame.bool",
                lenient: false,
            }
        }
        _ => {
            let integer = text(INTEGERS[rng.usize(..INTEGERS.len())]);
            let message = match (side, rng.bool()) {
                (Side::Server, _) => map(integer, text("127.0.0.1:9"), true),
                (Side::Client, true) => trq(integer),
                (Side::Client, false) => mrs(integer, true),
            };
            Malformed {
                bytes: encoded(&message),
                rule: "frame.int",
                lenient: false,
            }
        }
    }
}

/// A correct message, up to the field that decides whether others follow.
fn example(shape: &Shape) -> Template {
    let mut texts = ["a", "b", "c"].into_iter();
    let fields = shape.fields.iter().take(shape.count(None));
    let values = fields.map(|(_, kind)| match kind {
        Kind::Text => texts.next().unwrap_or_default(),
        Kind::Integer => "1",
        Kind::Boolean => "true",
    });
    let lines = std::iter::once(shape.word).chain(values);
    text(lines.map(|line| format!("{line}\n")).collect::<String>())
}

const BOOLEANS: &[&str] = &[
    "True", "TRUE", "1", "", "yes", "true\r", " true", "truetrue", "\0",
];

/// Fields that are no decimal integer of 64 bits.
pub(super) const INTEGERS: &[&[u8]] = &[
    b"",
    b" ",
    b"http",
    b"12a",
    b"0x1f90",
    b"1e3",
    b"80.0",
    b"9223372036854775808",
    b"-",
    b"--1",
    b"8_0",
    b"\xff",
];
