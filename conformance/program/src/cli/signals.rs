//! Signals that end the program: everything that was started is ended first, and every file is finished.

use rustix::process::Signal;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Signals that end a program which does not handle them. SIGKILL cannot be handled, and what a fault of this program
/// raises, such as SIGSEGV, must not be.
const DEADLY: [Signal; 11] = [
    Signal::HUP,
    Signal::INT,
    Signal::QUIT,
    Signal::TERM,
    Signal::ALARM,
    Signal::USR1,
    Signal::USR2,
    Signal::VTALARM,
    Signal::PROF,
    Signal::XCPU,
    Signal::IO,
];

/// Keeps the system from ending the program when a file becomes longer than the limit of this user: then the write
/// fails, and that is told. It lasts as long as the program.
pub(super) fn survive_long_files() {
    // Without a handler the system ends the program, as it would any other.
    drop(signal(SignalKind::from_raw(Signal::XFSZ.as_raw())));
}

/// Cancelled by Ctrl-C, a closed terminal, or any kill but SIGKILL, so that everything that was started is ended first.
pub(super) fn stop_on_interrupt() -> CancellationToken {
    let stop = CancellationToken::new();
    let (told, mut hears) = mpsc::channel(1);
    for one in DEADLY {
        // Under `nohup` a closed terminal ends nothing. Others may be ignored only because a script has started us.
        if one == Signal::HUP && is_ignored(one) {
            continue;
        }
        // Without a handler the system ends the program, as it would any other.
        let Ok(mut signals) = signal(SignalKind::from_raw(one.as_raw())) else {
            continue;
        };
        let told = told.clone();
        tokio::spawn(async move {
            while signals.recv().await.is_some() {
                // The first one stops everything.
                let _ = told.try_send(());
            }
        });
    }
    let interrupted = stop.clone();
    tokio::spawn(async move {
        if hears.recv().await.is_some() {
            interrupted.cancel();
        }
    });
    stop
}

/// Whether this program was started with a signal switched off; where the system does not tell, it was not.
fn is_ignored(wanted: Signal) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    ignored(&status).is_some_and(|mask| mask >> (wanted.as_raw() - 1) & 1 == 1)
}

/// The mask of the signals that are switched off: the first signal is the lowest bit.
fn ignored(status: &str) -> Option<u64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))?;
    u64::from_str_radix(line.trim(), 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mask_of_ignored_signals_is_read() {
        let status = "Name:\tx\nSigBlk:\t0000000000000000\nSigIgn:\t0000000000001001\n";
        assert_eq!(ignored(status), Some(0x1001));
        assert_eq!(ignored("Name:\tx\n"), None);
    }
}
