//! The state that all users of the chaos share, and the checks of what each user saw.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::faults::Faults;
use crate::services::Ledger;
use crate::talk::{End, Fault, Plan};
use crate::user::{Outcome, Visit};

/// How long a service may take to see an end that its user has seen.
const SERVICE_LATE: Duration = Duration::from_secs(20);

/// The remote ports of the chaos, by their targets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Door {
    /// The service that sends and receives.
    Talker = 0,
    /// A target that refuses connections.
    Refuser = 1,
    /// A target that never accepts a connection.
    Full = 2,
    /// A target that never sends a byte.
    Silent = 3,
}

/// The results of all users together.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    inner: Mutex<Counts>,
}

#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) ends: BTreeMap<String, u64>,
    pub(crate) first_bytes: Vec<Duration>,
    pub(crate) bytes: u64,
    pub(crate) faults: Vec<String>,
}

impl Tally {
    /// Counts one result of a kind.
    pub(crate) fn count(&self, kind: impl Into<String>) {
        *self.counts().ends.entry(kind.into()).or_default() += 1;
    }

    /// Adds a violation.
    pub(crate) fn fault(&self, text: String) {
        self.counts().faults.push(text);
    }

    pub(crate) fn counts(&self) -> MutexGuard<'_, Counts> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The state that all users of a run share.
#[derive(Debug)]
pub(crate) struct Scene {
    /// Remote ports, in the order of [`Door`].
    pub(crate) ports: Vec<std::net::SocketAddr>,
    /// The cuts so far.
    pub(crate) faults: Faults,
    /// The results of the users.
    pub(crate) tally: Tally,
    /// The ends of tunnels that the services saw.
    pub(crate) ledger: Arc<Ledger>,
    /// The number of the next tunnel.
    pub(crate) next: AtomicU64,
    /// Cancelled when no more users may come.
    pub(crate) over: CancellationToken,
    /// Whether some users keep their connection open for ever.
    pub(crate) leaks: bool,
}

/// Counts the result of a user of the talker, and returns its text if it is a violation.
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
        Outcome::Used(End::Complete) => ("complete".to_owned(), false),
        Outcome::Used(End::Reset) => ("reset by the user".to_owned(), false),
        Outcome::Used(End::Aborted(kind)) => (
            format!("aborted: {kind}"),
            !service_resets && !scene.faults.may_abort(start, end),
        ),
        Outcome::Used(End::Empty) => ("empty".to_owned(), true),
        Outcome::Used(End::Fault(fault)) => (format!("fault: {fault}"), true),
    };
    if let Outcome::Used(End::Fault(Fault::Stream(_))) = visit.outcome {
        scene.tally.count("wrong streams at the user");
    } else {
        scene.tally.count(kind.clone());
    }
    fault.then_some(kind)
}

/// Compares the end that a user saw with the end that its service saw. The result is the text of a violation.
pub(crate) async fn compare(scene: &Scene, plan: &Plan, visit: &Visit) -> Option<String> {
    if visit.outcome != Outcome::Used(End::Complete) {
        return None;
    }
    let until = Instant::now() + SERVICE_LATE;
    loop {
        match scene.ledger.take(plan.id) {
            Some(End::Complete) => return None,
            // The user had received everything before the reset.
            Some(End::Reset) if plan.service_resets != u64::MAX => return None,
            Some(_) if scene.faults.may_abort(visit.start, Instant::now()) => return None,
            Some(end) => return Some(format!("complete for its user, but for its service {end}")),
            None if Instant::now() > until => {
                return Some("complete for its user, but its service sees no end".to_owned());
            }
            None => sleep(Duration::from_millis(20)).await,
        }
    }
}

/// Counts bytes that a user has sent and received.
pub(crate) fn carried(scene: &Scene, bytes: u64) {
    scene.tally.counts().bytes += bytes;
}

/// Checks what the services saw of tunnels that were not complete for their users.
pub(crate) async fn judge_ledger(scene: &Scene) {
    // The last ends are still under way.
    sleep(Duration::from_millis(500)).await;
    let rest = scene.ledger.take_rest().into_iter().map(|(_, end)| end);
    for end in scene.ledger.take_nameless().into_iter().chain(rest) {
        match end {
            End::Fault(fault) => scene.tally.fault(format!("at a service: {fault}")),
            End::Aborted(_) => scene.tally.count("aborted for the service"),
            End::Complete | End::Reset | End::Empty => {}
        }
    }
}
