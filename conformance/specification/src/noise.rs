//! Reproducible noise for large transfers.

/// Returns the bytes of `random SIZE SEED`. They are the same on every machine.
///
/// The state starts at `seed + 1`; each step is xorshift64* and gives eight bytes, lowest first.
pub fn noise(bytes: u32, seed: u32) -> Vec<u8> {
    let mut out = vec![0; usize::try_from(bytes).unwrap_or(usize::MAX)];
    let mut pieces = Noise::new(bytes, seed);
    let mut rest = out.as_mut_slice();
    while let Some(piece) = pieces.next_piece()
        && let Some((here, more)) = rest.split_at_mut_checked(piece.len())
    {
        here.copy_from_slice(piece);
        rest = more;
    }
    out
}

/// Noise in pieces of at most 32 KiB, so that a large transfer uses little memory.
#[derive(Debug)]
pub struct Noise {
    state: u64,
    left: usize,
    piece: Vec<u8>,
}

impl Noise {
    /// Noise of `bytes` bytes with this seed.
    pub fn new(bytes: u32, seed: u32) -> Self {
        Self {
            state: u64::from(seed) + 1,
            left: usize::try_from(bytes).unwrap_or(usize::MAX),
            piece: vec![0; PIECE],
        }
    }

    /// The next piece; `None` after the last.
    pub fn next_piece(&mut self) -> Option<&[u8]> {
        let count = self.left.min(PIECE);
        self.left -= count;
        let mut state = self.state;
        let (chunks, _) = self.piece.as_chunks_mut::<8>();
        for chunk in chunks.iter_mut().take(count.div_ceil(8)) {
            state ^= state >> 12;
            state ^= state << 25;
            state ^= state >> 27;
            *chunk = state.wrapping_mul(0x2545_f491_4f6c_dd1d).to_le_bytes();
        }
        self.state = state;
        self.piece.get(..count).filter(|piece| !piece.is_empty())
    }
}

/// The size of a piece in bytes: a multiple of 8, because each step gives 8 bytes.
const PIECE: usize = 32 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_depends_on_its_seed_and_not_on_its_size() {
        assert_eq!(noise(13, 1).len(), 13);
        assert_eq!(noise(13, 1), noise(64, 1)[..13]);
        assert_ne!(noise(64, 1), noise(64, 2));
        assert_eq!(noise(0, 1), b"");
        // This is longer than two pieces.
        let long = noise(100_000, 3);
        assert_eq!(long[..40_000], noise(40_000, 3));
        assert_eq!(long.len(), 100_000);
        assert_ne!(long[..32_768], long[32_768..65_536]);
    }
}
