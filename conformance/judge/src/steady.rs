//! Masks the parts of texts that differ from run to run.

use std::sync::LazyLock;

use regex::{Captures, Regex};

/// Masks times, lengths, tokens, ports and generated names in a text.
pub fn steady(text: &str) -> String {
    let mut text = text.to_owned();
    for (pattern, mask) in MASKS.iter() {
        let fill = |found: &Captures<'_>| {
            let mut filled = String::new();
            found.expand(mask, &mut filled);
            filled
        };
        text = pattern.replace_all(&text, fill).into_owned();
    }
    text
}

/// The masks, applied in this order.
static MASKS: LazyLock<Vec<(Regex, &'static str)>> = LazyLock::new(|| {
    let masks = [
        // Which part of a long text is shown is chance.
        (r#""(\\.|[^"\\])*" and [0-9]+ bytes more"#, "TEXT"),
        // Names that the suite gives: a base, the process id, a counter.
        (r"(probe|canary)-[0-9]+-[0-9]+", "$1-N-N"),
        // Tokens of either server. A letter may stand before them, as the n of a line feed.
        (r"[0-9a-f]{32}|[0-9A-F]{32}", "TOKEN"),
        // Times.
        (r"[0-9]+(\.[0-9]+)? (s|ms)(?-u:\b)", "N $2"),
        // Lengths.
        (r"[0-9]+ of [0-9]+ bytes", "N of N bytes"),
        (r"byte [0-9]+ of [0-9]+", "byte N of N"),
        (r"[0-9]+ bytes", "N bytes"),
        // Ports are leased from this range; the system assigns those above.
        (
            r"(^|[^0-9.-])([2-5][0-9]|6[0-5])[0-9]{3}($|[^0-9.])",
            "${1}PORT$3",
        ),
    ];
    let compiled = masks.into_iter();
    compiled
        .filter_map(|(pattern, mask)| Some((Regex::new(pattern).ok()?, mask)))
        .collect()
});

#[cfg(test)]
mod tests {
    use super::{MASKS, steady};

    #[test]
    fn only_values_that_differ_from_run_to_run_are_masked() {
        assert_eq!(MASKS.len(), 8);
        for (text, masked) in [
            (
                "nothing in 2.0 s; the connection is open",
                "nothing in N s; the connection is open",
            ),
            ("< MRS 26101 false", "< MRS PORT false"),
            ("< MRS 65536 true", "< MRS PORT true"),
            ("< MRS -1 true", "< MRS -1 true"),
            (
                "< MRS 9223372036854775807 true",
                "< MRS 9223372036854775807 true",
            ),
            (
                "< ARS true 30 e7611597dd06af5b2a8342595f30cb35",
                "< ARS true 30 TOKEN",
            ),
            (
                r#"<< "TRS\ne7611597dd06af5b2a8342595f30cb35\n20130\nX""#,
                r#"<< "TRS\nTOKEN\nPORT\nX""#,
            ),
            (
                "< MAP 21545 127.0.0.1:21548 true",
                "< MAP PORT 127.0.0.1:PORT true",
            ),
            (r#"<< "6789abc\"def" and 114666 bytes more"#, "<< TEXT"),
            (
                "the first 12 of 50 bytes, then closed",
                "the first N of N bytes, then closed",
            ),
            ("byte 12 of 50 differs", "byte N of N differs"),
            (
                "< ATH probe-11232-314 conf-user conf-pass",
                "< ATH probe-N-N conf-user conf-pass",
            ),
            (
                "the program ended by itself: exit status: 2",
                "the program ended by itself: exit status: 2",
            ),
            (
                "it came 0.123 s too early: not before 5 s after",
                "it came N s too early: not before N s after",
            ),
        ] {
            assert_eq!(steady(text), masked);
        }
    }
}
