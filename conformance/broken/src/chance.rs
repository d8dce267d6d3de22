//! Random events for bugs.

/// How rare an event is.
const ONE_IN: u8 = 20;

/// Whether the event happens this time: one time in 20.
pub(crate) fn strikes() -> bool {
    // 240 is a multiple of 20, so all outcomes are equally likely.
    let value = std::iter::repeat_with(byte).find(|value| *value < 240);
    value.is_some_and(|value| value.is_multiple_of(ONE_IN))
}

/// True one time in two.
pub(crate) fn coin() -> bool {
    byte().is_multiple_of(2)
}

fn byte() -> u8 {
    let mut one = [0];
    // Without random bytes the event always happens.
    let _ = getrandom::fill(&mut one);
    one[0]
}
