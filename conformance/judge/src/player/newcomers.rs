//! Connections that a client has opened to the suite and on which it has sent nothing yet.
//!
//! A client may open data connections ahead (`tunnel.ahead`), so the next connection need not be the one that a step is
//! about: that one is the next on which the client *sends* something. Each connection has a task, which makes the
//! handshake and waits for the first bytes or the end. A connection whose task has ended is ready. If several are
//! ready, the one that was opened first is used, because the tasks may end in any order. If the client sends nothing, a
//! step gets the oldest silent connection.

use std::collections::VecDeque;
use std::io;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::timeout_at;

use crate::wire::Connection;

/// The connections that no step has accepted yet.
#[derive(Debug, Default)]
pub(super) struct Newcomers {
    /// The tasks. Each ends with the first bytes, the end of its connection, or when `silent` asks it to.
    waiting: JoinSet<(usize, Newcomer)>,
    /// The connections whose tasks run: number, time of arrival, and how to end the task. In the order of arrival.
    silent: Vec<(usize, Instant, oneshot::Sender<()>)>,
    /// Connections whose tasks ended while the player waited for another one.
    ready: VecDeque<Newcomer>,
    /// How many connections have come in all.
    count: usize,
}

/// A connection whose task has ended.
#[derive(Debug)]
pub(super) struct Newcomer {
    /// When it was opened.
    pub(super) came: Instant,
    /// The connection after its handshake, or why the handshake failed.
    pub(super) connection: io::Result<Connection>,
}

impl Newcomer {
    /// Whether the client has sent anything, even bytes that begin no handshake.
    pub(super) fn has_spoken(&self) -> bool {
        match &self.connection {
            Ok(connection) => connection.inbox.look(|state| !state.unread().is_empty()),
            Err(_) => !self.has_gone(),
        }
    }

    /// The time that counts for the step that accepts it: when it was opened. If a step has accepted another connection
    /// since then, it was opened ahead, and the time of its first bytes counts.
    pub(super) fn since(&self, let_in: Option<Instant>) -> Instant {
        let said = self.connection.as_ref().ok();
        let said = said.and_then(|one| one.inbox.look(|state| state.first_arrival()));
        match said {
            Some(said) if !self.has_come_since(let_in) => said,
            _ => self.came,
        }
    }

    /// Whether it was opened at or after `let_in`; true if there is no such time.
    pub(super) fn has_come_since(&self, let_in: Option<Instant>) -> bool {
        let_in.is_none_or(|let_in| self.came >= let_in)
    }

    /// Whether the client closed the connection before the handshake was complete.
    fn has_gone(&self) -> bool {
        self.connection.as_ref().is_err_and(|error| {
            matches!(
                error.kind(),
                io::ErrorKind::UnexpectedEof
                    | io::ErrorKind::ConnectionReset
                    | io::ErrorKind::BrokenPipe
            )
        })
    }
}

impl Newcomers {
    /// Adds a connection that was opened at `came`; `accepting` makes its handshake.
    pub(super) fn take(
        &mut self,
        came: Instant,
        accepting: impl Future<Output = io::Result<Connection>> + Send + 'static,
    ) {
        self.count += 1;
        let (number, (ask, asked)) = (self.count, oneshot::channel());
        self.silent.push((number, came, ask));
        self.waiting.spawn(async move {
            let connection = accepting.await;
            if let Ok(connection) = &connection {
                tokio::select! {
                    () = connection.inbox.first_sign() => {}
                    _ = asked => {}
                }
            }
            (number, Newcomer { came, connection })
        });
    }

    /// The next connection on which bytes came, which has ended, or whose handshake failed. Waits for ever if there is
    /// none.
    pub(super) async fn next(&mut self) -> Newcomer {
        match self.ready.pop_front() {
            Some(newcomer) => newcomer,
            None => self.join().await,
        }
    }

    async fn join(&mut self) -> Newcomer {
        loop {
            match self.waiting.join_next().await {
                Some(Ok((number, newcomer))) => {
                    self.silent.retain(|(one, ..)| *one != number);
                    return newcomer;
                }
                // The task was cancelled, or panicked, which the panic hook reports.
                Some(Err(_)) => {}
                None => std::future::pending().await,
            }
        }
    }

    /// Of all connections on which bytes have come, `spoken` among them, the one that was opened first. If one that was
    /// opened since `let_in` is older and silent, the player waits up to `patience` for its bytes: the bytes of two
    /// connections may be read in any order.
    pub(super) async fn first(
        &mut self,
        spoken: Newcomer,
        let_in: Option<Instant>,
        patience: Duration,
    ) -> Newcomer {
        let until = Instant::now() + patience;
        let mut first = spoken;
        loop {
            let has_older = self.silent.iter().any(|(_, came, _)| {
                let_in.is_none_or(|let_in| *came >= let_in) && *came < first.came
            });
            let until = if has_older { until } else { Instant::now() };
            let Ok(next) = timeout_at(until.into(), self.join()).await else {
                break;
            };
            if next.has_spoken() && next.came < first.came {
                self.ready.push_back(std::mem::replace(&mut first, next));
            } else {
                self.ready.push_back(next);
            }
        }
        self.ready.make_contiguous().sort_by_key(|one| one.came);
        first
    }

    /// The oldest silent connection, of those that were opened at or after `since`, if there is such a time.
    pub(super) async fn oldest(&mut self, since: Option<Instant>) -> Option<Newcomer> {
        let index = self
            .silent
            .iter()
            .position(|(_, came, _)| since.is_none_or(|since| *came >= since))?;
        let (wanted, _, ask) = self.silent.remove(index);
        // This fails if the task has just ended by itself.
        let _ = ask.send(());
        while let Some(joined) = self.waiting.join_next().await {
            match joined {
                Ok((number, newcomer)) if number == wanted => return Some(newcomer),
                Ok((number, newcomer)) => {
                    self.silent.retain(|(one, ..)| *one != number);
                    self.ready.push_back(newcomer);
                }
                Err(_) => {}
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use netroxy_specification::notation::ast::Transport;
    use tokio::io::AsyncWriteExt as _;
    use tokio::net::TcpStream;

    use super::*;
    use crate::wire::{Listener, Tls};

    const LONG: Duration = Duration::from_secs(5);

    /// Opens a connection and adds it; returns the client's end.
    async fn connects(listener: &mut Listener, newcomers: &mut Newcomers, tls: &Tls) -> TcpStream {
        let other = TcpStream::connect(listener.address).await.unwrap();
        let (stream, came) = listener.next(LONG).await.unwrap();
        let tls = tls.clone();
        newcomers.take(came, async move {
            Connection::accept(stream, Transport::Plain, &tls, LONG, false).await
        });
        other
    }

    #[tokio::test]
    async fn the_connection_with_bytes_comes_first_and_silent_ones_wait() {
        let tls = Tls::new().unwrap();
        let mut listener = Listener::bind(0).await.unwrap();
        let mut newcomers = Newcomers::default();
        let one = connects(&mut listener, &mut newcomers, &tls).await;
        let mut two = connects(&mut listener, &mut newcomers, &tls).await;
        let mut three = connects(&mut listener, &mut newcomers, &tls).await;
        let let_in = Some(Instant::now());
        three.write_all(b"x").await.unwrap();
        let spoken = newcomers.next().await;
        assert!(spoken.has_spoken());
        assert!(!spoken.has_come_since(let_in) && Some(spoken.since(let_in)) >= let_in);
        assert_eq!(spoken.since(None), spoken.came);
        drop(one);
        let ended = newcomers.next().await;
        assert!(!ended.has_spoken() && ended.connection.is_ok());
        assert!(newcomers.oldest(let_in).await.is_none());
        let silent = newcomers.oldest(None).await.unwrap();
        assert!(!silent.has_spoken());
        two.write_all(b"y").await.unwrap();
        let inbox = &silent.connection.as_ref().unwrap().inbox;
        inbox.first_sign().await;
        assert!(silent.has_spoken());
    }

    #[tokio::test]
    async fn of_the_connections_with_bytes_the_oldest_is_first() {
        let tls = Tls::new().unwrap();
        let mut listener = Listener::bind(0).await.unwrap();
        let mut newcomers = Newcomers::default();
        let mut one = connects(&mut listener, &mut newcomers, &tls).await;
        let mut two = connects(&mut listener, &mut newcomers, &tls).await;
        let _silent = connects(&mut listener, &mut newcomers, &tls).await;
        two.write_all(b"2").await.unwrap();
        let spoken = newcomers.next().await;
        one.write_all(b"1").await.unwrap();
        let second = spoken.came;
        let first = newcomers.first(spoken, None, LONG).await;
        assert!(first.came < second);
        let next = newcomers.next().await;
        assert_eq!(next.came, second);
        // A silent connection from before `let_in` causes no wait.
        let let_in = Some(Instant::now());
        let moment = newcomers
            .first(next, let_in, Duration::from_secs(3600))
            .await;
        assert_eq!(moment.came, second);
    }

    #[tokio::test]
    async fn a_client_that_closes_during_the_handshake_has_gone() {
        let tls = Tls::new().unwrap();
        let mut listener = Listener::bind(0).await.unwrap();
        let mut newcomers = Newcomers::default();
        for (says, has_gone) in [("", true), ("TRS\n", false)] {
            let mut other = TcpStream::connect(listener.address).await.unwrap();
            let (stream, came) = listener.next(LONG).await.unwrap();
            let tls = tls.clone();
            newcomers.take(came, async move {
                Connection::accept(stream, Transport::Tls, &tls, LONG, false).await
            });
            other.write_all(says.as_bytes()).await.unwrap();
            other.shutdown().await.unwrap();
            let left = newcomers.next().await;
            assert_eq!(left.has_spoken(), !has_gone, "{says}");
            assert!(left.connection.is_err());
        }
    }
}
