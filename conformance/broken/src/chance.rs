//! What happens now and then, and nobody can say when.

/// So often.
const ONE_IN: u8 = 20;

/// Whether it happens this time: one time in 20.
pub(crate) fn strikes() -> bool {
    // Of 256 values, the first 240 are 12 times as many as there are outcomes.
    let value = std::iter::repeat_with(byte).find(|value| *value < 240);
    value.is_some_and(|value| value.is_multiple_of(ONE_IN))
}

/// Whether it is the one of two.
pub(crate) fn coin() -> bool {
    byte().is_multiple_of(2)
}

fn byte() -> u8 {
    let mut one = [0];
    // Without randomness it always happens, which a bug may.
    let _ = getrandom::fill(&mut one);
    one[0]
}
