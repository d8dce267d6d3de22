//! What a case has named so far: its connections, variables and mappings.

use std::collections::{BTreeMap, BTreeSet};

use crate::catalog::place::Spot;
use crate::notation::ast::{Case, Piece, Role, Setting, Template, Transport};

/// An error of a case, and its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wrong {
    /// Counted from 1.
    pub(crate) line: usize,
    pub(crate) spot: Spot,
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
}

/// How many lines below a line, the part of that line, and what is wrong with it.
pub(super) struct Found(pub(super) usize, pub(super) Spot, pub(super) String);

impl Found {
    pub(super) fn on(self, line: usize) -> Wrong {
        Wrong {
            line: line + self.0,
            spot: self.1,
            message: self.2,
            hint: None,
        }
    }
}

pub(super) fn found<T>(spot: Spot, message: impl Into<String>) -> Result<T, Found> {
    Err(Found(0, spot, message.into()))
}

pub(super) struct Scope {
    pub(super) role: Role,
    pub(super) vars: BTreeSet<String>,
    pub(super) actors: BTreeSet<String>,
    /// The ports of the mappings in the header.
    pub(super) mapped: Vec<&'static str>,
    /// Whether the case is run over TLS alone.
    pub(super) tls_alone: bool,
    /// Whether the client is given a certificate to trust.
    pub(super) trusts: bool,
    /// How many bytes of noise the last step sent on a connection.
    pub(super) noise: BTreeMap<String, u32>,
    /// Connections of a `repeat kept`, with the number of their turns.
    pub(super) kept: BTreeMap<String, u32>,
}

impl Scope {
    pub(super) fn new(case: &Case) -> Self {
        let role = case.role.value;
        let role_vars: &[&str] = match role {
            Role::Server => &SERVER_VARS,
            Role::Client => &CLIENT_VARS,
            Role::Pair => &PAIR_VARS,
        };
        let vars = PORTS
            .iter()
            .chain(role_vars)
            .map(|name| (*name).to_owned())
            .collect();
        Self {
            role,
            vars,
            actors: BTreeSet::new(),
            mapped: Vec::new(),
            tls_alone: case
                .over
                .as_ref()
                .is_some_and(|over| over.value == [Transport::Tls]),
            trusts: case.config.iter().any(|one| one.value == Setting::Trust),
            noise: BTreeMap::new(),
            kept: BTreeMap::new(),
        }
    }
}

pub(super) fn names_one(template: &Template, names: &[&str]) -> bool {
    template.times() == 1
        && matches!(template.pieces(), [Piece::Var(name)] if names.contains(&name.as_str()))
}

const SERVER_VARS: [&str; 5] = ["username", "password", "name", "timeout", "control"];
const CLIENT_VARS: [&str; 7] = [
    "username",
    "password",
    "token",
    "target",
    "target2",
    "dead_target",
    "silent_target",
];
const PAIR_VARS: [&str; 4] = ["target", "target2", "dead_target", "silent_target"];

/// Remote ports of a case.
pub const PORTS: [&str; 3] = ["port", "port2", "port3"];

/// Targets of a case. Nothing listens at `dead_target`; `silent_target` does not accept.
pub const TARGETS: [&str; 4] = ["target", "target2", "dead_target", "silent_target"];
