//! Properties of single messages.

use alloc::string::ToString;
use alloc::vec::Vec;
use core::fmt::Debug;

use super::source::Source;
use crate::{ClientMessage, Decoder, Incoming, Limits, ParseError, ServerMessage};

/// What a server reads. Parsing never panics.
///
/// A message takes exactly its own bytes, whatever follows. It ends with a line and is incomplete at each
/// earlier line. Its encoding is not longer, parses to the same value, and is encoded to the same bytes.
///
/// An error is the same whatever follows, does not occur one line earlier, and has a text of one short
/// line that is safe to log.
pub fn client_message(input: &[u8]) {
    one_message::<ClientMessage>(input, ClientMessage::encode);
}

/// What a client reads; the properties of [`client_message`].
pub fn server_message(input: &[u8]) {
    one_message::<ServerMessage>(input, ServerMessage::encode);
}

/// Any sequence of messages decodes to itself without a rest, and encodes again to the same bytes.
pub fn round_trip(input: &[u8]) {
    let mut source = Source::new(input);
    if source.flag() {
        let mut sent = Vec::new();
        while !source.is_empty() {
            let message = source.client_message();
            let last = message.ends_lines();
            sent.push(message);
            if last {
                break;
            }
        }
        identity(&sent, ClientMessage::encode);
    } else {
        let mut sent = Vec::new();
        while !source.is_empty() {
            sent.push(source.server_message());
        }
        identity(&sent, ServerMessage::encode);
    }
}

fn one_message<M: Incoming + Debug + PartialEq>(input: &[u8], encode: fn(&M, &mut Vec<u8>)) {
    match M::parse(input) {
        Ok(Some((message, length))) => {
            let own = input.get(..length).expect("no longer than the input");
            assert_eq!(own.last(), Some(&b'\n'), "a message ends with a line");
            assert_eq!(M::parse(own), Ok(Some((reparse(own), length))));
            for shorter in line_starts(own) {
                assert_eq!(
                    M::parse(shorter),
                    Ok(None),
                    "the message is complete too early"
                );
            }
            let mut encoded = Vec::new();
            encode(&message, &mut encoded);
            assert!(
                encoded.len() <= length,
                "the canonical form is the shortest"
            );
            let again: M = reparse(&encoded);
            assert_eq!(again, message, "the encoding is another value");
            let mut twice = Vec::new();
            encode(&again, &mut twice);
            assert_eq!(twice, encoded, "encoding is not canonical");
        }
        Ok(None) => {
            let lines = input.iter().filter(|b| **b == b'\n').count();
            assert!(lines < 4, "a message has four lines at most");
        }
        Err(error) => stays_wrong::<M>(input, &error),
    }
}

fn reparse<M: Incoming>(whole: &[u8]) -> M {
    match M::parse(whole) {
        Ok(Some((message, length))) if length == whole.len() => message,
        _ => panic!(
            "this does not parse as one message: {}",
            whole.escape_ascii()
        ),
    }
}

fn stays_wrong<M: Incoming + Debug + PartialEq>(input: &[u8], error: &ParseError) {
    let ends = || (0..=input.len()).filter(|end| input[..*end].ends_with(b"\n"));
    let end = ends()
        .nth(error.line - 1)
        .expect("the line of an error has ended");
    let told = error.to_string();
    assert!(told.len() < 200, "the text is too long for a log: {told}");
    let is_printable = told.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    assert!(is_printable, "the text is not safe for a log: {told:?}");
    let upto = &input[..end];
    assert_eq!(
        M::parse(upto).as_ref(),
        Err(error),
        "the error depends on the bytes that follow"
    );
    for shorter in line_starts(upto) {
        assert_eq!(
            M::parse(shorter),
            Ok(None),
            "the error occurs on an earlier line"
        );
    }
}

/// The bytes before each line of `message`.
fn line_starts(message: &[u8]) -> impl Iterator<Item = &[u8]> {
    (0..message.len())
        .filter(|at| *at == 0 || message[*at - 1] == b'\n')
        .map(|at| &message[..at])
}

fn identity<M: Incoming + Debug + PartialEq>(sent: &[M], encode: fn(&M, &mut Vec<u8>)) {
    let mut wire = Vec::new();
    sent.iter().for_each(|message| encode(message, &mut wire));
    let mut decoder = Decoder::new(Limits::default());
    decoder.push(&wire);
    let mut received: Vec<M> = Vec::new();
    while let Some(message) = decoder
        .next_message()
        .expect("an encoded message is well-formed")
    {
        received.push(message);
    }
    assert_eq!(received, sent);
    assert!(!decoder.is_mid_message());
    assert_eq!(decoder.into_tail(), b"");
    let mut again = Vec::new();
    received
        .iter()
        .for_each(|message| encode(message, &mut again));
    assert_eq!(again, wire, "encoding is not canonical");
}
