//! JSON configuration files: keys in any case, unknown keys reported, every error with its place.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Deserializer, de::DeserializeOwned};

mod positions;

use crate::program::causes;
use positions::Positions;

/// A line and column, both counted from 1; columns count bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The line.
    pub line: usize,
    /// The column, in bytes.
    pub column: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// A configuration file that was read.
#[derive(Debug)]
pub struct Loaded<T> {
    /// What it says.
    pub value: T,
    /// What it says beside, to be shown to the user.
    pub warnings: Vec<String>,
    path: PathBuf,
    positions: Positions,
}

/// Why a configuration file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// It cannot be read.
    #[error("cannot read the configuration file {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is not what is expected.
    #[error("{}{}: {}{message}", path.display(), at(*place), prefix(key))]
    Wrong {
        /// The file.
        path: PathBuf,
        /// Where in it.
        place: Option<Place>,
        /// The key, as a path like `connections[0].port`; may be empty.
        key: String,
        /// What is wrong and what is allowed.
        message: String,
        /// What a person can do about it.
        hint: Option<String>,
    },
}

impl ConfigError {
    /// What a person can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<&str> {
        match self {
            Self::Unreadable { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                Some("name the file with --config PATH, or start in the folder that holds it")
            }
            Self::Unreadable { .. } => Some("it has to be a readable JSON file in UTF-8"),
            Self::Wrong { hint, .. } => hint.as_deref(),
        }
    }

    /// Adds what a person can do about it.
    #[must_use]
    pub fn with_hint(mut self, text: impl Into<String>) -> Self {
        if let Self::Wrong { hint, .. } = &mut self {
            *hint = Some(text.into());
        }
        self
    }
}

fn at(place: Option<Place>) -> String {
    place.map(|p| format!(":{p}")).unwrap_or_default()
}

fn prefix(key: &str) -> String {
    if key.is_empty() {
        String::new()
    } else {
        format!("{key}: ")
    }
}

/// Reads a JSON file. `known` are the keys that exist, at any depth: a key that differs from one
/// of them in case only is taken for it, as the original programs do.
///
/// # Errors
///
/// [`ConfigError`], with the place in the file.
pub fn load<T: DeserializeOwned>(path: &Path, known: &[&str]) -> Result<Loaded<T>, ConfigError> {
    let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Unreadable {
        path: path.to_owned(),
        source,
    })?;
    parse(path, text, known)
}

/// [`load`] for a text that was read already; `path` is for the messages.
///
/// # Errors
///
/// [`ConfigError::Wrong`].
pub fn parse<T: DeserializeOwned>(
    path: &Path,
    text: String,
    known: &[&str],
) -> Result<Loaded<T>, ConfigError> {
    let (text, positions) = positions::scan(text, known);
    if let Some(place) = positions.value("")
        && !text.trim_start().starts_with('{')
    {
        let message = "expected an object: { ... }".to_owned();
        return Err(wrong(path, Some(place), String::new(), message));
    }
    let mut json = serde_json::Deserializer::from_str(&text);
    let mut tree = serde_json::Value::deserialize(&mut json).map_err(|error| {
        let message = without_place(&error);
        let wrong = |message| wrong(path, Some(place_of(&error)), String::new(), message);
        match message.as_str() {
            "recursion limit exceeded" => wrong(TOO_DEEP.to_owned()).with_hint(SHALLOW),
            _ => wrong(message),
        }
    })?;
    drop_nulls(&mut tree);
    let mut unknown = Vec::new();
    let mut track = serde_path_to_error::Track::new();
    let tracked = serde_path_to_error::Deserializer::new(tree, &mut track);
    let value = serde_ignored::deserialize(tracked, |key| unknown.push(key.to_string()));
    let value = value.map_err(|error| {
        let key = track.path().to_string();
        // "." is the whole file.
        let key = if key == "." { String::new() } else { key };
        wrong(path, positions.value(&key), key, without_place(&error))
    })?;
    unknown.sort_by_key(|key| positions.key(key));
    let mut warnings: Vec<_> = unknown
        .iter()
        .map(|key| {
            let place = at(positions.key(key));
            let key = key.replace("?.", "");
            format!("{}{place}: unknown key {key}: ignored", path.display())
        })
        .collect();
    if let Err(error) = json.end() {
        let place = at(Some(place_of(&error)));
        warnings.push(format!(
            "{}{place}: text after the end: ignored",
            path.display()
        ));
    }
    Ok(Loaded {
        value,
        warnings,
        path: path.to_owned(),
        positions,
    })
}

impl<T> Loaded<T> {
    /// An error about one value of the file, for checks that go beyond types.
    #[must_use]
    pub fn error(&self, key: &str, message: impl Into<String>) -> ConfigError {
        wrong(
            &self.path,
            self.positions.value(key),
            key.to_owned(),
            message.into(),
        )
    }

    /// [`error`](Self::error) with an error's own text, its causes and a hint.
    #[must_use]
    pub fn caused(
        &self,
        key: &str,
        error: &(dyn std::error::Error + 'static),
        hint: impl Into<String>,
    ) -> ConfigError {
        let mut message = error.to_string();
        for cause in causes(error) {
            message.push_str(&format!(": {cause}"));
        }
        self.error(key, message).with_hint(hint)
    }

    /// A file named in the file, relative to its folder.
    #[must_use]
    pub fn relative(&self, file: &Path) -> PathBuf {
        self.path
            .parent()
            .map_or_else(|| file.to_owned(), |folder| folder.join(file))
    }
}

const TOO_DEEP: &str = "expected at most 127 objects and arrays in each other";
const SHALLOW: &str = "no key needs more than three: is a closing bracket missing?";

/// Null is nothing, as in the original.
fn drop_nulls(tree: &mut serde_json::Value) {
    match tree {
        serde_json::Value::Object(members) => {
            members.retain(|_, value| !value.is_null());
            members.values_mut().for_each(drop_nulls);
        }
        serde_json::Value::Array(items) => items.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}

fn place_of(error: &serde_json::Error) -> Place {
    Place {
        line: error.line(),
        column: error.column().max(1),
    }
}

fn wrong(path: &Path, place: Option<Place>, key: String, message: String) -> ConfigError {
    ConfigError::Wrong {
        path: path.to_owned(),
        place,
        key,
        message,
        hint: None,
    }
}

/// serde_json ends its messages with a place of its own, which is less exact than ours.
fn without_place(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.rfind(" at line ")
        .and_then(|end| text.get(..end))
        .unwrap_or(&text)
        .to_owned()
}

/// A string that becomes a protocol field: `#[serde(deserialize_with = "...")]`.
///
/// # Errors
///
/// When the value is no string, longer than a line may be, or not allowed in the field.
pub fn field<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: TryFrom<String>,
    T::Error: fmt::Display,
{
    // The value is not repeated in the message: it may be a password without its quotes.
    let serde_json::Value::String(text) = serde_json::Value::deserialize(deserializer)? else {
        return Err(serde::de::Error::custom("expected a string, in quotes"));
    };
    let longest = netroxy_proto::Limits::default().line;
    if text.len() > longest {
        return Err(serde::de::Error::custom(format_args!(
            "must not be longer than {longest} bytes"
        )));
    }
    T::try_from(text).map_err(serde::de::Error::custom)
}

/// A port number, 1 to 65535: `#[serde(deserialize_with = "...")]`.
///
/// # Errors
///
/// When the value is something else.
pub fn port<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u16, D::Error> {
    let number = within(deserializer, 1, 65535, "a port number from 1 to 65535")?;
    u16::try_from(number).map_err(serde::de::Error::custom)
}

/// How long a peer is waited for: whole seconds from 1 to 3600.
///
/// # Errors
///
/// When the value is something else.
pub fn patience<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let seconds = within(deserializer, 1, 3600, "whole seconds from 1 to 3600")?;
    Ok(Duration::from_secs(seconds.unsigned_abs()))
}

/// An integer within bounds; `what` completes "expected ...".
///
/// # Errors
///
/// When the value is something else.
pub fn within<'de, D: Deserializer<'de>>(
    deserializer: D,
    min: i64,
    max: i64,
    what: &'static str,
) -> Result<i64, D::Error> {
    struct Visitor(i64, i64, &'static str);

    impl serde::de::Visitor<'_> for Visitor {
        type Value = i64;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.2)
        }

        fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<i64, E> {
            if (self.0..=self.1).contains(&number) {
                return Ok(number);
            }
            Err(E::invalid_value(
                serde::de::Unexpected::Signed(number),
                &self,
            ))
        }

        fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<i64, E> {
            let too_large = E::invalid_value(serde::de::Unexpected::Unsigned(number), &self);
            i64::try_from(number)
                .map_err(|_| too_large)
                .and_then(|n| self.visit_i64(n))
        }
    }

    deserializer.deserialize_i64(Visitor(min, max, what))
}
