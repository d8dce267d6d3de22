//! Standard output.

use std::io::{self, ErrorKind, Write as _};
use std::sync::{Mutex, PoisonError, TryLockError};
use std::time::{Duration, Instant};

/// The state of standard output.
static STATE: Mutex<State> = Mutex::new(State::Open);

#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    Open,
    /// The reader, such as `head`, has closed it. The command continues, and this is not an error.
    Closed,
    /// A write failed, for this reason.
    Lost(String),
}

/// Writes to standard output. [`lost`] reports an error at the end.
pub(crate) fn out(text: &str) {
    // The error is kept in `STATE`.
    let _ = write(text.as_bytes());
}

/// Writes to standard output.
///
/// # Errors
/// When a write fails, except when the reader has closed it.
pub(super) fn write(bytes: &[u8]) -> io::Result<()> {
    let mut state = STATE.lock().unwrap_or_else(PoisonError::into_inner);
    match &*state {
        State::Open => {}
        State::Closed => return Ok(()),
        // Nothing is written after a gap, so the output is the beginning of the whole.
        State::Lost(why) => return Err(io::Error::other(why.clone())),
    }
    let mut stdout = io::stdout().lock();
    let written = stdout.write_all(bytes).and_then(|()| stdout.flush());
    if let Err(error) = &written {
        *state = state_after(error);
        if *state == State::Closed {
            return Ok(());
        }
    }
    written
}

/// Why standard output is incomplete; `None` if it is complete.
pub(crate) fn lost() -> Option<String> {
    let begun = Instant::now();
    let mut state = loop {
        match STATE.try_lock() {
            Ok(state) => break state,
            Err(TryLockError::Poisoned(poisoned)) => break poisoned.into_inner(),
            // Another thread writes, and does not end if the reader does not read.
            Err(TryLockError::WouldBlock) if begun.elapsed() > PATIENCE => {
                return Some("its reader does not read".to_owned());
            }
            Err(TryLockError::WouldBlock) => std::thread::sleep(PAUSE),
        }
    };
    // Output of other code, such as the help, may still be in the buffer.
    let flushed = io::stdout().flush();
    if let (State::Open, Err(error)) = (&*state, &flushed) {
        *state = state_after(error);
    }
    match &*state {
        State::Open | State::Closed => None,
        State::Lost(why) => Some(why.clone()),
    }
}

fn state_after(error: &io::Error) -> State {
    match error.kind() {
        ErrorKind::BrokenPipe => State::Closed,
        _ => State::Lost(error.to_string()),
    }
}

/// How long another thread may still write at the end of the program.
const PATIENCE: Duration = Duration::from_millis(500);
/// The pause between two attempts to get the lock.
const PAUSE: Duration = Duration::from_millis(5);
