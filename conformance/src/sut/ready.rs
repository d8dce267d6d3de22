//! A server is ready when somebody can log in. An open port alone has proved nothing.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use tokio::time::sleep;

use super::Instance;
use crate::message::{Decoded, first_message};
use crate::notation::ast::Transport;
use crate::rules::REVISION;
use crate::wire::{Connection, Tls, WriteError};

/// Why an instance is not ready.
#[derive(Debug)]
pub(super) struct Unready(pub(super) String);

/// Logs in on each of these transports that it speaks, until that works, the instance ends, or `limit` has passed. The
/// timeouts that it has announced, where they are numbers of seconds.
pub(super) async fn wait(
    instance: &mut Instance,
    tls: &Tls,
    limit: Duration,
    transports: &[Transport],
) -> Result<Vec<u64>, Unready> {
    let mut announced = Vec::new();
    let until = Instant::now() + limit;
    let control = instance.control.clone().into_iter();
    for (transport, address) in control.filter(|(one, _)| transports.contains(one)) {
        loop {
            let attempt = logged_in(
                address,
                transport,
                tls,
                (&instance.username, &instance.password),
                until,
            )
            .await;
            if let Some(status) = instance.ended() {
                return Err(Unready(format!("it ended before it was ready: {status}")));
            }
            match attempt {
                Ok((connection, answer)) => {
                    announced.extend(timeout(&answer));
                    connection.close(PAUSE).await;
                    break;
                }
                Err(why) if Instant::now() >= until => {
                    let limit = limit.as_secs_f64();
                    return Err(Unready(format!(
                        "no login on {transport} port {address} within {limit} s: {why}"
                    )));
                }
                // Not a verdict: only the pause between two attempts.
                Err(_) => sleep(PAUSE).await,
            }
        }
    }
    Ok(announced)
}

/// The timeout in an answer to ATH, where it is one that may be sent. Any other is for the cases to judge.
fn timeout(answer: &[Vec<u8>]) -> Option<u64> {
    let field = std::str::from_utf8(answer.get(2)?).ok()?;
    let seconds = field.parse().ok()?;
    (1..=LONGEST_TIMEOUT).contains(&seconds).then_some(seconds)
}

/// The largest timeout that the specification allows, in seconds.
const LONGEST_TIMEOUT: u64 = 9_223_372_036;

/// A login that did not succeed.
#[derive(Debug, thiserror::Error)]
#[error("{why}")]
pub(crate) struct NoLogin {
    why: String,
    /// It was not refused: nothing came in time.
    pub(crate) silent: bool,
}

/// One login on a connection of its own.
///
/// # Errors
/// When it is refused, or has no answer until then.
pub(crate) async fn login(
    address: SocketAddr,
    transport: Transport,
    tls: &Tls,
    credentials: (&str, &str),
    until: Instant,
) -> Result<Connection, NoLogin> {
    let (connection, _) = logged_in(address, transport, tls, credentials, until).await?;
    Ok(connection)
}

/// As [`login`], with the lines of the answer.
async fn logged_in(
    address: SocketAddr,
    transport: Transport,
    tls: &Tls,
    (username, password): (&str, &str),
    until: Instant,
) -> Result<(Connection, Vec<Vec<u8>>), NoLogin> {
    let left = || until.saturating_duration_since(Instant::now());
    let opened = Connection::open(address, transport, tls, left(), false).await;
    let mut connection = opened.map_err(|error| NoLogin {
        silent: error.kind() == io::ErrorKind::TimedOut,
        why: format!("cannot connect: {error}"),
    })?;
    let name = unique_name("canary");
    let bytes = format!("ATH\n{name}\n{username}\n{password}\n").into_bytes();
    connection
        .send(vec![bytes], left())
        .await
        .map_err(|error| NoLogin {
            silent: matches!(error, WriteError::Stuck),
            why: error.to_string(),
        })?;
    let answer = connection
        .inbox
        .wait(until, |inbox| match first_message(inbox.unread()) {
            Decoded::Whole { lines, length } => {
                inbox.take(length);
                Some(Ok(lines))
            }
            Decoded::Unknown => Some(Err(format!(
                "the answer to ATH is no message of v{REVISION}"
            ))),
            Decoded::Partial => inbox
                .end
                .as_ref()
                .map(|_| Err("closed instead of answering ATH".to_owned())),
        });
    let refused = |why| NoLogin { why, silent: false };
    let lines = match answer.await {
        Some(answer) => answer.map_err(refused)?,
        None => {
            return Err(NoLogin {
                why: "no answer to ATH".to_owned(),
                silent: true,
            });
        }
    };
    match lines.as_slice() {
        [word, ok, ..] if word == b"ARS" && ok == b"true" => Ok((connection, lines)),
        _ => Err(refused(
            "the answer to a good ATH is not ARS true".to_owned(),
        )),
    }
}

/// A client name that nobody else uses, because a second login with a name may end the first.
pub(crate) fn unique_name(base: &str) -> String {
    static COUNTER: AtomicU32 = AtomicU32::new(0);
    format!(
        "{base}-{}-{}",
        std::process::id(),
        COUNTER.fetch_add(1, Ordering::Relaxed)
    )
}

const PAUSE: Duration = Duration::from_millis(10);
