//! Patterns: expectations with the values of their variables, compared with the bytes of an inbox.

use std::collections::BTreeMap;

use netroxy_specification::message::{Decoded, first_message};
use netroxy_specification::noise::noise;
use netroxy_specification::notation::ast::{Expectation, Field, Message, Near, Piece, Template};

use crate::wire::{End, State};

/// A step that cannot be carried out, because something in it has no value. The checks of cases prevent it.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoValue {
    /// A variable.
    #[error("nothing is called ${0} here")]
    Of(String),
    /// A field of a message that is sent.
    #[error("a message that is sent needs values")]
    OfField,
}

/// An expectation with the values of its variables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Pattern {
    Message {
        word: Vec<u8>,
        fields: Vec<FieldPattern>,
    },
    Bytes(Vec<u8>),
    Closed,
    /// `Closed` on a bare connection to a TLS port, where an alert in the clear may announce the end.
    ClosedByTls,
    Eof,
    Reset,
    Silence,
    /// About what we send; `stall` judges it.
    Stalled,
}

/// What is expected of a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum FieldPattern {
    Exactly(Vec<u8>),
    Bind(String),
    Any,
}

/// Whether what has arrived is what was expected.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fit {
    /// It is. The first so many unread bytes belong to it.
    Yes(usize),
    /// It may become so.
    Maybe,
    /// It never will.
    No,
}

impl Pattern {
    pub(super) fn new(
        expectation: &Expectation,
        vars: &BTreeMap<String, Vec<u8>>,
    ) -> Result<Self, NoValue> {
        Ok(match expectation {
            Expectation::Message(message) => {
                let fields = message.fields.iter().map(|field| match field {
                    Field::Text(text) => fill(text, vars).map(FieldPattern::Exactly),
                    Field::Bind(name) => Ok(FieldPattern::Bind(name.clone())),
                    Field::Any => Ok(FieldPattern::Any),
                });
                Self::Message {
                    word: message.word.clone().into_bytes(),
                    fields: fields.collect::<Result<_, _>>()?,
                }
            }
            Expectation::Raw(bytes) => Self::Bytes(fill(bytes, vars)?),
            Expectation::Random(bulk) => Self::Bytes(noise(bulk.bytes, bulk.seed)),
            Expectation::Closed => Self::Closed,
            Expectation::Eof => Self::Eof,
            Expectation::Reset => Self::Reset,
            Expectation::Silence => Self::Silence,
            Expectation::Stalled => Self::Stalled,
        })
    }

    pub(super) fn fit(&self, state: &State) -> Fit {
        let unread = state.unread();
        let open = state.end.is_none();
        match self {
            Self::Message { word, fields } => match first_message(unread) {
                Decoded::Whole { lines, length } if matches(word, fields, &lines) => {
                    Fit::Yes(length)
                }
                Decoded::Partial if open => Fit::Maybe,
                Decoded::Whole { .. } | Decoded::Partial | Decoded::Unknown => Fit::No,
            },
            Self::Bytes(bytes) if unread.starts_with(bytes) => Fit::Yes(bytes.len()),
            Self::Bytes(bytes) if open && bytes.starts_with(unread) => Fit::Maybe,
            Self::Bytes(_) => Fit::No,
            Self::ClosedByTls if !unread.is_empty() => match (alert(unread), open) {
                (true, true) => Fit::Maybe,
                // A peer that closes at once may cut the alert off.
                (true, false) => Fit::Yes(unread.len()),
                (false, _) => Fit::No,
            },
            Self::Closed | Self::Eof | Self::Reset | Self::Silence if !unread.is_empty() => Fit::No,
            Self::Closed | Self::ClosedByTls | Self::Eof | Self::Reset if open => Fit::Maybe,
            Self::Closed | Self::ClosedByTls => match state.end {
                Some(End::Garbled(_) | End::Flooded) => Fit::No,
                _ => Fit::Yes(0),
            },
            Self::Eof => {
                if state.end == Some(End::Eof) {
                    Fit::Yes(0)
                } else {
                    Fit::No
                }
            }
            Self::Reset => match state.end {
                Some(End::Broken(_)) => Fit::Yes(0),
                _ => Fit::No,
            },
            Self::Stalled => Fit::No,
            // Only a fence can prove it.
            Self::Silence => {
                if open {
                    Fit::Maybe
                } else {
                    Fit::No
                }
            }
        }
    }

    /// How many bytes it expects; 0 if the number is not known.
    pub(super) fn length(&self) -> usize {
        match self {
            Self::Bytes(bytes) => bytes.len(),
            Self::Message { .. }
            | Self::Closed
            | Self::ClosedByTls
            | Self::Eof
            | Self::Reset
            | Self::Silence
            | Self::Stalled => 0,
        }
    }
}

/// The size of an unencrypted TLS alert in bytes: header, level, description.
const ALERT: usize = 7;

/// Whether these bytes are the beginning of an alert, or a whole one.
fn alert(bytes: &[u8]) -> bool {
    let wanted = [Some(0x15), Some(3), None, Some(0), Some(2), None, None];
    bytes.len() <= ALERT
        && bytes
            .iter()
            .zip(wanted)
            .all(|(byte, wanted)| wanted.is_none_or(|wanted| wanted == *byte))
}

/// The lines of a message.
pub(super) fn encode(
    message: &Message,
    vars: &BTreeMap<String, Vec<u8>>,
) -> Result<Vec<Vec<u8>>, NoValue> {
    let mut lines = vec![message.word.clone().into_bytes()];
    for field in &message.fields {
        lines.push(match field {
            Field::Text(text) => fill(text, vars)?,
            Field::Bind(_) | Field::Any => {
                return Err(NoValue::OfField);
            }
        });
    }
    Ok(lines)
}

/// The bytes of a template.
pub(super) fn fill(
    template: &Template,
    vars: &BTreeMap<String, Vec<u8>>,
) -> Result<Vec<u8>, NoValue> {
    let mut once = Vec::new();
    for piece in template.pieces() {
        match piece {
            Piece::Bytes(bytes) => once.extend_from_slice(bytes),
            Piece::Var(name) => {
                once.extend_from_slice(value(name, vars)?);
            }
            Piece::Near(near, name) => once.extend(changed(*near, value(name, vars)?)),
        }
    }
    Ok(once.repeat(usize::try_from(template.times()).unwrap_or(usize::MAX)))
}

fn value<'a>(name: &str, vars: &'a BTreeMap<String, Vec<u8>>) -> Result<&'a [u8], NoValue> {
    let value = vars.get(name).map(Vec::as_slice);
    value.ok_or_else(|| NoValue::Of(name.to_owned()))
}

/// A value that is similar to this one and differs from it, unless it is empty.
pub(crate) fn changed(near: Near, value: &[u8]) -> Vec<u8> {
    let mut changed = value.to_vec();
    match near {
        Near::Half => changed.truncate(value.len() / 2),
        Near::Case => {
            let letter = value.iter().position(u8::is_ascii_alphabetic);
            if let Some(byte) = changed.get_mut(letter.unwrap_or(0)) {
                *byte ^= match letter {
                    Some(_) => 0x20,
                    None => 1,
                };
            }
        }
    }
    changed
}

fn matches(word: &[u8], fields: &[FieldPattern], lines: &[Vec<u8>]) -> bool {
    let Some((got, values)) = lines.split_first() else {
        return false;
    };
    got == word
        && values.len() == fields.len()
        && fields.iter().zip(values).all(|(field, value)| match field {
            FieldPattern::Exactly(bytes) => bytes == value,
            FieldPattern::Bind(_) | FieldPattern::Any => true,
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unencrypted_alert_may_be_cut_off_and_nothing_may_follow() {
        let whole = [0x15, 3, 3, 0, 2, 2, 50];
        for length in 1..=ALERT {
            assert!(alert(&whole[..length]));
        }
        assert!(!alert(&[&whole[..], b"x"].concat()));
        for (at, byte) in [(0, 0x16), (1, 2), (3, 1), (4, 3)] {
            let mut other = whole;
            other[at] = byte;
            assert!(!alert(&other), "{other:?}");
        }
    }

    #[test]
    fn a_similar_value_is_another_value() {
        let cases: [(&[u8], &[u8], &[u8]); 4] = [
            (b"12aB", b"12", b"12AB"),
            (b"Zz1", b"Z", b"zz1"),
            (b"123", b"1", b"023"),
            (b"", b"", b""),
        ];
        for (value, half, case) in cases {
            assert_eq!(changed(Near::Half, value), half);
            assert_eq!(changed(Near::Case, value), case);
        }
    }
}
