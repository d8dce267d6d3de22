//! Where the keys and values of a JSON text stand, and keys in their usual spelling.
//!
//! This reads JSON that may be malformed, only to know places; serde_json decides what is valid.

use std::collections::BTreeMap;

use super::Place;

/// The places of all keys and values, by path (`connections[0].port`).
#[derive(Debug, Default)]
pub(super) struct Positions {
    keys: BTreeMap<String, Place>,
    values: BTreeMap<String, Place>,
}

impl Positions {
    pub(super) fn key(&self, path: &str) -> Option<Place> {
        self.keys.get(&normal(path)).copied()
    }

    /// The place of a value, or of the innermost value around it that is there.
    pub(super) fn value(&self, path: &str) -> Option<Place> {
        let mut path = normal(path);
        loop {
            if let Some(place) = self.values.get(&path) {
                return Some(*place);
            }
            path.truncate(path.rfind('.')?);
        }
    }
}

/// `a[0].b` and `a.0.b`, as two libraries spell it, both as `.a.0.b`.
fn normal(path: &str) -> String {
    let path = path.replace('[', ".").replace(']', "");
    if path.is_empty() {
        path
    } else {
        format!(".{}", path.replace("?.", "").replace(".?", ""))
    }
}

enum Container {
    Object { key: String },
    Array { index: usize },
}

/// Notes all places, and rewrites each key that differs from one of `known` in case only. The
/// rewriting keeps the length, so every place stays right.
pub(super) fn scan(text: String, known: &[&str]) -> (String, Positions) {
    let mut positions = Positions::default();
    let mut canonical = text.clone();
    let mut stack: Vec<Container> = Vec::new();
    let mut value_expected = true;
    let mut place = Place { line: 1, column: 1 };
    let mut rest = text.as_str();
    while let Some(first) = rest.bytes().next() {
        let offset = text.len() - rest.len();
        let length = match first {
            b'"' => string_length(rest),
            b'{' | b'[' | b'}' | b']' | b',' | b':' => 1,
            b if b.is_ascii_whitespace() => 1,
            _ => rest
                .find([',', ':', '}', ']', '\n', '"', ' '])
                .unwrap_or(rest.len())
                .max(1),
        };
        let (token, after) = rest.split_at(length);
        let is_key = first == b'"' && after.trim_start().starts_with(':');
        match first {
            _ if is_key => {
                let mut name = token.trim_matches('"').to_owned();
                if let Some(known) = known.iter().find(|k| k.eq_ignore_ascii_case(&name)) {
                    name = (*known).to_owned();
                    canonical.replace_range(offset..offset + length, &format!("\"{name}\""));
                }
                if let Some(Container::Object { key }) = stack.last_mut() {
                    *key = name;
                }
                positions.keys.insert(path(&stack), place);
            }
            b':' => value_expected = true,
            b',' => {
                value_expected = true;
                if let Some(Container::Array { index }) = stack.last_mut() {
                    *index += 1;
                }
            }
            b'}' | b']' => {
                stack.pop();
                value_expected = false;
            }
            b if b.is_ascii_whitespace() => {}
            _ => {
                if value_expected {
                    positions.values.entry(path(&stack)).or_insert(place);
                    value_expected = false;
                }
                match first {
                    b'{' => stack.push(Container::Object { key: String::new() }),
                    b'[' => {
                        stack.push(Container::Array { index: 0 });
                        value_expected = true;
                    }
                    _ => {}
                }
            }
        }
        for byte in token.bytes() {
            if byte == b'\n' {
                place = Place {
                    line: place.line + 1,
                    column: 1,
                };
            } else {
                place.column += 1;
            }
        }
        rest = after;
    }
    (canonical, positions)
}

fn path(stack: &[Container]) -> String {
    let mut path = String::new();
    for container in stack {
        path.push('.');
        match container {
            Container::Object { key } => path.push_str(key),
            Container::Array { index } => path.push_str(&index.to_string()),
        }
    }
    path
}

/// The length of the string literal at the start, quotes included; all if it does not end.
fn string_length(text: &str) -> usize {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_in_any_case_become_the_known_ones_and_keep_their_place() {
        let text = "{\n  \"IP\": \"a\",\n  \"Connections\": [{\"REMOTEport\": 7}]\n}".to_owned();
        let (canonical, positions) = scan(text, &["ip", "connections", "remotePort"]);
        let wanted = "{\n  \"ip\": \"a\",\n  \"connections\": [{\"remotePort\": 7}]\n}";
        assert_eq!(canonical, wanted);
        assert_eq!(positions.key("ip"), Some(Place { line: 2, column: 3 }));
        assert_eq!(positions.value("ip"), Some(Place { line: 2, column: 9 }));
        let place = positions.value("connections[0].remotePort");
        assert_eq!(
            place,
            Some(Place {
                line: 3,
                column: 34
            })
        );
    }

    #[test]
    fn a_missing_value_has_the_place_of_what_should_hold_it() {
        let (_, positions) = scan("{ \"tls\": { } }".to_owned(), &["tls"]);
        assert_eq!(
            positions.value("tls.port"),
            Some(Place {
                line: 1,
                column: 10
            })
        );
    }

    #[test]
    fn braces_and_colons_inside_strings_are_text() {
        let (_, positions) = scan(r#"{"a": "}:{\"", "b": 1}"#.to_owned(), &[]);
        assert_eq!(
            positions.value("b"),
            Some(Place {
                line: 1,
                column: 21
            })
        );
    }

    #[test]
    fn malformed_text_is_scanned_to_its_end() {
        for text in [
            "",
            "{",
            "\"",
            "[[[",
            "}}}",
            "{\"a\"",
            "{\"a\": tru",
            "\u{e9}:\u{1f600}",
        ] {
            let (canonical, _) = scan(text.to_owned(), &["a"]);
            assert_eq!(canonical, text);
        }
    }
}
