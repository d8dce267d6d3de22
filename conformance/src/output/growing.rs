//! Files that grow while something goes on.

use std::fs::File;
use std::io::{self, ErrorKind, Write as _};

use super::place::{Place, synced};

/// A file that grows by whole parts. When it cannot be written any more it ends with its last whole part, and whatever
/// it belongs to goes on.
#[derive(Debug)]
pub(crate) struct Growing {
    name: String,
    file: File,
    /// Only a file can be cut to its last whole part.
    cuts: bool,
    /// Parts that are not written.
    buffer: Vec<u8>,
    /// Where each of them ends.
    ends: Vec<usize>,
    /// How many bytes are written, all of whole parts.
    written: u64,
    /// How long it may become.
    limit: u64,
    parts: u64,
    stopped: Option<Stopped>,
}

/// A file that does not grow any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stopped {
    /// Such as `No space left on device (os error 28)`.
    pub(crate) why: String,
    /// How many parts are not in it.
    pub(crate) missing: u64,
    /// It is as long as it may become.
    pub(crate) full: bool,
}

impl Growing {
    /// Begins the file.
    ///
    /// # Errors
    /// When it cannot be made.
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
            stopped: None,
        })
    }

    /// As it is shown.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Adds a part, while there is room.
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

    /// Writes what is in the buffer.
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
        self.written += size(end.copied().unwrap_or(0));
        self.parts += size(whole);
        self.buffer.clear();
        self.ends.clear();
        if let Some(error) = failed {
            if self.cuts {
                // Where that fails too, a reader sees that its end is cut.
                let _ = self.file.set_len(self.written);
            }
            self.stop(error.to_string(), size(missing), false);
        }
    }

    /// Why it does not grow any more, if that is so.
    pub(crate) fn stopped(&self) -> Option<&Stopped> {
        self.stopped.as_ref()
    }

    /// How many whole parts it has.
    pub(crate) fn parts(&self) -> u64 {
        self.parts + size(self.ends.len())
    }

    /// Ends the file with a last part, which is written even when the rest was too much.
    pub(crate) fn finish(&mut self, last: &[u8]) {
        self.flush();
        let at_end = match self.cuts {
            true => io::Seek::seek(&mut self.file, io::SeekFrom::Start(self.written)).map(|_| ()),
            false => Ok(()),
        };
        let written = at_end.and_then(|()| self.file.write_all(last));
        let written = written.and_then(|()| match self.cuts {
            true => synced(&self.file),
            false => Ok(()),
        });
        if let Err(error) = written {
            if self.cuts {
                let _ = self.file.set_len(self.written);
            }
            self.stop(error.to_string(), 0, false);
        }
    }

    fn stop(&mut self, why: String, missing: u64, full: bool) {
        self.stopped.get_or_insert(Stopped { why, missing, full });
    }
}

/// So much is written at a time.
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
    fn it_grows_by_whole_parts_up_to_its_limit() {
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
        assert_eq!((stopped.missing, file.parts()), (2, 2));
        file.finish(b"end");
        assert_eq!(std::fs::read(&path).unwrap(), b"fourfive!end");
    }

    #[test]
    fn a_full_disk_is_told_and_counted() {
        let mut file = Growing::begin(&place(Path::new("/dev/full")), 1 << 20).unwrap();
        file.add(b"one");
        file.add(b"two");
        assert_eq!(file.stopped(), None);
        file.flush();
        file.add(b"three");
        let stopped = file.stopped().cloned().unwrap();
        assert_eq!((stopped.missing, file.parts()), (3, 0));
        assert!(
            stopped.why.starts_with("No space left on device"),
            "{stopped:?}"
        );
    }
}
