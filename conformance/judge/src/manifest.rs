//! SUT manifests: how to start an unmodified program. SUT = system under test.

mod check;
mod command;
mod placeholder;

use std::collections::BTreeMap;
use std::fmt;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

pub(crate) use command::Word;
use netroxy_specification::nearest::nearest;
use netroxy_specification::notation::ast::{Side, Transport};
pub(crate) use placeholder::{CA_FILE, Misfit, Vars, render, render_text};
use serde::Deserialize;
use serde_json::Value;

use crate::embedded::{Peer, Peers};
use crate::input::{self, InputError};

/// A manifest that has been read and checked.
#[derive(Debug, Clone)]
pub struct Manifest {
    /// Shown in reports.
    pub name: String,
    /// Which side the program plays.
    pub role: Side,
    /// What is started.
    pub launch: Launch,
    /// The files that are written into its fresh working directory.
    pub files: BTreeMap<String, Content>,
    /// What it speaks.
    pub transports: Vec<Transport>,
    /// How long it may take until it is ready, in milliseconds.
    pub start_deadline_ms: u64,
    /// The timeouts that a server can be configured with, in seconds.
    pub timeouts: RangeInclusive<u64>,
    /// How long `still` is: longer than each of its deadlines.
    pub still: Duration,
    /// Whether a client connects again when its control connection has ended.
    pub reconnects: bool,
    /// As it was named on the command line.
    pub argument: String,
    /// What it takes from the environment.
    pub variables: Vec<Variable>,
}

/// A variable of the environment that a manifest has read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variable {
    pub(crate) name: String,
    /// Its value, where that names the program; any other may be a secret.
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
    /// A file that this program carries.
    Fixture(&'static [u8]),
}

/// A manifest that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}{place}: {message}")]
pub struct ManifestError {
    /// The file, or the name of a built-in manifest.
    pub file: String,
    /// Where in it, if known.
    pub place: Place,
    /// What is wrong.
    pub message: String,
    /// What can be done.
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
    /// Loads a file, or a built-in manifest by its name. An embedded reference is one of `peers`.
    ///
    /// # Errors
    /// When it cannot be read, is malformed, or names a variable of the environment that is not set.
    pub fn load(argument: &str, peers: &dyn Peers) -> Result<Self, ManifestError> {
        if let Some((_, text)) = BUILT_IN.iter().find(|(name, _)| *name == argument) {
            return Self::parse(argument, text, Path::new("."), &environment, peers);
        }
        let text = input::text(argument).map_err(unusable)?;
        let folder = Path::new(argument)
            .parent()
            .map_or_else(PathBuf::new, Path::to_path_buf);
        Self::parse(argument, &text, &folder, &environment, peers)
    }

    /// The embedded peer that it starts, if it starts one.
    pub fn peer(&self) -> Option<&dyn Peer> {
        match &self.launch {
            Launch::Embedded(peer) => Some(&**peer),
            Launch::Command(_) => None,
        }
    }

    /// The same files for another embedded peer, which is called `name` in reports and on the command line.
    #[must_use]
    pub fn with_peer(self, name: &str, peer: Arc<dyn Peer>) -> Self {
        Self {
            launch: Launch::Embedded(peer),
            argument: name.to_owned(),
            name: name.to_owned(),
            ..self
        }
    }

    /// Whether a placeholder of this name stands anywhere in it.
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

    /// Reads a manifest. Relative programs are looked up in `folder`, `env` gives variables of the environment, and an
    /// embedded reference is one of `peers`.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub(crate) fn parse(
        file: &str,
        text: &str,
        folder: &Path,
        env: &dyn Fn(&str) -> Option<String>,
        peers: &dyn Peers,
    ) -> Result<Self, ManifestError> {
        let raw: Raw = input::json(text).map_err(|error| ManifestError {
            file: file.to_owned(),
            place: Place {
                position: Some(error.position),
                path: error.path,
            },
            message: error.message,
            hint: Some("`netroxy-conformance sut schema` prints the format".to_owned()),
        })?;
        check::check(
            raw,
            check::Context {
                file,
                text,
                folder,
                env,
                peers,
            },
        )
    }

    /// What is started, as reports show it: the command with the path of its program, or the name and the version of a
    /// peer that this program carries.
    pub(crate) fn runs(&self) -> String {
        match &self.launch {
            Launch::Command(words) => {
                let words: Vec<&str> = words.iter().map(Word::shown).collect();
                words.join(" ")
            }
            Launch::Embedded(peer) => peer.version(),
        }
    }

    /// The reference peer of a side.
    ///
    /// # Errors
    /// When the built-in manifest is damaged.
    pub fn reference(side: Side, peers: &dyn Peers) -> Result<Self, ManifestError> {
        let name = match side {
            Side::Server => "reference-server",
            Side::Client => "reference-client",
        };
        Self::load(name, peers)
    }
}

/// The JSON Schema of a manifest.
pub const SCHEMA: &str = include_str!("../../manifest.schema.json");

/// The manifests that this program carries.
pub const BUILT_IN: [(&str, &str); 6] = [
    (
        "reference-server",
        include_str!("../../suts/reference-server.json"),
    ),
    (
        "reference-client",
        include_str!("../../suts/reference-client.json"),
    ),
    (
        "netroxy-server",
        include_str!("../../suts/netroxy-server.json"),
    ),
    (
        "netroxy-client",
        include_str!("../../suts/netroxy-client.json"),
    ),
    ("go-server", include_str!("../../suts/go-server.json")),
    ("go-client", include_str!("../../suts/go-client.json")),
];

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

fn built_in_names() -> Vec<&'static str> {
    BUILT_IN.iter().map(|(name, _)| *name).collect()
}

fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// A file that is no text at all. What was no file may have been meant as the name of a built-in manifest.
fn unusable(error: InputError) -> ManifestError {
    let built_in = || {
        let meant = nearest(&error.file, built_in_names());
        meant.unwrap_or_else(|| format!("give a file, or one of {}", built_in_names().join(", ")))
    };
    ManifestError {
        hint: match error.missing {
            true => Some(built_in()),
            false => error.hint.clone(),
        },
        file: error.file,
        place: Place {
            position: error.position,
            path: String::new(),
        },
        message: error.message,
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object that describes a program")]
struct Raw {
    name: String,
    role: RawRole,
    #[serde(default)]
    spec: Option<String>,
    launch: RawLaunch,
    #[serde(default)]
    transports: Option<Vec<RawTransport>>,
    #[serde(default)]
    start_deadline_ms: Option<u64>,
    #[serde(default)]
    timeouts: Option<RawTimeouts>,
    #[serde(default)]
    still: Option<u64>,
    #[serde(default)]
    reconnects: Option<bool>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTimeouts {
    #[serde(default)]
    from: Option<u64>,
    #[serde(default)]
    to: Option<u64>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawLaunch {
    #[serde(default)]
    command: Option<Vec<String>>,
    #[serde(default)]
    embedded: Option<RawRole>,
    #[serde(default)]
    files: BTreeMap<String, RawFile>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
enum RawFile {
    Json(Value),
    Text(String),
    Fixture(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum RawRole {
    Server,
    Client,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum RawTransport {
    Plain,
    Tls,
}

impl From<RawRole> for Side {
    fn from(role: RawRole) -> Self {
        match role {
            RawRole::Server => Self::Server,
            RawRole::Client => Self::Client,
        }
    }
}

impl From<RawTransport> for Transport {
    fn from(transport: RawTransport) -> Self {
        match transport {
            RawTransport::Plain => Self::Plain,
            RawTransport::Tls => Self::Tls,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peers::{self, Carried};

    /// Whether the schema and the reader take it.
    fn taken(text: &str) -> (bool, bool) {
        let schema = serde_json::from_str(SCHEMA).unwrap();
        jsonschema::meta::validate(&schema).unwrap();
        let validator = jsonschema::validator_for(&schema).unwrap();
        let value = serde_json::from_str(text).unwrap();
        let program = || Some("sh".to_owned());
        let read = Manifest::parse("x.json", text, Path::new("."), &|_| program(), &Carried);
        (validator.is_valid(&value), read.is_ok())
    }

    #[test]
    fn the_schema_takes_what_is_taken() {
        for (name, text) in BUILT_IN {
            assert_eq!(taken(text), (true, true), "{name}");
        }
        let all = r#"{"name": "x", "role": "client", "transports": ["tls"], "start_deadline_ms": 600000, "still": 600, "reconnects": false,
            "launch": {"command": ["sh", "{{port}}"], "files": {"a": {"text": "{{user}}"}, "b": {"json": null}}}}"#;
        assert_eq!(taken(all), (true, true));
    }

    #[test]
    fn what_is_started_is_shown_with_its_path_and_without_secrets() {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().canonicalize().unwrap().join("my-server");
        std::fs::write(&program, "").unwrap();
        let path = program.display().to_string();
        let env = |name: &str| match name {
            "PROGRAM" => Some(path.clone()),
            _ => Some("a secret".to_owned()),
        };
        let shown = |launch: &str| {
            let text = format!(r#"{{"name":"x","role":"server","launch":{launch}}}"#);
            Manifest::parse("x.json", &text, folder.path(), &env, &Carried)
                .unwrap()
                .runs()
        };
        let words = r#""--key={{env:KEY}}", "{{host}}:{{port}}"]}"#;
        let rest = "--key={{env:KEY}} {{host}}:{{port}}";
        for (word, program) in [
            ("{{env:PROGRAM}}", path.as_str()),
            ("./my-server", path.as_str()),
            ("python3", "python3"),
        ] {
            let command = format!(r#"{{"command":["{word}", {words}"#);
            assert_eq!(shown(&command), format!("{program} {rest}"));
        }
        let version = env!("CARGO_PKG_VERSION");
        let embedded = shown(r#"{"embedded":"server"}"#);
        assert_eq!(embedded, format!("netroxy-server {version}, embedded"));
        let broken = peers::manifest("broken-client:drips").unwrap().runs();
        assert_eq!(broken, format!("netroxy-broken {version}, embedded"));
    }

    #[test]
    fn the_schema_refuses_what_is_refused() {
        let good = r#"{"name":"x","role":"server","launch":{"embedded":"server","files":{"a":{"fixture":"tls/key.pem"}}},"transports":["tls"],"start_deadline_ms":1,"timeouts":{"from":3,"to":60}}"#;
        assert_eq!(taken(good), (true, true));
        for (from, to) in [
            (r#""name":"x","#, ""),
            (r#""name":"x""#, r#""name":"x","title":"y""#),
            (r#""role":"server""#, r#""role":"proxy""#),
            (r#""role":"server""#, r#""role":"server","spec":"0.4""#),
            (r#""embedded":"server","#, ""),
            (
                r#""embedded":"server""#,
                r#""embedded":"server","command":["sh"]"#,
            ),
            (r#""embedded":"server""#, r#""command":[]"#),
            (r#""embedded":"server""#, r#""command":"sh""#),
            ("tls/key.pem", "tls/ca.pem"),
            (r#""fixture":"#, r#""text":"","fixture":"#),
            (r#"{"fixture":"tls/key.pem"}"#, "{}"),
            (r#"{"a":"#, r#"{"":"#),
            (r#"["tls"]"#, "[]"),
            (r#"["tls"]"#, r#"["udp"]"#),
            (r#""start_deadline_ms":1"#, r#""start_deadline_ms":0"#),
            (r#""start_deadline_ms":1"#, r#""start_deadline_ms":600001"#),
            (r#""from":3"#, r#""from":0"#),
            (r#""from":3"#, r#""from":31"#),
            (r#""to":60"#, r#""to":29"#),
            (r#""to":60"#, r#""to":9223372037"#),
            (r#""to":60"#, r#""until":60"#),
            (r#"{"from":3,"to":60}"#, "60"),
            (r#""start_deadline_ms":1"#, r#""still":0"#),
            (r#""start_deadline_ms":1"#, r#""still":601"#),
            (r#""start_deadline_ms":1"#, r#""reconnects":1"#),
        ] {
            assert!(good.contains(from), "{from}");
            assert_eq!(taken(&good.replacen(from, to, 1)), (false, false), "{to}");
        }
    }
}
