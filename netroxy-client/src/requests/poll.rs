//! Asks the server for requests, and tells it what was decided.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use netroxy_net::resolve::Resolver;
use tokio::{
    sync::{Notify, oneshot},
    task::JoinHandle,
    time::{sleep, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{
    Asked, Post,
    api::{Api, Problem},
};
use crate::{Config, admin::Handle, rounded::Rounded, seldom::Seldom};

/// Between the beginnings of two polls: a server that answers each at once costs no more than this.
const PACE: Duration = Duration::from_millis(250);
/// So many decisions are told before the next poll.
const POSTS: usize = 50;
/// The waits after the first failure and after many. A random part, a quarter at most, is taken off.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// The client has no more time for its goodbye.
const GOODBYE: Duration = Duration::from_secs(2);

/// A task that polls.
#[derive(Debug)]
pub(crate) struct Poller {
    kick: Arc<Notify>,
    stop: CancellationToken,
    task: JoinHandle<()>,
    /// Which poller it is.
    pub(crate) number: u64,
}

/// What a poller has heard.
#[derive(Debug)]
pub(crate) struct Polled {
    /// The number of the poller.
    pub(crate) by: u64,
    /// All requests that stand open, or why they are not known.
    pub(crate) news: Result<Vec<Asked>, String>,
    /// Gets what the server has to be told.
    pub(crate) posts: oneshot::Sender<Vec<Post>>,
}

impl Poller {
    /// Begins to poll, if the configuration says so. `number` is another one each time.
    pub(crate) fn start(
        config: &Config,
        names: Resolver,
        client: Handle,
        number: u64,
    ) -> Option<Self> {
        let terms = config.requests.as_ref()?;
        let api = Api::new(config, terms, names);
        let kick = Arc::new(Notify::new());
        let stop = CancellationToken::new();
        let polling = Polling {
            api,
            client,
            number,
            kick: kick.clone(),
            problem: None,
            warnings: Seldom::default(),
        };
        let task = tokio::spawn(polling.run(stop.clone()));
        Some(Self {
            kick,
            stop,
            task,
            number,
        })
    }

    /// There are decisions to tell.
    pub(crate) fn kick(&self) {
        self.kick.notify_one();
    }

    /// Stops it. The result comes after it has signed out, within some seconds at most.
    pub(crate) fn stop(self) -> impl Future<Output = ()> {
        self.stop.cancel();
        async move {
            // It has ended, whether in order or by a panic.
            let _ = self.task.await;
        }
    }
}

struct Polling {
    api: Api,
    client: Handle,
    number: u64,
    kick: Arc<Notify>,
    /// The last thing that was wrong, as the log has it.
    problem: Option<String>,
    warnings: Seldom,
}

/// Why there is no next poll.
enum End {
    /// The client does not run any more.
    Client,
    Problem(Problem),
}

impl Polling {
    async fn run(mut self, stop: CancellationToken) {
        stop.run_until_cancelled(self.poll()).await;
        let _ = timeout(GOODBYE, self.api.sign_out()).await;
    }

    async fn poll(&mut self) {
        let mut version = None;
        let mut pause = Duration::ZERO;
        loop {
            let next = tokio::time::Instant::now() + PACE;
            match self.round(version).await {
                Ok(heard) => {
                    version = heard;
                    pause = Duration::ZERO;
                    sleep_until(next).await;
                }
                Err(End::Client) => return,
                Err(End::Problem(problem)) => {
                    version = None;
                    let (shortest, longest) = PAUSES;
                    let grown = if problem.is_lasting {
                        longest
                    } else {
                        (pause * 2).clamp(shortest, longest)
                    };
                    pause = grown;
                    let wait = pause - pause.mul_f64(random_quarter());
                    let text = problem.to_string();
                    self.warn(&text, wait);
                    if self.tell(Err(text)).await.is_none() {
                        return;
                    }
                    sleep(wait).await;
                }
            }
        }
    }

    /// Polls once and tells what was decided. The version of what was heard; `None` when there is something
    /// to tell before it changes.
    async fn round(&mut self, version: Option<u64>) -> Result<Option<u64>, End> {
        // Without a version the answer comes at once.
        let is_long = version.is_some();
        let open = tokio::select! {
            open = self.api.open(version) => open.map_err(End::Problem)?,
            () = self.kick.notified(), if is_long => return Ok(None),
        };
        if self.problem.take().is_some() {
            info!(
                server = self.api.server(),
                "the server can be asked for requests again"
            );
        }
        let posts = self.tell(Ok(open.requests)).await.ok_or(End::Client)?;
        for post in posts.iter().take(POSTS) {
            self.api.post(post).await.map_err(End::Problem)?;
        }
        Ok((posts.len() <= POSTS).then_some(open.version))
    }

    /// Tells the client. What it wants to be told to the server; `None` if it does not run any more.
    async fn tell(&self, news: Result<Vec<Asked>, String>) -> Option<Vec<Post>> {
        let (posts, answered) = oneshot::channel();
        let by = self.number;
        let polled = Polled { by, news, posts };
        if !self.client.polled(polled).await {
            return None;
        }
        answered.await.ok()
    }

    fn warn(&mut self, problem: &str, retry_in: Duration) {
        if self.problem.as_deref() == Some(problem) {
            return;
        }
        if let Some(kept_back) = self.warnings.show(Instant::now()) {
            warn!(
                server = self.api.server(),
                problem,
                retry_in = %Rounded(retry_in),
                kept_back,
                "the server cannot be asked for requests; mappings and tunnels go on"
            );
            self.problem = Some(problem.to_owned());
        }
    }
}

/// From 0 to 0.25, so that clients do not all come back at one moment.
fn random_quarter() -> f64 {
    let mut byte = [0];
    // Only the spread depends on it.
    let _ = getrandom::fill(&mut byte);
    f64::from(byte[0]) / 1024.0
}
