//! Reads a baseline from a file. `check` checks its entries.

use netroxy_judge::input::{self, InputError, json};

use super::built_in::built_in;
use super::list::List;

/// A baseline that cannot be used: `FILE:LINE:COLUMN: PATH: MESSAGE`.
pub(crate) type BaselineError = InputError;

/// A list of known failures of one program.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Baseline {
    /// The file, or the name of a built-in one.
    pub(crate) file: String,
    /// The text of the file.
    pub(super) text: String,
    /// The content.
    pub(crate) list: List,
}

impl Baseline {
    /// Loads a file, or a built-in list by its name.
    ///
    /// # Errors
    /// When the file cannot be read, or does not have the form of a baseline.
    pub(crate) fn load(argument: &str) -> Result<Self, BaselineError> {
        match built_in(argument) {
            Some(text) => parse(argument, text),
            None => load(argument),
        }
    }

    /// The text of the file.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }
}

/// Reads a file.
fn load(file: &str) -> Result<Baseline, BaselineError> {
    let text = input::text(file).map_err(|error| match error.missing {
        true => InputError {
            hint: Some("`netroxy-conformance baseline write` writes one".to_owned()),
            ..error
        },
        false => error,
    })?;
    parse(file, &text)
}

/// Reads a text.
fn parse(file: &str, text: &str) -> Result<Baseline, BaselineError> {
    let list: List = json(text).map_err(|error| {
        let path = match error.path.is_empty() {
            true => String::new(),
            false => format!("{}: ", error.path),
        };
        InputError {
            file: file.to_owned(),
            position: Some(error.position),
            message: path + &error.message,
            hint: Some("`netroxy-conformance baseline schema` prints the format".to_owned()),
            missing: false,
        }
    })?;
    Ok(Baseline {
        file: file.to_owned(),
        text: text.to_owned(),
        list,
    })
}
