//! The test vectors of the specification.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::catalog::SPEC;
use crate::rules::FOLDER;

/// One vector.
#[derive(Debug)]
pub struct Vector {
    /// Its number, which never changes.
    pub id: u32,
    /// The sender of the bytes.
    pub from: Sender,
    /// What it shows.
    pub comment: String,
    /// Groups that it belongs to.
    pub flags: Vec<String>,
    /// The rules that it shows.
    pub rules: Vec<String>,
    /// The task for a codec.
    pub task: Task,
    /// Its file, seen from the root of the repository.
    pub file: String,
    /// Its JSON.
    pub source: Value,
}

/// A task for a codec, and the answers it may give.
#[derive(Debug)]
pub enum Task {
    /// Find the messages in a stream.
    Decode {
        /// The stream.
        bytes: Vec<u8>,
        /// Each of them is right.
        outcomes: Vec<Found>,
        /// Allowed, not recommended.
        nonstrict: Option<Found>,
    },
    /// Write a message.
    Encode {
        /// The message.
        message: Message,
        /// Each of them is right.
        outcomes: Vec<Written>,
    },
}

/// The word and its fields; each character is a byte.
pub type Message = Vec<String>;

/// What is found in a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The messages, in order.
    pub messages: Vec<Message>,
    /// How many bytes they take.
    pub consumed: usize,
    /// The state of the stream after them.
    pub state: State,
    /// For an invalid stream: after how many bytes a codec can detect it at the earliest.
    pub at: Option<usize>,
}

/// The state of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Between two messages, or after TRS.
    Open,
    /// Within a message.
    Incomplete,
    /// The codec has found an error and stopped.
    Invalid,
}

/// The answer to a message that has to be encoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Written {
    /// It is written as these bytes.
    Bytes(Vec<u8>),
    /// It must not be written.
    Refused,
}

/// The direction of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Sender {
    /// The client.
    Client,
    /// The server.
    Server,
}

/// A vector, or a file of vectors, that is not well formed.
#[derive(Debug, thiserror::Error)]
pub enum VectorError {
    /// The file is no JSON, or not that of a file of vectors.
    #[error("{file}: {error}")]
    File {
        /// Seen from the root of the repository.
        file: String,
        /// What is wrong.
        error: serde_json::Error,
    },
    /// One vector of the file is wrong.
    #[error("{file}: test {id}: {fault}")]
    Vector {
        /// Seen from the root of the repository.
        file: String,
        /// The number of the vector, or what stands in its place.
        id: Value,
        /// What is wrong.
        fault: Fault,
    },
}

/// What is wrong with a vector.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// A field is missing, or has a value of another type.
    #[error(transparent)]
    Fields(#[from] serde_json::Error),
    /// The operation of its file is unknown.
    #[error("there is no op `{0}`")]
    Op(String),
    /// Its result is unknown, or does not fit the operation.
    #[error("there is no result `{0}`")]
    Result(String),
    /// A vector that encodes has nothing to encode.
    #[error("it has no message")]
    NoMessage,
    /// The bytes are given twice, or not at all.
    #[error("it needs either hex or repeat")]
    NoBytes,
    /// These are no pairs of hex digits.
    #[error("`{0}` is no hex")]
    Hex(String),
}

/// All vectors, by their numbers.
///
/// # Errors
/// The first one that is not well formed.
pub fn embedded() -> Result<Vec<Vector>, VectorError> {
    let mut vectors = Vec::new();
    let folder = SPEC.get_dir("vectors");
    for file in folder.iter().flat_map(|folder| folder.files()) {
        let path = format!("{FOLDER}/{}", file.path().display());
        if !path.ends_with(".json") || path.ends_with("schema.json") {
            continue;
        }
        let read: File =
            serde_json::from_slice(file.contents()).map_err(|error| VectorError::File {
                file: path.clone(),
                error,
            })?;
        for source in read.tests {
            let id = source["id"].clone();
            let vector = vector(&read.op, read.from, &path, source);
            vectors.push(vector.map_err(|fault| VectorError::Vector {
                file: path.clone(),
                id,
                fault,
            })?);
        }
    }
    vectors.sort_by_key(|vector| vector.id);
    Ok(vectors)
}

#[derive(Deserialize)]
struct File {
    op: String,
    from: Sender,
    tests: Vec<Value>,
}

#[derive(Deserialize)]
struct Raw {
    id: u32,
    comment: String,
    flags: Vec<String>,
    rules: Vec<String>,
    message: Option<Vec<Field>>,
    #[serde(default)]
    outcomes: Vec<RawOutcome>,
    nonstrict: Option<RawOutcome>,
    #[serde(flatten)]
    own: RawOutcome,
}

#[derive(Deserialize)]
struct RawOutcome {
    result: String,
    hex: Option<String>,
    repeat: Option<Vec<Part>>,
    #[serde(default)]
    messages: Vec<Vec<Field>>,
    #[serde(default)]
    consumed: usize,
    at: Option<usize>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Field {
    Text(String),
    Repeat { repeat: Vec<Part> },
}

#[derive(Deserialize)]
struct Part {
    hex: String,
    times: usize,
}

fn vector(op: &str, from: Sender, file: &str, source: Value) -> Result<Vector, Fault> {
    let raw = Raw::deserialize(&source)?;
    let outcomes = match raw.own.result.as_str() {
        "acceptable" => &raw.outcomes[..],
        _ => std::slice::from_ref(&raw.own),
    };
    let task = match op {
        "decode" => Task::Decode {
            bytes: raw.own.bytes()?,
            outcomes: outcomes
                .iter()
                .map(RawOutcome::found)
                .collect::<Result<_, _>>()?,
            nonstrict: raw.nonstrict.as_ref().map(RawOutcome::found).transpose()?,
        },
        "encode" => Task::Encode {
            message: message(raw.message.as_deref().ok_or(Fault::NoMessage)?)?,
            outcomes: outcomes
                .iter()
                .map(RawOutcome::written)
                .collect::<Result<_, _>>()?,
        },
        other => return Err(Fault::Op(other.to_owned())),
    };
    Ok(Vector {
        id: raw.id,
        from,
        comment: raw.comment,
        flags: raw.flags,
        rules: raw.rules,
        task,
        file: file.to_owned(),
        source,
    })
}

impl RawOutcome {
    fn bytes(&self) -> Result<Vec<u8>, Fault> {
        match (&self.hex, &self.repeat) {
            (Some(hex), None) => of_hex(hex),
            (None, Some(parts)) => expand(parts),
            _ => Err(Fault::NoBytes),
        }
    }

    fn found(&self) -> Result<Found, Fault> {
        let state = match self.result.as_str() {
            "valid" => State::Open,
            "incomplete" => State::Incomplete,
            "invalid" => State::Invalid,
            other => return Err(Fault::Result(other.to_owned())),
        };
        let messages = self.messages.iter().map(|fields| message(fields));
        Ok(Found {
            messages: messages.collect::<Result<_, _>>()?,
            consumed: self.consumed,
            state,
            at: self.at,
        })
    }

    fn written(&self) -> Result<Written, Fault> {
        match self.result.as_str() {
            "valid" => self.bytes().map(Written::Bytes),
            "invalid" => Ok(Written::Refused),
            other => Err(Fault::Result(other.to_owned())),
        }
    }
}

fn message(fields: &[Field]) -> Result<Message, Fault> {
    let text = |field: &Field| match field {
        Field::Text(text) => Ok(text.clone()),
        Field::Repeat { repeat } => Ok(expand(repeat)?.into_iter().map(char::from).collect()),
    };
    fields.iter().map(text).collect()
}

fn expand(parts: &[Part]) -> Result<Vec<u8>, Fault> {
    let mut bytes = Vec::new();
    for part in parts {
        bytes.extend(of_hex(&part.hex)?.repeat(part.times));
    }
    Ok(bytes)
}

fn of_hex(text: &str) -> Result<Vec<u8>, Fault> {
    unhex(text).ok_or_else(|| Fault::Hex(text.to_owned()))
}

/// The bytes of pairs of hex digits.
pub fn unhex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) {
        return None;
    }
    let digit = |byte: &u8| char::from(*byte).to_digit(16);
    text.as_bytes()
        .chunks_exact(2)
        .map(|pair| u8::try_from(digit(&pair[0])? * 16 + digit(&pair[1])?).ok())
        .collect()
}

/// Pairs of hex digits.
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_vectors_are_well_formed() {
        let vectors = embedded().unwrap();
        assert!(vectors.len() >= 200, "{}", vectors.len());
    }

    #[test]
    fn hex_is_read_as_it_is_written() {
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(unhex(&hex(&all)), Some(all));
        assert_eq!((unhex("0"), unhex("0g"), unhex("+1")), (None, None, None));
    }
}
