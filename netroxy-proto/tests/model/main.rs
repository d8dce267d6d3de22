//! An exhaustive search of small worlds: every order of events, every time that a message can take
//! within a bound, and a fault at every moment.
//!
//! `world` connects the two real machines as their drivers do. `server_monitor` and `client_monitor` see
//! only inputs and outputs, and say which rule is broken. `search` visits every state. Time has no end:
//! two states are the same if they have the same future.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod client_monitor;
mod drivers;
mod keepalive;
mod lonely;
mod mutant;
mod plan;
#[path = "../revision/mod.rs"]
mod revision;
mod rogue;
mod search;
mod server_monitor;
mod way;
mod world;

use std::collections::BTreeSet;
use std::sync::OnceLock;

use keepalive::{EXPIRED, Pair};
use lonely::Lonely;
use mutant::Mutant;
use netroxy_proto::server::Listener;
use netroxy_proto::{client, server};
use plan::{Faults, Plan};
use revision::specified;
use search::{Outcome, search};
use world::{Rows, World};

/// The result of one world.
struct Seen {
    outcome: Outcome,
    rows: Rows,
}

/// A test for each world. Its result is shared with the test of coverage.
macro_rules! worlds {
    ($($(#[$doc:meta])* $name:ident: $search:expr;)*) => {
        $($(#[$doc])* #[test] fn $name() {
            holds(stringify!($name), seen::$name());
        })*

        mod seen {
            use super::*;
            $(pub(super) fn $name() -> &'static Seen {
                static SEEN: OnceLock<Seen> = OnceLock::new();
                SEEN.get_or_init(|| $search)
            })*
        }

        const WORLDS: &[fn() -> &'static Seen] = &[$(seen::$name),*];
    };
}

worlds! {
    /// Login and mappings from the start, with a closed mapping, a connection that breaks, and refusals.
    one_client_logs_in: explore(Plan { warm: false, delay: 1, ..Plan::empty() }
        .peer("a", &[(1, true), (2, false)])
        .users(&[2])
        .faults(Faults { breaks: 1, refusals: 1, ..Faults::default() }));

    /// A connection dies, and one peer or none learns of it: silence, giving up, replacement.
    a_connection_dies: explore(Plan { delay: 1, ..Plan::empty() }
        .peer("a", &[(1, true)])
        .users(&[1])
        .faults(Faults { cuts: 1, vanishings: 1, ..Faults::default() }));

    /// The same without users, second by second: the bounds of the keepalive.
    a_connection_dies_slowly: explore(Plan { tick: 1, timeout: 12, delay: 1, ..Plan::empty() }
        .peer("a", &[])
        .faults(Faults { cuts: 1, vanishings: 1, ..Faults::default() }));

    /// Two users of one port, who can go, and a target that cannot always be reached.
    users_of_one_port: explore(Plan::empty()
        .peer("a", &[(1, true)])
        .users(&[1, 1])
        .faults(Faults { resets: 1, dead_targets: 1, data_breaks: 1, ..Faults::default() }));

    /// Two users of two ports of one client, late messages, data connections in any order.
    users_of_two_ports: explore(Plan { delay: 1, ..Plan::empty() }
        .peer("a", &[(1, true), (2, true)])
        .users(&[1, 2]));

    /// A connection breaks while messages are late: a token comes after the end of its login.
    tokens_that_come_late: explore(Plan { delay: 1, ..Plan::empty() }
        .peer("a", &[(1, true)])
        .users(&[1, 1])
        .faults(Faults { breaks: 1, ..Faults::default() }));

    /// Two clients that request the same port. The connection of one can break.
    two_clients_want_one_port: explore(Plan { warm: false, ..Plan::empty() }
        .peer("a", &[(1, true)])
        .peer("b", &[(1, true)])
        .users(&[1])
        .faults(Faults { breaks: 1, ..Faults::default() }));

    /// Two clients with a user each: what happens to one does not affect the other.
    two_clients_two_users: explore(Plan::empty()
        .peer("a", &[(1, true)])
        .peer("b", &[(2, true)])
        .users(&[1, 2])
        .faults(Faults { breaks: 1, ..Faults::default() }));

    /// Ports that open late or not at all, and users that the driver feeds late.
    slow_ports: explore(Plan { warm: false, slow_ports: true, slow_users: true, ..Plan::empty() }
        .peer("a", &[(1, true), (2, true)])
        .users(&[1])
        .faults(Faults { busy_ports: 1, breaks: 1, ..Faults::default() }));

    /// A rogue connection sends any messages to the server, on both listeners.
    a_rogue_at_the_server: explore(Plan {
            rogues: vec![Listener::Plain, Listener::Tls],
            ..Plan::empty()
        }
        .peer("a", &[(1, true)])
        .users(&[1])
        .faults(Faults { words: 3, ..Faults::default() }));

    /// The server sends any messages to a client.
    a_rogue_as_server: {
        let start = Lonely::new(Plan::empty().peer("a", &[(1, true), (2, true)]), 4);
        let outcome = search(&start);
        Seen { outcome, rows: start.rows.take() }
    };
}

#[test]
fn every_step_of_both_tables_is_made() {
    let mut server = BTreeSet::new();
    let mut client = BTreeSet::new();
    for world in WORLDS {
        server.extend(&world().rows.server);
        client.extend(&world().rows.client);
    }
    let server_table = server::table::TABLE.iter();
    let client_table = client::table::TABLE.iter();
    assert_eq!(
        server,
        server_table.map(|row| (row.state, row.event)).collect()
    );
    assert_eq!(
        client,
        client_table.map(|row| (row.state, row.event)).collect()
    );
}

/// The keepalive of 2016 with a timeout of 12 s, and messages that take 1 s at most: the shortest course
/// that ends a login although client, server and network work.
#[test]
fn the_originals_expire_a_healthy_client() {
    let found = pairs((false, false))
        .into_iter()
        .filter_map(|outcome| outcome.found);
    let found = found.min_by_key(|found| found.trace.len()).unwrap();
    assert_eq!(found.broken.rule, EXPIRED);
    insta::assert_snapshot!(found);
}

#[test]
fn a_healthy_client_stays_logged_in_if_one_peer_is_ours() {
    for ours in [(true, true), (true, false), (false, true)] {
        for outcome in pairs(ours) {
            assert!(
                outcome.found.is_none(),
                "{ours:?}: {}",
                outcome.found.unwrap()
            );
            assert!(outcome.depth > 12, "{outcome:?}: no timeout has passed");
        }
    }
}

#[test]
fn broken_machines_are_found() {
    let one = || Plan::empty().peer("a", &[(1, true)]);
    let two = || Plan::empty().peer("a", &[(1, true), (2, true)]);
    let breaks = Faults {
        breaks: 1,
        ..Faults::default()
    };
    let cuts = Faults {
        cuts: 1,
        ..Faults::default()
    };
    let cases = [
        (Mutant::JoinsTheLast, one().users(&[1, 1])),
        (Mutant::JoinsAcrossPorts, two().users(&[1, 2])),
        (
            Mutant::JoinsOldTokens,
            Plan { delay: 1, ..one() }.users(&[1, 1]).faults(breaks),
        ),
        (Mutant::KeepsPorts, one().faults(breaks)),
        (
            Mutant::KeepsReplaced,
            one().faults(Faults {
                vanishings: 1,
                ..Faults::default()
            }),
        ),
        (
            Mutant::SwapsAnswers,
            Plan {
                slow_ports: true,
                warm: false,
                ..two()
            },
        ),
        (
            Mutant::SharesPorts,
            Plan {
                warm: false,
                ..one().peer("b", &[(1, true)])
            },
        ),
        (Mutant::SendsTrqTwice, one().users(&[1])),
        (Mutant::SendsNoTrq, one().users(&[1])),
        (
            Mutant::SendsTrqForClosed,
            Plan::empty().peer("a", &[(1, false)]).users(&[1]),
        ),
        (Mutant::LeavesUsers, one().users(&[1]).faults(breaks)),
        (Mutant::ForgetsUsers, one().users(&[1]).faults(cuts)),
        (
            Mutant::JoinsTheGone,
            one().users(&[1, 1]).faults(Faults {
                resets: 1,
                ..Faults::default()
            }),
        ),
        (Mutant::ExpiresEarly, one().faults(cuts)),
        (
            Mutant::ExpiresLate,
            Plan {
                timeout: 16,
                ..one()
            }
            .faults(cuts),
        ),
        (Mutant::CutsTunnels, one().users(&[1]).faults(breaks)),
        (Mutant::ClientSendsNoSrq, one()),
        (Mutant::ClientGivesUpEarly, one()),
        (Mutant::ClientNeverReconnects, one().faults(breaks)),
        (
            Mutant::ClientReversesMaps,
            Plan {
                warm: false,
                ..two()
            },
        ),
        (
            Mutant::ClientNeverRetries,
            Plan {
                warm: false,
                slow_ports: true,
                ..one()
            }
            .faults(Faults {
                busy_ports: 1,
                ..Faults::default()
            }),
        ),
    ];
    let mut told = String::new();
    for (mutant, plan) in cases {
        let outcome = search(&World::new(Plan {
            mutant: Some(mutant),
            ..plan
        }));
        let found = outcome.found.map(|found| (found.trace.len(), found.broken));
        let line = match found {
            Some((lines, broken)) => format!("[{}] {}, in {lines} lines", broken.rule, broken.what),
            None => "NOT FOUND".to_owned(),
        };
        told.push_str(&format!("{mutant:?}: {line}\n"));
    }
    insta::assert_snapshot!(told);
    assert!(!told.contains("NOT FOUND"), "{told}");
}

#[test]
fn the_monitors_name_rules_of_the_specification() {
    let spec = specified!("netroxy.md");
    let sources = [
        include_str!("client_monitor.rs"),
        include_str!("server_monitor.rs"),
        include_str!("server_monitor/settled.rs"),
    ];
    let areas = ["auth.", "frame.", "keep.", "life.", "map.", "tunnel."];
    let mut rules = BTreeSet::new();
    for literal in sources.iter().flat_map(|source| source.split('"')) {
        if areas.iter().any(|area| literal.starts_with(area)) && !literal.contains(' ') {
            assert!(
                spec.contains(&format!("r[{literal}]")),
                "no such rule: {literal}"
            );
            rules.insert(literal);
        }
    }
    assert!(rules.len() > 40, "{rules:?}");
}

fn explore(plan: Plan) -> Seen {
    let start = World::new(plan);
    let outcome = search(&start);
    Seen {
        outcome,
        rows: start.rows.take(),
    }
}

#[allow(clippy::print_stderr, reason = "shown by --nocapture")]
fn holds(name: &str, seen: &Seen) {
    let Outcome {
        states,
        transitions,
        depth,
        found,
    } = &seen.outcome;
    eprintln!("{name}: {states} states, {transitions} transitions, {depth} deep");
    if let Some(found) = found {
        panic!("{name}:\n{found}");
    }
}

/// One pair for each phase of the server's timer.
fn pairs(ours: (bool, bool)) -> Vec<Outcome> {
    let plan = Plan {
        tick: 1,
        timeout: 12,
        ..Plan::empty()
    }
    .peer("a", &[]);
    (0..4)
        .map(|phase| search(&Pair::new(&plan, ours, phase)))
        .collect()
}
