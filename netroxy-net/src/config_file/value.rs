//! Kinds of values, for `#[serde(deserialize_with = "...")]`.

use std::fmt;
use std::time::Duration;

use serde::de::Error;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// A string that is a field of a protocol message.
///
/// # Errors
///
/// If the value is no string, is longer than a line may be, or is not allowed in the field.
pub fn field<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: TryFrom<String>,
    T::Error: fmt::Display,
{
    // The message does not show the value: it may be a password without its quotes.
    let Value::String(text) = Value::deserialize(deserializer)? else {
        return Err(D::Error::custom("expected a string, in quotes"));
    };
    let longest = netroxy_proto::Limits::default().line;
    if text.len() > longest {
        return Err(D::Error::custom(format_args!(
            "must not be longer than {longest} bytes"
        )));
    }
    T::try_from(text).map_err(D::Error::custom)
}

/// A port number, 1 to 65535.
///
/// # Errors
///
/// If the value is something else.
pub fn port<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u16, D::Error> {
    let number = within(deserializer, 1, 65535, "a port number from 1 to 65535")?;
    u16::try_from(number).map_err(D::Error::custom)
}

/// How long to wait for a peer: whole seconds from 1 to 3600.
///
/// # Errors
///
/// If the value is something else.
pub fn patience<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let seconds = within(deserializer, 1, 3600, "whole seconds from 1 to 3600")?;
    Ok(Duration::from_secs(seconds.unsigned_abs()))
}

/// An integer within bounds; `what` completes "expected ...".
///
/// # Errors
///
/// If the value is something else.
pub fn within<'de, D: Deserializer<'de>>(
    deserializer: D,
    min: i64,
    max: i64,
    what: &str,
) -> Result<i64, D::Error> {
    let value = Value::deserialize(deserializer)?;
    value
        .as_i64()
        .filter(|number| (min..=max).contains(number))
        .ok_or_else(|| {
            let given = Given(&value);
            D::Error::custom(format_args!("expected {what}, but it is {given}"))
        })
}

/// A value as a message names it. A string is not shown, because it may be a misplaced secret.
pub(super) struct Given<'a>(pub(super) &'a Value);

impl fmt::Display for Given<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Value::Null => f.write_str("null"),
            Value::Bool(value) => write!(f, "{value}"),
            Value::Number(value) => write!(f, "{value}"),
            Value::String(_) => f.write_str("a string"),
            Value::Array(_) => f.write_str("a list: [ ... ]"),
            Value::Object(_) => f.write_str("an object: { ... }"),
        }
    }
}

/// [`field`] for a key that may be missing.
///
/// # Errors
///
/// As for [`field`].
pub fn some_field<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: TryFrom<String>,
    T::Error: fmt::Display,
{
    field(deserializer).map(Some)
}

/// [`port`] for a key that may be missing.
///
/// # Errors
///
/// As for [`port`].
pub fn some_port<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u16>, D::Error> {
    port(deserializer).map(Some)
}
