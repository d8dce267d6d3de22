//! Lists of known failures, with reasons: what fails as listed is expected, any change is seen.

mod check;
mod compare;
mod read;
mod seen;
mod write;

use std::path::Path;

pub(crate) use compare::Comparison;
use netroxy_specification::notation::ast::{Role, Side};
pub(crate) use read::BaselineError;
pub(crate) use seen::{Seen, VerdictName};
use serde::{Deserialize, Serialize};
pub(crate) use write::{Refusal, update};

/// A list of known failures of one program.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Baseline {
    /// The file, or the name of a built-in one.
    pub(crate) file: String,
    /// As it was written.
    text: String,
    /// What it lists.
    pub(crate) list: List,
}

/// The content of a file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct List {
    format: Format,
    /// The name of the program's manifest.
    pub(crate) sut: String,
    /// The side that it plays.
    pub(crate) role: RoleName,
    /// The revision that it was judged by.
    spec: Spec,
    /// The rules that it was judged by.
    pub(crate) profile: ProfileName,
    /// What fails; the runs in alphabetical order.
    pub(crate) entries: Vec<Entry>,
}

/// A run that fails.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "RawEntry", into = "RawEntry")]
pub(crate) struct Entry {
    /// Such as `server/tunnel/early-data@tls`.
    pub(crate) run: String,
    /// What was seen.
    pub(crate) seen: Seen,
    /// Why it fails, written by hand.
    pub(crate) why: String,
    /// A race: it does not always fail, or not always like this.
    pub(crate) sometimes: bool,
}

/// An entry as it is written.
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

impl Baseline {
    /// Loads a file, or a built-in list by its name.
    ///
    /// # Errors
    /// When it cannot be read, or the first thing that is wrong with its form.
    pub(crate) fn load(argument: &str) -> Result<Self, BaselineError> {
        match built_in(argument) {
            Some(text) => read::parse(argument, text),
            None => read::load(argument),
        }
    }

    /// As it was written.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// A comparison with what a run shows.
    pub(crate) fn comparison(&self) -> Comparison<'_> {
        Comparison::new(self)
    }
}

impl List {
    /// Nothing is known to fail.
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

    /// As it is written to a file.
    pub(crate) fn text(&self) -> serde_json::Result<String> {
        serde_json::to_string_pretty(self).map(|text| text + "\n")
    }

    /// The entries whose reason nobody has written yet.
    pub(crate) fn without_reason(&self) -> impl Iterator<Item = &Entry> {
        let entries = self.entries.iter();
        entries.filter(|entry| entry.why.trim().is_empty())
    }
}

impl ProfileName {
    /// All rules, or only those of the wire profile.
    pub(crate) fn new(hardened: bool) -> Self {
        match hardened {
            true => Self::Hardened,
            false => Self::Wire,
        }
    }

    /// As it is written.
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

/// The JSON Schema of a list.
pub(crate) const SCHEMA: &str = include_str!("../../baseline.schema.json");

/// The lists that this program carries.
pub(crate) const BUILT_IN: [(&str, &str); 2] = [
    ("go-server", include_str!("../../baselines/go-server.json")),
    ("go-client", include_str!("../../baselines/go-client.json")),
];

/// The built-in list of that name.
pub(crate) fn built_in(name: &str) -> Option<&'static str> {
    let found = BUILT_IN.iter().find(|(known, _)| *known == name);
    found.map(|(_, text)| *text)
}

/// Where the list of a program is looked for when nobody says where: its own file, else the built-in one.
pub(crate) fn usual_place(sut: &str) -> String {
    let own = format!("{sut}.baseline.json");
    match Path::new(&own).exists() || built_in(sut).is_none() {
        true => own,
        false => sut.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn built_in_lists_are_well_formed_and_give_every_reason() {
        for (name, _) in BUILT_IN {
            let baseline = Baseline::load(name).unwrap();
            assert_eq!(baseline.list.sut, name);
            let without: Vec<_> = baseline.list.without_reason().collect();
            assert_eq!(without, [] as [&Entry; 0], "{name}");
        }
    }

    #[test]
    fn the_schema_names_the_fields_that_are_read() {
        let schema: serde_json::Value = serde_json::from_str(SCHEMA).unwrap();
        let (_, text) = BUILT_IN[0];
        let list: serde_json::Value = serde_json::from_str(text).unwrap();
        let keys = |value: &serde_json::Value| -> BTreeSet<String> {
            value.as_object().unwrap().keys().cloned().collect()
        };
        let entry = &schema["properties"]["entries"]["items"];
        assert_eq!(keys(&schema["properties"]), keys(&list));
        assert_eq!(keys(&entry["properties"]), keys(&list["entries"][0]));
        let verdicts: Vec<&str> = entry["properties"]["verdict"]["enum"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one.as_str().unwrap())
            .collect();
        assert_eq!(verdicts, seen::VERDICTS.map(|(name, _)| name));
    }
}
