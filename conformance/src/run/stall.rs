//! Notices when the machine stands still, so that nobody is blamed for it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// A thread that ought to wake every 5 ms. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct Watch {
    stalls: Arc<Mutex<Vec<Stall>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// A time in which the thread did not wake, although it ought to.
#[derive(Debug, Clone, Copy)]
struct Stall {
    from: Instant,
    until: Instant,
}

impl Watch {
    /// Starts to watch. Where there is no further thread to be had, no stall is ever seen.
    pub(crate) fn start() -> Self {
        let (stalls, stop) = (Arc::<Mutex<Vec<Stall>>>::default(), Arc::default());
        let (noted, ended) = (Arc::clone(&stalls), Arc::<AtomicBool>::clone(&stop));
        let work = move || {
            while !ended.load(Ordering::Relaxed) {
                let due = Instant::now() + TICK;
                std::thread::sleep(TICK);
                let woken = Instant::now();
                if woken.saturating_duration_since(due) > NOTICED {
                    let mut stalls = noted.lock().unwrap_or_else(PoisonError::into_inner);
                    stalls.push(Stall {
                        from: due,
                        until: woken,
                    });
                }
            }
        };
        let thread = std::thread::Builder::new().name("stall watch".into());
        Self {
            stalls,
            stop,
            thread: thread.spawn(work).ok(),
        }
    }

    /// How long the machine stood still at a stretch between two moments, at worst.
    pub(crate) fn between(&self, from: Instant, until: Instant) -> Duration {
        self.each(|stall| {
            let end = stall.until.min(until);
            end.saturating_duration_since(stall.from.max(from))
        })
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
        }
    }

    fn each(&self, length: impl Fn(&Stall) -> Duration) -> Duration {
        let stalls = self.stalls.lock().unwrap_or_else(PoisonError::into_inner);
        stalls.iter().map(length).max().unwrap_or_default()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // It cannot panic, and ends within a tick.
            let _ = thread.join();
        }
    }
}

const TICK: Duration = Duration::from_millis(5);

/// What is noted; whether it excuses anything is decided where it is asked for.
const NOTICED: Duration = Duration::from_millis(20);

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
}
