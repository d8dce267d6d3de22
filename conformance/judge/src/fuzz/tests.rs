//! Properties of all generated sessions, without playing them.

use std::collections::BTreeSet;

use netroxy_specification::catalog;
use netroxy_specification::notation::ast::{Case, Side};
use netroxy_specification::notation::print;
use netroxy_specification::states::Table;

use super::act::ActKind;
use super::model::model;
use super::plan::Plan;
use super::sequence;
use super::shrink::shrink;

const SIDES: [Side; 2] = [Side::Server, Side::Client];

/// The text of a case with one blank between two words.
fn words(case: &Case) -> String {
    let text = print(case);
    let lines = text.lines().map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        words.join(" ") + "\n"
    });
    lines.collect()
}

#[test]
fn a_seed_always_gives_the_same_session() {
    for side in SIDES {
        for seed in 0..50 {
            let case = sequence(side, seed);
            assert_eq!(case, sequence(side, seed));
            assert_ne!(case, sequence(side, seed + 1));
        }
    }
}

#[test]
fn the_printed_text_of_every_session_is_read_as_the_same_case() {
    for side in SIDES {
        for seed in 0..500 {
            let case = sequence(side, seed);
            let text = print(&case);
            let entry = catalog::read("session", "session.case", &text);
            let entry = entry.unwrap_or_else(|error| panic!("seed {seed}: {error}\n{text}"));
            assert_eq!(entry.case, case, "seed {seed}");
        }
    }
}

#[test]
fn a_session_without_one_of_its_acts_is_a_session() {
    for side in SIDES {
        for seed in 0..60 {
            let plan = Plan::of(side, seed);
            for at in 0..plan.acts.len() {
                let mut acts = plan.acts.clone();
                acts.remove(at);
                let text = print(&model(&plan.with(acts)).case);
                let read = catalog::read("part", "part.case", &text);
                assert!(read.is_ok(), "seed {seed} without act {at}: {read:?}");
            }
        }
    }
}

/// The steps that no session takes, each with the reason.
const UNREACHED: &[(&str, &str, &str)] = &[
    // The client decides when it sends MAP again.
    ("client", "Up", "MapRetryDue"),
    // No act is possible while the server does not listen.
    ("client", "Connecting", "ConnectFailed"),
    // Only a TLS handshake can be overdue.
    ("client", "Connecting", "ConnectOverdue"),
    // After one side has ended its direction, it cannot show whether the other side is stalled.
    ("tunnel", "HalfClosed", "Full"),
    // The connection that fails is refused before it is accepted. The specification does not say what the target sees.
    ("tunnel", "Dialling", "DataFailed"),
];

#[test]
fn the_sessions_take_every_step_of_the_tables() {
    let mut taken = BTreeSet::new();
    for side in SIDES {
        for seed in 0..1500 {
            taken.extend(model(&Plan::of(side, seed)).covers);
        }
    }
    let tables = [
        ("server", Table::server()),
        ("client", Table::client()),
        ("tunnel", Table::tunnel()),
    ];
    let all: BTreeSet<_> = tables
        .iter()
        .flat_map(|(name, table)| table.steps().map(|step| (*name, step.state, step.event)))
        .collect();
    let missing: BTreeSet<_> = all.difference(&taken).copied().collect();
    assert_eq!(missing, UNREACHED.iter().copied().collect());
}

#[tokio::test]
async fn a_session_shrinks_to_the_acts_that_matter() {
    let matters = |plan: &Plan| words(&model(plan).case).contains("tunnel.early-data");
    let plan = (0..)
        .map(|seed| Plan::of(Side::Server, seed))
        .find(matters)
        .unwrap();
    let fails = async |plans: &[Plan]| plans.iter().map(matters).collect();
    let small = shrink(plan, fails).await;
    let kinds: Vec<_> = small.acts.iter().map(|act| act.kind).collect();
    assert_eq!(
        kinds,
        [
            ActKind::Login,
            ActKind::Map,
            ActKind::Users,
            ActKind::JoinEarly
        ]
    );
    assert_eq!(small.acts[3].size, 0, "{small:?}");
}

#[tokio::test]
async fn a_session_shrinks_to_the_time_and_the_amount_that_matter() {
    let shrunk = async |side, mark: &'static str| {
        let matters = |plan: &Plan| words(&model(plan).case).contains(mark);
        let plan = (0..)
            .map(|seed| Plan::of(side, seed))
            .filter(|plan| plan.long)
            .find(matters)
            .unwrap();
        let fails = async |plans: &[Plan]| plans.iter().map(matters).collect();
        let small = shrink(plan, fails).await;
        let kinds: Vec<_> = small.acts.iter().map(|act| act.kind).collect();
        (kinds, words(&model(&small).case))
    };
    for side in SIDES {
        let (kinds, text) = shrunk(side, ".. [tunnel.idle]").await;
        assert!(kinds.last().is_some_and(|kind| kind.takes_time()), "{text}");
        assert!(text.contains("< silence in 1s.. [tunnel.idle]"), "{text}");
        assert!(!text.contains("still"), "{text}");
        let (kinds, text) = shrunk(side, "[tunnel.capacity]").await;
        assert_eq!(kinds.last(), Some(&ActKind::ManyTunnels), "{text}");
        assert!(text.contains("repeat 2 kept"), "{text}");
    }
}

#[test]
fn a_quarter_of_the_sessions_is_long_and_keeps_every_login_alive() {
    for side in SIDES {
        let mut long = 0;
        for seed in 0..1000 {
            let plan = Plan::of(side, seed);
            let text = words(&model(&plan).case);
            long += u32::from(plan.long);
            let logins = text.matches("_ ?token_c").count() + text.matches("< maps").count();
            assert!(
                !plan.long || text.matches(" keep\n").count() == logins,
                "{text}"
            );
            assert!(plan.long || !text.contains("still"), "{text}");
        }
        assert!((200..300).contains(&long), "{long}");
    }
}
