//! A manifest that has been read and checked, and what is wrong with one.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use netroxy_specification::notation::ast::{Side, Transport};
use serde_json::Value;

use super::word::Word;
use crate::embedded::Peer;

/// A manifest that has been read and checked.
#[derive(Debug, Clone)]
pub struct Manifest {
    /// The name in reports.
    pub name: String,
    /// The side of the program.
    pub role: Side,
    /// What is started.
    pub launch: Launch,
    /// The files that the suite writes into its working directory.
    pub files: BTreeMap<String, Content>,
    /// The transports that it supports.
    pub transports: Vec<Transport>,
    /// How long it may take to become ready, in milliseconds.
    pub start_deadline_ms: u64,
    /// The timeouts that the server accepts in its configuration, in seconds.
    pub timeouts: RangeInclusive<u64>,
    /// How long `still` lasts: longer than each deadline of the program.
    pub still: Duration,
    /// Whether the client connects again after its control connection has ended.
    pub reconnects: bool,
    /// As the user named it on the command line.
    pub argument: String,
    /// The environment variables that it names.
    pub variables: Vec<Variable>,
}

/// An environment variable that a manifest names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variable {
    pub(crate) name: String,
    /// Its value, if it is the path of the program. Other values may be secrets.
    pub(crate) program: Option<String>,
}

/// What is started.
#[derive(Debug, Clone)]
pub enum Launch {
    /// A program and its arguments.
    Command(Vec<Word>),
    /// A peer inside this program.
    Embedded(Arc<dyn Peer>),
}

/// The content of a file.
#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    /// JSON with placeholders.
    Json(Value),
    /// Text with placeholders.
    Text(String),
    /// An embedded file.
    Fixture(&'static [u8]),
}

/// A manifest that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}{place}: {message}")]
pub struct ManifestError {
    /// The file, or the name of a built-in manifest.
    pub file: String,
    /// The place in it, if known.
    pub place: Place,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
}

/// A place in a manifest.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Place {
    /// Line and column, counted from 1.
    pub(crate) position: Option<(usize, usize)>,
    /// Such as `launch.files`.
    pub(crate) path: String,
}

impl Manifest {
    /// The embedded peer that it starts, if it starts one.
    pub fn peer(&self) -> Option<&dyn Peer> {
        match &self.launch {
            Launch::Embedded(peer) => Some(&**peer),
            Launch::Command(_) => None,
        }
    }

    /// The same manifest for another embedded peer, which reports and the command line call `name`.
    #[must_use]
    pub fn with_peer(self, name: &str, peer: Arc<dyn Peer>) -> Self {
        Self {
            launch: Launch::Embedded(peer),
            argument: name.to_owned(),
            name: name.to_owned(),
            ..self
        }
    }

    /// Whether it has a placeholder of this name.
    pub(crate) fn uses(&self, name: &str) -> bool {
        let in_files = self.files.values().any(|content| match content {
            Content::Json(value) => mentions(&value.to_string(), name),
            Content::Text(text) => mentions(text, name),
            Content::Fixture(_) => false,
        });
        let in_command = match &self.launch {
            Launch::Command(words) => words.iter().any(|word| word.names(name)),
            Launch::Embedded(_) => false,
        };
        in_files || in_command
    }

    /// The program as reports show it: the command with the path of the program, or name and version of an embedded peer.
    pub(crate) fn runs(&self) -> String {
        match &self.launch {
            Launch::Command(words) => {
                let words: Vec<&str> = words.iter().map(Word::shown).collect();
                words.join(" ")
            }
            Launch::Embedded(peer) => peer.version(),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((line, column)) = self.position {
            write!(f, ":{line}:{column}")?;
        }
        if !self.path.is_empty() && self.path != "." {
            write!(f, ": {}", self.path)?;
        }
        Ok(())
    }
}

/// Whether a text has a placeholder of this name, with or without a type.
fn mentions(text: &str, name: &str) -> bool {
    let plain = format!("{{{{{name}}}}}");
    let typed = format!("{{{{{name}:");
    text.contains(&plain) || text.contains(&typed)
}
