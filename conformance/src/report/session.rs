//! A run as it goes on: results come in, lines go out, and at the end the reports are written.

use super::live::{InPlay, Live, Look};
use super::model::{CaseResult, Counts, Ended, NotReady, Report, Settings, Totals};
use super::outputs::{OutputError, Outputs};
use super::printable::printable;
use super::text;
use crate::rules::Rule;
use crate::run::{Job, Start, Summary};
use crate::sut::Subject;
use crate::verdict::{Judged, Verdict};

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

    /// A subject is ready, and that many runs of cases are planned.
    pub(crate) fn subject(&mut self, subject: &Subject, planned: usize, start: &Start) {
        self.report.add_subject(subject, planned, start);
        self.live.plan(planned);
        let Report {
            spec,
            profile,
            jobs,
            ..
        } = &self.report;
        if self.look.quiet {
            return;
        }
        let (role, name) = (subject.role(), printable(&subject.name()));
        self.live.print(&format!(
            "{role} {name}  spec {spec}  profile {profile}  jobs {jobs}  {start}\n    starting {}\n",
            text::counted(planned, "case")
        ));
    }

    /// A case has been judged.
    pub(crate) fn judged(&mut self, job: &Job, judged: &Judged) {
        let result = CaseResult::new(job, judged, self.rules, self.settings);
        // The skipped would bury the failures: they are told together, at the end.
        let aside = result.is_plain() || result.verdict == Verdict::Skip;
        let shown = match self.look.quiet {
            true => result.counts == Counts::Failed,
            false => self.look.verbose || !aside,
        };
        let lines = match shown {
            true => text::result(&result, self.live.colour()),
            false => String::new(),
        };
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
        let (written, failed) = self.outputs.write(&self.report);
        let mut lines = String::new();
        if !self.look.quiet {
            let (slowest, colour) = (self.look.slowest, self.live.colour());
            lines = text::summary(&self.report, summary, slowest, colour);
            if !written.is_empty() {
                lines.push_str(&format!("\nreports  {}\n", written.join(", ")));
            }
            lines.push('\n');
        }
        if last == Last::Here {
            lines.push_str(&text::last_line(self.report.totals));
        }
        self.live.end(&lines);
        (self.report.totals, failed)
    }
}
