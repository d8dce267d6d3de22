//! Reads a JSON report, so that every format can show it again.

use netroxy_judge::input::{self, InputError};
use netroxy_specification::notation::joined;
use netroxy_specification::rules::Rule;
use serde_json::Value;

use super::cite::{cited, place};
use super::model::Report;
use super::printable::printable;

impl Report {
    /// Reads a JSON report. Totals are counted again, so a report cannot contradict its results.
    ///
    /// # Errors
    /// When the file cannot be read, is longer than 256 MiB, or is not a report of this program.
    pub(crate) fn load(file: &str, rules: &[Rule]) -> Result<Self, InputError> {
        Self::parse(file, &input::text_within(file, LONGEST)?, rules)
    }

    /// Reads the text of a JSON report.
    ///
    /// # Errors
    /// When it is not a report of this program.
    pub(crate) fn parse(file: &str, text: &str, rules: &[Rule]) -> Result<Self, InputError> {
        let wrong = |position, message: String| InputError {
            file: file.to_owned(),
            position,
            message,
            hint: Some("give a report that `--report json:PATH` wrote".to_owned()),
            missing: false,
        };
        let mut report: Self = input::json(text).map_err(|error| {
            let message = match error.path.as_str() {
                "" => error.message,
                path => format!("{path}: {}", error.message),
            };
            wrong(Some(error.position), message)
        })?;
        // Control characters could change what a terminal or a page shows.
        let all: Value = serde_json::from_str(text).unwrap_or_default();
        if holds_unprintable(&all) {
            let message = "it holds control characters, which no report of this program has";
            return Err(wrong(None, message.to_owned()));
        }
        let lines = report.results.iter_mut().flat_map(|result| {
            let between = result.between.as_mut();
            let said = between.map_or(&mut [][..], |between| &mut between.transcript[..]);
            result.transcript.iter_mut().chain(said)
        });
        for line in lines {
            line.step = joined(&line.actor, &line.text, &line.rules, line.note.as_deref());
        }
        let broken = report.results.iter_mut();
        for broken in broken.filter_map(|result| result.broken.as_mut()) {
            broken.places = cited(&broken.rules, rules).map(place).collect();
        }
        for result in std::mem::take(&mut report.results) {
            report.add(result);
        }
        report.settle();
        Ok(report)
    }
}

fn holds_unprintable(value: &Value) -> bool {
    let unprintable = |text: &String| printable(text) != *text;
    match value {
        Value::String(text) => unprintable(text),
        Value::Array(all) => all.iter().any(holds_unprintable),
        Value::Object(all) => all
            .iter()
            .any(|(key, value)| unprintable(key) || holds_unprintable(value)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// The greatest length in bytes. A whole run of both roles and the pair takes a tenth of it.
const LONGEST: usize = 256 << 20;
