//! Addresses of host names.
//!
//! A look-up by the system occupies a thread until it ends, and cannot be interrupted. If the name servers do not
//! answer, that takes 10 s or more. So all tasks that need a name share one look-up, only a few look-ups run at a time,
//! and the look-ups of one class of names do not wait for those of the other.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use std::{fmt, io};

use tokio::sync::{Semaphore, watch};

/// How many names of targets are looked up at a time.
pub const TARGETS_AT_A_TIME: usize = 16;
/// How long an answer is used again, for users who come at the same time.
const REUSE: Duration = Duration::from_secs(1);
/// How many answers are stored at most. The answers for further names are not stored.
const MOST_NAMES: usize = 1024;

/// What a name is for. Look-ups of one class do not wait for those of the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// The peer of the program, on which everything depends. One look-up runs at a time.
    Own,
    /// A target. [`TARGETS_AT_A_TIME`] look-ups run at a time.
    Target,
}

/// The result of a look-up: addresses with port 0, in the order in which they are to be tried.
pub type Answer = io::Result<Vec<SocketAddr>>;

/// How a name is looked up.
type LookUp = dyn Fn(String) -> Pin<Box<dyn Future<Output = Answer> + Send>> + Send + Sync;

/// Looks names up. Clones share their slots and answers.
#[derive(Clone)]
pub struct Resolver(Arc<Inner>);

struct Inner {
    look_up: Box<LookUp>,
    own: Arc<Semaphore>,
    targets: Arc<Semaphore>,
    names: Mutex<HashMap<(Class, String), Entry>>,
}

/// An answer for several tasks.
type Shared = Result<Arc<[SocketAddr]>, Failed>;

#[derive(Debug, Clone)]
struct Failed(io::ErrorKind, Arc<str>);

enum Entry {
    /// A look-up runs or waits for its slot. All tasks that need the name wait for its answer.
    Asking(watch::Sender<Option<Shared>>),
    Known(Arc<[SocketAddr]>, Instant),
}

impl Resolver {
    /// Looks names up by the system, with `getaddrinfo`.
    #[must_use]
    pub fn system() -> Self {
        Self::new(|name| async move { Ok(tokio::net::lookup_host((name, 0)).await?.collect()) })
    }

    /// Looks names up by `look_up`, which gets a name and returns its addresses.
    pub fn new<F>(look_up: impl Fn(String) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Answer> + Send + 'static,
    {
        Self(Arc::new(Inner {
            look_up: Box::new(move |name| Box::pin(look_up(name))),
            own: Arc::new(Semaphore::new(1)),
            targets: Arc::new(Semaphore::new(TARGETS_AT_A_TIME)),
            names: Mutex::default(),
        }))
    }

    /// The addresses of `host`, with `port`; at least one. An address and `localhost` need no look-up. The name of a
    /// network interface may follow an IPv6 address (`fe80::1%eth0`).
    ///
    /// It takes as long as the system does, so callers use a time-out. A look-up that has not begun is skipped if no
    /// task waits for it any more.
    ///
    /// # Errors
    ///
    /// The error of the look-up, or `NotFound` if there is no address.
    pub async fn resolve(&self, host: &str, port: u16, class: Class) -> Answer {
        let addrs = match literal(host) {
            Some(addrs) => addrs,
            // The system resolves the interface itself and asks no name server.
            None if is_scoped(host) => (self.0.look_up)(host.to_owned()).await?,
            None => self.shared(class, host).await?.to_vec(),
        };
        if addrs.is_empty() {
            let message = format!("{host} has no address");
            return Err(io::Error::new(io::ErrorKind::NotFound, message));
        }
        let with_port = |mut addr: SocketAddr| {
            addr.set_port(port);
            addr
        };
        Ok(addrs.into_iter().map(with_port).collect())
    }

    async fn shared(&self, class: Class, host: &str) -> io::Result<Arc<[SocketAddr]>> {
        let mut answer = match self.known_or_asked(class, host) {
            Ok(known) => return Ok(known),
            Err(answer) => answer,
        };
        let answer = match answer.wait_for(Option::is_some).await {
            Ok(answer) => answer.clone(),
            Err(_) => None,
        };
        match answer {
            Some(Ok(addrs)) => Ok(addrs),
            Some(Err(Failed(kind, message))) => Err(io::Error::new(kind, message.to_string())),
            None => Err(io::Error::other("the look-up of the name was cancelled")),
        }
    }

    /// The stored addresses of the name, or the channel on which the answer will come.
    fn known_or_asked(
        &self,
        class: Class,
        host: &str,
    ) -> Result<Arc<[SocketAddr]>, watch::Receiver<Option<Shared>>> {
        let mut names = self.0.names();
        let key = (class, host.to_owned());
        match names.get(&key) {
            Some(Entry::Known(addrs, since)) if since.elapsed() < REUSE => return Ok(addrs.clone()),
            Some(Entry::Asking(answer)) => return Err(answer.subscribe()),
            Some(Entry::Known(..)) | None => {}
        }
        let (sender, receiver) = watch::channel(None);
        names.insert(key.clone(), Entry::Asking(sender.clone()));
        drop(names);
        tokio::spawn(self.0.clone().ask(key, sender));
        Err(receiver)
    }
}

impl Inner {
    fn names(&self) -> MutexGuard<'_, HashMap<(Class, String), Entry>> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a slot and looks a name up. It is a task of its own, because the thread of the system is busy until
    /// the look-up ends, even if no task waits for the answer any more. The slot is taken for the same time.
    async fn ask(self: Arc<Self>, key: (Class, String), answer: watch::Sender<Option<Shared>>) {
        let slots = match key.0 {
            Class::Own => self.own.clone(),
            Class::Target => self.targets.clone(),
        };
        let slot = loop {
            tokio::select! {
                slot = slots.clone().acquire_owned() => break slot,
                () = answer.closed() => {
                    let mut names = self.names();
                    // A task may have subscribed in the meantime.
                    if answer.receiver_count() == 0 {
                        names.remove(&key);
                        return;
                    }
                }
            }
        };
        let found = (self.look_up)(key.1.clone()).await;
        drop(slot);
        let found: Shared = match found {
            Ok(addrs) => Ok(Arc::from(addrs)),
            Err(error) => Err(Failed(error.kind(), error.to_string().into())),
        };
        let mut names = self.names();
        match &found {
            Ok(addrs) if !addrs.is_empty() => {
                if names.len() >= MOST_NAMES {
                    names.retain(|_, entry| match entry {
                        Entry::Asking(_) => true,
                        Entry::Known(_, since) => since.elapsed() < REUSE,
                    });
                }
                if names.len() > MOST_NAMES {
                    names.remove(&key);
                } else {
                    names.insert(key, Entry::Known(addrs.clone(), Instant::now()));
                }
            }
            // The next task that needs the name looks it up again.
            _ => drop(names.remove(&key)),
        }
        answer.send_replace(Some(found));
    }
}

/// The addresses of a text that needs no look-up.
fn literal(host: &str) -> Option<Vec<SocketAddr>> {
    let bare = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(host);
    if let Ok(ip) = bare.parse::<IpAddr>() {
        return Some(vec![(ip, 0).into()]);
    }
    if bare.eq_ignore_ascii_case("localhost") {
        // RFC 6761, section 6.3; in the order of RFC 6724.
        let both: [IpAddr; 2] = [Ipv6Addr::LOCALHOST.into(), Ipv4Addr::LOCALHOST.into()];
        return Some(both.map(|ip| (ip, 0).into()).into());
    }
    // With the number of an interface, an address is complete.
    if bare.contains('%') {
        let addr = format!("[{bare}]:0").parse::<std::net::SocketAddrV6>();
        return addr.ok().map(|addr| vec![addr.into()]);
    }
    None
}

/// Whether a text is an IPv6 address with the name of an interface.
fn is_scoped(host: &str) -> bool {
    host.split_once('%')
        .is_some_and(|(address, _)| address.parse::<Ipv6Addr>().is_ok())
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resolver").finish_non_exhaustive()
    }
}

#[cfg(test)]
#[path = "resolve/tests.rs"]
mod tests;
