//! The model of a run, which every format shows.

use std::collections::BTreeMap;

use netroxy_judge::run::{Options, Order};
use netroxy_judge::verdict::Verdict;
use serde::{Deserialize, Serialize};

use super::fields::{self, Word};

/// The options of a run.
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
    #[serde(deserialize_with = "fields::format")]
    pub(crate) format: Word,
    /// The version of the judging program.
    pub(crate) version: String,
    /// The revision of the specification.
    #[serde(deserialize_with = "fields::spec")]
    pub(crate) spec: Word,
    /// `wire` or `hardened`.
    #[serde(deserialize_with = "fields::profile")]
    pub(crate) profile: Word,
    pub(crate) strict: bool,
    /// The seed of the order of the cases, as `--seed` takes it.
    pub(crate) seed: Option<String>,
    /// How often each case was run.
    pub(crate) repeat: u32,
    pub(crate) jobs: usize,
    #[serde(deserialize_with = "fields::span")]
    pub(crate) time_scale: f64,
    /// The part of the run, if this is not a whole run.
    pub(crate) shard: Option<ShardEntry>,
    /// RFC 3339, UTC.
    pub(crate) started: String,
    /// The time of the run; of a merged run, the time of its longest part.
    #[serde(deserialize_with = "fields::span")]
    pub(crate) seconds: f64,
    pub(crate) ended: Ended,
    /// A subject that never became ready; nothing was judged then.
    pub(crate) not_ready: Option<NotReady>,
    /// How many runs of cases were planned.
    pub(crate) planned: usize,
    /// How many were played once more because the machine had stalled.
    pub(crate) retried: usize,
    /// The longest stall of the machine, in seconds.
    #[serde(deserialize_with = "fields::span")]
    pub(crate) longest_stall: f64,
    /// Counted again when a report is read.
    #[serde(skip_deserializing)]
    pub(crate) totals: Totals,
    /// How often each verdict was given.
    #[serde(skip_deserializing)]
    pub(crate) verdicts: BTreeMap<&'static str, usize>,
    pub(crate) subjects: Vec<SubjectEntry>,
    /// The rules that the cases of this run claim to judge, in the order of the specification.
    pub(crate) rules: Vec<RuleEntry>,
    /// Present if more than one pair was judged.
    #[serde(skip_deserializing)]
    pub(crate) matrix: Option<Matrix>,
    pub(crate) results: Vec<CaseResult>,
}

/// A part of a run that was played by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ShardEntry {
    /// The number of the part, counted from 1.
    pub(crate) number: u16,
    /// The number of parts.
    pub(crate) of: u16,
    /// The number of runs of cases in all parts together.
    pub(crate) planned: usize,
    /// A fingerprint, equal in all parts of one run and in no other run.
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

/// The results of a client with a server.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Meeting {
    /// The name of the pair as a subject.
    pub(crate) subject: String,
    pub(crate) client: String,
    pub(crate) server: String,
    pub(crate) passed: usize,
    pub(crate) failed: usize,
    /// How many runs were not skipped.
    pub(crate) run: usize,
}

/// A peer that is at fault, and the runs.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Fault {
    pub(crate) peer: String,
    pub(crate) runs: Vec<FaultyRun>,
}

/// A run that has failed.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct FaultyRun {
    pub(crate) id: String,
    /// The pair of the run. JSON leaves it out.
    #[serde(skip)]
    pub(crate) subject: String,
    pub(crate) rules: Vec<String>,
    /// The expected step, and what came instead.
    pub(crate) seen: String,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Ended {
    /// Every case has been run.
    Complete,
    /// A signal stopped it.
    Interrupted,
    /// It stopped at the first failure, because of `--fail-fast`.
    FailFast,
    /// Nothing was judged, because a subject never became ready.
    NotReady,
}

/// The numbers of the last line of a run.
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
    /// The command or version that was started, or the address where it ran already.
    pub(crate) runs: String,
}

/// The two programs of a pair.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct PairEntry {
    pub(crate) client: String,
    pub(crate) server: String,
}

/// A subject that was judged.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct SubjectEntry {
    pub(crate) name: String,
    /// The two programs of a pair.
    pub(crate) pair: Option<PairEntry>,
    /// The program, or the server and the client of a pair.
    pub(crate) programs: Vec<ProgramEntry>,
    pub(crate) role: String,
    /// The arguments that select it.
    pub(crate) arguments: String,
    /// How many runs of cases were planned.
    pub(crate) planned: usize,
    /// The time until a login succeeded.
    #[serde(deserialize_with = "fields::span")]
    pub(crate) ready_seconds: f64,
    /// The deadline for an answer that should come at once.
    #[serde(deserialize_with = "fields::span")]
    pub(crate) deadline_seconds: f64,
}

/// A rule, and its standing with each subject.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct RuleEntry {
    pub(crate) id: String,
    /// `MUST`, `SHOULD` or `MAY`.
    pub(crate) level: String,
    pub(crate) subject: String,
    pub(crate) origin: String,
    #[serde(deserialize_with = "fields::profile")]
    pub(crate) profile: Word,
    pub(crate) sentence: String,
    /// The reason for the rule, if the specification has one.
    pub(crate) rationale: Option<String>,
    /// The line in the specification, counted from 1.
    pub(crate) line: usize,
    /// By the name of the subject.
    pub(crate) standing: BTreeMap<String, Standing>,
}

/// The standing of a rule with a subject: the first of these that is true for one of its cases.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Standing {
    /// A step that judges it did not come true.
    Broken,
    /// The same, but the failure is in the baseline.
    Known,
    /// A case that claims it ended before it was judged.
    Unjudged,
    /// The peer did something that is allowed but not recommended.
    Nonstrict,
    /// Every step that judges it came true.
    Kept,
    /// None of its cases was run.
    Skipped,
}

/// The result of a case on one transport.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct CaseResult {
    pub(crate) subject: String,
    /// The case, followed by `@` and the transport unless that is plain.
    pub(crate) id: String,
    pub(crate) case: String,
    /// The number of the run with `--repeat`, counted from 1.
    pub(crate) round: Option<u32>,
    pub(crate) title: String,
    pub(crate) role: String,
    pub(crate) transport: String,
    pub(crate) file: String,
    /// The rules that the case claims to judge.
    pub(crate) rules: Vec<String>,
    /// The rules of the steps that were reached.
    pub(crate) judged_rules: Vec<String>,
    #[serde(deserialize_with = "fields::verdict")]
    pub(crate) verdict: Verdict,
    pub(crate) counts: Counts,
    #[serde(deserialize_with = "fields::span")]
    pub(crate) seconds: f64,
    /// The twin, if it did not succeed and so decided the verdict; `broken` and `transcript` are those of the twin
    /// then.
    pub(crate) twin: Option<String>,
    /// The reason for the verdict, if no step gives it.
    pub(crate) reason: Option<String>,
    pub(crate) broken: Option<BrokenStep>,
    pub(crate) remarks: Vec<RemarkEntry>,
    pub(crate) listed: Option<ListedEntry>,
    /// Further notes.
    pub(crate) notes: Vec<String>,
    pub(crate) transcript: Vec<TranscriptLine>,
    /// The messages between the two programs of a pair.
    pub(crate) between: Option<BetweenEntry>,
    /// The end of the program's output, if it may explain the verdict.
    pub(crate) log: String,
    /// A command that plays only this run again.
    pub(crate) replay: String,
}

/// How a verdict counts in the totals.
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

/// The messages between the two programs of a pair when a failed case was played once more, with a relay of the suite
/// between them. It does not change the verdict.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct BetweenEntry {
    /// The verdict of this second run.
    #[serde(deserialize_with = "fields::verdict")]
    pub(crate) verdict: Verdict,
    /// The result of the second run; `None` if it failed as before.
    pub(crate) otherwise: Option<String>,
    /// Whether the messages could be read: over TLS they cannot.
    pub(crate) readable: bool,
    /// The connections between the two.
    pub(crate) connections: Vec<ConnectionEntry>,
    /// How many lines were left out, because there were too many.
    pub(crate) left_out: usize,
    /// The messages (`sent` by the client, `received` from the server), and the steps of users and services, in the
    /// order of their times since the relay began.
    pub(crate) transcript: Vec<TranscriptLine>,
}

/// A connection between the two programs of a pair.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ConnectionEntry {
    /// The name in the transcript.
    pub(crate) name: String,
    /// `control`, `data`, `tls` or `unknown`.
    #[serde(deserialize_with = "fields::kind")]
    pub(crate) kind: Word,
}

/// The entry of the baseline.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ListedEntry {
    pub(crate) got: String,
    pub(crate) why: String,
}

/// A line of a transcript.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct TranscriptLine {
    /// Seconds since the start of the case.
    #[serde(deserialize_with = "fields::span")]
    pub(crate) at: f64,
    /// The connection.
    pub(crate) actor: String,
    /// `sent` by the suite, `received` from the judged program, or neither.
    #[serde(deserialize_with = "fields::direction")]
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

    /// The broken rules, with the runs that show it.
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

/// The expected step, if there is one, and what came instead.
pub(crate) type Evidence<'a> = (Option<&'a str>, &'a str);

impl CaseResult {
    /// Whether it is a pass without notes.
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

    /// The expected step of a rule, and what came instead, if this result breaks the rule. Nonstrict behaviour has no
    /// expected step.
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

    /// The standing of a rule that the case claims to judge, by this result.
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
    /// A sentence that describes this transcript.
    pub(crate) fn words(&self) -> String {
        let outcome = match &self.otherwise {
            None => "it failed as before".to_owned(),
            Some(seen) => format!("this time {seen}; the first result counts"),
        };
        let unread = match self.readable {
            true => "",
            false => ". The connection was TLS, so its messages cannot be read",
        };
        let left_out = match self.left_out {
            0 => String::new(),
            count => format!(". {count} lines are left out"),
        };
        format!(
            "played once more, with a relay between client and server: {outcome}{unread}{left_out}"
        )
    }
}

impl Ended {
    /// The end in a few words; `None` for a complete run.
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
    /// The number of runs that passed, and of all runs, such as `2/3`.
    pub(crate) fn score(&self) -> String {
        format!("{}/{}", self.passed, self.run)
    }
}

impl Matrix {
    /// The results of a client with a server, if they were played together.
    pub(crate) fn meeting(&self, client: &str, server: &str) -> Option<&Meeting> {
        let mut meetings = self.meetings.iter();
        meetings.find(|one| one.client == client && one.server == server)
    }

    /// The score of a client with a server; empty if they were not played together.
    pub(crate) fn cell(&self, client: &str, server: &str) -> String {
        let met = self.meeting(client, server);
        met.map_or_else(String::new, Meeting::score)
    }
}
