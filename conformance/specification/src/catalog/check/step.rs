//! One step of a case: its connection, its bounds and its marks.

use super::scope::{Found, Scope, found};
use crate::catalog::place::Spot;
use crate::notation::ast::{Action, Expectation, Low, Step};

impl Scope {
    pub(super) fn step(
        &mut self,
        step: &Step,
        line: usize,
        marked: &mut Vec<(usize, String)>,
    ) -> Result<(), Found> {
        marked.extend(step.marks.iter().map(|mark| (line, mark.clone())));
        let opens = matches!(
            step.action,
            Action::Connect(_) | Action::Accept(_) | Action::AcceptAs(_)
        );
        let alone = matches!(
            step.action,
            Action::Refused(_)
                | Action::TurnedAway { .. }
                | Action::Restart
                | Action::Distrusts
                | Action::Down(_)
                | Action::Late(_)
                | Action::Certificate(_)
        );
        if step.action == Action::Restart && !["server", "client"].contains(&step.actor.as_str()) {
            let message = "only `server` or `client` can be restarted";
            return found(Spot::Word(0), message);
        }
        if !opens && !alone && !self.actors.contains(&step.actor) {
            return found(Spot::Word(0), self.no_connection(&step.actor));
        }
        let bounded = matches!(
            step.action,
            Action::Accept(_)
                | Action::AcceptAs(_)
                | Action::Distrusts
                | Action::Expect(_)
                | Action::OneOf(_)
        );
        let silent = matches!(step.action, Action::Expect(Expectation::Silence));
        if step.within.is_some() && matches!(step.action, Action::Maps(_)) {
            let message = "`maps` has no bounds: each MAP has the time of any message";
            return found(Spot::Bounds, message);
        }
        let stalls = matches!(step.action, Action::Expect(Expectation::Stalled));
        if step.within.is_some() && stalls {
            let message = "`stalled` has no bounds: its time depends on the systems";
            return found(Spot::Bounds, message);
        }
        if step
            .within
            .is_some_and(|within| within.lenient && within.low.is_none())
        {
            let message = "`nonstrict` needs a lower bound";
            return found(Spot::Bounds, message);
        }
        if step.within.is_some() && !bounded {
            let message = "only a step that waits for something can have bounds";
            return found(Spot::Bounds, message);
        }
        if silent && step.within.is_some_and(|within| within.high.is_some()) {
            let message = "silence has a lower bound only: it lasts at least that long";
            return found(Spot::Bounds, message);
        }
        if step.within.is_some_and(|within| {
            let low = match within.low {
                Some(Low::Ms(low)) => Some(low),
                // The run decides how long that is.
                Some(Low::Still) => Some(u32::MAX),
                None => None,
            };
            low.zip(within.high).is_some_and(|(low, high)| low >= high)
        }) {
            let message = "the bounds are empty";
            return found(Spot::Bounds, message);
        }
        let waits = alone
            && !matches!(
                step.action,
                Action::Down(_) | Action::Late(_) | Action::Certificate(_)
            );
        let opened = matches!(
            step.action,
            Action::Connect(_) | Action::Handshake | Action::Maps(_) | Action::Unguessable(_)
        );
        let judges = bounded || waits || opened;
        if !step.marks.is_empty() && !judges {
            let message = "only a step that can fail can carry a mark";
            return found(Spot::Marks, message);
        }
        if let Action::SendRandom(bulk) = &step.action {
            self.noise.insert(step.actor.clone(), bulk.bytes);
        }
        let noise = self.noise.get(&step.actor).filter(|_| stalls);
        if noise.is_some_and(|bytes| *bytes != MAY_HOLD + BUFFERS) {
            let message = format!(
                "`stalled` needs `>> random {}MiB` before it: a peer may hold {} MiB, and the systems buffer some too",
                (MAY_HOLD + BUFFERS) >> 20,
                MAY_HOLD >> 20
            );
            return found(Spot::Word(2), message);
        }
        self.action(&step.action)?;
        if matches!(step.action, Action::Close | Action::Reset) {
            self.actors.remove(&step.actor);
        }
        if opens {
            self.actors.insert(step.actor.clone());
        }
        Ok(())
    }
}

/// How many bytes a peer may hold for a side of a tunnel that does not read: `tunnel.backpressure`.
const MAY_HOLD: u32 = 48 << 20;

/// How many bytes the systems of peer and suite buffer for a connection that is not read; Linux alone takes 10 MB.
const BUFFERS: u32 = 16 << 20;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::check::check;
    use crate::notation::parse;

    #[test]
    fn stalled_needs_more_noise_than_a_peer_may_hold() {
        let rules = crate::rules::embedded().unwrap();
        let rule = rules.iter().find(|rule| rule.id == "tunnel.backpressure");
        let number = format!("before {} MiB", MAY_HOLD >> 20);
        assert!(rule.unwrap().text.contains(&number), "{number}");
        let checked = |size: &str| {
            let head = "title x\nrole server\nrules a.b\n\nu connect $port\n";
            let text = format!("{head}u >> random {size} 1\nu < stalled [a.b]\n");
            check(&parse(&text).unwrap())
        };
        assert_eq!(checked("64MiB"), Ok(()));
        let wrong = checked("48MiB").unwrap_err();
        assert!(
            wrong.line == 7 && wrong.message.contains("random 64MiB"),
            "{wrong:?}"
        );
    }
}
