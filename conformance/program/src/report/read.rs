//! JSON reports, read back: what every format showed then, it shows again.

use netroxy_judge::input::{self, InputError};
use netroxy_judge::verdict::Verdict;
use netroxy_specification::notation::joined;
use netroxy_specification::rules::{REVISION, Rule};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::build::{cited, place};
use super::model::{FORMAT, Report};
use super::printable::printable;

impl Report {
    /// Reads a JSON report. Totals are counted anew, so a report cannot contradict its results.
    ///
    /// # Errors
    /// When the file cannot be read, is longer than 256 MiB, or is no report that this program writes.
    pub(crate) fn load(file: &str, rules: &[Rule]) -> Result<Self, InputError> {
        Self::parse(file, &input::text_within(file, LONGEST)?, rules)
    }

    /// The same for a text that has been read.
    ///
    /// # Errors
    /// When it is no report that this program writes.
    pub(crate) fn parse(file: &str, text: &str, rules: &[Rule]) -> Result<Self, InputError> {
        let wrong = |position, message: String| InputError {
            file: file.to_owned(),
            position,
            message,
            hint: Some("it has to be a report as `--report json:PATH` writes it".to_owned()),
            missing: false,
        };
        let mut report: Self = input::json(text).map_err(|error| {
            let message = match error.path.as_str() {
                "" => error.message,
                path => format!("{path}: {}", error.message),
            };
            wrong(Some(error.position), message)
        })?;
        // Such a text could change what a terminal or a page shows.
        let all: Value = serde_json::from_str(text).unwrap_or_default();
        if holds_unprintable(&all) {
            let message = "it holds control characters, and no report of this program does";
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

/// In bytes. A whole run of both roles and all pairs takes a tenth of it.
const LONGEST: usize = 256 << 20;

pub(super) fn format<'de, D: Deserializer<'de>>(deserializer: D) -> Result<&'static str, D::Error> {
    known(deserializer, &[FORMAT])
}

pub(super) fn spec<'de, D: Deserializer<'de>>(deserializer: D) -> Result<&'static str, D::Error> {
    known(deserializer, &[REVISION])
}

pub(super) fn profile<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<&'static str, D::Error> {
    known(deserializer, &["wire", "hardened"])
}

pub(super) fn kind<'de, D: Deserializer<'de>>(deserializer: D) -> Result<&'static str, D::Error> {
    known(deserializer, &["control", "data", "tls", "unknown"])
}

pub(super) fn direction<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<&'static str>, D::Error> {
    let word = Option::<String>::deserialize(deserializer)?;
    let find = |word: String| find(&word, &["sent", "received"]);
    word.map(find).transpose().map_err(D::Error::custom)
}

/// A time in seconds, or a factor. Beyond a century it is a mistake.
pub(super) fn span<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    let span = f64::deserialize(deserializer)?;
    match (0.0..=4e9).contains(&span) {
        true => Ok(span),
        false => Err(D::Error::custom(format!("`{span}` is no time"))),
    }
}

fn known<'de, D: Deserializer<'de>>(
    deserializer: D,
    words: &[&'static str],
) -> Result<&'static str, D::Error> {
    let word = String::deserialize(deserializer)?;
    find(&word, words).map_err(D::Error::custom)
}

fn find(word: &str, words: &[&'static str]) -> Result<&'static str, String> {
    let found = words.iter().find(|known| **known == word);
    found.copied().ok_or_else(|| {
        let word = printable(word);
        format!(
            "it is `{word}`, and this program reads {}",
            words.join(", ")
        )
    })
}

/// A verdict by its key.
pub(super) fn verdict<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Verdict, D::Error> {
    let word = String::deserialize(deserializer)?;
    let found = Verdict::ALL
        .into_iter()
        .find(|verdict| verdict.key() == word);
    found.ok_or_else(|| D::Error::custom(format!("there is no verdict `{}`", printable(&word))))
}
