//! A case file that grows step by step.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::LazyLock;

use fastrand::Rng;
use netroxy_specification::states::{Step, Table};

use super::{Modelled, Plan};

/// The steps so far, as text of the notation.
#[derive(Debug)]
pub(super) struct Draft {
    /// A line, or several for `one of`, with the marks of the step.
    steps: Vec<(String, Vec<&'static str>)>,
    covers: BTreeSet<(&'static str, &'static str, &'static str)>,
    /// How many connections have been named.
    named: u32,
    /// How many lines there were at the end of each act.
    ends: Vec<usize>,
}

/// A table and its name.
#[derive(Debug)]
pub(super) struct Known {
    name: &'static str,
    table: &'static Table,
}

impl Known {
    /// Of a connection to a server.
    pub(super) fn server() -> Self {
        static TABLE: LazyLock<Table> = LazyLock::new(Table::server);
        let (name, table) = ("server", &*TABLE);
        Self { name, table }
    }

    /// Of a client.
    pub(super) fn client() -> Self {
        static TABLE: LazyLock<Table> = LazyLock::new(Table::client);
        let (name, table) = ("client", &*TABLE);
        Self { name, table }
    }

    /// Of a tunnel.
    pub(super) fn tunnel() -> Self {
        static TABLE: LazyLock<Table> = LazyLock::new(Table::tunnel);
        let (name, table) = ("tunnel", &*TABLE);
        Self { name, table }
    }
}

impl Draft {
    pub(super) fn new() -> Self {
        Self {
            steps: Vec::new(),
            covers: BTreeSet::new(),
            named: 0,
            ends: Vec::new(),
        }
    }

    /// What the specification says about an event; nothing where it cannot happen.
    pub(super) fn event(&mut self, known: &Known, state: &str, event: &str) -> Option<Step> {
        let step = known.table.step(state, event)?;
        self.covers.insert((known.name, step.state, step.event));
        Some(step)
    }

    /// Something that is done, or prepares.
    pub(super) fn act(&mut self, actor: &str, verb: &str) {
        self.judge(actor, verb, &[]);
    }

    /// Something that is judged by these rules, the most exact one first.
    pub(super) fn judge(&mut self, actor: &str, verb: &str, rules: &[&'static str]) {
        self.steps.push((format!("{actor} {verb}"), rules.to_vec()));
    }

    /// The same steps again and again, each judged by these rules.
    pub(super) fn repeat(&mut self, times: u32, steps: &[String], rules: &[&'static str]) {
        self.steps.push((format!("repeat {times}"), Vec::new()));
        for step in steps {
            self.steps.push((format!("  {step}"), rules.to_vec()));
        }
    }

    /// A block that is played so many times; what it opens stays open where it is kept.
    pub(super) fn block(&mut self, times: u32, kept: bool, steps: &[(String, &[&'static str])]) {
        let kept = if kept { " kept" } else { "" };
        self.steps
            .push((format!("repeat {times}{kept}"), Vec::new()));
        for (step, rules) in steps {
            self.steps.push((format!("  {step}"), rules.to_vec()));
        }
    }

    /// Open for so long at least, and it may be closed then.
    pub(super) fn open_for(&mut self, actor: &str, seconds: u32, rule: &'static str) {
        let text =
            format!("{actor} < one of in {seconds}s..\n        closed pass\n        silence pass");
        self.steps.push((text, vec![rule]));
    }

    /// Closed after so long at the latest, or it should be.
    pub(super) fn closed_within(&mut self, actor: &str, seconds: u32, rule: &'static str) {
        let text = format!(
            "{actor} < one of in ..{seconds}s\n        closed pass\n        silence nonstrict"
        );
        self.steps.push((text, vec![rule]));
    }

    /// The end of a connection where an open one is allowed.
    pub(super) fn closed_or_silent(&mut self, actor: &str, rule: &'static str) {
        let text = format!("{actor} < one of\n        closed pass\n        silence nonstrict");
        self.steps.push((text, vec![rule]));
    }

    /// One of two things that are both as they should be.
    pub(super) fn either(&mut self, actor: &str, one: &str, other: &str, rule: &'static str) {
        let text = format!("{actor} < one of\n        {one} pass\n        {other} pass");
        self.steps.push((text, vec![rule]));
    }

    /// A name that no connection has yet.
    pub(super) fn name(&mut self, letter: char) -> String {
        self.named += 1;
        format!("{letter}{}", self.named)
    }

    /// The same for connections that are kept in a block: the number of a turn is put behind it.
    pub(super) fn kept_name(&mut self, letter: char) -> String {
        self.name(letter) + "n"
    }

    /// An act is over.
    pub(super) fn end(&mut self) {
        self.ends.push(self.height());
    }

    /// As a case file.
    pub(super) fn finish(self, plan: &Plan, over: bool, config: &[String]) -> Modelled {
        let mut rules: Vec<&str> = Vec::new();
        for mark in self.steps.iter().flat_map(|(_, marks)| marks) {
            if !rules.contains(mark) {
                rules.push(mark);
            }
        }
        let mut text = format!("title session {} of the fuzzer\n", plan.seed);
        // The text may come from a file of a person some day; the header is in the order of the notation.
        let _ = writeln!(text, "role {}\nrules {}", plan.side, rules.join(" "));
        for setting in config {
            let _ = writeln!(text, "config {setting}");
        }
        if over {
            text.push_str("over plain tls\n");
        }
        text.push('\n');
        let header = text.lines().count();
        for (step, marks) in &self.steps {
            let mut lines = step.lines();
            text.push_str(lines.next().unwrap_or_default());
            if !marks.is_empty() {
                let _ = write!(text, " [{}]", marks.join(" "));
            }
            text.push('\n');
            for line in lines {
                let _ = writeln!(text, "{line}");
            }
        }
        Modelled {
            text,
            covers: self.covers,
            ends: self.ends.iter().map(|lines| header + lines).collect(),
        }
    }

    /// How many lines there are.
    pub(super) fn height(&self) -> usize {
        self.steps
            .iter()
            .map(|(step, _)| step.lines().count())
            .sum()
    }
}

/// Text in pieces that must not be cut: letters, escapes, variables.
pub(super) fn pieces(text: &str) -> Vec<String> {
    let mut pieces: Vec<String> = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '\\' if rest.as_bytes().get(1) == Some(&b'x') => 4,
            '\\' => 2,
            '$' => rest.find('}').map_or(1, |end| end + 1),
            _ => first.len_utf8(),
        };
        let (piece, tail) = rest.split_at(length.min(rest.len()));
        pieces.push(piece.to_owned());
        rest = tail;
    }
    pieces
}

/// `text` as what is sent, in as many ways as `pick` knows: at once, cut in two to four, or byte by byte.
pub(super) fn segments(text: &str, pick: u32) -> String {
    match pick % 4 {
        0 | 1 => format!(">> \"{text}\""),
        2 => {
            let pieces = pieces(text);
            let mut rng = Rng::with_seed(pick.into());
            let mut cuts: Vec<usize> = (0..rng.usize(1..4))
                .map(|_| rng.usize(..pieces.len().max(1)))
                .filter(|cut| *cut > 0)
                .collect();
            cuts.sort_unstable();
            cuts.dedup();
            cuts.push(pieces.len());
            let mut from = 0;
            let strings = cuts.into_iter().map(|to| {
                let string = format!("\"{}\"", pieces[from..to].concat());
                from = to;
                string
            });
            format!(">> {}", strings.collect::<Vec<_>>().join(" "))
        }
        _ => format!(">> drip \"{text}\""),
    }
}

/// Bytes that nobody else says, as a string or as noise: how they are written where they are sent and where they come.
pub(super) fn payload(tag: &str, size: u32) -> String {
    match size {
        0..40 => format!(
            "\"{tag}{}\"",
            ".".repeat(usize::try_from(size).unwrap_or(0))
        ),
        40..300 => format!("\"{tag} \"*{}", size / 8),
        _ => {
            let seed = tag.bytes().fold(size, |sum, byte| {
                sum.wrapping_mul(31).wrapping_add(byte.into())
            });
            format!("random {size} {}", seed & 0xffff)
        }
    }
}
