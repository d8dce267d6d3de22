//! Deadlines of a program that may have been stopped.
//!
//! After SIGSTOP, or after a suspend of the machine, a program finds its deadlines passed and its input unread. Unread
//! input may hold the very message that keeps a deadline. So a deadline that is detected late does not expire at once:
//! all tasks of the program first get 100 ms to read.

use std::time::{Duration, Instant};

use tokio::time::{sleep, sleep_until};

/// If a wake-up is later than this, the program or the machine stood still.
const LATE: Duration = Duration::from_millis(200);
/// The time that the tasks of the program then get to read their input.
const CATCH_UP: Duration = Duration::from_millis(100);

/// Waits for a deadline, and 100 ms longer if the wake-up is more than 200 ms late.
///
/// The caller reads while it waits. If it receives a message that moves the deadline, it drops the future and calls
/// this function again with the new deadline.
pub async fn due(at: Instant) {
    sleep_until(at.into()).await;
    if at.elapsed() > LATE {
        sleep(CATCH_UP).await;
    }
}
