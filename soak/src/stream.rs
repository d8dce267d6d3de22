//! A stream of bytes that is computed from a seed, and the check of what arrived.
//!
//! The last 16 bytes are a trailer: the length, and a sum of seed and length. If a reader gets the trailer and then the
//! end, the stream is complete. If it gets the end before the trailer, it was given a part that looks like the whole.

use std::fmt;

/// The length of the trailer in bytes.
const TRAILER: u64 = 16;

/// A stream. Each byte is computed from the seed and its offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stream {
    /// The seed.
    pub(crate) seed: u64,
    /// Bytes before the trailer.
    pub(crate) body: u64,
}

impl Stream {
    /// Bytes in all, the trailer included.
    pub(crate) fn total(self) -> u64 {
        self.body.saturating_add(TRAILER)
    }

    /// Writes the bytes from `offset` on into `buffer`. The result is how many bytes there were.
    pub(crate) fn fill(self, offset: u64, buffer: &mut [u8]) -> usize {
        let left = usize::try_from(self.total().saturating_sub(offset)).unwrap_or(usize::MAX);
        let count = left.min(buffer.len());
        let (mut at, mut rest) = (offset, &mut buffer[..count]);
        while !rest.is_empty() {
            let (word, from) = self.word(at);
            let part = word.len().saturating_sub(from).min(rest.len());
            let (now, later) = rest.split_at_mut(part);
            now.copy_from_slice(&word[from..from + part]);
            (at, rest) = (at + part as u64, later);
            if at > self.body || rest.len() < 8 || at % 8 != 0 {
                continue;
            }
            // The fast way for most bytes: whole words of the body.
            let whole = usize::try_from((self.body - at) / 8).unwrap_or(usize::MAX);
            let bytes = whole.min(rest.len() / 8) * 8;
            let (now, later) = rest.split_at_mut(bytes);
            for word in now.chunks_exact_mut(8) {
                word.copy_from_slice(&self.random(at).to_le_bytes());
                at += 8;
            }
            rest = later;
        }
        count
    }

    /// The word that contains the byte at `at`, and the index of this byte in it. A word has 8 bytes, or fewer at the
    /// end of the body.
    fn word(self, at: u64) -> (Word, usize) {
        let place = |at: u64| usize::try_from(at % 8).unwrap_or(0);
        match at.checked_sub(self.body) {
            None => {
                let left = usize::try_from(self.body - at / 8 * 8).unwrap_or(8).min(8);
                (Word(self.random(at).to_le_bytes(), left), place(at))
            }
            Some(after) if after < 8 => (Word(self.body.to_le_bytes(), 8), place(after)),
            Some(after) => {
                let sum = mix(self.seed.rotate_left(17) ^ self.body);
                (Word(sum.to_le_bytes(), 8), place(after))
            }
        }
    }

    /// The word of the body at `at`.
    fn random(self, at: u64) -> u64 {
        mix(self.seed ^ (at / 8).wrapping_mul(0x9E37_79B9_7F4A_7C15))
    }
}

/// The first bytes of 8, as many as the second field says.
struct Word([u8; 8], usize);

impl std::ops::Deref for Word {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0[..self.1]
    }
}

/// Scrambles a number (the last step of SplitMix64).
pub(crate) fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// How received bytes differ from the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wrong {
    /// A byte has another value than the one that was sent.
    Byte {
        /// Its offset in the stream.
        at: u64,
        /// The received value.
        got: u8,
        /// The value that was sent.
        want: u8,
    },
    /// More bytes than were sent.
    Extra {
        /// How many the stream has.
        total: u64,
    },
    /// The end came before the whole trailer, without an error.
    Missing {
        /// How many bytes came.
        got: u64,
        /// How many the stream has.
        total: u64,
    },
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Byte { at, got, want } => {
                write!(f, "byte {at} is {got:#04x}, but {want:#04x} was sent")
            }
            Self::Extra { total } => write!(f, "bytes came after all {total} bytes of the stream"),
            Self::Missing { got, total } => write!(
                f,
                "the stream ended in order after {got} of {total} bytes: a part that looks like the whole"
            ),
        }
    }
}

/// Compares what arrives with a stream.
#[derive(Debug)]
pub(crate) struct Checker {
    stream: Stream,
    offset: u64,
}

impl Checker {
    /// A checker before the first byte.
    pub(crate) fn new(stream: Stream) -> Self {
        Self { stream, offset: 0 }
    }

    /// How many bytes have arrived, all of them right.
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    /// Compares the next bytes that arrived.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> Result<(), Wrong> {
        let mut expected = [0; 4096];
        for part in bytes.chunks(expected.len()) {
            let count = self.stream.fill(self.offset, &mut expected[..part.len()]);
            let wrong = part
                .iter()
                .zip(&expected[..count])
                .position(|(a, b)| a != b);
            if let Some(i) = wrong {
                return Err(Wrong::Byte {
                    at: self.offset + i as u64,
                    got: part[i],
                    want: expected[i],
                });
            }
            self.offset += count as u64;
            if count < part.len() {
                return Err(Wrong::Extra {
                    total: self.stream.total(),
                });
            }
        }
        Ok(())
    }

    /// Checks the end: all bytes must have arrived.
    pub(crate) fn end(&self) -> Result<(), Wrong> {
        let (got, total) = (self.offset, self.stream.total());
        if got < total {
            return Err(Wrong::Missing { got, total });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(stream: Stream) -> Vec<u8> {
        let mut bytes = vec![0; usize::try_from(stream.total()).unwrap()];
        assert_eq!(stream.fill(0, &mut bytes), bytes.len());
        bytes
    }

    #[test]
    fn a_stream_is_the_same_in_pieces_of_any_size() {
        for body in [0, 1, 7, 8, 9, 61] {
            let stream = Stream { seed: 5, body };
            let bytes = whole(stream);
            assert_eq!(
                bytes[usize::try_from(body).unwrap()..][..8],
                body.to_le_bytes()
            );
            for start in 0..bytes.len() {
                for size in 1..20 {
                    let mut part = vec![0; size];
                    let count = stream.fill(start as u64, &mut part);
                    assert_eq!(part[..count], bytes[start..(start + size).min(bytes.len())]);
                }
            }
        }
    }

    #[test]
    fn a_wrong_byte_is_detected_at_any_offset() {
        let stream = Stream {
            seed: 9,
            body: 5000,
        };
        for at in [0, 4095, 4096, 4999, 5000, 5015] {
            let mut bytes = whole(stream);
            bytes[at] ^= 1;
            let wrong = Checker::new(stream).take(&bytes).unwrap_err();
            assert!(
                matches!(wrong, Wrong::Byte { at: found, .. } if found == at as u64),
                "{wrong}"
            );
        }
    }

    #[test]
    fn an_early_end_is_detected_at_any_offset() {
        let stream = Stream { seed: 1, body: 20 };
        let bytes = whole(stream);
        for got in 0..bytes.len() {
            let mut checker = Checker::new(stream);
            checker.take(&bytes[..got]).unwrap();
            assert_eq!(
                checker.end(),
                Err(Wrong::Missing {
                    got: got as u64,
                    total: 36
                })
            );
        }
        let mut checker = Checker::new(stream);
        checker.take(&bytes).unwrap();
        assert_eq!(checker.end(), Ok(()));
    }

    #[test]
    fn an_extra_byte_is_detected() {
        let stream = Stream { seed: 1, body: 3 };
        let mut bytes = whole(stream);
        bytes.push(0);
        let mut checker = Checker::new(stream);
        assert_eq!(checker.take(&bytes), Err(Wrong::Extra { total: 19 }));
        let mut checker = Checker::new(stream);
        checker.take(&bytes[..19]).unwrap();
        assert_eq!(checker.take(&[7]), Err(Wrong::Extra { total: 19 }));
    }

    #[test]
    fn streams_of_different_seeds_differ() {
        let one = whole(Stream { seed: 1, body: 64 });
        let two = whole(Stream { seed: 2, body: 64 });
        let equal = one
            .iter()
            .zip(&two)
            .take(64)
            .filter(|(a, b)| a == b)
            .count();
        assert!(equal < 8, "{equal} of 64 bytes are equal");
    }
}
