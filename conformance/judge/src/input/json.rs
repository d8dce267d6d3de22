//! Reads JSON with exact errors. A key that an object has twice is an error.

use std::collections::BTreeSet;
use std::fmt;

use serde::de::{DeserializeOwned, Error as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// JSON that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JsonError {
    /// Line and column, counted from 1.
    pub position: (usize, usize),
    /// Such as `launch.files`.
    pub path: String,
    /// What is wrong.
    pub message: String,
}

/// Reads one JSON object.
///
/// # Errors
/// The first thing that is wrong with it.
pub fn json<T: DeserializeOwned>(text: &str) -> Result<T, JsonError> {
    whole::<Once>(text)?;
    // serde would read an array as the fields of an object in their order.
    if !text.trim_start().starts_with('{') {
        let blank = text.len() - text.trim_start().len();
        return Err(JsonError {
            position: super::position(text, blank),
            path: String::new(),
            message: "expected an object: { ... }".to_owned(),
        });
    }
    whole(text)
}

fn whole<T: DeserializeOwned>(text: &str) -> Result<T, JsonError> {
    let mut json = serde_json::Deserializer::from_str(text);
    let value = serde_path_to_error::deserialize(&mut json)
        .map_err(|error| complaint(text, &error.path().to_string(), error.inner()))?;
    json.end().map_err(|error| complaint(text, "", &error))?;
    Ok(value)
}

fn complaint(text: &str, path: &str, error: &serde_json::Error) -> JsonError {
    // serde_json repeats the position at the end of its text.
    let message = error.to_string();
    let end = message.rfind(" at line ").unwrap_or(message.len());
    JsonError {
        position: position(text, error.line().max(1), error.column()),
        path: path.trim_end_matches(['?', '.']).to_owned(),
        message: message[..end].to_owned(),
    }
}

/// Line and column in characters of the `read`-th byte of a line, the last that was read; 0 is before the first.
fn position(text: &str, line: usize, read: usize) -> (usize, usize) {
    let line_text = text.split('\n').nth(line - 1).unwrap_or_default();
    let starts = line_text.char_indices().take_while(|(at, _)| *at < read);
    (line, starts.count().max(1))
}

/// Any JSON in which no object has a key twice.
struct Once;

impl<'de> Deserialize<'de> for Once {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OnceVisitor)
    }
}

struct OnceVisitor;

impl<'de> Visitor<'de> for OnceVisitor {
    type Value = Once;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Once, A::Error> {
        let mut keys = BTreeSet::new();
        while let Some(key) = map.next_key::<String>()? {
            if keys.contains(&key) {
                return Err(A::Error::custom(format!("the key `{key}` is there twice")));
            }
            map.next_value::<Once>()?;
            keys.insert(key);
        }
        Ok(Once)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Once, A::Error> {
        while items.next_element::<Once>()?.is_some() {}
        Ok(Once)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Once, E> {
        Ok(Once)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Once, E> {
        Ok(Once)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Once, E> {
        Ok(Once)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Once, E> {
        Ok(Once)
    }

    fn visit_str<E>(self, _: &str) -> Result<Once, E> {
        Ok(Once)
    }

    fn visit_unit<E>(self) -> Result<Once, E> {
        Ok(Once)
    }
}

#[cfg(test)]
mod tests {
    use serde::de::IgnoredAny;

    use super::*;

    #[test]
    fn a_key_that_is_there_twice_is_an_error_with_its_place() {
        let twice = json::<IgnoredAny>("{\"a\": [1,\n {\"b\": 1, \"b\": 2}]}").unwrap_err();
        assert_eq!(twice.position.0, 2);
        assert_eq!(
            (twice.path.as_str(), twice.message.as_str()),
            ("a[1]", "the key `b` is there twice")
        );
        assert!(json::<IgnoredAny>("{\"a\": {\"b\": null}, \"b\": [1.5, true, -1]}").is_ok());
        assert_eq!(
            json::<IgnoredAny>("{} x").unwrap_err().message,
            "trailing characters"
        );
    }
    #[test]
    fn columns_count_characters() {
        for (text, position) in [
            ("", (1, 1)),
            ("\u{e9}", (1, 1)),
            ("{\"\u{e9}\u{20ac}\u{1f600}\" 1}", (1, 8)),
            ("{\"\u{e9}\": 1,\n\"\u{e9}\": 2}", (2, 3)),
            ("{\"\u{e9}\": \"\u{e9}", (1, 8)),
            ("{\"a\": 1}\r\n\u{e9}", (2, 1)),
        ] {
            let error = json::<IgnoredAny>(text).unwrap_err();
            assert_eq!(error.position, position, "{text}: {}", error.message);
        }
    }

    #[test]
    fn at_line_in_a_key_does_not_cut_the_message() {
        let twice = json::<IgnoredAny>(r#"{"a at line b": 1, "a at line b": 1}"#).unwrap_err();
        assert_eq!(twice.message, "the key `a at line b` is there twice");
    }
}
