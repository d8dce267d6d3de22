//! What a step expects, and what was seen instead.

use std::fmt;
use std::time::Duration;

use netroxy_specification::message::{Decoded, first_message};
use netroxy_specification::notation::ast::{Action, Expectation, Step, Template};
use netroxy_specification::notation::{print_action, print_step};

use super::pattern::NoValue;
use crate::sut::PairError;
use crate::transcript;
use crate::wire::{End, State, WriteError};

/// What was expected and did not come true.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expected {
    /// A step of the case, without its marks and its comment.
    Step(Box<Step>),
    /// After the case the program still works: a client can log in to a server, a pair carries a tunnel.
    StillWorks,
}

/// What was seen instead of what a step expects, or why the step could not be carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mismatch {
    /// What had come.
    Seen(Seen),
    /// What had come at the end of the wait is not complete.
    Incomplete {
        /// What had come.
        seen: Seen,
        /// How long it was waited for.
        waited: Duration,
    },
    /// The bytes began as expected, then the connection ended.
    EndedAfter {
        /// Bytes that came as expected.
        got: usize,
        /// Bytes that were expected.
        total: usize,
        /// How it ended, if that is shown.
        end: Option<End>,
    },
    /// The fence failed on another connection than that of the step.
    On {
        /// The name of that connection.
        connection: String,
        /// What was seen there instead of SRS.
        got: Box<Self>,
    },
    /// The fence failed.
    Fence {
        /// What was seen instead.
        got: Box<Self>,
        /// What had to come, if that is shown.
        instead_of: Option<&'static str>,
    },
    /// Mappings are missing that the client has to ask for.
    Unmapped {
        /// What came instead of MAP.
        got: Box<Self>,
        /// The missing ones, in the notation.
        missing: String,
    },
    /// It came at the wrong time.
    Untimely(Untimely),
    /// Anything else, in words.
    Other(String),
}

/// What came at the wrong time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Untimely {
    /// It came before the lower bound of the step.
    Early {
        /// By how much.
        by: Duration,
        /// The bound.
        low: Duration,
    },
    /// It came after the upper bound of the step, by so much.
    Late(Duration),
}

impl fmt::Display for Untimely {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Early { by, low } => write!(
                f,
                "it came {:.3} s too early: not before {} s after our last act",
                by.as_secs_f64(),
                low.as_secs_f64()
            ),
            Self::Late(by) => write!(f, "it came {:.3} s too late", by.as_secs_f64()),
        }
    }
}

/// What has come on a connection and was not read, and how the connection has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// In the notation; `None` if nothing has come.
    came: Option<String>,
    end: Option<End>,
}

impl Seen {
    /// The unread bytes of an inbox, and its end.
    pub(super) fn of(state: &State) -> Self {
        let unread = state.unread();
        Self {
            came: (!unread.is_empty()).then(|| in_notation(unread)),
            end: state.end.clone(),
        }
    }

    /// A message has come.
    pub(super) fn message(lines: &[Vec<u8>]) -> Self {
        let message = Expectation::Message(transcript::message(lines));
        Self {
            came: Some(print_action(&Action::Expect(message))),
            end: None,
        }
    }

    /// Nothing has come on a connection that is open.
    pub(super) fn nothing() -> Self {
        Self {
            came: None,
            end: None,
        }
    }

    /// Whether nothing has come but the end.
    pub(super) fn is_close(&self) -> bool {
        self.came.is_none() && self.end.is_some()
    }
}

/// Bytes that a mismatch shows.
const SHOWN: usize = 80;

/// The first message, or the first bytes.
fn in_notation(unread: &[u8]) -> String {
    let expectation = match first_message(unread) {
        Decoded::Whole { lines, .. } => Expectation::Message(transcript::message(&lines)),
        Decoded::Partial | Decoded::Unknown => {
            Expectation::Raw(Template::bytes(&unread[..unread.len().min(SHOWN)]))
        }
    };
    let more = match expectation {
        Expectation::Raw(_) => unread.len().saturating_sub(SHOWN),
        _ => 0,
    };
    let text = print_action(&Action::Expect(expectation));
    match more {
        0 => text,
        more => format!("{text} and {more} bytes more"),
    }
}

/// How the ends of connections are written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ends {
    /// As they came.
    Told,
    /// All ends alike, because the kind of end is not judged apart. An end after bytes is left out, because it is
    /// chance whether it had come when the suite looked. Garbled bytes and floods are no ends, so they are written.
    Alike,
}

/// Writes a mismatch with its ends in one of these ways.
struct Written<'a>(&'a Mismatch, Ends);

impl Mismatch {
    /// The text without what is not judged apart: how a connection ended, and whether an end followed the bytes.
    pub(crate) fn alike(&self) -> String {
        Written(self, Ends::Alike).to_string()
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Written(self, Ends::Told).fmt(f)
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, Ends::Told)
    }
}

impl Seen {
    fn write(&self, f: &mut fmt::Formatter<'_>, ends: Ends) -> fmt::Result {
        let told = |end: &End| ends == Ends::Told || !end.is_closed();
        match (&self.came, &self.end) {
            (None, None) => f.write_str("nothing; the connection is open"),
            (None, Some(end)) if told(end) => write!(f, "closed ({end})"),
            (None, Some(_)) => f.write_str("closed"),
            (Some(came), Some(end)) if told(end) => write!(f, "{came}, then closed ({end})"),
            (Some(came), _) => f.write_str(came),
        }
    }
}

impl fmt::Display for Written<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(mismatch, ends) = *self;
        match mismatch {
            Mismatch::Seen(seen) => seen.write(f, ends),
            Mismatch::Incomplete { seen, waited } => {
                seen.write(f, ends)?;
                let waited = waited.as_secs_f64();
                write!(f, " in {waited:.1} s, which is not complete")
            }
            Mismatch::EndedAfter { got, total, end } => {
                write!(f, "the first {got} of {total} bytes")?;
                match end {
                    None => f.write_str(", then closed"),
                    Some(end) if ends == Ends::Told || !end.is_closed() => {
                        write!(f, ", then closed ({end})")
                    }
                    Some(_) => Ok(()),
                }
            }
            Mismatch::On { connection, got } => {
                let got = Self(got, ends);
                write!(f, "{got} on `{connection}`, which was to answer SRQ")
            }
            Mismatch::Fence { got, instead_of } => {
                write!(f, "fence: {}", Self(got, ends))?;
                instead_of.map_or(Ok(()), |wanted| write!(f, " instead of {wanted}"))
            }
            Mismatch::Unmapped { got, missing } => {
                write!(f, "{}; still missing: {missing}", Self(got, ends))
            }
            Mismatch::Untimely(untimely) => untimely.fmt(f),
            Mismatch::Other(text) => f.write_str(text),
        }
    }
}

impl From<String> for Mismatch {
    fn from(text: String) -> Self {
        Self::Other(text)
    }
}

impl From<&str> for Mismatch {
    fn from(text: &str) -> Self {
        Self::Other(text.to_owned())
    }
}

impl From<NoValue> for Mismatch {
    fn from(error: NoValue) -> Self {
        Self::Other(error.to_string())
    }
}

impl From<Untimely> for Mismatch {
    fn from(untimely: Untimely) -> Self {
        Self::Untimely(untimely)
    }
}

impl From<PairError> for Mismatch {
    fn from(error: PairError) -> Self {
        Self::Other(error.to_string())
    }
}

impl From<WriteError> for Mismatch {
    fn from(error: WriteError) -> Self {
        Self::Other(error.to_string())
    }
}

impl From<Seen> for Mismatch {
    fn from(seen: Seen) -> Self {
        Self::Seen(seen)
    }
}

/// In the words of the case.
impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Step(step) => f.write_str(&print_step(step)),
            Self::StillWorks => f.write_str("what worked before the case"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Inbox;

    fn seen(bytes: &[u8], end: Option<End>) -> Mismatch {
        let inbox = Inbox::default();
        assert!(inbox.push(bytes));
        end.into_iter().for_each(|end| inbox.end(end));
        inbox.look(|state| Seen::of(state)).into()
    }

    #[test]
    fn what_came_instead_is_written_in_the_notation() {
        let told = |bytes: &[u8], end| seen(bytes, end).to_string();
        assert_eq!(told(b"", None), "nothing; the connection is open");
        assert_eq!(told(b"", Some(End::Eof)), "closed (eof)");
        assert_eq!(told(b"SRS\nSRS\n", None), "< SRS");
        assert_eq!(told(b"hello", None), "<< \"hello\"");
        let reset = End::Broken("Connection reset".to_owned());
        let both = "<< \"hello\", then closed (connection reset)";
        assert_eq!(told(b"hello", Some(reset)), both);
        let long = format!("<< \"{}\" and 20 bytes more", "x".repeat(80));
        assert_eq!(told(&[b'x'; 100], None), long);
        assert!(!told(&[b'x'; 80], None).contains("more"));
        assert!(told(b"", Some(End::Flooded)).contains("it floods"));
    }

    #[test]
    fn ends_that_are_not_judged_apart_are_written_alike() {
        let reset = || End::Broken("Connection reset".to_owned());
        let alike = |bytes: &[u8], end| seen(bytes, Some(end)).alike();
        assert_eq!(alike(b"", End::Eof), "closed");
        assert_eq!(alike(b"", reset()), "closed");
        assert_eq!(alike(b"SRS\n", reset()), "< SRS");
        let garbled = End::Garbled("x".to_owned());
        assert_eq!(alike(b"", garbled), "closed (not closed, but no TLS: x)");
        assert!(alike(b"", End::Flooded).contains("it floods"));
        let ended = |end| Mismatch::EndedAfter {
            got: 1,
            total: 2,
            end,
        };
        assert_eq!(ended(None).alike(), "the first 1 of 2 bytes, then closed");
        assert_eq!(ended(Some(End::Eof)).alike(), "the first 1 of 2 bytes");
        let on = Mismatch::On {
            connection: "ctl".to_owned(),
            got: Box::new(seen(b"", Some(reset()))),
        };
        let told = "closed on `ctl`, which was to answer SRQ";
        assert_eq!(on.alike(), told);
    }
}
