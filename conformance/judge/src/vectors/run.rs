//! Asks a codec everything, and starts it again when it has died.

use std::ffi::OsString;
use std::time::{Duration, Instant};

use netroxy_specification::vectors::Vector;
use tokio_util::sync::CancellationToken;

use super::codec::{Codec, Trouble};
use super::contract::answer;
use super::judge::{Question, Worth, questions, shortened};
use super::probe::probe;
use crate::descriptors::Since;
use crate::sut::explained;

/// How vectors are run.
#[derive(Debug, Clone)]
pub struct Options {
    /// The codec.
    pub command: Vec<OsString>,
    /// How long an answer may take.
    pub deadline: Duration,
}

/// What a vector has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grade {
    /// Every answer was right.
    Pass,
    /// Every answer was right or allowed.
    Nonstrict,
    /// The codec does not do such things, or was not asked.
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
    /// What it has come to.
    pub grade: Grade,
    /// What decided, when it was no pass.
    pub seen: Option<Seen>,
    /// How long all answers took.
    pub took: Duration,
}

/// One question and what came of it.
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
    /// There is no such program, or it must not be run.
    #[error("cannot start it: {0}")]
    Start(String),
    /// No file descriptor was left for it.
    #[error("{0}")]
    Shortage(String),
    /// It does not tell right from wrong.
    #[error("{how} was answered wrong\nexpected  {expected}\ngot       {got}")]
    Dishonest {
        /// What was asked.
        how: String,
        /// The answers that are right.
        expected: String,
        /// The answer that came.
        got: String,
    },
    /// It does nothing of what vectors are about.
    #[error("it answers that it supports nothing")]
    Nothing,
}

/// Asks about every vector in turn until `stop` is cancelled.
///
/// # Errors
/// When the codec cannot be started, or fails in what every codec can do.
pub async fn run(
    vectors: &[Vector],
    options: &Options,
    stop: &CancellationToken,
    mut each: impl FnMut(&Vector, &Judged),
) -> Result<(), NotReady> {
    let since = Since::now();
    let started = Codec::start(&options.command).map_err(|error| match since.shortage() {
        Some(shortage) => NotReady::Shortage(shortage),
        None => NotReady::Start(explained(&program(options), &error)),
    });
    let mut codec = Some(started?);
    if let Some(codec) = &mut codec {
        let probed = stop.run_until_cancelled(probe(codec, options.deadline));
        probed.await.transpose()?;
    }
    let mut hangs = 0;
    for vector in vectors {
        let begun = Instant::now();
        let ask = ask(&mut codec, vector, options);
        let (grade, seen) = if hangs == PATIENCE {
            (Grade::Skip, Some(Seen::skipped(IMPATIENT)))
        } else {
            match stop.run_until_cancelled(ask).await {
                Some(judged) => judged,
                None => break,
            }
        };
        hangs += u32::from(grade == Grade::Hang);
        let took = begun.elapsed();
        each(vector, &Judged { grade, seen, took });
    }
    if let Some(codec) = codec {
        codec.stop().await;
    }
    Ok(())
}

impl Grade {
    /// In capitals, as in reports.
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
    fn of(question: &Question, got: String) -> Self {
        Self {
            how: question.how.clone(),
            expected: question.expected(),
            got,
        }
    }

    fn skipped(why: &str) -> Self {
        Self {
            how: String::new(),
            expected: Vec::new(),
            got: why.to_owned(),
        }
    }
}

/// The first word of the command.
fn program(options: &Options) -> String {
    let program = options.command.first();
    program.map_or_else(String::new, |word| word.to_string_lossy().into_owned())
}

/// After so many hangs the rest is not asked any more.
const PATIENCE: u32 = 3;
const IMPATIENT: &str = "not asked: the codec has hung 3 times";

/// Asks all questions of a vector; the first that is not answered well decides.
async fn ask(
    codec: &mut Option<Codec>,
    vector: &Vector,
    options: &Options,
) -> (Grade, Option<Seen>) {
    let mut lenient = None;
    for (index, question) in questions(vector).iter().enumerate() {
        let running = match codec.take() {
            Some(running) => running,
            None => match Codec::start(&options.command) {
                Ok(running) => running,
                Err(error) => {
                    let why = explained(&program(options), &error);
                    let got = format!("it cannot be started again: {why}");
                    return (Grade::Crash, Some(Seen::of(question, got)));
                }
            },
        };
        let running = codec.insert(running);
        let worth = match ask_one(running, vector.id, question, options.deadline).await {
            Ok((worth, got)) => (worth, got),
            Err((grade, got)) => {
                if let Some(spoilt) = codec.take() {
                    spoilt.kill().await;
                }
                return (grade, Some(Seen::of(question, got)));
            }
        };
        match worth {
            (Worth::Right, _) => {}
            (Worth::Nonstrict, got) => {
                lenient.get_or_insert_with(|| Seen::of(question, got));
            }
            (Worth::Unsupported, _) if index == 0 => {
                return (
                    Grade::Skip,
                    Some(Seen::skipped("the codec does not support it")),
                );
            }
            (Worth::Wrong | Worth::Unsupported, got) => {
                return (Grade::Fail, Some(Seen::of(question, got)));
            }
        }
    }
    match lenient {
        Some(seen) => (Grade::Nonstrict, Some(seen)),
        None => (Grade::Pass, None),
    }
}

/// What one answer is worth and how it reads, or which trouble there is instead.
pub(super) async fn ask_one(
    codec: &mut Codec,
    id: u32,
    question: &Question,
    deadline: Duration,
) -> Result<(Worth, String), (Grade, String)> {
    let line = codec.ask(&question.line, deadline).await;
    let line = line.map_err(|trouble| {
        let grade = match &trouble {
            Trouble::Ended(_) => Grade::Crash,
            Trouble::Silent(_) | Trouble::Unflushed(_) => Grade::Hang,
            Trouble::Flood => Grade::Flood,
            Trouble::Unasked => Grade::Rubbish,
        };
        (grade, trouble.to_string())
    })?;
    let shown = shortened(&String::from_utf8_lossy(&line));
    let answer = answer(id, &line).map_err(|why| {
        let cause = match line.first() {
            Some(b'{') => "",
            _ => "; if a wrapper or a log says this, it has to go to standard error",
        };
        (Grade::Rubbish, format!("{shown}: {why}{cause}"))
    })?;
    Ok((question.worth(&answer), answer.shown()))
}
