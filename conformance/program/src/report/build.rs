//! Fills the model of a run with its results.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use chrono::{DateTime, SecondsFormat, Utc};
use netroxy_judge::again::Again;
use netroxy_judge::run::{self, Job, Start, Summary};
use netroxy_judge::sut::{Part, Subject};
use netroxy_judge::transcript::{Direction, Line};
use netroxy_judge::verdict::{Heard, Judged, Verdict};
use netroxy_specification::catalog::Origin;
use netroxy_specification::rules::{self, Rule};

use super::cite::{cited, place};
use super::fields::FORMAT;
use super::matrix::matrix;
use super::model::{
    BetweenEntry, BrokenStep, CaseResult, ConnectionEntry, Counts, Ended, ListedEntry, PairEntry,
    ProgramEntry, RemarkEntry, Report, RuleEntry, Settings, Standing, SubjectEntry, Totals,
    TranscriptLine,
};
use super::printable::printable;

impl Report {
    /// The report of a run that begins now.
    pub(crate) fn new(settings: Settings) -> Self {
        let started: DateTime<Utc> = SystemTime::now().into();
        Self {
            format: FORMAT,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            spec: rules::REVISION,
            profile: settings.options.profile(),
            strict: settings.strict,
            seed: settings.order.seed.map(|seed| format!("{seed:#x}")),
            repeat: settings.order.repeat,
            jobs: settings.options.jobs,
            time_scale: settings.options.time_scale,
            shard: None,
            started: started.to_rfc3339_opts(SecondsFormat::Secs, true),
            seconds: 0.0,
            ended: Ended::Complete,
            not_ready: None,
            planned: 0,
            retried: 0,
            longest_stall: 0.0,
            totals: Totals::default(),
            verdicts: BTreeMap::new(),
            subjects: Vec::new(),
            rules: Vec::new(),
            matrix: None,
            results: Vec::new(),
        }
    }

    /// Adds a subject; `planned` is the number of its runs of cases.
    pub(crate) fn add_subject(&mut self, subject: &Subject, planned: usize, start: &Start) {
        self.planned += planned;
        self.subjects.push(SubjectEntry {
            name: printable(&subject.name()),
            pair: subject.programs().map(|(server, client)| PairEntry {
                client: printable(client),
                server: printable(server),
            }),
            programs: subject.parts().iter().map(ProgramEntry::new).collect(),
            role: subject.role().to_string(),
            arguments: printable(&subject.arguments()),
            planned,
            ready_seconds: seconds(start.ready),
            deadline_seconds: seconds(start.tempo.at_once()),
        });
    }

    /// Adds and counts a result.
    pub(crate) fn add(&mut self, result: CaseResult) {
        match result.counts {
            Counts::Passed => self.totals.passed += 1,
            Counts::Failed => self.totals.failed += 1,
            Counts::Skipped => self.totals.skipped += 1,
        }
        *self.verdicts.entry(result.verdict.key()).or_default() += 1;
        self.results.push(result);
    }

    /// Adds the totals of a run that has ended.
    pub(crate) fn conclude(&mut self, summary: &Summary) {
        self.seconds = seconds(summary.wall);
        self.retried = summary.retried;
        self.longest_stall = seconds(summary.longest_stall);
        self.ended = match summary.ended {
            run::Ended::Complete => Ended::Complete,
            run::Ended::Interrupted => Ended::Interrupted,
            run::Ended::FailFast => Ended::FailFast,
        };
    }

    /// Adds the standing of the rules and sorts the results, after the last result.
    pub(crate) fn finish(&mut self, rules: &[Rule]) {
        self.rules = rules.iter().filter_map(|rule| self.rule(rule)).collect();
        self.settle();
    }

    /// Sorts the results, and computes the matrix of several pairs.
    pub(super) fn settle(&mut self) {
        let key = |one: &CaseResult| (one.subject.clone(), one.id.clone(), one.round);
        self.results.sort_by_cached_key(key);
        self.matrix = matrix(self);
    }

    fn rule(&self, rule: &Rule) -> Option<RuleEntry> {
        let mut standing: BTreeMap<String, Standing> = BTreeMap::new();
        for result in self
            .results
            .iter()
            .filter(|one| one.rules.contains(&rule.id))
        {
            let now = result.standing(&rule.id);
            let worst = standing.entry(result.subject.clone()).or_insert(now);
            *worst = now.min(*worst);
        }
        (!standing.is_empty()).then(|| RuleEntry {
            id: rule.id.clone(),
            level: rule.level.to_string(),
            subject: rule.subject.clone(),
            origin: rule.origin.to_string(),
            profile: profile(!rule.is_wire()),
            sentence: rule.text.clone(),
            rationale: rule.rationale.clone(),
            line: rule.line,
            standing,
        })
    }
}

impl CaseResult {
    /// The result of one run of a case.
    pub(crate) fn new(job: &Job, judged: &Judged, rules: &[Rule], settings: Settings) -> Self {
        let (subject, case) = (&job.subject, &job.entry.case);
        let file = printable(&judged.file);
        let broken = judged.broken.as_ref().map(|broken| BrokenStep {
            file: match &judged.twin {
                Some(twin) if job.entry.origin == Origin::Named => {
                    format!("{}/cases/{twin}.case", rules::FOLDER)
                }
                Some(twin) => printable(twin),
                None => file.clone(),
            },
            line: broken.line,
            rules: broken.marks.clone(),
            sentences: cited(&broken.marks, rules)
                .map(|rule| rule.text.clone())
                .collect(),
            places: cited(&broken.marks, rules).map(place).collect(),
            expected: printable(&broken.expected.to_string()),
            got: printable(&broken.got.to_string()),
        });
        let remarks = judged.remarks.iter().map(|remark| RemarkEntry {
            line: remark.line,
            rules: remark.marks.clone(),
            seen: printable(&remark.seen),
        });
        let lines = judged.transcript.iter().flat_map(|all| all.lines());
        Self {
            subject: printable(&subject.name()),
            id: printable(&judged.id),
            case: printable(&job.entry.id),
            round: job.round,
            title: printable(&case.title.value),
            role: subject.role().to_string(),
            transport: job.transport.to_string(),
            file,
            rules: case.rules.value.clone(),
            judged_rules: judged.judged_rules.iter().cloned().collect(),
            verdict: judged.verdict,
            counts: counts(judged.verdict, settings.strict),
            seconds: seconds(judged.took),
            twin: judged.twin.clone(),
            reason: judged
                .reason
                .as_ref()
                .map(|reason| printable(&reason.to_string())),
            broken,
            remarks: remarks.collect(),
            listed: judged.listed.as_ref().map(|listed| ListedEntry {
                got: printable(&listed.got),
                why: printable(&listed.why),
            }),
            notes: judged
                .notes
                .iter()
                .map(|note| printable(&note.to_string()))
                .collect(),
            transcript: lines.map(TranscriptLine::new).collect(),
            between: judged.heard.as_ref().map(BetweenEntry::new),
            log: printable(&judged.log),
            replay: printable(&replay(job, judged, settings)),
        }
    }
}

impl BetweenEntry {
    fn new(heard: &Heard) -> Self {
        let connections = heard.connections.iter();
        Self {
            verdict: heard.verdict,
            otherwise: heard.otherwise.as_deref().map(printable),
            readable: heard.readable,
            connections: connections
                .map(|(name, kind)| ConnectionEntry {
                    name: name.clone(),
                    kind: kind.word(),
                })
                .collect(),
            left_out: heard.left_out,
            transcript: heard
                .lines
                .iter()
                .cloned()
                .map(TranscriptLine::new)
                .collect(),
        }
    }
}

impl ProgramEntry {
    fn new(part: &Part) -> Self {
        Self {
            role: part.side.to_string(),
            name: printable(&part.name),
            runs: printable(&part.runs),
        }
    }
}

impl TranscriptLine {
    fn new(line: Line) -> Self {
        Self {
            at: seconds(line.at),
            actor: printable(&line.actor),
            direction: line.direction.map(|direction| match direction {
                Direction::Sent => "sent",
                Direction::Received => "received",
            }),
            text: printable(&line.text),
            rules: line.rules,
            broken: line.broken,
            note: line.note.as_deref().map(printable),
            step: printable(&line.step),
        }
    }
}

fn counts(verdict: Verdict, strict: bool) -> Counts {
    match verdict {
        Verdict::Skip => Counts::Skipped,
        verdict if verdict.is_red(strict) => Counts::Failed,
        _ => Counts::Passed,
    }
}

fn profile(hardened: bool) -> &'static str {
    if hardened { "hardened" } else { "wire" }
}

/// Seconds, rounded to the millisecond.
fn seconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1000.0).round() / 1000.0
}

/// A command that plays only this run again.
fn replay(job: &Job, judged: &Judged, settings: Settings) -> String {
    let Settings {
        options, strict, ..
    } = settings;
    let role = job.subject.role().to_string();
    let run = Again::new(["run", &role]);
    let mut again = match &job.entry.origin {
        Origin::Named => match job.entry.transports().len() {
            1 => run.word(&job.entry.id),
            _ => run.word(&format!("{}@{}", job.entry.id, job.transport)),
        },
        Origin::File => run.flag("--case-file", &judged.file),
        Origin::Recording { file, role } => Again::new(["replay", file]).flag("--role", role),
    };
    again = again.subject(&job.subject);
    // A recording is always judged by every rule.
    if !matches!(job.entry.origin, Origin::Recording { .. }) {
        if options.hardened {
            again = again.flag("--profile", "hardened");
        }
        if strict {
            again = again.word("--strict");
        }
    }
    if options.time_scale != 1.0 {
        again = again.flag("--time-scale", &options.time_scale.to_string());
    }
    if let Some(still) = options.still {
        again = again.flag("--still", &still.as_secs().to_string());
    }
    again.to_string()
}
