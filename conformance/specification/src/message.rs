//! What the judge knows of messages: how many lines follow which word. Independent of our protocol crate.

/// How many lines follow a word; `None` for a word that the protocol does not have.
///
/// `first` is the first of them, if it is known yet: what follows `ARS` depends on it.
pub fn lines_after(word: &[u8], first: Option<&[u8]>) -> Option<usize> {
    match word {
        b"ATH" | b"MAP" => Some(3),
        b"MRS" | b"TRS" => Some(2),
        b"TRQ" => Some(1),
        b"SRQ" | b"SRS" => Some(0),
        b"ARS" => Some(if first == Some(b"true") { 3 } else { 1 }),
        _ => None,
    }
}

/// The first message in `bytes`.
pub fn first_message(bytes: &[u8]) -> Decoded {
    let mut ends = bytes
        .iter()
        .enumerate()
        .filter(|(_, byte)| **byte == b'\n')
        .map(|(index, _)| index);
    let mut lines: Vec<Vec<u8>> = Vec::new();
    let mut start = 0;
    loop {
        let word = lines.first().map(Vec::as_slice);
        match word.map(|word| lines_after(word, lines.get(1).map(Vec::as_slice))) {
            Some(None) => return Decoded::Unknown,
            Some(Some(count)) if lines.len() > count => {
                return Decoded::Whole {
                    lines,
                    length: start,
                };
            }
            Some(Some(_)) | None => {}
        }
        let Some(end) = ends.next() else {
            // Whoever never ends a line must not be read again and again.
            return match bytes.len() - start > LONGEST {
                true => Decoded::Unknown,
                false => Decoded::Partial,
            };
        };
        lines.push(bytes[start..end].to_vec());
        start = end + 1;
    }
}

/// No message of a case has a line of this length.
const LONGEST: usize = 1 << 20;

/// The result of [`first_message`].
#[derive(Debug, PartialEq, Eq)]
pub enum Decoded {
    /// The word and its lines, and how many bytes they take.
    Whole {
        /// The word, then the other lines, without their LF.
        lines: Vec<Vec<u8>>,
        /// The bytes of all of them, with their LF.
        length: usize,
    },
    /// More bytes are needed.
    Partial,
    /// The first line is no word of the protocol.
    Unknown,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_of_ars_depends_on_its_first_line() {
        let whole = |lines: &[&[u8]], length| Decoded::Whole {
            lines: lines.iter().map(|l| l.to_vec()).collect(),
            length,
        };
        assert_eq!(
            first_message(b"ARS\nfalse\nMRS"),
            whole(&[b"ARS", b"false"], 10)
        );
        assert_eq!(first_message(b"ARS\ntrue\n30\n"), Decoded::Partial);
        assert_eq!(
            first_message(b"ARS\ntrue\n30\nt\n"),
            whole(&[b"ARS", b"true", b"30", b"t"], 14)
        );
        assert_eq!(first_message(b"SRS\r\n"), Decoded::Unknown);
    }
}
