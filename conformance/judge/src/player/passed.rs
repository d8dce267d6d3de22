//! Messages that a step passes over.

use std::time::Instant;

use netroxy_specification::message::{Decoded, first_message};
use netroxy_specification::notation::ast::{Expectation, Template};

use crate::transcript;
use crate::wire::State;

/// Whether it is a message of this word.
pub(super) fn is_word(seen: &Expectation, wanted: &str) -> bool {
    matches!(seen, Expectation::Message(message) if message.word == wanted)
}

/// A message that was passed over, or the part of it that came before the connection ended, and when it came.
pub(super) type Passed = (Expectation, Option<Instant>);

/// Whether the unread bytes may be the beginning of an ignored message, so that the player has to wait for the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Begun {
    Yes,
    No,
}

/// Takes ignored messages from the inbox up to the first message that is not ignored.
pub(super) fn pass_over(
    state: &mut State,
    ignored: &[String],
    passed_over: &mut Vec<Passed>,
) -> Begun {
    while let Decoded::Whole { lines, length } = first_message(state.unread()) {
        let word = lines.first().map_or(&[][..], Vec::as_slice);
        if !ignored.iter().any(|one| one.as_bytes() == word) {
            return Begun::No;
        }
        let came = state.came(length);
        state.take(length);
        passed_over.push((Expectation::Message(transcript::message(&lines)), came));
    }
    let unread = state.unread();
    let word = unread.split(|byte| *byte == b'\n').next().unwrap_or(unread);
    let fits = |one: &String| match word.len() == unread.len() {
        true => one.as_bytes().starts_with(word),
        false => one.as_bytes() == word,
    };
    if unread.is_empty() || !ignored.iter().any(fits) {
        return Begun::No;
    }
    if state.end.is_none() {
        return Begun::Yes;
    }
    // The connection ended within an ignored message: its beginning is ignored too.
    let length = unread.len();
    let came = state.came(length);
    let cut = Expectation::Raw(Template::bytes(state.take(length)));
    passed_over.push((cut, came));
    Begun::No
}

#[cfg(test)]
mod tests {
    use netroxy_specification::notation::ast::Action;
    use netroxy_specification::notation::print_action;

    use super::*;
    use crate::wire::{End, Inbox};

    #[test]
    fn an_ignored_message_in_part_waits_for_its_rest_or_the_end() {
        let ignored = ["SRQ".to_owned(), "TRQ".to_owned()];
        let told = |passed: &[Passed]| {
            let text = |(seen, _): &Passed| print_action(&Action::Expect(seen.clone()));
            passed.iter().map(text).collect::<Vec<_>>()
        };
        let whole = |words: &[&str]| -> Vec<String> {
            words.iter().map(|word| format!("< {word}")).collect()
        };
        let cases: [(&[u8], &[&str], Begun); 10] = [
            (b"", &[], Begun::No),
            (b"S", &[], Begun::Yes),
            (b"SRQ", &[], Begun::Yes),
            (b"SRQ\n", &["SRQ"], Begun::No),
            (b"SRQ\nSRQ\nTR", &["SRQ", "SRQ"], Begun::Yes),
            (b"TRQ\n123", &[], Begun::Yes),
            (b"SRS", &[], Begun::No),
            (b"SRS\n", &[], Begun::No),
            (b"SRQQ", &[], Begun::No),
            (b"MAP\n1", &[], Begun::No),
        ];
        for (bytes, wanted, begun) in cases {
            let inbox = Inbox::default();
            assert!(inbox.push(bytes));
            let mut passed = Vec::new();
            let shown = bytes.escape_ascii();
            let got = inbox.look(|state| pass_over(state, &ignored, &mut passed));
            assert_eq!((told(&passed), got), (whole(wanted), begun), "{shown}");
            // If the connection ends within an ignored message, its beginning is passed over too.
            inbox.end(End::Eof);
            let rest = inbox.look(|state| state.unread().to_vec());
            let got = inbox.look(|state| pass_over(state, &ignored, &mut passed));
            let mut all = whole(wanted);
            if begun == Begun::Yes {
                all.push(print_action(&Action::Expect(Expectation::Raw(
                    Template::bytes(rest),
                ))));
            }
            assert_eq!((told(&passed), got), (all, Begun::No), "{shown}");
        }
    }
}
