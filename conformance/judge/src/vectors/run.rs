//! Asks a codec all questions, and starts it again after it has ended.

use std::ffi::OsString;
use std::time::{Duration, Instant};

use netroxy_specification::vectors::Vector;
use tokio_util::sync::CancellationToken;

use super::ask::ask_one;
use super::codec::Codec;
use super::judge::{Worth, questions};
use super::outcome::{Grade, Judged, NotReady, Seen};
use super::probe::probe;
use crate::descriptors::Since;
use crate::sut::explained;

/// How vectors are run.
#[derive(Debug, Clone)]
pub struct Options {
    /// The command that starts the codec.
    pub command: Vec<OsString>,
    /// How long an answer may take.
    pub deadline: Duration,
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

/// The first word of the command.
fn program(options: &Options) -> String {
    let program = options.command.first();
    program.map_or_else(String::new, |word| word.to_string_lossy().into_owned())
}

/// After so many hangs no more questions are asked.
const PATIENCE: u32 = 3;
const IMPATIENT: &str = "not asked: the codec has hung 3 times";

/// Asks all questions of a vector. The first bad answer decides.
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
