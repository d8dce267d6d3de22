//! Connections that a client has opened to us and on which it has said nothing yet.
//!
//! A client may open data connections ahead (`tunnel.ahead`), so the next connection need not be the one that a step is
//! about: that one is the next on which the client *says* something. The others wait here, read all the time, until they
//! are used or have ended.

use std::collections::VecDeque;
use std::io;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::timeout_at;

use crate::wire::Connection;

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Newcomers {
    /// Each ends with the first word, the end of its connection, or when it is asked to.
    waiting: JoinSet<(usize, Newcomer)>,
    /// Who can be asked, when they came, and how; in the order of their arrival.
    silent: Vec<(usize, Instant, oneshot::Sender<()>)>,
    /// Who has ended while another was asked.
    ready: VecDeque<Newcomer>,
    /// So many have come.
    count: usize,
}

/// One of them.
#[derive(Debug)]
pub(super) struct Newcomer {
    /// When it was opened.
    pub(super) came: Instant,
    /// After its handshake.
    pub(super) connection: io::Result<Connection>,
}

impl Newcomer {
    /// Whether the client has said anything, be it what no handshake begins with.
    pub(super) fn has_spoken(&self) -> bool {
        match &self.connection {
            Ok(connection) => connection.inbox.look(|state| !state.unread().is_empty()),
            Err(_) => !self.has_gone(),
        }
    }

    /// When the step began that it belongs to: when it was opened, or, where others were let in since then, when the client
    /// said something on it.
    pub(super) fn since(&self, let_in: Option<Instant>) -> Instant {
        let said = self.connection.as_ref().ok();
        let said = said.and_then(|one| one.inbox.look(|state| state.first_arrival()));
        match said {
            Some(said) if !self.has_come_since(let_in) => said,
            _ => self.came,
        }
    }

    /// Whether it has come since then, if there is such a time.
    pub(super) fn has_come_since(&self, let_in: Option<Instant>) -> bool {
        let_in.is_none_or(|let_in| self.came >= let_in)
    }

    /// Whether the client has gone before the handshake was over.
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
    /// A connection has come at this time, and is shaking hands.
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

    /// The next that says something, ends, or cannot shake hands; for ever nothing where there is none.
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
                // It has been cancelled, or has panicked, which is told elsewhere.
                Some(Err(_)) => {}
                None => std::future::pending().await,
            }
        }
    }

    /// Of all that have said something, `spoken` among them, the one that came first. One that has come since `let_in`, and
    /// before it, gets some time to say something: two that came together may be read in any order.
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

    /// The oldest that says nothing, of those that have come since then, if there is such a time.
    pub(super) async fn oldest(&mut self, since: Option<Instant>) -> Option<Newcomer> {
        let index = self
            .silent
            .iter()
            .position(|(_, came, _)| since.is_none_or(|since| *came >= since))?;
        let (wanted, _, ask) = self.silent.remove(index);
        // One that ends by itself meanwhile need not be asked.
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

    /// Somebody connects: the other end.
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
    async fn who_speaks_comes_first_and_who_says_nothing_waits() {
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
    async fn of_those_who_speak_the_one_that_came_first_is_first() {
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
        // Who was there before does not hold up anybody.
        let let_in = Some(Instant::now());
        let moment = newcomers
            .first(next, let_in, Duration::from_secs(3600))
            .await;
        assert_eq!(moment.came, second);
    }

    #[tokio::test]
    async fn who_leaves_in_the_handshake_has_gone() {
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
