//! What a process holds, from `/proc`.

use std::time::Duration;
use std::{fs, io};

use tokio::time::{Instant, sleep};

/// Ends of pipes that are no leak: those of four pipes that a program keeps for its relays, and two others.
const PIPES: usize = 10;

/// What a process holds at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Holds {
    /// Open descriptors.
    pub(crate) descriptors: usize,
    /// Threads.
    pub(crate) threads: usize,
    /// Resident memory in KiB.
    pub(crate) rss: u64,
}

/// What a process holds now.
pub(crate) fn holds(pid: u32) -> io::Result<Holds> {
    // If `/proc` has no such process, the program has ended. That is a violation, not a wrong use of this program.
    let seen = |error: io::Error| io::Error::other(format!("process {pid} has ended: {error}"));
    let status = fs::read_to_string(format!("/proc/{pid}/status")).map_err(seen)?;
    let number = |key: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(key));
        line.and_then(|line| line.split_whitespace().next()?.parse().ok())
            .ok_or_else(|| io::Error::other(format!("/proc/{pid}/status has no number {key}")))
    };
    Ok(Holds {
        descriptors: descriptors(pid).map_err(seen)?,
        threads: usize::try_from(number("Threads:")?).unwrap_or(usize::MAX),
        rss: number("VmRSS:")?,
    })
}

/// Counts open descriptors. Up to [`PIPES`] ends of pipes always count as [`PIPES`].
fn descriptors(pid: u32) -> io::Result<usize> {
    let (mut pipes, mut others) = (0, 0);
    for entry in fs::read_dir(format!("/proc/{pid}/fd"))? {
        // A descriptor that was just closed is not counted.
        match fs::read_link(entry?.path()) {
            Ok(link) if link.to_string_lossy().starts_with("pipe:") => pipes += 1,
            Ok(_) => others += 1,
            Err(_) => {}
        }
    }
    Ok(others + pipes.max(PIPES))
}

/// Waits until a process holds at most `descriptors`, for at most `patience`. The result is what it holds then.
pub(crate) async fn settled(pid: u32, descriptors: usize, patience: Duration) -> io::Result<Holds> {
    let until = Instant::now() + patience;
    loop {
        let now = holds(pid)?;
        if now.descriptors <= descriptors || Instant::now() >= until {
            return Ok(now);
        }
        sleep(Duration::from_millis(50)).await;
    }
}

/// Measures a process for a time. The result is the latest moment with the fewest descriptors.
pub(crate) async fn lowest(pid: u32, time: Duration) -> io::Result<Holds> {
    let until = Instant::now() + time;
    let mut lowest = holds(pid)?;
    while Instant::now() < until {
        sleep(Duration::from_millis(50)).await;
        let now = holds(pid)?;
        if now.descriptors <= lowest.descriptors {
            lowest = now;
        }
    }
    Ok(lowest)
}

/// Waits until a process has held the same number of descriptors for half a second, for at most 20 s.
pub(crate) async fn steady(pid: u32) -> io::Result<Holds> {
    let until = Instant::now() + Duration::from_secs(20);
    let mut last = holds(pid)?;
    let mut same = 0;
    while same < 10 && Instant::now() < until {
        sleep(Duration::from_millis(50)).await;
        let now = holds(pid)?;
        same = if now.descriptors == last.descriptors {
            same + 1
        } else {
            0
        };
        last = now;
    }
    Ok(last)
}

/// Raises the limit of descriptors of this process, and of the programs that it starts, as far as the system allows.
/// The result is the limit.
pub(crate) fn raise_descriptor_limit() -> io::Result<u64> {
    rlimit::increase_nofile_limit(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::process::{Command, Stdio};

    use super::*;

    #[tokio::test]
    async fn a_leak_of_two_descriptors_is_detected() {
        let mut leaks = Command::new("/bin/sh")
            .args([
                "-c",
                "read x; exec 7</dev/null 8</dev/null; echo done; read x",
            ])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let pid = leaks.id();
        let before = steady(pid).await.unwrap();
        let after = settled(pid, before.descriptors, Duration::ZERO)
            .await
            .unwrap();
        assert_eq!(after.descriptors, before.descriptors);

        let mut orders = leaks.stdin.take().unwrap();
        orders.write_all(b"\n").unwrap();
        let mut done = [0; 5];
        leaks.stdout.take().unwrap().read_exact(&mut done).unwrap();
        let after = settled(pid, before.descriptors, Duration::from_millis(300))
            .await
            .unwrap();
        drop(orders);
        leaks.wait().unwrap();
        assert_eq!(after.descriptors, before.descriptors + 2);
    }
}
