//! The end of a program's output, and the number of bytes that it has written.

use std::collections::VecDeque;

/// Standard output and standard error together. Only the end is kept.
#[derive(Debug, Default)]
pub(super) struct Log {
    end: VecDeque<u8>,
    written: u64,
}

impl Log {
    /// Adds output. Returns whether the program has written more than `MUCH` bytes in total.
    pub(super) fn add(&mut self, bytes: &[u8]) -> bool {
        self.written += u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        self.end.extend(bytes);
        let excess = self.end.len().saturating_sub(KEPT);
        self.end.drain(..excess);
        self.written > MUCH
    }

    /// The last lines, and the size of the output if it is more than `MUCH` bytes.
    pub(super) fn tail(&self) -> String {
        let bytes: Vec<u8> = self.end.iter().copied().collect();
        let text = String::from_utf8_lossy(&bytes);
        let lines: Vec<&str> = text.lines().collect();
        let last = &lines[lines.len().saturating_sub(LINES)..];
        let mut shown: Vec<String> = last.iter().map(|line| cut(line)).collect();
        if self.written > MUCH {
            let mib = self.written >> 20;
            shown.push(format!(
                "({mib} MiB of output so far; a program that writes so much may have no time for anything else)"
            ));
        }
        shown.join("\n")
    }
}

/// The first `LONGEST` characters of a line.
fn cut(line: &str) -> String {
    match line.char_indices().nth(LONGEST) {
        Some((at, _)) => format!("{}...", &line[..at]),
        None => line.to_owned(),
    }
}

/// How many lines are shown.
const LINES: usize = 20;

/// How many characters of a line are shown.
const LONGEST: usize = 300;

/// How many bytes of the end are kept.
const KEPT: usize = 32 << 10;

/// The most bytes of output that count as usual logging.
const MUCH: u64 = 4 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_shown_and_long_ones_are_cut() {
        let mut log = Log::default();
        for number in 0..30 {
            assert!(!log.add(format!("line {number}\n").as_bytes()));
        }
        assert_eq!(log.tail().lines().next(), Some("line 10"));
        assert_eq!(log.tail().lines().last(), Some("line 29"));
        log.add("\u{e9}".repeat(LONGEST + 1).as_bytes());
        let tail = log.tail();
        let last = tail.lines().last().unwrap();
        assert_eq!(last, format!("{}...", "\u{e9}".repeat(LONGEST)));
    }

    #[test]
    fn long_output_is_counted_and_only_its_end_is_kept() {
        let mut log = Log::default();
        let chunk = vec![b'x'; 1 << 20];
        let much: Vec<bool> = (0..6).map(|_| log.add(&chunk)).collect();
        assert_eq!(much, [false, false, false, false, true, true]);
        assert!(log.end.len() <= KEPT && log.end.capacity() <= 4 << 20);
        let tail = log.tail();
        assert!(
            tail.len() < 1000 && tail.contains("6 MiB of output"),
            "{tail}"
        );
    }
}
