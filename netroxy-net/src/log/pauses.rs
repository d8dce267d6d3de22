//! A writer that pauses after a batch of lines, so that a busy program does not wake its thread for each line.

use std::io::{self, Write};
use std::thread::sleep;
use std::time::Duration;

/// The length of a pause, and so the longest time that a line waits.
const PAUSE: Duration = Duration::from_millis(10);

/// Writes lines, and pauses when none is left. The first line after a quiet time is written at once. The next ones wait
/// in the queue until the pause is over, and the thread is not woken for them.
pub(super) struct Pauses<W> {
    writer: W,
    /// Whether lines were written since the last pause.
    busy: bool,
}

impl<W: Write> Pauses<W> {
    pub(super) fn new(writer: W) -> Self {
        Self {
            writer,
            busy: false,
        }
    }
}

impl<W: Write> Write for Pauses<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.busy = true;
        self.writer.write(bytes)
    }

    /// Writes a whole line.
    fn write_all(&mut self, line: &[u8]) -> io::Result<()> {
        self.busy = true;
        self.writer.write_all(line)
    }

    /// The queue calls it when no line waits any more.
    fn flush(&mut self) -> io::Result<()> {
        let flushed = self.writer.flush();
        if std::mem::take(&mut self.busy) {
            sleep(PAUSE);
        }
        flushed
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};
    use std::time::Instant;

    use tracing_appender::non_blocking::NonBlockingBuilder;

    use super::*;

    /// How often the queue was empty, and the lines.
    #[derive(Default)]
    struct Seen {
        flushes: usize,
        lines: Vec<u8>,
    }

    struct Notes(Arc<Mutex<Seen>>);

    impl Write for Notes {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let seen = self.0.lock();
            seen.map_err(|e| io::Error::other(e.to_string()))?
                .lines
                .write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            let seen = self.0.lock();
            seen.map_err(|e| io::Error::other(e.to_string()))?.flushes += 1;
            Ok(())
        }
    }

    #[test]
    fn many_lines_wake_the_writer_rarely_and_all_are_written() {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let (mut queue, guard) =
            NonBlockingBuilder::default().finish(Pauses::new(Notes(seen.clone())));
        let start = Instant::now();
        for _ in 0..1000 {
            queue.write_all(b"line\n").unwrap();
            // The queue is empty each time, unless the writer pauses.
            sleep(Duration::from_micros(50));
        }
        drop(guard);
        let pauses = start.elapsed().as_millis() / PAUSE.as_millis();
        let seen = seen.lock().unwrap();
        assert_eq!(seen.lines, b"line\n".repeat(1000));
        // One for the pause that had begun, and two at the end, without a pause.
        assert!(
            seen.flushes as u128 <= pauses + 3,
            "{} {pauses}",
            seen.flushes
        );
    }

    #[test]
    fn a_line_after_a_quiet_time_is_written_at_once() {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let mut writer = Pauses::new(Notes(seen.clone()));
        writer.write_all(b"line\n").unwrap();
        assert_eq!(seen.lock().unwrap().lines, b"line\n");
    }
}
