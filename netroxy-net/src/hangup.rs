//! SIGHUP, the order to read the configuration again.

#[cfg(unix)]
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Handles SIGHUP, which then no longer ends the program.
#[derive(Debug)]
pub struct Hangups(#[cfg(unix)] Option<Signal>);

impl Hangups {
    /// Installs the handler. Needs a tokio runtime.
    #[must_use]
    pub fn new() -> Self {
        #[cfg(unix)]
        return Self(signal(SignalKind::hangup()).ok());
        #[cfg(not(unix))]
        Self()
    }

    /// Waits for the next SIGHUP. On a system without this signal it waits for ever. Cancel safe.
    pub async fn next(&mut self) {
        #[cfg(unix)]
        if let Some(signal) = &mut self.0
            && signal.recv().await.is_some()
        {
            return;
        }
        std::future::pending::<()>().await;
    }
}

impl Default for Hangups {
    fn default() -> Self {
        Self::new()
    }
}
