//! JSON configuration files. Keys may be written in any case, unknown keys are reported, and all errors are reported at
//! once, each with its line and column.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;

mod check;
mod error;
mod key;
mod place;
mod positions;
mod text;
mod value;
mod words;

use check::{Checked, Fault, Kind};
pub use error::{ConfigError, Problem};
pub use key::{Key, key};
use key::{Shown, Step, nearest, shown, steps};
pub use place::Place;
use place::at;
use positions::Positions;
pub use value::{field, patience, port, some_field, some_port, within};

use crate::error_text::causes;

/// A configuration file that was read.
#[derive(Debug)]
pub struct Loaded<T> {
    /// The value.
    pub value: T,
    /// Warnings for the operator.
    pub warnings: Vec<String>,
    path: PathBuf,
    positions: Positions,
}

/// Reads a JSON file. `known` are the keys that exist, at any depth. A key that differs from a known one only in case
/// counts as the known one, as in the original programs.
///
/// # Errors
///
/// [`ConfigError`], with the place in the file.
pub fn load<T: DeserializeOwned>(path: &Path, known: &[Key]) -> Result<Loaded<T>, ConfigError> {
    let text = text::read(path)?;
    parse(path, text, known)
}

/// [`load`], then `check`, which checks more than the types. The error holds the problems of both. If a value has a
/// wrong type, `check` sees a valid sample in its place, and what it reports about that value is left out.
///
/// # Errors
///
/// [`ConfigError`], with all problems.
pub fn load_then<T: DeserializeOwned, U>(
    path: &Path,
    known: &[Key],
    check: impl FnOnce(Loaded<T>) -> Result<U, ConfigError>,
) -> Result<U, ConfigError> {
    let Read {
        loaded,
        mut problems,
        mut warnings,
    } = examine(path, text::read(path)?, known)?;
    let checked = match loaded {
        Some(loaded) if problems.is_empty() => return check(loaded),
        Some(loaded) => check(loaded).err(),
        None => None,
    };
    if let Some(ConfigError::Wrong {
        problems: further,
        warnings: strange,
    }) = checked
    {
        let wrong: Vec<_> = problems.iter().map(|p| steps(&p.key)).collect();
        problems.extend(further.into_iter().filter(|problem| {
            let path = steps(&problem.key);
            let about = |wrong: &Vec<Step>| {
                path.starts_with(wrong) || (!path.is_empty() && wrong.starts_with(&path))
            };
            !wrong.iter().any(about)
        }));
        warnings.extend(strange);
        let mut seen = BTreeSet::new();
        warnings.retain(|warning| seen.insert(warning.clone()));
    }
    problems.sort_by_key(|problem| problem.place);
    Err(ConfigError::Wrong { problems, warnings })
}

/// [`load`] for a text that was already read. `path` is for the messages.
///
/// # Errors
///
/// [`ConfigError::Wrong`].
pub fn parse<T: DeserializeOwned>(
    path: &Path,
    text: String,
    known: &[Key],
) -> Result<Loaded<T>, ConfigError> {
    examine(path, text, known)?.whole()
}

/// A file that is valid JSON.
struct Read<T> {
    /// The value, with samples in the places of wrong values; `None` if the file could not be read with them either.
    loaded: Option<Loaded<T>>,
    problems: Vec<Problem>,
    warnings: Vec<String>,
}

impl<T> Read<T> {
    /// The value, if the file has no problem.
    fn whole(self) -> Result<Loaded<T>, ConfigError> {
        match self.loaded {
            Some(loaded) if self.problems.is_empty() => Ok(loaded),
            _ => Err(ConfigError::Wrong {
                problems: self.problems,
                warnings: self.warnings,
            }),
        }
    }
}

fn examine<T: DeserializeOwned>(
    path: &Path,
    text: String,
    known: &[Key],
) -> Result<Read<T>, ConfigError> {
    // Some editors write a byte order mark before UTF-8. It counts as no column.
    let text = match text.strip_prefix('\u{feff}') {
        Some(rest) => rest.to_owned(),
        None => text,
    };
    let (text, positions) = positions::scan(text, known);
    let problem = |place, message: &str| Problem {
        path: path.to_owned(),
        place,
        key: String::new(),
        message: message.to_owned(),
        hint: None,
    };
    let malformed = |place, message: &str| match text::strange(&text, place) {
        Some(strange) => Problem {
            hint: Some(strange.hint),
            ..problem(Some(strange.place), &strange.message)
        },
        None => {
            let (message, hint) = words::malformed(message, &text);
            let hint = text::curly_in_line(&text, place).or_else(|| hint.map(str::to_owned));
            Problem {
                hint,
                ..problem(Some(place), &message)
            }
        }
    };
    if let Some(place) = positions.value(&[])
        && !text.trim_ascii_start().starts_with('{')
    {
        return Err(malformed(place, "expected an object: { ... }").into());
    }
    let mut json = serde_json::Deserializer::from_str(&text);
    let mut tree = serde_json::Value::deserialize(&mut json)
        .map_err(|error| malformed(place_of(&error), &without_place(&error)))?;
    drop_nulls(&mut tree);
    let Checked {
        value,
        faults,
        unknown,
        cut_short,
    } = check::check(tree, known);
    let mut unknown: Vec<_> = unknown.into_iter().collect();
    unknown.sort_by_key(|steps| positions.key(steps));
    let mut warnings: Vec<_> = unknown
        .iter()
        .map(|steps| {
            let place = at(positions.key(steps));
            let (key, hint) = (shown(steps), meant(steps, known));
            format!(
                "{}{place}: unknown key {key}: ignored{hint}",
                path.display()
            )
        })
        .collect();
    if let Err(error) = json.end() {
        let place = at(Some(place_of(&error)));
        warnings.push(format!(
            "{}{place}: text after the end: ignored",
            path.display()
        ));
    }
    if cut_short {
        let more = "there may be more problems than are shown";
        warnings.push(format!("{}: {more}", path.display()));
    }
    let mut problems: Vec<_> = faults
        .into_iter()
        .map(|fault| Problem {
            place: positions.value(&fault.path),
            key: shown(&fault.path),
            hint: hint(&fault, &positions, known),
            ..problem(None, &message(fault.kind))
        })
        .collect();
    problems.sort_by_key(|problem| problem.place);
    let loaded = value.map(|value| Loaded {
        value,
        warnings: warnings.clone(),
        path: path.to_owned(),
        positions,
    });
    Ok(Read {
        loaded,
        problems,
        warnings,
    })
}

/// A guess at what an unknown key should have been, as the end of a sentence.
fn meant(unknown: &[Step], known: &[Key]) -> String {
    let Some(Step::Key(name)) = unknown.last() else {
        return String::new();
    };
    let names = || known.iter().map(|key| key.name);
    if names().any(|known| known == name) {
        return "; the key belongs to another place".to_owned();
    }
    nearest(name, names()).map_or_else(String::new, |near| format!("; did you mean \"{near}\"?"))
}

fn message(kind: Kind) -> String {
    match kind {
        Kind::Wrong(message) => message,
        Kind::Missing { .. } => "missing".to_owned(),
    }
}

fn hint(fault: &Fault, positions: &Positions, known: &[Key]) -> Option<String> {
    let Kind::Missing { misspelt } = &fault.kind else {
        return None;
    };
    let Some((Step::Key(name), parent)) = fault.path.split_last() else {
        return None;
    };
    if let Some(misspelt) = misspelt {
        let mut there = parent.to_vec();
        there.push(Step::Key(misspelt.clone()));
        let place = positions
            .key(&there)
            .map_or_else(String::new, |place| format!(" in line {}", place.line));
        let misspelt = Shown(misspelt);
        return Some(format!(
            "\"{misspelt}\"{place} looks like it: did you mean \"{name}\"?"
        ));
    }
    let sample = known.iter().find(|key| key.name == name)?.sample;
    Some(format!("add it, for example \"{name}\": {sample}"))
}

impl<T> Loaded<T> {
    /// An error about the value at `key`, for checks of more than types.
    #[must_use]
    pub fn error(&self, key: &str, message: impl Into<String>) -> ConfigError {
        Problem {
            path: self.path.clone(),
            place: self.positions.value(&steps(key)),
            key: key.to_owned(),
            message: message.into(),
            hint: None,
        }
        .into()
    }

    /// [`error`](Self::error) with the text of `error`, its causes and a hint.
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

    /// The path of a file that the configuration names, relative to the folder of the configuration.
    #[must_use]
    pub fn relative(&self, file: &Path) -> PathBuf {
        self.path
            .parent()
            .map_or_else(|| file.to_owned(), |folder| folder.join(file))
    }
}

/// Removes keys whose value is null: they count as missing, as in the original.
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

/// The message without the place at its end: ours is more exact.
fn without_place(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.rfind(" at line ")
        .and_then(|end| text.get(..end))
        .unwrap_or(&text)
        .to_owned()
}
