//! Reads case files line by line. `line` parses the inside of a line with nom.

mod line;

use std::str::Lines;

use line::{Head, Miss, Part};

use super::ast::{Action, Alternative, Case, Line, Noted, Repeat, Setting, Step};

/// A place in a case file that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: expected {expected}, found {found}")]
pub struct SyntaxError {
    /// Counted from 1.
    pub line: usize,
    /// Counted from 1, in characters.
    pub column: usize,
    /// What could have stood here.
    pub expected: String,
    /// What stands here.
    pub found: String,
}

/// Reads a case file.
///
/// # Errors
/// The first place that cannot be read.
pub fn parse(text: &str) -> Result<Case, SyntaxError> {
    let mut source = Source {
        lines: text.lines(),
        ahead: None,
        number: 0,
    };
    let title = source.header("title", line::title)?;
    let role = source.header("role", line::role)?;
    let rules = source.header("rules", line::names)?;
    let twin = source.optional("twin", line::case_name)?;
    let mut config: Vec<Noted<Setting>> = Vec::new();
    while let Some(setting) = source.optional("config", line::setting)? {
        config.push(setting);
    }
    let over = source.optional("over", line::transports)?;
    let (number, blank) = source.take().unwrap_or_default();
    if !blank.trim().is_empty() {
        let expected = "an empty line between header and steps (header order: title, role, rules, twin, config, over)";
        return Err(miss(number, blank, blank, expected));
    }
    let body = source.body(0)?;
    Ok(Case {
        title,
        role,
        rules,
        twin,
        config,
        over,
        body,
    })
}

/// Reads one step. A step with `one of` takes several lines.
///
/// # Errors
/// The first place that cannot be read, counted inside the text.
pub fn parse_step(text: &str) -> Result<Step, SyntaxError> {
    let mut source = Source {
        lines: text.lines(),
        ahead: None,
        number: 0,
    };
    let first = text.lines().next().unwrap_or("");
    match source.body(0)?.as_slice() {
        [Line::Step(step)] => Ok(step.clone()),
        _ => Err(miss(1, first, first, "one step")),
    }
}

struct Source<'a> {
    lines: Lines<'a>,
    ahead: Option<&'a str>,
    /// The number of the last line taken.
    number: usize,
}

impl<'a> Source<'a> {
    fn peek(&mut self) -> Option<&'a str> {
        if self.ahead.is_none() {
            self.ahead = self.lines.next();
        }
        self.ahead
    }

    fn take(&mut self) -> Option<(usize, &'a str)> {
        let text = self.peek()?;
        self.ahead = None;
        self.number += 1;
        Some((self.number, text))
    }

    fn header<T>(&mut self, key: &'static str, value: Part<T>) -> Result<Noted<T>, SyntaxError> {
        let number = self.number + 1;
        let text = self.peek().unwrap_or("");
        match self.optional(key, value)? {
            Some(noted) => Ok(noted),
            None => Err(miss(number, text, text, &format!("`{key}`"))),
        }
    }

    fn optional<T>(&mut self, key: &str, value: Part<T>) -> Result<Option<Noted<T>>, SyntaxError> {
        if self.peek().and_then(|text| text.split([' ', '\t']).next()) != Some(key) {
            return Ok(None);
        }
        let Some((number, text)) = self.take() else {
            return Ok(None);
        };
        line::header(text, key, value)
            .map(Some)
            .map_err(|error| at(number, text, &error))
    }

    /// Lines that are indented by at least `indent` blanks.
    fn body(&mut self, indent: usize) -> Result<Vec<Line>, SyntaxError> {
        let mut body = Vec::new();
        while let Some(text) = self.peek() {
            let depth = text.len() - text.trim_start().len();
            // A block ends at an empty line, or where the indentation ends.
            if indent > 0 && (text.trim().is_empty() || depth < indent) {
                break;
            }
            let Some((number, text)) = self.take() else {
                break;
            };
            body.push(self.line(number, text, depth, indent)?);
        }
        Ok(body)
    }

    fn line(
        &mut self,
        number: usize,
        text: &'a str,
        depth: usize,
        indent: usize,
    ) -> Result<Line, SyntaxError> {
        let rest = text.trim_start();
        if rest.is_empty() {
            return Ok(Line::Blank);
        }
        if depth != indent {
            return Err(miss(
                number,
                text,
                rest,
                &format!("{indent} blanks before a step"),
            ));
        }
        match line::step_or_repeat(rest).map_err(|error| at(number, text, &error))? {
            Head::Comment(comment) => Ok(Line::Comment(comment)),
            Head::Repeat { .. } if indent > 0 => Err(miss(
                number,
                text,
                rest,
                "a step (a block holds no further `repeat`)",
            )),
            Head::Repeat {
                count,
                kept,
                comment,
            } => {
                let body = self.body(2)?;
                if body.is_empty() {
                    return Err(miss(
                        number + 1,
                        "",
                        "",
                        "the steps of the block, indented by 2 blanks",
                    ));
                }
                Ok(Line::Repeat(Repeat {
                    count,
                    kept,
                    comment,
                    body,
                }))
            }
            Head::Step(mut step) => {
                if let Action::OneOf(alternatives) = &mut step.action {
                    *alternatives = self.alternatives(indent + 4)?;
                }
                Ok(Line::Step(*step))
            }
        }
    }

    fn alternatives(&mut self, indent: usize) -> Result<Vec<Alternative>, SyntaxError> {
        let mut found = Vec::new();
        while let Some(text) = self.peek() {
            let rest = text.trim_start();
            if rest.is_empty() || text.len() - rest.len() < indent {
                break;
            }
            let Some((number, text)) = self.take() else {
                break;
            };
            found.push(line::alternative(rest).map_err(|error| at(number, text, &error))?);
        }
        if found.is_empty() {
            let text = self.peek().unwrap_or("");
            return Err(miss(
                self.number + 1,
                text,
                text,
                "an alternative, indented by 8 blanks",
            ));
        }
        Ok(found)
    }
}

fn at(number: usize, text: &str, error: &Miss<'_>) -> SyntaxError {
    miss(number, text, error.at, &error.expected)
}

/// `rest` is the tail of `text` that could not be read.
fn miss(number: usize, text: &str, rest: &str, expected: &str) -> SyntaxError {
    let before = text
        .get(..text.len().saturating_sub(rest.len()))
        .unwrap_or("");
    let found = match rest.split([' ', '\t']).next() {
        None | Some("") if rest.trim().is_empty() => "the end of the line".to_owned(),
        Some("") => "a blank".to_owned(),
        Some(word) => format!("`{word}`"),
        None => "nothing".to_owned(),
    };
    SyntaxError {
        line: number,
        column: before.chars().count() + 1,
        expected: expected.to_owned(),
        found,
    }
}
