//! The client: connects, logs in, and connects again after each end of the control connection.

mod ahead;
mod control;
mod keepalive;
mod login;
mod maps;
mod past;
mod shared;
mod tunnel;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use std::{fmt, io};

use serde_json::Value;
use shared::{Ended, Mapping, SLOW_PAUSE, Shared};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::{Bug, Manner, tls};

/// A client that has read its configuration.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
}

/// The pause before the client connects again.
const PAUSE: Duration = Duration::from_millis(1100);

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("bug", &self.shared.bug)
            .finish_non_exhaustive()
    }
}

impl Client {
    /// Reads `client_config.json` in this folder.
    ///
    /// # Errors
    /// If the file, or a certificate that it names, cannot be read.
    pub fn load(folder: &Path, manner: Manner) -> io::Result<Self> {
        let bug = manner.bug();
        let config: Value =
            serde_json::from_slice(&std::fs::read(folder.join("client_config.json"))?)?;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let address = |value: &Value| format!("{}:{}", text(&value["ip"]), value["port"]);
        let mapping = |value: &Value| Mapping {
            remote_port: u16::try_from(value["remotePort"].as_u64().unwrap_or(0)).unwrap_or(0),
            target: address(value),
            open: value["isOpen"].as_bool().unwrap_or(false),
        };
        let secure = &config["tls"];
        let trusted = secure["caFile"].as_str().map(|file| folder.join(file));
        let trusted = trusted.as_deref();
        let verify =
            secure["verify"].as_bool().unwrap_or(true) && bug != Some(Bug::CertificateNotVerified);
        let connector = tls::connector(verify, trusted, manner)?;
        let data_connector = match bug {
            Some(Bug::CertificateOfDataNotVerified) => tls::connector(false, trusted, manner)?,
            _ => connector.clone(),
        };
        Ok(Self {
            shared: Arc::new(Shared {
                manner,
                bug,
                server: address(&config),
                secure: secure["enabled"].as_bool().unwrap_or(false),
                data_connector,
                connector,
                username: text(&config["username"]).into_bytes(),
                password: text(&config["password"]).into_bytes(),
                mappings: config["connections"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .map(mapping)
                    .collect(),
                mixer: Default::default(),
                requests: Default::default(),
                closed_once: Default::default(),
                past: Default::default(),
            }),
        })
    }

    /// Connects again and again. Returns only if a bug gives up.
    pub async fn run(self) {
        let shared = self.shared;
        let (mut sessions, mut early) = (0, 0);
        let (mut last, mut in_a_row) = (Ended::Closed, 0);
        loop {
            let tunnels = CancellationToken::new();
            let ended = shared.clone().session(&tunnels).await;
            sessions += 1;
            in_a_row = if ended == last { in_a_row + 1 } else { 1 };
            last = ended;
            early += u32::from(ended == Ended::BeforeLogin);
            if shared.has(Bug::TunnelsEndWithControl) {
                tunnels.cancel();
            }
            let gives_up = match shared.bug {
                Some(Bug::NeverReconnects) => ended != Ended::Unreachable || sessions > 1,
                Some(Bug::NoReconnectAfterReset) => ended == Ended::Reset,
                Some(Bug::NoReconnectAfterEarlyEnd) => ended == Ended::BeforeLogin,
                Some(Bug::NoReconnectWhenAbsent) => ended == Ended::Unreachable,
                Some(Bug::NoReconnectAfterRefusal) => ended == Ended::Rejected,
                Some(Bug::NoReconnectAfterGivingUp) => ended == Ended::NoSrs,
                Some(Bug::ViolationFatal) => ended == Ended::Violation,
                Some(Bug::AfterArsFatal) => ended == Ended::MoreThanArs,
                Some(Bug::SecondSessionLast) => sessions == 2,
                Some(Bug::ThirdFailureLast) => ended == Ended::Unreachable && in_a_row == 3,
                Some(Bug::ThirdEarlyEndLast) => ended == Ended::BeforeLogin && in_a_row == 3,
                Some(Bug::ThirdRefusalLast) => ended == Ended::Rejected && in_a_row == 3,
                Some(Bug::FourthEarlyEndInAllLast) => early == 4,
                _ => false,
            };
            if gives_up {
                return;
            }
            let wait = match shared.bug {
                None if shared.manner == Manner::Slow => SLOW_PAUSE,
                Some(Bug::ReconnectsLate) => Duration::from_secs(18),
                // About 1 s, 4 s, 18 s, 70 s.
                Some(Bug::PausesForever) => PAUSE * 4_u32.pow(in_a_row.clamp(1, 4) - 1),
                bug => pause(bug, ended),
            };
            sleep(wait).await;
        }
    }
}

/// The pause before the next connection.
fn pause(bug: Option<Bug>, ended: Ended) -> Duration {
    let no_pause = match bug {
        Some(Bug::NoPauseAfterRefusal) => ended == Ended::Rejected,
        Some(Bug::NoPauseAfterLogin) => matches!(ended, Ended::Closed | Ended::Reset),
        Some(Bug::NoPauseBeforeLogin) => ended == Ended::BeforeLogin,
        _ => false,
    };
    if no_pause {
        Duration::from_millis(50)
    } else {
        PAUSE
    }
}
