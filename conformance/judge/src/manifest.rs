//! Manifests of systems under test (SUT): how to start an unmodified program.

mod check;
mod command;
mod context;
mod model;
mod placeholder;
mod raw;
mod word;

use std::path::{Path, PathBuf};

use context::Context;
pub use model::{Content, Launch, Manifest, ManifestError, Place, Variable};
use netroxy_specification::nearest::nearest;
use netroxy_specification::notation::ast::Side;
pub(crate) use placeholder::{CA_FILE, Vars, render, render_text};
use raw::Raw;

use crate::embedded::Peers;
use crate::input::{self, InputError};

impl Manifest {
    /// Loads a file, or a built-in manifest by its name. `peers` has the embedded reference peers.
    ///
    /// # Errors
    /// When it cannot be read, is not well formed, or names an environment variable that is not set.
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

    /// Reads a manifest. The path of a program is relative to `folder`; `env` returns environment variables; `peers` has the
    /// embedded reference peers.
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
            Context {
                file,
                text,
                folder,
                env,
                peers,
            },
        )
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

fn built_in_names() -> Vec<&'static str> {
    BUILT_IN.iter().map(|(name, _)| *name).collect()
}

fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// The error for a file that cannot be read. If there is no such file, the hint names built-in manifests.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peers::{self, Carried};

    /// Whether the schema accepts it, and whether the program does.
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
    fn the_schema_accepts_what_the_program_accepts() {
        for (name, text) in BUILT_IN {
            assert_eq!(taken(text), (true, true), "{name}");
        }
        let all = r#"{"name": "x", "role": "client", "transports": ["tls"], "start_deadline_ms": 600000, "still": 600, "reconnects": false,
            "launch": {"command": ["sh", "{{port}}"], "files": {"a": {"text": "{{user}}"}, "b": {"json": null}}}}"#;
        assert_eq!(taken(all), (true, true));
    }

    #[test]
    fn a_command_is_shown_with_its_path_and_without_secrets() {
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
    fn the_schema_refuses_what_the_program_refuses() {
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
