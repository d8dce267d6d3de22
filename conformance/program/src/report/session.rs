//! A run as it goes on: results come in, lines go out, and at the end the reports are written.

use std::time::Duration;

use netroxy_judge::run::{self, InPlay, Job, Start, Summary};
use netroxy_judge::sut::Subject;
use netroxy_judge::verdict::{Judged, Verdict};
use netroxy_specification::rules::Rule;

use super::live::{Live, Look};
use super::model::{CaseResult, Counts, Ended, NotReady, Report, Settings, ShardEntry, Totals};
use super::outputs::{OutputError, Outputs};
use super::printable::printable;
use super::text;

/// Who writes the last line of a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Last {
    /// The run itself.
    #[default]
    Here,
    /// The caller, who has something else to say before.
    Later,
}

/// Collects and shows what happens in a run.
#[derive(Debug)]
pub(crate) struct Session<'a> {
    rules: &'a [Rule],
    settings: Settings,
    outputs: Outputs,
    live: Live,
    look: Look,
    in_play: InPlay,
    report: Report,
}

impl<'a> Session<'a> {
    /// A run that begins now.
    pub(crate) fn new(rules: &'a [Rule], settings: Settings, outputs: Outputs, look: Look) -> Self {
        let in_play = InPlay::default();
        Self {
            rules,
            settings,
            outputs,
            live: Live::new(look, in_play.clone()),
            look,
            in_play,
            report: Report::new(settings),
        }
    }

    /// Where to tell which cases are being played.
    pub(crate) fn in_play(&self) -> InPlay {
        self.in_play.clone()
    }

    /// It is a part of a run.
    pub(crate) fn shard(&mut self, shard: ShardEntry) {
        self.report.shard = Some(shard);
    }

    /// A subject is ready, and that many runs of cases are planned.
    pub(crate) fn subject(&mut self, subject: &Subject, planned: usize, start: &Start) {
        self.report.add_subject(subject, planned, start);
        self.live.plan(planned);
        let Report {
            spec,
            profile,
            jobs,
            shard,
            ..
        } = &self.report;
        if self.look.quiet {
            return;
        }
        let (role, name) = (subject.role(), printable(&subject.name()));
        let part = match shard {
            Some(ShardEntry {
                number,
                of,
                planned,
                ..
            }) => format!(", part {number}/{of} of {planned}"),
            None => String::new(),
        };
        self.live.print(&format!(
            "{role} {name}  spec {spec}  profile {profile}  jobs {jobs}  {start}\n    starting {}{part}\n",
            text::counted(planned, "case")
        ));
    }

    /// A case has been judged.
    pub(crate) fn judged(&mut self, job: &Job, judged: &Judged) {
        let result = CaseResult::new(job, judged, self.rules, self.settings);
        let lines = told(&result, self.look, self.live.colour());
        self.live.done(result.counts == Counts::Failed, &lines);
        self.report.add(result);
    }

    /// It ends before its first case, interrupted or because a subject never became ready. The reports say so; the
    /// caller tells the user.
    pub(crate) fn stopped(mut self, not_ready: Option<(&Subject, &str)>) -> Vec<OutputError> {
        self.report.ended = match not_ready {
            Some(_) => Ended::NotReady,
            None => Ended::Interrupted,
        };
        self.report.not_ready = not_ready.map(|(subject, reason)| NotReady {
            subject: printable(&subject.name()),
            reason: printable(reason),
        });
        self.report.finish(self.rules);
        self.live.end("");
        self.outputs.write(&self.report).1
    }

    /// The run is over; the totals, and the reports that could not be written.
    pub(crate) fn end(mut self, summary: &Summary, last: Last) -> (Totals, Vec<OutputError>) {
        self.report.conclude(summary);
        self.report.finish(self.rules);
        let colour = self.live.colour();
        let (mut lines, failed) = end(&self.report, summary, &self.outputs, self.look, colour);
        if last == Last::Here {
            lines.push_str(&text::last_line(self.report.totals));
        }
        self.live.end(&lines);
        (self.report.totals, failed)
    }
}

/// Shows and writes a report that was made elsewhere, as the run would have done; the reports that could not be written.
pub(crate) fn show(report: &Report, outputs: &Outputs, look: Look) -> Vec<OutputError> {
    let live = Live::new(look, InPlay::default());
    let colour = live.colour();
    for result in &report.results {
        live.print(&told(result, look, colour));
    }
    let (mut lines, failed) = end(report, &summary(report), outputs, look, colour);
    lines.push_str(&text::last_line(report.totals));
    live.end(&lines);
    failed
}

/// The lines of a result, if it has any.
fn told(result: &CaseResult, look: Look, colour: bool) -> String {
    // The skipped would bury the failures: they are told together, at the end.
    let aside = result.is_plain() || result.verdict == Verdict::Skip;
    let shown = match look.quiet {
        true => result.counts == Counts::Failed,
        false => look.verbose || !aside,
    };
    match shown {
        true => text::result(result, colour),
        false => String::new(),
    }
}

/// Writes the reports; the lines in front of the last one, and the reports that could not be written.
fn end(
    report: &Report,
    summary: &Summary,
    outputs: &Outputs,
    look: Look,
    colour: bool,
) -> (String, Vec<OutputError>) {
    let (written, failed) = outputs.write(report);
    let mut lines = String::new();
    if !look.quiet {
        lines = text::summary(report, summary, look.slowest, colour);
        if !written.is_empty() {
            lines.push_str(&format!("\nreports  {}\n", written.join(", ")));
        }
        lines.push('\n');
    }
    (lines, failed)
}

/// What a report says about its run as a whole.
fn summary(report: &Report) -> Summary {
    let results = report.results.iter();
    let mut summary = Summary::begin();
    for result in results.filter(|result| result.verdict != Verdict::Skip) {
        summary.note(&result.id, Duration::from_secs_f64(result.seconds), false);
    }
    summary.retried = report.retried;
    summary.wall = Duration::from_secs_f64(report.seconds);
    summary.longest_stall = Duration::from_secs_f64(report.longest_stall);
    summary.ended = match report.ended {
        Ended::Complete | Ended::NotReady => run::Ended::Complete,
        Ended::Interrupted => run::Ended::Interrupted,
        Ended::FailFast => run::Ended::FailFast,
    };
    summary
}
