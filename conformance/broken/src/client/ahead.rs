//! Data connections that a client opens before it is asked for them.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use super::Shared;
use crate::lines::Stream;

/// So many are open.
const COUNT: usize = 3;
/// A server may close a connection that has said nothing for 8 seconds.
const LIFE: Duration = Duration::from_secs(5);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(50);

/// Those of a login; they end with it.
pub(super) struct Ahead {
    open: Arc<Open>,
    filling: JoinHandle<()>,
}

/// The oldest comes first, with the time at which it was opened.
#[derive(Default)]
pub(super) struct Open(Mutex<VecDeque<(Instant, Stream)>>);

impl Ahead {
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
    /// The one that was opened first.
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
        // Who has gone is closed.
        let _ = stream.shutdown().await;
    }
}
