//! What has happened, written in the notation of the cases, with times.

use std::time::{Duration, Instant};

use crate::notation::ast::{Action, Expectation, Field, Message, Step, Template};
use crate::notation::print_step;

/// The recording of one case.
#[derive(Debug, Clone)]
pub(crate) struct Transcript {
    started: Instant,
    entries: Vec<Entry>,
}

/// One line of a recording.
#[derive(Debug, Clone)]
struct Entry {
    at: Duration,
    step: Step,
    broken: bool,
}

impl Transcript {
    /// Starts now.
    pub(crate) fn new() -> Self {
        Self {
            started: Instant::now(),
            entries: Vec::new(),
        }
    }

    /// Adds what has happened just now.
    pub(crate) fn add(&mut self, actor: &str, action: Action, comment: Option<String>) {
        let step = Step {
            actor: actor.to_owned(),
            action,
            within: None,
            marks: Vec::new(),
            comment,
        };
        self.entries.push(Entry {
            at: self.started.elapsed(),
            step,
            broken: false,
        });
    }

    /// Adds the step that did not come true.
    pub(crate) fn add_broken(&mut self, step: &Step) {
        self.entries.push(Entry {
            at: self.started.elapsed(),
            step: step.clone(),
            broken: true,
        });
    }

    /// What has happened, in order, as reports show it.
    pub(crate) fn lines(&self) -> Vec<Line> {
        self.entries.iter().map(Entry::line).collect()
    }
}

/// A line of a recording, ready to be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    /// Since the start of the case.
    pub(crate) at: Duration,
    /// The name of the connection.
    pub(crate) actor: String,
    /// Who has acted, where it is one of both.
    pub(crate) direction: Option<Direction>,
    /// The verb and what follows it, in the notation.
    pub(crate) text: String,
    /// The rules that the step judges.
    pub(crate) rules: Vec<String>,
    /// It did not come true.
    pub(crate) broken: bool,
    /// The comment.
    pub(crate) note: Option<String>,
    /// All of it but the time, in the notation.
    pub(crate) step: String,
}

/// Who has acted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    /// The suite has done something to the judged program.
    Sent,
    /// The judged program has done something, or should have.
    Received,
}

impl Entry {
    fn line(&self) -> Line {
        let step = shortened(&self.step);
        let bare = Step {
            actor: String::new(),
            marks: Vec::new(),
            comment: None,
            ..step.clone()
        };
        Line {
            at: self.at,
            actor: step.actor.clone(),
            direction: direction(&step.action),
            text: print_step(&bare).trim_start().to_owned(),
            rules: step.marks.clone(),
            broken: self.broken,
            step: print_step(&step),
            note: step.comment,
        }
    }
}

fn direction(action: &Action) -> Option<Direction> {
    match action {
        Action::Connect(_)
        | Action::Send(_)
        | Action::SendRaw(_)
        | Action::SendDrip(_)
        | Action::SendRandom(_)
        | Action::Shutdown
        | Action::Close
        | Action::Reset
        | Action::Restart => Some(Direction::Sent),
        Action::Refused(_)
        | Action::Accept(_)
        | Action::AcceptDrip
        | Action::Distrusts
        | Action::Expect(_)
        | Action::OneOf(_) => Some(Direction::Received),
        Action::Ignore(_) | Action::Pause | Action::Down(_) => None,
    }
}

/// A message as it was sent or received.
pub(crate) fn message(lines: &[Vec<u8>]) -> Message {
    let (word, fields) = lines
        .split_first()
        .map_or((&[][..], &[][..]), |(word, fields)| {
            (word.as_slice(), fields)
        });
    let fields = fields
        .iter()
        .map(|field| Field::Text(Template::bytes(field.as_slice())));
    Message {
        word: String::from_utf8_lossy(word).into_owned(),
        fields: fields.collect(),
    }
}

/// Bytes that a line of a report has room for.
const ROOM: usize = 64;

/// A step whose long strings are cut; a comment tells how long they are.
pub(crate) fn shortened(step: &Step) -> Step {
    let mut step = step.clone();
    let mut longest = 0;
    let mut cut = |template: &mut Template| {
        let bytes: Option<Vec<u8>> =
            template
                .pieces()
                .iter()
                .try_fold(Vec::new(), |mut all, piece| match piece {
                    crate::notation::ast::Piece::Bytes(bytes) => {
                        all.extend_from_slice(bytes);
                        Some(all)
                    }
                    crate::notation::ast::Piece::Var(_) => None,
                });
        if let Some(bytes) = bytes.filter(|bytes| bytes.len() > ROOM && template.times() == 1) {
            longest = longest.max(bytes.len());
            *template = Template::bytes([&bytes[..ROOM], b"..."].concat());
        }
    };
    match &mut step.action {
        Action::SendRaw(segments) => segments.iter_mut().for_each(&mut cut),
        Action::SendDrip(bytes) | Action::Expect(Expectation::Raw(bytes)) => cut(bytes),
        Action::Send(message) | Action::Expect(Expectation::Message(message)) => {
            for field in &mut message.fields {
                if let Field::Text(text) = field {
                    cut(text);
                }
            }
        }
        Action::Connect(_)
        | Action::Refused(_)
        | Action::Accept(_)
        | Action::AcceptDrip
        | Action::Distrusts
        | Action::Down(_)
        | Action::Pause
        | Action::SendRandom(_)
        | Action::Ignore(_)
        | Action::Shutdown
        | Action::Close
        | Action::Reset
        | Action::Restart
        | Action::Expect(
            Expectation::Random(_)
            | Expectation::Closed
            | Expectation::Eof
            | Expectation::Silence
            | Expectation::Stalled,
        )
        | Action::OneOf(_) => {}
    }
    if longest > 0 {
        let note = format!("cut, {longest} bytes");
        step.comment = Some(
            step.comment
                .map_or_else(|| note.clone(), |comment| format!("{comment}; {note}")),
        );
    }
    step
}
