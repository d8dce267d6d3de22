//! Plays a case: does what its steps say, and compares what comes back.

mod act;
mod bulk;
mod expect;
mod fence;
mod keep;
mod maps;
mod mismatch;
mod newcomers;
mod pattern;
mod scene;
mod secrets;
mod stall;
mod turns;
mod waits;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

pub use mismatch::{Expected, Mismatch};
use netroxy_specification::notation::ast::{
    Action, Alternative, Case, Expectation, Grade, Line, Step,
};
use netroxy_specification::notation::print_action;
pub(crate) use pattern::changed;
pub(crate) use scene::{ClientScene, Scene};
use tokio::sync::mpsc::UnboundedSender;
use turns::Turns;

use crate::skip::Skip;
use crate::times::{STILL, Tempo};
use crate::transcript::{self, Transcript};
use crate::wire::{Connection, Tls};

/// What a case has come to.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// The step that did not come true, if any.
    pub(crate) broken: Option<Broken>,
    /// Alternatives that are allowed but not recommended.
    pub(crate) remarks: Vec<Remark>,
    /// The rules of the steps that have been judged, whether they came true or not.
    pub(crate) judged_rules: BTreeSet<String>,
    /// Everything that has happened.
    pub(crate) transcript: Transcript,
    /// How long the last step waited that came to what it did only because its time was over; `None` where the case
    /// passed.
    pub(crate) waited: Option<Waited>,
    /// What a client is still connected with; `None` for a server.
    pub(crate) left: Option<Left>,
    /// Why the case means nothing to this peer.
    pub(crate) skip: Option<Skip>,
}

/// A step whose time was over.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Waited {
    /// When its clock started.
    pub(crate) from: Instant,
    /// When it was given up.
    pub(crate) until: Instant,
    /// Whether the case has an upper bound for it.
    pub(crate) bounded: bool,
}

/// The surroundings of a client when its case is over.
#[derive(Debug)]
pub(crate) struct Left {
    /// Where it can connect again.
    pub(crate) scene: ClientScene,
    /// What the case has not closed.
    pub(crate) connections: Vec<Connection>,
}

/// A step that did not come true.
#[derive(Debug, Clone)]
pub struct Broken {
    /// In the case file, counted from 1.
    pub line: usize,
    /// The rules on which it rests; none for a step that only prepares others.
    pub marks: Vec<String>,
    /// What had to come true.
    pub expected: Expected,
    /// What was seen instead.
    pub got: Mismatch,
}

/// A nonstrict alternative that was seen.
#[derive(Debug, Clone)]
pub struct Remark {
    /// In the case file, counted from 1.
    pub line: usize,
    /// The rules of its step.
    pub marks: Vec<String>,
    /// What was seen.
    pub seen: String,
}

/// Plays one case in one scene.
#[derive(Debug)]
pub(crate) struct Player<'a> {
    scene: Scene<'a>,
    tls: Tls,
    tempo: Tempo,
    scale: f64,
    vars: BTreeMap<String, Vec<u8>>,
    actors: BTreeMap<String, Actor>,
    transcript: Transcript,
    remarks: Vec<Remark>,
    judged_rules: BTreeSet<String>,
    /// When we did something last, on any connection.
    last_sent: Instant,
    /// Whether we have done anything at all.
    acted: bool,
    /// How long `still` is.
    still: Duration,
    /// What a client may take longer to answer the last TRQ, because the target does not answer or refuses.
    dial: Duration,
    /// The lines of the case on which a control connection of the client is accepted.
    control: BTreeSet<usize>,
    /// When anything happened last, on any connection.
    last_event: Instant,
    /// The open mappings with a listening target that the client has asked for and that we have not refused; what we
    /// have granted comes first.
    fence_ports: Vec<Vec<u8>>,
    /// That of the step that is being played.
    clock: Waited,
    /// Whether what the step of now waits for has not come at all.
    missing: bool,
    /// The last step for which something did not come, or came too late.
    in_vain: Option<Waited>,
    /// What `$nth_port` is in each turn of a block.
    nth_ports: Vec<u16>,
    /// What outlives the turns of blocks.
    turns: Turns,
    /// Set when a step has come true as far as is allowed: before its lenient lower bound, for one.
    early: Option<String>,
    /// Set when a step wanted an orderly end of a TLS connection, and a FIN alone came.
    cut: bool,
    /// Whether the case ends one direction of a tunnel and goes on with the other.
    half_closes: bool,
    /// What nobody ought to guess, in the order in which it came.
    secrets: Vec<Vec<u8>>,
    /// Set when the case turns out to mean nothing to this peer.
    skip: Option<Skip>,
    /// What a client has opened and said nothing on.
    newcomers: newcomers::Newcomers,
    /// When a connection of a client was let in last; the first one comes before the case begins.
    let_in: Option<Instant>,
}

/// A connection that takes part.
#[derive(Debug)]
struct Actor {
    /// `None` once we have closed it.
    connection: Option<Connection>,
    /// A control connection on which a login has succeeded.
    logged_in: bool,
    /// To a TLS port without TLS.
    bare: bool,
    /// Words of messages that are passed over.
    ignored: Vec<String>,
    /// When anything happened on it last.
    last_event: Instant,
    /// When it was opened.
    begun: Instant,
    /// When it was opened, if it has been let in although the client has said nothing on it: the next step waits from
    /// then on.
    mute_since: Option<Instant>,
    /// What ARS has told a client of ours.
    timeout: Option<Duration>,
    /// Set by `keep`.
    kept: Option<keep::Kept>,
    /// What a client may take longer on it, because its target does not answer or refuses.
    dial: Duration,
}

impl<'a> Player<'a> {
    /// Nothing has happened yet; `tempo` says how long things may take.
    pub(crate) fn new(
        scene: Scene<'a>,
        tls: &Tls,
        tempo: Tempo,
        vars: BTreeMap<String, Vec<u8>>,
    ) -> Self {
        let now = Instant::now();
        let (actors, mut transcript) = (BTreeMap::new(), Transcript::start());
        transcript.add_names(vars.clone());
        if let Some(server) = scene.server() {
            transcript.meets(server);
        }
        let (last_sent, last_event) = (now, now);
        let (remarks, fence_ports) = (Vec::new(), Vec::new());
        let judged_rules = BTreeSet::new();
        Self {
            scene,
            tls: tls.clone(),
            tempo,
            scale: tempo.scale(),
            vars,
            actors,
            transcript,
            remarks,
            judged_rules,
            last_sent,
            last_event,
            acted: false,
            still: STILL,
            dial: Duration::ZERO,
            control: BTreeSet::new(),
            fence_ports,
            clock: Waited {
                from: now,
                until: now,
                bounded: false,
            },
            missing: false,
            in_vain: None,
            nth_ports: Vec::new(),
            turns: Turns::default(),
            early: None,
            cut: false,
            half_closes: false,
            secrets: Vec::new(),
            skip: None,
            newcomers: newcomers::Newcomers::default(),
            let_in: None,
        }
    }

    /// The remote ports that `$nth_port` names, one for each turn of a block.
    pub(crate) fn with_nth_ports(mut self, ports: Vec<u16>) -> Self {
        let numbered = ports.iter().zip(1..);
        let names = numbered.map(|(port, n)| (format!("nth_port{n}"), port.to_string().into()));
        self.transcript.add_names(names);
        self.nth_ports = ports;
        self
    }

    /// With a `still` of its own.
    pub(crate) fn standing_still(mut self, still: Duration) -> Self {
        self.still = still;
        self
    }

    /// Each line of its transcript goes there too, when it happens.
    pub(crate) fn telling(mut self, lines: Option<UnboundedSender<transcript::Line>>) -> Self {
        self.transcript.tell(lines);
        self
    }

    /// Plays the steps in order, up to the first that does not come true.
    pub(crate) async fn play(mut self, case: &Case) -> Outcome {
        self.half_closes = case.half_closes();
        self.control = waits::control_connections(case);
        let broken = self.lines(case).await.err();
        let broken = broken.filter(|_| self.skip.is_none());
        if broken.is_none() {
            self.record_left();
        }
        let passed = broken.is_none() && self.remarks.is_empty();
        let waited = self.in_vain.filter(|_| !passed);
        let open = |actor: Actor| actor.connection;
        let left = match self.scene {
            Scene::Client(scene) => Some(Left {
                scene,
                connections: self.actors.into_values().filter_map(open).collect(),
            }),
            Scene::Server { .. } | Scene::Pair { .. } => None,
        };
        Outcome {
            waited,
            left,
            skip: self.skip,
            broken,
            remarks: self.remarks,
            judged_rules: self.judged_rules,
            transcript: self.transcript,
        }
    }

    async fn lines(&mut self, case: &Case) -> Result<(), Broken> {
        for (number, line) in numbered(case.first_line(), &case.body) {
            match line {
                Line::Blank | Line::Comment(_) => {}
                Line::Step(step) => self.step(number, step).await?,
                Line::Repeat(repeat) => {
                    self.turns.begin_block(repeat);
                    for turn in 1..=repeat.count {
                        self.begin_turn(turn);
                        let outside: Vec<String> = self.actors.keys().cloned().collect();
                        for (number, line) in numbered(number + 1, &repeat.body) {
                            if let Line::Step(step) = line {
                                let step = self.turns.step(step, turn);
                                self.step(number, &step).await?;
                            }
                        }
                        if repeat.kept {
                            self.turns.keep(turn, &self.vars);
                        } else {
                            self.actors.retain(|name, _| outside.contains(name));
                        }
                    }
                }
            }
        }
        Ok(())
    }

    async fn step(&mut self, line: usize, step: &Step) -> Result<(), Broken> {
        self.clock = self.clock_of(step);
        self.missing = false;
        self.transcript.judge(&step.marks);
        let outcome = match &step.action {
            Action::Expect(expectation) => self
                .expect(step, std::slice::from_ref(expectation))
                .await
                .map(|_| ()),
            Action::OneOf(alternatives) => {
                let expectations: Vec<_> = alternatives
                    .iter()
                    .map(|one| one.expectation.clone())
                    .collect();
                let found = self.expect(step, &expectations).await;
                found.map(|index| self.remark(line, step, &alternatives[index]))
            }
            _ => Box::pin(self.act(line, step)).await,
        };
        self.last_event = Instant::now();
        if let Some(actor) = self.actors.get_mut(&step.actor) {
            actor.last_event = self.last_event;
            if !matches!(step.action, Action::Accept(_) | Action::AcceptAs(_)) {
                actor.mute_since = None;
            }
        }
        self.judged_rules.extend(step.marks.iter().cloned());
        if let Some(seen) = self.early.take() {
            self.remarks.push(Remark {
                line,
                marks: step.marks.clone(),
                seen,
            });
        }
        // What does not come at all cannot come too early: then there was nothing to judge.
        let lenient = step.within.is_some_and(|within| within.lenient);
        let silent = step.action == Action::Expect(Expectation::Silence);
        let only_low = !silent && step.within.is_some_and(|within| within.high.is_none());
        let marks = if std::mem::take(&mut self.cut) {
            // The step may be about something else, but this is what is wrong.
            vec![CLOSE_NOTIFY.to_owned()]
        } else if lenient || only_low && self.missing {
            Vec::new()
        } else {
            step.marks.clone()
        };
        outcome.map_err(|got| {
            self.transcript.add_broken(step);
            self.record_unread();
            let expected = Expected::Step(Box::new(Step {
                marks: Vec::new(),
                comment: None,
                ..step.clone()
            }));
            Broken {
                line,
                marks,
                expected,
                got,
            }
        })
    }

    fn remark(&mut self, line: usize, step: &Step, seen: &Alternative) {
        if seen.grade == Grade::Nonstrict {
            let action = Action::Expect(seen.expectation.clone());
            let seen = format!("{} {}", step.actor, print_action(&action));
            self.remarks.push(Remark {
                line,
                marks: step.marks.clone(),
                seen,
            });
        }
    }

    /// An upper bound counts from what happened last, all else from now.
    fn clock_of(&self, step: &Step) -> Waited {
        let actor = self.actors.get(&step.actor);
        let event = actor.map_or(self.last_event, |actor| actor.last_event);
        let bounded = step.within.is_some_and(|within| within.high.is_some());
        let from = match actor.and_then(|actor| actor.mute_since) {
            Some(mute_since) => mute_since,
            None if bounded => event,
            None => Instant::now(),
        };
        Waited {
            from,
            until: from,
            bounded,
        }
    }

    /// What a step says that has waited for nothing.
    fn in_vain(&mut self, got: impl Into<Mismatch>) -> Mismatch {
        self.late_if(true);
        self.missing = true;
        got.into()
    }

    /// Notes that the step of now has waited in vain, or too long.
    fn late_if(&mut self, late: bool) {
        if late {
            self.in_vain = Some(Waited {
                until: Instant::now(),
                ..self.clock
            });
        }
    }

    /// Turns are counted from 1.
    fn begin_turn(&mut self, turn: u32) {
        let port = usize::try_from(turn - 1)
            .ok()
            .and_then(|turn| self.nth_ports.get(turn));
        if let Some(port) = port {
            let port = port.to_string().into_bytes();
            self.vars.insert("nth_port".to_owned(), port);
        }
        let nth = turn.to_string().into_bytes();
        self.vars.insert("nth".to_owned(), nth);
        self.vars.extend(self.turns.remembered(turn));
    }

    /// How long a thing may take that should come at once.
    fn limit(&self) -> Duration {
        self.tempo.at_once()
    }

    fn actor(&mut self, name: &str) -> Result<&mut Actor, Mismatch> {
        self.actors
            .get_mut(name)
            .ok_or_else(|| format!("no connection is called `{name}`").into())
    }

    fn connection(&mut self, name: &str) -> Result<&mut Connection, Mismatch> {
        let open = self.actor(name)?.connection.as_mut();
        open.ok_or_else(|| format!("the case has closed `{name}` itself").into())
    }

    /// A connection that is open since then.
    fn enter(&mut self, name: &str, connection: Connection, begun: Instant) {
        let actor = Actor {
            begun,
            mute_since: None,
            timeout: None,
            kept: None,
            dial: Duration::ZERO,
            connection: Some(connection),
            logged_in: false,
            bare: false,
            ignored: Vec::new(),
            last_event: Instant::now(),
        };
        self.actors.insert(name.to_owned(), actor);
    }
}

/// The rule that a FIN alone breaks on TLS.
const CLOSE_NOTIFY: &str = "tls.close-notify";

/// Lines with their numbers; the alternatives of a step and the body of a block take lines too.
fn numbered(first: usize, body: &[Line]) -> impl Iterator<Item = (usize, &Line)> {
    let mut next = first;
    body.iter().map(move |line| {
        let number = next;
        next += line.height();
        (number, line)
    })
}

#[cfg(test)]
mod tests;
