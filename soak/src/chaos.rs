//! Many users at a time, while connections between client and server are late, stalled and cut.

use std::{
    collections::BTreeMap,
    io,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{
    task::JoinSet,
    time::{interval, sleep},
};
use tokio_util::sync::CancellationToken;

use crate::{
    faults::Faults,
    figures::{Report, say},
    guests,
    netem::Netem,
    proc::{Holds, holds, lowest, settled},
    relay::{Break, Cut, Relay, Weather},
    services::{Ledger, Services},
    talk::{End, Fault, Plan},
    user::{Outcome, Visit},
    world::{Programs, Setup, World, fresh_address},
};

/// After the last user, so long may the programs hold more than before: the client waits 10 s for a target that does
/// not answer, and both let last bytes arrive.
const SETTLE: Duration = Duration::from_secs(30);
/// What programs hold while nobody comes is measured for this time.
const CALM: Duration = Duration::from_secs(3);
/// How long a service may take to see an end that its user has seen.
const SERVICE_LATE: Duration = Duration::from_secs(20);
/// Memory may grow by one part of so many, and by this many KiB, between the first and the last window. A tunnel that does not get
/// its bytes through holds at most 64 KiB for each direction, and how many do so at a time is chance: 32 more of
/// them are 4 MiB. The share is what an allocator keeps in pieces.
const GROWTH: (u64, u64) = (5, 4096);

/// What is to be run.
#[derive(Debug, Clone)]
pub(crate) struct Chaos {
    /// How long users come.
    pub(crate) time: Duration,
    /// How many there are at a time.
    pub(crate) users: u32,
    /// The time from one cut to the next.
    pub(crate) cut_every: Duration,
    /// What chance follows from.
    pub(crate) seed: u64,
    /// Break something on purpose.
    pub(crate) fault: Option<Break>,
    /// Let the kernel make the weather instead of the relay.
    pub(crate) netem: bool,
}

/// What users see, all of them together.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    inner: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    ends: BTreeMap<String, u64>,
    first_bytes: Vec<Duration>,
    bytes: u64,
    faults: Vec<String>,
}

impl Tally {
    /// Counts one more of a kind.
    pub(crate) fn count(&self, kind: impl Into<String>) {
        *self.counts().ends.entry(kind.into()).or_default() += 1;
    }

    /// Notes a violation.
    pub(crate) fn fault(&self, text: String) {
        self.counts().faults.push(text);
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What all users of a run share.
#[derive(Debug)]
pub(crate) struct Scene {
    /// Remote ports, in the order of [`guests::Door`].
    pub(crate) ports: Vec<std::net::SocketAddr>,
    /// What was cut.
    pub(crate) faults: Faults,
    /// What was seen.
    pub(crate) tally: Tally,
    /// What the services saw.
    pub(crate) ledger: Arc<Ledger>,
    /// The number of the next tunnel.
    pub(crate) next: AtomicU64,
    /// Users are to come no more.
    pub(crate) over: CancellationToken,
    /// Some users never leave.
    pub(crate) leaks: bool,
}

/// Runs it.
pub(crate) async fn run(programs: &Programs, chaos: &Chaos, part: &str) -> io::Result<Report> {
    let mut report = Report::new(part);
    let netem = match chaos.netem {
        true => Some(Netem::up().await?),
        false => None,
    };
    let (place, weather) = match &netem {
        Some(netem) => (netem.outside, Weather::CALM),
        None => (fresh_address(), Weather::ROUGH),
    };
    let services = Services::start(place).await?;
    let setup = Setup {
        timeout: 20,
        login_timeout: 10,
        // Else most cuts would find a client that waits.
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
    let relay = Relay::start(place, world.control, weather, chaos.fault, chaos.seed)?;
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
        guests.spawn(guests::come_and_go(scene.clone(), seed));
    }
    let watched = watch(chaos, &relay, &scene, pids).await;
    scene.over.cancel();
    let samples = watched?;
    while let Some(left) = guests.join_next().await {
        left.map_err(io::Error::other)?;
    }
    // Without a login the server holds fewer.
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

/// Cuts connections and looks at the memory until the time is over.
async fn watch(
    chaos: &Chaos,
    relay: &Relay,
    scene: &Scene,
    pids: [u32; 2],
) -> io::Result<Vec<(Duration, [u64; 2])>> {
    let start = Instant::now();
    let mut samples = Vec::new();
    let mut second = interval(Duration::from_millis(500));
    let (mut cuts, mut told) = (0_u32, Instant::now());
    while start.elapsed() < chaos.time {
        second.tick().await;
        samples.push((start.elapsed(), [holds(pids[0])?.rss, holds(pids[1])?.rss]));
        // The last users meet no cut, so that the end is calm.
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
                scene.tally.count("cuts that met no connection");
            }
        }
        if told.elapsed() > Duration::from_secs(60) {
            told = Instant::now();
            say(format!(
                "  {} s, {} tunnels",
                start.elapsed().as_secs(),
                scene.next.load(Ordering::Relaxed)
            ));
        }
    }
    Ok(samples)
}

/// Notes what became of a user of the port that serves, and returns its words if it must not be so.
pub(crate) fn judge(scene: &Scene, visit: &Visit, service_resets: bool) -> Option<String> {
    let (start, end) = (visit.start, visit.end);
    if let Some(wait) = visit.first_byte {
        scene.faults.served(start, wait);
        scene.tally.counts().first_bytes.push(wait);
    }
    let (kind, fault) = match &visit.outcome {
        Outcome::NoPort(kind) => (
            format!("no port: {kind}"),
            !scene.faults.may_refuse(start, end),
        ),
        Outcome::Refused => ("refused".to_owned(), !scene.faults.may_refuse(start, end)),
        Outcome::Used(End::Complete) => ("served whole".to_owned(), false),
        Outcome::Used(End::Reset) => ("reset by the user".to_owned(), false),
        Outcome::Used(End::Aborted(kind)) => (
            format!("aborted: {kind}"),
            !service_resets && !scene.faults.may_abort(start, end),
        ),
        Outcome::Used(End::Empty) => ("empty".to_owned(), true),
        Outcome::Used(End::Fault(fault)) => (format!("fault: {fault}"), true),
    };
    if let Outcome::Used(End::Fault(Fault::Stream(_))) = visit.outcome {
        scene.tally.count("streams that are wrong at the user");
    } else {
        scene.tally.count(kind.clone());
    }
    fault.then_some(kind)
}

/// Compares what a user saw with what its service saw.
pub(crate) async fn compare(scene: &Scene, plan: &Plan, visit: &Visit) -> Option<String> {
    if visit.outcome != Outcome::Used(End::Complete) {
        return None;
    }
    let until = Instant::now() + SERVICE_LATE;
    loop {
        match scene.ledger.take(plan.id) {
            Some(End::Complete) => return None,
            // The user had got everything before.
            Some(End::Reset) if plan.service_resets != u64::MAX => return None,
            Some(_) if scene.faults.may_abort(visit.start, Instant::now()) => return None,
            Some(end) => return Some(format!("whole for its user, but for its service {end}")),
            None if Instant::now() > until => {
                return Some("whole for its user, but its service sees no end".to_owned());
            }
            None => sleep(Duration::from_millis(20)).await,
        }
    }
}

/// Counts bytes that a user has sent and got.
pub(crate) fn carried(scene: &Scene, bytes: u64) {
    scene.tally.counts().bytes += bytes;
}

/// Looks at what the services saw of tunnels whose users were not served whole.
async fn judge_ledger(scene: &Scene) {
    // Their ends are under way.
    sleep(Duration::from_millis(500)).await;
    let rest = scene.ledger.take_rest().into_iter().map(|(_, end)| end);
    for end in scene.ledger.take_nameless().into_iter().chain(rest) {
        match end {
            End::Fault(fault) => scene.tally.fault(format!("a service was given: {fault}")),
            End::Aborted(_) => scene.tally.count("aborted for the service"),
            End::Complete | End::Reset | End::Empty => {}
        }
    }
}

fn figures(report: &mut Report, chaos: &Chaos, scene: &Scene, relay: &Relay) {
    let mut counts = scene.tally.counts();
    report.figure("seconds", chaos.time.as_secs(), "s");
    report.figure("users at a time", chaos.users, "");
    report.figure("weather", if chaos.netem { "netem" } else { "relay" }, "");
    report.figure("tunnels asked for", scene.next.load(Ordering::Relaxed), "");
    for (kind, count) in &counts.ends {
        report.figure(kind.as_str(), *count, "");
    }
    report.figure("bytes checked", counts.bytes, "B");
    report.figure("logins through the relay", relay.controls(), "");
    report.times("connect to first byte", &mut counts.first_bytes);
    report.times("cut to served again", &mut scene.faults.returns());
    let served = counts.ends.get("served whole").copied().unwrap_or(0);
    report.require(served > 0, || "no user was served whole".to_owned());
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

/// Notes the bound of a program's memory in KiB, and whether it has grown beyond.
pub(crate) fn growth(report: &mut Report, role: &str, first: u64, end: u64) {
    let bound = first + first / GROWTH.0 + GROWTH.1;
    report.figure(format!("{role} memory bound"), bound, "KiB");
    report.require(end <= bound, || {
        format!("memory of the {role} grows from {first} to {end} KiB, beyond {bound} KiB")
    });
}

fn middle(samples: &[&(Duration, [u64; 2])], program: usize) -> Option<u64> {
    let mut values: Vec<_> = samples.iter().map(|(_, rss)| rss[program]).collect();
    values.sort_unstable();
    values.get(values.len() / 2).copied()
}

/// Notes what a program holds after all users have gone, and whether it is more than before.
pub(crate) fn leaks(report: &mut Report, role: &str, before: &Holds, after: &Holds) {
    report.figure(
        format!("{role} descriptors before, after"),
        format!("{} {}", before.descriptors, after.descriptors),
        "",
    );
    report.figure(
        format!("{role} threads before, after"),
        format!("{} {}", before.threads, after.threads),
        "",
    );
    report.require(after.descriptors <= before.descriptors, || {
        format!(
            "the {role} leaks descriptors: {} before, {} after all users have gone",
            before.descriptors, after.descriptors
        )
    });
    report.require(after.threads <= before.threads, || {
        format!(
            "the {role} has more threads: {} before, {} after",
            before.threads, after.threads
        )
    });
}
