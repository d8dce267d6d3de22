//! Cuts one direction of a connection into messages.

use netroxy_specification::message::{ARS, FieldName, Kind, Shape, value};
use netroxy_specification::notation::ast::{Action, Expectation, Side, Template};
use netroxy_specification::notation::print_action;

use crate::recording::Sender;
use crate::transcript;

/// One direction of a connection. Its sender decides which words there are.
#[derive(Debug)]
pub(super) struct Lines {
    sender: Sender,
    /// The bytes that are no whole message yet; at most [`LONGEST`] bytes more than the last piece.
    bytes: Vec<u8>,
    /// Where the lines of the next message begin and end in `bytes`, as far as they have come.
    lines: Vec<(usize, usize)>,
    /// Up to where `bytes` was searched for line ends.
    searched: usize,
    /// Whether the rest has no messages.
    raw: bool,
}

/// What a direction has next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Item {
    /// The word and its fields; each line without LF.
    Message(Vec<Vec<u8>>),
    /// Bytes that are no message. Nothing after them is read.
    Fault(Fault),
}

/// Why bytes are no message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fault {
    /// A word that is not defined for this direction.
    Word(Vec<u8>),
    /// A line that has to be an integer and is not.
    Integer(Field),
    /// A line that has to be a boolean and is not.
    Boolean(Field),
    /// A line of more than [`LONGEST`] bytes. `text`: it is a text, which has no bound in the grammar.
    Long { text: bool },
}

/// A line with a wrong value, in the message of this word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Field {
    pub(super) word: Vec<u8>,
    pub(super) line: Vec<u8>,
    /// Whether the line is a word of the same sender: another message begins inside this one.
    pub(super) is_word: bool,
}

impl Item {
    /// In the notation, shortened.
    pub(super) fn shown(&self) -> String {
        let shorten = |line: &[u8]| match line.get(..40) {
            Some(begin) if line.len() > 40 => [begin, b"..."].concat(),
            _ => line.to_vec(),
        };
        match self {
            Self::Message(lines) => {
                let lines: Vec<Vec<u8>> = lines.iter().map(|line| shorten(line)).collect();
                let message = Expectation::Message(transcript::message(&lines));
                let text = print_action(&Action::Expect(message));
                text.trim_start_matches("< ").to_owned()
            }
            Self::Fault(
                Fault::Word(line)
                | Fault::Integer(Field { line, .. })
                | Fault::Boolean(Field { line, .. }),
            ) => {
                let line = Template::bytes(shorten(line));
                let text = print_action(&Action::Expect(Expectation::Raw(line)));
                text.trim_start_matches("<< ").to_owned()
            }
            Self::Fault(Fault::Long { .. }) => "a long line".to_owned(),
        }
    }
}

impl Fault {
    /// The rule that the sender breaks; `None` if the line is only longer than a receiver has to take.
    pub(super) fn broken(&self) -> Option<&'static str> {
        match self {
            Self::Integer(field) | Self::Boolean(field) if field.is_word => {
                Some("frame.sender-whole")
            }
            Self::Boolean(_) => Some("frame.bool-canonical"),
            Self::Word(_) | Self::Integer(_) | Self::Long { text: false } => {
                Some("frame.sender-grammar")
            }
            Self::Long { text: true } => None,
        }
    }

    /// The rule by which the receiver closes.
    pub(super) fn closes(&self) -> &'static str {
        let in_ars = |field: &Field| ARS.is(&field.word);
        match self {
            Self::Word(_) => "frame.unknown-word",
            Self::Integer(field) if in_ars(field) => "auth.ars-int",
            Self::Integer(_) => "frame.int",
            Self::Boolean(field) if in_ars(field) => "auth.ars-bool",
            Self::Boolean(_) => "frame.bool",
            Self::Long { .. } => "frame.line-bound",
        }
    }

    /// What is wrong; follows the line in a report.
    pub(super) fn what(&self, sender: &str) -> String {
        match self {
            Self::Word(_) => format!("no word of a {sender}"),
            Self::Integer(field) | Self::Boolean(field) if field.is_word => {
                let word = String::from_utf8_lossy(&field.word).into_owned();
                format!("a word where a field of {word} has to stand")
            }
            Self::Integer(_) => "no integer of 64 bits".to_owned(),
            Self::Boolean(_) => "neither true nor false".to_owned(),
            Self::Long { .. } => "a line of more than 1 MiB".to_owned(),
        }
    }
}

/// The longest line in bytes that each receiver takes: `frame.line-limit`.
pub(super) const LIMIT: usize = 4096;

/// No receiver has to buffer as many bytes of one line: `frame.line-bound`.
pub(super) const LONGEST: usize = 1 << 20;

impl Lines {
    pub(super) fn new(sender: Sender) -> Self {
        Self {
            sender,
            bytes: Vec::new(),
            lines: Vec::new(),
            searched: 0,
            raw: false,
        }
    }

    /// Adds bytes that have come.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        if !self.raw {
            self.bytes.extend_from_slice(bytes);
        }
    }

    /// Reads no more messages.
    pub(super) fn stop(&mut self) {
        *self = Self {
            raw: true,
            ..Self::new(self.sender)
        };
    }

    /// The next message, if it is complete.
    pub(super) fn next(&mut self) -> Option<Item> {
        loop {
            let begin = self.lines.last().map_or(0, |(_, end)| end + 1);
            let unread = self.bytes.get(self.searched..).unwrap_or_default();
            let Some(found) = unread.iter().position(|byte| *byte == b'\n') else {
                self.searched = self.bytes.len();
                let long = self.bytes.len() - begin.min(self.bytes.len()) > LONGEST;
                let text = self.is_text();
                return long.then(|| self.fault(Fault::Long { text }));
            };
            let end = self.searched + found;
            self.lines.push((begin, end));
            self.searched = end + 1;
            if let Err(fault) = self.check() {
                return Some(self.fault(fault));
            }
            if self.is_complete() {
                let lines = (0..self.lines.len()).map(|index| self.line(index).to_vec());
                let message = lines.collect();
                self.bytes.drain(..self.searched);
                self.lines.clear();
                self.searched = 0;
                return Some(Item::Message(message));
            }
        }
    }

    fn line(&self, index: usize) -> &[u8] {
        let bounds = self.lines.get(index);
        bounds
            .and_then(|(begin, end)| self.bytes.get(*begin..*end))
            .unwrap_or_default()
    }

    fn is_complete(&self) -> bool {
        let first = (self.lines.len() > 1).then(|| self.line(1));
        let shape = Shape::of(self.line(0));
        shape.is_some_and(|shape| self.lines.len() > shape.count(first))
    }

    /// Whether the line that has begun is a text.
    fn is_text(&self) -> bool {
        let shape = Shape::of(self.line(0));
        shape.and_then(|shape| shape.kind(self.lines.len())) == Some(Kind::Text)
    }

    /// Checks the line that has just come.
    fn check(&self) -> Result<(), Fault> {
        let index = self.lines.len() - 1;
        let line = self.line(index);
        let side = match self.sender {
            Sender::Opener => Side::Client,
            Sender::Acceptor => Side::Server,
        };
        let is_word = Shape::of(line).is_some_and(|shape| shape.sender == side);
        let field = || Field {
            word: self.line(0).to_vec(),
            line: line.to_vec(),
            is_word,
        };
        if index == 0 {
            return match is_word {
                true => Ok(()),
                false => Err(Fault::Word(line.to_vec())),
            };
        }
        let kind = Shape::of(self.line(0)).and_then(|shape| shape.kind(index));
        match kind {
            Some(Kind::Integer) if integer(line).is_none() => Err(Fault::Integer(field())),
            Some(Kind::Boolean) if line != b"true" && line != b"false" => {
                Err(Fault::Boolean(field()))
            }
            Some(Kind::Text | Kind::Integer | Kind::Boolean) | None => Ok(()),
        }
    }

    fn fault(&mut self, fault: Fault) -> Item {
        self.stop();
        Item::Fault(fault)
    }
}

/// An integer of 64 bits, in any form that a receiver may accept.
pub(super) fn integer(line: &[u8]) -> Option<i64> {
    std::str::from_utf8(line).ok()?.parse().ok()
}

/// The port that a message names; 0 for a message that names none.
pub(super) fn port(lines: &[Vec<u8>]) -> i64 {
    let port = value(lines, FieldName::Port);
    port.and_then(integer).unwrap_or(0)
}

/// Whether an integer has the form that a sender has to write.
pub(super) fn is_canonical(line: &[u8]) -> bool {
    integer(line).is_some_and(|number| number.to_string().as_bytes() == line)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(sender: Sender, pieces: &[&[u8]]) -> Vec<Item> {
        let mut lines = Lines::new(sender);
        let mut items = Vec::new();
        for piece in pieces {
            lines.push(piece);
            while let Some(item) = lines.next() {
                items.push(item);
            }
        }
        items
    }

    #[test]
    fn messages_are_found_however_they_are_cut() {
        let whole: &[u8] = b"ARS\ntrue\n30\ntok\nMRS\n80\nfalse\nSRS\nARS\nfalse\n";
        let bytes: Vec<&[u8]> = whole.chunks(1).collect();
        let items = all(Sender::Acceptor, &[whole]);
        assert_eq!(items, all(Sender::Acceptor, &bytes));
        let texts = |lines: &[&str]| {
            Item::Message(lines.iter().map(|line| line.as_bytes().to_vec()).collect())
        };
        let expected = [
            texts(&["ARS", "true", "30", "tok"]),
            texts(&["MRS", "80", "false"]),
            texts(&["SRS"]),
            texts(&["ARS", "false"]),
        ];
        assert_eq!(items, expected);
    }

    #[test]
    fn a_fault_is_the_last_thing() {
        let fault = |bytes: &[u8]| all(Sender::Opener, &[bytes]).pop();
        let word = |word: &[u8]| Some(Item::Fault(Fault::Word(word.to_vec())));
        assert_eq!(fault(b"TRQ\n80\nSRQ\n"), word(b"TRQ"));
        assert_eq!(fault(b"SRQ\r\nSRQ\n"), word(b"SRQ\r"));
        let field = |line: &[u8], is_word| Field {
            word: b"MAP".to_vec(),
            line: line.to_vec(),
            is_word,
        };
        let integer = Some(Item::Fault(Fault::Integer(field(b"8 0", false))));
        assert_eq!(fault(b"MAP\n8 0\n"), integer);
        let boolean = Some(Item::Fault(Fault::Boolean(field(b"True", false))));
        assert_eq!(fault(b"MAP\n80\nx\nTrue\n"), boolean);
        let within = Some(Item::Fault(Fault::Integer(field(b"SRQ", true))));
        assert_eq!(fault(b"MAP\nSRQ\n80\n"), within);
        let long = |head: &[u8], text| {
            let bytes = [head, &vec![b'x'; LONGEST + 1]].concat();
            assert_eq!(fault(&bytes), Some(Item::Fault(Fault::Long { text })));
        };
        long(b"", false);
        long(b"MAP\n", false);
        long(b"MAP\n80\n", true);
        long(b"ATH\n", true);
        assert_eq!(fault(&vec![b'x'; LONGEST]), None);
        assert!(!is_canonical(b"+80") && !is_canonical(b"080") && is_canonical(b"-5"));
    }
}
