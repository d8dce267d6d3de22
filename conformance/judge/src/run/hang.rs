//! Finds programs that run but no longer serve. They are examined only after a step was late or after the case.

use std::time::{Duration, Instant};

use netroxy_specification::notation::ast::Case;
use tokio::time::{sleep, timeout};

use super::job::Job;
use crate::player::{Broken, Expected, Left, Waited};
use crate::sut::{Programs, Subject, login};
use crate::times::{END_AFTER_CASE, END_POLL};
use crate::wire::{Connection, End, Tls};

/// The error of a program that no longer works after a case whose steps all came true; `None` if it works.
///
/// A program that crashes closes its connections too, which looks like a refusal. So a server must accept one more
/// login, and a pair must open one more tunnel. A client only gets [`END_AFTER_CASE`] to end; the caller checks whether
/// it has.
pub(super) async fn afterwards(
    programs: &mut Programs,
    job: &Job,
    case: &Case,
    tls: &Tls,
) -> Option<(Broken, Waited)> {
    let begun = Instant::now();
    if serves(job, programs) {
        let why = works(job, programs, tls).await.err()?;
        let broken = Broken {
            line: case.first_line(),
            marks: Vec::new(),
            expected: Expected::StillWorks,
            got: why.to_string().into(),
        };
        let waited = Waited {
            from: begun,
            until: Instant::now(),
            bounded: false,
        };
        return Some((broken, waited));
    }
    while begun.elapsed() < END_AFTER_CASE && programs.ended().is_none() {
        sleep(END_POLL).await;
    }
    None
}

/// Why a running program counts as one that hangs; `None` if it does not.
///
/// A server must accept a login, and a pair must open a tunnel. For a client the suite ends its side of every open
/// connection. The client must then close one of them or connect again, within the longer one of its start deadline and
/// the deadline for a reconnect.
pub(super) async fn find(
    job: &Job,
    programs: &mut Programs,
    left: Option<Left>,
    tls: &Tls,
) -> Option<String> {
    match (left, &*job.subject) {
        (Some(left), Subject::Started(manifest)) => {
            let limit = Duration::from_millis(manifest.start_deadline_ms);
            let limit = limit.mul_f64(job.tempo.scale()).max(job.tempo.reconnect());
            let limit_s = limit.as_secs_f64();
            ignores_closes(left, limit).await.then(|| {
                format!("it neither closed nor connected again in {limit_s:.1} s when everything around it was closed")
            })
        }
        _ => {
            let error = works(job, programs, tls).await.err()?;
            // A server that the suite did not start may have ended if it refuses, so only silence counts.
            let running = !matches!(*job.subject, Subject::Running(_)) || error.silent;
            running.then(|| format!("it runs, and {error}"))
        }
    }
}

/// Whether clients or users can be served: by a server or by a pair.
fn serves(job: &Job, programs: &Programs) -> bool {
    match programs {
        Programs::One(instance) => instance.address(job.transport).is_some(),
        Programs::Pair(_) => true,
    }
}

/// Tries one login at a server, or one tunnel of a pair. Does nothing for a client.
async fn works(job: &Job, programs: &mut Programs, tls: &Tls) -> Result<(), NoService> {
    let instance = match programs {
        Programs::One(instance) => instance,
        Programs::Pair(pair) => {
            let works = pair.works(job.tempo.tunnel()).await;
            return works.map_err(|error| NoService {
                why: error.to_string(),
                silent: true,
            });
        }
    };
    let Some(address) = instance.address(job.transport) else {
        return Ok(());
    };
    let credentials = (instance.username.as_str(), instance.password.as_str());
    let until = Instant::now() + job.tempo.reply();
    let connection = login(address, job.transport, tls, credentials, until).await;
    let connection = connection.map_err(|error| NoService {
        silent: error.silent,
        why: format!("a new login fails: {error}"),
    })?;
    connection.close(END_AFTER_CASE).await;
    Ok(())
}

/// Why a program no longer serves.
#[derive(Debug, thiserror::Error)]
#[error("{why}")]
struct NoService {
    why: String,
    /// Whether the program did not answer in time, instead of refusing. Always true for a pair.
    silent: bool,
}

/// Whether a client neither closes a connection nor connects again within `limit`, after all its peers have closed.
async fn ignores_closes(left: Left, limit: Duration) -> bool {
    let Left {
        mut scene,
        connections,
    } = left;
    let open = connections.into_iter().filter(|open| !has_ended(open));
    let mut connections = Vec::new();
    for mut connection in open {
        match timeout(END_AFTER_CASE, connection.shutdown(END_AFTER_CASE)).await {
            // If it failed, the connection has ended, which is checked below.
            Ok(_) => connections.push(connection),
            // The client does not read, so the FIN cannot be sent after the pending bytes.
            Err(_) => drop(connection.reset().await),
        }
    }
    let closes = async {
        while !connections.iter().any(has_ended) {
            sleep(END_POLL).await;
        }
    };
    tokio::select! {
        () = closes => false,
        visited = scene.server.visited(limit) => !visited,
    }
}

fn has_ended(connection: &Connection) -> bool {
    connection
        .inbox
        .look(|state| matches!(state.end, Some(End::Eof | End::Cut | End::Broken(_))))
}
