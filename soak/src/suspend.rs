//! Stops a program for longer than all its timeouts, like a laptop that sleeps, and continues it.

use std::io;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::figures::{Report, millis};
use crate::leaks::leaks;
use crate::proc::{settled, steady};
use crate::services::Services;
use crate::talk::{End, Order, Plan};
use crate::user::{Outcome, follow, open, visit};
use crate::world::{Programs, Setup, World, fresh_address};

/// The timeout of server and client, in seconds.
const TIMEOUT: u32 = 4;
/// How long a program is stopped. The server waits at most 1.5 times the timeout for a client.
const STOPPED: Duration = Duration::from_millis(6_500);
/// A user is served again within this time. The client may have to log in again, after a wait of at most 8 s.
const BACK_BOUND: Duration = Duration::from_secs(15);
/// How many tunnels are open meanwhile.
const TUNNELS: u64 = 8;

/// Stops the server, the client, and both.
pub(crate) async fn run(programs: &Programs, seed: u64) -> io::Result<Report> {
    let mut cases = JoinSet::new();
    for (name, which) in [
        ("server", [true, false]),
        ("client", [false, true]),
        ("both", [true; 2]),
    ] {
        let programs = programs.clone();
        cases.spawn(async move {
            let mut report = Report::new("suspend");
            if let Err(error) = case(&programs, name, which, seed, &mut report).await {
                report.violation(format!("{name} stopped: {error}"));
            }
            report
        });
    }
    let mut all = Report::new("suspend");
    while let Some(done) = cases.join_next().await {
        all.merge(done.map_err(io::Error::other)?);
    }
    Ok(all)
}

async fn case(
    programs: &Programs,
    name: &str,
    which: [bool; 2],
    seed: u64,
    report: &mut Report,
) -> io::Result<()> {
    let services = Services::start(fresh_address()).await?;
    let setup = Setup {
        timeout: TIMEOUT,
        login_timeout: TIMEOUT,
        longest_retry_wait: 8,
        targets: vec![services.talker],
    };
    let mut world = World::start(programs, setup).await?;
    let pids = world.pids()?;
    let before = [steady(pids[0]).await?, steady(pids[1]).await?];
    let plan = |id, size| Plan {
        id,
        seed: seed ^ id,
        up: size,
        down: size,
        order: Order::Both,
        service_resets: u64::MAX,
    };
    let mut idle = Vec::new();
    for id in 0..TUNNELS {
        let tunnel = open(world.ports[0], u64::MAX).await;
        let tunnel = tunnel.map_err(|end| io::Error::other(format!("no tunnel: {end:?}")))?;
        idle.push((tunnel, plan(id, 64 * 1024)));
    }
    let port = world.ports[0];
    let large = plan(TUNNELS, 16 * 1024 * 1024);
    let under_way = tokio::spawn(async move { visit(port, &large, u64::MAX).await });
    sleep(Duration::from_millis(100)).await;

    let stopped = || {
        let programs = [&world.server, &world.client].into_iter().zip(which);
        programs.filter_map(|(program, stop)| program.as_ref().filter(|_| stop))
    };
    stopped().for_each(|program| program.signal(Signal::STOP));
    sleep(STOPPED).await;
    let still = !under_way.is_finished();
    stopped().for_each(|program| program.signal(Signal::CONT));
    let go_on = Instant::now();
    world.served().await?;
    let back = go_on.elapsed();
    report.figure(format!("{name} stopped: served again"), millis(back), "ms");
    report.require(back <= BACK_BOUND, || {
        format!(
            "{name} stopped: a user was served only after {} ms",
            back.as_millis()
        )
    });
    let mut whole = 0;
    for (tunnel, plan) in idle {
        match follow(tunnel, &plan, u64::MAX).await {
            End::Complete => whole += 1,
            end => report.violation(format!("{name} stopped: an open tunnel ended by {end:?}")),
        }
    }
    report.figure(
        format!("{name} stopped: idle tunnels that go on"),
        whole,
        "",
    );
    let end = under_way.await.map_err(io::Error::other)?.outcome;
    report.figure(format!("{name} stopped: transfer was under way"), still, "");
    report.require(end == Outcome::Used(End::Complete), || {
        format!("{name} stopped: a transfer ended by {end:?}")
    });
    for (i, role) in ["server", "client"].into_iter().enumerate() {
        let after = settled(pids[i], before[i].descriptors, Duration::from_secs(30)).await?;
        leaks(
            report,
            &format!("{name} stopped: {role}"),
            &before[i],
            &after,
        );
    }
    let mut ended = Report::new("suspend");
    world.stop(&mut ended).await?;
    report.require(ended.failures() == 0, || {
        format!("{name} stopped: {}", ended.table())
    });
    Ok(())
}
