//! Data connections that a client opens before TRQ comes.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use super::shared::Shared;
use crate::lines::Stream;

/// How many are open.
const COUNT: usize = 3;
/// How long each stays open without TRS. A server may close a connection on which nothing comes for 8 seconds.
const LIFE: Duration = Duration::from_secs(5);
/// How often the client replaces old connections.
const PAUSE: Duration = Duration::from_millis(50);

/// The open data connections of a login. They end with it.
pub(super) struct Ahead {
    open: Arc<Open>,
    filling: JoinHandle<()>,
}

/// Open data connections, the oldest first, and when each was opened.
#[derive(Default)]
pub(super) struct Open(Mutex<VecDeque<(Instant, Stream)>>);

impl Ahead {
    /// Opens data connections from now on.
    pub(super) fn of(shared: Arc<Shared>) -> Self {
        let open = Arc::new(Open::default());
        let filled = open.clone();
        let filling = tokio::spawn(async move {
            loop {
                let old = filled.take_older_than(LIFE);
                close(old).await;
                let missing = COUNT.saturating_sub(filled.lock().len());
                for _ in 0..missing {
                    let since = Instant::now();
                    let dial = shared.connect(shared.secure, &shared.data_connector);
                    if let Ok(stream) = dial.await {
                        filled.lock().push_back((since, stream));
                    }
                }
                sleep(PAUSE).await;
            }
        });
        Self { open, filling }
    }

    pub(super) fn open(&self) -> Arc<Open> {
        self.open.clone()
    }
}

impl Drop for Ahead {
    fn drop(&mut self) {
        self.filling.abort();
        let old = self.open.take_older_than(Duration::ZERO);
        tokio::spawn(close(old));
    }
}

impl Open {
    /// Takes the oldest connection.
    pub(super) fn take(&self) -> Option<Stream> {
        self.lock().pop_front().map(|(_, stream)| stream)
    }

    fn take_older_than(&self, age: Duration) -> Vec<Stream> {
        let mut open = self.lock();
        let count = open.partition_point(|(since, _)| since.elapsed() >= age);
        open.drain(..count).map(|(_, stream)| stream).collect()
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<(Instant, Stream)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn close(streams: Vec<Stream>) {
    for mut stream in streams {
        // An error means that the connection is already closed.
        let _ = stream.shutdown().await;
    }
}
