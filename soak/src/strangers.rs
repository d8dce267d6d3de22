//! Connections that never log in (strangers), and clients that log in at the same time.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::figures::Report;
use crate::leaks::leaks;
use crate::proc::{holds, settled, steady};
use crate::services::Services;
use crate::world::{LOGIN, Programs, Setup, World, fresh_address};

/// How long a client waits after it was closed, like the client program.
const AGAIN: Duration = Duration::from_secs(1);
/// The longest time that a login may take, with all attempts.
const LOGIN_BOUND: Duration = Duration::from_secs(15);
/// How long a client waits for an answer, like the client program.
const ANSWER: Duration = Duration::from_secs(10);

/// The counts of all strangers.
#[derive(Debug, Default)]
struct Strangers {
    open: AtomicI64,
    most: AtomicI64,
    came: AtomicU64,
    closed_at_once: AtomicU64,
}

/// Runs the part: `count` strangers at a time, for `time` from each set of addresses.
pub(crate) async fn run(
    programs: &Programs,
    count: u32,
    time: Duration,
    seed: u64,
) -> io::Result<Report> {
    let mut report = Report::new("strangers");
    let services = Services::start(fresh_address()).await?;
    let setup = Setup {
        timeout: 100,
        login_timeout: 10,
        longest_retry_wait: 8,
        targets: vec![services.talker],
    };
    let mut world = World::start(programs, setup).await?;
    let pids = world.pids()?;
    let before = steady(pids[0]).await?;
    let control = world.control;

    let mut quiet = logins(control, Ipv4Addr::new(127, 9, 9, 9), Duration::from_secs(1)).await?;
    report.figure("strangers wanted", count, "");
    report.times("login without strangers", &mut quiet.times);

    // First from other addresses: a limit for each address must not affect the client then.
    let others: Vec<_> = (1..=64).map(|i| Ipv4Addr::new(127, 8, 0, i)).collect();
    crowd(
        &mut report,
        &mut world,
        "from 64 addresses",
        (count, &others, seed),
        time,
    )
    .await?;
    // 127.0.0.1 is also the address of the client program.
    let same = [Ipv4Addr::LOCALHOST];
    crowd(
        &mut report,
        &mut world,
        "from the client's address",
        (count, &same, seed),
        time,
    )
    .await?;

    let after = settled(pids[0], before.descriptors, Duration::from_secs(30)).await?;
    leaks(&mut report, "server", &before, &after);
    world.served().await?;
    world.stop(&mut report).await?;
    Ok(report)
}

/// Runs strangers from some addresses, and logins at the same time.
async fn crowd(
    report: &mut Report,
    world: &mut World,
    place: &str,
    (count, addresses, seed): (u32, &[Ipv4Addr], u64),
    time: Duration,
) -> io::Result<()> {
    let seen = Arc::new(Strangers::default());
    let mut crowd = JoinSet::new();
    for (slot, address) in (0..count).zip(addresses.iter().cycle()) {
        let seed = seed ^ (u64::from(slot) << 20);
        crowd.spawn(stranger(world.control, *address, seed, seen.clone()));
    }
    // Waits until most strangers are connected, or a quarter of the time is over: the server may keep fewer.
    let full = Instant::now();
    while seen.open.load(Ordering::Relaxed) < i64::from(count) * 9 / 10 && full.elapsed() < time / 4
    {
        sleep(Duration::from_millis(50)).await;
    }
    let own = addresses.first().filter(|_| addresses.len() == 1);
    let address = own.copied().unwrap_or(Ipv4Addr::new(127, 9, 9, 9));
    let logins = logins(world.control, address, time / 2);
    let restarts = restarts(world, time / 2);
    let (mut logins, (mut restarts, unserved)) = (logins.await?, restarts.await?);
    let server = world.pids()?[0];
    let kept = holds(server)?;
    crowd.shutdown().await;

    let load = |number: &AtomicU64| number.load(Ordering::Relaxed);
    report.figure(
        format!("{place}: connections of strangers"),
        load(&seen.came),
        "",
    );
    report.figure(
        format!("{place}: most strangers at a time"),
        seen.most.load(Ordering::Relaxed),
        "",
    );
    report.figure(
        format!("{place}: silent strangers closed within 1 s"),
        load(&seen.closed_at_once),
        "",
    );
    report.figure(
        format!("{place}: descriptors of the server"),
        kept.descriptors,
        "",
    );
    report.figure(format!("{place}: memory of the server"), kept.rss, "KiB");
    report.figure(
        format!("{place}: attempts that were closed"),
        logins.closed,
        "",
    );
    report.times(&format!("{place}: login"), &mut logins.times);
    report.times(
        &format!("{place}: client start to user served"),
        &mut restarts,
    );
    let late = logins.late + unserved;
    report.figure(format!("{place}: logins that took too long"), late, "");
    // A server that limits each address cannot distinguish a client from strangers on the same address.
    report.require(late == 0 || own.is_some(), || {
        let bound = LOGIN_BOUND.as_secs();
        format!(
            "{place}: {late} logins took longer than {bound} s, from an address without strangers"
        )
    });
    Ok(())
}

/// Connects again and again. Each connection stays until the server closes it.
async fn stranger(server: SocketAddr, from: Ipv4Addr, seed: u64, seen: Arc<Strangers>) {
    let mut random = fastrand::Rng::with_seed(seed);
    loop {
        let Ok(mut tcp) = connect(server, from).await else {
            sleep(Duration::from_millis(random.u64(100..1000))).await;
            continue;
        };
        let start = Instant::now();
        let kind = random.u8(..4);
        let said: &[u8] = match kind {
            0 => b"",
            1 => b"ATH\nhalf of a name",
            2 => b"ATH\nname\nuser\npass",
            _ => b"GET / HTTP/1.1\r\n\r\n",
        };
        seen.came.fetch_add(1, Ordering::Relaxed);
        let open = seen.open.fetch_add(1, Ordering::Relaxed) + 1;
        seen.most.fetch_max(open, Ordering::Relaxed);
        let mut waste = [0; 64];
        if tcp.write_all(said).await.is_ok() {
            while let Ok(1..) = tcp.read(&mut waste).await {}
        }
        seen.open.fetch_sub(1, Ordering::Relaxed);
        // Every server closes garbage at once, so that does not count.
        if kind < 3 && start.elapsed() < Duration::from_secs(1) {
            seen.closed_at_once.fetch_add(1, Ordering::Relaxed);
        }
        // A pause before the next connection: this part does not test the rate of connections.
        sleep(Duration::from_millis(random.u64(200..1000))).await;
    }
}

async fn connect(server: SocketAddr, from: Ipv4Addr) -> io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    // Without a bind, the system can use a local port for connections to several servers.
    if from != Ipv4Addr::LOCALHOST {
        socket.set_reuseaddr(true)?;
        socket.bind(SocketAddr::new(IpAddr::V4(from), 0))?;
    }
    timeout(ANSWER, socket.connect(server))
        .await
        .map_err(|_| io::ErrorKind::TimedOut)?
}

/// The results of repeated logins.
#[derive(Debug, Default)]
struct Logins {
    times: Vec<Duration>,
    closed: u64,
    late: usize,
}

/// Logs in by the protocol, ends the login, and logs in again, for a time.
async fn logins(server: SocketAddr, from: Ipv4Addr, time: Duration) -> io::Result<Logins> {
    let mut seen = Logins::default();
    let until = Instant::now() + time;
    while Instant::now() < until {
        let start = Instant::now();
        loop {
            if let Ok(true) = timeout(ANSWER, login(server, from)).await {
                break;
            }
            seen.closed += 1;
            if start.elapsed() > LOGIN_BOUND {
                break;
            }
            sleep(AGAIN).await;
        }
        if start.elapsed() > LOGIN_BOUND {
            seen.late += 1;
        }
        seen.times.push(start.elapsed());
        sleep(Duration::from_millis(10)).await;
    }
    Ok(seen)
}

/// Whether the server accepts a login.
async fn login(server: SocketAddr, from: Ipv4Addr) -> bool {
    let ath = format!("ATH\nsoak-again\n{}\n{}\n", LOGIN.0, LOGIN.1);
    let accepted = async {
        let mut tcp = connect(server, from).await?;
        tcp.write_all(ath.as_bytes()).await?;
        let mut answer = [0; 9];
        tcp.read_exact(&mut answer).await?;
        io::Result::Ok(&answer == b"ARS\ntrue\n")
    };
    accepted.await.unwrap_or(false)
}

/// Kills and starts the client program, for a time. The result is the time from each start until a user was served, and
/// the number of starts after which no user was served.
async fn restarts(world: &mut World, time: Duration) -> io::Result<(Vec<Duration>, usize)> {
    let (mut times, mut unserved) = (Vec::new(), 0);
    let until = Instant::now() + time;
    while Instant::now() < until || (times.is_empty() && unserved == 0) {
        if let Some(client) = world.client.take() {
            client.kill().await?;
        }
        // Otherwise a user may be served by the rest of the login before.
        let port = world.ports[0];
        let killed = Instant::now();
        while TcpStream::connect(port).await.is_ok() && killed.elapsed() < Duration::from_secs(5) {
            sleep(Duration::from_millis(10)).await;
        }
        world.start_client(world.control, None)?;
        match timeout(LOGIN_BOUND, world.served()).await {
            Ok(served) => times.push(served?),
            Err(_) => unserved += 1,
        }
    }
    Ok((times, unserved))
}
