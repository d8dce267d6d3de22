//! Kills server or client by SIGKILL at each step of a tunnel, and starts it again.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{sleep, timeout};

use crate::figures::{Report, millis};
use crate::link::Link;
use crate::proc::{Holds, settled, steady};
use crate::relay::Relay;
use crate::services::Services;
use crate::talk::{End, Fault, Order, Plan};
use crate::user::{Outcome, Visit, visit};
use crate::world::{Programs, Setup, World, fresh_address};

/// A user of a killed tunnel sees its end within this time.
const END_BOUND: Duration = Duration::from_secs(5);
/// A user is served again within this time. The client waits 1 to 1.25 s, then twice as long, before it tries again.
const BACK_BOUND: Duration = Duration::from_secs(15);
/// How many cases run at a time.
const AT_A_TIME: usize = 6;

/// When a program is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// The relay holds the ATH of the client.
    BeforeLogin,
    /// The client is logged in, and the relay holds its MAP.
    AfterLogin,
    /// The port is mapped.
    AfterMap,
    /// A user waits, and the relay holds the TRS of the client.
    UserWaits,
    /// The tunnel is open, and no bytes go through it.
    TunnelOpen,
    /// Bytes go in both directions.
    MidTransfer,
    /// The user has ended its direction, and the service sends.
    UserEnded,
    /// The service has ended its direction, and the user sends.
    ServiceEnded,
}

const STEPS: [Step; 8] = [
    Step::BeforeLogin,
    Step::AfterLogin,
    Step::AfterMap,
    Step::UserWaits,
    Step::TunnelOpen,
    Step::MidTransfer,
    Step::UserEnded,
    Step::ServiceEnded,
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Victim {
    Server,
    Client,
}

/// Runs all cases.
pub(crate) async fn run(programs: &Programs, seed: u64) -> io::Result<Report> {
    let slots = Arc::new(Semaphore::new(AT_A_TIME));
    let mut cases = JoinSet::new();
    let victims = [Victim::Server, Victim::Client];
    for (step, victim) in STEPS.iter().flat_map(|step| victims.map(|v| (*step, v))) {
        let (slots, programs) = (slots.clone(), programs.clone());
        cases.spawn(async move {
            let _slot = slots.acquire_owned().await.map_err(io::Error::other)?;
            let mut report = Report::new("kill");
            if let Err(error) = case(&programs, step, victim, seed, &mut report).await {
                report.violation(format!("{victim:?} killed at {step:?}: {error}"));
            }
            io::Result::Ok(report)
        });
    }
    let mut all = Report::new("kill");
    while let Some(done) = cases.join_next().await {
        all.merge(done.map_err(io::Error::other)??);
    }
    Ok(all)
}

async fn case(
    programs: &Programs,
    step: Step,
    victim: Victim,
    seed: u64,
    report: &mut Report,
) -> io::Result<()> {
    let place = fresh_address();
    let services = Services::start(place).await?;
    let setup = Setup {
        timeout: 100,
        login_timeout: 10,
        longest_retry_wait: 8,
        targets: vec![services.talker],
    };
    let mut world = World::new(programs, setup)?;
    world.start_server().await?;
    let relay = Relay::start(place, world.control, Link::PERFECT, None, seed)?;
    match step {
        Step::BeforeLogin => relay.hold("ATH"),
        Step::AfterLogin => relay.hold("MAP"),
        _ => {}
    }
    // The relay is there only if it holds a message. In the other cases the programs are connected directly, so that an
    // end is seen at once.
    let server = match step {
        Step::BeforeLogin | Step::AfterLogin | Step::UserWaits => relay.address,
        _ => world.control,
    };
    world.start_client(server, None)?;
    let mut before = None;
    let mut user = None;
    match step {
        Step::BeforeLogin | Step::AfterLogin => held(&relay).await?,
        _ => {
            world.served().await?;
            before = Some(survivor(&world, victim, None).await?);
            if step == Step::UserWaits {
                relay.hold("TRS");
            }
            user = arrives(step, &world, seed);
            match step {
                Step::UserWaits => held(&relay).await?,
                // The user must be greeted, and its bytes under way.
                _ => sleep(Duration::from_millis(400)).await,
            }
        }
    }

    let killed = Instant::now();
    kill_and_start(&mut world, victim, server, &relay).await?;
    let name = format!(
        "{} killed at {step:?}",
        format!("{victim:?}").to_lowercase()
    );
    let end = async {
        match user {
            Some(user) => Some(timeout(END_BOUND * 2, user).await),
            None => None,
        }
    };
    let back = async {
        world.served().await?;
        io::Result::Ok(killed.elapsed())
    };
    let (end, back) = tokio::join!(end, back);
    if let Some(ended) = end {
        judge(report, &name, killed, ended.ok().transpose()?);
    }
    let back = back?;
    report.figure(format!("{name}: served again"), millis(back), "ms");
    report.require(back <= BACK_BOUND, || {
        format!(
            "{name}: a user was served again only after {} ms",
            back.as_millis()
        )
    });
    if let Some(before) = before {
        let after = survivor(&world, victim, Some(before.descriptors)).await?;
        report.require(after.descriptors <= before.descriptors, || {
            format!(
                "{name}: the other program holds {} descriptors, {} before",
                after.descriptors, before.descriptors
            )
        });
    }
    // The figures of the stop are left out: `stopped` is not merged.
    let mut stopped = Report::new("kill");
    world.stop(&mut stopped).await?;
    report.require(stopped.failures() == 0, || {
        format!("{name}: {}", stopped.table())
    });
    Ok(())
}

async fn held(relay: &Relay) -> io::Result<()> {
    timeout(Duration::from_secs(10), relay.holds())
        .await
        .map_err(|_| {
            io::Error::other("the client does not send the message that the relay is to hold")
        })
}

/// A user who is at this step a moment later.
fn arrives(step: Step, world: &World, seed: u64) -> Option<JoinHandle<Visit>> {
    const ENDLESS: u64 = 1 << 40;
    let (order, up, down) = match step {
        Step::BeforeLogin | Step::AfterLogin | Step::AfterMap => return None,
        Step::UserWaits | Step::MidTransfer => (Order::Both, ENDLESS, ENDLESS),
        Step::TunnelOpen => (Order::UserFirst, 0, 0),
        Step::UserEnded => (Order::UserFirst, 0, ENDLESS),
        Step::ServiceEnded => (Order::ServiceFirst, ENDLESS, 0),
    };
    let plan = Plan {
        id: 1,
        seed,
        up,
        down,
        order,
        service_resets: u64::MAX,
    };
    let port = world.ports[0];
    Some(tokio::spawn(async move {
        if step == Step::TunnelOpen {
            return idle(port).await;
        }
        visit(port, &plan, u64::MAX).await
    }))
}

/// A user who is greeted and sends nothing.
async fn idle(port: std::net::SocketAddr) -> Visit {
    use tokio::io::AsyncReadExt;
    let start = Instant::now();
    let outcome = match crate::user::open(port, u64::MAX).await {
        Ok(mut tcp) => Outcome::Used(match tcp.read(&mut [0]).await {
            Ok(0) => End::Empty,
            Ok(_) => End::Fault(Fault::Opening),
            Err(error) => End::Aborted(error.kind()),
        }),
        Err(outcome) => outcome,
    };
    Visit {
        start,
        end: Instant::now(),
        first_byte: None,
        outcome,
    }
}

async fn kill_and_start(
    world: &mut World,
    victim: Victim,
    server: std::net::SocketAddr,
    relay: &Relay,
) -> io::Result<()> {
    let program = match victim {
        Victim::Server => world.server.take(),
        Victim::Client => world.client.take(),
    };
    if let Some(program) = program {
        program.kill().await?;
    }
    relay.release();
    match victim {
        Victim::Server => world.start_server().await,
        Victim::Client => world.start_client(server, None),
    }
}

/// What the other program holds, the one that is not killed.
async fn survivor(world: &World, victim: Victim, wanted: Option<usize>) -> io::Result<Holds> {
    let [server, client] = world.pids()?;
    let pid = match victim {
        Victim::Server => client,
        Victim::Client => server,
    };
    match wanted {
        None => steady(pid).await,
        Some(wanted) => settled(pid, wanted, Duration::from_secs(30)).await,
    }
}

fn judge(report: &mut Report, name: &str, killed: Instant, visit: Option<Visit>) {
    let Some(visit) = visit else {
        report.violation(format!(
            "{name}: its user sees no end within {} s",
            END_BOUND.as_secs() * 2
        ));
        return;
    };
    let late = visit.end.saturating_duration_since(killed);
    let how = match &visit.outcome {
        Outcome::Refused | Outcome::Used(End::Empty) => "an end",
        // The system may close the connections of a killed program in order. A user cannot distinguish
        // that from an end.
        Outcome::Used(End::Fault(Fault::Stream(crate::stream::Wrong::Missing { .. }))) => "an end",
        Outcome::Used(End::Aborted(_)) => "an error",
        outcome => {
            report.violation(format!("{name}: its user sees {outcome:?}"));
            return;
        }
    };
    report.require(visit.end > killed, || {
        format!(
            "{name}: its user had ended before the kill, by {:?}",
            visit.outcome
        )
    });
    report.figure(format!("{name}: user sees {how} after"), millis(late), "ms");
    report.require(late <= END_BOUND, || {
        format!(
            "{name}: its user sees the end only after {} ms",
            late.as_millis()
        )
    });
}
