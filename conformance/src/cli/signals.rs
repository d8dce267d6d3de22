//! Signals that end the program: everything that was started is ended first, and every file is finished.

use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Signals that end a program which does not handle them. SIGKILL cannot be handled, and what a fault of this program
/// raises, such as SIGSEGV, must not be.
///
/// Their numbers are those of Linux and macOS alike where no name is known.
const DEADLY: [fn() -> SignalKind; 10] = [
    SignalKind::hangup,
    SignalKind::interrupt,
    SignalKind::quit,
    SignalKind::terminate,
    SignalKind::alarm,
    SignalKind::user_defined1,
    SignalKind::user_defined2,
    || SignalKind::from_raw(XCPU),
    || SignalKind::from_raw(VTALRM),
    || SignalKind::from_raw(PROF),
];

const XCPU: i32 = 24;
/// A file has become longer than the limit of this user.
const XFSZ: i32 = 25;
const VTALRM: i32 = 26;
const PROF: i32 = 27;

/// Keeps the system from ending the program when a file becomes longer than the limit of this user: then the write
/// fails, and that is told. It lasts as long as the program.
pub(super) fn survive_long_files() {
    // Where there is no handler, the system ends the program, as it would any other.
    drop(signal(SignalKind::from_raw(XFSZ)));
}

/// Cancelled by any signal that would end the program.
pub(super) fn stop_on_interrupt() -> CancellationToken {
    let stop = CancellationToken::new();
    let mut waiting = JoinSet::new();
    for kind in DEADLY {
        let kind = kind();
        // Under `nohup` a closed terminal ends nothing. Others may be ignored only because a script has started us.
        if kind == SignalKind::hangup() && is_ignored(kind.as_raw_value()) {
            continue;
        }
        // Without a handler the system ends the program, as it would any other.
        if let Ok(mut signal) = signal(kind) {
            waiting.spawn(async move { signal.recv().await });
        }
    }
    let interrupted = stop.clone();
    tokio::spawn(async move {
        if waiting.join_next().await.is_some() {
            interrupted.cancel();
        }
    });
    stop
}

/// Whether whoever has started this program wants a signal to be ignored; where that cannot be known, it is not.
fn is_ignored(number: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    let bit = u32::try_from(number - 1)
        .ok()
        .and_then(|bit| 1_u64.checked_shl(bit));
    mask.zip(bit).is_some_and(|(mask, bit)| mask & bit != 0)
}
