//! Flags, the order of the parts, and the ends of the program.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, timeout};

use crate::chaos::{self, Chaos};
use crate::figures::{Report, say};
use crate::link::Break;
use crate::world::{Programs, kill_all};
use crate::{idle, kill, proc, strangers, suspend};

#[derive(Debug, Parser)]
#[command(
    name = "netroxy-soak",
    about = "Runs a Netroxy server and client under faults and prints figures",
    after_help = "Exit codes: 0 nothing is wrong; 1 violations; 2 cannot run; 130 stopped by a signal."
)]
struct Cli {
    /// The server [default: netroxy-server next to this program]
    #[arg(long, global = true, value_name = "PATH")]
    server: Option<PathBuf>,
    /// The client [default: netroxy-client next to this program]
    #[arg(long, global = true, value_name = "PATH")]
    client: Option<PathBuf>,
    /// Seed of all random choices [default: a new one for each run]
    #[arg(long, global = true, value_name = "N")]
    seed: Option<u64>,
    /// Also write figures and violations to this file
    #[arg(long, global = true, value_name = "PATH")]
    json: Option<PathBuf>,
    #[command(subcommand)]
    part: Part,
}

#[derive(Debug, Subcommand)]
enum Part {
    /// Many users while connections are delayed, stalled and cut
    Chaos(ChaosArgs),
    /// Many idle tunnels, each of which is used at the end
    Idle {
        /// Number of tunnels [default: 10000, or as many as descriptors allow]
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=28_000))]
        tunnels: Option<u32>,
        #[command(flatten)]
        short: Short,
    },
    /// Connections that never log in, while clients log in
    Strangers {
        /// Number of such connections at a time [default: 5000; short: 500]
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=28_000))]
        strangers: Option<u32>,
        #[command(flatten)]
        short: Short,
    },
    /// Kills a program at each step of a tunnel's life and starts it again
    Kill,
    /// Stops a program for longer than all its timeouts and continues it
    Suspend,
    /// Tests that the checks detect what is broken on purpose
    Selftest,
    /// All parts except selftest
    All {
        #[command(flatten)]
        short: Short,
    },
}

#[derive(Debug, Clone, Copy, Args)]
struct Short {
    /// Short form, for each change: all parts take a minute
    #[arg(long)]
    short: bool,
}

#[derive(Debug, Args)]
struct ChaosArgs {
    /// How long users come [default: 1800; short: 20]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(4..=604_800))]
    seconds: Option<u64>,
    /// Number of users at a time
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=2_000))]
    users: u32,
    /// Delay and loss by the kernel, in a network namespace; needs root
    #[arg(long)]
    netem: bool,
    /// Break something on purpose
    #[arg(long = "break", hide = true)]
    fault: Option<Break>,
    #[command(flatten)]
    short: Short,
}

/// Runs the program.
pub(crate) fn main() -> ExitCode {
    let cli = Cli::parse();
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        kill_all();
        before(panic);
    }));
    let done = tokio::runtime::Runtime::new().and_then(|runtime| {
        let done = runtime.block_on(until_signal(run(&cli)));
        // The started programs are killed when the tasks that own them end.
        runtime.shutdown_timeout(Duration::from_secs(2));
        done
    });
    kill_all();
    match done {
        Ok(Some(0)) => ExitCode::SUCCESS,
        Ok(Some(_)) => ExitCode::from(1),
        Ok(None) => ExitCode::from(130),
        Err(error) => {
            say(format!("cannot run: {error}"));
            ExitCode::from(2)
        }
    }
}

/// Runs `work` until it ends or a signal comes. A signal (`None`) drops `work`, which kills the started programs.
async fn until_signal(work: impl Future<Output = io::Result<usize>>) -> io::Result<Option<usize>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    tokio::select! {
        done = work => done.map(Some),
        _ = tokio::signal::ctrl_c() => Ok(None),
        _ = terminate.recv() => Ok(None),
        _ = hangup.recv() => Ok(None),
    }
}

async fn run(cli: &Cli) -> io::Result<usize> {
    let start = Instant::now();
    let programs = programs(cli)?;
    let descriptors = proc::raise_descriptor_limit()?;
    let seed = cli.seed.unwrap_or_else(|| fastrand::u64(..1 << 32));
    say(format!(
        "seed {seed}, {descriptors} descriptors for each program"
    ));
    let mut report = Report::default();
    match &cli.part {
        Part::Chaos(args) => {
            let chaos = Chaos {
                netem: args.netem,
                fault: args.fault,
                users: args.users,
                ..chaos_form(args.short.short, args.seconds, seed)
            };
            report.merge(
                bounded(
                    "chaos",
                    chaos.bound(),
                    chaos::run(&programs, &chaos, "chaos"),
                )
                .await?,
            );
        }
        Part::Idle { tunnels, short } => {
            report.merge(idle_part(&programs, *tunnels, short.short, descriptors).await?);
        }
        Part::Strangers { strangers, short } => {
            report.merge(strangers_part(&programs, *strangers, short.short, seed).await?);
        }
        Part::Kill => report.merge(bounded("kill", MINUTES, kill::run(&programs, seed)).await?),
        Part::Suspend => {
            report.merge(bounded("suspend", MINUTES, suspend::run(&programs, seed)).await?)
        }
        Part::Selftest => selftest(&programs, seed, &mut report).await?,
        Part::All { short } => {
            let chaos = chaos_form(short.short, None, seed);
            report.merge(
                bounded(
                    "chaos",
                    chaos.bound(),
                    chaos::run(&programs, &chaos, "chaos"),
                )
                .await?,
            );
            report.merge(idle_part(&programs, None, short.short, descriptors).await?);
            let strangers = strangers_part(&programs, None, short.short, seed);
            let killed = bounded("kill", MINUTES, kill::run(&programs, seed));
            let suspended = bounded("suspend", MINUTES, suspend::run(&programs, seed));
            let parts = match short.short {
                // They use little processor time, so they run at the same time.
                true => tokio::try_join!(strangers, killed, suspended)?,
                false => (strangers.await?, killed.await?, suspended.await?),
            };
            for part in [parts.0, parts.1, parts.2] {
                report.merge(part);
            }
        }
    }
    say(report.table());
    say(format!(
        "{:.1} s, seed {seed}",
        start.elapsed().as_secs_f64()
    ));
    if let Some(path) = &cli.json {
        report.write_json(path, seed).map_err(|error| {
            io::Error::new(
                error.kind(),
                format!("cannot write {}: {error}", path.display()),
            )
        })?;
    }
    Ok(report.failures())
}

/// The time limit of parts that take seconds.
const MINUTES: Duration = Duration::from_secs(300);

/// Runs a part with a time limit. A part that takes longer is a violation, so that it cannot keep a machine busy.
async fn bounded(
    part: &str,
    bound: Duration,
    work: impl Future<Output = io::Result<Report>>,
) -> io::Result<Report> {
    say(format!("{part} begins"));
    match timeout(bound, Box::pin(work)).await {
        Ok(Ok(report)) => Ok(report),
        // The part failed. The other parts still run.
        Ok(Err(error)) if error.kind() == io::ErrorKind::Other => {
            let mut report = Report::new(part);
            report.violation(error);
            Ok(report)
        }
        Ok(Err(error)) => Err(error),
        Err(_) => {
            let mut report = Report::new(part);
            report.violation(format!("not finished after {} s", bound.as_secs()));
            Ok(report)
        }
    }
}

fn programs(cli: &Cli) -> io::Result<Programs> {
    let own = std::env::current_exe()?;
    let beside = |name: &str| own.with_file_name(name);
    let programs = Programs {
        server: cli
            .server
            .clone()
            .unwrap_or_else(|| beside("netroxy-server")),
        client: cli
            .client
            .clone()
            .unwrap_or_else(|| beside("netroxy-client")),
    };
    for (path, flag) in [(&programs.server, "server"), (&programs.client, "client")] {
        if !path.is_file() {
            let path = path.display();
            let hint =
                format!("build it by 'cargo build -p netroxy-{flag}', or name it by --{flag}");
            return Err(io::Error::new(
                io::ErrorKind::NotFound,
                format!("there is no program {path}; {hint}"),
            ));
        }
    }
    Ok(programs)
}

fn chaos_form(short: bool, seconds: Option<u64>, seed: u64) -> Chaos {
    let (default, cut) = if short { (20, 3) } else { (1800, 20) };
    Chaos {
        time: Duration::from_secs(seconds.unwrap_or(default)),
        users: 200,
        cut_every: Duration::from_secs(cut),
        seed,
        fault: None,
        netem: false,
    }
}

impl Chaos {
    /// The time limit: after the last user, it includes the waits of the tunnels and the end of the programs.
    fn bound(&self) -> Duration {
        self.time + Duration::from_secs(240)
    }
}

async fn idle_part(
    programs: &Programs,
    tunnels: Option<u32>,
    short: bool,
    descriptors: u64,
) -> io::Result<Report> {
    let wanted = tunnels.unwrap_or(if short { 500 } else { 10_000 });
    let count = idle::that_fit(wanted, tunnels.is_some(), descriptors)?;
    bounded("idle", MINUTES, idle::run(programs, count, wanted)).await
}

async fn strangers_part(
    programs: &Programs,
    strangers: Option<u32>,
    short: bool,
    seed: u64,
) -> io::Result<Report> {
    let count = strangers.unwrap_or(if short { 500 } else { 5_000 });
    let time = Duration::from_secs(if short { 4 } else { 40 });
    bounded(
        "strangers",
        MINUTES,
        strangers::run(programs, count, time, seed),
    )
    .await
}

/// Breaks something on purpose in each run. The run must report a violation with the right words.
async fn selftest(programs: &Programs, seed: u64, report: &mut Report) -> io::Result<()> {
    let mut found = Report::new("selftest");
    let broken = async |fault: Break, words: &'static str| {
        let chaos = Chaos {
            users: 30,
            fault: Some(fault),
            ..chaos_form(true, Some(6), seed)
        };
        let name = format!("{fault:?}").to_lowercase();
        let broken = bounded(&name, chaos.bound(), chaos::run(programs, &chaos, &name)).await?;
        io::Result::Ok((name, broken, words))
    };
    let (byte, end, leak) = tokio::try_join!(
        broken(Break::Byte, "was sent"),
        broken(Break::End, "looks like the whole"),
        broken(Break::Leak, "leaks descriptors"),
    )?;
    for (name, broken, words) in [byte, end, leak] {
        found.figure(
            format!("violations with --break {name}"),
            broken.failures(),
            "",
        );
        found.require(broken.has_violation(words), || {
            format!(
                "the fault of --break {name} was not detected: no violation has the words '{words}'"
            )
        });
    }
    report.merge(found);
    Ok(())
}
