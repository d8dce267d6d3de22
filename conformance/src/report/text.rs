//! The report of a run as text.

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write as _};

use crate::rules::{self, Rule};
use crate::run::{Options, Start, Summary};
use crate::sut::Subject;
use crate::verdict::{Judged, Verdict};

/// Writes results as they come.
pub(crate) struct Report<'a> {
    rules: &'a [Rule],
    subject: &'a Subject,
    options: Options,
    strict: bool,
    colour: bool,
    /// Rewrites one line with the progress.
    live: bool,
    done: usize,
    total: usize,
    counts: Vec<Verdict>,
}

/// What the last line counts.
#[derive(Debug)]
pub(crate) struct Totals {
    strict: bool,
    pub(crate) passed: usize,
    pub(crate) failed: usize,
    pub(crate) skipped: usize,
}

impl<'a> Report<'a> {
    pub(crate) fn new(
        rules: &'a [Rule],
        subject: &'a Subject,
        options: Options,
        strict: bool,
        colour: bool,
    ) -> Self {
        let live = io::stdout().is_terminal();
        Self {
            rules,
            subject,
            options,
            strict,
            colour,
            live,
            done: 0,
            total: 0,
            counts: Vec::new(),
        }
    }

    pub(crate) fn begin(&mut self, total: usize, start: &Start) {
        self.total = total;
        let profile = if self.options.hardened {
            "hardened"
        } else {
            "wire"
        };
        let role = self.subject.role();
        out(&format!(
            "{role} {}  spec 0.3  profile {profile}  jobs {}  {start}\n    starting {} cases\n",
            self.subject.name(),
            self.options.jobs,
            self.total,
        ));
    }

    pub(crate) fn judged(&mut self, judged: &Judged) {
        self.done += 1;
        self.counts.push(judged.verdict);
        let text = self.render(judged);
        let progress = format!("    {} {}/{}", self.subject.name(), self.done, self.total);
        match self.live {
            true => out(&format!("\r\x1b[K{text}{progress}")),
            false => out(&text),
        }
    }

    pub(crate) fn end(&self) {
        let clear = if self.live { "\r\x1b[K" } else { "" };
        let count = |verdict| self.counts.iter().filter(|one| **one == verdict).count();
        let mut parts = Vec::new();
        for verdict in ALL {
            if count(verdict) > 0 {
                parts.push(format!(
                    "{} {}",
                    count(verdict),
                    verdict.name().to_ascii_lowercase()
                ));
            }
        }
        out(&format!(
            "{clear}    {}: {} of {} cases: {}\n",
            self.subject.name(),
            self.done,
            self.total,
            parts.join(", "),
        ));
    }

    /// A line, and for everything but a pass what a reader needs to understand it.
    pub(crate) fn render(&self, judged: &Judged) -> String {
        let colour = match judged.verdict {
            Verdict::Pass => "\x1b[32m",
            Verdict::Nonstrict | Verdict::Skip | Verdict::KnownFailing => "\x1b[33m",
            Verdict::UnexpectedPass
            | Verdict::Fail
            | Verdict::Blocked
            | Verdict::Crash
            | Verdict::Hang
            | Verdict::NotReady
            | Verdict::Harness => "\x1b[31m",
        };
        let name = format!("{:>9}", judged.verdict.name());
        let name = if self.colour {
            format!("{colour}{name}\x1b[0m")
        } else {
            name
        };
        let mut text = format!("{name} [{:7.3}s] {}", judged.took.as_secs_f64(), judged.id);
        if let (Verdict::Skip, Some(reason)) = (judged.verdict, &judged.reason) {
            let _ = write!(text, "  {reason}");
        }
        text.push('\n');
        for remark in &judged.remarks {
            let rules = remark.marks.join(" ");
            let _ = writeln!(
                text,
                "{MARGIN}nonstrict  {}  [{rules}]  {}:{}",
                remark.seen, judged.file, remark.line
            );
        }
        for note in &judged.notes {
            let note = note.replace('\n', &format!("\n{MARGIN}"));
            let _ = writeln!(text, "{MARGIN}{note}");
        }
        if judged.verdict.is_red(false) {
            self.failure(&mut text, judged);
        }
        text
    }

    fn failure(&self, text: &mut String, judged: &Judged) {
        if let Some(broken) = &judged.broken {
            for rule in broken
                .marks
                .iter()
                .filter_map(|id| self.rules.iter().find(|rule| rule.id == *id))
            {
                let _ = writeln!(
                    text,
                    "{MARGIN}{} {}  {}:{}",
                    rule.id,
                    rule.level,
                    rules::FILE,
                    rule.line
                );
                let _ = writeln!(text, "{MARGIN}{}", rule.text);
            }
            if broken.marks.is_empty() && judged.twin.is_none() {
                let _ = writeln!(
                    text,
                    "{MARGIN}its rules could not be judged: a step before them did not come true"
                );
            }
            let expected = broken.expected.replace('\n', &format!("\n{MARGIN}"));
            let _ = writeln!(
                text,
                "{MARGIN}expected  {expected}    {}:{}",
                judged.twin.as_ref().unwrap_or(&judged.file),
                broken.line
            );
            let _ = writeln!(text, "{MARGIN}got       {}", broken.got);
        }
        if let Some(reason) = judged.reason.as_deref().filter(|reason| !reason.is_empty()) {
            let _ = writeln!(text, "{MARGIN}{reason}");
        }
        if let Some(listed) = &judged.listed {
            let (got, why) = (&listed.got, &listed.why);
            let _ = writeln!(text, "{MARGIN}listed    {got}\n{MARGIN}because   {why}");
        }
        for (broken, line) in judged
            .transcript
            .iter()
            .flat_map(crate::transcript::Transcript::lines)
        {
            let line = if broken && self.colour {
                format!("\x1b[31m{line}\x1b[0m")
            } else {
                line
            };
            let _ = writeln!(text, "{MARGIN}{line}");
        }
        if !judged.log.is_empty() {
            let log = judged.log.replace('\n', &format!("\n{MARGIN}  | "));
            let _ = writeln!(
                text,
                "{MARGIN}the output of the program ends with\n{MARGIN}  | {log}"
            );
        }
        let _ = writeln!(text, "{MARGIN}again     {}", self.again(judged));
    }

    /// A command that runs only this case.
    fn again(&self, judged: &Judged) -> String {
        let embedded = judged.file.starts_with("spec/");
        let case = if embedded {
            judged.id.clone()
        } else {
            format!("--case-file {}", judged.file)
        };
        let profile = if self.options.hardened {
            " --profile hardened"
        } else {
            ""
        };
        let scale = self.options.time_scale;
        let scale = if scale == 1.0 {
            String::new()
        } else {
            format!(" --time-scale {scale}")
        };
        let strict = if self.strict { " --strict" } else { "" };
        let (role, subject) = (self.subject.role(), self.subject.arguments());
        format!("netroxy-conformance run {role} {case} {subject}{profile}{strict}{scale}")
    }
}

impl Totals {
    pub(crate) fn new(strict: bool) -> Self {
        Self {
            strict,
            passed: 0,
            failed: 0,
            skipped: 0,
        }
    }

    pub(crate) fn count(&mut self, judged: &Judged) {
        match judged.verdict {
            Verdict::Skip => self.skipped += 1,
            verdict if verdict.is_red(self.strict) => self.failed += 1,
            _ => self.passed += 1,
        }
    }

    /// What there is to say about the whole run.
    pub(crate) fn summary(summary: &Summary, slowest: usize) {
        out(&format!("\n    {summary}\n"));
        for (id, took) in summary.slowest.iter().take(slowest) {
            out(&format!("    {:7.3}s  {id}\n", took.as_secs_f64()));
        }
    }

    /// The last line of every run; other programs read it.
    pub(crate) fn close(&self) {
        out(&format!(
            "conformance: {} passed, {} failed, {} skipped\n",
            self.passed, self.failed, self.skipped
        ));
    }
}

const MARGIN: &str = "          ";

const ALL: [Verdict; 11] = [
    Verdict::Pass,
    Verdict::Nonstrict,
    Verdict::Skip,
    Verdict::KnownFailing,
    Verdict::UnexpectedPass,
    Verdict::Fail,
    Verdict::Blocked,
    Verdict::Crash,
    Verdict::Hang,
    Verdict::NotReady,
    Verdict::Harness,
];

/// A reader that has gone away, such as `head`, is no reason to stop.
pub(crate) fn out(text: &str) {
    let mut stdout = io::stdout().lock();
    let _ = stdout.write_all(text.as_bytes());
    let _ = stdout.flush();
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::time::Duration;

    use crate::manifest::Manifest;
    use crate::notation::ast::{Action, Expectation, Side};
    use crate::notation::parse;
    use crate::player::Broken;
    use crate::transcript::Transcript;

    const CASE: &str = r#"title    bytes that share a segment with TRS reach the user
role     server
rules    tunnel.early-data

ctl   connect server
ctl   > ATH probe conf-user conf-pass
ctl   < ARS true 30 df9a3594185ce4480426c4662b42a627
tun   >> "TRS\ndf9a3594185ce4480426c4662b42a627\n20130\nEARLY and a good deal more"  # one segment
user  << "EARLY"                          [tunnel.early-data]
"#;

    fn failure() -> Judged {
        let case = parse(CASE).unwrap();
        let mut transcript = Transcript::new();
        let steps = case.body.iter().filter_map(|line| match line {
            crate::notation::ast::Line::Step(step) => Some(step),
            _ => None,
        });
        for step in steps {
            match step.marks.is_empty() {
                true => transcript.add(&step.actor, step.action.clone(), step.comment.clone()),
                false => transcript.add_broken(step),
            }
        }
        transcript.add(
            "ctl",
            Action::Expect(Expectation::Closed),
            Some("eof".to_owned()),
        );
        Judged {
            id: "server/tunnel/early-data".into(),
            file: "spec/v0.3/cases/server/tunnel/early-data.case".into(),
            verdict: Verdict::Crash,
            twin: None,
            reason: Some("the program ended by itself: exit status: 2".into()),
            broken: Some(Broken {
                line: 9,
                marks: vec!["tunnel.early-data".into()],
                expected: "user  << \"EARLY\"".into(),
                got: "nothing in 2.0 s; the connection is open".into(),
            }),
            remarks: Vec::new(),
            judged_rules: BTreeSet::default(),
            listed: None,
            notes: Vec::new(),
            transcript: Some(transcript),
            log: "panic: concurrent map read and map write\ngoroutine 7 [running]".into(),
            took: Duration::from_millis(2031),
        }
    }

    /// Times differ from run to run; everything else does not. Line numbers of the spec do from edit to edit.
    fn steady(text: &str) -> String {
        let lines = text.lines().map(|line| {
            let line = line.split("netroxy.md:").next().unwrap_or(line);
            match line.get(12..19) {
                Some(time) if time.trim().parse::<f64>().is_ok() => {
                    format!("{}  0.000{}", &line[..12], &line[19..])
                }
                _ => line.to_owned(),
            }
        });
        lines.collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn a_failure_tells_the_rule_the_step_the_recording_and_how_to_see_it_again() {
        let rules = rules::embedded().unwrap();
        let subject = Subject::Started(Manifest::reference(Side::Server).unwrap());
        let options = Options {
            hardened: true,
            jobs: 8,
            time_scale: 2.0,
        };
        let report = Report::new(&rules, &subject, options, true, false);
        insta::assert_snapshot!(steady(&report.render(&failure())));
    }
}
