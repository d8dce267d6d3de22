//! The keys of a configuration file, and paths that are made of keys.

use std::fmt::{self, Write};

use serde_json::Value;

/// A key of a configuration file. A key has the same kind of value at every place.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// The name in its usual spelling.
    pub name: &'static str,
    /// A valid value, as JSON. A list has one item, and an object has its required keys. Errors show it as an example,
    /// and it replaces a wrong value while the rest of the file is read.
    pub sample: &'static str,
}

/// Makes a [`Key`].
#[must_use]
pub const fn key(name: &'static str, sample: &'static str) -> Key {
    Key { name, sample }
}

/// One step from a value into another.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Step {
    Key(String),
    Item(usize),
}

/// A path like `connections[0].port`. Characters that a terminal does not show are escaped.
pub(super) fn shown(steps: &[Step]) -> String {
    let mut text = String::new();
    for step in steps {
        // Writing to a string cannot fail.
        let _ = match step {
            Step::Key(name) if text.is_empty() => write!(text, "{}", Shown(name)),
            Step::Key(name) => write!(text, ".{}", Shown(name)),
            Step::Item(index) => write!(text, "[{index}]"),
        };
    }
    text
}

/// Parses a path that [`shown`] has written.
pub(super) fn steps(path: &str) -> Vec<Step> {
    path.split(['.', '['])
        .filter(|step| !step.is_empty())
        .map(|step| {
            let item = step
                .strip_suffix(']')
                .and_then(|digits| digits.parse().ok());
            item.map_or_else(|| Step::Key(step.to_owned()), Step::Item)
        })
        .collect()
}

/// The longest name that is shown or compared, in bytes or characters.
const LONGEST: usize = 64;

/// A name from the file, at most 64 characters long. Invisible characters are escaped.
pub(super) struct Shown<'a>(pub(super) &'a str);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars().take(LONGEST) {
            match c {
                '"' | '\'' | '\\' => f.write_char(c)?,
                '\u{a0}' => f.write_str("\\u{a0}")?,
                c => write!(f, "{}", c.escape_debug())?,
            }
        }
        if self.0.chars().nth(LONGEST).is_some() {
            f.write_str("...")?;
        }
        Ok(())
    }
}

/// A valid value for the place at the path.
pub(super) fn sample(known: &[Key], path: &[Step]) -> Option<Value> {
    let (at, name) = path
        .iter()
        .enumerate()
        .rev()
        .find_map(|(at, step)| match step {
            Step::Key(name) => Some((at, name)),
            Step::Item(_) => None,
        })?;
    let key = known.iter().find(|key| key.name == name)?;
    let mut value: Value = serde_json::from_str(key.sample).ok()?;
    for _ in &path[at + 1..] {
        value = value.get_mut(0)?.take();
    }
    Some(value)
}

/// The name that is most similar to `written`, if one is similar enough.
pub(super) fn nearest<'a>(
    written: &str,
    names: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    // Time and memory of the comparison grow with the product of the lengths.
    if written.len() > LONGEST {
        return None;
    }
    let written = written.to_lowercase();
    names
        .into_iter()
        .filter(|name| name.len() <= LONGEST)
        .map(|name| (strsim::osa_distance(&written, &name.to_lowercase()), name))
        .filter(|(distance, name)| *distance <= (name.len() / 3).clamp(1, 3))
        .min()
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_similar_name_is_found_and_a_different_one_is_not() {
        let names = ["ip", "port", "remotePort", "username", "password"];
        for (written, meant) in [
            ("usrname", Some("username")),
            ("prot", Some("port")),
            ("RemotPort", Some("remotePort")),
            ("passwort", Some("password")),
            ("ips", Some("ip")),
            ("timeout", None),
            ("x", None),
            ("", None),
        ] {
            assert_eq!(nearest(written, names), meant, "{written}");
        }
        assert_eq!(nearest(&"x".repeat(1 << 20), names), None);
    }

    #[test]
    fn a_path_is_read_as_it_is_shown() {
        for path in ["", "port", "connections[12].remotePort", "a[0][1].b"] {
            assert_eq!(shown(&steps(path)), path);
        }
    }

    #[test]
    fn names_are_shown_whole_only_when_they_are_short_and_visible() {
        let shown = |name| Shown(name).to_string();
        assert_eq!(shown("b\u{fc}cher's"), "b\u{fc}cher's");
        assert_eq!(
            shown("\u{1b}[31m\u{200b}\u{a0}"),
            "\\u{1b}[31m\\u{200b}\\u{a0}"
        );
        assert_eq!(shown(&"k".repeat(65)), format!("{}...", "k".repeat(64)));
    }

    #[test]
    fn the_sample_of_an_item_is_the_item_of_the_sample() {
        let known = [key("list", r#"[{"port": 1}]"#), key("port", "2")];
        let sample = |path| sample(&known, &steps(path)).map(|value| value.to_string());
        assert_eq!(sample("list").as_deref(), Some(r#"[{"port":1}]"#));
        assert_eq!(sample("list[7]").as_deref(), Some(r#"{"port":1}"#));
        assert_eq!(sample("list[7].port").as_deref(), Some("2"));
        assert_eq!(sample("port[0]"), None);
        assert_eq!(sample("other"), None);
        assert_eq!(sample(""), None);
    }
}
