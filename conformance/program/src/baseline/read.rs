//! From a file to a list; what it says is checked elsewhere.

use netroxy_judge::input::{self, InputError, json};

use super::{Baseline, List};

/// A baseline that cannot be used: `FILE:LINE:COLUMN: PATH: MESSAGE`.
pub(crate) type BaselineError = InputError;

/// Reads a file.
pub(super) fn load(file: &str) -> Result<Baseline, BaselineError> {
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
pub(super) fn parse(file: &str, text: &str) -> Result<Baseline, BaselineError> {
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
