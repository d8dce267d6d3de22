//! Refuses a user for whom no tunnel can be opened.
//!
//! v0.3 has no message for this. The client sends TRS on a data connection and closes it at once, so that the server
//! closes the user (rule `tunnel.refused-close`). Otherwise the user would wait until the server's time limit.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use netroxy_net::descriptors::{self, Spare};
use netroxy_net::stream::Stream;
use netroxy_proto::{ClientMessage, RemotePort, Token, Trs};
use tokio::io::{self, AsyncWriteExt};
use tokio::sync::Semaphore;
use tokio::time::sleep;
use tracing::warn;

use crate::dial::Server;
use crate::seldom::Seldom;

/// How many users are refused at a time, each with one descriptor.
const AT_A_TIME: usize = 4;
/// How many descriptors are kept for it.
const SPARE: usize = 2;
/// How many users may wait to be refused. All others wait until the server's time limit.
const MOST_WAITING: usize = 1024;
/// How often a dial is tried: another task may take a descriptor that was freed.
const ATTEMPTS: u32 = 50;
/// How long the client waits between these attempts.
const PAUSE: Duration = Duration::from_millis(100);

/// Why there is no tunnel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Why {
    /// As many tunnels as allowed are open: so many.
    TooManyTunnels(usize),
    /// No descriptor is left.
    NoDescriptors,
}

/// Refuses users, also when no descriptor is left.
#[derive(Debug)]
pub(crate) struct Refusals {
    slots: Semaphore,
    waiting: AtomicUsize,
    spare: Spare,
    warnings: Seldom,
}

impl Refusals {
    pub(crate) fn new() -> Self {
        Self {
            slots: Semaphore::new(AT_A_TIME),
            waiting: AtomicUsize::new(0),
            spare: Spare::new(SPARE),
            warnings: Seldom::default(),
        }
    }

    /// Reserves the descriptors that refusing a user needs when no other is left. To be called before a tunnel is
    /// opened: a client without tunnels needs none.
    pub(crate) fn prepare(&self) {
        self.spare.refill();
    }

    /// Makes the server close the user. Logs one warning in 10 seconds at most.
    pub(crate) async fn refuse(&self, server: &Server, port: RemotePort, token: &Token, why: Why) {
        self.warn(port, why);
        if self.waiting.fetch_add(1, Ordering::Relaxed) < MOST_WAITING
            && let Ok(_slot) = self.slots.acquire().await
        {
            match self.dial(server).await {
                Ok(mut data) => {
                    if send_trs(&mut data, port, token).await.is_ok() {
                        data.close().await;
                    }
                }
                Err(error) => warn!(
                    remote_port = %port,
                    %error,
                    "cannot refuse a user: the user waits until the server's time limit"
                ),
            }
            self.spare.refill();
        }
        self.waiting.fetch_sub(1, Ordering::Relaxed);
    }

    /// Logs why, unless a warning was logged in the last 10 seconds.
    pub(crate) fn warn(&self, port: RemotePort, why: Why) {
        let Some(kept_back) = self.warnings.show(Instant::now()) else {
            return;
        };
        let rule = "tunnel.refused-close";
        match why {
            Why::TooManyTunnels(open) => warn!(
                remote_port = %port,
                open,
                kept_back,
                rule,
                "user refused: no more tunnels fit into the limit of open files; raise it, e.g. \
                 LimitNOFILE in systemd"
            ),
            Why::NoDescriptors => warn!(
                remote_port = %port,
                kept_back,
                rule,
                "user refused: the system allows no more open files; raise the limit, e.g. \
                 LimitNOFILE in systemd"
            ),
        }
    }

    async fn dial(&self, server: &Server) -> io::Result<Stream> {
        let mut attempt = 0;
        loop {
            attempt += 1;
            match server.dial_peer().await {
                Err(error) if descriptors::are_exhausted(&error) && attempt < ATTEMPTS => {
                    if !self.spare.free_one() {
                        sleep(PAUSE).await;
                        self.spare.refill();
                    }
                }
                dialled => return dialled,
            }
        }
    }
}

/// Sends the only message of a data connection.
pub(crate) async fn send_trs(
    data: &mut Stream,
    remote_port: RemotePort,
    token: &Token,
) -> io::Result<()> {
    let mut bytes = Vec::new();
    ClientMessage::Trs(Trs {
        token: token.clone(),
        remote_port: remote_port.into(),
    })
    .encode(&mut bytes);
    data.write_all(&bytes).await?;
    data.flush().await
}
