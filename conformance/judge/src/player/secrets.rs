//! Values that nobody ought to guess: what a look at some dozens of them shows.
//!
//! How they are made cannot be seen. That they are counted up, told by a clock, or differ in a few places alone can.

use std::collections::BTreeSet;

/// So many values are looked at together: the order of fewer may be chance.
pub(super) const ENOUGH: usize = 32;

/// 128 bits that are really random show no fewer: of 16 bytes, 32 values have nearly every byte.
const BITS: f64 = 100.0;

/// Why these values, in the order in which they came, can be guessed, as far as that can be seen.
pub(super) fn flaw(values: &[Vec<u8>]) -> Option<String> {
    let count = values.len();
    if count < ENOUGH {
        return None;
    }
    if values.iter().collect::<BTreeSet<_>>().len() < count {
        return Some(format!("one of {count} came twice"));
    }
    let (up, longer) = (
        values.is_sorted(),
        values.is_sorted_by_key(|value| (value.len(), value)),
    );
    if up || longer {
        return Some(format!("all {count} came in rising order"));
    }
    if values.iter().rev().is_sorted() {
        return Some(format!("all {count} came in falling order"));
    }
    let bits = bits(values);
    (bits < BITS).then(|| format!("no more than {bits:.0} bits differ between {count} of them"))
}

/// At most so many bits of these values can be random: the places that are not always the same, and the bytes that
/// occur there.
fn bits(values: &[Vec<u8>]) -> f64 {
    let longest = values.iter().map(Vec::len).max().unwrap_or(0);
    let (mut places, mut alphabet) = (0_u32, BTreeSet::new());
    for place in 0..longest {
        let here: BTreeSet<Option<u8>> = values
            .iter()
            .map(|value| value.get(place).copied())
            .collect();
        if here.len() > 1 {
            places += 1;
            alphabet.extend(here);
        }
    }
    let size = u32::try_from(alphabet.len().max(1)).unwrap_or(u32::MAX);
    f64::from(places) * f64::from(size).log2()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::noise::noise;

    fn of(make: impl Fn(u32) -> Vec<u8>) -> Option<String> {
        let values: Vec<Vec<u8>> = (0..32).map(make).collect();
        assert_eq!(flaw(&values[..31]), None, "too few to say anything");
        flaw(&values)
    }

    fn hex(bytes: u32, seed: u32) -> String {
        let bytes = noise(bytes, seed);
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn random_values_have_no_flaw_however_they_are_written() {
        for round in 0..200 {
            let seed = |n: u32| round * 1000 + n;
            assert_eq!(of(|n| noise(16, seed(n))), None, "{round}");
            assert_eq!(of(|n| hex(16, seed(n)).into_bytes()), None, "{round}");
            let named = |n| format!("token-{}-of-server", hex(16, seed(n))).into_bytes();
            assert_eq!(of(named), None, "{round}");
            let cut = |n| noise(22, seed(n)).iter().map(|b| b'0' + b % 64).collect();
            assert_eq!(of(cut), None, "{round}");
        }
    }

    #[test]
    fn what_can_be_guessed_is_told() {
        let told = |make: &dyn Fn(u32) -> Vec<u8>| of(make).unwrap();
        let counted = told(&|n| format!("{:032x}", 0xabcdef_u128 + u128::from(n)).into_bytes());
        assert_eq!(counted, "all 32 came in rising order");
        let short = told(&|n| format!("{}", n + 1).into_bytes());
        assert_eq!(short, "all 32 came in rising order");
        let down = told(&|n| format!("{:08}", 1000 - n).into_bytes());
        assert_eq!(down, "all 32 came in falling order");
        let same = told(&|_| b"token".to_vec());
        assert_eq!(same, "one of 32 came twice");
        let few = told(&|n| hex(4, n).into_bytes());
        assert_eq!(few, "no more than 32 bits differ between 32 of them");
        let prefix = told(&|n| format!("{}{}", "a".repeat(24), hex(4, n)).into_bytes());
        assert_eq!(prefix, "no more than 32 bits differ between 32 of them");
        let suffix = told(&|n| format!("{}{}", hex(4, n), "a".repeat(24)).into_bytes());
        assert_eq!(suffix, "no more than 32 bits differ between 32 of them");
    }
}
