//! Addresses of host names.
//!
//! The system's look-up occupies a thread for as long as it takes, 10 s or more when the name
//! servers are silent, and cannot be interrupted. So look-ups are shared by name, only a few are
//! under way at a time, and those of one class of names do not wait for those of the other.

use std::{
    collections::HashMap,
    fmt, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::sync::{Semaphore, watch};

/// So many names of targets are looked up at a time.
pub const TARGETS_AT_A_TIME: usize = 16;
/// An answer may be used again for so long: for users who come together.
const REUSE: Duration = Duration::from_secs(1);
/// So many answers are remembered at most; more names than that are looked up each time.
const MOST_NAMES: usize = 1024;

/// Who asks for a name: the two never wait for each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// The program's own peer, on which everything depends: one look-up at a time.
    Own,
    /// A target: [`TARGETS_AT_A_TIME`].
    Target,
}

/// What a look-up gives: the addresses, with port 0, in the order in which they are to be tried.
pub type Answer = io::Result<Vec<SocketAddr>>;

/// How a name is looked up.
type LookUp = dyn Fn(String) -> Pin<Box<dyn Future<Output = Answer> + Send>> + Send + Sync;

/// Looks names up. Clones share everything.
#[derive(Clone)]
pub struct Resolver(Arc<Inner>);

struct Inner {
    look_up: Box<LookUp>,
    own: Arc<Semaphore>,
    targets: Arc<Semaphore>,
    names: Mutex<HashMap<(Class, String), Entry>>,
}

/// An answer that can be given to many.
type Shared = Result<Arc<[SocketAddr]>, Failed>;

#[derive(Debug, Clone)]
struct Failed(io::ErrorKind, Arc<str>);

enum Entry {
    /// Everybody who asks waits for the same answer.
    Asking(watch::Sender<Option<Shared>>),
    Known(Arc<[SocketAddr]>, Instant),
}

impl Resolver {
    /// Asks the system, as `getaddrinfo` does.
    #[must_use]
    pub fn system() -> Self {
        Self::new(|name| async move { Ok(tokio::net::lookup_host((name, 0)).await?.collect()) })
    }

    /// Asks `look_up`, which gets a name and gives its addresses.
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

    /// The addresses of `host`, with `port`, at least one. An address and `localhost` need no
    /// look-up; the name of a network interface may follow an IPv6 address (`fe80::1%eth0`).
    ///
    /// Takes as long as the system does: wrap it in a time-out. A look-up that nobody waits for any
    /// more is left out if it has not begun.
    ///
    /// # Errors
    ///
    /// What the look-up fails with, and `NotFound` when it gives no address.
    pub async fn resolve(&self, host: &str, port: u16, class: Class) -> Answer {
        let addrs = match literal(host) {
            Some(addrs) => addrs,
            // The system reads such an address by itself, without asking anybody.
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
            None => Err(io::Error::other("the look-up of the name was given up")),
        }
    }

    /// What is known of the name, or where the answer will come.
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

    /// Looks a name up when its turn comes. A task of its own: the thread that the system takes is
    /// busy until the end, whoever still waits for it, so the slot is too.
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
                    // Somebody may have come in the meantime.
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
            // The next one who asks may have better luck.
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
    // With the number of an interface, which the address takes as it is.
    if bare.contains('%') {
        let addr = format!("[{bare}]:0").parse::<std::net::SocketAddrV6>();
        return addr.ok().map(|addr| vec![addr.into()]);
    }
    None
}

/// Whether it is an IPv6 address with the name of an interface.
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
