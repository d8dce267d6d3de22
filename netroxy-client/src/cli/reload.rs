//! SIGHUP: reads the configuration again.

use netroxy_net::hangup::Hangups;
use tracing::{error, info, warn};

use crate::admin::Handle;
use crate::config::sources::Sources;

/// At each SIGHUP reads all sources again, and gives the client the new configuration. A wrong file changes nothing.
/// It is not called for a client without a file, which SIGHUP ends as usual.
pub(super) fn on_hangup(mut sources: Sources, client: Handle) -> impl Future<Output = ()> {
    // Only the start asks a person.
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
