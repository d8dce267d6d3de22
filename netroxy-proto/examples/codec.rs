//! The codec of this crate as a program for `netroxy-conformance vectors run`
//! (`spec/v0.3/vectors/README.md`): one question a line, one answer a line.

use std::io::{self, BufRead as _, Write as _};

use netroxy_proto::{
    Ars, Ath, ClientMessage, Decoder, Incoming, InvalidField, Limits, Map, Mrs, ServerMessage, Trq,
    Trs,
};
use serde_json::{Value, json};

/// Answers until the input ends.
pub fn main() -> io::Result<()> {
    let mut out = io::stdout().lock();
    for line in io::stdin().lock().lines() {
        let answer = serde_json::from_str(&line?)
            .map_err(|error| error.to_string())
            .and_then(|question| answer(&question))
            .unwrap_or_else(|why| json!({ "error": why }));
        writeln!(out, "{answer}")?;
        out.flush()?;
    }
    Ok(())
}

/// The answer to a question, or why there is none.
pub fn answer(question: &Value) -> Result<Value, String> {
    let is_client = question["from"] == "client";
    if question["op"] == "decode" {
        let chunks = question["chunks"].as_array().ok_or("no chunks")?;
        let chunks = chunks.iter().map(|chunk| unhex(chunk.as_str()?));
        let chunks: Vec<Vec<u8>> = chunks.collect::<Option<_>>().ok_or("no hex")?;
        let chunks = chunks.iter().map(Vec::as_slice);
        let found = if is_client {
            decode(chunks, ClientMessage::encode)
        } else {
            decode(chunks, ServerMessage::encode)
        };
        return Ok(found);
    }
    let fields = question["message"].as_array().ok_or("no message")?;
    let fields = fields.iter().map(|field| bytes(field.as_str()?));
    let fields: Vec<Vec<u8>> = fields.collect::<Option<_>>().ok_or("no bytes")?;
    let fields: Vec<&[u8]> = fields.iter().map(Vec::as_slice).collect();
    let mut wire = Vec::new();
    if is_client {
        client_message(&fields)?.encode(&mut wire);
    } else {
        server_message(&fields)?.encode(&mut wire);
    }
    let hex: String = wire.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(json!({ "hex": hex }))
}

/// What a decoder with default limits finds in a stream.
pub fn decode<'a, M: Incoming>(
    chunks: impl Iterator<Item = &'a [u8]>,
    encode: fn(&M, &mut Vec<u8>),
) -> Value {
    let mut decoder = Decoder::<M>::new(Limits::default());
    let (mut messages, mut received, mut consumed, mut state) = (Vec::new(), 0, 0, "open");
    for chunk in chunks {
        decoder.push(chunk);
        received += chunk.len();
        loop {
            match decoder.next_message() {
                Ok(Some(message)) => {
                    consumed = received - decoder.buffered();
                    let mut wire = Vec::new();
                    encode(&message, &mut wire);
                    messages.push(fields(&wire));
                }
                Ok(None) => break,
                Err(_) => {
                    state = "invalid";
                    break;
                }
            }
        }
    }
    if state == "open" && decoder.is_mid_message() {
        state = "incomplete";
    }
    json!({ "messages": messages, "consumed": consumed, "state": state })
}

/// The lines of a message; each character is a byte.
fn fields(wire: &[u8]) -> Vec<String> {
    let lines = wire
        .strip_suffix(b"\n")
        .unwrap_or(wire)
        .split(|b| *b == b'\n');
    lines
        .map(|line| line.iter().copied().map(char::from).collect())
        .collect()
}

fn client_message(fields: &[&[u8]]) -> Result<ClientMessage, String> {
    Ok(match *fields {
        [b"ATH", client_name, username, password] => ClientMessage::Ath(Ath {
            client_name: text(client_name)?,
            username: text(username)?,
            password: text(password)?,
        }),
        [b"MAP", port, target, is_open] => ClientMessage::Map(Map {
            remote_port: integer(port)?.into(),
            target: text(target)?,
            is_open: boolean(is_open)?,
        }),
        [b"SRQ"] => ClientMessage::Srq,
        [b"TRS", token, port] => ClientMessage::Trs(Trs {
            token: text(token)?,
            remote_port: integer(port)?.into(),
        }),
        _ => return Err("a client has no such message".to_owned()),
    })
}

fn server_message(fields: &[&[u8]]) -> Result<ServerMessage, String> {
    Ok(match *fields {
        [b"ARS", b"true", timeout, token] => ServerMessage::Ars(Ars::Accepted {
            timeout: refused(integer(timeout)?.try_into())?,
            token: text(token)?,
        }),
        [b"ARS", b"false"] => ServerMessage::Ars(Ars::Rejected),
        [b"MRS", port, is_ok] => ServerMessage::Mrs(Mrs {
            remote_port: integer(port)?.into(),
            is_ok: boolean(is_ok)?,
        }),
        [b"TRQ", port] => ServerMessage::Trq(Trq {
            remote_port: integer(port)?.into(),
        }),
        [b"SRS"] => ServerMessage::Srs,
        _ => return Err("a server has no such message".to_owned()),
    })
}

fn text<'a, T: TryFrom<&'a [u8], Error = InvalidField>>(bytes: &'a [u8]) -> Result<T, String> {
    refused(T::try_from(bytes))
}

fn refused<T>(made: Result<T, InvalidField>) -> Result<T, String> {
    made.map_err(|error| error.to_string())
}

fn integer(bytes: &[u8]) -> Result<i64, String> {
    let digits = std::str::from_utf8(bytes).map_err(|error| error.to_string())?;
    digits.parse::<i64>().map_err(|error| error.to_string())
}

fn boolean(bytes: &[u8]) -> Result<bool, String> {
    match bytes {
        b"true" => Ok(true),
        b"false" => Ok(false),
        _ => Err("neither true nor false".to_owned()),
    }
}

fn bytes(text: &str) -> Option<Vec<u8>> {
    text.chars().map(|c| u8::try_from(c).ok()).collect()
}

/// The bytes of pairs of hex digits, in small letters.
pub fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let mut bytes = Vec::with_capacity(text.len() / 2);
    for pair in text.as_bytes().chunks(2) {
        let [high, low] = *pair else { return None };
        bytes.push(digit(high)? << 4 | digit(low)?);
    }
    Some(bytes)
}
