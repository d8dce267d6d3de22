//! The judge against servers that are wrong in every way: no case may pass.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use netroxy_specification::catalog::{Entry, embedded, read};
use netroxy_specification::notation::ast::{Line, Transport};
use netroxy_specification::rules;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::job::{reason_to_skip, waits};
use super::runner::{conduct, excuse};
use super::twins::Twins;
use super::*;
use crate::player::Waited;
use crate::sut::{Running, Subject};
use crate::times::{STILL, Tempo};
use crate::verdict::{Reason, RunNote, Verdict};

/// What a fake does with a connection that is not the suite's own login.
#[derive(Clone, Copy, PartialEq)]
enum Manners {
    /// Closes at once.
    SlamShut,
    /// Breaks off at once.
    Resets,
    /// Says something that is no protocol.
    Noise,
    /// Takes everything and says nothing.
    BlackHole,
    /// Sends everything back.
    Echo,
    /// Lets everybody log in and agrees with everything.
    YesSayer,
    /// Ends its own direction and goes on reading.
    HalfClose,
    /// Goes down, and nobody can log in any more.
    GoesDown,
    /// Takes everything from then on and answers nobody, not even at a login.
    Hangs,
    /// Agrees with everything, and says something more a moment later.
    Adds,
}

/// With `polite`, the login that proves that a server is ready is answered well.
async fn fake(manners: Manners, polite: bool) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let down = CancellationToken::new();
        let closes = match manners {
            Manners::GoesDown => down.clone(),
            _ => CancellationToken::new(),
        };
        while let Some(Ok((stream, _))) = closes.run_until_cancelled(listener.accept()).await {
            tokio::spawn(serve(stream, manners, polite, down.clone()));
        }
    });
    address
}

async fn serve(mut stream: TcpStream, manners: Manners, polite: bool, down: CancellationToken) {
    let mut buffer = vec![0; 1 << 16];
    let (mut first, mut pending) = (true, String::new());
    while let Ok(count @ 1..) = stream.read(&mut buffer).await {
        let text = String::from_utf8_lossy(&buffer[..count]).into_owned();
        let canary = first && polite && text.starts_with("ATH\ncanary-");
        first = false;
        let answer = match manners {
            _ if down.is_cancelled() => continue,
            _ if canary => b"ARS\ntrue\n30\ntoken\n".to_vec(),
            Manners::SlamShut => return,
            Manners::Resets => {
                let _ = stream.set_zero_linger();
                return;
            }
            Manners::Noise => crate::noise::noise(64, 7),
            Manners::HalfClose => {
                let _ = stream.shutdown().await;
                continue;
            }
            Manners::GoesDown => {
                down.cancel();
                return;
            }
            Manners::Hangs => {
                down.cancel();
                continue;
            }
            Manners::BlackHole => continue,
            Manners::Echo => buffer[..count].to_vec(),
            Manners::YesSayer | Manners::Adds => {
                pending.push_str(&text);
                yes(&mut pending).into_bytes()
            }
        };
        if stream.write_all(&answer).await.is_err() {
            return;
        }
        if manners == Manners::Adds {
            tokio::time::sleep(Duration::from_millis(60)).await;
            let _ = stream.write_all(b"X").await;
        }
    }
}

/// The happiest answers to the whole messages of a text, which leaves it.
fn yes(text: &mut String) -> String {
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
    // Those that wait for seconds tell nothing new about a fake.
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
async fn a_server_that_slams_every_connection_passes_nothing() {
    let found = verdicts(fake(Manners::SlamShut, false).await).await;
    assert_eq!(passed(&found), [""; 0]);
    assert!(
        found
            .iter()
            .all(|(_, verdict)| *verdict == Verdict::NotReady)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_lets_only_the_first_login_in_passes_nothing() {
    let found = verdicts(fake(Manners::SlamShut, true).await).await;
    assert_eq!(passed(&found), [""; 0]);
    // Most cases do not even come to what they judge.
    let red = [Verdict::Fail, Verdict::Blocked];
    assert!(found.iter().all(|(_, verdict)| red.contains(verdict)));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_resets_every_connection_passes_nothing() {
    let found = verdicts(fake(Manners::Resets, true).await).await;
    assert_eq!(passed(&found), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_says_nonsense_passes_nothing() {
    let found = verdicts(fake(Manners::Noise, true).await).await;
    assert_eq!(passed(&found), [""; 0]);
}

/// All the others find nobody any more.
#[tokio::test(flavor = "multi_thread")]
async fn one_that_dies_in_the_first_case_passes_nothing() {
    let found = verdicts(fake(Manners::GoesDown, true).await).await;
    assert_eq!(passed(&found), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_black_hole_passes_nothing() {
    assert_eq!(
        passed(&verdicts(fake(Manners::BlackHole, true).await).await),
        [""; 0]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_echo_passes_nothing() {
    assert_eq!(
        passed(&verdicts(fake(Manners::Echo, true).await).await),
        [""; 0]
    );
}

/// What can be had for saying yes to every whole message, and nothing more.
#[tokio::test(flavor = "multi_thread")]
async fn a_yes_sayer_passes_only_what_asks_for_a_yes() {
    let found = verdicts(fake(Manners::YesSayer, true).await).await;
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
            "server/frame/behind-login",
            "server/frame/behind-requests",
            "server/frame/bytes-behind-messages",
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
async fn a_step_that_comes_too_early_or_brings_more_is_a_failure() {
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
    let polite = subject(fake(Manners::YesSayer, true).await);
    let slam = subject(fake(Manners::SlamShut, true).await);
    let half = subject(fake(Manners::HalfClose, true).await);
    let down = subject(fake(Manners::GoesDown, true).await);
    let hung = subject(fake(Manners::Hangs, true).await);
    let hung_too = subject(fake(Manners::Hangs, true).await);
    let adds = subject(fake(Manners::Adds, true).await);
    for (body, subject, verdict, got) in [
        (
            "ctl   > SRQ\nctl   < SRS  [keep.srs]\n",
            &polite,
            Verdict::Pass,
            "",
        ),
        (
            "ctl   > SRQ\nctl   < SRS  in 1s..2s  [keep.srs]\n",
            &polite,
            Verdict::Fail,
            "too early",
        ),
        (
            "ctl   >> \"SRQ\\nSRQ\\n\"\nctl   < SRS\nctl   < closed  [keep.srs]\n",
            &polite,
            Verdict::Fail,
            "< SRS",
        ),
        (
            "ctl   > SRQ\nctl   << \"SRS\\nX\"  [keep.srs]\n",
            &polite,
            Verdict::Fail,
            "4 of 5 bytes",
        ),
        (
            "ctl   > SRQ\nctl   << \"SRT\"  [keep.srs]\n",
            &polite,
            Verdict::Fail,
            "byte 2 of 3 differs",
        ),
        (
            "ctl   > SRQ\nctl   < silence  [keep.srs]\n",
            &polite,
            Verdict::Fail,
            "< SRS",
        ),
        (
            "ctl   > SRQ\nctl   < silence  [keep.srs]\n",
            &slam,
            Verdict::Fail,
            "closed",
        ),
        (
            "ctl   > SRQ\nctl   < closed  [keep.srs]\n",
            &slam,
            Verdict::Pass,
            "",
        ),
        (
            "ctl   > SRQ\nctl   < closed  in 1s..2s  [keep.srs]\n",
            &slam,
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
        // Nobody can be asked whether all has been said.
        (
            "ctl   > SRQ\nctl   < silence  [keep.srs]\n",
            &hung_too,
            Verdict::Hang,
            "no login on a fresh connection",
        ),
        (
            "ctl   > SRQ\nctl   < SRS\nctl   < silence  [keep.srs]\n",
            &adds,
            Verdict::Fail,
            "<< \"X\"",
        ),
        // The last step that could be judged did not come.
        (
            "ctl   > SRQ\nctl   < closed\nctl   > SRQ\nctl   < SRS  [keep.srs]\n",
            &polite,
            Verdict::Blocked,
            "< SRS",
        ),
        (
            "ctl   > SRQ\nctl   < stalled  [keep.srs]\n",
            &polite,
            Verdict::Fail,
            "all 4 bytes were taken",
        ),
        // What looks like a refusal was the end of the program.
        (
            "ctl   > SRQ\nctl   < closed  [keep.srs]\n",
            &down,
            Verdict::Fail,
            "nobody can log in any more",
        ),
        (
            "user  connect 1  [keep.srs]\n",
            &slam,
            Verdict::Fail,
            "cannot connect",
        ),
        ("user  refused 1  [keep.srs]\n", &slam, Verdict::Pass, ""),
        (
            "user  refused $control  [keep.srs]\n",
            &slam,
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
mod lonely;
mod outcome;
mod relay;
mod still;
mod tls;
