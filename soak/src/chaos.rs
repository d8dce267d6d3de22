//! Many users at a time, while the connections between client and server are delayed, stalled and cut.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tokio::time::interval;
use tokio_util::sync::CancellationToken;

use crate::faults::Faults;
use crate::figures::{Report, say};
use crate::guests;
use crate::leaks::{growth, leaks};
use crate::link::{Break, Cut, Link};
use crate::netem::Netem;
use crate::proc::{holds, lowest, settled};
use crate::relay::Relay;
use crate::scene::{Scene, Tally, judge_ledger};
use crate::services::Services;
use crate::world::{Programs, Setup, World, fresh_address};

/// How long after the last user the programs may hold more than before. The client waits 10 s for a target that does
/// not answer, and both programs wait until the last bytes have arrived.
const SETTLE: Duration = Duration::from_secs(30);
/// How long the programs are measured before the first user.
const CALM: Duration = Duration::from_secs(3);
/// The settings of a run.
#[derive(Debug, Clone)]
pub(crate) struct Chaos {
    /// How long users come.
    pub(crate) time: Duration,
    /// How many users there are at a time.
    pub(crate) users: u32,
    /// The time from one cut to the next.
    pub(crate) cut_every: Duration,
    /// The seed of all random choices.
    pub(crate) seed: u64,
    /// What to break on purpose, if anything.
    pub(crate) fault: Option<Break>,
    /// Whether the kernel makes delay and loss instead of the relay.
    pub(crate) netem: bool,
}

/// Runs the part, which is called `part` in the report.
pub(crate) async fn run(programs: &Programs, chaos: &Chaos, part: &str) -> io::Result<Report> {
    let mut report = Report::new(part);
    let netem = match chaos.netem {
        true => Some(Netem::up().await?),
        false => None,
    };
    let (place, link) = match &netem {
        Some(netem) => (netem.outside, Link::PERFECT),
        None => (fresh_address(), Link::LONG_AND_LOSSY),
    };
    let services = Services::start(place).await?;
    let setup = Setup {
        timeout: 20,
        login_timeout: 10,
        // Otherwise the client would be waiting at most of the cuts.
        longest_retry_wait: if chaos.cut_every < Duration::from_secs(10) {
            1
        } else {
            8
        },
        targets: vec![
            services.talker,
            services.refuser,
            services.full,
            services.silent,
        ],
    };
    let mut world = World::new(programs, setup)?;
    world.start_server().await?;
    let relay = Relay::start(place, world.control, link, chaos.fault, chaos.seed)?;
    world.start_client(relay.address, netem.as_ref())?;
    world.served().await?;
    let pids = world.pids()?;
    let (server, client) = tokio::try_join!(lowest(pids[0], CALM), lowest(pids[1], CALM))?;
    let before = [server, client];

    let scene = Arc::new(Scene {
        ports: world.ports.clone(),
        faults: Faults::default(),
        tally: Tally::default(),
        ledger: services.ledger.clone(),
        next: AtomicU64::new(0),
        over: CancellationToken::new(),
        leaks: chaos.fault == Some(Break::Leak),
    });
    let mut guests = JoinSet::new();
    for slot in 0..chaos.users {
        let seed = chaos.seed.wrapping_add(u64::from(slot) << 32);
        guests.spawn(guests::connect_repeatedly(scene.clone(), seed));
    }
    let watched = watch(chaos, &relay, &scene, pids).await;
    scene.over.cancel();
    let samples = watched?;
    while let Some(left) = guests.join_next().await {
        left.map_err(io::Error::other)?;
    }
    // The server holds fewer descriptors while the client is not logged in.
    world.served().await?;
    let (server, client) = tokio::try_join!(
        settled(pids[0], before[0].descriptors, SETTLE),
        settled(pids[1], before[1].descriptors, SETTLE),
    )?;
    let after = [server, client];
    judge_ledger(&scene).await;
    figures(&mut report, chaos, &scene, &relay);
    memory(&mut report, chaos, &samples);
    for (role, (before, after)) in ["server", "client"].iter().zip(before.iter().zip(&after)) {
        leaks(&mut report, role, before, after);
    }
    world.stop(&mut report).await?;
    Ok(report)
}

/// Cuts connections and measures the memory until the time is over. The result is the time of each sample, with the KiB
/// of server and client.
async fn watch(
    chaos: &Chaos,
    relay: &Relay,
    scene: &Scene,
    pids: [u32; 2],
) -> io::Result<Vec<(Duration, [u64; 2])>> {
    let start = Instant::now();
    let mut samples = Vec::new();
    let mut second = interval(Duration::from_millis(500));
    let (mut cuts, mut printed) = (0_u32, Instant::now());
    while start.elapsed() < chaos.time {
        second.tick().await;
        samples.push((start.elapsed(), [holds(pids[0])?.rss, holds(pids[1])?.rss]));
        // No cut comes near the end, so that the last users are served.
        if start.elapsed() >= chaos.cut_every * (cuts + 1)
            && start.elapsed() + chaos.cut_every < chaos.time
        {
            cuts += 1;
            let what = if cuts % 3 == 2 {
                Cut::All
            } else {
                Cut::Control
            };
            scene.faults.cut(what);
            let count = relay.cut(what);
            scene.tally.count(match what {
                Cut::All => "cuts of all connections",
                Cut::Control => "cuts of the control connection",
            });
            if count == 0 {
                scene.tally.count("cuts without a connection");
            }
        }
        if printed.elapsed() > Duration::from_secs(60) {
            printed = Instant::now();
            say(format!(
                "  {} s, {} tunnels",
                start.elapsed().as_secs(),
                scene.next.load(Ordering::Relaxed)
            ));
        }
    }
    Ok(samples)
}

fn figures(report: &mut Report, chaos: &Chaos, scene: &Scene, relay: &Relay) {
    let mut counts = scene.tally.counts();
    report.figure("seconds", chaos.time.as_secs(), "s");
    report.figure("users at a time", chaos.users, "");
    report.figure(
        "delay and loss by",
        if chaos.netem { "netem" } else { "relay" },
        "",
    );
    report.figure("tunnels requested", scene.next.load(Ordering::Relaxed), "");
    for (kind, count) in &counts.ends {
        report.figure(kind.as_str(), *count, "");
    }
    report.figure("bytes checked", counts.bytes, "B");
    report.figure("logins through the relay", relay.controls(), "");
    report.times("connect to first byte", &mut counts.first_bytes);
    report.times("cut to served again", &mut scene.faults.returns());
    let served = counts.ends.get("complete").copied().unwrap_or(0);
    report.require(served > 0, || "no tunnel was complete".to_owned());
    for fault in &counts.faults {
        report.violation(fault);
    }
}

fn memory(report: &mut Report, chaos: &Chaos, samples: &[(Duration, [u64; 2])]) {
    let window = (chaos.time / 4).min(Duration::from_secs(60));
    let warm = samples
        .iter()
        .filter(|(at, _)| *at >= window && *at < window * 2);
    let last = samples.iter().filter(|(at, _)| *at + window >= chaos.time);
    let (warm, last): (Vec<_>, Vec<_>) = (warm.collect(), last.collect());
    for (i, role) in ["server", "client"].into_iter().enumerate() {
        let course: Vec<_> = (0..8)
            .filter_map(|eighth| samples.get(samples.len() * (eighth * 2 + 1) / 16))
            .map(|(at, rss)| format!("{}s:{}", at.as_secs(), rss[i]))
            .collect();
        report.figure(format!("{role} memory over time"), course.join(" "), "KiB");
        let (Some(first), Some(end)) = (middle(&warm, i), middle(&last, i)) else {
            continue;
        };
        report.figure(format!("{role} memory after warm-up"), first, "KiB");
        report.figure(format!("{role} memory at the end"), end, "KiB");
        growth(report, role, first, end);
    }
}

fn middle(samples: &[&(Duration, [u64; 2])], program: usize) -> Option<u64> {
    let mut values: Vec<_> = samples.iter().map(|(_, rss)| rss[program]).collect();
    values.sort_unstable();
    values.get(values.len() / 2).copied()
}
