//! What must hold of every session, without playing it.

use std::collections::BTreeSet;

use netroxy_specification::catalog;
use netroxy_specification::notation::print;
use netroxy_specification::states::Table;

use super::act::Kind;
use super::shrink::shrink;
use super::*;

const SIDES: [Side; 2] = [Side::Server, Side::Client];

#[test]
fn a_seed_always_gives_the_same_session() {
    for side in SIDES {
        for seed in 0..50 {
            let text = print(&sequence(side, seed));
            assert_eq!(text, print(&sequence(side, seed)));
            assert_ne!(text, print(&sequence(side, seed + 1)));
        }
    }
}

#[test]
fn every_session_is_a_case_that_can_be_printed_read_and_played() {
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
fn every_part_of_a_session_is_a_session() {
    for side in SIDES {
        for seed in 0..60 {
            let plan = Plan::of(side, seed);
            for at in 0..plan.acts.len() {
                let mut acts = plan.acts.clone();
                acts.remove(at);
                let text = plan.with(acts).modelled().text;
                let read = catalog::read("part", "part.case", &text);
                assert!(read.is_ok(), "seed {seed} without act {at}: {read:?}");
            }
        }
    }
}

/// What a black box cannot reach, or only by waiting for as long as a case may take: the reason stands beside each.
const UNREACHED: &[(&str, &str, &str)] = &[
    // The client decides when it asks again.
    ("client", "Up", "MapRetryDue"),
    // While nobody listens there is nobody to act.
    ("client", "Connecting", "ConnectFailed"),
    // A handshake that does not come is a matter of TLS alone.
    ("client", "Connecting", "ConnectOverdue"),
    // Where one side has ended its direction, nothing shows whether the other one is stalled.
    ("tunnel", "HalfClosed", "Full"),
    // The connection that breaks is refused before it is accepted; what the target sees then is free.
    ("tunnel", "Dialling", "DataFailed"),
];

#[test]
fn the_sessions_take_every_step_of_the_tables() {
    let mut taken = BTreeSet::new();
    for side in SIDES {
        for seed in 0..1500 {
            taken.extend(Plan::of(side, seed).modelled().covers);
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
    let plan = (0..)
        .map(|seed| Plan::of(Side::Server, seed))
        .find(|plan| plan.modelled().text.contains("tunnel.early-data"))
        .unwrap();
    let fails = async |plans: &[Plan]| {
        let matters = |plan: &Plan| plan.modelled().text.contains("tunnel.early-data");
        plans.iter().map(matters).collect()
    };
    let small = shrink(plan, fails).await;
    let kinds: Vec<_> = small.acts.iter().map(|act| act.kind).collect();
    assert_eq!(
        kinds,
        [Kind::Login, Kind::Map, Kind::Users, Kind::JoinEarly]
    );
    assert_eq!(small.acts[3].size, 0, "{small:?}");
}

/// The shortest time, and the smallest amount, that still shows it is what is left.
#[tokio::test]
async fn a_session_shrinks_to_the_time_and_the_amount_that_matter() {
    let of = |side, mark: &'static str| {
        let plans = (0..).map(move |seed| Plan::of(side, seed));
        plans
            .filter(|plan| plan.long)
            .find(move |plan| plan.modelled().text.contains(mark))
            .unwrap()
    };
    let shrunk = async |side, mark: &'static str| {
        let fails = async |plans: &[Plan]| {
            let matters = |plan: &Plan| plan.modelled().text.contains(mark);
            plans.iter().map(matters).collect()
        };
        let small = shrink(of(side, mark), fails).await;
        let kinds: Vec<_> = small.acts.iter().map(|act| act.kind).collect();
        (kinds, small.modelled().text)
    };
    for side in SIDES {
        let (kinds, text) = shrunk(side, ".. [tunnel.idle]").await;
        assert!(kinds.last().is_some_and(|kind| kind.takes_time()), "{text}");
        assert!(text.contains("< silence in 1s.. [tunnel.idle]"), "{text}");
        assert!(!text.contains("still"), "{text}");
        let (kinds, text) = shrunk(side, "[tunnel.capacity]").await;
        assert_eq!(kinds.last(), Some(&Kind::Crowd), "{text}");
        assert!(text.contains("repeat 2 kept"), "{text}");
    }
}

/// Long sessions are a quarter of all, and no login of theirs is left without keepalive while something stands still.
#[test]
fn a_session_that_stands_still_keeps_its_logins() {
    for side in SIDES {
        let mut long = 0;
        for seed in 0..1000 {
            let plan = Plan::of(side, seed);
            let text = plan.modelled().text;
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
