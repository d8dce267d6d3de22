//! Limits how many programs start at a time.
//!
//! A program that needs half a second of processor time is ready after half a second, but not if ninety others start at
//! the same time. So the processor time of all concurrent starts is bounded. The time of one start was measured before
//! the first case.

use std::sync::LazyLock;
use std::thread::available_parallelism;
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};

use crate::times::USUAL_START;

/// The processor time that all starting programs may need together, in milliseconds.
static BUDGET: LazyLock<Budget> =
    LazyLock::new(|| Budget::new(available_parallelism().map_or(1, usize::from)));

#[derive(Debug)]
struct Budget {
    free: Semaphore,
}

/// Waits until a program may start. The caller drops the permit when the program is ready.
///
/// `effort` is the processor time of a start; `deadline` is how long the start may take.
pub(super) async fn turn(effort: Duration, deadline: Duration) -> Option<SemaphorePermit<'static>> {
    BUDGET.turn(effort, deadline).await
}

impl Budget {
    fn new(cores: usize) -> Self {
        Self {
            free: Semaphore::new(cores * SHARE),
        }
    }

    async fn turn(&self, effort: Duration, deadline: Duration) -> Option<SemaphorePermit<'_>> {
        // The semaphore is never closed.
        self.free.acquire_many(price(effort, deadline)).await.ok()
    }
}

/// What a start takes of the budget, in milliseconds: its processor time, or more if its deadline is shorter than
/// usual, or less if it is longer. It is at most the share of one core.
fn price(effort: Duration, deadline: Duration) -> u32 {
    let haste = USUAL_START.as_secs_f64() / deadline.as_secs_f64().max(0.001);
    let share = u32::try_from(SHARE).unwrap_or(u32::MAX);
    let price = Duration::try_from_secs_f64(effort.as_secs_f64() * haste);
    let ms = price.map_or(share, |price| {
        u32::try_from(price.as_millis()).unwrap_or(share)
    });
    ms.min(share)
}

/// The budget of one core, in milliseconds: an eighth of the usual deadline, because the cases need processors too.
const SHARE: usize = 750;

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    #[test]
    fn a_start_costs_its_processor_time_up_to_the_share_of_a_core() {
        assert_eq!(price(Duration::ZERO, USUAL_START), 0);
        assert_eq!(price(ms(400), USUAL_START), 400);
        assert_eq!(price(ms(400), ms(3000)), 750);
        assert_eq!(price(ms(100), ms(3000)), 200);
        assert_eq!(price(ms(60_000), USUAL_START), 750);
        assert_eq!(price(ms(1), Duration::ZERO), 750);
        assert_eq!(price(Duration::MAX, USUAL_START), 750);
    }

    #[tokio::test]
    async fn two_cores_start_three_programs_of_400_ms_and_any_number_of_light_ones() {
        let budget = Budget::new(2);
        let mut held = Vec::new();
        for _ in 0..3 {
            held.push(budget.turn(ms(400), USUAL_START).await);
        }
        assert!(
            budget
                .free
                .try_acquire_many(price(ms(400), USUAL_START))
                .is_err()
        );
        for _ in 0..1000 {
            held.push(budget.turn(Duration::ZERO, USUAL_START).await);
        }
        held.remove(0);
        assert!(
            budget
                .free
                .try_acquire_many(price(ms(400), USUAL_START))
                .is_ok()
        );
    }

    #[tokio::test]
    async fn the_heaviest_program_can_start_on_one_core() {
        let budget = Budget::new(1);
        assert!(budget.turn(Duration::MAX, ms(1)).await.is_some());
    }
}
