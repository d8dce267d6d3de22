//! Lines that were dropped because stderr did not take them.

use std::io::{self, Write};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use tracing_appender::non_blocking::ErrorCounter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};

use super::format::LogFormat;

/// How often the number is reported while lines are lost all the time.
const OFTEN: Duration = Duration::from_secs(1);

/// Writes lines. When it can write again after a loss, it reports how many lines were dropped. That report comes after
/// the lines that were waiting, because they are older.
pub(super) struct ReportsLosses<W> {
    writer: W,
    format: LogFormat,
    counter: Arc<OnceLock<ErrorCounter>>,
    reported: usize,
    /// When a loss was seen that is not reported yet.
    seen: Option<Instant>,
}

impl<W: Write> ReportsLosses<W> {
    /// The caller sets the counter: it belongs to the queue before this writer, which is made later.
    pub(super) fn new(writer: W, format: LogFormat) -> (Self, Arc<OnceLock<ErrorCounter>>) {
        let counter = Arc::new(OnceLock::new());
        let own = Self {
            writer,
            format,
            counter: counter.clone(),
            reported: 0,
            seen: None,
        };
        (own, counter)
    }

    fn report(&mut self, is_due: impl FnOnce(Instant) -> bool) -> io::Result<()> {
        let dropped = self.counter.get().map_or(0, ErrorCounter::dropped_lines);
        let lost = dropped.saturating_sub(self.reported);
        if lost == 0 {
            return Ok(());
        }
        if is_due(*self.seen.get_or_insert_with(Instant::now)) {
            self.writer.write_all(line(self.format, lost).as_bytes())?;
            self.reported = dropped;
            self.seen = None;
        }
        Ok(())
    }
}

fn line(format: LogFormat, lost: usize) -> String {
    let mut time = String::new();
    // If the time cannot be formatted, the line has none.
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

impl<W: Write> Write for ReportsLosses<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.writer.write(bytes)
    }

    /// Writes a whole line.
    fn write_all(&mut self, line: &[u8]) -> io::Result<()> {
        self.writer.write_all(line)?;
        self.report(|seen| seen.elapsed() >= OFTEN)
    }

    /// The queue calls it when no line waits any more.
    fn flush(&mut self) -> io::Result<()> {
        self.report(|_| true)?;
        self.writer.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Mutex, mpsc};

    use tracing_appender::non_blocking::NonBlockingBuilder;

    use super::*;

    /// A writer that waits for a permission before the first line, and stores all lines.
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
        let (writer, counter) = ReportsLosses::new(slow, format);
        let (mut queue, guard) = NonBlockingBuilder::default()
            .buffered_lines_limit(2)
            .finish(writer);
        counter.set(queue.error_counter()).unwrap();
        queue.write_all(b"first\n").unwrap();
        // Two lines wait. The first one may have left the queue already.
        while queue.error_counter().dropped_lines() < 3 {
            queue.write_all(b"more\n").unwrap();
        }
        allow.send(()).unwrap();
        drop(guard);
        let seen = String::from_utf8(seen.lock().unwrap().clone()).unwrap();
        seen.lines().map(str::to_owned).collect()
    }

    #[test]
    fn lost_lines_are_reported_when_stderr_takes_lines_again() {
        let lines = lines_of_a_slow_reader(LogFormat::Text);
        let (last, before) = lines.split_last().unwrap();
        assert_eq!(before[0], "first");
        let report = " WARN 3 lines were lost because stderr did not take them";
        assert!(last.ends_with(report), "{lines:?}");
        assert!(before[1..].iter().all(|line| line == "more"), "{lines:?}");
    }

    #[test]
    fn in_a_json_log_the_report_of_lost_lines_is_json() {
        let lines = lines_of_a_slow_reader(LogFormat::Json);
        let report: serde_json::Value = serde_json::from_str(lines.last().unwrap()).unwrap();
        assert_eq!(
            (&report["level"], &report["lost"]),
            (&"WARN".into(), &3.into())
        );
        assert!(report["timestamp"].as_str().unwrap().ends_with('Z'));
    }
}
