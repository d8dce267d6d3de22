//! The content of a baseline, as it is written to a file.

use netroxy_specification::notation::ast::{Role, Side};
use serde::{Deserialize, Serialize};

use super::seen::{Seen, VerdictName};

/// The content of a file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct List {
    format: Format,
    /// The name of the program's manifest.
    pub(crate) sut: String,
    /// The role of the program.
    pub(crate) role: RoleName,
    /// The revision of the specification.
    spec: Spec,
    /// The profile that it was judged by.
    pub(crate) profile: ProfileName,
    /// The failures, in alphabetical order of the runs.
    pub(crate) entries: Vec<Entry>,
}

/// A run that fails.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "RawEntry", into = "RawEntry")]
pub(crate) struct Entry {
    /// Such as `server/tunnel/early-data@tls`.
    pub(crate) run: String,
    /// The failure.
    pub(crate) seen: Seen,
    /// Why it fails, written by hand.
    pub(crate) why: String,
    /// It is a race: the run does not always fail, or not always in this way.
    pub(crate) sometimes: bool,
}

/// An entry as it is written in JSON.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawEntry {
    run: String,
    verdict: VerdictName,
    rules: Vec<String>,
    expected: String,
    got: String,
    why: String,
    #[serde(default)]
    sometimes: bool,
}

impl From<RawEntry> for Entry {
    fn from(raw: RawEntry) -> Self {
        Self {
            run: raw.run,
            seen: Seen {
                verdict: raw.verdict,
                rules: raw.rules,
                expected: raw.expected,
                got: raw.got,
            },
            why: raw.why,
            sometimes: raw.sometimes,
        }
    }
}

impl From<Entry> for RawEntry {
    fn from(entry: Entry) -> Self {
        Self {
            run: entry.run,
            verdict: entry.seen.verdict,
            rules: entry.seen.rules,
            expected: entry.seen.expected,
            got: entry.seen.got,
            why: entry.why,
            sometimes: entry.sometimes,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Format {
    #[serde(rename = "netroxy-baseline-1")]
    One,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Spec {
    #[serde(rename = "0.3")]
    Three,
}

/// A role as it is written in a baseline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum RoleName {
    Server,
    Client,
}

/// A profile as it is written in a baseline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ProfileName {
    Wire,
    Hardened,
}

impl List {
    /// A list without entries.
    pub(crate) fn new(sut: &str, side: Side, profile: ProfileName) -> Self {
        Self {
            format: Format::One,
            sut: sut.to_owned(),
            role: side.into(),
            spec: Spec::Three,
            profile,
            entries: Vec::new(),
        }
    }

    /// The text of its file.
    pub(crate) fn text(&self) -> serde_json::Result<String> {
        serde_json::to_string_pretty(self).map(|text| text + "\n")
    }

    /// The entries without a reason.
    pub(crate) fn without_reason(&self) -> impl Iterator<Item = &Entry> {
        let entries = self.entries.iter();
        entries.filter(|entry| entry.why.trim().is_empty())
    }
}

impl ProfileName {
    /// The profile `hardened` or `wire`.
    pub(crate) fn new(hardened: bool) -> Self {
        match hardened {
            true => Self::Hardened,
            false => Self::Wire,
        }
    }

    /// The word in a baseline.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Wire => "wire",
            Self::Hardened => "hardened",
        }
    }
}

impl From<Side> for RoleName {
    fn from(side: Side) -> Self {
        match side {
            Side::Server => Self::Server,
            Side::Client => Self::Client,
        }
    }
}

impl From<RoleName> for Role {
    fn from(role: RoleName) -> Self {
        match role {
            RoleName::Server => Self::Server,
            RoleName::Client => Self::Client,
        }
    }
}
