//! Runs a client: each turn gives it one input of the state machine, or one order.

use std::time::Duration;

use netroxy_net::deadline;
use netroxy_proto::client::Input;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::admin::Order;
use crate::client::Client;
use crate::control::Control;

mod orders;
mod requests;

/// How long tunnels may stay open after the client was told to stop.
const DRAIN: Duration = Duration::from_secs(5);
/// What the client handles next.
enum Turn {
    Input(Input),
    Order(Order),
}

impl Client {
    /// Connects, and reconnects for ever, until `stop` is cancelled. Then closes the control connection at once, and
    /// gives open tunnels up to 5 s to end.
    pub async fn run(mut self, stop: CancellationToken) {
        if self.mappings.is_empty() && self.config.requests.is_none() {
            warn!("no connections are configured: the client will only log in");
        }
        self.start_polling();
        while let Some(turn) = stop.run_until_cancelled(self.next_turn()).await {
            match turn {
                Turn::Input(input) => self.feed(input).await,
                Turn::Order(order) => self.obey(order).await,
            }
        }
        info!("stopping");
        let (control, spares, poller) = (
            std::mem::replace(&mut self.control, Control::None),
            self.spares.take(),
            self.poller.take(),
        );
        tokio::join!(
            async {
                if let Control::Open { connection, .. } = control {
                    connection.into_stream().close().await;
                }
            },
            async {
                if let Some(spares) = spares {
                    spares.end().await;
                }
            },
            async {
                if let Some(poller) = poller {
                    poller.stop().await;
                }
            }
        );
        self.tunnels.close();
        if timeout(DRAIN, self.tunnels.wait()).await.is_err() {
            warn!(
                open = self.tunnels.len(),
                "cutting the tunnels that are still open"
            );
            self.cut.cancel();
            self.tunnels.wait().await;
        }
    }

    async fn next_turn(&mut self) -> Turn {
        let due = self.machine.poll_timeout().map(|at| self.epoch + at);
        let tick = async {
            match due {
                Some(at) => deadline::due(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            input = self.control.next(&self.server) => Turn::Input(input),
            () = tick => Turn::Input(Input::Tick),
            Some(order) = self.orders.recv() => Turn::Order(order),
        }
    }
}
