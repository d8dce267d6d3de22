//! The transcript of a case: what happened and when, in the notation of the cases.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use chrono::{DateTime, SubsecRound as _, Utc};
use netroxy_specification::notation::ast::{
    Action, Expectation, Field, Message, Piece, Step, Template, Transport,
};
use netroxy_specification::notation::print_step;
use tokio::sync::mpsc::UnboundedSender;

use crate::note::Note;
use crate::recording::{self, Head, Recording, Source};

/// The transcript of one case.
#[derive(Debug, Clone)]
pub struct Transcript {
    started: Instant,
    /// The same moment as a date.
    began: DateTime<Utc>,
    server: Option<SocketAddr>,
    entries: Vec<Entry>,
    names: BTreeMap<String, Vec<u8>>,
    judging: Vec<String>,
    told: Option<UnboundedSender<Line>>,
}

/// One line of a transcript.
#[derive(Debug, Clone)]
struct Entry {
    at: Duration,
    /// When it was on the wire, if that is known to be earlier.
    came: Option<Duration>,
    /// What a recording contains instead of the action of the step, if that is more.
    whole: Option<Action>,
    step: Step,
    note: Option<Note>,
    judges: Vec<String>,
    broken: bool,
    /// Whether reports show it.
    shown: bool,
}

/// A line of a transcript, borrowed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Happened<'a> {
    /// The step with the values of all variables; as the case has it if it did not come true.
    pub(crate) step: &'a Step,
    /// The note on it.
    pub(crate) note: Option<&'a Note>,
    /// The rules that the step of the case judges during which it happened.
    pub(crate) judges: &'a [String],
    /// Whether it did not come true.
    pub(crate) broken: bool,
}

impl Transcript {
    /// An empty transcript that starts now.
    pub fn start() -> Self {
        Self {
            started: Instant::now(),
            began: Utc::now().trunc_subsecs(6),
            server: None,
            entries: Vec::new(),
            names: BTreeMap::new(),
            judging: Vec::new(),
            told: None,
        }
    }

    /// Also sends each line that reports show to `lines` when it is added.
    pub(crate) fn tell(&mut self, lines: Option<UnboundedSender<Line>>) {
        self.told = lines;
    }

    fn push(&mut self, entry: Entry) {
        if let Some(told) = self.told.as_ref().filter(|_| entry.shown) {
            // The receiver may have ended.
            let _ = told.send(entry.line());
        }
        self.entries.push(entry);
    }

    /// Adds variables and their values in this run.
    pub(crate) fn add_names(&mut self, names: impl IntoIterator<Item = (String, Vec<u8>)>) {
        self.names.extend(names);
    }

    /// Sets the rules that are judged by the lines which are added from now on.
    pub fn judge(&mut self, rules: &[String]) {
        self.judging = rules.to_vec();
    }

    /// Adds what happens now.
    pub fn add(&mut self, actor: &str, action: Action, note: Option<Note>) {
        self.note(actor, action, note, true);
    }

    /// Adds what reports do not show.
    pub(crate) fn add_unshown(&mut self, actor: &str, action: Action) {
        self.note(actor, action, None, false);
    }

    /// Sets when the last line was on the wire.
    pub(crate) fn came(&mut self, at: Instant) {
        let at = at.saturating_duration_since(self.started);
        if let Some(last) = self.entries.last_mut() {
            last.came = Some(at.min(last.at));
        }
    }

    fn note(&mut self, actor: &str, action: Action, note: Option<Note>, shown: bool) {
        let step = Step {
            actor: actor.to_owned(),
            action,
            within: None,
            marks: Vec::new(),
            comment: None,
        };
        self.push(Entry {
            at: self.started.elapsed(),
            came: None,
            whole: None,
            step,
            note,
            judges: self.judging.clone(),
            broken: false,
            shown,
        });
    }

    /// Adds the step that did not come true.
    pub fn add_broken(&mut self, step: &Step) {
        self.push(Entry {
            at: self.started.elapsed(),
            came: None,
            whole: None,
            step: step.clone(),
            note: None,
            judges: step.marks.clone(),
            broken: true,
            shown: true,
        });
    }

    /// The lines that reports show, in order.
    pub fn lines(&self) -> Vec<Line> {
        let shown = self.entries.iter().filter(|entry| entry.shown);
        shown.map(Entry::line).collect()
    }

    /// The lines that reports show, in the order in which they were on the wire, with times since `start`.
    pub(crate) fn lines_since(&self, start: Instant) -> Vec<Line> {
        let offset = self.started.saturating_duration_since(start);
        let shown = self.entries.iter().filter(|entry| entry.shown);
        let mut lines: Vec<Line> = shown
            .map(|entry| Line {
                at: offset + entry.came.unwrap_or(entry.at),
                ..entry.line()
            })
            .collect();
        // The broken step keeps its time: that is when it was given up, even if bytes arrived later.
        let came = lines.iter_mut().filter(|line| !line.broken);
        settle(came.map(|line| (&*line.actor, line.direction, &mut line.at)));
        lines.sort_by_key(|line| line.at);
        lines
    }

    /// Whether the peer has ended its direction of the latest connection of this name.
    pub(crate) fn knows_end(&self, actor: &str) -> bool {
        let ends = |entry: &Entry| match &entry.step.action {
            Action::Expect(Expectation::Closed | Expectation::Eof | Expectation::Reset) => {
                Some(true)
            }
            Action::Connect(_) | Action::Accept(_) | Action::AcceptAs(_) => Some(false),
            _ => None,
        };
        let own = self.entries.iter().rev();
        let own = own.filter(|entry| entry.step.actor == actor && !entry.broken);
        own.filter_map(ends).next().unwrap_or(false)
    }

    /// Sets the address of the server of the case.
    pub(crate) fn meets(&mut self, server: SocketAddr) {
        self.server = Some(server);
    }

    /// Sets what a recording contains instead of the last line, which has less.
    pub(crate) fn whole(&mut self, action: Action) {
        if let Some(last) = self.entries.last_mut() {
            last.whole = Some(action);
        }
    }

    /// The recording: all lines except the logins of fences, unabridged, in the order in which they were on the wire.
    pub fn recorded(&self, title: &str, source: Source, over: Transport) -> Recording {
        // The player does not see the login of such a fence.
        let seen = |entry: &&Entry| entry.note != Some(Note::FenceLogin);
        let mut entries: Vec<recording::Entry> = Vec::new();
        for entry in self.entries.iter().filter(seen) {
            let at = entry.came.unwrap_or(entry.at).as_micros();
            let action = entry.whole.as_ref().unwrap_or(&entry.step.action);
            entries.push(recording::Entry {
                at: Duration::from_micros(u64::try_from(at).unwrap_or(u64::MAX)),
                step: Step {
                    action: action.clone(),
                    ..entry.noted()
                },
                broken: entry.broken,
            });
        }
        settle(entries.iter_mut().map(|entry| {
            let direction = direction(&entry.step.action);
            (&*entry.step.actor, direction, &mut entry.at)
        }));
        entries.sort_by_key(|entry| entry.at);
        Recording {
            head: Head {
                title: title.to_owned(),
                source,
                over,
                server: self.server,
                began: self.began,
            },
            entries,
            cut: None,
        }
    }

    /// The lines that reports show, in order and with their values.
    pub(crate) fn happened(&self) -> impl Iterator<Item = Happened<'_>> {
        let shown = self.entries.iter().filter(|entry| entry.shown);
        shown.map(|entry| Happened {
            step: &entry.step,
            note: entry.note.as_ref(),
            judges: &entry.judges,
            broken: entry.broken,
        })
    }

    /// The variables of the case and their values when it began.
    pub(crate) fn names(&self) -> &BTreeMap<String, Vec<u8>> {
        &self.names
    }
}

/// A line of a transcript as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The time since the start of the case.
    pub at: Duration,
    /// The name of the connection.
    pub actor: String,
    /// Which side has acted; `None` if neither has.
    pub direction: Option<Direction>,
    /// The verb and what follows it, in the notation.
    pub text: String,
    /// The rules that the step judges.
    pub rules: Vec<String>,
    /// Whether it did not come true.
    pub broken: bool,
    /// The comment.
    pub note: Option<String>,
    /// The whole step in the notation, without the time.
    pub step: String,
}

/// Which side has acted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// The suite has done something to the judged program.
    Sent,
    /// The judged program has done something, or should have done it.
    Received,
}

impl Entry {
    fn line(&self) -> Line {
        line(self.at, &self.noted(), self.broken)
    }

    /// The step with its note as the comment.
    fn noted(&self) -> Step {
        let note = self.note.as_ref().map(Note::to_string);
        Step {
            comment: note.or_else(|| self.step.comment.clone()),
            ..self.step.clone()
        }
    }
}

/// A step as reports show it.
pub fn line(at: Duration, step: &Step, broken: bool) -> Line {
    let step = shortened(step);
    let bare = Step {
        actor: String::new(),
        marks: Vec::new(),
        comment: None,
        ..step.clone()
    };
    Line {
        at,
        actor: step.actor.clone(),
        direction: direction(&step.action),
        text: print_step(&bare).trim_start().to_owned(),
        rules: step.marks.clone(),
        broken,
        step: print_step(&step),
        note: step.comment,
    }
}

/// Corrects times so that the lines of one direction of a connection keep their order: no line is later than the next one.
/// The two directions do not change each other's times. A line that was sent has the exact time before it, so every answer
/// is later. What was received may have come before something was sent, although the suite has read it after that.
///
/// `times` has the actor, the direction and the time of each line, in the order in which the suite saw the lines.
fn settle<'a>(
    times: impl DoubleEndedIterator<Item = (&'a str, Option<Direction>, &'a mut Duration)>,
) {
    let mut next: BTreeMap<(&str, bool), Duration> = BTreeMap::new();
    for (actor, direction, at) in times.rev() {
        let line = (actor, direction == Some(Direction::Sent));
        let following = next.get(&line).copied();
        *at = following.map_or(*at, |following| following.min(*at));
        next.insert(line, *at);
    }
}

fn direction(action: &Action) -> Option<Direction> {
    match action {
        Action::Connect(_)
        | Action::Handshake
        | Action::Send(_)
        | Action::SendRaw(_)
        | Action::SendDrip(_)
        | Action::SendSlow(_)
        | Action::SendEvery(..)
        | Action::SendRandom(_)
        | Action::Shutdown
        | Action::Cut
        | Action::Close
        | Action::Reset
        | Action::Restart => Some(Direction::Sent),
        Action::Refused(_)
        | Action::Accept(_)
        | Action::AcceptAs(_)
        | Action::Distrusts
        | Action::TurnedAway { .. }
        | Action::Expect(_)
        | Action::OneOf(_)
        | Action::Maps(_) => Some(Direction::Received),
        Action::Ignore(_)
        | Action::Pause
        | Action::Keep
        | Action::Down(_)
        | Action::Late(_)
        | Action::Certificate(_)
        | Action::Unguessable(_) => None,
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

/// How many bytes of a string a line of a report shows.
const ROOM: usize = 64;

/// A step whose long strings are cut; a comment has the length of the longest.
pub fn shortened(step: &Step) -> Step {
    let mut step = step.clone();
    let mut longest = 0;
    for template in step.action.templates_mut() {
        let mut bytes = Vec::new();
        let whole = template.pieces().iter().all(|piece| match piece {
            Piece::Bytes(more) => {
                bytes.extend_from_slice(more);
                true
            }
            Piece::Var(_) | Piece::Near(..) => false,
        });
        if whole && bytes.len() > ROOM && template.times() == 1 {
            longest = longest.max(bytes.len());
            *template = Template::bytes([&bytes[..ROOM], b"..."].concat());
        }
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

#[cfg(test)]
mod tests {
    use netroxy_specification::notation::ast::{Endpoint, Piece};

    use super::*;

    fn ends() -> [Action; 2] {
        [Expectation::Closed, Expectation::Eof].map(Action::Expect)
    }

    #[test]
    fn an_end_is_known_until_a_new_connection_has_the_name() {
        for end in ends() {
            let mut transcript = Transcript::start();
            assert!(!transcript.knows_end("a"));
            transcript.add("a", Action::Connect(Endpoint::Server(None)), None);
            assert!(!transcript.knows_end("a"));
            transcript.add("a", end.clone(), None);
            transcript.add("a", Action::Shutdown, None);
            assert!(transcript.knows_end("a") && !transcript.knows_end("b"));
            transcript.add("a", Action::Accept(None), None);
            assert!(!transcript.knows_end("a"));
        }
    }

    #[test]
    fn a_string_longer_than_64_bytes_is_cut() {
        let shown = |template: Template| {
            let mut transcript = Transcript::start();
            transcript.add("a", Action::SendDrip(template), None);
            transcript.lines().remove(0).text
        };
        let exact = "x".repeat(ROOM);
        let whole = shown(Template::bytes(exact.as_str()));
        assert_eq!(whole, format!(">> drip \"{exact}\""));
        let cut = shown(Template::bytes(format!("{exact}y")));
        assert!(cut.starts_with(&format!(">> drip \"{exact}...\"")), "{cut}");
        // A repeated string is short in the notation, so it is not cut.
        let many = exact.into_bytes().into_iter().chain(*b"y").collect();
        let many = shown(Template::new([Piece::Bytes(many)], 3));
        assert!(many.contains("xy\"") && !many.contains("..."), "{many}");
    }

    #[test]
    fn reports_omit_unshown_lines_and_recordings_omit_fence_logins() {
        let mut transcript = Transcript::start();
        transcript.judge(&["keep.srs".to_owned()]);
        transcript.add(
            "a",
            Action::Shutdown,
            Some(Note::Unwritten("why".to_owned())),
        );
        transcript.judge(&[]);
        let [end, _] = ends();
        transcript.add_unshown("a", end);
        let fence = Some(Note::FenceLogin);
        transcript.add("fence", Action::Shutdown, fence);
        let shown: Vec<_> = transcript
            .lines()
            .into_iter()
            .map(|line| line.step)
            .collect();
        assert_eq!(shown.len(), 2, "{shown:?}");
        let judges: Vec<_> = transcript.happened().map(|one| one.judges.len()).collect();
        assert_eq!(judges, [1, 0]);
        let recording = transcript.recorded("x", Source::Tap, Transport::Plain);
        let actors: Vec<_> = recording
            .entries
            .iter()
            .map(|one| &*one.step.actor)
            .collect();
        assert_eq!(actors, ["a", "a"]);
    }

    #[test]
    fn what_came_before_a_request_is_recorded_before_it() {
        let begun = Instant::now().checked_sub(Duration::from_millis(5));
        let mut transcript = Transcript {
            started: begun.unwrap(),
            ..Transcript::start()
        };
        let seen = |word: &str| {
            let message = message(&[word.as_bytes().to_vec()]);
            Action::Expect(Expectation::Message(message))
        };
        let moment = |transcript: &Transcript, ms| transcript.started + Duration::from_millis(ms);
        transcript.add("a", Action::Send(message(&[b"SRQ".to_vec()])), None);
        transcript.came(moment(&transcript, 3));
        // The suite reads both after it has sent SRQ.
        transcript.add("a", seen("TRQ"), Some(Note::Ignored));
        transcript.came(moment(&transcript, 1));
        transcript.add("a", seen("SRS"), Some(Note::Fence));
        transcript.came(moment(&transcript, 4));
        let recording = transcript.recorded("x", Source::Tap, Transport::Plain);
        let order: Vec<_> = recording
            .entries
            .iter()
            .map(|entry| {
                let line = line(entry.at, &entry.step, entry.broken);
                (line.at.as_millis(), line.text)
            })
            .collect();
        let expected = [(1, "< TRQ"), (3, "> SRQ"), (4, "< SRS")];
        assert_eq!(order, expected.map(|(at, text)| (at, text.to_owned())));
    }
}
