//! The frame of both programs: the log, the stop by a signal, and the message of an error that ends the program.

use std::error::Error;
use std::io::Write;
use std::process::ExitCode;
use std::sync::OnceLock;

use tokio::runtime::Runtime;
use tokio::signal;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::config_file::ConfigError;
use crate::error_text::error_text;
use crate::log::{ALWAYS, Logging};
use crate::relay::Path;

/// The version of a program, as `--version` prints it: the version of its crate, and the git commit if the program was
/// built from a checkout.
#[must_use]
pub fn version(of_crate: &str) -> &'static str {
    static VERSION: OnceLock<String> = OnceLock::new();
    VERSION.get_or_init(|| match option_env!("NETROXY_COMMIT") {
        Some(commit) => format!("{of_crate} (commit {commit})"),
        None => of_crate.to_owned(),
    })
}

/// Runs `work` until it ends. The first SIGTERM or SIGINT cancels the token that `work` gets. Before that, this function
/// starts the log with `warnings` and raises the limit of descriptors.
///
/// # Errors
///
/// The error of `work`, or that the system gives no threads, or that the environment variable [`Path::VARIABLE`] is no
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
        tokio::spawn(log.report_repeats());
        work(stop).await
    });
    // A look-up of a name cannot be interrupted. The program does not wait for its end.
    runtime.shutdown_background();
    result
}

/// Raises the limit of open descriptors as far as the system allows: each tunnel takes two.
pub fn raise_descriptor_limit() {
    if let Err(error) = rlimit::increase_nofile_limit(u64::MAX) {
        warn!(%error, "cannot raise the limit of open descriptors");
    }
}

/// Cancels the token at the first SIGTERM or SIGINT. A second signal ends the program at once with exit code 130.
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
    /// The error.
    pub error: Box<dyn Error + Send + Sync>,
    /// What the operator can do.
    pub hint: Option<String>,
    /// The program's exit code.
    pub code: u8,
}

impl Failure {
    /// Wrong flags, configuration or key files. The exit code is 2.
    pub fn usage(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self {
            error: error.into(),
            hint: None,
            code: 2,
        }
    }

    /// A problem of the machine, such as a port in use. The exit code is 1.
    pub fn runtime(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self {
            error: error.into(),
            hint: None,
            code: 1,
        }
    }

    /// Adds a hint.
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

/// The exit code for the result of a program. Prints an error, its causes and the hint; for a configuration file, all
/// its problems.
#[must_use]
pub fn exit_code(result: Result<(), Failure>) -> ExitCode {
    let Err(failure) = result else {
        return ExitCode::SUCCESS;
    };
    let text = match failure.error.downcast_ref::<ConfigError>() {
        Some(config) => config.report(),
        None => error_text(failure.error.as_ref(), failure.hint.as_deref()),
    };
    // If stderr is closed, the exit code still gives the result.
    let _ = std::io::stderr().write_all(text.as_bytes());
    ExitCode::from(failure.code)
}
