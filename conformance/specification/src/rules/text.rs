//! Reads the rules from the text.
//!
//! A rule is a paragraph: its id, its sentence, its attributes. The paragraph after it may give the reason. Text in
//! fences is an example.

use super::{Fault, Level, Origin, Profile, REVISION, Rule, RuleError};

/// The rules of a text, in its order.
///
/// # Errors
/// The first rule that is not well formed.
pub fn extract(text: &str) -> Result<Vec<Rule>, RuleError> {
    let mut rules: Vec<Rule> = Vec::new();
    let mut section = "";
    let mut explainable = false;
    for paragraph in paragraphs(text) {
        let wrong = |fault: Fault| RuleError {
            line: paragraph.line,
            fault,
        };
        let first = paragraph.lines.first().copied().unwrap_or_default();
        let mut is_rule = false;
        if let Some(title) = first.strip_prefix('#') {
            section = title.trim_start_matches('#').trim();
        } else if first.starts_with("r[") {
            let rule = rule(&paragraph, section).map_err(wrong)?;
            if rules.iter().any(|other| other.id == rule.id) {
                return Err(wrong(Fault::Twice(rule.id)));
            }
            rules.push(rule);
            is_rule = true;
        } else if let Some(first) = first.strip_prefix(WHY) {
            let Some(rule) = rules.last_mut().filter(|_| explainable) else {
                return Err(wrong(Fault::Why));
            };
            let more = paragraph.lines.get(1..).unwrap_or_default();
            rule.rationale = Some([&[first], more].concat().join(" "));
        }
        explainable = is_rule;
    }
    Ok(rules)
}

const WHY: &str = "Why: ";

/// Lines without an empty line between them. A heading is a paragraph.
struct Paragraph<'a> {
    /// Of its first line, counted from 1.
    line: usize,
    lines: Vec<&'a str>,
}

fn paragraphs(text: &str) -> Vec<Paragraph<'_>> {
    let mut found: Vec<Paragraph<'_>> = Vec::new();
    let mut open = false;
    let mut fenced = false;
    for (line, number) in text.lines().map(str::trim).zip(1..) {
        if line.starts_with("```") {
            fenced = !fenced;
        }
        if fenced || line.is_empty() || line.starts_with("```") {
            open = false;
            continue;
        }
        match found.last_mut().filter(|_| open && !line.starts_with('#')) {
            Some(paragraph) => paragraph.lines.push(line),
            None => found.push(Paragraph {
                line: number,
                lines: vec![line],
            }),
        }
        open = !line.starts_with('#');
    }
    found
}

fn rule(paragraph: &Paragraph<'_>, section: &str) -> Result<Rule, Fault> {
    let [first, sentence @ .., attributes] = paragraph.lines.as_slice() else {
        return Err(Fault::Short);
    };
    let id = first
        .strip_prefix("r[")
        .and_then(|rest| rest.strip_suffix(']'))
        .ok_or_else(|| Fault::Id((*first).to_owned()))?;
    let id = id.to_owned();
    let Some(attributes) = attributes
        .strip_prefix('{')
        .and_then(|rest| rest.strip_suffix('}'))
    else {
        return Err(Fault::NoAttributes(id));
    };
    let text = sentence.join(" ");
    let level = match level(&text) {
        Ok(level) => level,
        Err(found) => return Err(Fault::Keywords { id, found }),
    };

    let (mut subject, mut origin, mut since, mut unjudged) = (None, None, None, None);
    let (mut hardened, mut corrupts) = (false, false);
    for attribute in attributes.split(';') {
        let (key, value) = attribute.split_once(':').unwrap_or((attribute, ""));
        match (key.trim(), value.trim()) {
            ("subject", value @ ("server" | "client" | "both")) => subject = Some(value),
            ("origin", "readme") => origin = Some(Origin::Readme),
            ("origin", "observed") => origin = Some(Origin::Observed),
            ("origin", "clarified") => origin = Some(Origin::Clarified),
            ("since", value) if is_revision(value) => since = Some(value),
            ("profile", "hardened") => hardened = true,
            ("corrupts", "data") => corrupts = true,
            ("unjudged", why) if !why.is_empty() => unjudged = Some(why.to_owned()),
            (key, value) => {
                let attribute = format!("{key}: {value}");
                return Err(Fault::Attribute { id, attribute });
            }
        }
    }
    let Some(origin) = origin else {
        return Err(Fault::NoOrigin(id));
    };
    let Some(subject) = subject else {
        return Err(Fault::NoSubject(id));
    };
    let Some(since) = since else {
        return Err(Fault::NoSince(id));
    };
    Ok(Rule {
        id,
        level,
        subject: subject.to_owned(),
        origin,
        since: since.to_owned(),
        profile: if corrupts || (origin != Origin::Clarified && !hardened) {
            Profile::Wire
        } else {
            Profile::Hardened
        },
        corrupts,
        section: section.to_owned(),
        text,
        rationale: None,
        unjudged,
        line: paragraph.line,
    })
}

/// Whether this is a revision from 0.3 to the current one.
fn is_revision(text: &str) -> bool {
    let minor = |text: &str| text.strip_prefix("0.")?.parse::<u8>().ok();
    matches!((minor(text), minor(REVISION)), (Some(since), Some(now)) if (3..=now).contains(&since))
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

#[cfg(test)]
mod tests {
    use super::super::embedded;
    use super::*;

    const GOOD: &str = "\
## 4. Framing

r[a.b]
It MUST NOT
work.
{subject: both; origin: clarified; since: 0.3; corrupts: data; unjudged: it is not on the wire}

Why: it
would hurt.
";

    #[test]
    fn the_embedded_rules_are_well_formed() {
        let rules = embedded().unwrap();
        assert!(rules.len() > 50, "{}", rules.len());
    }

    #[test]
    fn a_rule_is_read_with_its_attributes_and_its_reason() {
        let rules = extract(GOOD).unwrap();
        let wanted = Rule {
            id: "a.b".to_owned(),
            level: Level::Must,
            subject: "both".to_owned(),
            origin: Origin::Clarified,
            since: "0.3".to_owned(),
            profile: Profile::Wire,
            corrupts: true,
            section: "4. Framing".to_owned(),
            text: "It MUST NOT work.".to_owned(),
            rationale: Some("it would hurt.".to_owned()),
            unjudged: Some("it is not on the wire".to_owned()),
            line: 3,
        };
        assert_eq!(rules, [wanted]);
    }

    #[test]
    fn a_rule_that_no_other_peer_depends_on_is_hardened() {
        let observed = GOOD.replace("clarified", "observed");
        let hardened = observed.replace("corrupts: data", "profile: hardened");
        let plain = observed.replace("corrupts: data; ", "");
        for (text, profile) in [(hardened, Profile::Hardened), (plain, Profile::Wire)] {
            assert_eq!(extract(&text).unwrap()[0].profile, profile, "{text}");
        }
    }

    #[test]
    fn an_error_names_its_line() {
        let twice = format!("{GOOD}\n{GOOD}");
        for (text, wanted) in [
            (GOOD.replace("MUST NOT", "does"), ":3: `a.b` has 0 keywords"),
            (GOOD.replace("work", "MAY"), ":3: `a.b` has 2 keywords"),
            (
                GOOD.replace("both", "all"),
                ":3: `a.b`: `subject: all` is no",
            ),
            (GOOD.replace("clarified", "guess"), "`origin: guess` is no"),
            (GOOD.replace("origin: clarified; ", ""), "needs an origin"),
            (GOOD.replace("subject: both; ", ""), "needs a subject"),
            (GOOD.replace("since: 0.3; ", ""), "`a.b` needs `since`"),
            (GOOD.replace("unjudged", "unjuged"), "`unjuged: it is"),
            (
                GOOD.replace("corrupts: data", "profile: wire"),
                "`profile: wire` is no",
            ),
            (
                GOOD.replace("work.\n", "work.\n\n"),
                ":3: `a.b` has no line",
            ),
            (GOOD.replace("Why", "More\n\nWhy"), ":10: `Why:` explains"),
            (twice, ":13: `a.b` is used twice"),
        ] {
            let error = extract(&text).unwrap_err().to_string();
            assert!(error.contains(wanted), "{error}");
        }
    }

    #[test]
    fn an_example_in_fences_is_no_rule() {
        assert_eq!(extract(&format!("```\n{GOOD}```\n")), Ok(Vec::new()));
    }
}
