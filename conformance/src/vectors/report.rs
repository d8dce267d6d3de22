//! The report of a run of vectors, in the manner of the report of cases.

use std::fmt::Write as _;
use std::time::Duration;

use super::contract::again;
use super::judge::{escaped, shortened};
use super::run::{Grade, Judged};
use super::suite::{Task, Vector};
use crate::report::{Totals, last_line, out};
use crate::rules::{self, REVISION, Rule};

/// How the results are shown.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Look {
    /// Passes too.
    pub(crate) verbose: bool,
    pub(crate) colour: bool,
}

/// Writes results as they come.
pub(crate) struct Report<'a> {
    rules: &'a [Rule],
    /// As on the command line.
    command: String,
    strict: bool,
    look: Look,
    grades: Vec<Grade>,
    totals: Totals,
}

impl<'a> Report<'a> {
    pub(crate) fn new(rules: &'a [Rule], command: String, strict: bool, look: Look) -> Self {
        Self {
            rules,
            command,
            strict,
            look,
            grades: Vec::new(),
            totals: Totals::default(),
        }
    }

    pub(crate) fn begin(&self, count: usize) {
        let command = &self.command;
        out(&format!(
            "codec {command}  spec {REVISION}\n    starting {count} vectors\n"
        ));
    }

    pub(crate) fn judged(&mut self, vector: &Vector, judged: &Judged) {
        self.grades.push(judged.grade);
        match judged.grade {
            Grade::Skip => self.totals.skipped += 1,
            grade if grade.is_red(self.strict) => self.totals.failed += 1,
            _ => self.totals.passed += 1,
        }
        if judged.grade != Grade::Pass || self.look.verbose {
            out(&self.render(vector, judged));
        }
    }

    pub(crate) fn end(&self, total: usize, took: Duration) -> Totals {
        let count = |grade| self.grades.iter().filter(|one| **one == grade).count();
        let parts: Vec<String> = ALL
            .iter()
            .filter(|grade| count(**grade) > 0)
            .map(|grade| format!("{} {}", count(*grade), grade.name().to_ascii_lowercase()))
            .collect();
        let done = self.grades.len();
        let interrupted = if done < total { ", interrupted" } else { "" };
        out(&format!(
            "    {done} of {total} vectors in {:.1} s: {}{interrupted}\n\n",
            took.as_secs_f64(),
            parts.join(", "),
        ));
        out(&last_line(self.totals));
        self.totals
    }

    /// A line, and for everything but a pass what a reader needs to understand it.
    fn render(&self, vector: &Vector, judged: &Judged) -> String {
        let grade = judged.grade;
        let colour = match grade {
            Grade::Pass => "\x1b[32m",
            Grade::Nonstrict | Grade::Skip => "\x1b[33m",
            _ => "\x1b[31m",
        };
        let mut name = format!("{:>9}", grade.name());
        if self.look.colour {
            name = format!("{colour}{name}\x1b[0m");
        }
        let took = judged.took.as_secs_f64();
        let (id, comment) = (vector.id, &vector.comment);
        let mut text = format!("{name} [{took:7.3}s] {id:>4}  {comment}");
        let seen = match (&judged.seen, grade) {
            (Some(seen), Grade::Skip) => {
                let _ = write!(text, "  {}", seen.got);
                None
            }
            (seen, _) => seen.as_ref(),
        };
        text.push('\n');
        let Some(seen) = seen else { return text };
        for rule in vector
            .rules
            .iter()
            .filter_map(|id| self.rules.iter().find(|rule| rule.id == *id))
        {
            let place = format!("{}:{}", rules::FILE, rule.line);
            let _ = writeln!(text, "{MARGIN}{} {}  {place}", rule.id, rule.level);
            let _ = writeln!(text, "{MARGIN}{}", rule.text);
        }
        let asked = match &vector.task {
            Task::Decode { bytes, .. } => format!("{} {}", escaped(bytes), seen.how),
            Task::Encode { message, .. } => {
                let fields = serde_json::json!(message).to_string();
                format!("{} {}", shortened(&fields), seen.how)
            }
        };
        let _ = writeln!(text, "{MARGIN}asked     {asked}    {}", vector.file);
        let between = format!("\n{MARGIN}or        ");
        let _ = writeln!(text, "{MARGIN}expected  {}", seen.expected.join(&between));
        let _ = writeln!(text, "{MARGIN}got       {}", seen.got);
        let _ = writeln!(text, "{MARGIN}again     {}", again(vector, &self.command));
        text
    }
}

const MARGIN: &str = "          ";

const ALL: [Grade; 8] = [
    Grade::Pass,
    Grade::Nonstrict,
    Grade::Skip,
    Grade::Fail,
    Grade::Rubbish,
    Grade::Crash,
    Grade::Hang,
    Grade::Flood,
];
