//! Bytes that are no message, made from the grammar and bent a little.

use fastrand::Rng;
use netroxy_specification::message::{FieldName, Kind, MAP, MRS, Shape, TRQ};
use netroxy_specification::notation::ast::Side;

/// Malformed bytes, and what has to become of the connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Malformed {
    /// As the text of a string.
    pub(super) text: String,
    /// The rule that says that the connection closes.
    pub(super) rule: &'static str,
    /// Whether it is only recommended.
    pub(super) lenient: bool,
}

/// Something malformed for a peer that reads messages; `port` is the name of a remote port.
pub(super) fn malformed(side: Side, port: &str, pick: u32) -> Malformed {
    let mut rng = Rng::with_seed(pick.into());
    let sender = match side {
        Side::Server => Side::Client,
        Side::Client => Side::Server,
    };
    let own: Vec<Shape> = Shape::sent_by(sender).collect();
    let other: Vec<Shape> = Shape::sent_by(side).collect();
    let unknown = |text: String| Malformed {
        text,
        rule: "frame.unknown-word",
        lenient: true,
    };
    let word = own[rng.usize(..own.len())].word;
    match rng.u32(..9) {
        0 => unknown(example(&other[rng.usize(..other.len())])),
        1 => unknown(format!("{}\\n", word.to_ascii_lowercase())),
        2 => unknown(format!("{word}\\r\\n")),
        3 => unknown(["\\n", "\\0\\n", " \\n", "\\xff\\xfe\\n"][rng.usize(..4)].to_owned()),
        4 => unknown(format!(
            "{}{word}{}\\n",
            [" ", "", "X"][rng.usize(..3)],
            [" ", "X", "\\0"][rng.usize(..3)]
        )),
        5 | 6 => {
            let boolean = BOOLEANS[rng.usize(..BOOLEANS.len())];
            let text = match side {
                Side::Server => map(port, boolean),
                Side::Client => mrs(port, boolean),
            };
            Malformed {
                text,
                rule: "frame.bool",
                lenient: false,
            }
        }
        _ => {
            let integer = INTEGERS[rng.usize(..INTEGERS.len())];
            let text = match (side, rng.bool()) {
                (Side::Server, _) => map(integer, "true"),
                (Side::Client, true) => text(&TRQ.lines(&[(FieldName::Port, integer.as_bytes())])),
                (Side::Client, false) => mrs(integer, "true"),
            };
            Malformed {
                text,
                rule: "frame.int",
                lenient: false,
            }
        }
    }
}

fn map(port: &str, open: &str) -> String {
    text(&MAP.lines(&[
        (FieldName::Port, port.as_bytes()),
        (FieldName::Target, b"127.0.0.1:9"),
        (FieldName::IsOpen, open.as_bytes()),
    ]))
}

fn mrs(port: &str, ok: &str) -> String {
    text(&MRS.lines(&[
        (FieldName::Port, port.as_bytes()),
        (FieldName::IsOk, ok.as_bytes()),
    ]))
}

/// A good message, up to the field that decides whether others follow.
fn example(shape: &Shape) -> String {
    let mut texts = ["a", "b", "c"].into_iter();
    let fields = shape.fields.iter().take(shape.count(None));
    let values = fields.map(|(_, kind)| match kind {
        Kind::Text => texts.next().unwrap_or_default(),
        Kind::Integer => "1",
        Kind::Boolean => "true",
    });
    let lines = std::iter::once(shape.word).chain(values);
    lines.map(|line| format!("{line}\\n")).collect()
}

/// A message as the text of a string.
fn text(lines: &[Vec<u8>]) -> String {
    let lines = lines.iter().map(|line| String::from_utf8_lossy(line));
    lines.map(|line| format!("{line}\\n")).collect()
}

const BOOLEANS: &[&str] = &[
    "True", "TRUE", "1", "", "yes", "true\\r", " true", "truetrue", "\\0",
];

/// Lines that no reader can take for a decimal integer of 64 bits.
pub(super) const INTEGERS: &[&str] = &[
    "",
    " ",
    "http",
    "12a",
    "0x1f90",
    "1e3",
    "80.0",
    "9223372036854775808",
    "-",
    "--1",
    "8_0",
    "\\xff",
];
