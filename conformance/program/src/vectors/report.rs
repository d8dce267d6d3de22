//! The report of a run of vectors, in the style of the report of cases.

use std::fmt::Write as _;
use std::time::Duration;

use netroxy_judge::again::Again;
use netroxy_judge::vectors::{Grade, Judged, escaped, shortened};
use netroxy_specification::rules::{self, REVISION, Rule};
use netroxy_specification::vectors::{Task, Vector};

use crate::report::{Totals, last_line, out};

/// How the results are shown.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Look {
    /// Also passes.
    pub(crate) verbose: bool,
    /// Only failures and the last line.
    pub(crate) quiet: bool,
    pub(crate) colour: bool,
}

/// The judged program.
#[derive(Debug, Clone)]
pub(crate) struct Codec {
    /// The command that judges it, up to the ids of vectors.
    pub(crate) again: Again,
    /// The command that starts it.
    pub(crate) words: Vec<String>,
}

impl Codec {
    /// The command that judges only this vector.
    fn again(&self, vector: &Vector) -> Again {
        let again = self.again.clone().word(&vector.id.to_string()).word("--");
        self.words
            .iter()
            .fold(again, |again, word| again.word(word))
    }
}

/// Prints results as they come.
pub(crate) struct Report<'a> {
    rules: &'a [Rule],
    codec: Codec,
    strict: bool,
    look: Look,
    grades: Vec<Grade>,
    totals: Totals,
}

impl<'a> Report<'a> {
    pub(crate) fn new(rules: &'a [Rule], codec: Codec, strict: bool, look: Look) -> Self {
        Self {
            rules,
            codec,
            strict,
            look,
            grades: Vec::new(),
            totals: Totals::default(),
        }
    }

    pub(crate) fn begin(&self, count: usize) {
        if self.look.quiet {
            return;
        }
        let command = self.codec.words.join(" ");
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
        let shown = match self.look.quiet {
            true => judged.grade.is_red(self.strict),
            false => judged.grade != Grade::Pass || self.look.verbose,
        };
        if shown {
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
        if self.look.quiet {
            out(&last_line(self.totals));
            return self.totals;
        }
        out(&format!(
            "    {done} of {total} vectors in {:.1} s: {}{interrupted}\n\n",
            took.as_secs_f64(),
            parts.join(", "),
        ));
        out(&last_line(self.totals));
        self.totals
    }

    /// A result as text: a line, and details unless it is a pass.
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
        let _ = writeln!(text, "{MARGIN}again     {}", self.codec.again(vector));
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

#[cfg(test)]
mod tests {
    use netroxy_specification::vectors::embedded;

    use super::*;

    #[test]
    fn the_command_for_a_vector_has_every_word_and_flag() {
        let codec = Codec {
            again: Again::new(["vectors", "run", "--strict"]),
            words: ["./my codec", "--fast", "it's"].map(str::to_owned).to_vec(),
        };
        let vector = &embedded().unwrap()[0];
        let again = codec.again(vector).to_string();
        let words = shlex::split(&again).unwrap();
        let id = vector.id.to_string();
        let wanted = [
            "vectors",
            "run",
            "--strict",
            &id,
            "--",
            "./my codec",
            "--fast",
            "it's",
        ];
        assert_eq!(words[1..], wanted);
    }
}
