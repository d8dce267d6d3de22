//! Bytes that are no message, made from the grammar and bent a little.

use fastrand::Rng;
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
    let own: &[&str] = match side {
        Side::Server => &["ATH", "MAP", "TRS", "SRQ"],
        Side::Client => &["ARS", "MRS", "TRQ", "SRS"],
    };
    let other: &[&str] = match side {
        Side::Server => &["ARS\\ntrue\\n", "MRS\\n1\\ntrue\\n", "TRQ\\n1\\n", "SRS\\n"],
        Side::Client => &[
            "ATH\\na\\nb\\nc\\n",
            "MAP\\n1\\na\\ntrue\\n",
            "TRS\\na\\n1\\n",
            "SRQ\\n",
        ],
    };
    let unknown = |text: String| Malformed {
        text,
        rule: "frame.unknown-word",
        lenient: true,
    };
    let word = own[rng.usize(..own.len())];
    match rng.u32(..9) {
        0 => unknown(other[rng.usize(..other.len())].to_owned()),
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
                Side::Server => format!("MAP\\n{port}\\n127.0.0.1:9\\n{boolean}\\n"),
                Side::Client => format!("MRS\\n{port}\\n{boolean}\\n"),
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
                (Side::Server, _) => format!("MAP\\n{integer}\\n127.0.0.1:9\\ntrue\\n"),
                (Side::Client, true) => format!("TRQ\\n{integer}\\n"),
                (Side::Client, false) => format!("MRS\\n{integer}\\ntrue\\n"),
            };
            Malformed {
                text,
                rule: "frame.int",
                lenient: false,
            }
        }
    }
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
