//! What a run of a case is worth.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::Serialize;

use crate::player::{Broken, Remark};
use crate::run::Heard;
use crate::transcript::Transcript;

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
    pub reason: Option<String>,
    /// The step that did not come true, if there is one.
    pub broken: Option<Broken>,
    /// What is allowed but not recommended.
    pub remarks: Vec<Remark>,
    /// The rules of all steps that judged something and came true, or did not.
    pub judged_rules: BTreeSet<String>,
    /// What a list of known failures says about it.
    pub listed: Option<Listed>,
    /// What else is to be known about it.
    pub notes: Vec<String>,
    /// What has happened, if anything was played.
    pub transcript: Option<Transcript>,
    /// What the two programs of a pair said to each other when it was played once more.
    pub heard: Option<Heard>,
    /// The end of the log of the judged program, where that may help.
    pub log: String,
    /// How long it took.
    pub took: Duration,
}

/// What a list of known failures says about a run.
#[derive(Debug, Clone)]
pub struct Listed {
    /// What was seen when the list was written.
    pub got: String,
    /// Why it fails.
    pub why: String,
}

impl Judged {
    /// A result without a run.
    pub fn without_run(id: String, file: String, verdict: Verdict, reason: String) -> Self {
        Self {
            id,
            file,
            verdict,
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
