//! Figures and violations, the report of a run.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

/// How many violations of a part are printed. The others are only counted.
const SHOWN: usize = 20;

/// One line of the table.
#[derive(Debug, Clone)]
struct Figure {
    part: String,
    name: String,
    value: Value,
    unit: &'static str,
}

/// The report of a run.
#[derive(Debug, Default)]
pub(crate) struct Report {
    part: String,
    figures: Vec<Figure>,
    violations: Vec<(String, String)>,
    counts: BTreeMap<String, usize>,
}

impl Report {
    /// A report about a part of the run, such as `chaos`.
    pub(crate) fn new(part: impl Into<String>) -> Self {
        Self {
            part: part.into(),
            ..Self::default()
        }
    }

    /// Adds a figure.
    pub(crate) fn figure(
        &mut self,
        name: impl Into<String>,
        value: impl Into<Value>,
        unit: &'static str,
    ) {
        self.figures.push(Figure {
            part: self.part.clone(),
            name: name.into(),
            value: value.into(),
            unit,
        });
    }

    /// Adds median, 99th percentile, maximum and count of times.
    pub(crate) fn times(&mut self, name: &str, times: &mut [Duration]) {
        times.sort_unstable();
        for (label, share) in [("p50", 0.5), ("p99", 0.99), ("max", 1.0)] {
            if let Some(time) = percentile(times, share) {
                self.figure(format!("{name} {label}"), millis(time), "ms");
            }
        }
        self.figure(format!("{name} count"), times.len(), "");
    }

    /// Adds a violation.
    pub(crate) fn violation(&mut self, text: impl Display) {
        let count = self.counts.entry(self.part.clone()).or_default();
        *count += 1;
        if *count <= SHOWN {
            self.violations.push((self.part.clone(), text.to_string()));
        }
    }

    /// Adds a violation unless `holds`.
    pub(crate) fn require(&mut self, holds: bool, text: impl FnOnce() -> String) {
        if !holds {
            self.violation(text());
        }
    }

    /// Adds the figures and violations of another report.
    pub(crate) fn merge(&mut self, other: Self) {
        self.figures.extend(other.figures);
        self.violations.extend(other.violations);
        for (part, count) in other.counts {
            *self.counts.entry(part).or_default() += count;
        }
    }

    /// How many violations there are.
    pub(crate) fn failures(&self) -> usize {
        self.counts.values().sum()
    }

    /// Whether a printed violation contains a text.
    pub(crate) fn has_violation(&self, text: &str) -> bool {
        self.violations
            .iter()
            .any(|(_, violation)| violation.contains(text))
    }

    /// The table, for people.
    pub(crate) fn table(&self) -> String {
        let width = |text: fn(&Figure) -> usize| self.figures.iter().map(text).max().unwrap_or(0);
        let (part, name) = (width(|f| f.part.len()), width(|f| f.name.len()));
        let mut lines = Vec::new();
        for figure in &self.figures {
            let value = match &figure.value {
                Value::String(text) => text.clone(),
                value => value.to_string(),
            };
            let line = format!(
                "{:part$}  {:name$}  {value} {}",
                figure.part, figure.name, figure.unit
            );
            lines.push(line.trim_end().to_owned());
        }
        for (part, text) in &self.violations {
            lines.push(format!("VIOLATION  {part}: {text}"));
        }
        for (part, count) in &self.counts {
            if *count > SHOWN {
                lines.push(format!("VIOLATION  {part}: {} more", count - SHOWN));
            }
        }
        lines.push(format!("{} violations", self.failures()));
        lines.join("\n")
    }

    /// Writes everything as JSON.
    pub(crate) fn write_json(&self, path: &Path, seed: u64) -> io::Result<()> {
        let figures = self
            .figures
            .iter()
            .map(|f| json!({"part": f.part, "name": f.name, "value": f.value, "unit": f.unit}));
        let violations = self
            .violations
            .iter()
            .map(|(part, text)| json!({"part": part, "text": text}));
        let whole = json!({
            "seed": seed,
            "figures": figures.collect::<Vec<_>>(),
            "violations": violations.collect::<Vec<_>>(),
            "violationCount": self.failures(),
        });
        std::fs::write(path, format!("{whole:#}\n"))
    }
}

/// A time in milliseconds, rounded to two decimals.
pub(crate) fn millis(time: Duration) -> f64 {
    (time.as_secs_f64() * 100_000.0).round() / 100.0
}

/// The smallest time that is not below this share of the sorted times.
pub(crate) fn percentile(sorted: &[Duration], share: f64) -> Option<Duration> {
    let rank = (sorted.len() as f64 * share).ceil();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share of a length is a length"
    )]
    let rank = (rank as usize).max(1);
    sorted.get(rank - 1).copied()
}

/// Writes a line to standard output. If that is closed, the program goes on, and the exit code gives the result.
pub(crate) fn say(text: impl Display) {
    let _ = writeln!(io::stdout().lock(), "{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_of_the_list() {
        let times: Vec<_> = (1..=100).map(Duration::from_millis).collect();
        let at = |share| percentile(&times, share).unwrap().as_millis();
        assert_eq!((at(0.5), at(0.99), at(1.0), at(0.0)), (50, 99, 100, 1));
        assert_eq!(percentile(&times[..1], 0.5), Some(times[0]));
        assert_eq!(percentile(&[], 0.5), None);
    }

    #[test]
    fn violations_beyond_the_printed_ones_are_counted() {
        let mut report = Report::new("part");
        for i in 0..SHOWN + 3 {
            report.require(false, || format!("number {i}"));
            report.require(true, || unreachable!());
        }
        let mut all = Report::default();
        all.merge(report);
        assert_eq!(all.failures(), SHOWN + 3);
        let table = all.table();
        assert!(table.contains("VIOLATION  part: 3 more"), "{table}");
        assert!(all.has_violation("number 3") && !all.has_violation("number 21"));
    }
}
