//! `tap`: stands between any client and any server, and judges both.

mod desk;
mod voice;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use chrono::{SubsecRound as _, Utc};
use desk::{Desk, Files};
use netroxy_judge::tap::{FairClock, Seen, tap, ticks};
use netroxy_specification::rules::Rule;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::time::timeout;
use voice::Voice;

use super::run::address;
use super::signals::stop_on_interrupt;
use super::{Complaint, EXIT_USAGE, time_scale};

const EXIT_CODES: &str = "It judges by every rule that it can see kept or broken (profile hardened).\n\n\
Exit codes: 0 no violation, 1 violations, 2 wrong usage or an address that cannot be used, 5 the suite itself failed.";

#[derive(Debug, clap::Args)]
#[command(after_help = EXIT_CODES)]
pub(super) struct Tap {
    /// Where clients connect instead of the server
    #[arg(long, value_name = "HOST:PORT")]
    listen: String,
    /// The control port of the server
    #[arg(long, value_name = "HOST:PORT")]
    to: String,
    /// Record everything, passwords and tokens too
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
    /// Write a capture for Wireshark: the same in packets, which are made up
    #[arg(long, value_name = "FILE")]
    pcap: Option<PathBuf>,
    /// Stop after this time, such as 90s, 15m or 2h
    #[arg(long = "for", value_name = "TIME", value_parser = duration)]
    lasting: Option<Duration>,
    /// Multiply every deadline, for slow networks [default: 1]
    #[arg(long, value_name = "X", value_parser = time_scale)]
    time_scale: Option<f64>,
    /// Show each message, passwords and tokens too
    #[arg(short, long)]
    verbose: bool,
}

pub(super) async fn execute(options: &Tap, rules: &[Rule]) -> Result<u8, Complaint> {
    // Port 0 is any port that is free.
    let listen = options
        .listen
        .parse()
        .or_else(|_| address(&options.listen))?;
    let to = address(&options.to)?;
    let files = Files::check(options)?;
    let listener = TcpListener::bind(listen).await.map_err(|error| {
        Complaint::new(EXIT_USAGE, format!("cannot listen on {listen}: {error}"))
            .hint("name an address and port of this machine that no program listens on")
    })?;
    let listen = listener.local_addr().unwrap_or(listen);
    let began = Utc::now().trunc_subsecs(6);
    let mut desk = Desk::open(options, rules, &files, to, began)?;
    let stop = stop_on_interrupt();
    let (seen, mut queue) = mpsc::channel(QUEUED);
    let started = Instant::now();
    let mut voice = Voice::new();
    voice.say(format!("tap: {listen} -> {to}\n")).await;
    let relays = tokio::spawn(tap(listener, to, started, seen, stop.clone()));
    let (mut clock, mut ticks) = (FairClock::start(), ticks());
    let end = options.lasting.map(|lasting| started + lasting);
    let mut stopped = None;
    loop {
        // Time goes first: there may always be something to see.
        tokio::select! {
            biased;
            _ = ticks.tick() => {
                let now = clock.tick(started.elapsed());
                // What is still to be seen has happened before now.
                if queue.is_empty() {
                    desk.pass(now);
                }
                desk.flush();
                if end.is_some_and(|end| Instant::now() >= end) {
                    stop.cancel();
                }
                if stop.is_cancelled() && stopped.get_or_insert_with(Instant::now).elapsed() > REST {
                    break;
                }
            }
            next = queue.recv() => match next {
                Some(Seen::Event(event)) => desk.see(&clock, event),
                Some(Seen::Unserved(from, why)) => {
                    desk.say(&format!("tap: {from} cannot be served: {why}\n"));
                }
                None => break,
            },
        }
        voice.say(desk.said()).await;
    }
    // What is left of it are connections that are gone already.
    let _ = timeout(REST, relays).await;
    let unseen = queue.len();
    let closed = desk.close(unseen);
    voice.say(desk.said()).await;
    voice.end().await?;
    closed
}

/// Events that wait to be looked at; each holds at most 64 KiB.
const QUEUED: usize = 16;

/// How long what has been seen may be judged after the end.
const REST: Duration = Duration::from_secs(1);

fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || "a time such as 90s, 15m or 2h".to_owned();
    let unit = text.chars().last().ok_or_else(wrong)?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        _ => return Err(wrong()),
    };
    let number: u32 = text.trim_end_matches(unit).parse().map_err(|_| wrong())?;
    if number == 0 {
        return Err(wrong());
    }
    Ok(Duration::from_secs(u64::from(number) * seconds))
}
