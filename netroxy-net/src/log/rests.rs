//! A writer that rests, so that a busy program does not wake it for each line.

use std::{
    io::{self, Write},
    thread::sleep,
    time::Duration,
};

/// Lines wait so long at most.
const REST: Duration = Duration::from_millis(10);

/// Writes lines, and rests when none is left. The first line after a quiet time is written at once;
/// the next ones wait in the queue, and nobody has to be woken for them.
pub(super) struct Rests<W> {
    writer: W,
    /// Whether lines were written since the last rest.
    busy: bool,
}

impl<W: Write> Rests<W> {
    pub(super) fn new(writer: W) -> Self {
        Self {
            writer,
            busy: false,
        }
    }
}

impl<W: Write> Write for Rests<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.busy = true;
        self.writer.write(bytes)
    }

    /// A whole line.
    fn write_all(&mut self, line: &[u8]) -> io::Result<()> {
        self.busy = true;
        self.writer.write_all(line)
    }

    /// Nothing waits any more.
    fn flush(&mut self) -> io::Result<()> {
        let flushed = self.writer.flush();
        if std::mem::take(&mut self.busy) {
            sleep(REST);
        }
        flushed
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{Arc, Mutex},
        time::Instant,
    };

    use tracing_appender::non_blocking::NonBlockingBuilder;

    use super::*;

    /// Counts how often its queue was empty, and notes the lines.
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
    fn many_lines_wake_the_writer_seldom_and_all_are_written_at_the_end() {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let (mut queue, guard) =
            NonBlockingBuilder::default().finish(Rests::new(Notes(seen.clone())));
        let start = Instant::now();
        for _ in 0..1000 {
            queue.write_all(b"line\n").unwrap();
            // Each finds an empty queue, unless the writer rests.
            sleep(Duration::from_micros(50));
        }
        drop(guard);
        let rests = start.elapsed().as_millis() / REST.as_millis();
        let seen = seen.lock().unwrap();
        assert_eq!(seen.lines, b"line\n".repeat(1000));
        // One for the rest that had begun, and two at the end, without a rest.
        assert!(
            seen.flushes as u128 <= rests + 3,
            "{} {rests}",
            seen.flushes
        );
    }

    #[test]
    fn a_line_after_a_quiet_time_is_written_at_once() {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let mut writer = Rests::new(Notes(seen.clone()));
        writer.write_all(b"line\n").unwrap();
        assert_eq!(seen.lock().unwrap().lines, b"line\n");
    }
}
