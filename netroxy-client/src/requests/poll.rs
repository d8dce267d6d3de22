//! Fetches requests from the server, and reports the decisions.

use std::sync::Arc;
use std::time::{Duration, Instant};

use netroxy_net::resolve::Resolver;
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::api::{Api, Problem};
use super::types::{Asked, Polled, Post};
use crate::Config;
use crate::admin::Handle;
use crate::rounded::Rounded;
use crate::seldom::Seldom;

/// The least time between the beginnings of two polls, for a server that answers at once.
const PACE: Duration = Duration::from_millis(250);
/// How many decisions are reported before the next poll.
const POSTS: usize = 50;
/// The shortest and the longest wait after a failure. A random part, a quarter at most, is taken off.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// How long signing out may take.
const GOODBYE: Duration = Duration::from_secs(2);

/// A task that polls.
#[derive(Debug)]
pub(crate) struct Poller {
    kick: Arc<Notify>,
    stop: CancellationToken,
    task: JoinHandle<()>,
    /// The number of the poller.
    pub(crate) number: u64,
}

impl Poller {
    /// Begins to poll if the configuration says so. `number` differs for each poller.
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

    /// Ends the wait for the server, because there are decisions to report.
    pub(crate) fn kick(&self) {
        self.kick.notify_one();
    }

    /// Stops the poller. The future is ready after it has signed out: after about 2 s at most.
    pub(crate) fn stop(self) -> impl Future<Output = ()> {
        self.stop.cancel();
        async move {
            // An error is a panic of the poller, which has ended too.
            let _ = self.task.await;
        }
    }
}

struct Polling {
    api: Api,
    client: Handle,
    number: u64,
    kick: Arc<Notify>,
    /// The problem that was logged last, if it lasts.
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

    /// Polls once, and reports decisions. Returns the version of the list; `None` if decisions are left, so that the
    /// next poll must not wait.
    async fn round(&mut self, version: Option<u64>) -> Result<Option<u64>, End> {
        // Without a version the server answers at once.
        let is_long = version.is_some();
        let open = tokio::select! {
            open = self.api.open(version) => open.map_err(End::Problem)?,
            () = self.kick.notified(), if is_long => return Ok(None),
        };
        if self.problem.take().is_some() {
            info!(
                server = self.api.server(),
                "requests can be fetched from the server again"
            );
        }
        let posts = self.tell(Ok(open.requests)).await.ok_or(End::Client)?;
        for post in posts.iter().take(POSTS) {
            self.api.post(post).await.map_err(End::Problem)?;
        }
        Ok((posts.len() <= POSTS).then_some(open.version))
    }

    /// Gives the client the result. Returns the decisions to report; `None` if the client does not run any more.
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
                "requests cannot be fetched from the server; mappings and tunnels stay"
            );
            self.problem = Some(problem.to_owned());
        }
    }
}

/// From 0 to 0.25, so that clients do not all come back at the same time.
fn random_quarter() -> f64 {
    let mut byte = [0];
    // Without random bits only the spread is missing.
    let _ = getrandom::fill(&mut byte);
    f64::from(byte[0]) / 1024.0
}
