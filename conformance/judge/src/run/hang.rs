//! Programs that run and answer nobody. Looked at only where something else is wrong already, or is over.

use std::time::{Duration, Instant};

use netroxy_specification::notation::ast::Case;
use tokio::time::{sleep, timeout};

use super::job::Job;
use crate::player::{Broken, Expected, Left, Waited};
use crate::sut::{Instance, Subject, login};
use crate::times::{END_AFTER_CASE, END_POLL};
use crate::wire::{Connection, End, Tls};

/// What is wrong with a program that has played its case to the end, if anything.
///
/// A program that goes down closes its connections too, and looks like one that refuses. So a server has to let
/// somebody in once more, and a client has to be running a moment later.
pub(super) async fn afterwards(
    instance: &mut Instance,
    job: &Job,
    case: &Case,
    tls: &Tls,
) -> Option<(Broken, Waited)> {
    let begun = Instant::now();
    if instance.address(job.transport).is_some() || instance.pair().is_some() {
        let why = works(job, instance, tls).await.err()?;
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
    while begun.elapsed() < END_AFTER_CASE && instance.ended().is_none() {
        sleep(END_POLL).await;
    }
    None
}

/// Why a program that is running cannot be reached any more, if that is so.
///
/// A server has to let somebody in. Around a client everything is closed, and it has to close too or to connect again,
/// within the time that it is given to connect at its start, or to connect again.
pub(super) async fn find(
    job: &Job,
    instance: &mut Instance,
    left: Option<Left>,
    tls: &Tls,
) -> Option<String> {
    match (left, &*job.subject) {
        (Some(left), Subject::Started(manifest)) => {
            let limit = Duration::from_millis(manifest.start_deadline_ms);
            let limit = limit.mul_f64(job.tempo.scale()).max(job.tempo.reconnect());
            let limit_s = limit.as_secs_f64();
            is_deaf(left, limit).await.then(|| {
                format!("it neither closed nor connected again in {limit_s:.1} s when everything around it was closed")
            })
        }
        _ => {
            let error = works(job, instance, tls).await.err()?;
            // A foreign server that refuses may be gone, which nobody can tell from here.
            let running = !matches!(*job.subject, Subject::Running(_)) || error.silent;
            running.then(|| format!("it runs, and {error}"))
        }
    }
}

/// One login, or one tunnel of a pair.
async fn works(job: &Job, instance: &mut Instance, tls: &Tls) -> Result<(), Dead> {
    if let Some(pair) = instance.pair() {
        let works = pair.works(job.tempo.tunnel()).await;
        return works.map_err(|error| Dead {
            why: error.to_string(),
            silent: true,
        });
    }
    let Some(address) = instance.address(job.transport) else {
        return Ok(());
    };
    let credentials = (instance.username.as_str(), instance.password.as_str());
    let until = Instant::now() + job.tempo.reply();
    let connection = login(address, job.transport, tls, credentials, until).await;
    let connection = connection.map_err(|error| Dead {
        silent: error.silent,
        why: format!("nobody can log in any more: {error}"),
    })?;
    connection.close(END_AFTER_CASE).await;
    Ok(())
}

/// A program that no longer does what it is there for.
#[derive(Debug, thiserror::Error)]
#[error("{why}")]
struct Dead {
    why: String,
    /// Nothing has refused: something did not come in time.
    silent: bool,
}

async fn is_deaf(left: Left, limit: Duration) -> bool {
    let Left {
        mut scene,
        connections,
    } = left;
    let open = connections.into_iter().filter(|open| !has_ended(open));
    let mut connections = Vec::new();
    for mut connection in open {
        match timeout(END_AFTER_CASE, connection.shutdown(END_AFTER_CASE)).await {
            // One that is broken has ended, which shows below.
            Ok(_) => connections.push(connection),
            // Its bytes are not taken, so its end cannot follow them.
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
