//! Whether a codec accepts good messages and refuses bad ones at all.

use std::time::Duration;

use netroxy_specification::message::{ARS, ATH, FieldName, MAP, MRS, SRQ, SRS, Shape, bytes};
use netroxy_specification::vectors::{Found, Sender, State, Task, Vector, Written};

use super::ask::ask_one;
use super::codec::Codec;
use super::judge::{Worth, questions};
use super::outcome::NotReady;

/// Asks for one message that is good and one that is not, until the codec supports such a pair. A codec that always gives
/// the same answer would pass some vectors.
pub(crate) async fn probe(codec: &mut Codec, deadline: Duration) -> Result<(), NotReady> {
    for pair in probes() {
        let mut supported = true;
        for question in pair
            .iter()
            .filter_map(|vector| questions(vector).into_iter().next())
        {
            let wrong = |got: String| NotReady::Dishonest {
                how: question.line.clone(),
                expected: question.expected().join(", or "),
                got,
            };
            match ask_one(codec, 0, &question, deadline).await {
                Ok((Worth::Right, _)) => {}
                Ok((Worth::Unsupported, _)) => supported = false,
                Ok((Worth::Nonstrict | Worth::Wrong, got)) | Err((_, got)) => {
                    return Err(wrong(got));
                }
            }
        }
        if supported {
            return Ok(());
        }
    }
    Err(NotReady::Nothing)
}

fn probes() -> [[Vector; 2]; 4] {
    let decode = |from, bytes: Vec<u8>, message: Option<&Shape>| {
        let messages = message.map(|shape| vec![shape.word.to_owned()]);
        let found = Found {
            messages: messages.into_iter().collect(),
            consumed: message.map_or(0, |_| bytes.len()),
            state: message.map_or(State::Invalid, |_| State::Open),
            at: None,
        };
        let outcomes = vec![found];
        let task = Task::Decode {
            bytes,
            outcomes,
            nonstrict: None,
        };
        probe_vector(from, task)
    };
    let encode = |from, lines: &[Vec<u8>], written| {
        let message = lines.iter();
        let message = message.map(|line| String::from_utf8_lossy(line).into_owned());
        let (message, outcomes) = (message.collect(), vec![written]);
        probe_vector(from, Task::Encode { message, outcomes })
    };
    let port = (FieldName::Port, &b"80"[..]);
    let no_boolean = &b"maybe"[..];
    let map = MAP.lines(&[
        port,
        (FieldName::Target, b"x"),
        (FieldName::IsOpen, no_boolean),
    ]);
    let mrs = MRS.lines(&[port, (FieldName::IsOk, no_boolean)]);
    let (srq, srs) = (SRQ.lines(&[]), SRS.lines(&[]));
    let with_lf = &b"a\nb"[..];
    let ath = ATH.lines(&[
        (FieldName::ClientName, with_lf),
        (FieldName::Username, b"c"),
        (FieldName::Password, b"d"),
    ]);
    let ars = ARS.lines(&[
        (FieldName::IsOk, b"true"),
        (FieldName::Timeout, b"30"),
        (FieldName::Token, with_lf),
    ]);
    [
        [
            decode(Sender::Client, bytes(&srq), Some(&SRQ)),
            decode(Sender::Client, bytes(&map), None),
        ],
        [
            decode(Sender::Server, bytes(&srs), Some(&SRS)),
            decode(Sender::Server, bytes(&mrs), None),
        ],
        [
            encode(Sender::Client, &srq, Written::Bytes(bytes(&srq))),
            encode(Sender::Client, &ath, Written::Refused),
        ],
        [
            encode(Sender::Server, &srs, Written::Bytes(bytes(&srs))),
            encode(Sender::Server, &ars, Written::Refused),
        ],
    ]
}

fn probe_vector(from: Sender, task: Task) -> Vector {
    Vector {
        id: 0,
        from,
        comment: "probe".to_owned(),
        flags: Vec::new(),
        rules: Vec::new(),
        task,
        file: String::new(),
        source: serde_json::Value::Null,
    }
}
