//! The `config` lines of a case.

use super::scope::{Found, PORTS, Scope, TARGETS, found, names_one};
use crate::catalog::place::Spot;
use crate::notation::ast::{Piece, Role, Setting, Template};

impl Scope {
    pub(super) fn setting(&mut self, setting: &Setting) -> Result<(), Found> {
        match (setting, self.role) {
            (Setting::Timeout(1..=LONGEST), Role::Server | Role::Pair) => Ok(()),
            (Setting::Timeout(_), Role::Server | Role::Pair) => found(
                Spot::Word(2),
                format!("a timeout is from 1 to {LONGEST} seconds"),
            ),
            (Setting::Map { port, target, .. }, Role::Client | Role::Pair) => {
                if let Some(port) = PORTS.into_iter().find(|name| names_one(port, &[name])) {
                    self.mapped.push(port);
                    leads_somewhere(target)
                } else if number_of(port).is_some() {
                    match self.role {
                        Role::Client => leads_somewhere(target),
                        _ => found(
                            Spot::Word(2),
                            "the port of that number can be in use: only in a case of role client it may be a number",
                        ),
                    }
                } else {
                    let ports = PORTS.join(" $");
                    let message = format!("the port of a mapping is one of ${ports}");
                    found(Spot::Word(2), message)
                }
            }
            (Setting::Maps { count, target }, Role::Client | Role::Pair) => {
                if *count > 1000 {
                    let message = "at most 1000 mappings: the suite has no more ports";
                    return found(Spot::Word(2), message);
                }
                leads_somewhere(target)
            }
            (Setting::Verify, Role::Client) => Ok(()),
            (Setting::Trust, Role::Client) if self.tls_alone => Ok(()),
            (Setting::Trust, Role::Client) => {
                found(Spot::Word(1), "`config trust` needs TLS: `over tls`")
            }
            (Setting::Timeout(_), Role::Client) => found(
                Spot::Word(1),
                "a client has no timeout of its own: the server gives it one",
            ),
            (Setting::Verify | Setting::Trust, Role::Pair) => found(
                Spot::Word(1),
                "a client that verifies the certificate of its server would not log in: the server has none to trust",
            ),
            (Setting::Verify | Setting::Trust, Role::Server) => found(
                Spot::Word(1),
                "a server verifies no certificate: clients have none",
            ),
            (Setting::Map { .. } | Setting::Maps { .. }, Role::Server) => found(
                Spot::Word(1),
                "a server has no mappings: clients ask for them",
            ),
        }
    }
}

fn leads_somewhere(target: &Template) -> Result<(), Found> {
    match names_one(target, &TARGETS) {
        true => Ok(()),
        false => found(
            Spot::Word(4),
            format!("a mapping leads to one of ${}", TARGETS.join(" $")),
        ),
    }
}

/// The number of a remote port that is written as a number.
pub fn number_of(port: &Template) -> Option<u16> {
    match port.pieces() {
        [Piece::Bytes(digits)] if port.times() == 1 => {
            let digits = std::str::from_utf8(digits).ok()?;
            let number = digits.parse::<u16>().ok().filter(|number| *number > 0)?;
            // A peer that compares texts takes another spelling for another port.
            (number.to_string() == digits).then_some(number)
        }
        _ => None,
    }
}

/// The longest timeout in seconds: `auth.timeout-positive`.
const LONGEST: u64 = 9_223_372_036;
