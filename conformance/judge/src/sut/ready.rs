//! Waits until a server is ready: until a client can log in. An open port does not show that.
//!
//! [`wait`] logs in on one transport after the other. It repeats a failed attempt with growing pauses until the login
//! succeeds or the deadline passes. It gives up at once if the program ends or answers ARS false, and after
//! [`CLOSES`] closed connections if the suite did not start the server.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use netroxy_specification::message::{self, ARS, ATH, Decoded, FieldName, first_message};
use netroxy_specification::notation::ast::Transport;
use netroxy_specification::rules::REVISION;
use tokio::time::sleep;

use super::instance::Instance;
use crate::times::LOGIN_END;
use crate::wire::{Connection, Tls, WriteError};

/// Why an instance is not ready.
#[derive(Debug)]
pub(super) struct Unready {
    pub(super) why: String,
    /// Whether the server runs and rejects the login, so that further attempts are useless.
    pub(super) refused: bool,
}

/// Logs in on each of `transports` that the instance speaks. Returns the timeouts in seconds that the server announced
/// and the specification allows.
///
/// # Errors
/// If the server refuses the login, the instance ends, or `limit` passes. A server that the suite did not start also
/// fails after [`CLOSES`] closed connections.
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
        let mut pause = Pause::default();
        // The reason of the last attempt that the deadline did not cut off, or else of the first attempt.
        let mut seen = None;
        let mut closed = 0;
        loop {
            let attempt = logged_in(
                address,
                transport,
                tls,
                (&instance.username, &instance.password),
                until,
            )
            .await;
            let unready = |why| Unready {
                why,
                refused: false,
            };
            if let Some(status) = instance.ended() {
                return Err(unready(format!("it ended before it was ready: {status}")));
            }
            let failed = match attempt {
                Ok((connection, answer)) => {
                    announced.extend(timeout(&answer));
                    connection.close(LOGIN_END).await;
                    break;
                }
                Err(failed) => failed,
            };
            if failed.kind == Failure::Refused {
                let username = &instance.username;
                let why = format!(
                    "the server refused the login of `{username}` on {transport} port {address}: wrong user name or password"
                );
                return Err(Unready { why, refused: true });
            }
            if failed.kind == Failure::Closed {
                closed += 1;
            }
            // A server that the suite starts may need more time. One that ran already belongs to another operator, so
            // the suite stops its attempts.
            if closed >= CLOSES && !instance.is_ours() {
                let username = &instance.username;
                let why = format!(
                    "the server has closed {closed} connections instead of answering the login of `{username}` on {transport} port {address}"
                );
                return Err(Unready { why, refused: true });
            }
            let pause = pause.after(failed.kind);
            if !failed.silent || seen.is_none() {
                seen = Some(failed.why);
            }
            if Instant::now() + pause >= until {
                let (limit, why) = (limit.as_secs_f64(), seen.unwrap_or_default());
                return Err(unready(format!(
                    "no login on {transport} port {address} within {limit} s: {why}"
                )));
            }
            // This is only the pause between two attempts; no verdict depends on it.
            sleep(pause).await;
        }
    }
    Ok(announced)
}

/// The pause between two attempts. It is short at first, because most programs are ready at once. It grows, because
/// each attempt is work for the program.
#[derive(Debug, Default)]
struct Pause {
    unreachable: u32,
    unanswered: u32,
}

impl Pause {
    /// The pause after an attempt that failed in this way.
    fn after(&mut self, failure: Failure) -> Duration {
        let (first, longest, count) = match failure {
            Failure::Unreachable => (10, 250, &mut self.unreachable),
            // The server accepted the connection and worked for this attempt.
            Failure::Unanswered | Failure::Closed | Failure::Refused => {
                (100, 1_000, &mut self.unanswered)
            }
        };
        // Each pause is longer by a quarter, so the next attempt follows soon after the program is ready.
        let grown = 1.25_f64.powi(i32::try_from(*count).unwrap_or(i32::MAX));
        *count = count.saturating_add(1);
        Duration::from_millis(first)
            .mul_f64(grown.min(1_000.0))
            .min(Duration::from_millis(longest))
    }
}

/// How an attempt has failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Failure {
    /// The connection was refused: no program listens there.
    Unreachable,
    /// The server did not answer ATH with ARS, or the connection failed in another way.
    Unanswered,
    /// The server closed the connection instead of answering ATH.
    Closed,
    /// The answer was ARS false.
    Refused,
}

/// The timeout in an answer to ATH, if the specification allows it. The cases judge any other value.
fn timeout(answer: &[Vec<u8>]) -> Option<u64> {
    let field = std::str::from_utf8(message::value(answer, FieldName::Timeout)?).ok()?;
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
    kind: Failure,
    /// Whether time ran out before the server refused, closed or answered.
    pub(crate) silent: bool,
}

/// Opens a connection and logs in on it.
///
/// # Errors
/// If the connection fails, the login is refused, or no answer comes before `until`.
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

/// Does the same as [`login`], and also returns the lines of the answer.
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
        kind: match error.kind() {
            io::ErrorKind::ConnectionRefused => Failure::Unreachable,
            _ => Failure::Unanswered,
        },
        why: format!("cannot connect: {error}"),
    })?;
    let name = unique_name("canary");
    let ath = ATH.lines(&[
        (FieldName::ClientName, name.as_bytes()),
        (FieldName::Username, username.as_bytes()),
        (FieldName::Password, password.as_bytes()),
    ]);
    connection
        .send(vec![message::bytes(&ath)], left())
        .await
        .map_err(|error| NoLogin {
            silent: matches!(error, WriteError::Stuck),
            kind: Failure::Unanswered,
            why: error.to_string(),
        })?;
    let answer = connection
        .inbox
        .wait(until, |inbox| match first_message(inbox.unread()) {
            Decoded::Whole { lines, length } => {
                inbox.take(length);
                Some(Ok(lines))
            }
            Decoded::Unknown => Some(Err((
                Failure::Unanswered,
                format!("the answer to ATH is no message of v{REVISION}"),
            ))),
            Decoded::Partial => inbox
                .end
                .as_ref()
                .map(|_| Err((Failure::Closed, CLOSED.to_owned()))),
        });
    let failed = |kind, why| NoLogin {
        why,
        kind,
        silent: false,
    };
    let lines = match answer.await {
        Some(answer) => answer.map_err(|(kind, why)| failed(kind, why))?,
        None => {
            return Err(NoLogin {
                why: "no answer to ATH".to_owned(),
                kind: Failure::Unanswered,
                silent: true,
            });
        }
    };
    let ok = message::value(&lines, FieldName::IsOk).filter(|_| ARS.begins(&lines));
    match ok {
        Some(b"true") => Ok((connection, lines)),
        Some(b"false") => Err(failed(
            Failure::Refused,
            "the answer to a good ATH is ARS false".to_owned(),
        )),
        _ => Err(failed(
            Failure::Unanswered,
            "the answer to ATH is no ARS".to_owned(),
        )),
    }
}

/// A client name that no other login of this program uses. A second login with a name may end the first.
pub(crate) fn unique_name(base: &str) -> String {
    static COUNTER: AtomicU32 = AtomicU32::new(0);
    format!(
        "{base}-{}-{}",
        std::process::id(),
        COUNTER.fetch_add(1, Ordering::Relaxed)
    )
}

const CLOSED: &str = "closed instead of answering ATH";

/// After this many closed connections the suite stops its attempts on a server that it did not start.
const CLOSES: u32 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_a_bound() {
        let mut pause = Pause::default();
        let ms = |pause: &mut Pause, failure| pause.after(failure).as_millis();
        assert_eq!(ms(&mut pause, Failure::Unreachable), 10);
        assert_eq!(ms(&mut pause, Failure::Unreachable), 12);
        assert_eq!(ms(&mut pause, Failure::Unanswered), 100);
        // The pauses of these attempts last more than an hour in total.
        let last = (0..20_000)
            .map(|_| pause.after(Failure::Unreachable))
            .last();
        assert_eq!(last, Some(Duration::from_millis(250)));
        let (mut spent, mut count) = (Duration::ZERO, 0);
        let mut pause = Pause::default();
        while spent < Duration::from_secs(5) {
            spent += pause.after(Failure::Unanswered);
            count += 1;
        }
        assert_eq!(count, 12);
    }
}
