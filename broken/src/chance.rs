//! What happens now and then, and nobody can say when.

/// So often.
const ONE_IN: u8 = 20;

/// Whether it happens this time: one time in 20.
pub(crate) fn strikes() -> bool {
    loop {
        // Of 256 values, 240 are 12 times as many as there are outcomes.
        match below_256() {
            value if value < 240 => return value % ONE_IN == 0,
            _ => {}
        }
    }
}

/// Whether it is the one of two.
pub(crate) fn coin() -> bool {
    below_256() % 2 == 0
}

fn below_256() -> u8 {
    let mut byte = [0];
    // Without randomness it never happens, which the selftest tells.
    let _ = getrandom::fill(&mut byte);
    byte[0]
}
