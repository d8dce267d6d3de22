//! Many idle tunnels, and the memory that they take.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::figures::Report;
use crate::leaks::{growth, leaks};
use crate::proc::{Holds, holds, settled, steady};
use crate::services::Services;
use crate::talk::{End, Order, Plan};
use crate::user::{follow, open};
use crate::world::{Programs, Setup, World, fresh_address};

/// How many tunnels are opened at a time: fewer than the users that may wait on a port (`tunnel.waiting-capacity`).
const AT_A_TIME: u32 = 32;
/// Descriptors of a program that are not for tunnels.
const OTHERS: u64 = 128;

/// How many tunnels can be open. Each takes two descriptors of the server, of the client and of this program. Server
/// and client keep a twentieth of their descriptors for other work (`reservedDescriptors`).
///
/// # Errors
///
/// If `exactly` is true and not all wanted tunnels fit.
pub(crate) fn that_fit(wanted: u32, exactly: bool, descriptors: u64) -> io::Result<u32> {
    let others = OTHERS + descriptors / 20;
    let fit = u32::try_from(descriptors.saturating_sub(others) / 2).unwrap_or(u32::MAX);
    if exactly && wanted > fit {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!(
                "{wanted} tunnels take {} descriptors of each program, and the system allows {descriptors}: \
                 at most {fit} tunnels",
                u64::from(wanted) * 2 + others
            ),
        ));
    }
    Ok(wanted.min(fit))
}

/// Opens `count` tunnels, measures the memory, and uses each of them once. Then it opens and uses as many once more.
pub(crate) async fn run(programs: &Programs, count: u32, wanted: u32) -> io::Result<Report> {
    let mut report = Report::new("idle");
    let services = Services::start(fresh_address()).await?;
    let setup = Setup {
        timeout: 100,
        login_timeout: 10,
        longest_retry_wait: 8,
        targets: vec![services.talker],
    };
    let mut world = World::start(programs, setup).await?;
    let pids = world.pids()?;
    let before = [steady(pids[0]).await?, steady(pids[1]).await?];
    report.figure("tunnels wanted", wanted, "");
    if count < wanted {
        report.figure("tunnels that descriptors allow", count, "");
    }

    let start = std::time::Instant::now();
    let tunnels = open_all(world.ports[0], count, &mut report).await?;
    report.figure("tunnels open", tunnels.len(), "");
    report.figure("opening", start.elapsed().as_secs_f64().round(), "s");
    // The programs may still work on the last tunnels.
    sleep(Duration::from_millis(500)).await;
    let idle = [holds(pids[0])?, holds(pids[1])?];
    for (i, role) in ["server", "client"].into_iter().enumerate() {
        let grown = idle[i].rss.saturating_sub(before[i].rss);
        report.figure(format!("{role} memory before"), before[i].rss, "KiB");
        report.figure(format!("{role} memory with all"), idle[i].rss, "KiB");
        let each = grown as f64 * 1024.0 / f64::from(count);
        report.figure(format!("{role} memory of a tunnel"), each.round(), "B");
    }

    let opened = tunnels.len();
    let used = use_all(tunnels, &mut report).await?;
    report.figure("tunnels that work afterwards", used, "");
    report.require(used == opened, || {
        format!("{used} of {opened} tunnels still work after they were idle")
    });
    for (i, role) in ["server", "client"].into_iter().enumerate() {
        let after = settled(pids[i], before[i].descriptors, Duration::from_secs(30)).await?;
        report.figure(format!("{role} memory after"), after.rss, "KiB");
        leaks(&mut report, role, &before[i], &after);
    }
    again(&mut report, &world, count, pids, idle).await?;
    world.served().await?;
    world.stop(&mut report).await?;
    Ok(report)
}

/// Opens as many tunnels once more. An allocator may keep memory after a peak, but a second peak must not take more.
async fn again(
    report: &mut Report,
    world: &World,
    count: u32,
    pids: [u32; 2],
    first: [Holds; 2],
) -> io::Result<()> {
    let tunnels = open_all(world.ports[0], count, report).await?;
    sleep(Duration::from_millis(500)).await;
    for (i, role) in ["server", "client"].into_iter().enumerate() {
        let second = holds(pids[i])?.rss;
        report.figure(format!("{role} memory with all, once more"), second, "KiB");
        growth(report, role, first[i].rss, second);
    }
    let opened = tunnels.len();
    let used = use_all(tunnels, report).await?;
    report.require(used == opened, || {
        format!("{used} of {opened} tunnels still work after they were idle once more")
    });
    Ok(())
}

async fn open_all(port: SocketAddr, count: u32, report: &mut Report) -> io::Result<Vec<TcpStream>> {
    let mut opening = JoinSet::new();
    let mut tunnels = Vec::new();
    let mut begun = 0;
    while begun < count || !opening.is_empty() {
        if begun < count && opening.len() < AT_A_TIME as usize {
            begun += 1;
            opening.spawn(open(port, u64::MAX));
            continue;
        }
        match opening.join_next().await {
            Some(Ok(Ok(tunnel))) => tunnels.push(tunnel),
            Some(Ok(Err(outcome))) => report.violation(format!(
                "no tunnel opened while {} are open: {outcome:?}",
                tunnels.len()
            )),
            Some(Err(error)) => return Err(io::Error::other(error)),
            None => {}
        }
    }
    Ok(tunnels)
}

/// Sends one byte through each tunnel and back. The result is how many tunnels were complete.
async fn use_all(tunnels: Vec<TcpStream>, report: &mut Report) -> io::Result<usize> {
    let mut using = JoinSet::new();
    let (mut waiting, mut whole) = (tunnels.into_iter().zip(0_u64..), 0);
    loop {
        if using.len() < 4 * AT_A_TIME as usize
            && let Some((tunnel, id)) = waiting.next()
        {
            let plan = Plan {
                id,
                seed: id,
                up: 1,
                down: 1,
                order: Order::Echo,
                service_resets: u64::MAX,
            };
            using.spawn(async move { follow(tunnel, &plan, u64::MAX).await });
            continue;
        }
        match using.join_next().await {
            Some(Ok(End::Complete)) => whole += 1,
            Some(Ok(end)) => report.violation(format!("a tunnel that was idle ended by {end:?}")),
            Some(Err(error)) => return Err(io::Error::other(error)),
            None => return Ok(whole),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tunnels_that_do_not_fit_into_descriptors_are_an_error() {
        assert_eq!(that_fit(500, true, 20_000).unwrap(), 500);
        assert_eq!(that_fit(10_000, false, 20_000).unwrap(), 9_436);
        let error = that_fit(10_000, true, 20_000).unwrap_err().to_string();
        assert!(error.contains("at most 9436"), "{error}");
        assert_eq!(that_fit(1, false, 0).unwrap(), 0);
    }
}
