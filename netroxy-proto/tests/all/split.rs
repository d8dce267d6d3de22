//! The decoder returns the same messages however the bytes are split.

use netroxy_proto::{ClientMessage, Decoder, Incoming, Limits, ServerMessage};
use proptest::collection::vec;
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn a_client_message_decodes_alike_at_every_split(message in crate::strategies::client_message()) {
        let mut wire = Vec::new();
        message.encode(&mut wire);
        at_every_split_point(&wire, &message);
        bytewise(&wire, &message);
    }

    #[test]
    fn a_server_message_decodes_alike_at_every_split(message in crate::strategies::server_message()) {
        let mut wire = Vec::new();
        message.encode(&mut wire);
        at_every_split_point(&wire, &message);
        bytewise(&wire, &message);
    }

    #[test]
    fn several_client_messages_decode_alike_in_chunks_of_any_size(messages in vec(crate::strategies::client_message(), 1..6)) {
        let ends = messages.iter().position(Incoming::ends_lines);
        let count = ends.map_or(messages.len(), |at| at + 1);
        pipelined(&messages[..count], ClientMessage::encode);
    }

    #[test]
    fn several_server_messages_decode_alike_in_chunks_of_any_size(messages in vec(crate::strategies::server_message(), 1..6)) {
        pipelined(&messages, ServerMessage::encode);
    }

    #[test]
    fn the_bytes_after_trs_are_the_tail(
        trs in crate::strategies::client_message().prop_filter("TRS", Incoming::ends_lines),
        tail in vec(any::<u8>(), 0..64),
        chunk in 1..80usize,
    ) {
        let mut wire = Vec::new();
        ClientMessage::Srq.encode(&mut wire);
        trs.encode(&mut wire);
        wire.extend(&tail);
        let (messages, decoder) = decode::<ClientMessage>(wire.chunks(chunk));
        prop_assert_eq!(messages, [ClientMessage::Srq, trs]);
        prop_assert!(!decoder.is_mid_message());
        prop_assert_eq!(decoder.into_tail(), tail);
    }
}

/// The message stands twice in the stream, so that the second one is split too.
fn at_every_split_point<M: Incoming + Clone + PartialEq + std::fmt::Debug>(
    wire: &[u8],
    message: &M,
) {
    // A message with lines of 4096 bytes has 12 000 split points. Those near line ends and every 97th
    // are enough.
    let doubled = [wire, wire].concat();
    let near_lf = |at: usize| {
        let around = at.saturating_sub(3)..(at + 3).min(doubled.len());
        doubled[around].contains(&b'\n')
    };
    let expected = if message.ends_lines() {
        vec![message.clone()]
    } else {
        vec![message.clone(), message.clone()]
    };
    for at in (0..=doubled.len()).filter(|at| doubled.len() < 400 || near_lf(*at) || at % 97 == 0) {
        let (first, second) = doubled.split_at(at);
        let (messages, decoder) = decode::<M>([first, second].into_iter());
        assert_eq!(messages, expected, "split at {at}");
        let tail = if message.ends_lines() { wire } else { b"" };
        assert_eq!(decoder.into_tail(), tail, "split at {at}");
    }
}

/// The decoder returns the message with its last byte, and not earlier.
fn bytewise<M: Incoming + PartialEq + std::fmt::Debug>(wire: &[u8], message: &M) {
    let mut decoder = Decoder::<M>::new(Limits::default());
    for (at, byte) in wire.iter().enumerate() {
        assert_eq!(decoder.next_message(), Ok(None), "before byte {at}");
        assert_eq!(decoder.is_mid_message(), at > 0);
        assert_eq!(decoder.buffered(), at);
        decoder.push(&[*byte]);
    }
    assert_eq!(decoder.next_message().unwrap().as_ref(), Some(message));
    assert_eq!(decoder.buffered(), 0);
}

fn pipelined<M: Incoming + PartialEq + std::fmt::Debug>(
    messages: &[M],
    encode: fn(&M, &mut Vec<u8>),
) {
    let mut wire = Vec::new();
    messages.iter().for_each(|m| encode(m, &mut wire));
    for chunk in [1, 2, 3, 7, 64, 4096, usize::MAX] {
        let (received, decoder) = decode::<M>(wire.chunks(chunk));
        assert_eq!(received, messages, "in chunks of {chunk}");
        assert_eq!(decoder.into_tail(), b"");
    }
}

fn decode<'a, M: Incoming>(pieces: impl Iterator<Item = &'a [u8]>) -> (Vec<M>, Decoder<M>) {
    let mut decoder = Decoder::new(Limits::default());
    let mut messages = Vec::new();
    for piece in pieces {
        decoder.push(piece);
        while let Some(message) = decoder.next_message().unwrap() {
            messages.push(message);
        }
    }
    (messages, decoder)
}
