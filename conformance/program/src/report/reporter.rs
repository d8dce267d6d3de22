//! Prints the results of a run as they come, and writes its reports at the end.

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

/// Whether the run or its caller writes the last line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Last {
    /// The run.
    #[default]
    Here,
    /// The caller, which prints something else before.
    Later,
}

/// Collects and shows the results of a run.
#[derive(Debug)]
pub(crate) struct Reporter<'a> {
    rules: &'a [Rule],
    settings: Settings,
    outputs: Outputs,
    live: Live,
    look: Look,
    in_play: InPlay,
    report: Report,
}

impl<'a> Reporter<'a> {
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

    /// The list of the cases that are being played.
    pub(crate) fn in_play(&self) -> InPlay {
        self.in_play.clone()
    }

    /// Marks the run as a part of a run.
    pub(crate) fn shard(&mut self, shard: ShardEntry) {
        self.report.shard = Some(shard);
    }

    /// Adds a subject that is ready; `planned` is the number of its runs of cases.
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

    /// Adds and shows a result.
    pub(crate) fn judged(&mut self, job: &Job, judged: &Judged) {
        let result = CaseResult::new(job, judged, self.rules, self.settings);
        let lines = lines_of(&result, self.look, self.live.colour());
        self.live.done(result.counts == Counts::Failed, &lines);
        self.report.add(result);
    }

    /// Ends the run before its first case, because it was interrupted or a subject never became ready. Writes the
    /// reports; the caller prints the error.
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

    /// Ends the run. Returns the totals, and the errors of reports that could not be written.
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

/// Shows and writes a merged report, as its run would have done. Returns the errors of reports that could not be
/// written.
pub(crate) fn show(report: &Report, outputs: &Outputs, look: Look) -> Vec<OutputError> {
    let live = Live::new(look, InPlay::default());
    let colour = live.colour();
    for result in &report.results {
        live.print(&lines_of(result, look, colour));
    }
    let (mut lines, failed) = end(report, &summary(report), outputs, look, colour);
    lines.push_str(&text::last_line(report.totals));
    live.end(&lines);
    failed
}

/// The lines of a result, if it is shown.
fn lines_of(result: &CaseResult, look: Look, colour: bool) -> String {
    // Skipped cases are counted at the end, so that the failures are easy to find.
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

/// Writes the reports. Returns the lines before the last one, and the errors of reports that could not be written.
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

/// The summary of the run of a report.
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
