//! Text of the specification for a terminal: without Markdown, and no wider than the terminal.

use std::io::{self, IsTerminal as _};

use pulldown_cmark::{Event, Parser, TagEnd};

/// The text without Markdown: no backticks, stars or addresses of links.
pub(crate) fn plain(markdown: &str) -> String {
    let mut text = String::new();
    for event in Parser::new(markdown) {
        match event {
            Event::Text(part) | Event::Code(part) | Event::InlineHtml(part) => text.push_str(&part),
            Event::SoftBreak | Event::HardBreak | Event::End(TagEnd::Paragraph | TagEnd::Item) => {
                text.push(' ');
            }
            _ => {}
        }
    }
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The width that `COLUMNS` gives, or that of the terminal, or `otherwise`.
pub(crate) fn width_or(otherwise: usize) -> usize {
    let said = std::env::var("COLUMNS").ok();
    let said = said.and_then(|text| text.parse().ok());
    let terminal = || {
        let size = io::stdout()
            .is_terminal()
            .then(|| rustix::termios::tcgetwinsize(io::stdout()));
        size?
            .ok()
            .map(|size| usize::from(size.ws_col))
            .filter(|width| *width > 0)
    };
    said.or_else(terminal).unwrap_or(otherwise)
}

/// Cuts a text at blanks into lines of at most `width` characters; lines after the first begin with `indent`. A longer
/// word is not cut.
pub(crate) fn wrapped(text: &str, width: usize, indent: &str) -> String {
    let mut lines = vec![String::new()];
    let mut taken = 0;
    for word in text.split_whitespace() {
        let length = word.chars().count();
        let line = lines.len() - 1;
        if taken == 0 {
            lines[line].push_str(word);
            taken = length;
        } else if taken + 1 + length <= width {
            lines[line].push(' ');
            lines[line].push_str(word);
            taken += 1 + length;
        } else {
            lines.push(format!("{indent}{word}"));
            taken = indent.chars().count() + length;
        }
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_and_links_are_removed() {
        let text =
            "A *server* MUST send `ARS false`\nby [section 4](#4-a), **at once**; `a` < 2 * b.";
        let same = "A server MUST send ARS false by section 4, at once; a < 2 * b.";
        assert_eq!(plain(text), same);
        assert_eq!(plain("one\n\n* two\n* three"), "one two three");
    }

    #[test]
    fn lines_are_cut_at_blanks_and_long_words_are_not_cut() {
        let text = "why  one two three a-word-that-is-long four";
        assert_eq!(
            wrapped(text, 11, "    "),
            "why one two\n    three\n    a-word-that-is-long\n    four"
        );
        assert_eq!(wrapped("", 11, "    "), "");
    }
}
