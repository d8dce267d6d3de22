//! Makes text from outside safe for terminals and pages.

/// Replaces characters that could change how a report is shown or read: control characters become their symbols (`␛`
/// for ESC); characters that XML cannot hold or that reverse the direction of text become `U+FFFD`. Line feeds and tabs
/// stay.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(shown).collect()
}

fn shown(c: char) -> char {
    match c {
        '\n' | '\t' => c,
        '\0'..='\u{1f}' => {
            char::from_u32(0x2400 + u32::from(c)).unwrap_or(char::REPLACEMENT_CHARACTER)
        }
        '\u{7f}' => '\u{2421}',
        '\u{80}'..='\u{9f}'
        | '\u{200e}'
        | '\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2066}'..='\u{2069}'
        | '\u{fffe}'
        | '\u{ffff}' => char::REPLACEMENT_CHARACTER,
        _ => c,
    }
}

#[cfg(test)]
mod tests {
    use super::printable;

    #[test]
    fn characters_that_cannot_be_shown_are_replaced() {
        assert_eq!(printable("a\x1b[31m\0\r\n\tb\u{7f}"), "a␛[31m␀␍\n\tb␡");
        assert_eq!(
            printable("\u{202e}ä\u{9b}\u{ffff}"),
            "\u{fffd}ä\u{fffd}\u{fffd}"
        );
    }
}
