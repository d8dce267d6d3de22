//! The log of a program: lines of text or JSON on stderr. A stderr that is not read does not stop the program, and
//! messages that repeat are limited.

use std::io::IsTerminal;
use std::sync::Arc;
use std::time::Duration;

use tracing::{info, warn};
use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

mod format;
mod losses;
mod pauses;
mod repeats;

pub use format::LogFormat;
use losses::ReportsLosses;
use pauses::Pauses;
pub(crate) use repeats::ALWAYS;
pub use repeats::REFUSAL;
use repeats::{Limiter, Repeats, Suppressed};

/// How many lines wait at most while stderr does not take them.
const QUEUE: usize = 4096;

/// The flags of a program for its log.
#[derive(Debug, Clone, Copy, clap::Args)]
pub struct Logging {
    /// How much to log, to stderr
    #[arg(long = "log", value_name = "LEVEL", value_enum, default_value_t = LogLevel::Info)]
    pub level: LogLevel,

    /// How each line of the log is written
    #[arg(
        long = "log-format", value_name = "FORMAT", value_enum, default_value_t = LogFormat::Text
    )]
    pub format: LogFormat,
}

/// How much a program logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum LogLevel {
    /// Faults that a person must repair.
    Error,
    /// Problems that may become faults, such as a refused port.
    Warn,
    /// Logins, mappings, tunnels, and why a connection was closed.
    Info,
    /// Also connections that ended early without harm. No line is suppressed.
    Debug,
}

/// A running log. Dropping it writes the lines that are left.
pub(crate) struct Log {
    _worker: WorkerGuard,
    repeats: Arc<Repeats>,
}

impl Logging {
    /// Starts logging to stderr.
    ///
    /// A thread of its own writes the lines, within some milliseconds. While stderr does not take them, 4,096 lines
    /// wait. Further ones are dropped and counted, so a full pipe cannot stop the program.
    pub(crate) fn start(self) -> Log {
        let (stderr, counter) = ReportsLosses::new(std::io::stderr(), self.format);
        let (writer, worker) = NonBlockingBuilder::default()
            .buffered_lines_limit(QUEUE)
            .lossy(true)
            .finish(Pauses::new(stderr));
        // It fails only if the counter is already set, and this is the only place that sets it.
        let _ = counter.set(writer.error_counter());
        let filter = EnvFilter::new(match self.level {
            LogLevel::Error => "error",
            LogLevel::Warn => "warn",
            LogLevel::Info => "info",
            LogLevel::Debug => "debug",
        });
        let repeats = Arc::new(Repeats::default());
        let limiter = (self.level != LogLevel::Debug).then(|| Limiter::new(repeats.clone()));
        let lines = tracing_subscriber::fmt::layer()
            .with_target(false)
            .with_writer(writer);
        let lines = match self.format {
            LogFormat::Text => {
                let is_terminal = std::io::stderr().is_terminal();
                let colours = is_terminal && std::env::var_os("NO_COLOR").is_none();
                lines.with_ansi(colours).boxed()
            }
            LogFormat::Json => {
                let lines = lines.json().flatten_event(true).with_current_span(false);
                lines.with_ansi(false).boxed()
            }
        };
        tracing_subscriber::registry()
            .with(filter)
            .with(limiter)
            .with(lines)
            .init();
        Log {
            _worker: worker,
            repeats,
        }
    }
}

impl Log {
    /// Reports suppressed messages after each window of 10 s. The future never ends.
    pub(crate) fn report_repeats(&self) -> impl Future<Output = ()> + Send + use<> {
        let repeats = self.repeats.clone();
        async move {
            loop {
                tokio::time::sleep(Duration::from_secs(1)).await;
                report(repeats.over(std::time::Instant::now()));
            }
        }
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        report(self.repeats.all());
    }
}

fn report(suppressed: Vec<Suppressed>) {
    for Suppressed {
        count,
        level,
        message,
    } in suppressed
    {
        if level == tracing::Level::WARN {
            warn!(target: ALWAYS, "suppressed {count} similar messages: {message}");
        } else {
            info!(target: ALWAYS, "suppressed {count} similar messages: {message}");
        }
    }
}
