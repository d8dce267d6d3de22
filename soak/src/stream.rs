//! A stream of bytes that follows from a seed, and the check of what arrived of it.
//!
//! The last 16 bytes are a trailer: the length, and a sum of seed and length. Who has read the trailer and then the end
//! knows that the stream is whole; who reads the end earlier has been given a part as if it were the whole.

use std::fmt;

/// Bytes of the trailer.
const TRAILER: u64 = 16;

/// A stream: its bytes follow from the seed and the place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stream {
    /// What the bytes follow from.
    pub(crate) seed: u64,
    /// Bytes before the trailer.
    pub(crate) body: u64,
}

impl Stream {
    /// Bytes in all, the trailer included.
    pub(crate) fn total(self) -> u64 {
        self.body.saturating_add(TRAILER)
    }

    /// Writes the bytes from `offset` on into `buffer`; returns how many there were.
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
            // Most bytes go here: whole words of the body.
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

    /// The word of 8 bytes, or fewer at the end of the body, of which the byte at `at` is one, and its place in it.
    fn word(self, at: u64) -> (Word, usize) {
        let place = |at: u64| usize::try_from(at % 8).unwrap_or(0);
        match at.checked_sub(self.body) {
            None => {
                let left = usize::try_from(self.body - at / 8 * 8).unwrap_or(8).min(8);
                (Word(self.random(at).to_le_bytes(), left), place(at))
            }
            Some(behind) if behind < 8 => (Word(self.body.to_le_bytes(), 8), place(behind)),
            Some(behind) => {
                let sum = mix(self.seed.rotate_left(17) ^ self.body);
                (Word(sum.to_le_bytes(), 8), place(behind))
            }
        }
    }

    /// The word of the body at `at`.
    fn random(self, at: u64) -> u64 {
        mix(self.seed ^ (at / 8).wrapping_mul(0x9E37_79B9_7F4A_7C15))
    }
}

/// Some of 8 bytes.
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

/// What is wrong with what arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wrong {
    /// Another byte than the one that was sent.
    Byte {
        /// Its place in the stream.
        at: u64,
        /// The byte.
        got: u8,
        /// What was sent.
        want: u8,
    },
    /// More bytes than were sent.
    Extra {
        /// How many the stream has.
        total: u64,
    },
    /// The end came before the trailer was whole, without an error.
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
    /// Nothing has arrived yet.
    pub(crate) fn new(stream: Stream) -> Self {
        Self { stream, offset: 0 }
    }

    /// How many right bytes have arrived.
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    /// Compares the bytes that arrived next.
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

    /// The stream has ended in order.
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
    fn a_stream_is_the_same_no_matter_how_it_is_cut() {
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
    fn a_wrong_byte_is_found_wherever_it_is() {
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
    fn each_missing_end_is_found() {
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
    fn a_byte_too_many_is_found() {
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
    fn streams_of_other_seeds_differ() {
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
