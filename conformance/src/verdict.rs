//! What a run of a case is worth.

use std::time::Duration;

use crate::player::{Broken, Remark};
use crate::transcript::Transcript;

/// The worth of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Verdict {
    /// Everything came true.
    Pass,
    /// Everything came true, something of it is allowed but not recommended.
    Nonstrict,
    /// It was not run, for the reason that is given.
    Skip,
    /// A step did not come true.
    Fail,
    /// The judged program ended by itself.
    Crash,
    /// The judged program did not become ready.
    NotReady,
    /// The suite could not do its part.
    Harness,
}

/// A run that has been judged.
#[derive(Debug)]
pub(crate) struct Judged {
    /// The name of the case and the variant.
    pub(crate) id: String,
    /// The file of the case.
    pub(crate) file: String,
    pub(crate) verdict: Verdict,
    /// The twin that did not succeed, when it is what decided; the step and the recording are its own then.
    pub(crate) twin: Option<String>,
    /// Why, where no step tells it.
    pub(crate) reason: Option<String>,
    pub(crate) broken: Option<Broken>,
    pub(crate) remarks: Vec<Remark>,
    pub(crate) transcript: Option<Transcript>,
    /// The end of the log of the judged program, where that may help.
    pub(crate) log: String,
    pub(crate) took: Duration,
}

impl Verdict {
    /// In capitals, as in reports.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Pass => "PASS",
            Self::Nonstrict => "NONSTRICT",
            Self::Skip => "SKIP",
            Self::Fail => "FAIL",
            Self::Crash => "CRASH",
            Self::NotReady => "NOT-READY",
            Self::Harness => "HARNESS",
        }
    }

    /// Whether it counts as failed; with `strict`, nonstrict does too.
    pub(crate) fn is_red(self, strict: bool) -> bool {
        match self {
            Self::Pass | Self::Skip => false,
            Self::Nonstrict => strict,
            Self::Fail | Self::Crash | Self::NotReady | Self::Harness => true,
        }
    }
}
