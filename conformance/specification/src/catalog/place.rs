//! The column of an error in a line of a case.

/// A part of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Spot {
    /// A word or a string, counted from 0.
    Word(usize),
    /// The first `$name` or `${name}`.
    Variable(String),
    /// What follows `in`.
    Bounds,
    /// The bracket before the marks.
    Marks,
    /// A mark with this name.
    Mark(String),
}

/// The column of a part, in characters from 1; that of the first word when the line has no such part.
pub(crate) fn column(line: &str, spot: &Spot) -> usize {
    let words = words(line);
    let first = words.first().map_or(0, |(at, _)| *at);
    let found = match spot {
        Spot::Word(index) => words.get(*index).map(|(at, _)| *at),
        Spot::Variable(name) => variable(line, name),
        Spot::Bounds => {
            let mut after = words.iter().skip_while(|(_, word)| *word != "in").skip(1);
            after.next().map(|(at, _)| *at)
        }
        Spot::Marks => marks(&words).next().map(|(at, _)| at),
        Spot::Mark(name) => marks(&words)
            .find(|(_, word)| word == name)
            .map(|(at, _)| at),
    };
    let before = line.get(..found.unwrap_or(first)).unwrap_or("");
    before.chars().count() + 1
}

/// The bracket, and the names after it.
fn marks<'a>(words: &[(usize, &'a str)]) -> impl Iterator<Item = (usize, &'a str)> {
    words.iter().copied().skip_while(|(_, word)| *word != "[")
}

/// The words, strings and brackets of a line without its comment, with the bytes at which they begin.
fn words(line: &str) -> Vec<(usize, &str)> {
    let mut words = Vec::new();
    let mut at = 0;
    while let Some(rest) = line.get(at..) {
        let Some(first) = rest.chars().next() else {
            break;
        };
        let length = match first {
            ' ' | '\t' => {
                at += 1;
                continue;
            }
            '#' => break,
            '[' | ']' => 1,
            '"' => string(rest),
            _ => rest.find([' ', '\t', '[', ']', '#']).unwrap_or(rest.len()),
        };
        words.push((at, rest.get(..length).unwrap_or(rest)));
        at += length;
    }
    words
}

/// The length of a string with its suffix, such as `*3`.
fn string(text: &str) -> usize {
    let mut escaped = true;
    for (at, c) in text.char_indices() {
        match c {
            '"' if !escaped => {
                let rest = text.get(at..).unwrap_or("");
                let more = rest.find([' ', '\t', '[', ']', '#']);
                return at + more.unwrap_or(rest.len());
            }
            // The first character is the opening quote.
            _ => escaped = c == '\\' && !escaped,
        }
    }
    text.len()
}

/// Where the `$` is, in bytes.
fn variable(line: &str, name: &str) -> Option<usize> {
    let mut escaped = false;
    for (at, c) in line.char_indices() {
        if c == '$' && !escaped {
            let rest = line.get(at + 1..)?;
            let rest = rest.strip_prefix('{').unwrap_or(rest);
            let more =
                |rest: &str| rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
            if rest.strip_prefix(name).is_some_and(|rest| !more(rest)) {
                return Some(at);
            }
        }
        escaped = c == '\\' && !escaped;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters_and_skip_strings_and_comments() {
        let line =
            r#"ctl   >> "é \"$x\" \$port [a.b]"*3 "$port2${port}" in ..5s[a.bc a.b]  # [x.y] $z"#;
        for (spot, rest) in [
            (Spot::Word(0), "ctl "),
            (Spot::Word(2), "\"é"),
            (Spot::Word(3), "\"$port2"),
            (Spot::Word(9), "]  #"),
            (Spot::Variable("x".into()), "$x"),
            (Spot::Variable("port".into()), "${port}"),
            (Spot::Variable("port2".into()), "$port2"),
            (Spot::Bounds, "..5s"),
            (Spot::Marks, "[a.bc"),
            (Spot::Mark("a.b".into()), "a.b]  #"),
            (Spot::Mark("x.y".into()), "ctl "),
        ] {
            let before = column(line, &spot) - 1;
            let found: String = line.chars().skip(before).collect();
            assert!(found.starts_with(rest), "{spot:?}: {found}");
        }
        assert_eq!(column("  ctl  hello", &Spot::Word(7)), 3);
        assert_eq!(column("", &Spot::Marks), 1);
    }
}
