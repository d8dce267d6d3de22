//! Writes the addresses at which users connect to stdout, for people and scripts.

use std::io::{self, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;

use tracing::warn;

/// How many lines wait while stdout is not read; more are dropped. There is one for each port.
const MOST_WAITING: usize = 65_536;

/// Writes lines, and never waits for their reader.
#[derive(Debug)]
pub(crate) struct PublicAddresses {
    lines: mpsc::Sender<String>,
    waiting: Arc<AtomicUsize>,
}

impl PublicAddresses {
    /// Writes to stdout on a thread of its own. If stdout is closed, the lines are dropped.
    pub(crate) fn on_stdout() -> Self {
        Self::on(io::stdout())
    }

    fn on(mut out: impl Write + Send + 'static) -> Self {
        let (lines, waiting_lines) = mpsc::channel::<String>();
        let waiting = Arc::new(AtomicUsize::new(0));
        let count = waiting.clone();
        let writing = move || {
            while let Ok(line) = waiting_lines.recv() {
                count.fetch_sub(1, Ordering::Relaxed);
                // If stdout is closed, the log has the same lines.
                let _ = writeln!(out, "{line}").and_then(|()| out.flush());
            }
        };
        let named = thread::Builder::new().name("stdout".to_owned());
        if let Err(error) = named.spawn(writing) {
            warn!(%error, "no thread for stdout: public addresses are only in the log");
        }
        Self { lines, waiting }
    }

    /// Writes a line, unless [`MOST_WAITING`] lines wait.
    pub(crate) fn show(&self, line: String) {
        if self.waiting.fetch_add(1, Ordering::Relaxed) >= MOST_WAITING
            || self.lines.send(line).is_err()
        {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};

    use super::*;

    #[test]
    fn lines_are_written_in_order_and_dropped_after_the_reader_has_closed() {
        let (read, write) = io::pipe().unwrap();
        let addresses = PublicAddresses::on(write);
        addresses.show("one".to_owned());
        addresses.show("two".to_owned());
        let mut lines = BufReader::new(read).lines();
        assert_eq!(lines.next().unwrap().unwrap(), "one");
        assert_eq!(lines.next().unwrap().unwrap(), "two");
        drop(lines);
        addresses.show("three".to_owned());
        addresses.show("four".to_owned());
        while addresses.waiting.load(Ordering::Relaxed) > 0 {
            thread::yield_now();
        }
    }

    #[test]
    fn a_reader_that_does_not_read_does_not_block_the_writer() {
        let (read, write) = io::pipe().unwrap();
        let addresses = PublicAddresses::on(write);
        for number in 0..MOST_WAITING + 10_000 {
            addresses.show(format!("line {number}"));
        }
        let waiting = addresses.waiting.load(Ordering::Relaxed);
        assert!(0 < waiting && waiting <= MOST_WAITING, "{waiting}");
        drop(read);
    }
}
