//! Signals that end the program. It first ends all programs that it started, and finishes its files.

use rustix::process::Signal;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Signals that end a program which does not handle them. SIGKILL cannot be handled. Signals that a fault of this
/// program raises, such as SIGSEGV, must not be handled.
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

/// Makes a write fail, instead of ending the program, when a file becomes longer than the limit of this user. Lasts as
/// long as the program.
pub(super) fn survive_long_files() {
    // Without a handler, the signal ends the program at once.
    drop(signal(SignalKind::from_raw(Signal::XFSZ.as_raw())));
}

/// A token that is cancelled by Ctrl-C, a closed terminal, or any other signal in [`DEADLY`].
pub(super) fn stop_on_interrupt() -> CancellationToken {
    let stop = CancellationToken::new();
    let (sender, mut receiver) = mpsc::channel(1);
    for one in DEADLY {
        // Under `nohup` a closed terminal must not end the program. Other signals may be ignored only because a script
        // has started this program, so they are handled.
        if one == Signal::HUP && is_ignored(one) {
            continue;
        }
        // Without a handler, the signal ends the program at once.
        let Ok(mut signals) = signal(SignalKind::from_raw(one.as_raw())) else {
            continue;
        };
        let sender = sender.clone();
        tokio::spawn(async move {
            while signals.recv().await.is_some() {
                // The channel is full after the first signal, which is enough.
                let _ = sender.try_send(());
            }
        });
    }
    let interrupted = stop.clone();
    tokio::spawn(async move {
        if receiver.recv().await.is_some() {
            interrupted.cancel();
        }
    });
    stop
}

/// Whether this program was started with a signal ignored; `false` if the system does not say.
fn is_ignored(wanted: Signal) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    ignored(&status).is_some_and(|mask| mask >> (wanted.as_raw() - 1) & 1 == 1)
}

/// The mask of the ignored signals; the first signal is the lowest bit.
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
