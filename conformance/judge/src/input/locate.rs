//! The place of a value in a JSON text, for errors about well-formed JSON.

use serde::de::IgnoredAny;
use serde_json::Deserializer;

/// A part of the path to a value.
#[derive(Debug, Clone, Copy)]
pub enum Part<'a> {
    /// Into an object.
    Key(&'a str),
    /// Into an array, counted from 0.
    Index(usize),
}

/// Where a value begins, in bytes; `None` if there is no such value.
pub fn locate(text: &str, path: &[Part<'_>]) -> Option<usize> {
    let mut at = 0;
    for part in path {
        at = match part {
            Part::Key(key) => field(text, at, key)?,
            Part::Index(index) => item(text, at, *index)?,
        };
    }
    Some(blanks(text, at))
}

fn field(text: &str, at: usize, key: &str) -> Option<usize> {
    let mut at = after(text, at, '{')?;
    loop {
        let end = value(text, at)?;
        let found: String = serde_json::from_str(text.get(at..end)?).ok()?;
        at = after(text, end, ':')?;
        if found == key {
            return Some(at);
        }
        at = after(text, value(text, at)?, ',')?;
    }
}

fn item(text: &str, at: usize, index: usize) -> Option<usize> {
    let mut at = after(text, at, '[')?;
    for _ in 0..index {
        at = after(text, value(text, at)?, ',')?;
    }
    Some(at)
}

/// Where the text goes on after a sign and the blanks around it.
fn after(text: &str, at: usize, sign: char) -> Option<usize> {
    let rest = text.get(blanks(text, at)..)?.strip_prefix(sign)?;
    Some(blanks(text, text.len() - rest.len()))
}

/// Where the text goes on after the value that begins here.
fn value(text: &str, at: usize) -> Option<usize> {
    let mut values = Deserializer::from_str(text.get(at..)?).into_iter::<IgnoredAny>();
    values.next()?.ok()?;
    Some(at + values.byte_offset())
}

fn blanks(text: &str, at: usize) -> usize {
    let rest = text.get(at..).unwrap_or("");
    text.len() - rest.trim_start().len()
}

#[cfg(test)]
mod tests {
    use super::Part::{Index, Key};
    use super::locate;

    #[test]
    fn values_are_found_after_any_other_values() {
        let text = " { \"a\\u0062\" : [ 1, \"b\" , {\"c\":true}],\n\"d\":{\"c\":null}}";
        let rest = |path: &[super::Part<'_>]| locate(text, path).map(|at| &text[at..]);
        assert_eq!(rest(&[]), Some(text.trim_start()));
        assert_eq!(rest(&[Key("ab")]), text.find('[').map(|at| &text[at..]));
        assert!(rest(&[Key("ab"), Index(1)]).unwrap().starts_with("\"b\" ,"));
        assert!(
            rest(&[Key("ab"), Index(2), Key("c")])
                .unwrap()
                .starts_with("true}]")
        );
        assert_eq!(rest(&[Key("d"), Key("c")]), Some("null}}"));
        assert_eq!(rest(&[Key("b")]), None);
        assert_eq!(rest(&[Key("ab"), Index(3)]), None);
        assert_eq!(rest(&[Key("ab"), Key("c")]), None);
    }
}
