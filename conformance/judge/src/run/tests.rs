//! The judge with fake servers that break the rules: they pass no case, or only those that need no more than agreement.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use netroxy_specification::catalog::{Entry, embedded, read};
use netroxy_specification::notation::ast::{Line, Transport};
use netroxy_specification::rules;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::excuse::excuse;
use super::job::{planned, reason_to_skip, waits};
use super::runner::conduct;
use super::twins::Twins;
use super::*;
use crate::player::Waited;
use crate::sut::{Running, Subject};
use crate::times::{STILL, Tempo};
use crate::verdict::{RunNote, Unjudged, Verdict};

/// What a fake server does with a connection, except the readiness login of the suite.
#[derive(Clone, Copy, PartialEq)]
enum Behaviour {
    /// Closes after the first bytes.
    ClosesAtOnce,
    /// Resets after the first bytes.
    Resets,
    /// Sends random bytes.
    SendsNoise,
    /// Reads everything and sends nothing.
    NeverAnswers,
    /// Sends everything back.
    Echoes,
    /// Accepts every login and every MAP, and answers SRQ.
    AgreesToAll,
    /// Ends its own direction and continues to read.
    HalfCloses,
    /// Stops listening after the first bytes, so that no login succeeds any more.
    Exits,
    /// After the first bytes it answers no connection any more, not even a login.
    Hangs,
    /// The same as `AgreesToAll`, and sends one more byte 60 ms later.
    SendsMoreLater,
}

/// Starts a fake server. If `is_ready`, it accepts the login with which the suite checks that a server is ready.
async fn fake(behaviour: Behaviour, is_ready: bool) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let down = CancellationToken::new();
        let closes = match behaviour {
            Behaviour::Exits => down.clone(),
            _ => CancellationToken::new(),
        };
        while let Some(Ok((stream, _))) = closes.run_until_cancelled(listener.accept()).await {
            tokio::spawn(serve(stream, behaviour, is_ready, down.clone()));
        }
    });
    address
}

async fn serve(
    mut stream: TcpStream,
    behaviour: Behaviour,
    is_ready: bool,
    down: CancellationToken,
) {
    let mut buffer = vec![0; 1 << 16];
    let (mut first, mut pending) = (true, String::new());
    while let Ok(count @ 1..) = stream.read(&mut buffer).await {
        let text = String::from_utf8_lossy(&buffer[..count]).into_owned();
        let canary = first && is_ready && text.starts_with("ATH\ncanary-");
        first = false;
        let answer = match behaviour {
            _ if down.is_cancelled() => continue,
            _ if canary => b"ARS\ntrue\n30\ntoken\n".to_vec(),
            Behaviour::ClosesAtOnce => return,
            Behaviour::Resets => {
                let _ = stream.set_zero_linger();
                return;
            }
            Behaviour::SendsNoise => netroxy_specification::noise::noise(64, 7),
            Behaviour::HalfCloses => {
                let _ = stream.shutdown().await;
                continue;
            }
            Behaviour::Exits => {
                down.cancel();
                return;
            }
            Behaviour::Hangs => {
                down.cancel();
                continue;
            }
            Behaviour::NeverAnswers => continue,
            Behaviour::Echoes => buffer[..count].to_vec(),
            Behaviour::AgreesToAll | Behaviour::SendsMoreLater => {
                pending.push_str(&text);
                agreeing_answers(&mut pending).into_bytes()
            }
        };
        if stream.write_all(&answer).await.is_err() {
            return;
        }
        if behaviour == Behaviour::SendsMoreLater {
            tokio::time::sleep(Duration::from_millis(60)).await;
            let _ = stream.write_all(b"X").await;
        }
    }
}

/// Takes the whole messages from the text and returns an agreeing answer to each.
fn agreeing_answers(text: &mut String) -> String {
    let mut answer = String::new();
    loop {
        let word = text
            .split_once('\n')
            .map_or("", |(word, _)| word)
            .to_owned();
        let lines = match word.as_str() {
            "ATH" | "MAP" => 4,
            "TRS" => 3,
            _ => 1,
        };
        let Some((end, _)) = text.match_indices('\n').nth(lines - 1) else {
            return answer;
        };
        let message: String = text.drain(..=end).collect();
        match word.as_str() {
            "ATH" => answer.push_str("ARS\ntrue\n30\ntoken\n"),
            "MAP" => answer.push_str(&format!(
                "MRS\n{}\ntrue\n",
                message.split('\n').nth(1).unwrap_or("0")
            )),
            "SRQ" => answer.push_str("SRS\n"),
            _ => {}
        }
    }
}

async fn verdicts(address: SocketAddr) -> Vec<(String, Verdict)> {
    let running = Running {
        plain: address,
        tls: None,
        username: "u".into(),
        password: "p".into(),
    };
    verdicts_of(&Arc::new(Subject::Running(running)), 0.1).await
}

async fn verdicts_of(subject: &Arc<Subject>, time_scale: f64) -> Vec<(String, Verdict)> {
    let options = Options {
        hardened: true,
        jobs: 64,
        time_scale,
        still: None,
    };
    let entries: Vec<Arc<Entry>> = embedded().unwrap().into_values().map(Arc::new).collect();
    let mut jobs = plan(&entries, subject, &rules::embedded().unwrap(), options);
    // A case that waits for seconds takes long and gives no other result with a fake.
    jobs.retain(|job| job.skip.is_none() && waits(job) < 1000);
    assert!(jobs.len() > 60, "{}", jobs.len());
    let mut found = Vec::new();
    let tls = Tls::new().unwrap();
    let stop = CancellationToken::new();
    let finished = run(jobs, &tls, options, Order::default(), &stop, |_, judged| {
        found.push((judged.id, judged.verdict));
        false
    });
    assert_eq!(finished.await.ended, Ended::Complete);
    found
}

fn passed(found: &[(String, Verdict)]) -> Vec<&str> {
    found
        .iter()
        .filter(|(_, verdict)| !verdict.is_red(false))
        .map(|(id, _)| id.as_str())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_closes_every_connection_passes_nothing() {
    let found = verdicts(fake(Behaviour::ClosesAtOnce, false).await).await;
    assert_eq!(passed(&found), [""; 0]);
    assert!(
        found
            .iter()
            .all(|(_, verdict)| *verdict == Verdict::NotReady)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_accepts_only_the_readiness_login_passes_nothing() {
    let found = verdicts(fake(Behaviour::ClosesAtOnce, true).await).await;
    assert_eq!(passed(&found), [""; 0]);
    // Most cases fail before a step that judges.
    let red = [Verdict::Fail, Verdict::Blocked];
    assert!(found.iter().all(|(_, verdict)| red.contains(verdict)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_resets_every_connection_passes_nothing() {
    let found = verdicts(fake(Behaviour::Resets, true).await).await;
    assert_eq!(passed(&found), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_sends_noise_passes_nothing() {
    let found = verdicts(fake(Behaviour::SendsNoise, true).await).await;
    assert_eq!(passed(&found), [""; 0]);
}

/// The other cases find no server that listens.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_exits_in_the_first_case_passes_nothing() {
    let found = verdicts(fake(Behaviour::Exits, true).await).await;
    assert_eq!(passed(&found), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_never_answers_passes_nothing() {
    assert_eq!(
        passed(&verdicts(fake(Behaviour::NeverAnswers, true).await).await),
        [""; 0]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_echoes_every_byte_passes_nothing() {
    assert_eq!(
        passed(&verdicts(fake(Behaviour::Echoes, true).await).await),
        [""; 0]
    );
}

/// The list has all cases that a server can pass by agreeing to every whole message.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_agrees_to_all_passes_only_these_cases() {
    let found = verdicts(fake(Behaviour::AgreesToAll, true).await).await;
    let mut passed = passed(&found);
    passed.sort_unstable();
    assert_eq!(
        passed,
        [
            "server/auth/binary-name",
            "server/auth/empty-name",
            "server/auth/good-login",
            "server/auth/same-name",
            "server/auth/token-random",
            "server/auth/token-random-names",
            "server/frame/after-login",
            "server/frame/after-requests",
            "server/frame/bytes-after-messages",
            "server/frame/cr-in-name",
            "server/frame/crlf-login",
            "server/frame/empty-line",
            "server/frame/end-inside-login",
            "server/frame/login-in-drips",
            "server/frame/long-name",
            "server/frame/long-target",
            "server/frame/many-requests",
            "server/frame/partial-login",
            "server/frame/pipelining",
            "server/frame/requests-in-drips",
            "server/frame/segments-across-messages",
            "server/frame/unknown-word",
            "server/frame/unknown-word-before-login",
            "server/frame/word-in-small-letters",
            "server/frame/wrong-direction",
            "server/keepalive/answer",
            "server/keepalive/hundred",
            "server/map/hundred-answers",
            "server/map/port-ends",
            "server/map/target-opaque",
            "server/tls/hello-on-plain",
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_step_tells_what_came_instead_and_decides_the_verdict() {
    let subject = |plain| {
        Arc::new(Subject::Running(Running {
            plain,
            tls: None,
            username: "u".into(),
            password: "p".into(),
        }))
    };
    let head = "title    x\nrole     server\nrules    keep.srs\n\nctl   connect server\n";
    let tls = Tls::new().unwrap();
    let agreeing = subject(fake(Behaviour::AgreesToAll, true).await);
    let closing = subject(fake(Behaviour::ClosesAtOnce, true).await);
    let half = subject(fake(Behaviour::HalfCloses, true).await);
    let down = subject(fake(Behaviour::Exits, true).await);
    let hung = subject(fake(Behaviour::Hangs, true).await);
    let hung_too = subject(fake(Behaviour::Hangs, true).await);
    let extra = subject(fake(Behaviour::SendsMoreLater, true).await);
    for (body, subject, verdict, got) in [
        (
            "ctl   > SRQ\nctl   < SRS  [keep.srs]\n",
            &agreeing,
            Verdict::Pass,
            "",
        ),
        (
            "ctl   > SRQ\nctl   < SRS  in 1s..2s  [keep.srs]\n",
            &agreeing,
            Verdict::Fail,
            "too early",
        ),
        (
            "ctl   >> \"SRQ\\nSRQ\\n\"\nctl   < SRS\nctl   < closed  [keep.srs]\n",
            &agreeing,
            Verdict::Fail,
            "< SRS",
        ),
        (
            "ctl   > SRQ\nctl   << \"SRS\\nX\"  [keep.srs]\n",
            &agreeing,
            Verdict::Fail,
            "4 of 5 bytes",
        ),
        (
            "ctl   > SRQ\nctl   << \"SRT\"  [keep.srs]\n",
            &agreeing,
            Verdict::Fail,
            "byte 2 of 3 differs",
        ),
        (
            "ctl   > SRQ\nctl   < silence  [keep.srs]\n",
            &agreeing,
            Verdict::Fail,
            "< SRS",
        ),
        (
            "ctl   > SRQ\nctl   < silence  [keep.srs]\n",
            &closing,
            Verdict::Fail,
            "closed",
        ),
        (
            "ctl   > SRQ\nctl   < closed  [keep.srs]\n",
            &closing,
            Verdict::Pass,
            "",
        ),
        (
            "ctl   > SRQ\nctl   < closed  in 1s..2s  [keep.srs]\n",
            &closing,
            Verdict::Fail,
            "too early",
        ),
        (
            "ctl   > SRQ\nctl   < eof  [keep.srs]\n",
            &half,
            Verdict::Pass,
            "",
        ),
        (
            "ctl   > SRQ\nctl   < closed  [keep.srs]\n",
            &half,
            Verdict::Fail,
            "its own direction only",
        ),
        (
            "ctl   > SRQ\nctl   < SRS  [keep.srs]\n",
            &hung,
            Verdict::Hang,
            "nothing in",
        ),
        // The fence needs a login, and no login is answered.
        (
            "ctl   > SRQ\nctl   < silence  [keep.srs]\n",
            &hung_too,
            Verdict::Hang,
            "no login on a fresh connection",
        ),
        (
            "ctl   > SRQ\nctl   < SRS\nctl   < silence  [keep.srs]\n",
            &extra,
            Verdict::Fail,
            "<< \"X\"",
        ),
        // The broken step judges nothing, and the judging step is after it.
        (
            "ctl   > SRQ\nctl   < closed\nctl   > SRQ\nctl   < SRS  [keep.srs]\n",
            &agreeing,
            Verdict::Blocked,
            "< SRS",
        ),
        (
            "ctl   > SRQ\nctl   < stalled  [keep.srs]\n",
            &agreeing,
            Verdict::Fail,
            "all 4 bytes were taken",
        ),
        // The close was not a refusal: the program had ended.
        (
            "ctl   > SRQ\nctl   < closed  [keep.srs]\n",
            &down,
            Verdict::Fail,
            "a new login fails",
        ),
        (
            "user  connect 1  [keep.srs]\n",
            &closing,
            Verdict::Fail,
            "cannot connect",
        ),
        ("user  refused 1  [keep.srs]\n", &closing, Verdict::Pass, ""),
        (
            "user  refused $control  [keep.srs]\n",
            &closing,
            Verdict::Fail,
            "still accepts",
        ),
    ] {
        let entry = Arc::new(read("own", "own.case", &format!("{head}{body}")).unwrap());
        let job = Job {
            entry,
            transport: Transport::Plain,
            subject: Arc::clone(subject),
            skip: None,
            tempo: Tempo::new(1.0),
            still: STILL,
            round: None,
            in_play: InPlay::default(),
            listens: false,
            excused: true,
        };
        let (judged, _) = judge::judge(&job, &tls, &Twins::default()).await;
        assert_eq!(judged.verdict, verdict, "{body}: {:?}", judged.broken);
        let seen = judged
            .broken
            .map_or_else(String::new, |broken| broken.got.to_string());
        assert!(seen.contains(got), "{body}: {seen}");
    }
}

mod between;
mod conduct;
mod coverage;
mod inversion;
mod one_at_a_time;
mod outcome;
mod relay;
mod still;
mod tls;
