//! The canonical text of a transcript: two runs in which the peer did the same have the same text.
//!
//! The text has nothing that differs from run to run. Ports, tokens, names and addresses are written as the variables
//! that have these values, or as `$token1`, `$name1` in the order in which they appear. Times are left out. Lines are
//! grouped by connection, because the order between connections depends on scheduling. Differences that no case judges
//! are written alike: how a connection was closed, whether a write to a closed connection succeeded, how bytes were cut
//! into segments. Lines that depend on when the suite looked are left out: the fences, which prove silence and are
//! repeated as often as necessary; messages that the case ignores, such as the SRQ of a client; and what no step has
//! read.

mod names;

use std::collections::BTreeMap;
use std::fmt;

use names::Names;
use netroxy_specification::message::{ARS, ATH, FieldName};
use netroxy_specification::notation::ast::{Action, Expectation, Field, Piece, Step, Template};
use netroxy_specification::notation::print_step;

use crate::note::Note;
use crate::steady::steady;
use crate::transcript::{Happened, Transcript};
use crate::verdict::{Judged, Verdict};

/// A transcript, or a whole result, without what differs from run to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Canonical {
    groups: Vec<Group>,
}

/// The lines of one connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// The name of the connection; empty for the verdict and its reason.
    pub actor: String,
    /// In the order of the transcript.
    pub lines: Vec<Line>,
}

/// A line of the notation.
#[derive(Debug, Clone, Eq)]
pub struct Line {
    /// Without times, and with variables instead of values.
    pub text: String,
    /// Its place in the transcript, over all connections.
    pub at: usize,
    /// The rules that are judged by it.
    pub judges: Vec<String>,
}

/// Lines are equal if their texts are. Their places depend on scheduling, and on the lines that are left out.
impl PartialEq for Line {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Canonical {
    /// The text of a transcript. `got` is what happened instead of its broken step.
    #[cfg(test)]
    pub(crate) fn of(transcript: &Transcript, got: Option<&str>) -> Self {
        Self::of_steps(transcript, kept(transcript), got)
    }

    fn of_steps(
        transcript: &Transcript,
        kept: Vec<(usize, Happened<'_>)>,
        got: Option<&str>,
    ) -> Self {
        let mut groups: BTreeMap<&str, Vec<(usize, Happened<'_>)>> = BTreeMap::new();
        for (at, one) in kept {
            groups.entry(&one.step.actor).or_default().push((at, one));
        }
        let mut names = Names::new(transcript.names());
        for (_, one) in groups.values().flatten() {
            learn(&mut names, &one.step.action);
        }
        let groups = groups.into_iter().map(|(actor, happened)| Group {
            actor: actor.to_owned(),
            lines: lines(&happened, &names, got),
        });
        Self {
            groups: groups.collect(),
        }
    }

    /// The text of a result: its transcript, then its verdict, reason and remarks as comments.
    pub fn of_result(judged: &Judged) -> Self {
        let transcript = judged.transcript.as_ref();
        let got = judged.broken.as_ref().map(|broken| broken.got.alike());
        let mut canonical = Self { groups: Vec::new() };
        if let Some(transcript) = transcript {
            let mut kept = kept(transcript);
            // Which step fails first when the program ends is a race.
            kept.retain(|(_, one)| !one.broken || judged.verdict != Verdict::Crash);
            canonical = Self::of_steps(transcript, kept, got.as_deref());
        }
        let known = transcript.map(|transcript| Names::new(transcript.names()));
        let mut ending = vec![(judged.verdict.name().to_owned(), Vec::new())];
        let mut add = |text: &str, judges: &[String]| {
            let text = known
                .as_ref()
                .map_or_else(|| text.to_owned(), |known| known.in_text(text));
            ending.push((steady(&text), judges.to_vec()));
        };
        if let Some(reason) = &judged.reason {
            add(&reason.to_string(), &[]);
        }
        for remark in &judged.remarks {
            add(&format!("nonstrict: {}", remark.seen), &remark.marks);
        }
        let ending = ending.into_iter().enumerate();
        canonical.groups.push(Group {
            actor: String::new(),
            lines: ending
                .map(|(index, (text, judges))| Line {
                    text: format!("# {text}"),
                    at: BEHIND + index,
                    judges,
                })
                .collect(),
        });
        canonical
    }

    /// The connections, by their names.
    pub fn groups(&self) -> &[Group] {
        &self.groups
    }
}

/// Larger than the place of any line of a transcript.
const BEHIND: usize = usize::MAX / 2;

/// The notation, with an empty line between connections.
impl fmt::Display for Canonical {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, group) in self.groups.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            for line in &group.lines {
                writeln!(f, "{}", line.text)?;
            }
        }
        Ok(())
    }
}

/// The lines that do not depend on when the suite looked, and their places.
fn kept(transcript: &Transcript) -> Vec<(usize, Happened<'_>)> {
    let mut kept = Vec::new();
    for (at, one) in transcript.happened().enumerate() {
        if one.broken {
            // The lines after it are bytes that no step has read: how many had arrived is chance.
            kept.push((at, one));
            break;
        }
        if !one.note.is_some_and(Note::is_aside) {
            kept.push((at, one));
        }
    }
    kept
}

/// Gives a variable to the token or the client name of a received message, if it has none.
fn learn(names: &mut Names, action: &Action) {
    let Action::Expect(Expectation::Message(message)) = action else {
        return;
    };
    let (name, field) = match message.shape() {
        Some(&ARS) => ("token", FieldName::Token),
        Some(&ATH) => ("name", FieldName::ClientName),
        _ => return,
    };
    if let Some(field) = message.field(field) {
        names.learn(name, literal(field));
    }
}

fn literal(field: &Field) -> Option<&[u8]> {
    match field {
        Field::Text(text) => match text.pieces() {
            [Piece::Bytes(bytes)] if text.times() == 1 => Some(bytes),
            _ => None,
        },
        Field::Bind(_) | Field::Any => None,
    }
}

/// Consecutive bytes, whose segments are joined.
enum Run {
    /// Received bytes.
    Received(Vec<u8>),
    /// Bytes that were sent one at a time. Joined, the digits of a port become its variable.
    Sent(Vec<u8>),
}

impl Run {
    fn of(one: &Happened<'_>) -> Option<Self> {
        if one.broken {
            return None;
        }
        match &one.step.action {
            Action::Expect(Expectation::Raw(bytes)) => plain(bytes).map(Self::Received),
            Action::SendRaw(segments) => match segments.as_slice() {
                [segment] => plain(segment)
                    .filter(|bytes| bytes.len() == 1)
                    .map(Self::Sent),
                _ => None,
            },
            _ => None,
        }
    }

    /// Appends `more` if it has the same direction, and returns whether it has.
    fn extend(&mut self, more: &Self) -> bool {
        match (self, more) {
            (Self::Received(before), Self::Received(more))
            | (Self::Sent(before), Self::Sent(more)) => {
                before.extend_from_slice(more);
                true
            }
            _ => false,
        }
    }

    fn action(&self) -> Action {
        match self {
            Self::Received(bytes) => {
                Action::Expect(Expectation::Raw(Template::bytes(bytes.clone())))
            }
            Self::Sent(bytes) if bytes.len() == 1 => {
                Action::SendRaw(vec![Template::bytes(bytes.clone())])
            }
            Self::Sent(bytes) => Action::SendDrip(Template::bytes(bytes.clone())),
        }
    }
}

/// The bytes of a template without variables.
fn plain(template: &Template) -> Option<Vec<u8>> {
    match template.pieces() {
        [Piece::Bytes(bytes)] => Some(bytes.clone()),
        _ => None,
    }
}

fn lines(happened: &[(usize, Happened<'_>)], names: &Names, got: Option<&str>) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    let mut run: Option<Run> = None;
    for (at, one) in happened {
        let more = Run::of(one);
        let joined = match (&mut run, &more) {
            (Some(before), Some(more)) => before.extend(more),
            _ => false,
        };
        if !joined {
            run = more;
        }
        let step = match (&run, one.broken) {
            (_, true) => broken(one.step, names, got.unwrap_or_default()),
            (Some(run), false) => came(&one.step.actor, named(run.action(), names)),
            (None, false) => came(&one.step.actor, named(one.step.action.clone(), names)),
        };
        let texts = print_step(&step);
        let (mut at, mut judges) = (*at, one.judges.to_vec());
        if joined && let Some(first) = lines.pop() {
            at = first.at;
            judges.extend(first.judges);
            judges.dedup();
        }
        lines.extend(texts.lines().map(|text| Line {
            text: text.to_owned(),
            at,
            judges: judges.clone(),
        }));
    }
    lines
}

fn came(actor: &str, action: Action) -> Step {
    Step {
        actor: actor.to_owned(),
        action,
        within: None,
        marks: Vec::new(),
        comment: None,
    }
}

fn broken(step: &Step, names: &Names, got: &str) -> Step {
    let got = steady(&names.in_text(got)).replace('\n', " ");
    Step {
        comment: Some(format!("not so: {got}")),
        ..step.clone()
    }
}

/// The action with variables instead of their values.
fn named(mut action: Action, names: &Names) -> Action {
    if let Action::Send(message) | Action::Expect(Expectation::Message(message)) = &mut action {
        for text in message.templates_mut() {
            *text = names.in_field(text);
        }
    } else {
        for template in action.templates_mut() {
            *template = names.in_template(template);
        }
    }
    action
}

#[cfg(test)]
mod tests;
