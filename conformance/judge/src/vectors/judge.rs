//! The questions of a vector, and which answers are right.

use netroxy_specification::vectors::{Found, State, Task, Vector, Written, hex};

use super::contract::{self, Answer};

/// One question to a codec.
pub(super) struct Question {
    /// How the bytes arrive, for reports.
    pub(crate) how: String,
    /// Without its LF.
    pub(super) line: String,
    right: Right,
}

/// The value of an answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Worth {
    Right,
    /// Allowed, but not recommended.
    Nonstrict,
    Wrong,
    Unsupported,
}

enum Right {
    Found {
        any: Vec<Found>,
        nonstrict: Option<Found>,
    },
    Written(Vec<Written>),
}

/// All questions of a vector.
pub(super) fn questions(vector: &Vector) -> Vec<Question> {
    let (bytes, outcomes, nonstrict) = match &vector.task {
        Task::Encode { message, outcomes } => {
            return vec![Question {
                how: "to be written".to_owned(),
                line: contract::encode(vector.id, vector.from, message),
                right: Right::Written(outcomes.clone()),
            }];
        }
        Task::Decode {
            bytes,
            outcomes,
            nonstrict,
        } => (bytes, outcomes, nonstrict),
    };
    let ask = |how: String, chunks: &[&[u8]], end: bool, any: Vec<Found>, lenient| Question {
        how,
        line: contract::decode(vector.id, vector.from, chunks, end),
        right: Right::Found {
            any,
            nonstrict: lenient,
        },
    };
    let mut asked: Vec<(Vec<&[u8]>, bool)> = Vec::new();
    let mut questions = Vec::new();
    for (how, chunks, end) in arrivals(bytes) {
        if !asked.contains(&(chunks.clone(), end)) {
            questions.push(ask(
                how.to_owned(),
                &chunks,
                end,
                outcomes.clone(),
                nonstrict.clone(),
            ));
            asked.push((chunks, end));
        }
    }
    // Up to `at` the bytes could be valid. A codec that gives up earlier refuses valid messages too.
    for found in outcomes {
        let Some(before) = found.at.map(|at| at - 1).filter(|before| *before > 0) else {
            continue;
        };
        let early = Found {
            state: if before > found.consumed {
                State::Incomplete
            } else {
                State::Open
            },
            at: None,
            ..found.clone()
        };
        let prefix = bytes.get(..before).unwrap_or(bytes);
        questions.push(ask(
            format!("only the first {before} bytes"),
            &[prefix],
            false,
            vec![early],
            None,
        ));
    }
    questions
}

impl Question {
    /// The value of `answer`.
    pub(super) fn worth(&self, answer: &Answer) -> Worth {
        match (&self.right, answer) {
            (_, Answer::Unsupported) => Worth::Unsupported,
            (Right::Found { any, nonstrict }, Answer::Found(found)) => {
                if any.iter().any(|right| same(right, found)) {
                    Worth::Right
                } else if nonstrict.as_ref().is_some_and(|right| same(right, found)) {
                    Worth::Nonstrict
                } else {
                    Worth::Wrong
                }
            }
            (Right::Written(any), Answer::Bytes(bytes)) => {
                let right = |one: &Written| matches!(one, Written::Bytes(right) if right == bytes);
                if any.iter().any(right) {
                    Worth::Right
                } else {
                    Worth::Wrong
                }
            }
            (Right::Written(any), Answer::Error(_)) if any.contains(&Written::Refused) => {
                Worth::Right
            }
            _ => Worth::Wrong,
        }
    }

    /// The right answers, for reports.
    pub(super) fn expected(&self) -> Vec<String> {
        match &self.right {
            Right::Found { any, .. } => any.iter().map(found).collect(),
            Right::Written(any) => any.iter().map(written).collect(),
        }
    }
}

impl Answer {
    /// The answer, for reports.
    pub(super) fn shown(&self) -> String {
        match self {
            Self::Found(it) => found(it),
            Self::Bytes(bytes) => written(&Written::Bytes(bytes.clone())),
            Self::Error(why) => format!("error: {}", shortened(why)),
            Self::Unsupported => "unsupported".to_owned(),
        }
    }
}

/// Compares answers. How many bytes a codec needs to detect an error is not judged here.
fn same(one: &Found, other: &Found) -> bool {
    (one.state, one.consumed, &one.messages) == (other.state, other.consumed, &other.messages)
}

/// More bytes arrive in a few large pieces only, because they take more time.
const SMALL: usize = 16 << 10;

/// How the bytes of a vector arrive.
fn arrivals(bytes: &[u8]) -> Vec<(&'static str, Vec<&[u8]>, bool)> {
    let whole = ("in one piece, then the end", vec![bytes], true);
    if bytes.len() > SMALL {
        let pieces = bytes.chunks(65_521).collect();
        return vec![whole, ("in pieces of 65521 bytes", pieces, false)];
    }
    let ends: Vec<usize> = bytes
        .iter()
        .enumerate()
        .filter(|(_, byte)| **byte == b'\n')
        .map(|(at, _)| at)
        .collect();
    let starts = std::iter::once(0).chain(ends.iter().map(|end| end + 1));
    let middles = starts
        .zip(ends.iter().copied().chain([bytes.len()]))
        .map(|(start, end)| start.midpoint(end));
    let after = ends.iter().map(|end| end + 1);
    vec![
        ("in one piece", vec![bytes], false),
        whole,
        ("byte by byte", bytes.chunks(1).collect(), true),
        ("cut within every line", cut(bytes, middles), false),
        (
            "cut before every LF",
            cut(bytes, ends.iter().copied()),
            false,
        ),
        ("cut after every LF", cut(bytes, after), false),
    ]
}

/// The pieces between the places in `at`, which ascend; empty ones are left out.
fn cut(bytes: &[u8], at: impl Iterator<Item = usize>) -> Vec<&[u8]> {
    let mut pieces = Vec::new();
    let mut from = 0;
    for to in at.chain([bytes.len()]) {
        if let Some(piece) = bytes.get(from..to).filter(|piece| !piece.is_empty()) {
            pieces.push(piece);
            from = to;
        }
    }
    pieces
}

fn found(found: &Found) -> String {
    let state = match found.state {
        State::Open => "open",
        State::Incomplete => "incomplete",
        State::Invalid => "invalid",
    };
    let messages = serde_json::json!(found.messages).to_string();
    format!(
        "{state}, {} bytes consumed, messages {}",
        found.consumed,
        shortened(&messages)
    )
}

fn written(written: &Written) -> String {
    match written {
        Written::Bytes(bytes) => format!("{} {}", escaped(bytes), shortened(&hex(bytes))),
        Written::Refused => "an error: this must not be sent".to_owned(),
    }
}

/// The beginning of some bytes, quoted.
pub fn escaped(bytes: &[u8]) -> String {
    match bytes.get(..SHOWN) {
        Some(start) => format!("\"{}\"... ({} bytes)", start.escape_ascii(), bytes.len()),
        None => format!("\"{}\"", bytes.escape_ascii()),
    }
}

/// How many bytes or characters are shown.
const SHOWN: usize = 160;

/// The beginning of a text, on one line.
pub fn shortened(text: &str) -> String {
    let text = text.replace(char::is_control, " ");
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}... ({} bytes)", &text[..end], text.len()),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use netroxy_specification::vectors::embedded;

    use super::*;

    #[test]
    fn every_arrival_has_all_bytes() {
        for bytes in [&b""[..], b"SRQ", b"MAP\n\n\nx\n", &[b'x'; 70_000]] {
            for (how, chunks, _) in arrivals(bytes) {
                assert_eq!(chunks.concat(), bytes, "{how}");
            }
        }
    }

    #[test]
    fn a_line_is_cut_in_its_middle_and_at_its_ends() {
        let bytes = b"SRQ\nTRS\n";
        assert_eq!(
            cut(bytes, [3, 7].into_iter()),
            [&b"SRQ"[..], b"\nTRS", b"\n"]
        );
        let arrivals = arrivals(bytes);
        let chunks = &arrivals[3].1;
        assert_eq!(*chunks, [&b"S"[..], b"RQ\nT", b"RS\n"]);
    }

    #[test]
    fn the_outcomes_of_a_vector_are_right_and_others_are_not() {
        for vector in embedded().unwrap() {
            for question in questions(&vector) {
                let Right::Found { any, nonstrict } = &question.right else {
                    continue;
                };
                for right in any {
                    let answer = Answer::Found(right.clone());
                    assert_eq!(question.worth(&answer), Worth::Right, "{}", vector.id);
                    let mut wrong = right.clone();
                    wrong.consumed += 1;
                    assert_ne!(question.worth(&Answer::Found(wrong)), Worth::Right);
                    let mut wrong = right.clone();
                    wrong.messages.push(vec!["SRQ".into()]);
                    assert_ne!(question.worth(&Answer::Found(wrong)), Worth::Right);
                }
                if let Some(lenient) = nonstrict {
                    let answer = Answer::Found(lenient.clone());
                    assert_eq!(question.worth(&answer), Worth::Nonstrict, "{}", vector.id);
                }
                assert_eq!(question.worth(&Answer::Error("no".into())), Worth::Wrong);
            }
        }
    }
}
