//! The verdict of a case, and the facts that decide it.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use serde::Serialize;

use crate::player::{Broken, Remark};
use crate::skip::Skip;
use crate::sut::Kind;
use crate::transcript::{Line, Transcript};

/// The verdict of a run of a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// All steps came true.
    Pass,
    /// All steps came true, but the program did something that is allowed and not recommended.
    Nonstrict,
    /// The case was not run; the reason says why.
    Skip,
    /// It failed as the list of known failures says.
    KnownFailing,
    /// The list of known failures says that it fails, but it passed.
    UnexpectedPass,
    /// A step that judges a rule did not come true.
    Fail,
    /// A step that only prepares others did not come true, so the rules of the case could not be judged.
    Blocked,
    /// The judged program ended by itself.
    Crash,
    /// The judged program runs, but no longer answers.
    Hang,
    /// The judged program did not become ready.
    NotReady,
    /// The suite failed, not the program.
    Harness,
}

/// A run that has been judged.
#[derive(Debug, Clone)]
pub struct Judged {
    /// The name of the case and the variant.
    pub id: String,
    /// The file of the case.
    pub file: String,
    /// The verdict.
    pub verdict: Verdict,
    /// The twin whose failure decided the verdict, if one did. Then the broken step and the transcript are those of the
    /// twin.
    pub twin: Option<String>,
    /// The reason of the verdict, if no broken step is the reason.
    pub reason: Option<Reason>,
    /// The step that did not come true, if there is one.
    pub broken: Option<Broken>,
    /// What the program did that is allowed but not recommended.
    pub remarks: Vec<Remark>,
    /// The rules of all steps that were judged, whether they came true or not.
    pub judged_rules: BTreeSet<String>,
    /// The entry of the list of known failures, if there is one.
    pub listed: Option<Listed>,
    /// Notes for the reader of the report.
    pub notes: Vec<RunNote>,
    /// The transcript, if the case was played.
    pub transcript: Option<Transcript>,
    /// The messages between the two programs of a pair, recorded when the case was played once more.
    pub heard: Option<Heard>,
    /// The end of the log of the judged program, if a step failed, or the program ended or did not become ready; else
    /// empty.
    pub log: String,
    /// How long it took.
    pub took: Duration,
}

/// The messages between the two programs of a pair, recorded by a relay when a failed case was played once more.
#[derive(Debug, Clone)]
pub struct Heard {
    /// The verdict of that second run, which does not count.
    pub verdict: Verdict,
    /// What happened in the second run, if it did not fail at the same step with the same verdict.
    pub otherwise: Option<String>,
    /// Whether the messages could be read: not over TLS.
    pub readable: bool,
    /// The names of the connections between the two, as in the lines, and their kinds.
    pub connections: Vec<(String, Kind)>,
    /// The messages of the two, and what users and services did, in the order of their times since the relay began.
    pub lines: Vec<Line>,
    /// How many lines of the two were left out because there were too many.
    pub left_out: usize,
}

/// An entry of a list of known failures.
#[derive(Debug, Clone)]
pub struct Listed {
    /// What was seen when the list was written.
    pub got: String,
    /// Why it fails.
    pub why: String,
}

/// The reason of a verdict that does not come from a broken step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// The program was not judged.
    Unjudged(Unjudged),
    /// The program has ended by itself, with this status.
    Ended(String),
    /// The program runs but no longer serves: what it does not do.
    Hangs(String),
    /// The twin of this id failed, so the case proves nothing.
    Twin(String),
}

/// Why a program was not judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unjudged {
    /// The case is not run.
    Skipped(Skip),
    /// The program did not become ready: what failed, or how the program ended.
    NotReady(String),
    /// The suite failed: why.
    Harness(String),
}

/// A note about a run for the reader of the report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunNote {
    /// It was played once more, because a step was late while the machine stood still for so long.
    PlayedAgain {
        /// How long the machine stood still.
        stall: Duration,
    },
    /// The list of known failures does not fit the result: how.
    Baseline(String),
}

/// The facts of a run that decide its verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Facts {
    /// The program has ended by itself.
    pub(crate) ended: bool,
    /// The program runs but no longer serves.
    pub(crate) hangs: bool,
    /// How the steps ended.
    pub(crate) steps: Steps,
    /// The verdict of the twin, if the case has one and it was played.
    pub(crate) twin: Option<Verdict>,
}

/// How the steps of a case ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Steps {
    /// The case does not apply to the peer, as its steps have shown.
    Skipped,
    /// All came true.
    Kept,
    /// All came true, but one in a way that is allowed and not recommended.
    Remarked,
    /// All came true, but after them the program no longer serves.
    SpoiltAfterwards,
    /// A step that only prepares others did not come true.
    PreparingBroken,
    /// A step that judges a rule did not come true.
    JudgingBroken,
}

impl Facts {
    /// The facts of a program that runs and serves, for a case without a twin.
    pub(crate) fn of(steps: Steps) -> Self {
        Self {
            ended: false,
            hangs: false,
            steps,
            twin: None,
        }
    }
}

/// The verdict of a run. A program that has ended or hangs decides before the steps. A twin decides only if the case
/// itself is not red: a program that closes every connection breaks no rule about closing, but proves nothing.
pub(crate) fn decide(facts: Facts) -> Verdict {
    let own = match facts {
        Facts { ended: true, .. } => Verdict::Crash,
        Facts { hangs: true, .. } => Verdict::Hang,
        Facts { steps, .. } => match steps {
            Steps::Skipped => Verdict::Skip,
            Steps::Kept => Verdict::Pass,
            Steps::Remarked => Verdict::Nonstrict,
            Steps::PreparingBroken => Verdict::Blocked,
            Steps::SpoiltAfterwards | Steps::JudgingBroken => Verdict::Fail,
        },
    };
    match facts.twin {
        Some(twin) if twin.is_red(false) && !own.is_red(false) => twin,
        _ => own,
    }
}

impl Unjudged {
    fn verdict(&self) -> Verdict {
        match self {
            Self::Skipped(_) => Verdict::Skip,
            Self::NotReady(_) => Verdict::NotReady,
            Self::Harness(_) => Verdict::Harness,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unjudged(Unjudged::Skipped(skip)) => skip.fmt(f),
            Self::Unjudged(Unjudged::NotReady(why) | Unjudged::Harness(why)) => f.write_str(why),
            Self::Ended(status) => write!(f, "the program ended by itself: {status}"),
            Self::Hangs(how) => write!(f, "it hangs: {how}"),
            Self::Twin(name) => {
                write!(
                    f,
                    "it proves nothing, because its twin {name} does not succeed"
                )
            }
        }
    }
}

impl fmt::Display for RunNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PlayedAgain { stall } => write!(
                f,
                "played once more: a step was late because the machine stood still for {} ms",
                stall.as_millis()
            ),
            Self::Baseline(what) => f.write_str(what),
        }
    }
}

impl Judged {
    /// The reason in words; empty if the verdict comes from a broken step.
    pub fn why(&self) -> String {
        self.reason
            .as_ref()
            .map_or_else(String::new, Reason::to_string)
    }

    /// A result of a run that was not judged.
    pub fn unjudged(id: String, file: String, why: Unjudged) -> Self {
        Self {
            id,
            file,
            verdict: why.verdict(),
            twin: None,
            reason: Some(Reason::Unjudged(why)),
            broken: None,
            remarks: Vec::new(),
            judged_rules: BTreeSet::new(),
            listed: None,
            notes: Vec::new(),
            transcript: None,
            heard: None,
            log: String::new(),
            took: Duration::ZERO,
        }
    }
}

impl Verdict {
    /// All verdicts, the green ones first.
    pub const ALL: [Self; 11] = [
        Self::Pass,
        Self::Nonstrict,
        Self::Skip,
        Self::KnownFailing,
        Self::UnexpectedPass,
        Self::Fail,
        Self::Blocked,
        Self::Crash,
        Self::Hang,
        Self::NotReady,
        Self::Harness,
    ];

    /// The name in reports for programs.
    pub fn key(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Nonstrict => "nonstrict",
            Self::Skip => "skip",
            Self::KnownFailing => "known",
            Self::UnexpectedPass => "unexpected",
            Self::Fail => "fail",
            Self::Blocked => "blocked",
            Self::Crash => "crash",
            Self::Hang => "hang",
            Self::NotReady => "not-ready",
            Self::Harness => "harness",
        }
    }

    /// The name in reports for people, in capitals.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pass => "PASS",
            Self::Nonstrict => "NONSTRICT",
            Self::Skip => "SKIP",
            Self::KnownFailing => "KNOWN",
            Self::UnexpectedPass => "UNEXPECTED",
            Self::Fail => "FAIL",
            Self::Blocked => "BLOCKED",
            Self::Crash => "CRASH",
            Self::Hang => "HANG",
            Self::NotReady => "NOT-READY",
            Self::Harness => "HARNESS",
        }
    }

    /// Whether it counts as a failure. With `strict`, [`Self::Nonstrict`] does too.
    pub fn is_red(self, strict: bool) -> bool {
        match self {
            Self::Pass | Self::Skip | Self::KnownFailing => false,
            Self::Nonstrict => strict,
            Self::UnexpectedPass
            | Self::Fail
            | Self::Blocked
            | Self::Crash
            | Self::Hang
            | Self::NotReady
            | Self::Harness => true,
        }
    }
}

impl Serialize for Verdict {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.key())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verdict_comes_from_a_crash_then_a_hang_then_the_steps_then_the_twin() {
        let steps = [
            (Steps::Skipped, Verdict::Skip),
            (Steps::Kept, Verdict::Pass),
            (Steps::Remarked, Verdict::Nonstrict),
            (Steps::SpoiltAfterwards, Verdict::Fail),
            (Steps::PreparingBroken, Verdict::Blocked),
            (Steps::JudgingBroken, Verdict::Fail),
        ];
        let twins = [
            None,
            Some(Verdict::Pass),
            Some(Verdict::Nonstrict),
            Some(Verdict::Hang),
        ];
        for (steps, own) in steps {
            for twin in twins {
                let decided = |ended, hangs| {
                    decide(Facts {
                        ended,
                        hangs,
                        steps,
                        twin,
                    })
                };
                assert_eq!(decided(true, true), Verdict::Crash);
                assert_eq!(decided(true, false), Verdict::Crash);
                assert_eq!(decided(false, true), Verdict::Hang);
                let proves_nothing = twin == Some(Verdict::Hang);
                let wanted = match own {
                    Verdict::Skip | Verdict::Pass | Verdict::Nonstrict if proves_nothing => {
                        Verdict::Hang
                    }
                    own => own,
                };
                assert_eq!(decided(false, false), wanted, "{steps:?} {twin:?}");
            }
        }
    }
}
