//! A manifest as it is written in JSON.

use std::collections::BTreeMap;

use netroxy_specification::notation::ast::{Side, Transport};
use serde::Deserialize;
use serde_json::Value;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object that describes a program")]
pub(super) struct Raw {
    pub(super) name: String,
    pub(super) role: RawRole,
    #[serde(default)]
    pub(super) spec: Option<String>,
    pub(super) launch: RawLaunch,
    #[serde(default)]
    pub(super) transports: Option<Vec<RawTransport>>,
    #[serde(default)]
    pub(super) start_deadline_ms: Option<u64>,
    #[serde(default)]
    pub(super) timeouts: Option<RawTimeouts>,
    #[serde(default)]
    pub(super) still: Option<u64>,
    #[serde(default)]
    pub(super) reconnects: Option<bool>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawTimeouts {
    #[serde(default)]
    pub(super) from: Option<u64>,
    #[serde(default)]
    pub(super) to: Option<u64>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawLaunch {
    #[serde(default)]
    pub(super) command: Option<Vec<String>>,
    #[serde(default)]
    pub(super) embedded: Option<RawRole>,
    #[serde(default)]
    pub(super) files: BTreeMap<String, RawFile>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub(super) enum RawFile {
    Json(Value),
    Text(String),
    Fixture(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum RawRole {
    Server,
    Client,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum RawTransport {
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
