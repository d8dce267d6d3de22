//! The variables that replace values which differ from run to run.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use netroxy_specification::notation::ast::{Near, Piece, Template};

use crate::player::changed;

/// Values that differ from run to run.
#[derive(Debug)]
pub(super) struct Names {
    /// Values and what is written for them, the longest values first: of two values at a place, the one that contains
    /// the other is replaced. Also has the near values: the first half, and another first letter.
    known: Vec<(Vec<u8>, Piece)>,
    /// The first bytes of the values that are replaced within other bytes.
    first: [bool; 256],
    /// How many values of each kind were numbered.
    learnt: BTreeMap<&'static str, usize>,
}

impl Names {
    /// The variables of a case. The timeout is left out: it belongs to the case, not to the run.
    pub(super) fn new(variables: &BTreeMap<String, Vec<u8>>) -> Self {
        let mut names = Self {
            known: Vec::new(),
            first: [false; 256],
            learnt: BTreeMap::new(),
        };
        for (name, value) in variables {
            if name != "timeout" && name != "nth_port" {
                names.add(name, value);
            }
        }
        names
    }

    /// Gives a value a numbered variable, such as `$token1`, unless it has a variable.
    pub(super) fn learn(&mut self, kind: &'static str, value: Option<&[u8]>) {
        let Some(value) = value.filter(|value| !value.is_empty()) else {
            return;
        };
        let is_known =
            |(known, piece): &(Vec<u8>, Piece)| known == value && matches!(piece, Piece::Var(_));
        if self.known.iter().any(is_known) {
            return;
        }
        let count = self.learnt.entry(kind).or_default();
        *count += 1;
        let name = format!("{kind}{count}");
        self.add(&name, value);
    }

    fn add(&mut self, name: &str, value: &[u8]) {
        let mut add = |value: Vec<u8>, piece: Piece| {
            if let Some(first) = value.first() {
                self.first[usize::from(*first)] |= is_replaced_within(&value);
                self.known.push((value, piece));
            }
        };
        add(value.to_vec(), Piece::Var(name.to_owned()));
        // Half of a port is a number that is not related to it.
        if value.len() > PORT {
            for near in [Near::Half, Near::Case] {
                add(changed(near, value), Piece::Near(near, name.to_owned()));
            }
        }
        let rank = |piece: &Piece| match piece {
            Piece::Var(name) => (0, name.clone()),
            Piece::Near(_, name) => (1, name.clone()),
            Piece::Bytes(_) => (2, String::new()),
        };
        self.known
            .sort_by_key(|(value, piece)| (Reverse(value.len()), rank(piece)));
    }

    /// Replaces values in bytes, if they are too long to be there by chance.
    pub(super) fn in_template(&self, template: &Template) -> Template {
        let pieces = template.pieces().iter().flat_map(|piece| match piece {
            Piece::Bytes(bytes) => self.in_bytes(bytes),
            Piece::Var(_) | Piece::Near(..) => vec![piece.clone()],
        });
        repeated(Template::new(pieces, template.times()))
    }

    /// Replaces a value of any length if it is the whole field, else as in bytes.
    pub(super) fn in_field(&self, template: &Template) -> Template {
        let whole = |bytes: &[u8]| self.known.iter().find(|(value, _)| value == bytes);
        match template.pieces() {
            [Piece::Bytes(bytes)] if template.times() == 1 => match whole(bytes) {
                Some((_, piece)) => Template::new([piece.clone()], 1),
                None => self.in_template(template),
            },
            _ => self.in_template(template),
        }
    }

    /// Replaces values in a text for people.
    pub(super) fn in_text(&self, text: &str) -> String {
        let pieces = self.in_bytes(text.as_bytes()).into_iter();
        let pieces = pieces.map(|piece| match piece {
            Piece::Bytes(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Piece::Var(name) => format!("${name}"),
            Piece::Near(near, name) => format!("${{{name}:{near}}}"),
        });
        pieces.collect()
    }

    fn in_bytes(&self, bytes: &[u8]) -> Vec<Piece> {
        let mut pieces = Vec::new();
        // Bytes before `copied` are in `pieces`.
        let (mut copied, mut at) = (0, 0);
        while let Some(skipped) = bytes[at..]
            .iter()
            .position(|byte| self.first[usize::from(*byte)])
        {
            at += skipped;
            let found = self
                .known
                .iter()
                .find(|(value, _)| stands_at(value, bytes, at));
            match found {
                Some((value, piece)) => {
                    pieces.push(Piece::Bytes(bytes[copied..at].to_vec()));
                    pieces.push(piece.clone());
                    at += value.len();
                    copied = at;
                }
                None => at += 1,
            }
        }
        pieces.push(Piece::Bytes(bytes[copied..].to_vec()));
        pieces
    }
}

/// Whether the value is replaced within other bytes: if it is long, or a port.
fn is_replaced_within(value: &[u8]) -> bool {
    value.len() >= SHORT || value.len() == PORT && is_number(value)
}

/// Whether the bytes at this place are the value. A port within a longer number is not.
fn stands_at(value: &[u8], bytes: &[u8], at: usize) -> bool {
    if !bytes[at..].starts_with(value) || !is_replaced_within(value) {
        return false;
    }
    let mut before = bytes[..at].iter().rev();
    // Zeros before a number do not make it another one.
    let nonzero = before.find(|byte| **byte != b'0');
    let within = is_number(value) && nonzero.is_some_and(u8::is_ascii_digit);
    // An address ends in a port.
    let ends_in_port = is_number(value) || value.contains(&b':');
    let after = bytes.get(at + value.len());
    let goes_on = ends_in_port && after.is_some_and(u8::is_ascii_digit);
    !within && !goes_on
}

fn is_number(value: &[u8]) -> bool {
    value.iter().all(u8::is_ascii_digit)
}

/// A value that is shorter could be in a text by chance.
const SHORT: usize = 8;

/// How many digits a leased port has.
const PORT: usize = 5;

/// Writes many equal bytes as one repeated byte.
fn repeated(template: Template) -> Template {
    match template.pieces() {
        [Piece::Bytes(bytes)] if template.times() == 1 && bytes.len() >= REPEATED => {
            let all = bytes.iter().all(|byte| *byte == bytes[0]);
            match (all, u32::try_from(bytes.len())) {
                (true, Ok(times)) => Template::new([Piece::Bytes(vec![bytes[0]])], times),
                _ => template,
            }
        }
        _ => template,
    }
}

/// How many equal bytes are written as one repeated byte, at least.
const REPEATED: usize = 16;
