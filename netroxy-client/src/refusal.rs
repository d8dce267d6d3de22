//! How a user is refused for whom there is no tunnel.
//!
//! v0.3 has no message for it. A data connection with TRS that is closed at once makes the server
//! close the user, who would wait for the server's patience otherwise (rule
//! `tunnel.refused-close`).

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use netroxy_net::{
    descriptors::{self, Spare},
    stream::Stream,
};
use netroxy_proto::{ClientMessage, RemotePort, Token, Trs};
use tokio::{
    io::{self, AsyncWriteExt},
    sync::Semaphore,
    time::sleep,
};
use tracing::warn;

use crate::{dial::Server, seldom::Seldom};

/// So many users are refused at a time, each with one descriptor.
const AT_A_TIME: usize = 4;
/// So many descriptors are kept for it.
const SPARE: usize = 2;
/// So many wait to be refused; for more the server's own patience has to do.
const MOST_WAITING: usize = 1024;
/// A descriptor that was freed may be taken by another task first.
const ATTEMPTS: u32 = 50;
const PAUSE: Duration = Duration::from_millis(100);

/// Why there is no tunnel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Why {
    /// As many as allowed are open.
    TooManyTunnels(usize),
    /// The system gives no more descriptors.
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

    /// Keeps what is needed to refuse a user when no descriptor is left. To be called before a tunnel
    /// is opened: a client without tunnels needs none.
    pub(crate) fn prepare(&self) {
        self.spare.refill();
    }

    /// Makes the server close the user. Logs seldom.
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
                    "cannot refuse a user: the user waits until the server gives up"
                ),
            }
            self.spare.refill();
        }
        self.waiting.fetch_sub(1, Ordering::Relaxed);
    }

    /// Shows why, if nothing of the kind was shown lately.
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
