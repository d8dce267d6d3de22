//! Lines that were dropped because nobody took them.

use std::{
    io::{self, Write},
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use tracing_appender::non_blocking::ErrorCounter;
use tracing_subscriber::fmt::{
    format::Writer,
    time::{FormatTime, SystemTime},
};

use super::LogFormat;

/// While lines are lost all the time, their number is told so often.
const OFTEN: Duration = Duration::from_secs(1);

/// Writes lines, and tells how many were dropped when it can write again: after the lines that had
/// waited, which are older.
pub(super) struct TellsLosses<W> {
    writer: W,
    format: LogFormat,
    counter: Arc<OnceLock<ErrorCounter>>,
    told: usize,
    /// When losses were seen that are not told yet.
    seen: Option<Instant>,
}

impl<W: Write> TellsLosses<W> {
    /// The counter comes from the queue before this writer, which is made later.
    pub(super) fn new(writer: W, format: LogFormat) -> (Self, Arc<OnceLock<ErrorCounter>>) {
        let counter = Arc::new(OnceLock::new());
        let own = Self {
            writer,
            format,
            counter: counter.clone(),
            told: 0,
            seen: None,
        };
        (own, counter)
    }

    fn tell(&mut self, is_due: impl FnOnce(Instant) -> bool) -> io::Result<()> {
        let dropped = self.counter.get().map_or(0, ErrorCounter::dropped_lines);
        let lost = dropped.saturating_sub(self.told);
        if lost == 0 {
            return Ok(());
        }
        if is_due(*self.seen.get_or_insert_with(Instant::now)) {
            self.writer.write_all(line(self.format, lost).as_bytes())?;
            self.told = dropped;
            self.seen = None;
        }
        Ok(())
    }
}

fn line(format: LogFormat, lost: usize) -> String {
    let mut time = String::new();
    // A clock that cannot be written is left out.
    let _ = SystemTime.format_time(&mut Writer::new(&mut time));
    let message = format!("{lost} lines were lost because stderr did not take them");
    match format {
        LogFormat::Text => format!("{time}  WARN {message}\n"),
        LogFormat::Json => {
            let object = serde_json::json!({
                "timestamp": time, "level": "WARN", "message": message, "lost": lost,
            });
            format!("{object}\n")
        }
    }
}

impl<W: Write> Write for TellsLosses<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.writer.write(bytes)
    }

    /// A whole line.
    fn write_all(&mut self, line: &[u8]) -> io::Result<()> {
        self.writer.write_all(line)?;
        self.tell(|seen| seen.elapsed() >= OFTEN)
    }

    /// Nothing waits any more.
    fn flush(&mut self) -> io::Result<()> {
        self.tell(|_| true)?;
        self.writer.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Mutex, mpsc};

    use tracing_appender::non_blocking::NonBlockingBuilder;

    use super::*;

    /// Takes the first line when it is allowed to, and notes all.
    struct Slow {
        allowed: Option<mpsc::Receiver<()>>,
        seen: Arc<Mutex<Vec<u8>>>,
    }

    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if let Some(allowed) = self.allowed.take() {
                allowed.recv().map_err(io::Error::other)?;
            }
            let mut seen = self
                .seen
                .lock()
                .map_err(|e| io::Error::other(e.to_string()))?;
            seen.write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn lines_of_a_slow_reader(format: LogFormat) -> Vec<String> {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (allow, allowed) = mpsc::channel();
        let slow = Slow {
            allowed: Some(allowed),
            seen: seen.clone(),
        };
        let (writer, counter) = TellsLosses::new(slow, format);
        let (mut queue, guard) = NonBlockingBuilder::default()
            .buffered_lines_limit(2)
            .finish(writer);
        counter.set(queue.error_counter()).unwrap();
        queue.write_all(b"first\n").unwrap();
        // Two wait, and the first one may or may not have left the queue.
        while queue.error_counter().dropped_lines() < 3 {
            queue.write_all(b"more\n").unwrap();
        }
        allow.send(()).unwrap();
        drop(guard);
        let seen = String::from_utf8(seen.lock().unwrap().clone()).unwrap();
        seen.lines().map(str::to_owned).collect()
    }

    #[test]
    fn lost_lines_are_counted_when_the_reader_is_back() {
        let lines = lines_of_a_slow_reader(LogFormat::Text);
        let (last, before) = lines.split_last().unwrap();
        assert_eq!(before[0], "first");
        let told = " WARN 3 lines were lost because stderr did not take them";
        assert!(last.ends_with(told), "{lines:?}");
        assert!(before[1..].iter().all(|line| line == "more"), "{lines:?}");
    }

    #[test]
    fn in_a_log_of_json_the_count_is_json_too() {
        let lines = lines_of_a_slow_reader(LogFormat::Json);
        let told: serde_json::Value = serde_json::from_str(lines.last().unwrap()).unwrap();
        assert_eq!((&told["level"], &told["lost"]), (&"WARN".into(), &3.into()));
        assert!(told["timestamp"].as_str().unwrap().ends_with('Z'));
    }
}
