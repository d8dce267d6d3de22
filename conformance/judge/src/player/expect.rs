//! The steps that wait.

use std::time::{Duration, Instant};

use netroxy_specification::message::{
    ARS, Decoded, FieldName, MAP, SRQ, SRS, Shape, first_message,
};
use netroxy_specification::notation::ast::{
    Action, Expectation, Field, Low, Message, Step, Template,
};

use super::mismatch::{Mismatch, Seen, Untimely};
use super::passed::{Begun, Passed, is_word, pass_over};
use super::pattern::{FieldPattern, Fit, Pattern, fill};
use super::scene::Scene;
use super::state::{Actor, Player};
use crate::note::Note;
use crate::times::{LINGER, PROBE, PROBE_SELDOM};
use crate::transcript;
use crate::wire::{End, State, transfer};

/// The time in which something has to come.
#[derive(Debug, Clone, Copy)]
pub(super) struct Window {
    /// The lower bound, and its length, counted from our last act.
    not_before: Option<(Instant, Duration)>,
    /// The upper bound, or the deadline.
    pub(super) until: Instant,
    /// Whether the case sets `until`. Otherwise it is a deadline of the suite, and what comes later is not too late.
    bounded: bool,
    /// What comes too early is a remark, not a failure.
    lenient: bool,
}

impl Window {
    /// The lower bound, or now if that is later or there is none.
    pub(super) fn begins(&self, now: Instant) -> Instant {
        self.not_before.map_or(now, |(low, _)| low.max(now))
    }

    /// Whether something that came at this time came too late.
    pub(super) fn missed(&self, came: Instant) -> bool {
        self.bounded && came > self.until
    }

    /// Checks the time at which something came. `Ok` has what is remarked, if it came too early and the window is
    /// lenient.
    ///
    /// # Errors
    /// If it came too early or too late.
    pub(super) fn check(&self, came: Instant) -> Result<Option<Untimely>, Untimely> {
        match self.not_before {
            Some((earliest, low)) if came < earliest => {
                let early = Untimely::Early {
                    by: earliest.duration_since(came),
                    low,
                };
                match self.lenient {
                    true => Ok(Some(early)),
                    false => Err(early),
                }
            }
            // It can have come before an earlier step on another connection ended, so the inbox had it at once.
            _ if self.missed(came) => Err(Untimely::Late(came.duration_since(self.until))),
            _ => Ok(None),
        }
    }
}

impl Player<'_> {
    /// Waits until one of the expectations comes true, and returns its index.
    ///
    /// Each expectation becomes a pattern, and the step gets a window. At each arrival the inbox drops the messages
    /// that the step passes over, then compares the unread bytes with each pattern; the first that fits wins. If none
    /// can fit any more, the step fails before its window ends. If the window ends, the step fails too, unless one
    /// alternative is silence: then a fence proves the silence where it can, and else the end of the window counts. The
    /// bytes that fit are taken, their time is checked against the window, and after an end the other direction has to
    /// end as well.
    pub(super) async fn expect(
        &mut self,
        step: &Step,
        expectations: &[Expectation],
    ) -> Result<usize, Mismatch> {
        if expectations == [Expectation::Stalled] {
            self.stalled(&step.actor).await?;
            return Ok(0);
        }
        if let [Expectation::Random(bulk)] = expectations {
            // Its future is large, and most steps do not need it.
            Box::pin(self.bulk(step, *bulk)).await?;
            return Ok(0);
        }
        self.connection(&step.actor)?.resume();
        let bare = self.actor(&step.actor)?.bare;
        let patterns: Result<Vec<_>, _> = expectations
            .iter()
            .map(|one| match one {
                Expectation::Closed if bare => Ok(Pattern::ClosedByTls),
                one => Pattern::new(one, &self.vars),
            })
            .collect();
        let patterns = patterns?;
        let window = self.window(step, &patterns);
        let begun = Instant::now();
        if patterns == [Pattern::Silence] {
            let lasts = self.lasts(&step.actor, window.not_before);
            self.silence(&step.actor, lasts).await?;
            return Ok(0);
        }
        let inbox = self.connection(&step.actor)?.inbox.clone();
        let ignored = self.passed_over(&step.actor, &patterns)?;
        let mut passed_over = Vec::new();
        let look = |state: &mut State| match pass_over(state, &ignored, &mut passed_over) {
            Begun::Yes => found_already(&patterns, state),
            Begun::No => choose(&patterns, state),
        };
        let found = inbox.wait(window.until, look).await;
        self.record_ignored(&step.actor, &passed_over);
        let (index, length) = match found {
            Some(Choice::Found(index, length)) => (index, length),
            Some(Choice::Impossible) => {
                self.cut = inbox.look(|state| is_cut(&patterns, state));
                return Err(inbox.look(|state| difference(&patterns, state)));
            }
            None => {
                let waited = window.until.saturating_duration_since(begun);
                let Some(silence) = patterns
                    .iter()
                    .position(|pattern| *pattern == Pattern::Silence)
                else {
                    let got = inbox.look(|state| missing(&patterns, state, waited));
                    return Err(self.in_vain(got));
                };
                // If the machine stood still, the peer may have sent another alternative in time.
                self.late_if(window.bounded);
                let askable = self.can_fence() || step.within.is_none();
                if askable && self.dial.is_zero() {
                    let Err(why) = self.silence(&step.actor, None).await else {
                        return Ok(silence);
                    };
                    // Another alternative can come true during the fence.
                    match inbox.look(|state| choose(&patterns, state)) {
                        // It came later than the case allows, so it does not count.
                        Some(Choice::Found(..)) if window.bounded => return Ok(silence),
                        Some(Choice::Found(index, length)) => (index, length),
                        Some(Choice::Impossible) | None => return Err(why),
                    }
                } else {
                    // No fence works on a client that is not logged in, or that may wait for a target that does not
                    // answer. The end of the window decides instead.
                    let seen = Action::Expect(Expectation::Silence);
                    self.transcript.add(&step.actor, seen, None);
                    return Ok(silence);
                }
            }
        };
        let (came, bytes, end) =
            inbox.look(|state| (state.came(length), state.take(length), state.end.clone()));
        self.received(
            &step.actor,
            &expectations[index],
            &patterns[index],
            &bytes,
            end.as_ref(),
        );
        let ends = matches!(patterns[index], Pattern::Closed | Pattern::ClosedByTls);
        let came = if ends {
            inbox.look(|state| state.came(0))
        } else {
            came
        };
        if let Some(came) = came {
            self.transcript.came(came);
        }
        self.late_if(came.is_some_and(|came| window.missed(came)));
        let early = came.map_or(Ok(None), |came| window.check(came))?;
        self.early = early.map(|early| early.to_string());
        if ends && matches!(end, Some(End::Eof | End::Cut)) {
            self.both_directions(&step.actor).await?;
        }
        Ok(index)
    }

    /// Proves that a peer that has ended its direction takes no more bytes either: only then has it closed.
    ///
    /// A peer that still takes bytes has only half-closed. A tunnel may need several bytes: the peer may learn from the
    /// first one that the connection on its other side is gone.
    async fn both_directions(&mut self, name: &str) -> Result<(), Mismatch> {
        // The peer may read for a while after its FIN, so that a reset does not destroy its last bytes.
        let limit = LINGER.mul_f64(self.scale.max(1.0));
        let until = Instant::now() + limit;
        let (mut probes, mut pause) = (0, PROBE);
        while self.connection(name)?.probe(limit).await.is_ok() {
            probes += 1;
            if Instant::now() >= until {
                return Err(self.in_vain(format!(
                    "it has ended its own direction only: {probes} bytes in {:.1} s were still taken",
                    limit.as_secs_f64()
                )));
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PROBE_SELDOM);
        }
        Ok(())
    }

    /// The words of the messages that this step passes over: those that the case ignores, the answers to `keep`, and
    /// the SRQ of a client. A client may send SRQ at any time after its login, before its first MAP too.
    pub(super) fn passed_over(
        &mut self,
        name: &str,
        patterns: &[Pattern],
    ) -> Result<Vec<String>, Mismatch> {
        let client = matches!(self.scene, Scene::Client(_));
        let wants = |wanted: &Shape| {
            let is =
                |one: &Pattern| matches!(one, Pattern::Message { word, .. } if wanted.is(word));
            patterns.iter().any(is)
        };
        let actor = self.actor(name)?;
        let mut words = actor.ignored.clone();
        let logged_in = actor.logged_in;
        words.extend(self.kept_word(name).map(str::to_owned));
        if client && (logged_in || wants(&MAP)) && !wants(&SRQ) {
            words.push(SRQ.word.to_owned());
        }
        Ok(words)
    }

    pub(super) fn record_ignored(&mut self, name: &str, passed_over: &[Passed]) {
        for (seen, came) in passed_over {
            let kept = self.kept_word(name);
            let is_kept = kept.is_some_and(|word| is_word(seen, word));
            if is_kept && kept == Some(SRS.word) {
                self.note_kept(name, true);
            }
            let seen = Action::Expect(seen.clone());
            self.transcript.add(name, seen, Some(Note::Ignored));
            came.iter().for_each(|came| self.transcript.came(*came));
            if is_kept && kept == Some(SRQ.word) {
                self.note_kept(name, true);
            }
        }
    }

    /// Adds to the transcript what was sent to keep connections alive and has no answer yet.
    fn record_kept(&mut self) {
        let names: Vec<String> = self.actors.keys().cloned().collect();
        names.iter().for_each(|name| self.note_kept(name, false));
    }

    /// The bounds of a step.
    ///
    /// The lower bound counts from the last time that we sent on the connection, because the peer cannot have received
    /// it any earlier. If we have sent nothing on it, it counts from our last act on any connection, or from the
    /// opening if there was none, less some slack. The upper bound counts from the last event on the connection, plus
    /// some slack for the machine. If the client sent nothing on a connection that was accepted, it counts from the
    /// opening instead. Without bounds the step waits as long as such an answer may take, plus the time of a transfer.
    pub(super) fn window(&self, step: &Step, patterns: &[Pattern]) -> Window {
        // A new connection has no earlier events. Those of an older connection of this name do not count.
        let actor = match step.action {
            Action::Accept(_) | Action::AcceptAs(_) => None,
            _ => self.actors.get(&step.actor),
        };
        let opened = |actor: &Actor| match self.acted {
            true => self.last_sent,
            // The client opened it before our first act.
            false => actor.begun,
        };
        let own = actor.and_then(|actor| actor.connection.as_ref()?.last_sent);
        // If we sent nothing on it, the peer acted first. On a busy machine we see its act later than it happened.
        let unseen = match (actor, own) {
            (Some(_), None) => self.tempo.slack(),
            _ => Duration::ZERO,
        };
        let sent = own.unwrap_or_else(|| actor.map_or(self.last_sent, opened));
        let mute_since = actor.and_then(|actor| actor.mute_since);
        let event = actor.map_or(self.last_event, |actor| actor.last_event);
        let event = mute_since.unwrap_or(event);
        let ms = |ms: u32| Duration::from_millis(ms.into());
        let low = step.within.and_then(|within| within.low);
        let low = low.map(|low| match low {
            Low::Ms(low) => ms(low),
            Low::Still => self.still,
        });
        let until = match step.within {
            Some(within) => match within.high {
                Some(high) => event + ms(high) + self.tempo.slack(),
                None => event + low.unwrap_or_default() + self.limit(),
            },
            None => {
                let longest = patterns.iter().map(Pattern::length).max().unwrap_or(0);
                // A transfer takes time. A run with a small time scale does not shorten it.
                let limit = self.answer_limit(&step.actor, patterns);
                let from = mute_since.unwrap_or_else(Instant::now);
                from + limit + transfer(longest).mul_f64(self.scale.max(1.0))
            }
        };
        let bounded = step.within.is_some_and(|within| within.high.is_some());
        Window {
            not_before: low.map(|low| (sent + low.saturating_sub(unseen), low)),
            until,
            bounded,
            lenient: step.within.is_some_and(|within| within.lenient),
        }
    }

    /// Adds what has arrived and no step has read to the transcript.
    pub(super) fn record_unread(&mut self) {
        self.record_kept();
        for (name, actor) in &self.actors {
            let Some(connection) = &actor.connection else {
                continue;
            };
            let (bytes, end) = connection
                .inbox
                .look(|state| (state.unread().to_vec(), state.end.clone()));
            let (more, bytes) = (bytes.len(), &bytes[..bytes.len().min(SHOWN)]);
            let more = more - bytes.len();
            let note = Some(Note::Unread { more });
            if !bytes.is_empty() {
                let action = match first_message(bytes) {
                    Decoded::Whole { lines, length } if length == bytes.len() => {
                        Expectation::Message(transcript::message(&lines))
                    }
                    Decoded::Whole { .. } | Decoded::Partial | Decoded::Unknown => {
                        Expectation::Raw(Template::bytes(bytes))
                    }
                };
                self.transcript
                    .add(name, Action::Expect(action), note.clone());
                let rest = connection
                    .inbox
                    .look(|state| state.unread().get(SHOWN..).map(<[u8]>::to_vec));
                if let Some(rest) = rest.filter(|rest| !rest.is_empty()) {
                    let rest = Expectation::Raw(Template::bytes(rest));
                    self.transcript.add_unshown(name, Action::Expect(rest));
                }
            }
            if let Some(end) = end {
                self.transcript.add(
                    name,
                    Action::Expect(Expectation::Closed),
                    Some(Note::Ended(end)),
                );
            }
        }
    }

    /// Adds what has arrived by the end of a case and no step has read to the transcript. Reports do not show it.
    pub(super) fn record_left(&mut self) {
        let names: Vec<String> = self.actors.keys().cloned().collect();
        for name in &names {
            let Some(actor) = self.actors.get(name) else {
                continue;
            };
            let Some(connection) = &actor.connection else {
                self.note_kept(name, false);
                continue;
            };
            let kept = actor.kept.is_some();
            let (left, end, ended) = connection.inbox.look(|state| {
                let bytes = state.unread();
                let mut pieces = Vec::new();
                let mut from = 0;
                while from < bytes.len() {
                    // The messages that keep a connection alive came one by one, and the check of a recording uses
                    // their times.
                    let length = match first_message(&bytes[from..]) {
                        Decoded::Whole { length, .. } if kept => length,
                        _ => bytes.len() - from,
                    };
                    let piece = bytes[from..from + length].to_vec();
                    from += length;
                    pieces.push((piece, state.came(from)));
                }
                (pieces, state.end.clone(), state.came(0))
            });
            let known = self.transcript.knows_end(name);
            for (bytes, came) in left {
                // The times of a transcript never go back, so our message that belongs to it is added first.
                self.note_kept(name, true);
                let bytes = Expectation::Raw(Template::bytes(bytes));
                self.transcript.add_unshown(name, Action::Expect(bytes));
                came.into_iter().for_each(|came| self.transcript.came(came));
            }
            self.note_kept(name, false);
            let end = match end {
                Some(End::Eof) => Expectation::Eof,
                Some(End::Cut | End::Broken(_)) => Expectation::Closed,
                Some(End::Garbled(_) | End::Flooded) | None => continue,
            };
            if !known {
                self.transcript.add_unshown(name, Action::Expect(end));
                ended
                    .into_iter()
                    .for_each(|ended| self.transcript.came(ended));
            }
        }
    }

    fn received(
        &mut self,
        actor: &str,
        wanted: &Expectation,
        pattern: &Pattern,
        bytes: &[u8],
        end: Option<&End>,
    ) {
        let (seen, note) = match pattern {
            Pattern::Message { fields, .. } => {
                let Decoded::Whole { lines, .. } = first_message(bytes) else {
                    return;
                };
                for (field, value) in fields.iter().zip(lines.iter().skip(1)) {
                    if let FieldPattern::Bind(name) = field {
                        self.vars.insert(name.clone(), value.clone());
                    }
                }
                let message = transcript::message(&lines);
                self.learn(actor, &message);
                (Expectation::Message(message), None)
            }
            Pattern::Closed | Pattern::ClosedByTls | Pattern::Eof | Pattern::Reset => {
                let alert = (!bytes.is_empty()).then_some(Note::Alert);
                (
                    wanted.clone(),
                    alert.or_else(|| end.cloned().map(Note::Ended)),
                )
            }
            Pattern::Bytes(bytes) => match wanted {
                Expectation::Random(bulk) => (Expectation::Random(*bulk), None),
                _ => (Expectation::Raw(Template::bytes(bytes.clone())), None),
            },
            Pattern::Silence => (Expectation::Silence, None),
            Pattern::Stalled => (Expectation::Stalled, None),
        };
        self.transcript.add(actor, Action::Expect(seen), note);
    }

    /// Updates the state of the connection from a message: login, timeout, and the ports that a fence can use.
    pub(super) fn learn(&mut self, actor: &str, message: &Message) {
        let field = |name| match message.field(name) {
            Some(Field::Text(text)) => fill(text, &self.vars).unwrap_or_default(),
            _ => Vec::new(),
        };
        if let Scene::Client(scene) = &self.scene {
            let port = field(FieldName::Port);
            let usable = message.is(&MAP)
                && field(FieldName::IsOpen) == b"true"
                && scene.target_of(&port).is_some();
            if usable && !self.fence_ports.contains(&port) {
                self.fence_ports.push(port);
            }
        }
        // A client sends MAP only after its login has succeeded.
        let maps = matches!(self.scene, Scene::Client(_)) && message.is(&MAP);
        if (maps || message.is(&ARS) && field(FieldName::IsOk) == b"true")
            && let Some(actor) = self.actors.get_mut(actor)
        {
            actor.logged_in = true;
            let seconds = String::from_utf8_lossy(&field(FieldName::Timeout))
                .parse()
                .ok();
            actor.timeout = seconds.map(Duration::from_secs);
        }
    }
}

/// How many bytes that no step has read a report shows.
const SHOWN: usize = 4096;

enum Choice {
    Found(usize, usize),
    Impossible,
}

/// The first pattern that fits, or that none can fit any more; `None` if more bytes decide.
fn choose(patterns: &[Pattern], state: &State) -> Option<Choice> {
    let possible = |pattern: &Pattern| pattern.fit(state) != Fit::No;
    let impossible = || (!patterns.iter().any(possible)).then_some(Choice::Impossible);
    found_already(patterns, state).or_else(impossible)
}

/// Whether the step waited for an orderly end, and a FIN without close_notify came.
fn is_cut(patterns: &[Pattern], state: &State) -> bool {
    patterns.contains(&Pattern::Eof) && state.unread().is_empty() && state.end == Some(End::Cut)
}

/// The first pattern that fits.
fn found_already(patterns: &[Pattern], state: &State) -> Option<Choice> {
    let fits = patterns.iter().map(|pattern| pattern.fit(state));
    fits.enumerate().find_map(|(index, fit)| match fit {
        Fit::Yes(length) => Some(Choice::Found(index, length)),
        Fit::Maybe | Fit::No => None,
    })
}

fn difference(patterns: &[Pattern], state: &State) -> Mismatch {
    let [Pattern::Bytes(bytes)] = patterns else {
        return Seen::of(state).into();
    };
    let common = state
        .unread()
        .iter()
        .zip(bytes)
        .take_while(|(got, wanted)| got == wanted)
        .count();
    let total = bytes.len();
    match (common, state.unread().get(common)) {
        (0, _) => Seen::of(state).into(),
        (_, Some(_)) => format!("byte {common} of {total} differs").into(),
        (got, None) => Mismatch::EndedAfter {
            got,
            total,
            end: None,
        },
    }
}

fn missing(patterns: &[Pattern], state: &State, waited: Duration) -> Mismatch {
    let waited_s = waited.as_secs_f64();
    match (patterns, state.unread().len()) {
        (_, 0) => format!("nothing in {waited_s:.1} s; the connection is open").into(),
        ([Pattern::Bytes(bytes)], got) => {
            format!("{got} of {} bytes in {waited_s:.1} s", bytes.len()).into()
        }
        _ => Mismatch::Incomplete {
            seen: Seen::of(state),
            waited,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_bound_of_the_case_makes_something_too_late() {
        let until = Instant::now();
        let later = until + Duration::from_millis(1500);
        let window = |bounded| Window {
            not_before: None,
            until,
            bounded,
            lenient: false,
        };
        assert_eq!(window(true).check(until), Ok(None));
        let late = window(true).check(later);
        assert_eq!(late.unwrap_err().to_string(), "it came 1.500 s too late");
        assert_eq!(window(false).check(later), Ok(None));
        assert!(window(true).missed(later) && !window(false).missed(later));
    }

    #[test]
    fn only_what_comes_before_the_lower_bound_is_too_early() {
        let (bound, low) = (Instant::now(), Duration::from_secs(1));
        let early = bound.checked_sub(Duration::from_millis(250)).unwrap();
        let window = |lenient| Window {
            not_before: Some((bound, low)),
            until: bound + low,
            bounded: true,
            lenient,
        };
        assert_eq!(window(false).check(bound), Ok(None));
        let told = "it came 0.250 s too early: not before 1 s after our last act";
        let untimely = window(false).check(early).unwrap_err();
        assert_eq!(untimely.to_string(), told);
        assert_eq!(window(true).check(early), Ok(Some(untimely)));
    }
}
