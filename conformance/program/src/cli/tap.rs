//! `tap`: relays between a client and a server, and judges both.

mod observer;
mod printer;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use chrono::{SubsecRound as _, Utc};
use netroxy_judge::tap::{FairClock, Seen, tap, ticks};
use netroxy_specification::rules::Rule;
use observer::{Files, Observer, Settings};
use printer::Printer;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::address::address;
use super::arguments::{duration, time_scale};
use super::complaint::Complaint;
use super::exit::EXIT_USAGE;
use super::signals::stop_on_interrupt;

const EXIT_CODES: &str = "Judges by every rule that the messages between client and server can show (profile hardened).\n\n\
Exit codes: 0 no violation, 1 violations, 2 wrong usage or an address that cannot be used, 5 the suite itself failed.";

#[derive(Debug, clap::Args)]
#[command(after_help = EXIT_CODES)]
pub(super) struct Tap {
    /// The address where clients connect instead of the server
    #[arg(long, value_name = "HOST:PORT")]
    listen: String,
    /// The control port of the server
    #[arg(long, value_name = "HOST:PORT")]
    to: String,
    /// Record everything, including passwords and tokens
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
    /// Write a capture for Wireshark, with artificial packets
    #[arg(long, value_name = "FILE")]
    pcap: Option<PathBuf>,
    /// Stop after this time, such as 90s, 15m or 2h
    #[arg(long = "for", value_name = "TIME", value_parser = duration)]
    lasting: Option<Duration>,
    /// Multiply every deadline, for slow networks [default: 1]
    #[arg(long, value_name = "X", value_parser = time_scale)]
    time_scale: Option<f64>,
    /// Show each message, including passwords and tokens
    #[arg(short, long)]
    verbose: bool,
}

pub(super) async fn execute(options: &Tap, rules: &[Rule]) -> Result<u8, Complaint> {
    // An address that parses may have port 0, which is any free port.
    let listen = options
        .listen
        .parse()
        .or_else(|_| address(&options.listen))?;
    let to = address(&options.to)?;
    let files = Files::check(options.record.as_deref(), options.pcap.as_deref())?;
    let listener = TcpListener::bind(listen).await.map_err(|error| {
        Complaint::new(EXIT_USAGE, format!("cannot listen on {listen}: {error}"))
            .hint("name an address and port of this machine that no program listens on")
    })?;
    let listen = listener.local_addr().unwrap_or(listen);
    let began = Utc::now().trunc_subsecs(6);
    let settings = Settings {
        verbose: options.verbose,
        time_scale: options.time_scale.unwrap_or(1.0),
    };
    let mut observer = Observer::open(settings, rules, &files, to, began)?;
    let stop = stop_on_interrupt();
    let (seen, mut queue) = mpsc::channel(QUEUED);
    let started = Instant::now();
    let mut printer = Printer::new();
    printer.print(format!("tap: {listen} -> {to}\n")).await;
    let relays = tokio::spawn(tap(listener, to, started, seen, stop.clone()));
    let (mut clock, mut ticks) = (FairClock::start(), ticks());
    let end = options.lasting.map(|lasting| started + lasting);
    let mut stopped = None;
    loop {
        // The clock comes first, because events may arrive without a pause.
        tokio::select! {
            biased;
            _ = ticks.tick() => {
                let now = clock.tick(started.elapsed());
                // Events in the queue are older than now.
                if queue.is_empty() {
                    observer.pass(now);
                }
                observer.flush();
                if end.is_some_and(|end| Instant::now() >= end) {
                    stop.cancel();
                }
                if stop.is_cancelled() && stopped.get_or_insert_with(Instant::now).elapsed() > REST {
                    break;
                }
            }
            next = queue.recv() => match next {
                Some(Seen::Event(event)) => observer.see(&clock, event),
                Some(Seen::Unserved(from, why)) => {
                    observer.add_text(&format!("tap: {from} cannot be served: {why}\n"));
                }
                None => break,
            },
        }
        printer.print(observer.take_text()).await;
    }
    // The relays that are left have lost their connections already.
    let _ = timeout(REST, relays).await;
    let unseen = queue.len();
    let closed = observer.close(unseen);
    printer.print(observer.take_text()).await;
    printer.end().await?;
    closed
}

/// How many events may wait to be judged; each holds at most 64 KiB.
const QUEUED: usize = 16;

/// How long events are still judged after the end.
const REST: Duration = Duration::from_secs(1);
