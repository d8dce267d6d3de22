//! The grammar a second time, in its simplest form: lines, words, and the kind of each line. It shares
//! no code with the parser and the decoder, which are compared with it.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// Who sent the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// A client.
    ToServer,
    /// A server.
    ToClient,
}

/// The content of a whole stream of bytes.
#[derive(Debug, PartialEq, Eq)]
pub struct Framed {
    /// The messages in their canonical bytes.
    pub messages: Vec<Vec<u8>>,
    /// What follows them.
    pub ending: Ending,
}

/// How a stream of bytes ends.
#[derive(Debug, PartialEq, Eq)]
pub enum Ending {
    /// With part of a message, or after a message.
    Open(Vec<u8>),
    /// With TRS and then these raw bytes.
    Raw(Vec<u8>),
    /// With an error on this line of a message, by this rule.
    Error(usize, &'static str),
}

#[derive(Clone, Copy)]
enum Line {
    Text,
    Port,
    Timeout,
    Bool,
    /// `true` and two more lines, or `false`.
    ArsBool,
}

/// Cuts `input` into lines and these into messages.
#[must_use]
pub fn frame(direction: Direction, input: &[u8], limit: usize) -> Framed {
    let mut messages = Vec::new();
    let mut rest = input;
    loop {
        let start = rest;
        let mut message = Vec::new();
        let mut expected: Vec<Line> = Vec::new();
        let mut number = 0;
        loop {
            number += 1;
            let lf = rest.iter().position(|b| *b == b'\n');
            let line = &rest[..lf.unwrap_or(rest.len())];
            if line.len() > limit {
                let ending = Ending::Error(number, "frame.line-limit");
                return Framed { messages, ending };
            }
            let Some(lf) = lf else {
                let ending = Ending::Open(start.to_vec());
                return Framed { messages, ending };
            };
            rest = &rest[lf + 1..];
            let judged = if number == 1 {
                word(direction, line).map(|lines| {
                    expected = lines;
                    line.to_vec()
                })
            } else {
                let kind = expected.remove(0);
                if matches!(kind, Line::ArsBool) && line == b"true" {
                    expected = [Line::Timeout, Line::Text].into();
                }
                field(kind, line)
            };
            match judged {
                Ok(canonical) => message.extend(canonical),
                Err(rule) => {
                    let ending = Ending::Error(number, rule);
                    return Framed { messages, ending };
                }
            }
            message.push(b'\n');
            if expected.is_empty() {
                break;
            }
        }
        let raw = message.starts_with(b"TRS\n");
        messages.push(message);
        if raw {
            let ending = Ending::Raw(rest.to_vec());
            return Framed { messages, ending };
        }
    }
}

fn word(direction: Direction, line: &[u8]) -> Result<Vec<Line>, &'static str> {
    use Direction::{ToClient, ToServer};
    Ok(match (direction, line) {
        (ToServer, b"ATH") => [Line::Text, Line::Text, Line::Text].into(),
        (ToServer, b"MAP") => [Line::Port, Line::Text, Line::Bool].into(),
        (ToServer, b"TRS") => [Line::Text, Line::Port].into(),
        (ToClient, b"ARS") => [Line::ArsBool].into(),
        (ToClient, b"MRS") => [Line::Port, Line::Bool].into(),
        (ToClient, b"TRQ") => [Line::Port].into(),
        (ToServer, b"SRQ") | (ToClient, b"SRS") => Vec::new(),
        _ => return Err("frame.unknown-word"),
    })
}

fn field(kind: Line, line: &[u8]) -> Result<Vec<u8>, &'static str> {
    match kind {
        Line::Text => Ok(line.to_vec()),
        Line::Bool | Line::ArsBool if line == b"true" || line == b"false" => Ok(line.to_vec()),
        Line::Bool => Err("frame.bool"),
        Line::ArsBool => Err("auth.ars-bool"),
        Line::Port => integer(line).map(canonical).ok_or("frame.int"),
        Line::Timeout => match integer(line).ok_or("auth.ars-int")? {
            seconds @ 1..=9_223_372_036 => Ok(canonical(seconds)),
            _ => Err("auth.timeout-positive"),
        },
    }
}

fn canonical(number: i128) -> Vec<u8> {
    let digits: String = format!("{number}");
    digits.into_bytes()
}

fn integer(line: &[u8]) -> Option<i128> {
    let (sign, digits) = match line {
        [b'-', digits @ ..] => (-1, digits),
        [b'+', digits @ ..] => (1, digits),
        digits => (1, digits),
    };
    let mut number: i128 = 0;
    for digit in digits {
        if !digit.is_ascii_digit() {
            return None;
        }
        // A number that is far out of range stays out of range.
        number = (number * 10 + i128::from(digit - b'0')).min(1 << 100);
    }
    number *= sign;
    let range = i128::from(i64::MIN)..=i128::from(i64::MAX);
    if digits.is_empty() || !range.contains(&number) {
        return None;
    }
    Some(number)
}
