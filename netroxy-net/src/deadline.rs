//! Deadlines of a program that may have been stopped.

use std::time::{Duration, Instant};

use tokio::time::{sleep, sleep_until};

/// A wake-up that is later than this means that the program, or the machine, stood still.
const LATE: Duration = Duration::from_millis(200);
/// So long do its tasks get then to read what has come meanwhile.
const CATCH_UP: Duration = Duration::from_millis(100);

/// Waits for a deadline, and a moment longer where the program notices it late. A program that was
/// stopped finds its deadlines passed and its input unread. That input may hold the message that
/// keeps the deadline, so it is read first: the caller reads while it waits, and calls this again
/// with the new deadline when a message has come.
pub async fn due(at: Instant) {
    sleep_until(at.into()).await;
    if at.elapsed() > LATE {
        sleep(CATCH_UP).await;
    }
}
