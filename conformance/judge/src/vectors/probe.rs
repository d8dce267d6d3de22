//! Whether a codec tells right from wrong at all.

use std::time::Duration;

use netroxy_specification::vectors::{Found, Sender, State, Task, Vector, Written};

use super::codec::Codec;
use super::judge::{Worth, questions};
use super::run::{NotReady, ask_one};

/// One thing that must be read or written and one that must be refused, for each direction until one is supported: a
/// codec that always says the same would score points that it has not earned.
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
    let decode = |from, bytes: &[u8], message: Option<&str>| {
        let found = Found {
            messages: message
                .map(|word| vec![word.to_owned()])
                .into_iter()
                .collect(),
            consumed: message.map_or(0, |_| bytes.len()),
            state: message.map_or(State::Invalid, |_| State::Open),
            at: None,
        };
        let (bytes, outcomes) = (bytes.to_vec(), vec![found]);
        probe_vector(
            from,
            Task::Decode {
                bytes,
                outcomes,
                nonstrict: None,
            },
        )
    };
    let encode = |from, message: &[&str], written| {
        let message = message.iter().map(|&field| field.to_owned()).collect();
        let outcomes = vec![written];
        probe_vector(from, Task::Encode { message, outcomes })
    };
    [
        [
            decode(Sender::Client, b"SRQ\n", Some("SRQ")),
            decode(Sender::Client, b"MAP\n80\nx\nmaybe\n", None),
        ],
        [
            decode(Sender::Server, b"SRS\n", Some("SRS")),
            decode(Sender::Server, b"MRS\n80\nmaybe\n", None),
        ],
        [
            encode(Sender::Client, &["SRQ"], Written::Bytes(b"SRQ\n".to_vec())),
            encode(Sender::Client, &["ATH", "a\nb", "c", "d"], Written::Refused),
        ],
        [
            encode(Sender::Server, &["SRS"], Written::Bytes(b"SRS\n".to_vec())),
            encode(
                Sender::Server,
                &["ARS", "true", "30", "a\nb"],
                Written::Refused,
            ),
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
