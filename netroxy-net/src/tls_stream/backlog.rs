//! Bytes that wait to be taken.

/// Bytes in the order they came. Holds no memory when it is empty.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    bytes: Vec<u8>,
    taken: usize,
}

impl Backlog {
    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// What has not been taken yet.
    pub(super) fn rest(&self) -> &[u8] {
        self.bytes.get(self.taken..).unwrap_or_default()
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Room for so many bytes more, all of which the caller fills.
    pub(super) fn grow(&mut self, length: usize) -> &mut [u8] {
        let end = self.bytes.len();
        self.bytes.resize(end + length, 0);
        self.bytes.get_mut(end..).unwrap_or_default()
    }

    /// So many more bytes are taken.
    pub(super) fn take(&mut self, count: usize) {
        self.taken += count;
        if self.taken >= self.bytes.len() {
            *self = Self::default();
        }
    }

    /// Bytes of memory that it holds.
    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.bytes.capacity()
    }
}
