//! The errors of a configuration file, and their texts.

use std::io;
use std::path::{Path, PathBuf};

use super::place::{Place, at};
use crate::error_text::error_text;

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
    /// Its contents are wrong.
    #[error("{}", lines(problems))]
    Wrong {
        /// All problems, in the order of the file; never empty.
        problems: Vec<Problem>,
        /// Warnings: lines that name file and place.
        warnings: Vec<String>,
    },
}

/// One problem of a configuration file. It is printed as
/// `path:line:column: key: message`, without its hint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{}: {}{message}", path.display(), at(*place), prefix(key))]
pub struct Problem {
    /// The file.
    pub path: PathBuf,
    /// The place in the file, if it is known.
    pub place: Option<Place>,
    /// The key, as a path like `connections[0].port`; may be empty.
    pub key: String,
    /// What is wrong, and what is allowed.
    pub message: String,
    /// What the operator can do.
    pub hint: Option<String>,
}

impl ConfigError {
    /// An error with one problem of the whole file.
    #[must_use]
    pub fn whole(path: &Path, message: impl Into<String>) -> Self {
        Problem {
            path: path.to_owned(),
            place: None,
            key: String::new(),
            message: message.into(),
            hint: None,
        }
        .into()
    }

    /// Merges several errors into one.
    ///
    /// # Errors
    ///
    /// An error with all their problems, or the first [`Unreadable`](Self::Unreadable) one, if there is any.
    pub fn all(errors: impl IntoIterator<Item = Self>) -> Result<(), Self> {
        let (mut all, mut strange) = (Vec::new(), Vec::new());
        for error in errors {
            match error {
                Self::Unreadable { .. } => return Err(error),
                Self::Wrong { problems, warnings } => {
                    all.extend(problems);
                    strange.extend(warnings);
                }
            }
        }
        if all.is_empty() {
            return Ok(());
        }
        all.sort_by_key(|problem| problem.place);
        Err(Self::Wrong {
            problems: all,
            warnings: strange,
        })
    }

    /// What the operator can do, if there is only one problem.
    #[must_use]
    pub fn hint(&self) -> Option<&str> {
        match self {
            Self::Unreadable { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                Some("name the file with --config PATH, or start in the folder that holds it")
            }
            Self::Unreadable { .. } => Some("the file must be readable and hold JSON in UTF-8"),
            Self::Wrong { problems, .. } => match problems.as_slice() {
                [only] => only.hint.as_deref(),
                _ => None,
            },
        }
    }

    /// Adds a hint to each problem that has none.
    #[must_use]
    pub fn with_hint(mut self, text: impl Into<String>) -> Self {
        if let Self::Wrong { problems, .. } = &mut self {
            let text = text.into();
            for problem in problems {
                problem.hint.get_or_insert_with(|| text.clone());
            }
        }
        self
    }

    /// Adds warnings before those that the error has.
    #[must_use]
    pub fn with_warnings(mut self, more: &[String]) -> Self {
        if let Self::Wrong { warnings, .. } = &mut self {
            warnings.splice(0..0, more.iter().cloned());
        }
        self
    }

    /// All problems with their hints, then all warnings, as a program prints them. The lines begin with `error: `,
    /// `hint: ` and `warning: `.
    #[must_use]
    pub fn report(&self) -> String {
        match self {
            Self::Unreadable { .. } => error_text(self, self.hint()),
            Self::Wrong { problems, warnings } => {
                let problems = problems.iter().map(|p| error_text(p, p.hint.as_deref()));
                let warnings = warnings.iter().map(|w| format!("warning: {w}\n"));
                problems.chain(warnings).collect()
            }
        }
    }
}

impl From<Problem> for ConfigError {
    fn from(problem: Problem) -> Self {
        Self::Wrong {
            problems: vec![problem],
            warnings: Vec::new(),
        }
    }
}

/// A line for each problem and for each hint.
fn lines(problems: &[Problem]) -> String {
    let lines: Vec<String> = problems
        .iter()
        .map(|problem| match &problem.hint {
            Some(hint) => format!("{problem}\n  hint: {hint}"),
            None => problem.to_string(),
        })
        .collect();
    lines.join("\n")
}

fn prefix(key: &str) -> String {
    if key.is_empty() {
        String::new()
    } else {
        format!("{key}: ")
    }
}
