//! Stateful black-box fuzzing: sessions that nobody has written down, played and judged as the cases are.
//!
//! A seed gives a list of acts, a model of the specification turns them into a case of the notation, and from there on
//! a session is a case like any other. Acts that make no sense where they stand are passed over, so every part of a
//! list is a session too: that is how findings shrink.

mod act;
mod amount;
mod beside;
mod client;
mod draft;
mod finding;
mod findings;
mod hunt;
mod leak;
mod malformed;
mod server;
mod shrink;
mod stage;
mod time;
mod tunnel;

use std::collections::BTreeSet;

pub(crate) use act::Act;
pub use findings::Findings;
pub use hunt::{Hunt, Hunted, Shelf, Wanted};
use netroxy_specification::notation::ast::{Case, Side};
use netroxy_specification::notation::parse;

/// A session before it is a case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Plan {
    /// Who is judged.
    pub(crate) side: Side,
    /// What the session is called.
    pub(crate) seed: u64,
    /// Whether time is a matter of this session: a short timeout is configured.
    pub(crate) short: bool,
    /// Whether it is about time and amount: every login is kept alive, whatever stands still meanwhile.
    pub(crate) long: bool,
    /// What is done, in this order.
    pub(crate) acts: Vec<Act>,
}

/// What the model makes of a plan.
#[derive(Debug, Clone)]
pub(crate) struct Modelled {
    /// A case file.
    pub(crate) text: String,
    /// The steps of the tables that it takes: table, state, event.
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "a test shows that no step is left out")
    )]
    pub(crate) covers: BTreeSet<(&'static str, &'static str, &'static str)>,
    /// How many lines the header and the steps up to the end of each act take.
    pub(crate) ends: Vec<usize>,
}

/// The generated case of a seed: always the same.
pub fn sequence(side: Side, seed: u64) -> Case {
    let plan = Plan::of(side, seed);
    parse(&plan.modelled().text)
        .expect("the model writes the notation, which a test shows for many seeds")
}

impl Plan {
    /// The session of a seed.
    pub(crate) fn of(side: Side, seed: u64) -> Self {
        act::plan(side, seed)
    }

    /// The same session with other acts.
    pub(crate) fn with(&self, acts: Vec<Act>) -> Self {
        Self {
            acts,
            ..self.clone()
        }
    }

    /// What the specification makes of it.
    pub(crate) fn modelled(&self) -> Modelled {
        match self.side {
            Side::Server => server::model(self),
            Side::Client => client::model(self),
        }
    }
}

#[cfg(test)]
mod tests;
