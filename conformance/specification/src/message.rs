//! The eight messages: which fields each one has, in one table, and how a message is found in bytes.
//!
//! The suite reads and writes a field by its [`FieldName`], never by its place. So a change of the specification that
//! gives a message one more field is written
//!
//! * once here, in the row of the message (and in [`FieldName`], if the name is new), and
//! * once at each [`Shape::lines`] of the message, which gives the field a value. `tests/places.rs` counts these calls.
//!
//! The table is independent of `netroxy-proto`, and so is the table of the broken peers.

use FieldName::{ClientName, IsOk, IsOpen, Password, Port, Target, Timeout, Token, Username};
use Kind::{Boolean, Integer, Text};

use crate::notation::ast::{Field, Message, Side};

/// A login attempt.
pub const ATH: Shape = Shape::new(
    "ATH",
    Side::Client,
    &[(ClientName, Text), (Username, Text), (Password, Text)],
);
/// The answer to ATH.
pub const ARS: Shape = Shape {
    rest_after: Some(b"true"),
    ..Shape::new(
        "ARS",
        Side::Server,
        &[(IsOk, Boolean), (Timeout, Integer), (Token, Text)],
    )
};
/// A request for a mapping.
pub const MAP: Shape = Shape::new(
    "MAP",
    Side::Client,
    &[(Port, Integer), (Target, Text), (IsOpen, Boolean)],
);
/// The answer to MAP.
pub const MRS: Shape = Shape::new("MRS", Side::Server, &[(Port, Integer), (IsOk, Boolean)]);
/// A request for a data connection.
pub const TRQ: Shape = Shape::new("TRQ", Side::Server, &[(Port, Integer)]);
/// The answer to TRQ, which begins a data connection.
pub const TRS: Shape = Shape::new("TRS", Side::Client, &[(Token, Text), (Port, Integer)]);
/// The sign of life of a client.
pub const SRQ: Shape = Shape::new("SRQ", Side::Client, &[]);
/// The answer to SRQ.
pub const SRS: Shape = Shape::new("SRS", Side::Server, &[]);

/// All messages.
pub const SHAPES: [Shape; 8] = [ATH, ARS, MAP, MRS, TRQ, TRS, SRQ, SRS];

/// A row of the table: one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// The first line.
    pub word: &'static str,
    /// The peer that sends the message.
    pub sender: Side,
    /// The other lines in their order.
    pub fields: &'static [(FieldName, Kind)],
    /// The only value of the first field that the other fields follow. `None`: they follow any value.
    pub rest_after: Option<&'static [u8]>,
}

/// The name of a field, see section 5.5 of the specification.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldName {
    /// `clientName`
    ClientName,
    /// `username`
    Username,
    /// `password`
    Password,
    /// `isOK`
    IsOk,
    /// `timeout`, in seconds
    Timeout,
    /// `token`
    Token,
    /// `port`: a remote port
    Port,
    /// `target`
    Target,
    /// `isOpen`
    IsOpen,
}

/// The type of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Any bytes without LF.
    Text,
    /// A decimal integer of 64 bits.
    Integer,
    /// `true` or `false`.
    Boolean,
}

impl Shape {
    const fn new(word: &'static str, sender: Side, fields: &'static [(FieldName, Kind)]) -> Self {
        Self {
            word,
            sender,
            fields,
            rest_after: None,
        }
    }

    /// The message with this word; `None` for a word that the protocol does not have.
    pub fn of(word: impl AsRef<[u8]>) -> Option<&'static Self> {
        static ALL: [Shape; 8] = SHAPES;
        let word = word.as_ref();
        ALL.iter().find(|shape| shape.is(word))
    }

    /// The messages that a peer sends.
    pub fn sent_by(sender: Side) -> impl Iterator<Item = Self> {
        SHAPES.into_iter().filter(move |one| one.sender == sender)
    }

    /// Whether this is the word of the message.
    pub fn is(&self, word: impl AsRef<[u8]>) -> bool {
        self.word.as_bytes() == word.as_ref()
    }

    /// Whether these lines are such a message, or the beginning of one.
    pub fn begins(&self, lines: &[Vec<u8>]) -> bool {
        lines.first().is_some_and(|word| self.is(word))
    }

    /// Whether these lines are such a message, with all of its fields and no other lines.
    pub fn fits(&self, lines: &[Vec<u8>]) -> bool {
        let fields = self.count(lines.get(1).map(Vec::as_slice));
        self.begins(lines) && lines.len() == 1 + fields
    }

    /// Whether these bytes begin with the line of its word.
    pub fn begins_bytes(&self, bytes: &[u8]) -> bool {
        let rest = bytes.strip_prefix(self.word.as_bytes());
        rest.is_some_and(|rest| rest.starts_with(b"\n"))
    }

    /// How many fields follow the word. `first` is the first of them, if it has come.
    pub fn count(&self, first: Option<&[u8]>) -> usize {
        match self.rest_after {
            Some(value) if first != Some(value) => 1,
            _ => self.fields.len(),
        }
    }

    /// The type of a line; the word is line 0 and has none.
    pub fn kind(&self, line: usize) -> Option<Kind> {
        let (_, kind) = self.fields.get(line.checked_sub(1)?)?;
        Some(*kind)
    }

    /// The lines of such a message: the word, then the fields in their order. A field without a value is an empty line.
    pub fn lines(&self, values: &[(FieldName, &[u8])]) -> Vec<Vec<u8>> {
        let value = |name: FieldName| {
            let found = values.iter().find(|(given, _)| *given == name);
            found.map_or(&[][..], |(_, value)| value)
        };
        let first = self.fields.first().map(|(name, _)| value(*name));
        let fields = self.fields.iter().take(self.count(first));
        let fields = fields.map(|(name, _)| value(*name).to_vec());
        std::iter::once(self.word.as_bytes().to_vec())
            .chain(fields)
            .collect()
    }

    fn place(&self, name: FieldName) -> Option<usize> {
        self.fields.iter().position(|(one, _)| *one == name)
    }
}

/// The value of a field in the lines of a message; `None` if the message has no such field.
pub fn value(lines: &[Vec<u8>], name: FieldName) -> Option<&[u8]> {
    let place = Shape::of(lines.first()?)?.place(name)?;
    lines.get(1 + place).map(Vec::as_slice)
}

/// The bytes of lines: an LF ends each one.
pub fn bytes(lines: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = lines.join(&b'\n');
    bytes.push(b'\n');
    bytes
}

impl Message {
    /// Whether it is a message of this shape.
    pub fn is(&self, shape: &Shape) -> bool {
        shape.is(&self.word)
    }

    /// The shape of a message with this word.
    pub fn shape(&self) -> Option<&'static Shape> {
        Shape::of(&self.word)
    }

    /// A field; `None` if the message has no such field.
    pub fn field(&self, name: FieldName) -> Option<&Field> {
        self.fields.get(self.shape()?.place(name)?)
    }
}

/// The first message in `bytes`.
pub fn first_message(bytes: &[u8]) -> Decoded {
    let mut ends = bytes
        .iter()
        .enumerate()
        .filter(|(_, byte)| **byte == b'\n')
        .map(|(index, _)| index);
    let mut lines: Vec<Vec<u8>> = Vec::new();
    let mut start = 0;
    loop {
        match lines.first().map(Shape::of) {
            Some(None) => return Decoded::Unknown,
            Some(Some(shape)) if lines.len() > shape.count(lines.get(1).map(Vec::as_slice)) => {
                return Decoded::Whole {
                    lines,
                    length: start,
                };
            }
            Some(Some(_)) | None => {}
        }
        let Some(end) = ends.next() else {
            // A peer that never ends a line must not make the suite read the same bytes again and again.
            return match bytes.len() - start > LONGEST {
                true => Decoded::Unknown,
                false => Decoded::Partial,
            };
        };
        lines.push(bytes[start..end].to_vec());
        start = end + 1;
    }
}

/// No message of a case has a line of this length.
const LONGEST: usize = 1 << 20;

/// The result of [`first_message`].
#[derive(Debug, PartialEq, Eq)]
pub enum Decoded {
    /// A message.
    Whole {
        /// The word, then the fields, without their LF.
        lines: Vec<Vec<u8>>,
        /// The bytes of all of them, with their LF.
        length: usize,
    },
    /// More bytes are needed.
    Partial,
    /// The first line is no word of the protocol.
    Unknown,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::TEXT;

    #[test]
    fn the_length_of_ars_depends_on_its_first_field() {
        let whole = |lines: &[&[u8]], length| Decoded::Whole {
            lines: lines.iter().map(|l| l.to_vec()).collect(),
            length,
        };
        assert_eq!(
            first_message(b"ARS\nfalse\nMRS"),
            whole(&[b"ARS", b"false"], 10)
        );
        assert_eq!(first_message(b"ARS\ntrue\n30\n"), Decoded::Partial);
        assert_eq!(
            first_message(b"ARS\ntrue\n30\nt\n"),
            whole(&[b"ARS", b"true", b"30", b"t"], 14)
        );
        assert_eq!(first_message(b"SRS\r\n"), Decoded::Unknown);
    }

    #[test]
    fn fields_are_read_and_written_by_their_names() {
        let trs = TRS.lines(&[(Port, b"80"), (Token, b"t")]);
        assert_eq!(bytes(&trs), b"TRS\nt\n80\n");
        assert_eq!(value(&trs, Port), Some(&b"80"[..]));
        assert_eq!(value(&trs, IsOk), None);
        let refused = ARS.lines(&[(IsOk, b"false")]);
        assert_eq!(bytes(&refused), b"ARS\nfalse\n");
        assert_eq!(value(&refused, Token), None);
        assert_eq!((ARS.kind(0), ARS.kind(2)), (None, Some(Integer)));
        assert!(TRS.begins_bytes(b"TRS\n") && !TRS.begins_bytes(b"TRSX\n"));
    }

    /// The tables of section 6: `| clientName | text | bytes | ... |` below `### 6.1. ATH`.
    #[test]
    fn the_table_is_that_of_the_specification() {
        for shape in SHAPES {
            let title = format!(". {}", shape.word);
            let is_title = |line: &&str| line.starts_with("### 6.") && line.ends_with(&title);
            let section = TEXT.lines().skip_while(|line| !is_title(line)).skip(1);
            let section: Vec<&str> = section
                .take_while(|line| !line.starts_with("### "))
                .collect();
            let cells = |line: &&str| -> Vec<String> {
                let cells = line.trim_matches('|').split('|');
                cells.map(|cell| cell.trim().to_owned()).collect()
            };
            let fields = section.iter().map(cells).filter_map(|cells| {
                let (kind, only) = match cells.get(1)?.split_once(';') {
                    Some((kind, only)) => (kind, only.trim()),
                    None => (cells.get(1)?.as_str(), ""),
                };
                let kinds = [(Text, "text"), (Integer, "integer"), (Boolean, "boolean")];
                let (kind, _) = kinds.into_iter().find(|(_, name)| *name == kind)?;
                Some((cells.first()?.to_lowercase(), kind, only.to_owned()))
            });
            let fields: Vec<_> = fields.collect();
            let table = shape.fields.iter().enumerate();
            let table = table.map(|(place, (name, kind))| {
                let only = match shape.rest_after {
                    Some(value) if place > 0 => format!("only after `{}`", value.escape_ascii()),
                    _ => String::new(),
                };
                (format!("{name:?}").to_lowercase(), *kind, only)
            });
            assert_eq!(table.collect::<Vec<_>>(), fields, "{}", shape.word);
            let sender = format!("| sender | {}", shape.sender);
            assert!(
                section.iter().any(|line| line.starts_with(&sender)),
                "{}",
                shape.word
            );
        }
    }
}
