//! Reproducible noise for bulk transfers.

/// The bytes of `random SIZE SEED`: the same on every machine.
///
/// The state starts at `seed + 1`; each step is xorshift64* and gives eight bytes, lowest first.
pub(crate) fn noise(bytes: u32, seed: u32) -> Vec<u8> {
    let wanted = usize::try_from(bytes).unwrap_or(usize::MAX);
    let mut state = u64::from(seed) + 1;
    let mut out = vec![0; wanted.next_multiple_of(8)];
    // Megabytes of it are made in builds that are not optimised: a plain loop is the fastest there.
    for chunk in out.as_chunks_mut::<8>().0 {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        *chunk = state.wrapping_mul(0x2545_f491_4f6c_dd1d).to_le_bytes();
    }
    out.truncate(wanted);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_differ_and_sizes_agree() {
        assert_eq!(noise(13, 1).len(), 13);
        assert_eq!(noise(13, 1), noise(64, 1)[..13]);
        assert_ne!(noise(64, 1), noise(64, 2));
    }
}
