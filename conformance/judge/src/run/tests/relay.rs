//! The reference server behind a relay that delays or splits its bytes: all plain cases must still pass.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use super::*;
use crate::manifest::Manifest;
use crate::peers::Carried;
use crate::sut::{Announced, start_server};

/// How many bytes of each direction are forwarded one at a time: more than the longest line that a case sends.
const DRIPS: usize = 5_000;

/// The same on a data connection: enough for its TRS and some bytes of the tunnel. All bytes of nine tunnels, one at a
/// time, would only measure the processor.
const DRIPS_OF_DATA: usize = 300;

#[derive(Clone, Copy)]
struct Forwarding {
    /// The delay before the bytes of a short read are forwarded.
    delay: Duration,
    /// Whether the first bytes are forwarded one at a time.
    drips: bool,
}

async fn relay(to: SocketAddr, forwarding: Forwarding) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((near, _)) = listener.accept().await {
            tokio::spawn(async move {
                let Ok(far) = TcpStream::connect(to).await else {
                    return;
                };
                let _ = (near.set_nodelay(true), far.set_nodelay(true));
                let ((near_in, near_out), (far_in, far_out)) =
                    (near.into_split(), far.into_split());
                let drips = Arc::new(AtomicUsize::new(if forwarding.drips { DRIPS } else { 0 }));
                let there = carry(near_in, far_out, forwarding.delay, Arc::clone(&drips));
                let there = tokio::spawn(there);
                let back = tokio::spawn(carry(far_in, near_out, forwarding.delay, drips));
                let (stop_there, stop_back) = (there.abort_handle(), back.abort_handle());
                // An error in one direction ends the other one too, a FIN does not.
                let there = async {
                    if there.await.is_ok_and(|ended| !ended) {
                        stop_back.abort()
                    }
                };
                let back = async {
                    if back.await.is_ok_and(|ended| !ended) {
                        stop_there.abort()
                    }
                };
                tokio::join!(there, back);
            });
        }
    });
    address
}

/// Forwards one direction, the first `drips` bytes one at a time. Returns whether it ended with a FIN.
async fn carry(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    delay: Duration,
    drips: Arc<AtomicUsize>,
) -> bool {
    let mut buffer = vec![0; 1 << 16];
    let mut dripped = 0;
    loop {
        let count = match from.read(&mut buffer).await {
            Ok(0) => return to.shutdown().await.is_ok(),
            Ok(count) => count,
            Err(_) => return false,
        };
        // Long reads are not delayed: the test is about latency, not about bandwidth.
        if count < 4_000 {
            tokio::time::sleep(delay).await;
        }
        // The server sends nothing on a data connection before the TRS, so both directions see the smaller number in
        // time.
        if buffer[..count].starts_with(b"TRS") {
            drips.fetch_min(DRIPS_OF_DATA, Ordering::Relaxed);
        }
        let slow = count.min(drips.load(Ordering::Relaxed).saturating_sub(dripped));
        dripped += slow;
        for byte in &buffer[..slow] {
            if to.write_all(std::slice::from_ref(byte)).await.is_err() {
                return false;
            }
        }
        if to.write_all(&buffer[slow..count]).await.is_err() {
            return false;
        }
    }
}

/// The reference server without a limit of wrong passwords: all cases use one server, from one address.
fn reference_without_password_limit() -> Manifest {
    let text = include_str!("../../../../suts/reference-server.json");
    let (before, after) = text.split_once("\"userTimeout\": 8").unwrap();
    let limits = "\"userTimeout\": 8, \"limits\": {\"wrongPasswordSeconds\": 0}";
    let text = format!("{before}{limits}{after}");
    Manifest::parse("patient", &text, Path::new(""), &|_| None, &Carried).unwrap()
}

async fn red(forwarding: Forwarding) -> Vec<String> {
    let tls = Tls::new().unwrap();
    let reference = Subject::Started(reference_without_password_limit());
    let instance = start_server(
        &reference,
        (30, Announced::ByStart),
        &tls,
        1.0,
        &Transport::ALL,
    )
    .await
    .unwrap();
    let running = Running {
        plain: relay(instance.address(Transport::Plain).unwrap(), forwarding).await,
        tls: None,
        username: instance.username.clone(),
        password: instance.password.clone(),
    };
    let subject = Arc::new(Subject::Running(running));
    let options = Options {
        hardened: true,
        jobs: 100,
        time_scale: 1.0,
        still: None,
    };
    let entries: Vec<Arc<Entry>> = embedded().unwrap().into_values().map(Arc::new).collect();
    let mut jobs = plan(&entries, &subject, &rules::embedded().unwrap(), options);
    // Cases that wait for seconds would judge the delay of the relay.
    jobs.retain(|job| job.skip.is_none() && waits(job) < 1000);
    jobs.retain(|job| forwarding.delay.is_zero() || turns(job) < 100);
    jobs.retain(|job| !NOT_WITH_A_RELAY.contains(&job.entry.id.as_str()));
    assert!(jobs.len() > 60, "{}", jobs.len());
    let mut red = Vec::new();
    let stop = CancellationToken::new();
    let finished = run(jobs, &tls, options, Order::default(), &stop, |_, judged| {
        if judged.verdict != Verdict::Pass {
            let lines = judged
                .transcript
                .as_ref()
                .map(crate::transcript::Transcript::lines);
            red.push(format!(
                "{} {:?} {:?} {lines:#?}",
                judged.id, judged.verdict, judged.broken
            ));
        }
        false
    });
    assert_eq!(finished.await.ended, Ended::Complete);
    red
}

/// How many turns the longest block of a case has. A hundred turns need the delay several hundred times.
fn turns(job: &Job) -> u32 {
    let blocks = job.entry.case.body.iter().filter_map(|line| match line {
        Line::Repeat(block) => Some(block.count),
        _ => None,
    });
    blocks.max().unwrap_or(0)
}

/// Cases that cannot pass with the relay: it buffers several MiB, and ends a direction when the other one fails.
const NOT_WITH_A_RELAY: [&str; 6] = [
    "server/tunnel/answer-survives",
    "server/tunnel/backpressure-service",
    "server/tunnel/backpressure-user",
    "server/tunnel/concurrent",
    "server/tunnel/last-bytes-data-reset",
    "server/tunnel/last-bytes-user-reset",
];

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_sends_single_bytes_passes_everything() {
    let red = red(Forwarding {
        delay: Duration::ZERO,
        drips: true,
    })
    .await;
    assert!(red.is_empty(), "{}", red.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_answers_late_passes_everything() {
    let delay = Duration::from_millis(150);
    let red = red(Forwarding {
        delay,
        drips: false,
    })
    .await;
    assert!(red.is_empty(), "{}", red.join("\n"));
}
