//! Order, repetition, the first failure, and stalls of the machine.

use std::collections::BTreeMap;

use super::*;

const HEAD: &str = "title    x\nrole     server\nrules    keep.srs\n\nctl   connect server\n";
const EXPECTS_SRS: &str = "ctl   > SRQ\nctl   < SRS  [keep.srs]\n";

async fn job(id: &str, body: &str, behaviour: Behaviour) -> Job {
    let subject = Subject::Running(Running {
        plain: fake(behaviour, true).await,
        tls: None,
        username: "u".into(),
        password: "p".into(),
    });
    Job {
        entry: Arc::new(read(id, "own.case", &format!("{HEAD}{body}")).unwrap()),
        transport: Transport::Plain,
        subject: Arc::new(subject),
        skip: None,
        tempo: Tempo::new(0.1),
        still: STILL,
        round: None,
        in_play: InPlay::default(),
        listens: false,
        excused: true,
    }
}

async fn played(jobs: Vec<Job>, order: Order, watch: Watch) -> (Summary, Vec<Judged>) {
    let options = Options {
        hardened: true,
        jobs: 1,
        time_scale: 0.1,
        still: None,
    };
    let (tls, stop) = (Tls::new().unwrap(), CancellationToken::new());
    let mut results = Vec::new();
    let summary = conduct(jobs, &tls, options, order, &stop, watch, |_, judged| {
        let red = judged.verdict.is_red(false);
        results.push(judged);
        red
    });
    let summary = summary.await;
    (summary, results)
}

fn ids(results: &[Judged]) -> Vec<&str> {
    results.iter().map(|judged| judged.id.as_str()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_seed_decides_the_order_of_equally_long_cases() {
    let one = job("x", EXPECTS_SRS, Behaviour::AgreesToAll).await;
    let named = |id: &str| Job {
        entry: Arc::new(Entry {
            id: id.to_owned(),
            ..Entry::clone(&one.entry)
        }),
        ..one.clone()
    };
    let jobs: Vec<Job> = ["a", "b", "c", "d", "e", "f"].map(named).to_vec();
    let arranged = |seed| {
        let mut jobs = jobs.clone();
        let order = Order {
            seed,
            ..Order::default()
        };
        order.arrange(&mut jobs);
        jobs.iter().map(Job::id).collect::<String>()
    };
    assert_eq!(arranged(None), "abcdef");
    // Users note seeds, so a later version must give the same order.
    assert_eq!(arranged(Some(1)), "fcbead");
    let different: std::collections::BTreeSet<_> =
        (0..20).map(|seed| arranged(Some(seed))).collect();
    assert!(different.len() > 15, "{different:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_repetition_has_a_result_of_its_own() {
    let order = Order {
        repeat: 3,
        ..Order::default()
    };
    let jobs = vec![job("x", EXPECTS_SRS, Behaviour::AgreesToAll).await];
    let (summary, mut results) = played(jobs, order, Watch::start()).await;
    results.sort_by(|one, other| one.id.cmp(&other.id));
    assert_eq!(ids(&results), ["x#1", "x#2", "x#3"]);
    assert_eq!((summary.played, summary.slowest.len()), (3, 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_fails_fast_ends_after_the_first_failure() {
    let order = Order {
        repeat: 200,
        fail_fast: true,
        ..Order::default()
    };
    let jobs = vec![job("x", EXPECTS_SRS, Behaviour::ClosesAtOnce).await];
    let (summary, results) = played(jobs, order, Watch::start()).await;
    assert_eq!(summary.ended, Ended::FailFast);
    // Results that were sent before the run was stopped still arrive.
    assert!((1..20).contains(&results.len()), "{}", results.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_late_step_is_repeated_because_of_a_stall() {
    let bounded = "ctl   > SRQ\nctl   < SRS  in ..0.1s  [keep.srs]\n";
    let at_once = EXPECTS_SRS;
    // The server sends one more byte 60 ms after SRS.
    let after = |seconds| {
        format!("ctl   > SRQ\nctl   < SRS\nctl   < silence  in {seconds}s..  [keep.srs]\n")
    };
    // Of the stall, more than 50 ms are after the silence of 1 ms.
    let (during, after) = (after("0.3"), after("0.001"));
    let now = Instant::now();
    let (long, short) = (Duration::from_secs(100), Duration::from_millis(40));
    let mut found = BTreeMap::new();
    for (id, body, behaviour, stall) in [
        ("late", bounded, Behaviour::NeverAnswers, long),
        ("calm", bounded, Behaviour::NeverAnswers, short),
        ("other", bounded, Behaviour::ClosesAtOnce, long),
        ("wrong", bounded, Behaviour::Echoes, long),
        ("silent", at_once, Behaviour::NeverAnswers, long),
        ("fine", bounded, Behaviour::AgreesToAll, long),
        ("disturbed", &during, Behaviour::SendsMoreLater, long),
        ("after the time", &after, Behaviour::SendsMoreLater, long),
        (
            "after the time, calm",
            &after,
            Behaviour::SendsMoreLater,
            short,
        ),
    ] {
        let mut jobs = vec![job(id, body, behaviour).await];
        if matches!(id, "other" | "wrong") {
            // No step waits, so the case is not too long either, even on a busy machine.
            jobs[0].tempo = Tempo::new(20.0);
        }
        let watch = Watch::fixed(now, now + stall);
        let (summary, results) = played(jobs, Order::default(), watch).await;
        let [judged] = results.as_slice() else {
            panic!("{} results", results.len());
        };
        let noted = judged
            .notes
            .iter()
            .any(|note| matches!(note, RunNote::PlayedAgain { .. }));
        assert_eq!(noted, summary.retried == 1, "{id}: {judged:?}");
        found.insert(id, (summary.retried, judged.verdict.is_red(false)));
    }
    let expected = BTreeMap::from([
        ("late", (1, true)),
        ("calm", (0, true)),
        ("other", (0, true)),
        ("wrong", (0, true)),
        ("silent", (1, true)),
        ("fine", (0, false)),
        ("disturbed", (0, true)),
        ("after the time", (1, true)),
        ("after the time, calm", (0, true)),
    ]);
    assert_eq!(found, expected);
}
