//! One finished run, as every format shows it. Formats lay it out; what a run is worth is decided here.

use std::collections::BTreeMap;

use netroxy_judge::run::{Options, Order};
use netroxy_judge::verdict::Verdict;
use serde::{Deserialize, Serialize};

use super::read;

/// The name of the format, in JSON.
pub(crate) const FORMAT: &str = "netroxy-conformance-2";

/// One of a few words that this program knows. Where it is read, no text is borrowed.
pub(crate) type Word = &'static str;

/// How a run was asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Settings {
    pub(crate) options: Options,
    /// Nonstrict counts as failed.
    pub(crate) strict: bool,
    pub(crate) order: Order,
}

/// A run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Report {
    #[serde(deserialize_with = "read::format")]
    pub(crate) format: Word,
    /// Of the program that judged.
    pub(crate) version: String,
    /// The revision of the specification.
    #[serde(deserialize_with = "read::spec")]
    pub(crate) spec: Word,
    /// `wire` or `hardened`.
    #[serde(deserialize_with = "read::profile")]
    pub(crate) profile: Word,
    pub(crate) strict: bool,
    /// Of the order of the cases, as `--seed` takes it.
    pub(crate) seed: Option<String>,
    /// How often each case was run.
    pub(crate) repeat: u32,
    pub(crate) jobs: usize,
    #[serde(deserialize_with = "read::span")]
    pub(crate) time_scale: f64,
    /// Which part of a run this is, if it is not all of it.
    pub(crate) shard: Option<ShardEntry>,
    /// RFC 3339, UTC.
    pub(crate) started: String,
    /// How long it took; of a merged run, how long its longest part took.
    #[serde(deserialize_with = "read::span")]
    pub(crate) seconds: f64,
    pub(crate) ended: Ended,
    /// A subject that never became ready; nothing was judged then.
    pub(crate) not_ready: Option<NotReady>,
    /// How many runs of cases were planned.
    pub(crate) planned: usize,
    /// How many were played once more because the machine had stalled.
    pub(crate) retried: usize,
    /// The longest time for which the machine did nothing.
    #[serde(deserialize_with = "read::span")]
    pub(crate) longest_stall: f64,
    /// Counted anew when a report is read.
    #[serde(skip_deserializing)]
    pub(crate) totals: Totals,
    /// How often each verdict was given.
    #[serde(skip_deserializing)]
    pub(crate) verdicts: BTreeMap<&'static str, usize>,
    pub(crate) subjects: Vec<SubjectEntry>,
    /// The rules that the cases of this run claim to judge, in the order of the specification.
    pub(crate) rules: Vec<RuleEntry>,
    /// When more than one pair was judged.
    #[serde(skip_deserializing)]
    pub(crate) matrix: Option<Matrix>,
    pub(crate) results: Vec<CaseResult>,
}

/// A part of a run that was played by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ShardEntry {
    /// Which one, counted from 1.
    pub(crate) number: u16,
    /// How many there are.
    pub(crate) of: u16,
    /// How many runs of cases all of them plan together.
    pub(crate) planned: usize,
    /// The same in all parts of one run, and in no other run.
    pub(crate) plan: String,
}

/// Every client with every server.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Matrix {
    pub(crate) clients: Vec<String>,
    pub(crate) servers: Vec<String>,
    pub(crate) meetings: Vec<Meeting>,
    pub(crate) faults: Vec<Fault>,
}

/// What came of a client and a server.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Meeting {
    /// The name of the subject that the two are together.
    pub(crate) subject: String,
    pub(crate) client: String,
    pub(crate) server: String,
    pub(crate) passed: usize,
    pub(crate) failed: usize,
    /// How many were run, skipped ones not counted.
    pub(crate) run: usize,
}

/// Who is at fault, and for which runs.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Fault {
    pub(crate) peer: String,
    pub(crate) runs: Vec<FaultyRun>,
}

/// A run that has failed.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct FaultyRun {
    pub(crate) id: String,
    /// Who has run it; a reader finds that in the fault.
    #[serde(skip)]
    pub(crate) subject: String,
    pub(crate) rules: Vec<String>,
    /// What was expected, and what came.
    pub(crate) seen: String,
}

/// How a run has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Ended {
    /// Every case has been run.
    Complete,
    /// Somebody has stopped it.
    Interrupted,
    /// It has stopped at the first failure, as it was asked to.
    FailFast,
    /// Nothing was judged, because a subject never became ready.
    NotReady,
}

/// What the last line of a run counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Totals {
    pub(crate) passed: usize,
    pub(crate) failed: usize,
    pub(crate) skipped: usize,
}

/// Why nothing was judged.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct NotReady {
    pub(crate) subject: String,
    pub(crate) reason: String,
}

/// A program that was judged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ProgramEntry {
    /// `server` or `client`.
    pub(crate) role: String,
    pub(crate) name: String,
    /// What was started, or where it ran already.
    pub(crate) runs: String,
}

/// The two programs of a pair.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct PairEntry {
    pub(crate) client: String,
    pub(crate) server: String,
}

/// Who was judged.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct SubjectEntry {
    pub(crate) name: String,
    /// The two programs, if it is two.
    pub(crate) pair: Option<PairEntry>,
    /// What it consists of: one program, or the server and the client of a pair.
    pub(crate) programs: Vec<ProgramEntry>,
    pub(crate) role: String,
    /// The arguments that select it again.
    pub(crate) arguments: String,
    /// How many runs of cases were planned.
    pub(crate) planned: usize,
    /// Until a login succeeded.
    #[serde(deserialize_with = "read::span")]
    pub(crate) ready_seconds: f64,
    /// How long anything may take that should come at once.
    #[serde(deserialize_with = "read::span")]
    pub(crate) deadline_seconds: f64,
}

/// A rule, and how it stands with each subject.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct RuleEntry {
    pub(crate) id: String,
    /// `MUST`, `SHOULD` or `MAY`.
    pub(crate) level: String,
    pub(crate) subject: String,
    pub(crate) origin: String,
    #[serde(deserialize_with = "read::profile")]
    pub(crate) profile: Word,
    pub(crate) sentence: String,
    /// Why it is so, where the specification says it.
    pub(crate) rationale: Option<String>,
    /// In the text of the specification, counted from 1.
    pub(crate) line: usize,
    /// By the name of the subject.
    pub(crate) standing: BTreeMap<String, Standing>,
}

/// What the cases of a rule say together; the first that is true of one of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Standing {
    /// A step that judges it did not come true.
    Broken,
    /// So it did, as a list of known failures says.
    Known,
    /// A case that claims it ended before it was judged.
    Unjudged,
    /// Something was seen that is allowed but not recommended.
    Nonstrict,
    /// Every step that judges it came true.
    Kept,
    /// None of its cases was run.
    Skipped,
}

/// A case on one transport, judged.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct CaseResult {
    pub(crate) subject: String,
    /// The case and, unless it is plain, the transport behind `@`.
    pub(crate) id: String,
    pub(crate) case: String,
    /// Which of several runs, counted from 1; none when it was run once.
    pub(crate) round: Option<u32>,
    pub(crate) title: String,
    pub(crate) role: String,
    pub(crate) transport: String,
    pub(crate) file: String,
    /// The rules that the case claims to judge.
    pub(crate) rules: Vec<String>,
    /// The rules of the steps that were reached.
    pub(crate) judged_rules: Vec<String>,
    #[serde(deserialize_with = "read::verdict")]
    pub(crate) verdict: Verdict,
    pub(crate) counts: Counts,
    #[serde(deserialize_with = "read::span")]
    pub(crate) seconds: f64,
    /// The twin that decided, because it did not succeed; `broken` and `transcript` are of it then.
    pub(crate) twin: Option<String>,
    /// Why, where no step tells it.
    pub(crate) reason: Option<String>,
    pub(crate) broken: Option<BrokenStep>,
    pub(crate) remarks: Vec<RemarkEntry>,
    pub(crate) listed: Option<ListedEntry>,
    /// What else is to be known.
    pub(crate) notes: Vec<String>,
    pub(crate) transcript: Vec<TranscriptLine>,
    /// What the two programs of a pair said to each other.
    pub(crate) between: Option<BetweenEntry>,
    /// The end of the output of the program, where that may help.
    pub(crate) log: String,
    /// A command that runs this alone.
    pub(crate) replay: String,
}

/// What a verdict is in the totals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Counts {
    Passed,
    Failed,
    Skipped,
}

/// The step that did not come true.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct BrokenStep {
    /// The file and the line, counted from 1.
    pub(crate) file: String,
    pub(crate) line: usize,
    /// The rules that it judges; none for a step that only prepares.
    pub(crate) rules: Vec<String>,
    /// Their sentences.
    pub(crate) sentences: Vec<String>,
    /// Their ids, levels and places in the specification, for people.
    #[serde(skip)]
    pub(crate) places: Vec<String>,
    pub(crate) expected: String,
    pub(crate) got: String,
}

/// Something that is allowed but not recommended.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct RemarkEntry {
    pub(crate) line: usize,
    pub(crate) rules: Vec<String>,
    pub(crate) seen: String,
}

/// What the two programs of a pair said to each other when a case that had failed was played once more, with the suite
/// between them. No verdict comes of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct BetweenEntry {
    /// What this time would have been worth.
    #[serde(deserialize_with = "read::verdict")]
    pub(crate) verdict: Verdict,
    /// What was seen this time; none when it failed as it did before.
    pub(crate) otherwise: Option<String>,
    /// Whether what the two said could be read: on TLS it cannot.
    pub(crate) readable: bool,
    /// The connections between the two.
    pub(crate) connections: Vec<ConnectionEntry>,
    /// How many lines were left out, because there were too many.
    pub(crate) left_out: usize,
    /// What the two said (`sent` by the client, `received` from the server), and what users and services did, in the
    /// order of their times since the relay began.
    pub(crate) transcript: Vec<TranscriptLine>,
}

/// A connection between the two programs of a pair.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ConnectionEntry {
    /// As in the lines.
    pub(crate) name: String,
    /// `control`, `data`, `tls` or `unknown`.
    #[serde(deserialize_with = "read::kind")]
    pub(crate) kind: Word,
}

/// What a list of known failures says.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ListedEntry {
    pub(crate) got: String,
    pub(crate) why: String,
}

/// A line of a recording.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct TranscriptLine {
    /// Seconds since the start of the case.
    #[serde(deserialize_with = "read::span")]
    pub(crate) at: f64,
    /// The connection.
    pub(crate) actor: String,
    /// `sent` by the suite, `received` from the judged program, or neither.
    #[serde(deserialize_with = "read::direction")]
    pub(crate) direction: Option<Word>,
    /// In the notation of the cases.
    pub(crate) text: String,
    pub(crate) rules: Vec<String>,
    pub(crate) broken: bool,
    pub(crate) note: Option<String>,
    /// The whole step in the notation.
    #[serde(skip)]
    pub(crate) step: String,
}

impl Report {
    /// The results of a subject.
    pub(crate) fn of<'a>(&'a self, subject: &'a str) -> impl Iterator<Item = &'a CaseResult> {
        self.results
            .iter()
            .filter(move |result| result.subject == subject)
    }

    /// The rules that somebody breaks, with the runs that show it.
    pub(crate) fn broken(&self) -> Vec<(&RuleEntry, Vec<&CaseResult>)> {
        let shown = |rule: &RuleEntry| -> Vec<&CaseResult> {
            let results = self.results.iter();
            results
                .filter(|result| result.counts == Counts::Failed && result.breaks(&rule.id))
                .collect()
        };
        self.rules
            .iter()
            .map(|rule| (rule, shown(rule)))
            .filter(|(_, results)| !results.is_empty())
            .collect()
    }
}

/// What was expected, where a step says it, and what came.
pub(crate) type Evidence<'a> = (Option<&'a str>, &'a str);

impl CaseResult {
    /// A pass, and nothing else to say about it.
    pub(crate) fn is_plain(&self) -> bool {
        self.verdict == Verdict::Pass && self.notes.is_empty()
    }

    /// Whether a step that judges this rule did not come true.
    pub(crate) fn breaks(&self, rule: &str) -> bool {
        let broken = self.broken.iter().flat_map(|broken| &broken.rules);
        let remarked = self.remarks.iter().flat_map(|remark| &remark.rules);
        let nonstrict = self.verdict == Verdict::Nonstrict && self.counts == Counts::Failed;
        broken
            .chain(remarked.filter(|_| nonstrict))
            .any(|id| id == rule)
    }

    /// What was expected of a rule, and what came, where this result breaks it. What is allowed and not recommended has
    /// no step that did not come true.
    pub(crate) fn evidence(&self, rule: &str) -> Option<Evidence<'_>> {
        let cites = |rules: &[String]| rules.iter().any(|id| id == rule);
        let broken = self.broken.as_ref().filter(|broken| cites(&broken.rules));
        let seen = broken.map(|broken| (Some(broken.expected.as_str()), broken.got.as_str()));
        seen.or_else(|| {
            let mut remarks = self.remarks.iter();
            let remark = remarks.find(|remark| cites(&remark.rules));
            remark.map(|remark| (None, remark.seen.as_str()))
        })
    }

    /// What this result says about a rule that the case claims to judge.
    pub(super) fn standing(&self, rule: &str) -> Standing {
        let remarked = || {
            self.remarks
                .iter()
                .any(|one| one.rules.iter().any(|id| id == rule))
        };
        match self.verdict {
            Verdict::Skip => Standing::Skipped,
            Verdict::KnownFailing if self.breaks(rule) || remarked() => Standing::Known,
            _ if self.breaks(rule) => Standing::Broken,
            Verdict::Pass | Verdict::Nonstrict | Verdict::UnexpectedPass if remarked() => {
                Standing::Nonstrict
            }
            Verdict::Pass | Verdict::Nonstrict | Verdict::UnexpectedPass => Standing::Kept,
            Verdict::KnownFailing
            | Verdict::Fail
            | Verdict::Blocked
            | Verdict::Crash
            | Verdict::Hang
            | Verdict::NotReady
            | Verdict::Harness => Standing::Unjudged,
        }
    }
}

impl BetweenEntry {
    /// What this transcript is, and what it is not.
    pub(crate) fn words(&self) -> String {
        let outcome = match &self.otherwise {
            None => "it failed as before".to_owned(),
            Some(seen) => format!("this time {seen}; what counts is the first time"),
        };
        let unread = match self.readable {
            true => "",
            false => ". The two spoke TLS, so what they said cannot be read",
        };
        let left_out = match self.left_out {
            0 => String::new(),
            count => format!(". {count} lines were too many and are left out"),
        };
        format!("played once more, with a relay between the two: {outcome}{unread}{left_out}")
    }
}

impl Ended {
    /// In few words; nothing when the run is complete.
    pub(crate) fn words(self) -> Option<&'static str> {
        match self {
            Self::Complete => None,
            Self::Interrupted => Some("interrupted"),
            Self::FailFast => Some("stopped at the first failure"),
            Self::NotReady => Some("not ready"),
        }
    }
}

impl Standing {
    /// In one word.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Broken => "broken",
            Self::Known => "known",
            Self::Unjudged => "unjudged",
            Self::Nonstrict => "nonstrict",
            Self::Kept => "kept",
            Self::Skipped => "skipped",
        }
    }
}

impl Meeting {
    /// How many runs have passed, of how many.
    pub(crate) fn score(&self) -> String {
        format!("{}/{}", self.passed, self.run)
    }
}

impl Matrix {
    /// What came of a client and a server, if they have met.
    pub(crate) fn meeting(&self, client: &str, server: &str) -> Option<&Meeting> {
        let mut meetings = self.meetings.iter();
        meetings.find(|one| one.client == client && one.server == server)
    }

    /// How many runs of a meeting have passed, of how many.
    pub(crate) fn cell(&self, client: &str, server: &str) -> String {
        let met = self.meeting(client, server);
        met.map_or_else(String::new, Meeting::score)
    }
}
