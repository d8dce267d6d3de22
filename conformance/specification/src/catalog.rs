//! The cases of the specification, and case files of users.

mod check;
mod needs;
mod place;

use std::collections::BTreeMap;
use std::sync::Arc;

use check::check;
pub use check::{PORTS, RULES, TARGETS, no_rule, number_of};
use include_dir::{Dir, DirEntry, include_dir};
pub use place::Spot;

use crate::notation::ast::{Case, Transport};
use crate::notation::parse;
use crate::position::position;
use crate::rules::FOLDER;

/// A case and its name.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Such as `server/tunnel/early-data`.
    pub id: String,
    /// The file that it was read from.
    pub file: String,
    /// The text of that file.
    pub text: String,
    /// The case.
    pub case: Case,
    /// The name and the steps of its twin: this case is judged only if the twin succeeds.
    pub twin: Option<(String, Arc<Case>)>,
    /// How a command names it.
    pub origin: Origin,
}

/// Where a case comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Its id: it is embedded, or generated from a seed.
    Named,
    /// A case file.
    File,
    /// A recording, and the role that is judged.
    Recording {
        /// The file of the recording.
        file: String,
        /// The role that is judged.
        role: &'static str,
    },
}

/// A case file that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}:{column}: {message}")]
pub struct CaseError {
    /// The file.
    pub(crate) file: String,
    /// Counted from 1.
    pub line: usize,
    /// Counted from 1.
    pub column: usize,
    /// What is wrong.
    pub(crate) message: String,
    /// What to do.
    pub hint: Option<String>,
}

/// All embedded cases by their names.
///
/// # Errors
/// The first case that is not well formed.
pub fn embedded() -> Result<BTreeMap<String, Entry>, CaseError> {
    let mut files = Vec::new();
    if let Some(cases) = SPEC.get_dir("cases") {
        collect(cases, &mut files);
    }
    let mut entries = BTreeMap::new();
    for (path, text) in files {
        let id = path.trim_start_matches("cases/").trim_end_matches(".case");
        let entry = read(id, &format!("{FOLDER}/{path}"), text)?;
        let entry = Entry {
            origin: Origin::Named,
            ..entry
        };
        entries.insert(id.to_owned(), entry);
    }
    let cases: BTreeMap<String, Arc<Case>> = entries
        .iter()
        .map(|(id, entry)| (id.clone(), Arc::new(entry.case.clone())))
        .collect();
    for entry in entries.values_mut() {
        let Some(name) = entry.twin_id() else {
            continue;
        };
        let twin = cases.get(&name).ok_or_else(|| entry.without_twin(&name))?;
        entry.twin = Some((name, Arc::clone(twin)));
    }
    Ok(entries)
}

/// Reads and checks one case.
///
/// # Errors
/// The first thing that is wrong with it.
pub fn read(id: &str, file: &str, text: &str) -> Result<Entry, CaseError> {
    if let Some(at) = text.find('\r') {
        let (line, column) = position(text, at);
        let message =
            "a CR: lines end with LF alone, and a CR of the wire is written \\r".to_owned();
        return Err(CaseError {
            file: file.to_owned(),
            line,
            column,
            message,
            hint: None,
        });
    }
    let case = parse(text).map_err(|error| CaseError {
        file: file.to_owned(),
        line: error.line,
        column: error.column,
        message: format!("expected {}, found {}", error.expected, error.found),
        hint: None,
    })?;
    let checked = check(&case);
    let entry = Entry {
        id: id.to_owned(),
        file: file.to_owned(),
        text: text.to_owned(),
        case,
        twin: None,
        origin: Origin::File,
    };
    match checked {
        Ok(()) => Ok(entry),
        Err(wrong) => Err(CaseError {
            hint: wrong.hint,
            ..entry.wrong(wrong.line, &wrong.spot, wrong.message)
        }),
    }
}

impl Entry {
    /// The full name of its twin: one without a folder is in the folder of the case.
    pub fn twin_id(&self) -> Option<String> {
        let name = &self.case.twin.as_ref()?.value;
        Some(match self.id.rsplit_once('/') {
            Some((folder, _)) if !name.contains('/') => format!("{folder}/{name}"),
            _ => name.clone(),
        })
    }

    /// The error for a twin that does not exist.
    pub fn without_twin(&self, name: &str) -> CaseError {
        self.wrong(4, &Spot::Word(1), format!("there is no case `{name}`"))
    }

    /// An error in a part of a line, counted from 1.
    pub fn wrong(&self, line: usize, spot: &Spot, message: String) -> CaseError {
        let text = self.text.lines().nth(line - 1).unwrap_or("");
        CaseError {
            file: self.file.clone(),
            line,
            column: place::column(text, spot),
            message,
            hint: None,
        }
    }

    /// The transports that it is run on.
    pub fn transports(&self) -> Vec<Transport> {
        self.case
            .over
            .as_ref()
            .map_or_else(|| vec![Transport::Plain], |over| over.value.clone())
    }

    /// The name of the run on one transport.
    pub fn run_id(&self, transport: Transport) -> String {
        match transport {
            Transport::Plain => self.id.clone(),
            Transport::Tls => format!("{}@tls", self.id),
        }
    }
}

/// The folder of the specification.
pub static SPEC: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../../$NETROXY_SPEC");

fn collect(dir: &'static Dir<'static>, files: &mut Vec<(&'static str, &'static str)>) {
    for entry in dir.entries() {
        match entry {
            DirEntry::Dir(dir) => collect(dir, files),
            DirEntry::File(file) => {
                if let (Some(path), Some(text)) = (file.path().to_str(), file.contents_utf8()) {
                    files.push((path, text));
                }
            }
        }
    }
}
