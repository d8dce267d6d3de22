//! SIGHUP: read the configuration again.

use netroxy_net::hangup::Hangups;
use tracing::{error, info, warn};

use crate::{admin::Handle, config::sources::Sources};

/// At each SIGHUP reads all sources again and gives the client what they say. A wrong file changes
/// nothing. A client without a file has nothing to read again: the signal ends it, as usual.
pub(super) fn on_hangup(mut sources: Sources, client: Handle) -> impl Future<Output = ()> {
    // A person was asked at the start, if at all.
    sources.prompt = None;
    let mut hangups = Hangups::new();
    async move {
        loop {
            hangups.next().await;
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
                Err(error) => error!(
                    "the configuration cannot be used, the old one stays:\n{}",
                    error.report()
                ),
            }
        }
    }
}
