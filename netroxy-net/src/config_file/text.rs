//! Reads a file as text, and finds characters that JSON does not allow.

use std::path::Path;

use super::error::{ConfigError, Problem};
use super::place::Place;
use crate::whole_file;

/// Reads a file as text.
pub(super) fn read(path: &Path) -> Result<String, ConfigError> {
    let bytes = whole_file::read(path).map_err(|source| ConfigError::Unreadable {
        path: path.to_owned(),
        source,
    })?;
    decode(path, bytes)
}

const SAVE: &str = "save the file as UTF-8";

fn decode(path: &Path, bytes: Vec<u8>) -> Result<String, ConfigError> {
    let wide = match bytes.as_slice() {
        [0xff, 0xfe, 0, 0, ..] | [0, 0, 0xfe, 0xff, ..] => Some("UTF-32"),
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] | [0, b'{', ..] | [b'{', 0, ..] => Some("UTF-16"),
        _ => None,
    };
    if let Some(encoding) = wide {
        let message = format!("the file is in {encoding}, but JSON has to be in UTF-8");
        return Err(ConfigError::whole(path, message).with_hint(SAVE));
    }
    String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let bytes = error.as_bytes();
        let byte = bytes.get(valid).copied().unwrap_or_default();
        Problem {
            path: path.to_owned(),
            place: Some(place(bytes, valid)),
            key: String::new(),
            message: format!("the byte 0x{byte:02X} is not UTF-8"),
            hint: Some(format!("is the file in Latin-1 or Windows-1252? {SAVE}")),
        }
        .into()
    })
}

/// The place of a byte.
fn place(text: &[u8], offset: usize) -> Place {
    let before = text.get(..offset).unwrap_or(text);
    let line_start = before
        .iter()
        .rposition(|b| *b == b'\n')
        .map_or(0, |n| n + 1);
    Place {
        line: before.iter().filter(|b| **b == b'\n').count() + 1,
        column: before.len() - line_start + 1,
    }
}

/// A character or comment outside of strings that JSON does not allow.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Strange {
    pub(super) place: Place,
    pub(super) message: String,
    pub(super) hint: String,
}

/// The first character or comment outside of strings that JSON does not allow, up to the place where reading failed. It
/// is the reason of the failure. After that place it is unknown whether a character is in a string.
pub(super) fn strange(text: &str, failed: Place) -> Option<Strange> {
    let mut inside = false;
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        if inside {
            inside = escaped || c != '"';
            escaped = !escaped && c == '\\';
            continue;
        }
        let next = text[at..].chars().nth(1);
        let (message, hint) = match c {
            '"' => {
                inside = true;
                continue;
            }
            '/' if next == Some('/') => comment("//"),
            '/' if next == Some('*') => comment("/*"),
            '#' => comment("#"),
            '\'' => (
                "a single quote: ' has no meaning in JSON".to_owned(),
                "write \" before and after keys and strings".to_owned(),
            ),
            ' ' | '\t' | '\n' | '\r' => continue,
            c if c.is_ascii() && !c.is_control() => continue,
            c => named(c),
        };
        let place = place(text.as_bytes(), at);
        return (place <= failed).then_some(Strange {
            place,
            message,
            hint,
        });
    }
    None
}

/// A hint about a wrong quotation mark in the line where reading failed. It may be in a string that it should have
/// ended.
pub(super) fn curly_in_line(text: &str, failed: Place) -> Option<String> {
    let line = text.split('\n').nth(failed.line - 1)?;
    let mark = line.chars().find(|c| is_quotation_mark(*c))?;
    Some(format!(
        "the line holds the quotation mark {mark} (U+{:04X}): write \" before and after keys and \
         strings",
        u32::from(mark)
    ))
}

fn comment(mark: &str) -> (String, String) {
    (
        format!("a comment ({mark}): JSON has no comments"),
        "delete it".to_owned(),
    )
}

fn is_quotation_mark(c: char) -> bool {
    matches!(
        c,
        '\u{2018}'..='\u{201f}' | '\u{ab}' | '\u{bb}' | '\u{ff02}' | '\u{ff07}'
    )
}

/// The message and the hint for a character that is allowed only in strings. It is named, because it may be invisible.
fn named(c: char) -> (String, String) {
    let code = u32::from(c);
    let name = match c {
        '\u{a0}' => "no-break space",
        '\u{ad}' => "soft hyphen",
        '\u{200b}' => "zero width space",
        '\u{200c}' | '\u{200d}' => "zero width joiner",
        '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' => "mark of the writing direction",
        '\u{2028}' | '\u{2029}' | '\u{85}' => "line separator",
        '\u{2060}' => "word joiner",
        '\u{feff}' => "byte order mark",
        c if c.is_whitespace() => "space",
        c if c.is_control() => "control character",
        c if is_quotation_mark(c) => {
            let hint = "write \" before and after keys and strings";
            return (
                format!("{c} (U+{code:04X}) is another quotation mark than JSON takes"),
                hint.to_owned(),
            );
        }
        c => {
            return (
                format!("{c} (U+{code:04X}) may stand within quotes only"),
                "write \" before and after keys and strings".to_owned(),
            );
        }
    };
    (
        format!("the invisible character U+{code:04X} ({name}) may stand within quotes only"),
        "delete it; write a plain space if one is needed".to_owned(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(bytes: &[u8]) -> String {
        let refused = decode(Path::new("f.json"), bytes.to_vec());
        refused.unwrap_err().to_string()
    }

    #[test]
    fn other_encodings_are_named() {
        let utf16 = "f.json: the file is in UTF-16, but JSON has to be in UTF-8\n  \
                     hint: save the file as UTF-8";
        for start in [b"\xff\xfe{\0", b"\xfe\xff\0{", b"{\0\"\0", b"\0{\0\""] {
            assert_eq!(refused(start), utf16);
        }
        assert!(refused(b"\xff\xfe\0\0{\0\0\0").contains("UTF-32"));
        assert_eq!(
            refused(b"{\r\n \"ip\": \"b\xfccher\"}"),
            "f.json:2:10: the byte 0xFC is not UTF-8\n  \
             hint: is the file in Latin-1 or Windows-1252? save the file as UTF-8"
        );
        assert_eq!(decode(Path::new("f"), Vec::new()).unwrap(), "");
    }

    #[test]
    fn a_file_without_end_is_refused() {
        let path = Path::new("/dev/zero");
        if path.exists() {
            let ConfigError::Unreadable { source, .. } = read(path).unwrap_err() else {
                panic!("the file was read");
            };
            assert_eq!(source.to_string(), "the file is longer than 16 MiB");
        }
    }

    #[test]
    fn characters_in_strings_or_after_the_failure_are_not_reported() {
        let end = Place { line: 9, column: 1 };
        assert_eq!(strange("{\"//\": \"# \\\" \u{a0}\"}", end), None);
        let early = Place { line: 1, column: 2 };
        assert_eq!(strange("{x // y", early), None);
        assert_eq!(strange("{x // y", end).unwrap().place.column, 4);
    }
}
