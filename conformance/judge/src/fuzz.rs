//! Stateful black-box fuzzing: generated sessions, played and judged like cases.
//!
//! A seed gives a list of acts (`plan`, `act`). A model of the specification (`server`, `client`, `tunnel`)
//! turns the acts into the steps of a case. A campaign (`campaign`) plays these cases with the player and the judge of
//! all cases, and reproduces, shrinks and saves what fails.
//!
//! An act that has no meaning in its place adds no steps. So each part of a list of acts is a session too, and failing
//! sessions can be shrunk.

mod act;
mod amounts;
mod builder;
mod campaign;
mod client;
mod failure;
mod findings;
mod leak;
mod long_sessions;
mod malformed;
mod model;
mod plan;
mod runner;
mod server;
mod settings;
mod shrink;
mod steps;
mod time;
mod tunnel;

pub use campaign::{Campaign, CampaignResult};
pub use findings::Findings;
use netroxy_specification::notation::ast::{Case, Side};
use plan::Plan;
pub use settings::{CampaignSettings, FindingStore};

/// The generated session of a seed: always the same.
pub fn sequence(side: Side, seed: u64) -> Case {
    model::model(&Plan::of(side, seed)).case
}

#[cfg(test)]
mod tests;
