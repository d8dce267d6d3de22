//! Reads recordings. The parser of the notation reads what follows the time of a line.

use std::net::SocketAddr;
use std::time::Duration;

use chrono::{DateTime, Utc};
use netroxy_specification::notation::ast::{
    Action, Endpoint, Expectation, Field, Piece, Role, Step, Template, Transport,
};
use netroxy_specification::notation::{SyntaxError, parse_step};

use super::{Entry, Head, LONGEST, Recording, Source, VERSION};

/// Reads a recording.
///
/// # Errors
/// The first place that cannot be read.
pub(crate) fn parse(text: &str) -> Result<Recording, SyntaxError> {
    let (text, torn) = torn(text);
    let mut lines = Lines {
        text: text.split_inclusive('\n').enumerate().peekable(),
    };
    let head = head(&mut lines)?;
    let mut entries: Vec<Entry> = Vec::new();
    let mut room = LONGEST;
    let mut end = None;
    while let Some((number, line)) = lines.next() {
        if line.starts_with("end ") || line.starts_with("cut ") {
            end = Some(last(number, line, entries.len())?);
            if let Some((number, line)) = lines.next() {
                return Err(wrong(number, 0, "nothing after the last line", line));
            }
            break;
        }
        let (broken, at, width) = prefix(number, line)?;
        let earlier = entries.last().map_or(Duration::ZERO, |entry| entry.at);
        if at < earlier {
            return Err(wrong(
                number,
                2,
                "a time that is not before the last one",
                line,
            ));
        }
        // The alternatives of a step are on lines without a time.
        let mut step = line.get(width..).unwrap_or_default().to_owned();
        while let Some((_, more)) = lines.next_if(|line| line.starts_with(CONTINUED)) {
            step.push('\n');
            step.push_str(more.get(width..).unwrap_or_default());
        }
        let step = parse_step(&step).map_err(|error| SyntaxError {
            line: number + error.line - 1,
            column: width + error.column,
            ..error
        })?;
        let wanted = |expected: &str| wrong(number, width, expected, line);
        match weight(&step) {
            None if !broken => return Err(wanted("values, no variables")),
            size => {
                room = room
                    .checked_sub(size.unwrap_or(0))
                    .ok_or_else(|| wanted(TOO_MUCH))?
            }
        }
        entries.push(Entry { at, step, broken });
    }
    let upto = entries.last().map_or(Duration::ZERO, |entry| entry.at);
    let upto = upto.as_secs_f64();
    let cut = match (end, torn) {
        (Some(cut), _) => cut.map(|cut| format!("after {upto:.6} s {cut}")),
        (None, Some(number)) => Some(format!(
            "line {number} is cut in its middle; what came after {upto:.6} s is missing"
        )),
        (None, None) => Some(format!(
            "its last line is missing, which begins with `end`; what came after {upto:.6} s is not in it"
        )),
    };
    Ok(Recording { head, entries, cut })
}

/// The text before a step that is cut in the middle of a line, and the number of that line.
fn torn(text: &str) -> (&str, Option<usize>) {
    let whole = text.rfind('\n').map_or(0, |at| at + 1);
    let (before, rest) = text.split_at(whole);
    // Only the last line may lack its line end.
    if rest.is_empty() || before.is_empty() || rest.starts_with("end ") && rest.ends_with(" steps")
    {
        return (text, None);
    }
    let number = before.lines().count() + 1;
    let mut before = before;
    if rest.starts_with(CONTINUED) {
        // One of the alternatives of a step, whose first line has a time.
        let lines = before.split_inclusive('\n').rev();
        let mut length = 0;
        for line in lines {
            length += line.len();
            if !line.starts_with(CONTINUED) {
                break;
            }
        }
        before = before.get(..before.len() - length).unwrap_or_default();
    }
    (before, Some(number))
}

/// The begin of a line without a time: an alternative of a step.
const CONTINUED: &str = "              ";

/// What is missing according to the last line; `found` steps come before it.
fn last(number: usize, line: &str, found: usize) -> Result<Option<String>, SyntaxError> {
    let miss = || {
        let expected = "`end N steps`, or `cut N steps, N more are missing: WHY`";
        wrong(number, 0, expected, line)
    };
    let (key, rest) = line.split_at(3);
    let (steps, rest) = rest.trim_start().split_once(" steps").ok_or_else(miss)?;
    let steps: usize = steps.parse().map_err(|_| miss())?;
    if steps < found {
        let expected = format!("at most {steps} steps before it, not {found}");
        return Err(wrong(number, 0, &expected, line));
    }
    let told = match (key, rest) {
        ("end", "") => None,
        ("cut", rest) => Some(rest.strip_prefix(", ").ok_or_else(miss)?.to_owned()),
        _ => return Err(miss()),
    };
    Ok(match (steps - found, told) {
        (0, told) => told,
        (gone, None) => Some(format!("{gone} of its {steps} steps are missing")),
        (gone, Some(told)) => Some(format!(
            "{gone} of its {steps} steps are missing, and {told}"
        )),
    })
}

const TOO_MUCH: &str = "at most 256 MiB of bytes in all";

/// How many bytes a step has; `None` if it contains variables.
fn weight(step: &Step) -> Option<usize> {
    let template = |template: &Template| {
        let length = template
            .pieces()
            .iter()
            .try_fold(0_usize, |sum, piece| match piece {
                Piece::Bytes(bytes) => Some(sum + bytes.len()),
                Piece::Var(_) | Piece::Near(..) => None,
            })?;
        Some(length.saturating_mul(usize::try_from(template.times()).unwrap_or(usize::MAX)))
    };
    let sum = |templates: &[Template]| {
        templates
            .iter()
            .try_fold(0_usize, |sum, one| Some(sum.saturating_add(template(one)?)))
    };
    match &step.action {
        Action::Send(message) | Action::Expect(Expectation::Message(message)) => {
            let mut fields = message.fields.iter().map(|field| match field {
                Field::Text(text) => template(text),
                Field::Bind(_) | Field::Any => None,
            });
            fields.try_fold(0_usize, |sum, one| Some(sum.saturating_add(one?)))
        }
        Action::SendRaw(parts) | Action::SendEvery(_, parts) => sum(parts),
        Action::SendDrip(bytes)
        | Action::SendSlow(bytes)
        | Action::Expect(Expectation::Raw(bytes)) => template(bytes),
        Action::SendRandom(bulk) | Action::Expect(Expectation::Random(bulk)) => {
            usize::try_from(bulk.bytes).ok()
        }
        Action::Connect(Endpoint::Port(one)) | Action::Refused(one) | Action::Accept(Some(one)) => {
            template(one)
        }
        _ => Some(0),
    }
}

struct Lines<'a, I: Iterator<Item = (usize, &'a str)>> {
    text: std::iter::Peekable<I>,
}

impl<'a, I: Iterator<Item = (usize, &'a str)>> Lines<'a, I> {
    fn next(&mut self) -> Option<(usize, &'a str)> {
        self.next_if(|_| true)
    }

    /// Its number, counted from 1, and its text without the line end.
    fn next_if(&mut self, wanted: impl Fn(&str) -> bool) -> Option<(usize, &'a str)> {
        let found = self.text.next_if(|(_, line)| wanted(line));
        found.map(|(index, line)| (index + 1, line.strip_suffix('\n').unwrap_or(line)))
    }

    fn value<T>(
        &mut self,
        key: &str,
        expected: &str,
        read: impl Fn(&str) -> Option<T>,
    ) -> Result<T, SyntaxError> {
        let (number, line) = self.next().unwrap_or((1, ""));
        let rest = line.strip_prefix(key).filter(|rest| rest.starts_with(' '));
        let Some(rest) = rest else {
            return Err(wrong(number, 0, &format!("`{key}`"), line));
        };
        let value = rest.trim_start();
        let column = line.len() - value.len();
        read(value).ok_or_else(|| wrong(number, column, expected, line))
    }
}

fn head<'a>(
    lines: &mut Lines<'a, impl Iterator<Item = (usize, &'a str)>>,
) -> Result<Head, SyntaxError> {
    let version = format!("version {VERSION} of the format");
    lines.value("recording", &version, |text| {
        (text == VERSION.to_string()).then_some(())
    })?;
    let title = lines.value("title", "what was recorded", |text| {
        (!text.is_empty() && !text.contains('\r')).then(|| text.to_owned())
    })?;
    let source = lines.value("role", "`server`, `client`, `pair` or `tap`", source)?;
    let over = lines.value("over", "`plain` or `tls`", |text| {
        let mut all = Transport::ALL.into_iter();
        all.find(|one| one.to_string() == text)
    })?;
    let server = match lines.text.peek() {
        Some((_, line)) if line.starts_with("server ") => {
            let address = |text: &str| text.parse::<SocketAddr>().ok();
            Some(lines.value("server", "an address such as 127.0.0.1:10000", address)?)
        }
        _ => None,
    };
    let began = "a time such as 2026-11-23T10:20:30.123456Z";
    let began = lines.value("began", began, |text| {
        let time = DateTime::parse_from_rfc3339(text).ok()?;
        Some(time.with_timezone(&Utc))
    })?;
    match lines.next() {
        None | Some((_, "")) => {}
        Some((number, line)) => {
            return Err(wrong(number, 0, "an empty line below the header", line));
        }
    }
    Ok(Head {
        title,
        source,
        over,
        server,
        began,
    })
}

fn source(text: &str) -> Option<Source> {
    let roles = [Role::Server, Role::Client, Role::Pair].map(Source::Case);
    let mut all = roles.into_iter().chain([Source::Tap]);
    all.find(|one| one.to_string() == text)
}

/// Whether the step failed, its time, and where it begins.
fn prefix(number: usize, line: &str) -> Result<(bool, Duration, usize), SyntaxError> {
    let broken = line.starts_with("! ");
    if !broken && !line.starts_with("  ") {
        return Err(wrong(number, 0, "two blanks, or `!` and a blank", line));
    }
    let text = line.get(2..).unwrap_or_default();
    let start = line.len() - text.trim_start().len();
    let expected = "a time such as 12.345678";
    let miss = || wrong(number, start, expected, line);
    let time = line.get(start..).unwrap_or_default();
    let time = time.split(' ').next().unwrap_or_default();
    let (seconds, micros) = time.split_once('.').ok_or_else(miss)?;
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(seconds) || !digits(micros) || micros.len() != 6 {
        return Err(miss());
    }
    let seconds = seconds.parse().map_err(|_| miss())?;
    let micros: u32 = micros.parse().map_err(|_| miss())?;
    let after = start + time.len();
    let Some(step) = line.get(after..).and_then(|rest| rest.strip_prefix("  ")) else {
        return Err(wrong(number, after, "two blanks after the time", line));
    };
    let at = Duration::new(seconds, micros * 1000);
    Ok((broken, at, line.len() - step.len()))
}

/// `column` is counted from 0.
fn wrong(line: usize, column: usize, expected: &str, text: &str) -> SyntaxError {
    let rest = text.get(column..).unwrap_or_default();
    let found = match rest.split_whitespace().next() {
        None => "the end of the line".to_owned(),
        Some(word) => format!("`{word}`"),
    };
    SyntaxError {
        line,
        column: column + 1,
        expected: expected.to_owned(),
        found,
    }
}
