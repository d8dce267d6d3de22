//! Cases that last long: kept connections, slow segments, silent targets, and clients that log in only once.

use netroxy_specification::catalog::embedded;
use netroxy_specification::notation::ast::{Action, Side};
use netroxy_specification::notation::print_action;

use super::*;
use crate::embedded::NoPeers;
use crate::manifest::Manifest;
use crate::peers;
use crate::skip::Skip;

fn job(side: Side, text: &str) -> Job {
    Job {
        listens: false,
        excused: true,
        entry: Arc::new(read("own", "own.case", text).unwrap()),
        transport: Transport::Plain,
        subject: Arc::new(Subject::Started(peers::reference(side).unwrap())),
        skip: None,
        tempo: Tempo::new(1.0),
        still: Duration::from_millis(1200),
        round: None,
        in_play: InPlay::default(),
    }
}

async fn judged(side: Side, text: String) -> Judged {
    let tls = Tls::new().unwrap();
    judge::judge(&job(side, &text), &tls, &Twins::default())
        .await
        .0
}

/// How many lines of the transcript have this text and this note.
fn count(judged: &Judged, text: &str, note: &str) -> usize {
    let lines = judged.transcript.iter().flat_map(|one| one.lines());
    let is =
        |line: &crate::transcript::Line| line.text == text && line.note.as_deref() == Some(note);
    lines.filter(is).count()
}

const SERVER: &str = "title x\nrole server\nrules keep.srs\nconfig timeout 3\n\nctl connect server\n\
    ctl > ATH $name $username $password\nctl < ARS true _ _\n";

const CLIENT: &str = "title x\nrole client\nrules keep.srs\nconfig map $port -> $target\n\nctl accept\n\
    ctl < ATH _ $username $password\nctl > ARS true 1 $token\nctl < MAP $port $target true\nctl > MRS $port true\n";

#[tokio::test(flavor = "multi_thread")]
async fn keep_sends_srq_while_the_case_waits_longer_than_the_timeout() {
    let kept = judged(
        Side::Server,
        format!("{SERVER}ctl keep\nctl < silence in 5s.. [keep.srs]\nctl > SRQ\nctl < silence\n"),
    );
    let alone = judged(
        Side::Server,
        format!("{SERVER}ctl < silence in 5s.. [keep.srs]\n"),
    );
    let (kept, alone) = tokio::join!(kept, alone);
    assert_eq!(alone.verdict, Verdict::Fail);
    assert_eq!(kept.verdict, Verdict::Pass, "{:?}", kept.broken);
    let (asked, answered) = (
        count(&kept, "> SRQ", "keep"),
        count(&kept, "< SRS", "ignored"),
    );
    // One at once and one each second. The fences send two more, and the case one.
    assert!((6..=8).contains(&asked), "{asked}");
    assert_eq!(answered, asked + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn keep_answers_the_srq_of_a_client_while_the_case_waits() {
    let kept = judged(
        Side::Client,
        format!("{CLIENT}ctl keep\nctl < silence in 3s.. [keep.srs]\n"),
    );
    let alone = judged(
        Side::Client,
        format!("{CLIENT}ctl < silence in 3s.. [keep.srs]\n"),
    );
    let (kept, alone) = tokio::join!(kept, alone);
    assert_eq!(alone.verdict, Verdict::Fail);
    assert_eq!(kept.verdict, Verdict::Pass, "{:?}", kept.broken);
    let (asked, answered) = (
        count(&kept, "< SRQ", "ignored"),
        count(&kept, "> SRS", "keep"),
    );
    assert!(asked >= 7, "{asked}");
    assert!(asked.abs_diff(answered) <= 1, "{asked} and {answered}");
}

#[tokio::test(flavor = "multi_thread")]
async fn keep_before_the_login_blocks_the_case() {
    let early = SERVER.replace(
        "ctl < ARS true _ _\n",
        "ctl keep\nctl < silence [keep.srs]\n",
    );
    let judged = judged(Side::Server, early).await;
    assert_eq!(judged.verdict, Verdict::Blocked);
    let got = judged.broken.unwrap().got;
    assert_eq!(
        got.to_string(),
        "`ctl` has not logged in: there is nothing to keep"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn segments_are_sent_with_pauses_and_slow_lasts_as_long_as_still() {
    let body = "ctl >> every 0.3s \"S\" \"R\" \"Q\\n\"\nctl < SRS [keep.srs]\nctl >> slow \"SRQ\\n\"\nctl < SRS\nctl < silence in still..\n";
    let judged = judged(Side::Server, format!("{SERVER}{body}")).await;
    assert_eq!(judged.verdict, Verdict::Pass, "{:?}", judged.broken);
    let transcript = judged.transcript.unwrap();
    let lines = transcript.lines();
    let at = |text: &str| lines.iter().find(|line| line.text == text).unwrap().at;
    let every = at(">> \"Q\\n\"") - at(">> \"S\"");
    // The time of a segment is that after it was sent, so the difference can be a little shorter.
    assert!(every >= Duration::from_millis(580), "{every:?}");
    let slow = at(">> \"\\n\"") - at(">> \"Q\"");
    assert!(slow >= Duration::from_millis(280), "{slow:?}");
    let last = lines.last().unwrap().at - at(">> \"\\n\"");
    assert!(last >= Duration::from_millis(1200), "{last:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_target_accepts_after_the_time_of_late() {
    let head = CLIENT
        .replace("map $port -> $target", "map $port -> $silent_target")
        .replace("MAP $port $target", "MAP $port $silent_target")
        .replace("true 1", "true 30");
    let body = "tgt late 0.5s\nctl > TRQ $port\ntgt accept $silent_target in 0.4s..8s [keep.srs]\ntun accept\ntun < TRS $token $port\ntun >> \"ping\"\ntgt << \"ping\"\n";
    let judged = judged(Side::Client, format!("{head}{body}")).await;
    assert_eq!(judged.verdict, Verdict::Pass, "{:?}", judged.broken);
}

/// If the message never arrives, it is not too early.
#[tokio::test(flavor = "multi_thread")]
async fn a_step_with_only_a_lower_bound_judges_only_that_bound() {
    let body = "ctl < SRS in 0.2s.. [keep.srs]\n";
    let never = judged(Side::Server, format!("{SERVER}{body}")).await;
    assert_eq!(never.verdict, Verdict::Blocked, "{:?}", never.broken);
    let early = judged(Side::Server, format!("{SERVER}ctl > SRQ\n{body}")).await;
    assert_eq!(early.verdict, Verdict::Fail);
    assert!(early.broken.unwrap().got.to_string().contains("too early"));
}

#[test]
fn a_client_that_does_not_reconnect_plays_the_cases_with_one_login() {
    let text = include_str!("../../../../suts/netroxy-client.json");
    let once = text.replace("\"role\"", "\"reconnects\": false, \"role\"");
    let env = |_: &str| Some("/bin/true".to_owned());
    let manifest =
        Manifest::parse("x.json", &once, std::path::Path::new("."), &env, &NoPeers).unwrap();
    let subject = Arc::new(Subject::Started(manifest));
    let entries: Vec<_> = embedded().unwrap().into_values().map(Arc::new).collect();
    let options = Options {
        hardened: true,
        jobs: 1,
        time_scale: 1.0,
        still: None,
    };
    let jobs = plan(&entries, &subject, &rules::embedded().unwrap(), options);
    let skipped = jobs.iter().filter(|job| job.skip == Some(Skip::LogsInOnce));
    let skipped: Vec<&str> = skipped.map(|job| job.entry.id.as_str()).collect();
    for id in [
        "client/life/reconnect",
        "client/life/closed-four-times",
        "client/auth/refused-backoff",
        "client/keepalive/gives-up",
    ] {
        assert!(skipped.contains(&id), "{id}");
    }
    for id in [
        "client/auth/login",
        "client/tunnel/echo",
        "client/keepalive/mrs-is-no-answer",
        "client/auth/refused",
    ] {
        assert!(!skipped.contains(&id), "{id}");
    }
    // No other case accepts a second control connection.
    for job in jobs.iter().filter(|job| job.skip.is_none()) {
        let lines = job.entry.case.body.iter();
        let logins = lines.filter(|line| {
            matches!(line, Line::Step(step) if print_action(&step.action).starts_with("< ATH") || matches!(step.action, Action::Down(_)))
        });
        assert!(logins.count() <= 1, "{}", job.entry.id);
    }
}

#[test]
fn the_waiting_time_of_a_case_is_the_sum_of_its_steps() {
    let case = |body: &str| {
        job(
            Side::Server,
            &format!("{SERVER}ctl < silence [keep.srs]\n{body}"),
        )
    };
    let order = [
        "ctl < silence in still..\n",
        "ctl >> slow \"x\"\n",
        "ctl >> every 0.5s \"a\" \"b\"\n",
        "repeat 3\n  ctl < silence in 0.3s..\n",
    ];
    let waits: Vec<u64> = order.iter().map(|body| waits(&case(body))).collect();
    assert_eq!(waits, [1200, 1200, 1000, 900]);

    // The verdict of a twin comes after the waits of both.
    let mut job = case(order[0]);
    let twin = Arc::new(case(order[2]).entry.case.clone());
    job.entry = Arc::new(Entry {
        twin: Some(("twin".to_owned(), twin)),
        ..(*job.entry).clone()
    });
    let of_case = job.unjudged(Unjudged::Harness(String::new()));
    let of_twin = Judged {
        twin: Some("twin".to_owned()),
        ..of_case.clone()
    };
    let planned = [&of_case, &of_twin].map(|judged| planned(&job, judged).as_millis());
    assert_eq!(planned, [1200, 2200]);
}
