//! Files that grow part by part.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, ErrorKind, Seek as _, SeekFrom, Write as _};
use std::iter;

use super::place::{Place, synced};

/// A file that grows by whole parts. If a write fails, the file ends with its last whole part, and the command
/// continues.
#[derive(Debug)]
pub(crate) struct Growing {
    name: String,
    file: File,
    /// Whether it can be cut to its last whole part: a file can, a device cannot.
    cuts: bool,
    /// The parts that are not written yet.
    buffer: Vec<u8>,
    /// The end of each part in the buffer.
    ends: Vec<usize>,
    /// How many bytes were written, of whole parts only.
    written: u64,
    /// The greatest length in bytes.
    limit: u64,
    parts: u64,
    /// The starts of the last written parts, which make room for the last line on a full disk.
    recent: VecDeque<u64>,
    stopped: Option<Stopped>,
}

/// Why a file does not grow any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stopped {
    /// Such as `No space left on device (os error 28)`.
    pub(crate) why: String,
    /// How many parts are missing.
    pub(crate) missing: u64,
    /// The file has reached its greatest length.
    pub(crate) full: bool,
}

impl Growing {
    /// Creates the file.
    ///
    /// # Errors
    /// When it cannot be created.
    pub(crate) fn begin(place: &Place, limit: u64) -> io::Result<Self> {
        Ok(Self {
            name: place.name(),
            file: place.begin()?,
            cuts: matches!(place, Place::File(..)),
            buffer: Vec::new(),
            ends: Vec::new(),
            written: 0,
            limit,
            parts: 0,
            recent: VecDeque::new(),
            stopped: None,
        })
    }

    /// The name in messages.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Adds a part, if the file still grows.
    pub(crate) fn add(&mut self, part: &[u8]) {
        if let Some(stopped) = &mut self.stopped {
            stopped.missing += 1;
            return;
        }
        let length = self.written + size(self.buffer.len()) + size(part.len());
        if length > self.limit {
            self.flush();
            let why = format!("it may not be longer than {} MiB", self.limit >> 20);
            self.stop(why, 1, true);
            return;
        }
        self.buffer.extend_from_slice(part);
        self.ends.push(self.buffer.len());
        if self.buffer.len() >= BUFFER {
            self.flush();
        }
    }

    /// Writes the buffer.
    pub(crate) fn flush(&mut self) {
        let mut done = 0;
        let failed = loop {
            let rest = self.buffer.get(done..).unwrap_or_default();
            if rest.is_empty() {
                break None;
            }
            match self.file.write(rest) {
                Ok(0) => break Some(io::Error::from(ErrorKind::WriteZero)),
                Ok(count) => done += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => break Some(error),
            }
        };
        let whole = self.ends.partition_point(|end| *end <= done);
        let missing = self.ends.len() - whole;
        let end = whole.checked_sub(1).and_then(|last| self.ends.get(last));
        let starts = iter::once(0).chain(self.ends.iter().copied());
        for start in starts.take(whole) {
            self.recent.push_back(self.written + size(start));
        }
        while self.recent.len() > RECENT {
            self.recent.pop_front();
        }
        self.written += size(end.copied().unwrap_or(0));
        self.parts += size(whole);
        self.buffer.clear();
        self.ends.clear();
        if let Some(error) = failed {
            if self.cuts {
                // If that fails too, a reader detects the cut end.
                let _ = self.file.set_len(self.written);
            }
            self.stop(error.to_string(), size(missing), false);
        }
    }

    /// Why the file does not grow any more; `None` if it does.
    pub(crate) fn stopped(&self) -> Option<&Stopped> {
        self.stopped.as_ref()
    }

    /// Ends the file with a last part, which gets the number of parts and the reason if some are missing. On a full
    /// disk, earlier parts are removed to make room for it.
    pub(crate) fn finish(&mut self, last: impl Fn(u64, Option<&Stopped>) -> String) {
        self.flush();
        while let Err(error) = self.end(&last(self.parts, self.stopped.as_ref())) {
            if self.cuts {
                // If that fails too, a reader detects the cut end.
                let _ = self.file.set_len(self.written);
            }
            self.stop(error.to_string(), 0, false);
            let Some(start) = self.recent.pop_back().filter(|_| self.cuts) else {
                return;
            };
            self.written = start;
            self.parts -= 1;
            if let Some(stopped) = &mut self.stopped {
                stopped.missing += 1;
            }
        }
    }

    fn end(&mut self, last: &str) -> io::Result<()> {
        if self.cuts {
            self.file.set_len(self.written)?;
            self.file.seek(SeekFrom::Start(self.written))?;
        }
        self.file.write_all(last.as_bytes())?;
        match self.cuts {
            true => synced(&self.file),
            false => Ok(()),
        }
    }

    fn stop(&mut self, why: String, missing: u64, full: bool) {
        self.stopped.get_or_insert(Stopped { why, missing, full });
    }
}

/// How many parts may be removed to make room for the last one.
const RECENT: usize = 64;

/// The size of the buffer, in bytes.
const BUFFER: usize = 64 << 10;

fn size(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::output::Readers;

    fn place(path: &Path) -> Place {
        Place::find(path, Readers::Owner).unwrap()
    }

    #[test]
    fn a_file_grows_by_whole_parts_up_to_its_limit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        let mut file = Growing::begin(&place(&path), 10).unwrap();
        file.add(b"four");
        file.flush();
        assert_eq!(std::fs::read(&path).unwrap(), b"four");
        for _ in 0..3 {
            file.add(b"five!");
        }
        let stopped = file.stopped().cloned().unwrap();
        assert_eq!((stopped.missing, file.parts), (2, 2));
        file.finish(|parts, stopped| {
            let missing = stopped.map_or(0, |stopped| stopped.missing);
            format!("{parts} of {}", parts + missing)
        });
        assert_eq!(std::fs::read(&path).unwrap(), b"fourfive!2 of 4");
    }

    #[test]
    fn a_full_disk_stops_the_file_and_counts_the_missing_parts() {
        let mut file = Growing::begin(&place(Path::new("/dev/full")), 1 << 20).unwrap();
        file.add(b"one");
        file.add(b"two");
        assert_eq!(file.stopped(), None);
        file.flush();
        file.add(b"three");
        let stopped = file.stopped().cloned().unwrap();
        assert_eq!((stopped.missing, file.parts), (3, 0));
        assert!(
            stopped.why.starts_with("No space left on device"),
            "{stopped:?}"
        );
    }
}
