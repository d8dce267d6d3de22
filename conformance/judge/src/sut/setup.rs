//! How a program of a manifest is configured and launched.

use std::path::Path;
use std::sync::Arc;
use std::{fs, io};

use serde_json::Value;
use tempfile::TempDir;

use super::body::Body;
use super::process::Process;
use super::spawn::explained;
use crate::descriptors::Noted as _;
use crate::embedded::Embedded;
use crate::manifest::{CA_FILE, Content, Launch, Manifest, Vars, render, render_text};

/// Why an instance did not become ready.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The suite itself failed, such as by a missing port or folder.
    #[error("{0}")]
    Harness(String),
    /// The system could not start the program.
    #[error("cannot start it: {0}")]
    Spawn(String),
    /// The server refused the login, or a server that the suite did not start closed several connections.
    #[error("{why}")]
    Refused {
        /// The login, the transport and the address.
        why: String,
        /// The end of its log.
        log: String,
    },
    /// The program does not do what the manifest configures, so the suite cannot judge it.
    #[error("{0}")]
    Manifest(String),
    /// It ended by itself, or no login succeeded in time.
    #[error("{why}")]
    NotReady {
        /// The reason of the last failed attempt, or how the program ended.
        why: String,
        /// The end of its log.
        log: String,
    },
}

/// A program and the values of its configuration.
#[derive(Debug)]
pub(super) struct Setup {
    pub(super) manifest: Manifest,
    /// What the files and the command of the manifest are filled with.
    pub(super) vars: Vars,
    /// The CA certificate that a client has to trust, in PEM form.
    pub(super) authority: Option<String>,
}

/// The user name of every instance. It and the password are no secrets: they protect only instances of the suite.
pub(super) const USER: &str = "conf-user";
pub(super) const PASSWORD: &str = "conf-pass";

impl Setup {
    /// Starts the program in a new directory.
    pub(super) async fn launch(&self) -> Result<Body, StartError> {
        let harness = |error: io::Error| {
            StartError::Harness(format!(
                "cannot prepare a working directory: {}",
                error.noted()
            ))
        };
        let directory = TempDir::with_prefix(folder_prefix()).map_err(harness)?;
        let mut vars = self.vars.clone();
        if let Some(authority) = &self.authority {
            let file = directory.path().join(AUTHORITY);
            fs::write(&file, authority).map_err(harness)?;
            let file = file.to_string_lossy().into_owned();
            vars.common.insert(CA_FILE, Value::from(file));
        }
        for (name, content) in &self.manifest.files {
            write(&directory.path().join(name), content, &vars).map_err(harness)?;
        }
        match &self.manifest.launch {
            Launch::Command(words) => {
                let filled = words.iter().map(|word| word.fill(&vars));
                // This cannot fail: the loader has filled in the command of the manifest once.
                let command: Vec<String> = filled
                    .collect::<Result<_, _>>()
                    .map_err(|misfit| StartError::Harness(misfit.message))?;
                let program = command.first().map_or("", String::as_str);
                Process::start(&command, directory)
                    .map(|process| Body::Process(Box::new(process)))
                    .map_err(|error| StartError::Spawn(explained(program, &error)))
            }
            Launch::Embedded(peer) => Embedded::start(Arc::clone(peer), directory)
                .await
                .map(Body::Embedded)
                .map_err(|error| StartError::Spawn(error.to_string())),
        }
    }
}

/// The file with the certificate that a client has to trust, in its working directory.
const AUTHORITY: &str = "netroxy-conformance-ca.pem";

/// The beginning of the names of the folders that this process makes. It contains the process id.
pub fn folder_prefix() -> String {
    format!("netroxy-conformance-{}-", std::process::id())
}

fn write(path: &Path, content: &Content, vars: &Vars) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    // This cannot fail: the loader has rendered the files of the manifest once.
    let misfit = |misfit| io::Error::other(format!("{misfit:?}"));
    match content {
        Content::Json(value) => fs::write(
            path,
            format!("{:#}\n", render(value, vars).map_err(misfit)?),
        ),
        Content::Text(text) => fs::write(path, render_text(text, vars).map_err(misfit)?),
        Content::Fixture(bytes) => fs::write(path, bytes),
    }
}
