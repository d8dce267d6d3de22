//! Notices when the machine, or this program, stands still, so that nobody is blamed for it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::times::{STALL_NOTED, STALL_TICK};

/// A thread and a task that ought to wake every 5 ms. Dropping it ends them.
///
/// The thread is late when the machine has no time for us, the task when we have none for the cases.
#[derive(Debug)]
pub(crate) struct Watch {
    stalls: Arc<Mutex<Vec<Stall>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    task: Option<tokio::task::JoinHandle<()>>,
    /// How late the task was lately, in milliseconds.
    lag: Arc<AtomicU64>,
    /// For how long somebody on this machine has had to wait for a processor, as it was told at each moment.
    pressure: Arc<Mutex<Vec<(Instant, Duration)>>>,
}

/// A time in which one of them did not wake, although it ought to.
#[derive(Debug, Clone, Copy)]
struct Stall {
    from: Instant,
    until: Instant,
}

impl Watch {
    /// Starts to watch, inside of the runtime. Where there is no further thread to be had, the task has to do.
    pub(crate) fn start() -> Self {
        let (stalls, stop, lag) = (
            Arc::<Mutex<Vec<Stall>>>::default(),
            Arc::default(),
            Arc::default(),
        );
        let (noted, ended) = (Arc::clone(&stalls), Arc::<AtomicBool>::clone(&stop));
        let pressure = Arc::<Mutex<Vec<(Instant, Duration)>>>::default();
        let told = Arc::clone(&pressure);
        let work = move || {
            for tick in 0_u32.. {
                if ended.load(Ordering::Relaxed) {
                    return;
                }
                if tick.is_multiple_of(PRESSURE_TICKS)
                    && let Some(total) = waited_for_processor()
                {
                    let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
                    told.push((Instant::now(), total));
                }
                let due = Instant::now() + STALL_TICK;
                std::thread::sleep(STALL_TICK);
                note(&noted, due);
            }
        };
        let (noted, seen) = (Arc::clone(&stalls), Arc::<AtomicU64>::clone(&lag));
        let task = tokio::spawn(async move {
            loop {
                let due = Instant::now() + STALL_TICK;
                tokio::time::sleep(STALL_TICK).await;
                let late = u64::try_from(note(&noted, due).as_millis()).unwrap_or(u64::MAX);
                // It comes at once and goes slowly.
                let before = seen.load(Ordering::Relaxed);
                seen.store(late.max(before - before.div_ceil(8)), Ordering::Relaxed);
            }
        });
        let thread = std::thread::Builder::new().name("stall watch".into());
        Self {
            stalls,
            stop,
            thread: thread.spawn(work).ok(),
            task: Some(task),
            lag,
            pressure,
        }
    }

    /// Waits until there is time for another case.
    pub(crate) async fn room(&self) {
        while self.lag.load(Ordering::Relaxed) > BUSY {
            tokio::time::sleep(STALL_TICK).await;
        }
    }

    /// How long the machine stood still at a stretch between two moments, at worst.
    pub(crate) fn between(&self, from: Instant, until: Instant) -> Duration {
        self.each(|stall| {
            let end = stall.until.min(until);
            end.saturating_duration_since(stall.from.max(from))
        })
    }

    /// For how long somebody had to wait for a processor between two moments; nothing where the system does not tell.
    pub(crate) fn pressure(&self, from: Instant, until: Instant) -> Duration {
        let told = self.pressure.lock().unwrap_or_else(PoisonError::into_inner);
        let at = |moment| {
            let before = told.partition_point(|(when, _)| *when <= moment);
            told.get(before.saturating_sub(1))
                .map_or(Duration::ZERO, |(_, total)| *total)
        };
        at(until).saturating_sub(at(from))
    }

    /// How long it ever stood still.
    pub(crate) fn longest(&self) -> Duration {
        self.each(|stall| stall.until.saturating_duration_since(stall.from))
    }

    /// A watch that has seen one stall and sees no more.
    #[cfg(test)]
    pub(super) fn fixed(from: Instant, until: Instant) -> Self {
        Self {
            stalls: Arc::new(Mutex::new(vec![Stall { from, until }])),
            stop: Arc::default(),
            thread: None,
            task: None,
            lag: Arc::default(),
            pressure: Arc::default(),
        }
    }

    /// The same, and at that moment the system tells that somebody has waited for a processor for so long.
    #[cfg(test)]
    pub(super) fn pressed(self, at: Instant, waited: Duration) -> Self {
        let told = vec![(at, Duration::ZERO), (at, waited)];
        *self.pressure.lock().unwrap_or_else(PoisonError::into_inner) = told;
        self
    }

    fn each(&self, length: impl Fn(&Stall) -> Duration) -> Duration {
        let stalls = self.stalls.lock().unwrap_or_else(PoisonError::into_inner);
        stalls.iter().map(length).max().unwrap_or_default()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(task) = &self.task {
            task.abort();
        }
        if let Some(thread) = self.thread.take() {
            // It cannot panic, and ends within a tick.
            let _ = thread.join();
        }
    }
}

/// Notes that somebody who was due then wakes only now, and tells how late that is.
fn note(stalls: &Mutex<Vec<Stall>>, due: Instant) -> Duration {
    let woken = Instant::now();
    let late = woken.saturating_duration_since(due);
    if late > STALL_NOTED {
        let mut stalls = stalls.lock().unwrap_or_else(PoisonError::into_inner);
        stalls.push(Stall {
            from: due,
            until: woken,
        });
    }
    late
}

/// What Linux counts as pressure on the processors.
fn waited_for_processor() -> Option<Duration> {
    let text = std::fs::read_to_string("/proc/pressure/cpu").ok()?;
    let total = text.lines().next()?.rsplit_once("total=")?.1;
    Some(Duration::from_micros(total.parse().ok()?))
}

/// Between two looks at the pressure.
const PRESSURE_TICKS: u32 = 5;

/// With so much lag, in milliseconds, no further case is begun.
const BUSY: u64 = 50;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stall_counts_only_where_it_overlaps() {
        let now = Instant::now();
        let ago = |ms| now.checked_sub(Duration::from_millis(ms)).unwrap();
        let watch = Watch::fixed(ago(300), ago(100));
        assert_eq!(watch.longest().as_millis(), 200);
        assert_eq!(watch.between(ago(1_000), now).as_millis(), 200);
        assert_eq!(watch.between(ago(150), now).as_millis(), 50);
        assert_eq!(watch.between(ago(1_000), ago(250)).as_millis(), 50);
        assert_eq!(watch.between(ago(50), now), Duration::ZERO);
    }

    #[test]
    fn pressure_is_what_was_added_between_two_moments() {
        let now = Instant::now();
        let second = |count| now + Duration::from_secs(count);
        let watch = Watch::fixed(now, now);
        let told = [(0, 10), (1, 15), (2, 40)];
        let told = told.map(|(at, total)| (second(at), Duration::from_secs(total)));
        *watch.pressure.lock().unwrap() = told.to_vec();
        let pressure = |from, until| watch.pressure(second(from), second(until)).as_secs();
        assert_eq!(pressure(0, 1), 5);
        assert_eq!(pressure(1, 2), 25);
        assert_eq!(pressure(0, 9), 30);
        assert_eq!(pressure(2, 9), 0);
    }

    #[test]
    fn who_wakes_late_is_noted_and_who_is_in_time_is_not() {
        let (stalls, now) = (Mutex::default(), Instant::now());
        assert_eq!(note(&stalls, now + Duration::from_secs(60)), Duration::ZERO);
        assert!(stalls.lock().unwrap().is_empty());
        let due = now.checked_sub(STALL_NOTED * 2).unwrap();
        let late = note(&stalls, due);
        assert!(late >= STALL_NOTED * 2);
        let stalls = stalls.into_inner().unwrap();
        assert_eq!((stalls.len(), stalls[0].from), (1, due));
        assert_eq!(stalls[0].until, due + late);
    }

    #[tokio::test]
    async fn a_runtime_that_stands_still_is_noticed_and_no_case_begins() {
        let watch = Watch::start();
        tokio::time::sleep(STALL_TICK * 2).await;
        std::thread::sleep(STALL_NOTED * 10);
        tokio::time::sleep(STALL_TICK * 2).await;
        assert!(watch.longest() >= STALL_NOTED * 9, "{:?}", watch.longest());
        assert!(watch.lag.load(Ordering::Relaxed) > BUSY);
    }

    #[tokio::test]
    async fn a_case_begins_once_the_lag_is_small_enough() {
        let still = Instant::now();
        let watch = Watch::fixed(still, still);
        let begins = async || {
            tokio::time::timeout(STALL_TICK * 4, watch.room())
                .await
                .is_ok()
        };
        watch.lag.store(BUSY + 1, Ordering::Relaxed);
        assert!(!begins().await);
        watch.lag.store(BUSY, Ordering::Relaxed);
        assert!(begins().await);
    }
}
