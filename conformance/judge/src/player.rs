//! Plays a case: carries out its steps, and compares what comes back.
//!
//! A player has actors: the connections that the case names. Each has an inbox, which stores the bytes from the opening
//! of the connection on, each with its time of arrival. So the time at which the player reads the inbox does not
//! matter. `play` carries out one line after the other. `open` has the steps in which the suite opens a connection,
//! `accept` those in which the peer does, `act` the others that act. `expect` has those that wait: they read the inbox
//! until a pattern fits, cannot fit any more, or the step's window has passed. Silence cannot be seen at one moment, so
//! `fence` asks the peer for something else: it answers that after anything that it would have sent before. The first
//! step that does not come true ends the case.

mod accept;
mod act;
mod bulk;
mod expect;
mod fence;
mod keep;
mod kept;
mod maps;
mod mismatch;
mod newcomers;
mod open;
mod passed;
mod pattern;
mod scene;
mod secrets;
mod stall;
mod state;
mod turns;
mod waits;

use std::time::Instant;

pub use mismatch::{Expected, Mismatch};
use netroxy_specification::notation::ast::{
    Action, Alternative, Case, Expectation, Grade, Line, Step,
};
use netroxy_specification::notation::print_action;
pub(crate) use pattern::changed;
pub(crate) use scene::{ClientScene, Scene};
use state::Actor;
pub use state::{Broken, Remark};
pub(crate) use state::{Left, Outcome, Player, Waited};
use turns::numbered;

impl Player<'_> {
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
        // The step has a lower bound alone. If nothing came, nothing came too early, so no rule was broken.
        let lenient = step.within.is_some_and(|within| within.lenient);
        let silent = step.action == Action::Expect(Expectation::Silence);
        let only_low = !silent && step.within.is_some_and(|within| within.high.is_none());
        let marks = if std::mem::take(&mut self.cut) {
            // The missing close_notify breaks this rule, whatever the rules of the step are.
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

    /// Sets the variables of a turn of a block. Turns are counted from 1.
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
}

/// The rule that a FIN without close_notify breaks on TLS.
const CLOSE_NOTIFY: &str = "tls.close-notify";

#[cfg(test)]
mod tests;
