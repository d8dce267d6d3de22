//! Standard output.

use std::io::{self, ErrorKind, Write as _};
use std::sync::{Mutex, PoisonError, TryLockError};
use std::time::{Duration, Instant};

/// What has become of standard output, for the whole program: there is only one.
static STATE: Mutex<State> = Mutex::new(State::Open);

#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    Open,
    /// The reader has gone away, such as `head`. That is no reason to stop, and no error.
    Closed,
    /// Something could not be written, for this reason.
    Lost(String),
}

/// Writes to standard output. What cannot be written is told at the end, by [`lost`].
pub(crate) fn out(text: &str) {
    // It is remembered.
    let _ = write(text.as_bytes());
}

/// Writes to standard output.
///
/// # Errors
/// When it cannot be written. That the reader has gone away is no error.
pub(super) fn write(bytes: &[u8]) -> io::Result<()> {
    let mut state = STATE.lock().unwrap_or_else(PoisonError::into_inner);
    match &*state {
        State::Open => {}
        State::Closed => return Ok(()),
        // Nothing follows a gap, so that what is there is the beginning of the whole.
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

/// Why standard output is not whole, if it is not.
pub(crate) fn lost() -> Option<String> {
    let begun = Instant::now();
    let mut state = loop {
        match STATE.try_lock() {
            Ok(state) => break state,
            Err(TryLockError::Poisoned(poisoned)) => break poisoned.into_inner(),
            // A thread writes. When the reader does not read, it will not end.
            Err(TryLockError::WouldBlock) if begun.elapsed() > PATIENCE => {
                return Some("nobody reads it".to_owned());
            }
            Err(TryLockError::WouldBlock) => std::thread::sleep(PAUSE),
        }
    };
    // What others have written, such as the help, may still be in its buffer.
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

/// How long a thread may still write at the end of the program, and between two looks at that.
const PATIENCE: Duration = Duration::from_millis(500);
const PAUSE: Duration = Duration::from_millis(5);
