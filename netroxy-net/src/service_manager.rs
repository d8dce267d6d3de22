//! Reports to systemd (`Type=notify-reload`, `WatchdogSec=`). Without systemd these functions do nothing.

#[cfg(target_os = "linux")]
mod systemd {
    use sd_notify::{NotifyState, notify, watchdog_enabled};
    use tokio::time::interval;
    use tracing::debug;

    fn report(states: &[NotifyState<'_>]) {
        if let Err(error) = notify(states) {
            debug!(%error, "cannot report to systemd");
        }
    }

    /// Reports that the program is ready.
    pub fn ready() {
        report(&[NotifyState::Ready]);
    }

    /// Reports that the program reads its configuration again. [`ready`] reports the end of that.
    pub fn reloading() {
        match NotifyState::monotonic_usec_now() {
            Ok(now) => report(&[NotifyState::Reloading, now]),
            Err(error) => debug!(%error, "cannot read the clock for a report to systemd"),
        }
    }

    /// Reports that the program is about to end.
    pub fn stopping() {
        report(&[NotifyState::Stopping]);
    }

    /// Reports to the watchdog, if there is one, that the tasks of the program run. Never ends.
    pub async fn keep_watchdog() {
        let Some(patience) = watchdog_enabled() else {
            return std::future::pending().await;
        };
        let mut beat = interval(patience / 2);
        loop {
            beat.tick().await;
            report(&[NotifyState::Watchdog]);
        }
    }
}

#[cfg(target_os = "linux")]
pub use systemd::{keep_watchdog, ready, reloading, stopping};

#[cfg(not(target_os = "linux"))]
mod none {
    /// Reports that the program is ready.
    pub fn ready() {}

    /// Reports that the program reads its configuration again. [`ready`] reports the end of that.
    pub fn reloading() {}

    /// Reports that the program is about to end.
    pub fn stopping() {}

    /// Waits for ever: there is no watchdog.
    pub async fn keep_watchdog() {
        std::future::pending().await
    }
}

#[cfg(not(target_os = "linux"))]
pub use none::{keep_watchdog, ready, reloading, stopping};
