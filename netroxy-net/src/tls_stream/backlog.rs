//! A queue of bytes.

/// Bytes in the order in which they were added. It holds no memory while it is empty.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    bytes: Vec<u8>,
    taken: usize,
}

impl Backlog {
    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The bytes that are not taken yet.
    pub(super) fn rest(&self) -> &[u8] {
        self.bytes.get(self.taken..).unwrap_or_default()
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Adds room for `length` bytes, which the caller fills.
    pub(super) fn grow(&mut self, length: usize) -> &mut [u8] {
        let end = self.bytes.len();
        self.bytes.resize(end + length, 0);
        self.bytes.get_mut(end..).unwrap_or_default()
    }

    /// Takes the first `count` bytes away.
    pub(super) fn take(&mut self, count: usize) {
        self.taken += count;
        if self.taken >= self.bytes.len() {
            *self = Self::default();
        }
    }

    /// The size of its memory in bytes.
    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.bytes.capacity()
    }
}
