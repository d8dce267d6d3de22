//! The decoder and the encoder agree with every vector of `spec/v0.3/vectors`, however the bytes are
//! cut.

use netroxy_proto::{ClientMessage, ServerMessage};
use serde_json::{Value, json};

use crate::revision::specified;

#[allow(
    dead_code,
    unreachable_pub,
    reason = "an example has its main function too"
)]
#[path = "../../examples/codec.rs"]
mod codec;

#[test]
fn the_decoder_finds_what_the_vectors_say() {
    let tests = tests("decode");
    assert!(tests.len() > 300, "{}", tests.len());
    for (from, test) in tests {
        let bytes = stream(&test);
        // If several results are allowed, the result still depends on the bytes only.
        let found = decode(from, &[&bytes]);
        assert!(is_right(&test, &found), "{test:#}\n{found:#}");
        for at in cuts(&bytes) {
            let (first, second) = bytes.split_at(at);
            assert_eq!(
                decode(from, &[first, second]),
                found,
                "{} cut at {at}",
                test["id"]
            );
        }
        if bytes.len() < LONG {
            let bytewise: Vec<&[u8]> = bytes.chunks(1).collect();
            assert_eq!(decode(from, &bytewise), found, "{}", test["id"]);
        }
    }
}

#[test]
fn a_valid_stream_is_valid_twice_in_a_row() {
    let mut doubled = 0;
    for (from, test) in tests("decode") {
        let bytes = stream(&test);
        if test["result"] != "valid" || bytes.len() > LONG {
            continue;
        }
        let mut messages: Vec<Value> = test["messages"]
            .as_array()
            .unwrap()
            .iter()
            .map(message)
            .collect();
        let ends_lines = messages.last().is_some_and(|last| last[0] == "TRS");
        let found = decode(from, &[&bytes.repeat(2)]);
        let mut consumed = test["consumed"].as_u64().unwrap();
        if !ends_lines {
            messages.extend_from_within(..);
            consumed *= 2;
        }
        let expected = json!({ "messages": messages, "consumed": consumed, "state": "open" });
        assert_eq!(found, expected, "{}", test["id"]);
        doubled += 1;
    }
    assert!(doubled > 100, "{doubled}");
}

#[test]
fn no_stream_is_rejected_before_its_first_wrong_byte() {
    for (from, test) in tests("decode") {
        if let Some(at) = test["at"].as_u64() {
            let before = usize::try_from(at - 1).unwrap();
            let found = decode(from, &[&stream(&test)[..before]]);
            let consumed = test["consumed"].as_u64().unwrap();
            let state = if at - 1 > consumed {
                "incomplete"
            } else {
                "open"
            };
            assert_eq!(found["state"], state, "{}", test["id"]);
            assert_eq!(found["consumed"], consumed, "{}", test["id"]);
        }
    }
}

#[test]
fn the_encoder_writes_what_the_vectors_say() {
    let tests = tests("encode");
    assert!(tests.len() > 80, "{}", tests.len());
    for (from, test) in tests {
        let question =
            json!({ "op": "encode", "from": from, "message": message(&test["message"]) });
        let written = codec::answer(&question);
        let right = outcomes(&test).iter().any(|outcome| match &written {
            Ok(answer) => {
                let hex = answer["hex"].as_str().unwrap();
                outcome["result"] == "valid" && codec::unhex(hex).unwrap() == stream(outcome)
            }
            Err(_) => outcome["result"] == "invalid",
        });
        assert!(right, "{test:#}\n{written:?}");
    }
}

/// Streams of this many bytes or more are not cut at every place.
const LONG: usize = 400;

/// Every place; in long streams the places around line ends and a few others.
fn cuts(bytes: &[u8]) -> Vec<usize> {
    if bytes.len() < LONG {
        return (0..=bytes.len()).collect();
    }
    let ends = (0..bytes.len()).filter(|at| bytes[*at] == b'\n');
    let around = ends.flat_map(|at| [at.saturating_sub(1), at, at + 1]);
    let step = 97.max(bytes.len() / 4);
    around
        .take(LONG)
        .chain((0..=bytes.len()).step_by(step))
        .collect()
}

fn decode(from: &str, chunks: &[&[u8]]) -> Value {
    let chunks = chunks.iter().copied();
    match from {
        "client" => codec::decode(chunks, ClientMessage::encode),
        _ => codec::decode(chunks, ServerMessage::encode),
    }
}

fn is_right(test: &Value, found: &Value) -> bool {
    outcomes(test).iter().any(|outcome| {
        let state = match outcome["result"].as_str().unwrap() {
            "valid" => "open",
            other => other,
        };
        let messages = outcome["messages"].as_array().unwrap();
        let messages: Vec<Value> = messages.iter().map(message).collect();
        *found == json!({ "messages": messages, "consumed": outcome["consumed"], "state": state })
    })
}

fn outcomes(test: &Value) -> &[Value] {
    match test["result"].as_str().unwrap() {
        "acceptable" => test["outcomes"].as_array().unwrap(),
        _ => std::slice::from_ref(test),
    }
}

/// A message with its long fields written out.
fn message(fields: &Value) -> Value {
    let field = |field: &Value| match field.as_str() {
        Some(text) => text.to_owned(),
        None => stream(field).into_iter().map(char::from).collect(),
    };
    fields.as_array().unwrap().iter().map(field).collect()
}

fn stream(value: &Value) -> Vec<u8> {
    let unhex = |value: &Value| codec::unhex(value.as_str().unwrap()).unwrap();
    match value["repeat"].as_array() {
        None => unhex(&value["hex"]),
        Some(parts) => parts
            .iter()
            .flat_map(|part| {
                let times = part["times"].as_u64().unwrap();
                unhex(&part["hex"]).repeat(usize::try_from(times).unwrap())
            })
            .collect(),
    }
}

fn tests(op: &str) -> Vec<(&'static str, Value)> {
    let files = [
        ("decode", "client", specified!("vectors/decode-client.json")),
        ("decode", "server", specified!("vectors/decode-server.json")),
        ("encode", "client", specified!("vectors/encode-client.json")),
        ("encode", "server", specified!("vectors/encode-server.json")),
    ];
    files
        .into_iter()
        .filter(|file| file.0 == op)
        .flat_map(|(_, from, text)| {
            let mut file: Value = serde_json::from_str(text).unwrap();
            let tests = file["tests"].as_array_mut().unwrap();
            let tests = std::mem::take(tests);
            tests.into_iter().map(move |test| (from, test))
        })
        .collect()
}
