//! The report of all differences, as text and as JSON.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use netroxy_judge::verdict::Verdict;
use netroxy_specification::rules::Rule;
use serde_json::{Value, json};

use super::columns::Columns;
use super::difference::{Difference, Side};
use crate::report::Totals;

/// All differences between two peers.
#[derive(Debug)]
pub(crate) struct Report<'a> {
    /// The names of both peers.
    pub(crate) names: [String; 2],
    /// How many cases were played against both.
    pub(crate) compared: usize,
    pub(crate) differences: Vec<Difference>,
    pub(crate) uncompared: Vec<Uncompared>,
    pub(crate) rules: &'a [Rule],
    /// A command that plays the first difference against the second peer again.
    pub(crate) replay: Option<String>,
}

/// A case that could be played against only one of the two.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Uncompared {
    pub(crate) id: String,
    /// The name of the other peer, and the reason.
    pub(crate) why: String,
}

impl Report<'_> {
    /// The differences side by side, under the rules of the first differences, and a table.
    pub(crate) fn text(&self, columns: Columns) -> String {
        let mut text = String::new();
        for (rule, differences) in self.by_rule() {
            let _ = writeln!(text, "{}\n", self.heading(rule));
            for one in differences {
                let _ = writeln!(text, "  {}    {}", one.id, self.verdicts(one));
                let [a, b] = &self.names;
                let _ = write!(text, "\n{}", columns.row(a, ' ', b));
                let rule = |name: &str| "-".repeat(name.chars().count());
                text.push_str(&columns.row(&rule(a), ' ', &rule(b)));
                let _ = writeln!(text, "{}", columns.show(&one.blocks));
            }
        }
        text.push_str(&self.table());
        let mut reasons: BTreeMap<&str, usize> = BTreeMap::new();
        for one in &self.uncompared {
            *reasons.entry(&one.why).or_default() += 1;
        }
        for (why, count) in reasons {
            let _ = writeln!(text, "    {count} not compared: {why}");
        }
        if let Some(again) = &self.replay {
            let _ = writeln!(text, "\n    again  {again}");
        }
        let (cases, differ) = (self.compared, self.differences.len());
        let _ = writeln!(text, "\ndiff: {cases} cases, {differ} differ");
        text
    }

    /// Equal results count as passed, different ones as failed.
    pub(crate) fn totals(&self) -> Totals {
        let differ = self.differences.len();
        Totals {
            passed: self.compared.saturating_sub(differ),
            failed: differ,
            skipped: self.uncompared.len(),
        }
    }

    /// The same as JSON, with all lines.
    pub(crate) fn json(&self) -> String {
        let side = |side: &Side| json!({ "verdict": side.verdict.name(), "transcript": side.canonical.to_string() });
        let difference = |one: &Difference| {
            let [a, b] = &one.sides;
            json!({ "id": one.id, "rules": one.rules, "a": side(a), "b": side(b) })
        };
        let uncompared = |one: &Uncompared| json!({ "id": one.id, "why": one.why });
        let [a, b] = &self.names;
        let value = json!({
            "a": a, "b": b,
            "cases": self.compared,
            "differ": self.differences.len(),
            "differences": self.differences.iter().map(difference).collect::<Vec<Value>>(),
            "uncompared": self.uncompared.iter().map(uncompared).collect::<Vec<Value>>(),
        });
        format!("{value:#}\n")
    }

    /// The differences by rule, in the order of the specification; those without a rule come last.
    fn by_rule(&self) -> Vec<(Option<&Rule>, Vec<&Difference>)> {
        let rules = self.rules.iter().map(Some).chain([None]);
        let below = |rule: Option<&Rule>| -> Vec<&Difference> {
            let differences = self.differences.iter();
            differences
                .filter(|one| one.rules.first() == rule.map(|rule| &rule.id))
                .collect()
        };
        rules
            .map(|rule| (rule, below(rule)))
            .filter(|(_, differences)| !differences.is_empty())
            .collect()
    }

    fn heading(&self, rule: Option<&Rule>) -> String {
        match rule {
            Some(rule) => format!("{}\n{}", rule.id, rule.text),
            None => NO_RULE.to_owned(),
        }
    }

    fn verdicts(&self, one: &Difference) -> String {
        let [a, b] = &one.sides;
        match a.verdict == b.verdict {
            true => format!("both {}", a.verdict.name()),
            false => format!("{} and {}", a.verdict.name(), b.verdict.name()),
        }
    }

    fn table(&self) -> String {
        let counted = |differences: &[&Difference], side: usize| {
            let mut counts: BTreeMap<Verdict, usize> = BTreeMap::new();
            for one in differences {
                *counts.entry(one.sides[side].verdict).or_default() += 1;
            }
            let counts = counts.into_iter();
            let counts = counts.map(|(verdict, count)| format!("{count} {}", verdict.name()));
            counts.collect::<Vec<_>>().join(", ")
        };
        let mut rows = vec![[
            "rule".to_owned(),
            "cases".to_owned(),
            self.names[0].clone(),
            self.names[1].clone(),
        ]];
        for (rule, differences) in self.by_rule() {
            rows.push([
                rule.map_or_else(|| "(none)".to_owned(), |rule| rule.id.clone()),
                differences.len().to_string(),
                counted(&differences, 0),
                counted(&differences, 1),
            ]);
        }
        if rows.len() == 1 {
            return String::new();
        }
        let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
        let widths: [usize; 4] = std::array::from_fn(|column| width(column).unwrap_or(0));
        let mut text = String::new();
        for [rule, cases, a, b] in &rows {
            let [first, second, third, _] = widths;
            let line = format!("    {rule:first$}  {cases:>second$}  {a:third$}  {b}");
            let _ = writeln!(text, "{}", line.trim_end());
        }
        text
    }
}

/// The heading of differences without a rule.
const NO_RULE: &str = "no rule: a step that prepares, or the end of the program";
