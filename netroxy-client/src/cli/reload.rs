//! SIGHUP: read the configuration again.

use std::error::Error;

use netroxy_net::program::Failure;
use tokio::signal::unix::{SignalKind, signal};
use tracing::{error, info, warn};

use crate::{admin::Handle, config::sources::Sources};

/// At each SIGHUP reads all sources again and gives the client what they say. A wrong file changes
/// nothing. A client without a file has nothing to read again: the signal ends it, as usual.
///
/// # Errors
///
/// When the system does not let the program handle the signal.
pub(super) fn on_hangup(
    mut sources: Sources,
    client: Handle,
) -> Result<impl Future<Output = ()>, Failure> {
    // A person was asked at the start, if at all.
    sources.prompt = None;
    let mut hangups = signal(SignalKind::hangup()).map_err(Failure::runtime)?;
    Ok(async move {
        while hangups.recv().await.is_some() {
            match sources.load() {
                Ok((config, warnings)) => {
                    for warning in warnings {
                        warn!("{warning}");
                    }
                    if client.reload(config).await.is_none() {
                        return;
                    }
                    info!("the configuration was read again");
                }
                Err(error) => {
                    let hint = error.hint().map(str::to_owned);
                    let mut text = error.to_string();
                    for cause in std::iter::successors(error.source(), |cause| (*cause).source()) {
                        text.push_str(&format!(": {cause}"));
                    }
                    error!(
                        hint,
                        "the new configuration is wrong, the old one stays: {text}"
                    );
                }
            }
        }
    })
}
