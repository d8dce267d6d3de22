//! Measures when the machine or this program stands still, so that no program fails because of it.
//!
//! A thread and a task sleep [`STALL_TICK`] again and again, and note each time how late they wake. The thread wakes
//! late if the system gives this process no processor; the task wakes late if the runtime of the suite is overloaded. A
//! delay above [`STALL_NOTED`] is a stall. The delay of the task is also the lag: while it is above [`BUSY`], no case
//! starts. On Linux the thread also reads the pressure on the processors, which shows many short waits that are no
//! stalls. A late step is excused by a stall or by pressure within its time, see `excuse`.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::times::{STALL_NOTED, STALL_TICK};

/// A thread and a task that should wake every 5 ms. Dropping it ends them.
#[derive(Debug)]
pub(crate) struct Watch {
    stalls: Arc<Mutex<Vec<Stall>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    task: Option<tokio::task::JoinHandle<()>>,
    /// The lag: how late the task was recently, in milliseconds.
    lag: Arc<AtomicU64>,
    /// Moments, and for how long in all a task of this machine had waited for a processor until then.
    pressure: Arc<Mutex<Vec<(Instant, Duration)>>>,
}

/// A time in which the thread or the task should have woken and did not.
#[derive(Debug, Clone, Copy)]
struct Stall {
    from: Instant,
    until: Instant,
}

impl Watch {
    /// Starts the thread and the task; needs a runtime. If the system refuses the thread, only the task measures.
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
                // The lag rises at once and falls by an eighth a tick.
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

    /// Waits until the lag is small enough to start another case.
    pub(crate) async fn room(&self) {
        while self.lag.load(Ordering::Relaxed) > BUSY {
            tokio::time::sleep(STALL_TICK).await;
        }
    }

    /// The longest stall between two moments; of a stall that overlaps them, only the part between them counts.
    pub(crate) fn between(&self, from: Instant, until: Instant) -> Duration {
        self.each(|stall| {
            let end = stall.until.min(until);
            end.saturating_duration_since(stall.from.max(from))
        })
    }

    /// For how long a task of this machine waited for a processor between two moments; zero if the system does not say.
    pub(crate) fn pressure(&self, from: Instant, until: Instant) -> Duration {
        let told = self.pressure.lock().unwrap_or_else(PoisonError::into_inner);
        let at = |moment| {
            let before = told.partition_point(|(when, _)| *when <= moment);
            told.get(before.saturating_sub(1))
                .map_or(Duration::ZERO, |(_, total)| *total)
        };
        at(until).saturating_sub(at(from))
    }

    /// The longest stall so far.
    pub(crate) fn longest(&self) -> Duration {
        self.each(|stall| stall.until.saturating_duration_since(stall.from))
    }

    /// A watch with one stall that measures nothing.
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

    /// Sets the pressure: it increases by `waited` at one moment.
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
            // The thread cannot panic, and ends within a tick.
            let _ = thread.join();
        }
    }
}

/// Returns how late a wake-up that was due at `due` comes now, and adds it to the stalls if it is late enough.
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

/// For how long in all at least one task has waited for a processor: `some` in `/proc/pressure/cpu` of Linux.
fn waited_for_processor() -> Option<Duration> {
    let text = std::fs::read_to_string("/proc/pressure/cpu").ok()?;
    let total = text.lines().next()?.rsplit_once("total=")?.1;
    Some(Duration::from_micros(total.parse().ok()?))
}

/// Ticks between two readings of the pressure.
const PRESSURE_TICKS: u32 = 5;

/// The lag above which no case starts, in milliseconds.
const BUSY: u64 = 50;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_part_of_a_stall_within_the_given_time_counts() {
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
    fn pressure_is_the_increase_between_two_moments() {
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
    fn a_late_wake_up_is_a_stall_and_one_in_time_is_not() {
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
    async fn a_blocked_runtime_is_a_stall_and_no_case_starts() {
        let watch = Watch::start();
        tokio::time::sleep(STALL_TICK * 2).await;
        std::thread::sleep(STALL_NOTED * 10);
        tokio::time::sleep(STALL_TICK * 2).await;
        assert!(watch.longest() >= STALL_NOTED * 9, "{:?}", watch.longest());
        assert!(watch.lag.load(Ordering::Relaxed) > BUSY);
    }

    #[tokio::test]
    async fn a_case_starts_when_the_lag_is_small_enough() {
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
