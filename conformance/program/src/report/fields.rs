//! Reads single fields of a JSON report: each is one of a few known words, or a number within bounds.

use netroxy_judge::verdict::Verdict;
use netroxy_specification::rules::REVISION;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use super::printable::printable;

/// The name of the format, in JSON.
pub(crate) const FORMAT: &str = "netroxy-conformance-2";

/// A word that this program knows. With this alias, the derived code does not borrow from the input.
pub(crate) type Word = &'static str;

pub(super) fn format<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Word, D::Error> {
    known(deserializer, &[FORMAT])
}

pub(super) fn spec<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Word, D::Error> {
    known(deserializer, &[REVISION])
}

pub(super) fn profile<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Word, D::Error> {
    known(deserializer, &["wire", "hardened"])
}

pub(super) fn kind<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Word, D::Error> {
    known(deserializer, &["control", "data", "tls", "unknown"])
}

pub(super) fn direction<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Word>, D::Error> {
    let word = Option::<String>::deserialize(deserializer)?;
    let find = |word: String| find(&word, &["sent", "received"]);
    word.map(find).transpose().map_err(D::Error::custom)
}

/// A time in seconds, or a factor; at most a century.
pub(super) fn span<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    let span = f64::deserialize(deserializer)?;
    match (0.0..=4e9).contains(&span) {
        true => Ok(span),
        false => Err(D::Error::custom(format!("`{span}` is not a time"))),
    }
}

fn known<'de, D: Deserializer<'de>>(deserializer: D, words: &[Word]) -> Result<Word, D::Error> {
    let word = String::deserialize(deserializer)?;
    find(&word, words).map_err(D::Error::custom)
}

fn find(word: &str, words: &[Word]) -> Result<Word, String> {
    let found = words.iter().find(|known| **known == word);
    found.copied().ok_or_else(|| {
        let word = printable(word);
        format!(
            "it is `{word}`, but this program reads {}",
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
