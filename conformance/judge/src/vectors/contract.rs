//! The lines of questions and answers.

use netroxy_specification::vectors::{Found, Message, Sender, State, hex, unhex};
use serde::Deserialize;
use serde_json::{Value, json};

/// The contract as `--help` prints it. The folder of the vectors has it too, with an example.
pub const HELP: &str = r#"The codec reads one JSON object per line and answers each by one JSON object on one line, in
order, until its input ends. It is started again after it has died, and ended with its process
group.

  {"id": 17, "op": "decode", "from": "client", "chunks": ["5352", "510a"], "end": false}
  {"messages": [["SRQ"]], "consumed": 4, "state": "open"}

  chunks    the bytes in hex, as they arrive; each question is a new stream
  end       whether the stream ends after them
  messages  word and fields of each message. A string stands for bytes, each character U+0000 to
            U+00FF for the byte of that number (latin-1). Integers are in canonical decimal
  consumed  how many bytes they take; what follows TRS is not consumed
  state     `open` between messages and after TRS, `incomplete` within one, `invalid` when the
            codec has given up; `messages` are then those before

  {"id": 18, "op": "encode", "from": "client", "message": ["MAP", "80", "x:1", "true"]}
  {"hex": "4d41500a38300a783a310a747275650a"}

A message that must not be sent is answered by {"error": "why"}, a task that the codec does not
support by {"unsupported": true}: that skips the vector. An `id` in an answer must be that of the
question. An answer has 5 seconds and 8 MiB, and has to be flushed: most languages keep what they
write to a pipe in a buffer. Only answers belong on the standard output. The standard error of the
codec is passed through.

Exit codes: 0 nothing unexpected, 1 a vector failed, 2 wrong usage, 3 the codec cannot be started
or does not tell right from wrong, 4 no vector was selected or all were skipped, 5 the suite itself
failed, 130 interrupted."#;

/// An answer that can be read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Found(Found),
    Bytes(Vec<u8>),
    Error(String),
    Unsupported,
}

/// The question for the messages in `chunks`.
pub(super) fn decode(id: u32, from: Sender, chunks: &[&[u8]], end: bool) -> String {
    // Formatted without serde, which is slow for megabytes. Hex needs no escapes.
    let from = json!(from);
    let chunks: Vec<String> = chunks.iter().map(|chunk| hex(chunk)).collect();
    let chunks = chunks.join("\",\"");
    format!(r#"{{"id":{id},"op":"decode","from":{from},"chunks":["{chunks}"],"end":{end}}}"#)
}

/// The question for the bytes of `message`.
pub(super) fn encode(id: u32, from: Sender, message: &Message) -> String {
    json!({"id": id, "op": "encode", "from": from, "message": message}).to_string()
}

/// Why a line is not an answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotAnAnswer {
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    #[error("it answers question {its}, not {id}")]
    OfAnother { its: Value, id: u32 },
    #[error("`hex` is no hex")]
    Hex,
    #[error("{0:?} has characters above U+00FF, so it is no bytes")]
    Characters(String),
    #[error("it needs `messages`, `consumed` and `state`, or `hex`, or `error`, or `unsupported`")]
    Incomplete,
}

/// The answer to question `id` in a line, or why there is none in it.
pub(super) fn answer(id: u32, line: &[u8]) -> Result<Answer, NotAnAnswer> {
    let raw: Raw = serde_json::from_slice(line)?;
    if raw.id.as_ref().is_some_and(|its| *its != id) {
        let its = raw.id.unwrap_or_default();
        return Err(NotAnAnswer::OfAnother { its, id });
    }
    match raw {
        Raw {
            unsupported: Some(true),
            messages: None,
            consumed: None,
            state: None,
            hex: None,
            error: None,
            ..
        } => Ok(Answer::Unsupported),
        Raw {
            error: Some(why),
            messages: None,
            consumed: None,
            state: None,
            hex: None,
            unsupported: None,
            ..
        } => Ok(Answer::Error(why)),
        Raw {
            hex: Some(hex),
            messages: None,
            consumed: None,
            state: None,
            error: None,
            unsupported: None,
            ..
        } => unhex(&hex).map(Answer::Bytes).ok_or(NotAnAnswer::Hex),
        Raw {
            messages: Some(messages),
            consumed: Some(consumed),
            state: Some(state),
            hex: None,
            error: None,
            unsupported: None,
            ..
        } => {
            if let Some(field) = messages.iter().flatten().find(|field| !is_bytes(field)) {
                let field: String = field.chars().take(40).collect();
                return Err(NotAnAnswer::Characters(field));
            }
            Ok(Answer::Found(Found {
                messages,
                consumed,
                state,
                at: None,
            }))
        }
        _ => Err(NotAnAnswer::Incomplete),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    id: Option<Value>,
    messages: Option<Vec<Message>>,
    consumed: Option<usize>,
    state: Option<State>,
    hex: Option<String>,
    error: Option<String>,
    unsupported: Option<bool>,
}

fn is_bytes(field: &str) -> bool {
    field.chars().all(|c| u8::try_from(c).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_has_one_of_four_forms() {
        let read = |line: &str| answer(7, line.as_bytes());
        let found = Found {
            messages: vec![vec!["MRS".into(), "\u{ff}".into()]],
            consumed: 3,
            state: State::Incomplete,
            at: None,
        };
        let line = r#"{"messages":[["MRS","\u00ff"]],"consumed":3,"state":"incomplete","id":7}"#;
        assert_eq!(read(line).unwrap(), Answer::Found(found));
        assert_eq!(
            read(r#"{"hex":"0aFF"}"#).unwrap(),
            Answer::Bytes(vec![10, 255])
        );
        assert_eq!(
            read(r#"{"error":"no"}"#).unwrap(),
            Answer::Error("no".into())
        );
        assert_eq!(
            read(r#"{"unsupported":true}"#).unwrap(),
            Answer::Unsupported
        );
        for rubbish in [
            "",
            "y",
            "[]",
            "{}",
            r#"{"unsupported":false}"#,
            r#"{"hex":"0"}"#,
            r#"{"hex":"00","error":"both"}"#,
            r#"{"hex":"00","id":8}"#,
            r#"{"hex":"00","id":"7"}"#,
            r#"{"messages":[],"consumed":0}"#,
            r#"{"messages":[],"consumed":-1,"state":"open"}"#,
            r#"{"messages":[],"consumed":0,"state":"closed"}"#,
            r#"{"messages":[["\u0100"]],"consumed":0,"state":"open"}"#,
            r#"{"messages":[],"consumed":0,"state":"open","rest":""}"#,
        ] {
            assert!(read(rubbish).is_err(), "{rubbish}");
        }
    }
}
