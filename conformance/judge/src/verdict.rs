//! What a run of a case is worth.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use serde::Serialize;

use crate::player::{Broken, Remark};
use crate::skip::Skip;
use crate::sut::Kind;
use crate::transcript::{Line, Transcript};

/// The worth of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// Everything came true.
    Pass,
    /// Everything came true, something of it is allowed but not recommended.
    Nonstrict,
    /// It was not run, for the reason that is given.
    Skip,
    /// It failed as a list of known failures says.
    KnownFailing,
    /// A list of known failures says that it fails, and it did not.
    UnexpectedPass,
    /// A step that judges a rule did not come true.
    Fail,
    /// A step that only prepares did not come true, so the rules behind it could not be judged.
    Blocked,
    /// The judged program ended by itself.
    Crash,
    /// The judged program runs, and answers nobody any more.
    Hang,
    /// The judged program did not become ready.
    NotReady,
    /// The suite could not do its part.
    Harness,
}

/// A run that has been judged.
#[derive(Debug, Clone)]
pub struct Judged {
    /// The name of the case and the variant.
    pub id: String,
    /// The file of the case.
    pub file: String,
    /// What the run is worth.
    pub verdict: Verdict,
    /// The twin that did not succeed, when it is what decided; the step and the recording are its own then.
    pub twin: Option<String>,
    /// Why, where no step tells it.
    pub reason: Option<Reason>,
    /// The step that did not come true, if there is one.
    pub broken: Option<Broken>,
    /// What is allowed but not recommended.
    pub remarks: Vec<Remark>,
    /// The rules of all steps that judged something and came true, or did not.
    pub judged_rules: BTreeSet<String>,
    /// What a list of known failures says about it.
    pub listed: Option<Listed>,
    /// What else is to be known about it.
    pub notes: Vec<RunNote>,
    /// What has happened, if anything was played.
    pub transcript: Option<Transcript>,
    /// What the two programs of a pair said to each other when it was played once more.
    pub heard: Option<Heard>,
    /// The end of the log of the judged program, where that may help.
    pub log: String,
    /// How long it took.
    pub took: Duration,
}

/// What was heard between the two programs when a case was played once more.
#[derive(Debug, Clone)]
pub struct Heard {
    /// What this time would have been worth.
    pub verdict: Verdict,
    /// It has failed at the same step as the time that counts, or else what was seen this time.
    pub otherwise: Option<String>,
    /// Whether what the two said could be read.
    pub readable: bool,
    /// The connections between the two, by their names in the lines.
    pub connections: Vec<(String, Kind)>,
    /// What the two said, and what users and services did, in the order of their times since the relay began.
    pub lines: Vec<Line>,
    /// Lines of the two that were too many.
    pub left_out: usize,
}

/// What a list of known failures says about a run.
#[derive(Debug, Clone)]
pub struct Listed {
    /// What was seen when the list was written.
    pub got: String,
    /// Why it fails.
    pub why: String,
}

/// Why a verdict was given, where the broken step does not tell it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// The case is not run.
    Skipped(Skip),
    /// The program did not become ready: what was tried, or how it ended.
    NotReady(String),
    /// The suite could not do its part: why.
    Harness(String),
    /// The program has ended by itself: with which status.
    Ended(String),
    /// The program runs and serves nobody: what it does not do.
    Hangs(String),
    /// The twin of this id does not succeed, so the case proves nothing.
    Twin(String),
}

/// What else is to be known about a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunNote {
    /// It was played once more, because a step was late while the machine stood still for so long.
    PlayedAgain {
        /// How long the machine stood still.
        stall: Duration,
    },
    /// A list of known failures says something about it that is not so.
    Baseline(String),
}

/// What a run has shown, as far as its verdict depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Facts {
    /// The program has ended by itself.
    pub(crate) ended: bool,
    /// The program runs and serves nobody.
    pub(crate) hangs: bool,
    /// What became of the steps.
    pub(crate) steps: Steps,
    /// The verdict of the twin, where the case has one and it was played.
    pub(crate) twin: Option<Verdict>,
}

/// What became of the steps of a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Steps {
    /// The case turned out to mean nothing to the peer.
    Skipped,
    /// All came true as they should.
    Kept,
    /// All came true, one as far as is allowed but not recommended.
    Remarked,
    /// All came true, and afterwards the program does not do what it did before.
    SpoiltAfterwards,
    /// A step that only prepares others did not come true.
    PreparingBroken,
    /// A step that judges a rule did not come true.
    JudgingBroken,
}

impl Facts {
    /// The program runs and serves, and there is no twin.
    pub(crate) fn of(steps: Steps) -> Self {
        Self {
            ended: false,
            hangs: false,
            steps,
            twin: None,
        }
    }
}

/// The verdict of a run. A program that has ended or hangs is told before any step, and a twin decides only where the
/// case itself is not red: who closes every connection breaks no rule about closing, and has proved nothing.
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

impl Reason {
    /// The verdict of a run that was not judged for this reason.
    fn verdict(&self) -> Verdict {
        match self {
            Self::Skipped(_) => Verdict::Skip,
            Self::NotReady(_) => Verdict::NotReady,
            Self::Harness(_) => Verdict::Harness,
            Self::Ended(_) => Verdict::Crash,
            Self::Hangs(_) => Verdict::Hang,
            Self::Twin(_) => Verdict::Fail,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Skipped(skip) => skip.fmt(f),
            Self::NotReady(why) | Self::Harness(why) => f.write_str(why),
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
                "played once more, with at most seven others: a step was late because the machine stood still for {} ms",
                stall.as_millis()
            ),
            Self::Baseline(what) => f.write_str(what),
        }
    }
}

impl Judged {
    /// The reason in words; empty where the broken step tells it.
    pub fn why(&self) -> String {
        self.reason
            .as_ref()
            .map_or_else(String::new, Reason::to_string)
    }

    /// A result of a run that was not judged.
    pub fn unjudged(id: String, file: String, reason: Reason) -> Self {
        Self {
            id,
            file,
            verdict: reason.verdict(),
            twin: None,
            reason: Some(reason),
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
    /// All of them, the harmless ones first.
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

    /// As in reports for programs.
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

    /// In capitals, as in reports.
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

    /// Whether it counts as failed; with `strict`, nonstrict does too.
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
    fn an_end_comes_before_a_hang_a_hang_before_the_steps_and_the_steps_before_the_twin() {
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
