//! What a program tells systemd (`Type=notify-reload`, `WatchdogSec=`). Without systemd nothing
//! happens.

#[cfg(target_os = "linux")]
mod systemd {
    use sd_notify::{NotifyState, notify, watchdog_enabled};
    use tokio::time::interval;
    use tracing::debug;

    fn tell(states: &[NotifyState<'_>]) {
        if let Err(error) = notify(states) {
            debug!(%error, "systemd cannot be told");
        }
    }

    /// The program serves.
    pub fn ready() {
        tell(&[NotifyState::Ready]);
    }

    /// The program reads its configuration again; [`ready`] ends it.
    pub fn reloading() {
        match NotifyState::monotonic_usec_now() {
            Ok(now) => tell(&[NotifyState::Reloading, now]),
            Err(error) => debug!(%error, "no clock for systemd"),
        }
    }

    /// The program is about to end.
    pub fn stopping() {
        tell(&[NotifyState::Stopping]);
    }

    /// Tells the watchdog, if there is one, that the program's tasks run. For ever.
    pub async fn keep_watchdog() {
        let Some(patience) = watchdog_enabled() else {
            return std::future::pending().await;
        };
        let mut beat = interval(patience / 2);
        loop {
            beat.tick().await;
            tell(&[NotifyState::Watchdog]);
        }
    }
}

#[cfg(target_os = "linux")]
pub use systemd::{keep_watchdog, ready, reloading, stopping};

#[cfg(not(target_os = "linux"))]
mod none {
    /// The program serves.
    pub fn ready() {}

    /// The program reads its configuration again; [`ready`] ends it.
    pub fn reloading() {}

    /// The program is about to end.
    pub fn stopping() {}

    /// There is no watchdog. For ever.
    pub async fn keep_watchdog() {
        std::future::pending().await
    }
}

#[cfg(not(target_os = "linux"))]
pub use none::{keep_watchdog, ready, reloading, stopping};
