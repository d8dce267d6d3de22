//! From a file to a list that can be trusted.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{Baseline, List};
use crate::input::{self, InputError, json, position};

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
        wrong(file, Some(error.position), path + &error.message)
    })?;
    let at = |run: &str| {
        let literal = Value::from(run).to_string();
        text.find(&literal).map(|at| position(text, at))
    };
    let mut once = BTreeSet::new();
    for (index, entry) in list.entries.iter().enumerate() {
        let complaint =
            |message: String| wrong(file, at(&entry.run), format!("entries[{index}]: {message}"));
        let run = &entry.run;
        if entry.sometimes && entry.why.trim().is_empty() {
            return Err(complaint(format!(
                "`{run}` fails sometimes, and needs a `why`"
            )));
        }
        let mut others = list.entries[..index]
            .iter()
            .filter(|other| other.run == *run);
        if !once.insert(run) && (!entry.sometimes || others.any(|other| !other.sometimes)) {
            let message = format!("`{run}` is listed twice; only what is `sometimes` may be");
            return Err(complaint(message));
        }
    }
    Ok(Baseline {
        file: file.to_owned(),
        list,
    })
}

fn wrong(file: &str, position: Option<(usize, usize)>, message: String) -> BaselineError {
    InputError {
        file: file.to_owned(),
        position,
        message,
        hint: Some("the format is described in conformance/baseline.schema.json".to_owned()),
        missing: false,
    }
}
