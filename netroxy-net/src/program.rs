//! What a well-behaved program does: logs, stops on signals, and says in one message why it
//! cannot go on.

use std::{error::Error, io::Write, process::ExitCode, sync::OnceLock};

use tokio::{runtime::Runtime, signal};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::{
    config_file::ConfigError,
    log::{ALWAYS, Logging},
    relay::Path,
};

/// The version of a program, as `--version` tells it: that of its crate, and the git commit if it was
/// built from a checkout.
#[must_use]
pub fn version(of_crate: &str) -> &'static str {
    static VERSION: OnceLock<String> = OnceLock::new();
    VERSION.get_or_init(|| match option_env!("NETROXY_COMMIT") {
        Some(commit) => format!("{of_crate} (commit {commit})"),
        None => of_crate.to_owned(),
    })
}

/// Runs a program until its first SIGTERM or SIGINT cancels the token that `work` gets: logs to
/// stderr, beginning with `warnings`, and allows as many open descriptors as the system does.
///
/// # Errors
///
/// What `work` fails with, or that the machine has no threads for it, or that the environment names no
/// [`Path`].
pub fn run<F>(
    logging: Logging,
    warnings: Vec<String>,
    work: impl FnOnce(CancellationToken) -> F,
) -> Result<(), Failure>
where
    F: Future<Output = Result<(), Failure>>,
{
    Path::from_environment()
        .map_err(|error| Failure::usage(format!("{} {error}", Path::VARIABLE)))?;
    let log = logging.start();
    for warning in warnings {
        warn!(target: ALWAYS, "{warning}");
    }
    raise_descriptor_limit();
    let runtime = Runtime::new().map_err(Failure::runtime)?;

    let result = runtime.block_on(async {
        let stop = CancellationToken::new();
        stop_on_signals(stop.clone());
        tokio::spawn(log.tell_repeats());
        work(stop).await
    });
    // A name that is being resolved cannot be interrupted; it is not waited for.
    runtime.shutdown_background();
    result
}

/// Allows this process as many open descriptors as the system lets it have: each tunnel takes two.
pub fn raise_descriptor_limit() {
    if let Err(error) = rlimit::increase_nofile_limit(u64::MAX) {
        warn!(%error, "cannot raise the limit of open descriptors");
    }
}

/// Cancels the token at the first SIGTERM or SIGINT. A second signal ends the program at once, as
/// if nobody handled it.
fn stop_on_signals(stop: CancellationToken) {
    tokio::spawn(async move {
        signal_received().await;
        stop.cancel();
        signal_received().await;
        std::process::exit(130);
    });
}

#[cfg(unix)]
async fn signal_received() {
    use signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => tokio::select! {
            _ = terminate.recv() => {}
            _ = signal::ctrl_c() => {}
        },
        Err(_) => {
            let _ = signal::ctrl_c().await;
        }
    }
}

#[cfg(not(unix))]
async fn signal_received() {
    let _ = signal::ctrl_c().await;
}

/// A program's end because of an error.
#[derive(Debug)]
pub struct Failure {
    /// What happened.
    pub error: Box<dyn Error + Send + Sync>,
    /// What a person can do about it.
    pub hint: Option<String>,
    /// The program's exit code.
    pub code: u8,
}

impl Failure {
    /// Wrong flags, configuration or key files: exit code 2.
    pub fn usage(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self {
            error: error.into(),
            hint: None,
            code: 2,
        }
    }

    /// Trouble with the machine, e.g. a port in use: exit code 1.
    pub fn runtime(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self {
            error: error.into(),
            hint: None,
            code: 1,
        }
    }

    /// Adds what a person can do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::usage(error)
    }
}

/// Turns a program's result into its exit code, and prints an error, its causes and the hint; of a
/// configuration file all that is wrong.
#[must_use]
pub fn exit_code(result: Result<(), Failure>) -> ExitCode {
    let Err(failure) = result else {
        return ExitCode::SUCCESS;
    };
    let text = match failure.error.downcast_ref::<ConfigError>() {
        Some(config) => config.report(),
        None => told(failure.error.as_ref(), failure.hint.as_deref()),
    };
    // Nobody is left to tell when stderr is closed.
    let _ = std::io::stderr().write_all(text.as_bytes());
    ExitCode::from(failure.code)
}

/// An error with its causes and a hint, as a program prints it.
pub(crate) fn told(error: &(dyn Error + 'static), hint: Option<&str>) -> String {
    let mut text = format!("error: {error}\n");
    for cause in causes(error) {
        text.push_str(&format!("  because: {cause}\n"));
    }
    if let Some(hint) = hint {
        text.push_str(&format!("hint: {hint}\n"));
    }
    text
}

/// What led to an error, the nearest cause first.
pub(crate) fn causes<'a>(
    error: &'a (dyn Error + 'static),
) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(error.source(), |error| (*error).source())
}
