//! Keeps every core busy.

use std::hint::black_box;
use std::io;
use std::num::NonZero;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

/// One computing thread for each core. Dropping it ends the threads.
#[derive(Debug, Default)]
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Load {
    /// Starts the threads.
    ///
    /// # Errors
    /// When the system does not give another thread.
    pub(crate) fn start() -> io::Result<Self> {
        let mut load = Self::default();
        for _ in 0..Self::cores() {
            let stop = Arc::clone(&load.stop);
            let body = move || {
                let mut sum = 0_u64;
                while !stop.load(Ordering::Relaxed) {
                    for step in 0..1_000_u64 {
                        sum = black_box(sum.wrapping_mul(31).wrapping_add(step));
                    }
                }
            };
            let builder = thread::Builder::new().name("load".to_owned());
            load.threads.push(builder.spawn(body)?);
        }
        Ok(load)
    }

    /// The number of cores that it keeps busy.
    pub(crate) fn cores() -> usize {
        thread::available_parallelism().map_or(1, NonZero::get)
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            // The thread cannot panic.
            let _ = thread.join();
        }
    }
}
