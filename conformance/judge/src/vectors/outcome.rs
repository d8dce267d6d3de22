//! What becomes of a vector, and of a codec that cannot be judged.

use std::time::Duration;

use super::judge::Question;

/// The result of a vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grade {
    /// Every answer was right.
    Pass,
    /// Every answer was right or allowed.
    Nonstrict,
    /// The codec does not support it, or was not asked.
    Skip,
    /// An answer was wrong.
    Fail,
    /// An answer could not be read.
    Rubbish,
    /// The codec has ended.
    Crash,
    /// It gave no answer in time.
    Hang,
    /// Its answer had no end.
    Flood,
}

/// A vector that has been judged.
#[derive(Debug)]
pub struct Judged {
    /// The result.
    pub grade: Grade,
    /// The question that decided, if the result is no pass.
    pub seen: Option<Seen>,
    /// How long all answers took.
    pub took: Duration,
}

/// A question and its answer.
#[derive(Debug)]
pub struct Seen {
    /// How the bytes arrived.
    pub how: String,
    /// The answers that are right.
    pub expected: Vec<String>,
    /// The answer that came.
    pub got: String,
}

/// A codec that cannot be judged.
#[derive(Debug, thiserror::Error)]
pub enum NotReady {
    /// The program does not exist, or may not be run.
    #[error("cannot start it: {0}")]
    Start(String),
    /// No file descriptor was left for it.
    #[error("{0}")]
    Shortage(String),
    /// It answers a good or a bad message wrong.
    #[error("{how} was answered wrong\nexpected  {expected}\ngot       {got}")]
    Dishonest {
        /// The question.
        how: String,
        /// The answers that are right.
        expected: String,
        /// The answer that came.
        got: String,
    },
    /// It supports nothing that vectors ask for.
    #[error("it answers that it supports nothing")]
    Nothing,
}

impl Grade {
    /// Its name in reports, in capitals.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pass => "PASS",
            Self::Nonstrict => "NONSTRICT",
            Self::Skip => "SKIP",
            Self::Fail => "FAIL",
            Self::Rubbish => "RUBBISH",
            Self::Crash => "CRASH",
            Self::Hang => "HANG",
            Self::Flood => "FLOOD",
        }
    }

    /// Whether it counts as failed; with `strict`, nonstrict does too.
    pub fn is_red(self, strict: bool) -> bool {
        match self {
            Self::Pass | Self::Skip => false,
            Self::Nonstrict => strict,
            Self::Fail | Self::Rubbish | Self::Crash | Self::Hang | Self::Flood => true,
        }
    }
}

impl Seen {
    pub(super) fn of(question: &Question, got: String) -> Self {
        Self {
            how: question.how.clone(),
            expected: question.expected(),
            got,
        }
    }

    pub(super) fn skipped(why: &str) -> Self {
        Self {
            how: String::new(),
            expected: Vec::new(),
            got: why.to_owned(),
        }
    }
}
