//! The messages that are recorded between the two programs of a pair, which do not change the verdict.

use netroxy_specification::notation::ast::Side;
use netroxy_specification::notation::parse_step;

use super::*;
use crate::peers;
use crate::player::{Broken, Expected};
use crate::run::between;
use crate::sut::{Between, Kind};
use crate::verdict::Heard;

fn pair(server: &str, client: &str) -> Arc<Subject> {
    let load = |name| peers::manifest(name).unwrap();
    let pair = (load(server), load(client));
    assert_eq!((pair.0.role, pair.1.role), (Side::Server, Side::Client));
    Arc::new(Subject::Pair(Box::new(pair)))
}

fn options() -> Options {
    Options {
        hardened: true,
        jobs: 8,
        time_scale: 1.0,
        still: None,
    }
}

/// The jobs of the wanted cases of pairs.
fn jobs(subject: &Arc<Subject>, wanted: impl Fn(&str) -> bool) -> Vec<Job> {
    let entries: Vec<Arc<Entry>> = embedded().unwrap().into_values().map(Arc::new).collect();
    let rules = rules::embedded().unwrap();
    let jobs = plan(&entries, subject, &rules, options()).into_iter();
    let jobs = jobs.filter(|job| wanted(&job.id()));
    jobs.map(|job| Job {
        listens: true,
        ..job
    })
    .collect()
}

async fn judged(jobs: Vec<Job>) -> Vec<Judged> {
    let (tls, stop) = (Tls::new().unwrap(), CancellationToken::new());
    let mut all = Vec::new();
    run(
        jobs,
        &tls,
        options(),
        Order::default(),
        &stop,
        |_, judged| {
            all.push(judged);
            false
        },
    )
    .await;
    all
}

/// The texts of the lines of one kind of connection. Connections of users and services have no kind.
fn said(heard: &Heard, kind: Option<Kind>) -> Vec<String> {
    let of = |actor: &str| {
        let mut known = heard.connections.iter();
        known.find(|(name, _)| name == actor).map(|(_, kind)| *kind)
    };
    let lines = heard.lines.iter().filter(|line| of(&line.actor) == kind);
    lines.map(|line| line.text.clone()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pair_that_fails_shows_its_control_and_data_connections() {
    let subject = pair("reference-server", "broken-client:half-close-closes");
    let id = "pair/tunnel/half-close-user";
    let [judged] = judged(jobs(&subject, |one| one == id))
        .await
        .try_into()
        .unwrap();
    assert_eq!(judged.verdict, Verdict::Fail, "{:?}", judged.reason);
    let heard = judged.heard.unwrap();
    assert_eq!((heard.verdict, &heard.otherwise), (Verdict::Fail, &None));
    assert!(heard.readable && heard.left_out == 0);
    let control = said(&heard, Some(Kind::Control));
    for word in ["> ATH ", "< ARS true ", "> MAP ", "< MRS ", "< TRQ "] {
        let found = control.iter().any(|line| line.starts_with(word));
        assert!(found, "{word} is not in {control:?}");
    }
    let data = said(&heard, Some(Kind::Data));
    let at = |line: &str| {
        data.iter()
            .position(|one| one == line)
            .unwrap_or(usize::MAX)
    };
    let [request, end, closed] = ["<< \"request\"", "< eof", "> shutdown"].map(at);
    assert!(
        request < usize::MAX && end < usize::MAX && closed < usize::MAX,
        "{data:?}"
    );
    let own = heard.lines.iter().filter(|line| line.broken);
    assert_eq!(
        own.map(|line| line.actor.as_str()).collect::<Vec<_>>(),
        ["user"]
    );
    assert!(
        said(&heard, None)
            .iter()
            .any(|line| line == ">> \"request\"")
    );
    assert!(heard.lines.is_sorted_by_key(|line| line.at));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transcript_shows_the_bytes_that_the_server_loses() {
    let subject = pair("broken-server:early-data-lost", "reference-client");
    let id = "pair/tunnel/banner";
    let [judged] = judged(jobs(&subject, |one| one == id))
        .await
        .try_into()
        .unwrap();
    assert_eq!(judged.verdict, Verdict::Fail, "{:?}", judged.reason);
    let heard = judged.heard.unwrap();
    // The client has sent the bytes, so the server has lost them.
    let data = said(&heard, Some(Kind::Data));
    assert!(
        data.iter().any(|line| line == ">> \"220 ready\\r\\n\""),
        "{data:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn over_tls_only_connections_and_their_ends_are_shown() {
    let subject = pair("reference-server", "broken-client:half-close-closes");
    let id = "pair/tunnel/half-close-user@tls";
    let [judged] = judged(jobs(&subject, |one| one == id))
        .await
        .try_into()
        .unwrap();
    let heard = judged.heard.unwrap();
    assert!(!heard.readable);
    let kinds: Vec<Kind> = heard.connections.iter().map(|(_, kind)| *kind).collect();
    assert!(
        kinds.len() >= 3 && kinds.iter().all(|kind| *kind == Kind::Tls),
        "{kinds:?}"
    );
    let shown = said(&heard, Some(Kind::Tls));
    let known = [
        "connect server",
        "> shutdown",
        "< eof",
        "> reset",
        "< closed",
    ];
    assert!(
        shown.iter().all(|line| known.contains(&line.as_str())),
        "{shown:?}"
    );
    let opened = heard
        .lines
        .iter()
        .filter(|line| line.text == "connect server");
    let note = Some("TLS: what is inside cannot be read");
    assert!(opened.clone().count() >= 3);
    assert!(opened.into_iter().all(|line| line.note.as_deref() == note));
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_failed_case_is_recorded_and_only_if_the_job_wants_it() {
    let good = pair("reference-server", "reference-client");
    let bad = pair("reference-server", "broken-client:half-close-closes");
    let id = |one: &str| one == "pair/tunnel/half-close-user";
    let unasked = jobs(&bad, id).into_iter().map(|job| Job {
        listens: false,
        excused: true,
        ..job
    });
    let all = judged(jobs(&good, id).into_iter().chain(unasked).collect()).await;
    let mut verdicts: Vec<Verdict> = all.iter().map(|one| one.verdict).collect();
    verdicts.sort_unstable();
    assert_eq!(verdicts, [Verdict::Pass, Verdict::Fail]);
    assert!(all.iter().all(|one| one.heard.is_none()));
}

/// If the relay held back a close or caused one, one of these cases would fail.
#[tokio::test(flavor = "multi_thread")]
async fn a_good_pair_passes_every_case_with_a_relay_between_the_two() {
    let subject = pair("reference-server", "reference-client");
    let jobs = jobs(&subject, |_| true);
    assert!(jobs.len() >= 40 && jobs.iter().all(|job| job.skip.is_none()));
    let (tls, slots) = (
        Tls::new().unwrap(),
        Arc::new(tokio::sync::Semaphore::new(64)),
    );
    let mut playing = tokio::task::JoinSet::new();
    for job in jobs {
        let (tls, slots) = (tls.clone(), Arc::clone(&slots));
        playing.spawn(async move {
            let _slot = slots.acquire_owned().await;
            let mut between = Between::new(job.transport).await.unwrap();
            let played = judge::play(&job, &job.entry.case, &tls, Some(&mut between));
            let (judged, _) = Box::pin(played).await;
            assert_eq!(
                judged.judged.verdict,
                Verdict::Pass,
                "{} {:?}",
                judged.judged.id,
                judged.judged.broken
            );
            let talk = between.talk().await;
            assert!(
                talk.connections(&[]).len() >= 2,
                "{} went past the relay",
                judged.judged.id
            );
        });
    }
    while let Some(done) = playing.join_next().await {
        done.unwrap();
    }
}

#[test]
fn a_second_run_that_differs_from_the_first_is_described() {
    let judged = |verdict, line: Option<usize>| Judged {
        broken: line.map(|line| Broken {
            line,
            marks: Vec::new(),
            expected: Expected::Step(Box::new(parse_step("user < eof").unwrap())),
            got: "nothing".into(),
        }),
        verdict,
        ..Judged::unjudged("x".into(), "x".into(), Unjudged::Harness("it ended".into()))
    };
    let first = judged(Verdict::Fail, Some(7));
    let otherwise = |again| between::otherwise(&first, &again);
    assert_eq!(otherwise(judged(Verdict::Fail, Some(7))), None);
    let passed = otherwise(judged(Verdict::Pass, None));
    assert_eq!(passed.as_deref(), Some("it passed"));
    let earlier = otherwise(judged(Verdict::Fail, Some(5)));
    assert_eq!(
        earlier.as_deref(),
        Some("expected user  < eof, got nothing")
    );
    let crashed = otherwise(judged(Verdict::Crash, None));
    assert_eq!(crashed.as_deref(), Some("it ended"));
}
