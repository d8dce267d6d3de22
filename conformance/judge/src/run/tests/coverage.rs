//! Checks what a run against the reference judges: every rule that a case claims, and every step of the state tables.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::sync::{Mutex, PoisonError};

use netroxy_specification::notation::ast::Side;
use tracing::field::{Field, Visit};
use tracing::span;

use super::*;
use crate::peers;

/// A step of a state table: state, event, next state.
type Made = (String, String, String);

/// Collects the steps of the state tables that the reference peers log.
#[derive(Default)]
struct Steps(Mutex<BTreeMap<&'static str, BTreeSet<Made>>>);

#[derive(Default)]
struct Named(BTreeMap<&'static str, String>);

impl Visit for Named {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.insert(field.name(), format!("{value:?}"));
    }
}

impl tracing::Subscriber for Steps {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        metadata.target().ends_with("::step")
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        let mut named = Named::default();
        event.record(&mut named);
        let mut part = |name| named.0.remove(name).unwrap_or_default();
        let logged = part("event");
        // A peer may log details of an event in parentheses.
        let name = logged.split('(').next().unwrap_or_default().to_owned();
        let made = (part("state"), name, part("next"));
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // The side is the last word of the name of the crate.
        let side = event.metadata().target().trim_end_matches("::step");
        let side = side.rsplit('_').next().unwrap_or_default();
        all.entry(side).or_default().insert(made);
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

/// The steps of the state table under a heading of the specification.
fn table(heading: &str) -> BTreeSet<Made> {
    let text = rules::TEXT;
    let (_, text) = text.split_once(heading).unwrap();
    let (_, text) = text
        .split_once("| state | event | action | next state | rule |\n")
        .unwrap();
    let rows = text
        .lines()
        .skip(1)
        .take_while(|line| line.starts_with('|'));
    let made = rows.map(|row| {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let [_, state, event, _, next, ..] = cells[..] else {
            panic!("{row}")
        };
        (state.to_owned(), event.to_owned(), next.to_owned())
    });
    made.collect()
}

/// Each thread has a subscriber of its own. So each thread of the suite gets the same one, and an embedded peer
/// inherits that of the thread which starts it.
#[test]
fn a_run_against_the_reference_judges_all_claimed_rules_and_states() {
    let steps = Arc::new(Steps::default());
    // If there were only one subscriber, the first thread that logs would decide for all whether a call site is
    // enabled.
    let _second = tracing::Dispatch::new(Steps::default());
    let subscriber = Arc::clone(&steps);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        // The guard is forgotten, so the subscriber stays as long as the thread.
        .on_thread_start(move || {
            std::mem::forget(tracing::subscriber::set_default(Arc::clone(&subscriber)))
        })
        .build()
        .unwrap();
    let played = runtime.spawn(judges_all_claimed_rules_and_states(steps));
    runtime.block_on(played).unwrap();
}

async fn judges_all_claimed_rules_and_states(steps: Arc<Steps>) {
    let (tls, rules) = (Tls::new().unwrap(), rules::embedded().unwrap());
    let options = Options {
        hardened: true,
        jobs: 60,
        time_scale: 1.0,
        still: None,
    };
    let reference = |side| peers::reference(side).unwrap();
    let pair = (reference(Side::Server), reference(Side::Client));
    let subjects = [
        Subject::Started(pair.0.clone()),
        Subject::Started(pair.1.clone()),
        Subject::Pair(Box::new(pair)),
    ];
    let entries: Vec<Arc<Entry>> = embedded().unwrap().into_values().map(Arc::new).collect();
    let jobs: Vec<Job> = subjects
        .into_iter()
        .flat_map(|subject| plan(&entries, &Arc::new(subject), &rules, options))
        .collect();
    let (mut wrong, mut words) = (Vec::new(), BTreeSet::new());
    let stop = CancellationToken::new();
    let each = |job: &Job, judged: Judged| {
        let claimed: BTreeSet<String> = job.entry.case.rules.value.iter().cloned().collect();
        if judged.verdict != Verdict::Pass {
            wrong.push(format!(
                "{}: {:?} {:?}",
                judged.id, judged.verdict, judged.broken
            ));
        } else if judged.judged_rules != claimed {
            wrong.push(format!("{}: judged {:?}", judged.id, judged.judged_rules));
        }
        let recorded = judged.transcript.iter();
        for line in recorded.flat_map(|transcript| transcript.lines()) {
            // Actor, sign, word.
            let mut parts = line.step.split_whitespace().skip(1);
            if let (Some(sign @ (">" | "<")), Some(word)) = (parts.next(), parts.next()) {
                words.insert(format!("{sign} {word}"));
            }
        }
        false
    };
    run(jobs, &tls, options, Order::default(), &stop, each).await;
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // The suite plays the client to a server and the server to a client, so it sends and receives each message.
    for word in ["ATH", "ARS", "MAP", "MRS", "TRQ", "TRS", "SRQ", "SRS"] {
        for sign in [">", "<"] {
            assert!(words.contains(&format!("{sign} {word}")), "{sign} {word}");
        }
    }
    let made = steps.0.lock().unwrap_or_else(PoisonError::into_inner);
    assert_eq!(made["server"], table(". A connection to a server\n"));
    assert_eq!(made["client"], table(". A client\n"));
}
