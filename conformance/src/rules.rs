//! The rules of the specification, read from its normative text.

use std::fmt;

/// One rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Such as `tunnel.early-data`.
    pub id: String,
    /// How strong it is.
    pub level: Level,
    /// The sentence.
    pub text: String,
    /// `server`, `client` or `both`.
    pub subject: String,
    /// Where it comes from.
    pub origin: Origin,
    /// Breaking it corrupts data.
    pub corrupts: bool,
    /// Why no case can judge it.
    pub unjudged: Option<String>,
    /// The line of its id in the text, counted from 1.
    pub line: usize,
}

/// The RFC 2119 keyword of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// MUST and MUST NOT.
    Must,
    /// SHOULD and SHOULD NOT.
    Should,
    /// MAY.
    May,
}

/// Who has said so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The original README.
    Readme,
    /// Both originals agree, and peers need it.
    Observed,
    /// Decided for this text.
    Clarified,
}

/// A rule that is not written as it must be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{FILE}:{line}: {message}")]
pub struct RuleError {
    /// Counted from 1.
    pub line: usize,
    /// What is wrong.
    pub message: String,
}

/// Where the text is, seen from the root of the repository.
pub const FILE: &str = "spec/v0.3/netroxy.md";

/// The rules of the embedded text.
///
/// # Errors
/// The first rule that is not well formed.
pub fn embedded() -> Result<Vec<Rule>, RuleError> {
    extract(include_str!("../../spec/v0.3/netroxy.md"))
}

/// The rules of a text.
///
/// # Errors
/// The first rule that is not well formed.
pub fn extract(text: &str) -> Result<Vec<Rule>, RuleError> {
    let mut rules: Vec<Rule> = Vec::new();
    let mut lines = text.lines().enumerate();
    while let Some((index, line)) = lines.next() {
        let Some(id) = line
            .strip_prefix("r[")
            .and_then(|rest| rest.strip_suffix(']'))
        else {
            continue;
        };
        let wrong = |message: String| RuleError {
            line: index + 1,
            message,
        };
        let mut sentence: Vec<&str> = Vec::new();
        let attributes = loop {
            match lines.next() {
                Some((_, line)) if line.starts_with('{') => break line,
                Some((_, line)) if !line.trim().is_empty() => sentence.push(line.trim()),
                _ => {
                    return Err(wrong(format!(
                        "`{id}` has no line of attributes in braces behind its sentence"
                    )));
                }
            }
        };
        if rules.iter().any(|rule| rule.id == id) {
            return Err(wrong(format!("`{id}` is used twice")));
        }
        let text = sentence.join(" ");
        let level = level(&text)
            .map_err(|found| wrong(format!("`{id}` has {found} keywords, it needs one")))?;
        let get = |key: &str| attribute(attributes, key);
        let origin = match get("origin") {
            Some("readme") => Origin::Readme,
            Some("observed") => Origin::Observed,
            Some("clarified") => Origin::Clarified,
            _ => {
                return Err(wrong(format!(
                    "`{id}` needs an origin: readme, observed or clarified"
                )));
            }
        };
        let subject = match get("subject") {
            Some(subject @ ("server" | "client" | "both")) => subject.to_owned(),
            _ => {
                return Err(wrong(format!(
                    "`{id}` needs a subject: server, client or both"
                )));
            }
        };
        if get("since") != Some("0.3") {
            return Err(wrong(format!("`{id}` needs `since: 0.3`")));
        }
        let corrupts = get("corrupts") == Some("data");
        rules.push(Rule {
            id: id.to_owned(),
            level,
            text,
            subject,
            origin,
            corrupts,
            unjudged: get("unjudged").map(str::to_owned),
            line: index + 1,
        });
    }
    Ok(rules)
}

impl Rule {
    /// Scored even by those who only want to interoperate with what exists.
    pub fn is_wire(&self) -> bool {
        self.corrupts || self.origin != Origin::Clarified
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Must => "MUST",
            Self::Should => "SHOULD",
            Self::May => "MAY",
        })
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Readme => "readme",
            Self::Observed => "observed",
            Self::Clarified => "clarified",
        })
    }
}

/// The only keyword of a sentence, or how many it has.
fn level(text: &str) -> Result<Level, usize> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric());
    let found: Vec<Level> = words
        .filter_map(|word| match word {
            "MUST" | "SHALL" | "REQUIRED" => Some(Level::Must),
            "SHOULD" | "RECOMMENDED" => Some(Level::Should),
            "MAY" | "OPTIONAL" => Some(Level::May),
            _ => None,
        })
        .collect();
    match found.as_slice() {
        [level] => Ok(*level),
        others => Err(others.len()),
    }
}

fn attribute<'a>(line: &'a str, key: &str) -> Option<&'a str> {
    let inside = line.trim().strip_prefix('{')?.strip_suffix('}')?;
    inside.split(';').find_map(|part| {
        part.trim()
            .strip_prefix(key)?
            .trim()
            .strip_prefix(':')
            .map(str::trim)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_rules_are_well_formed() {
        let rules = embedded().unwrap();
        assert!(rules.len() > 50, "{}", rules.len());
    }

    #[test]
    fn a_rule_has_one_keyword() {
        let text = |sentence: &str| {
            format!("r[a.b]\n{sentence}\n{{subject: both; origin: readme; since: 0.3}}\n")
        };
        assert_eq!(
            extract(&text("It MUST NOT\nwork.")).unwrap()[0].text,
            "It MUST NOT work."
        );
        assert!(extract(&text("It works.")).is_err());
        assert!(extract(&text("It MUST and SHOULD work.")).is_err());
    }
}
