//! Finds the places of the keys and values of a JSON text, and rewrites keys to their usual spelling.
//!
//! The text may be malformed: serde_json decides later what is valid.

use std::collections::BTreeMap;

use super::key::{Key, Step};
use super::place::Place;

/// The places of all keys and values, by path (`connections[0].port`).
///
/// This is a tree and not a map of paths, because the total length of all paths can grow with the square of the text.
#[derive(Debug)]
pub(super) struct Positions {
    /// The first node is the whole text. Each node comes after its parent.
    nodes: Vec<Node>,
}

/// The places of a key and its value.
#[derive(Debug, Default)]
struct Node {
    key: Option<Place>,
    value: Option<Place>,
    /// Members and items by name or number: indices into the nodes.
    children: BTreeMap<String, usize>,
}

impl Positions {
    pub(super) fn key(&self, path: &[Step]) -> Option<Place> {
        let mut node = &self.nodes[0];
        for step in path {
            node = self.child(node, step)?;
        }
        node.key
    }

    /// The place of a value. If the value is missing, the place of the innermost value around it.
    pub(super) fn value(&self, path: &[Step]) -> Option<Place> {
        let mut node = &self.nodes[0];
        let mut place = node.value;
        for step in path {
            let Some(child) = self.child(node, step) else {
                break;
            };
            node = child;
            place = node.value.or(place);
        }
        place
    }

    fn child(&self, node: &Node, step: &Step) -> Option<&Node> {
        let child = match step {
            Step::Key(name) => node.children.get(name),
            Step::Item(index) => node.children.get(&index.to_string()),
        };
        child.map(|child| &self.nodes[*child])
    }

    /// The child of `node` with that name; makes it if it is missing.
    fn below(&mut self, node: usize, name: &str) -> usize {
        if let Some(child) = self.nodes[node].children.get(name) {
            return *child;
        }
        let child = self.nodes.len();
        self.nodes.push(Node::default());
        self.nodes[node].children.insert(name.to_owned(), child);
        child
    }
}

/// An object or list that has begun and not ended, with its node.
enum Container {
    /// `member` is the node of the last key; before the first key it is the node of the object.
    Object {
        node: usize,
        member: usize,
    },
    Array {
        node: usize,
        index: usize,
    },
}

/// Finds all places, and rewrites each key that differs from a `known` one only in case. The length does not change, so
/// every place stays right.
pub(super) fn scan(text: String, known: &[Key]) -> (String, Positions) {
    let mut positions = Positions {
        nodes: vec![Node::default()],
    };
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
                let mut name: String = serde_json::from_str(token).unwrap_or_default();
                // An escape makes the text longer than the name.
                if let Some(known) = known.iter().find(|k| k.name.eq_ignore_ascii_case(&name))
                    && length == name.len() + 2
                {
                    known.name.clone_into(&mut name);
                    canonical.replace_range(offset..offset + length, &format!("\"{name}\""));
                }
                if let Some(Container::Object { node, member }) = stack.last_mut() {
                    *member = positions.below(*node, &name);
                }
                let node = here(&mut positions, &stack);
                // Of two equal keys the last one counts.
                positions.nodes[node] = Node {
                    key: Some(place),
                    ..Node::default()
                };
            }
            b':' => value_expected = true,
            b',' => {
                value_expected = true;
                if let Some(Container::Array { index, .. }) = stack.last_mut() {
                    *index += 1;
                }
            }
            b'}' | b']' => {
                stack.pop();
                value_expected = false;
            }
            b if b.is_ascii_whitespace() => {}
            _ => {
                let node = here(&mut positions, &stack);
                if value_expected {
                    positions.nodes[node].value.get_or_insert(place);
                    value_expected = false;
                }
                match first {
                    b'{' => stack.push(Container::Object { node, member: node }),
                    b'[' => {
                        stack.push(Container::Array { node, index: 0 });
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

/// The node of the next value.
fn here(positions: &mut Positions, stack: &[Container]) -> usize {
    match stack.last() {
        None => 0,
        Some(Container::Object { member, .. }) => *member,
        Some(Container::Array { node, index }) => positions.below(*node, &index.to_string()),
    }
}

/// The length of the string literal at the start, with its quotes. If the string does not end, the length of the text.
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
    use super::super::key::{key, steps};
    use super::*;

    #[test]
    fn keys_in_any_case_become_the_known_ones_and_keep_their_place() {
        let text = "{\n  \"IP\": \"a\",\n  \"Connections\": [{\"REMOTEport\": 7}]\n}".to_owned();
        let (canonical, positions) = scan(
            text,
            &[key("ip", ""), key("connections", ""), key("remotePort", "")],
        );
        let wanted = "{\n  \"ip\": \"a\",\n  \"connections\": [{\"remotePort\": 7}]\n}";
        assert_eq!(canonical, wanted);
        assert_eq!(
            positions.key(&steps("ip")),
            Some(Place { line: 2, column: 3 })
        );
        assert_eq!(
            positions.value(&steps("ip")),
            Some(Place { line: 2, column: 9 })
        );
        let place = positions.value(&steps("connections[0].remotePort"));
        assert_eq!(
            place,
            Some(Place {
                line: 3,
                column: 34
            })
        );
    }

    #[test]
    fn a_missing_value_has_the_place_of_the_object_around_it() {
        let (_, positions) = scan("{ \"tls\": { } }".to_owned(), &[key("tls", "")]);
        assert_eq!(
            positions.value(&steps("tls.port")),
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
            positions.value(&steps("b")),
            Some(Place {
                line: 1,
                column: 21
            })
        );
    }

    /// With a stored path for each value, this test would take minutes and gigabytes.
    #[test]
    fn the_memory_of_places_grows_linearly_with_the_text() {
        let deep = format!("{}1", "[".repeat(100_000));
        let (_, positions) = scan(deep, &[]);
        assert_eq!(positions.value(&steps("[0][0]")).unwrap().column, 3);

        let key = "k".repeat(100_000);
        let wide = format!("{{\"{key}\":[{}1]}}", "1,".repeat(50_000));
        let (_, positions) = scan(wide, &[]);
        let last = positions.value(&steps(&format!("{key}[50000]")));
        assert_eq!(last.unwrap().column, 200_006);
    }

    #[test]
    fn a_key_may_have_dots() {
        let (_, positions) = scan(r#"{"a.b": 1}"#.to_owned(), &[]);
        let dotted = [Step::Key("a.b".to_owned())];
        assert_eq!(positions.key(&dotted), Some(Place { line: 1, column: 2 }));
        assert_eq!(positions.key(&steps("a")), None);
        assert_eq!(positions.value(&steps("a")).unwrap().column, 1);
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
            let (canonical, _) = scan(text.to_owned(), &[key("a", "")]);
            assert_eq!(canonical, text);
        }
    }

    #[test]
    fn of_two_equal_keys_the_last_one_has_the_place() {
        let (_, positions) = scan(r#"{"a": {"b": 1}, "A": {}}"#.to_owned(), &[key("a", "")]);
        assert_eq!(positions.key(&steps("a")).unwrap().column, 17);
        assert_eq!(positions.value(&steps("a.b")).unwrap().column, 22);
    }

    #[test]
    fn a_key_may_be_written_with_escapes() {
        let (_, positions) = scan(r#"{"\u0061": 1}"#.to_owned(), &[key("a", "")]);
        assert_eq!(positions.key(&steps("a")).unwrap().column, 2);
    }
}
