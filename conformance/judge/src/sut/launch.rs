//! From a manifest to an instance that is ready.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use std::{fs, io};

use netroxy_specification::notation::ast::Transport;
use serde_json::Value;
use tempfile::TempDir;

use super::process::Process;
use super::ready::{self, Unready};
use super::spawn::explained;
use super::subject::Subject;
use super::{Body, Instance};
use crate::descriptors::Noted as _;
use crate::embedded::Embedded;
use crate::manifest::{CA_FILE, Content, Launch, Manifest, Vars, render, render_text};
use crate::ports::Lease;
use crate::times::RUNNING_SERVER;
use crate::wire::Tls;

/// An instance that did not come up.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The suite could not do its part.
    #[error("{0}")]
    Harness(String),
    /// The program could not be started at all.
    #[error("cannot start it: {0}")]
    Spawn(String),
    /// It has refused the login that it was configured with, or that was given for it.
    #[error("{why}")]
    Refused {
        /// Which login.
        why: String,
        /// The end of its log.
        log: String,
    },
    /// What the manifest configures is not what the program does: nothing can be judged by it.
    #[error("{0}")]
    Manifest(String),
    /// It ended by itself, or did not let anyone log in.
    #[error("{why}")]
    NotReady {
        /// What was tried last, or how it ended.
        why: String,
        /// The end of its log.
        log: String,
    },
}

/// What a client is configured with.
#[derive(Debug, Clone)]
pub(crate) struct ClientPlan {
    pub(crate) server: SocketAddr,
    pub(crate) transport: Transport,
    /// Whether the client is told to verify the server's certificate.
    pub(crate) verify: bool,
    /// In PEM form: the certificate that vouches for those that the client has to trust.
    pub(crate) authority: Option<String>,
    /// Remote port, target, isOpen.
    pub(crate) mappings: Vec<(u16, SocketAddr, bool)>,
}

/// A program and the values of its configuration.
#[derive(Debug)]
pub(super) struct Setup {
    manifest: Manifest,
    vars: Vars,
    authority: Option<String>,
}

/// The credentials of every instance; they protect nothing.
const USER: &str = "conf-user";
const PASSWORD: &str = "conf-pass";

/// Who judges the timeout that a server announces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Announced {
    /// The start: another one than the configured one is a fault of the manifest.
    ByStart,
    /// The case that is played.
    ByCase,
}

/// Starts a server and waits until somebody can log in on each of these transports, where it speaks them.
pub(crate) async fn start_server(
    subject: &Subject,
    (timeout, announced_is_judged): (u64, Announced),
    tls: &Tls,
    time_scale: f64,
    transports: &[Transport],
) -> Result<Instance, StartError> {
    let (instance, limit) = match subject {
        Subject::Started(manifest) => (
            spawn_server(manifest, timeout).await?,
            Duration::from_millis(manifest.start_deadline_ms),
        ),
        Subject::Running(running) => {
            let mut control = vec![(Transport::Plain, running.plain)];
            control.extend(running.tls.map(|address| (Transport::Tls, address)));
            let (username, password) = (running.username.clone(), running.password.clone());
            (
                Instance {
                    body: Body::Foreign,
                    setup: None,
                    control,
                    username,
                    password,
                    ports: Vec::new(),
                },
                RUNNING_SERVER,
            )
        }
        Subject::Pair(_) => return Err(StartError::Harness("a pair is no server".to_owned())),
    };
    let mut instance = instance;
    match ready::wait(&mut instance, tls, limit.mul_f64(time_scale), transports).await {
        Ok(_) if announced_is_judged == Announced::ByCase => Ok(instance),
        Ok(announced) => match other_timeout(subject, timeout, &announced) {
            None => Ok(instance),
            Some(why) => {
                instance.stop().await;
                Err(StartError::Manifest(why))
            }
        },
        Err(Unready { why, refused }) => {
            let log = instance.log_tail().await;
            instance.stop().await;
            Err(match refused {
                true => StartError::Refused { why, log },
                false => StartError::NotReady { why, log },
            })
        }
    }
}

/// Why the timeout that a started server has announced shows that its manifest does not configure it. Every rule that
/// counts in timeouts would be judged by the wrong one.
fn other_timeout(subject: &Subject, configured: u64, announced: &[u64]) -> Option<String> {
    let Subject::Started(manifest) = subject else {
        return None;
    };
    let other = announced
        .iter()
        .find(|announced| **announced != configured)?;
    let cause = match manifest.uses("timeout") {
        false => "the manifest does not use {{timeout}}".to_owned(),
        true if Some(*other) == configured.checked_mul(1000) => {
            "{{timeout}} is in seconds, and ARS has it in seconds too".to_owned()
        }
        true => "{{timeout}} is not where the server reads its timeout, or the server changes it"
            .to_owned(),
    };
    Some(format!(
        "the manifest of {} is wrong: the timeout to be configured is {configured} s, and ARS announces {other} s ({cause})",
        manifest.name
    ))
}

/// Starts a client. That it is ready shows when it logs in at the suite's listener.
pub(crate) async fn start_client(
    manifest: &Manifest,
    plan: &ClientPlan,
) -> Result<Instance, StartError> {
    let mappings = plan.mappings.iter().map(|(port, target, open)| {
        BTreeMap::from([
            ("remote_port", Value::from(*port)),
            ("target_host", Value::from(target.ip().to_string())),
            ("target_port", Value::from(target.port())),
            ("open", Value::from(*open)),
        ])
    });
    let mut common = common();
    common.insert("port", Value::from(plan.server.port()));
    common.insert("tls", Value::from(plan.transport == Transport::Tls));
    common.insert("verify", Value::from(plan.verify));
    // The path is known when there is a folder.
    common.insert(CA_FILE, Value::Null);
    let vars = Vars {
        common,
        mappings: mappings.collect(),
    };
    let setup = Setup {
        authority: plan.authority.clone(),
        ..Setup::new(manifest, vars)
    };
    Ok(Instance {
        body: setup.launch().await?,
        setup: Some(setup),
        control: Vec::new(),
        username: USER.into(),
        password: PASSWORD.into(),
        ports: Vec::new(),
    })
}

async fn spawn_server(manifest: &Manifest, timeout: u64) -> Result<Instance, StartError> {
    let take = || Lease::take().map_err(|error| StartError::Harness(error.to_string()));
    let (plain, tls, web) = (take()?, take()?, take()?);
    let mut common = common();
    common.insert("port", Value::from(plain.port()));
    common.insert("tls_port", Value::from(tls.port()));
    common.insert("web_port", Value::from(web.port()));
    common.insert("timeout", Value::from(timeout));
    let vars = Vars {
        common,
        mappings: Vec::new(),
    };
    let address = |lease: &Lease| SocketAddr::from((Ipv4Addr::LOCALHOST, lease.port()));
    let control = [
        (Transport::Plain, address(&plain)),
        (Transport::Tls, address(&tls)),
    ];
    let control = control
        .into_iter()
        .filter(|(transport, _)| manifest.transports.contains(transport))
        .collect();
    let setup = Setup::new(manifest, vars);
    Ok(Instance {
        body: setup.launch().await?,
        setup: Some(setup),
        control,
        username: USER.into(),
        password: PASSWORD.into(),
        ports: vec![plain, tls, web],
    })
}

fn common() -> BTreeMap<&'static str, Value> {
    BTreeMap::from([
        ("host", Value::from(Ipv4Addr::LOCALHOST.to_string())),
        ("user", Value::from(USER)),
        ("pass", Value::from(PASSWORD)),
    ])
}

impl Setup {
    fn new(manifest: &Manifest, vars: Vars) -> Self {
        let manifest = manifest.clone();
        let authority = None;
        Self {
            manifest,
            vars,
            authority,
        }
    }

    /// Starts the program in a fresh directory.
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
                // The manifest has been tried out when it was loaded.
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

/// How the names of the folders begin that this program makes, and no other that is running.
pub fn folder_prefix() -> String {
    format!("netroxy-conformance-{}-", std::process::id())
}

fn write(path: &Path, content: &Content, vars: &Vars) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    // The manifest has been tried out when it was loaded.
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
