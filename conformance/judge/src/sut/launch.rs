//! Starts an instance from a manifest and waits until it is ready.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use netroxy_specification::notation::ast::Transport;
use serde_json::Value;

use super::instance::Instance;
use super::ready::{self, Unready};
use super::setup::{PASSWORD, Setup, StartError, USER};
use super::subject::Subject;
use crate::manifest::{CA_FILE, Manifest, Vars};
use crate::ports::Lease;
use crate::times::RUNNING_SERVER;
use crate::wire::Tls;

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
    let (mut instance, limit) = match subject {
        Subject::Started(manifest) => (
            spawn_server(manifest, timeout).await?,
            Duration::from_millis(manifest.start_deadline_ms),
        ),
        Subject::Running(running) => (Instance::running(running), RUNNING_SERVER),
        Subject::Pair(_) => return Err(StartError::Harness("a pair is no server".to_owned())),
    };
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
        manifest: manifest.clone(),
        vars,
        authority: plan.authority.clone(),
    };
    Instance::start(setup, Vec::new(), Vec::new()).await
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
    let setup = Setup {
        manifest: manifest.clone(),
        vars,
        authority: None,
    };
    Instance::start(setup, control, vec![plain, tls, web]).await
}

fn common() -> BTreeMap<&'static str, Value> {
    BTreeMap::from([
        ("host", Value::from(Ipv4Addr::LOCALHOST.to_string())),
        ("user", Value::from(USER)),
        ("pass", Value::from(PASSWORD)),
    ])
}
