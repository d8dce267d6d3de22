//! Values that must not be guessable, judged by some dozens of them.
//!
//! How a program makes them cannot be seen. It can be seen that they repeat, rise, fall, or differ in few places.

use std::collections::BTreeSet;

/// How many values are needed for a verdict: the order of fewer may be chance.
pub(super) const ENOUGH: usize = 32;

/// The fewest bits that are not a flaw. 32 random values of 128 bits show more, because nearly every byte occurs in
/// them.
const BITS: f64 = 100.0;

/// Why these values can be guessed, if that can be seen. They are in the order in which they came.
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

/// An upper bound for the random bits of a value: the number of places that are not always the same, times the bits of
/// the alphabet that occurs there.
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
    use netroxy_specification::noise::noise;

    use super::*;

    fn of(make: impl Fn(u32) -> Vec<u8>) -> Option<String> {
        let values: Vec<Vec<u8>> = (0..32).map(make).collect();
        assert_eq!(
            flaw(&values[..31]),
            None,
            "31 values are too few for a verdict"
        );
        flaw(&values)
    }

    fn hex(bytes: u32, seed: u32) -> String {
        let bytes = noise(bytes, seed);
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn random_values_have_no_flaw_in_any_spelling() {
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
    fn values_that_can_be_guessed_have_a_flaw() {
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
