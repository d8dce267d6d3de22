//! Properties of the decoder.

use alloc::vec::Vec;

use super::oracle::{Direction, Ending, Framed, frame};
use super::source::Source;
use crate::{ClientMessage, Decoder, Incoming, Limits, ServerMessage};

/// The decoder returns the same messages, error and tail as the [oracle](frame), however the bytes are
/// split. It holds four lines and the last push at most.
///
/// The first byte chooses direction and line limit, the second how many cuts follow, one byte
/// each; the rest is the stream.
pub fn chunking(input: &[u8]) {
    let mut source = Source::new(input);
    let choice = source.byte();
    let cuts = source.byte() % 16;
    let sizes: Vec<usize> = (0..cuts).map(|_| source.byte().into()).collect();
    let limits = Limits {
        line: [4096, 24, 5, 0][usize::from(choice >> 1) % 4],
    };
    let stream = source.take(usize::MAX);
    if choice & 1 == 0 {
        compare::<ClientMessage>(
            Direction::ToServer,
            ClientMessage::encode,
            stream,
            &sizes,
            limits,
        );
    } else {
        compare::<ServerMessage>(
            Direction::ToClient,
            ServerMessage::encode,
            stream,
            &sizes,
            limits,
        );
    }
}

fn compare<M: Incoming>(
    direction: Direction,
    encode: fn(&M, &mut Vec<u8>),
    stream: &[u8],
    sizes: &[usize],
    limits: Limits,
) {
    let oracle = frame(direction, stream, limits.line);
    let all_at_once = decode(encode, [stream].into_iter(), limits);
    assert_eq!(all_at_once, oracle, "in one piece");
    assert_eq!(
        decode(encode, stream.chunks(1), limits),
        oracle,
        "byte by byte"
    );
    let mut rest = stream;
    let mut pieces = Vec::new();
    for size in sizes {
        let (piece, left) = rest.split_at((*size).min(rest.len()));
        pieces.push(piece);
        rest = left;
    }
    pieces.push(rest);
    assert_eq!(decode(encode, pieces.into_iter(), limits), oracle, "split");
}

fn decode<'a, M: Incoming>(
    encode: fn(&M, &mut Vec<u8>),
    pieces: impl Iterator<Item = &'a [u8]>,
    limits: Limits,
) -> Framed {
    let mut decoder = Decoder::<M>::new(limits);
    let mut messages: Vec<Vec<u8>> = Vec::new();
    let mut error = None;
    let mut raw = false;
    for piece in pieces {
        decoder.push(piece);
        loop {
            match decoder.next_message() {
                Ok(Some(message)) => {
                    assert!(!raw && error.is_none(), "a message after the end");
                    raw = message.ends_lines();
                    let mut bytes = Vec::new();
                    encode(&message, &mut bytes);
                    messages.push(bytes);
                }
                Ok(None) => {
                    assert_eq!(error, None, "the error was lost");
                    break;
                }
                Err(now) => {
                    assert!(error.is_none_or(|before| before == now), "another error");
                    error = Some(now);
                    break;
                }
            }
        }
        let held = 4 * (limits.line + 1);
        assert!(
            raw || decoder.buffered() <= held,
            "the decoder holds more than a message"
        );
    }
    let is_mid_message = decoder.is_mid_message();
    let tail = decoder.into_tail();
    let ending = match error {
        Some(error) => {
            assert!(tail.is_empty(), "bytes are kept after an error");
            Ending::Error(error.line, error.rule())
        }
        None if raw => Ending::Raw(tail),
        None => {
            assert_eq!(is_mid_message, !tail.is_empty());
            Ending::Open(tail)
        }
    };
    Framed { messages, ending }
}
