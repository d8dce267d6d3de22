//! Starts an instance from a manifest and waits until it is ready.

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

/// The values that a client is configured with.
#[derive(Debug, Clone)]
pub(crate) struct ClientPlan {
    pub(crate) server: SocketAddr,
    pub(crate) transport: Transport,
    /// Whether the client is told to verify the server's certificate.
    pub(crate) verify: bool,
    /// The CA certificate that the client has to trust, in PEM form.
    pub(crate) authority: Option<String>,
    /// The remote port, the target and isOpen of each mapping.
    pub(crate) mappings: Vec<(u16, SocketAddr, bool)>,
}

/// A program and the values of its configuration.
#[derive(Debug)]
pub(super) struct Setup {
    manifest: Manifest,
    vars: Vars,
    authority: Option<String>,
}

/// The user name of every instance. It and the password are no secrets: they protect only instances of the suite.
const USER: &str = "conf-user";
const PASSWORD: &str = "conf-pass";

/// Whether the start or the case judges the timeout that a server announces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Announced {
    /// The start fails with an error of the manifest if the timeout is not the configured one.
    ByStart,
    /// The case judges the timeout.
    ByCase,
}

/// Starts a server and waits until a client can log in on each of `transports` that the server speaks.
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

/// The error of a manifest that does not configure the timeout: a started server has announced another one. The suite
/// would judge every rule about timeouts by the wrong timeout.
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

/// Starts a client and does not wait. It is ready when it logs in at the suite's listener.
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
    // `launch` sets the path after it has made the folder.
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
