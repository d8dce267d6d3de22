//! What bugs of a client remember of its logins.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// The logins of a client so far.
#[derive(Default)]
pub(super) struct Past(Mutex<Logins>);

#[derive(Default)]
struct Logins {
    /// The tokens of all successful logins, the latest last.
    tokens: Vec<Vec<u8>>,
    /// The timeout of the first login, in seconds.
    first_timeout: Option<u64>,
    /// The last TRQ: the index of its mapping, and the port as the server wrote it.
    request: Option<(usize, Vec<u8>)>,
}

impl Past {
    fn lock(&self) -> MutexGuard<'_, Logins> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A login has succeeded.
    pub(super) fn log_in(&self, token: &[u8]) {
        self.lock().tokens.push(token.to_vec());
    }

    /// How many logins have succeeded.
    pub(super) fn logins(&self) -> usize {
        self.lock().tokens.len()
    }

    /// The token of a login, counted from 0.
    pub(super) fn token(&self, login: usize) -> Option<Vec<u8>> {
        self.lock().tokens.get(login).cloned()
    }

    /// The token of the login before the latest.
    pub(super) fn token_before(&self) -> Option<Vec<u8>> {
        let before = self.logins().checked_sub(2)?;
        self.token(before)
    }

    /// The timeout of the first login, in seconds.
    pub(super) fn first_timeout(&self) -> Option<u64> {
        self.lock().first_timeout
    }

    /// The timeout of the first login; this one if it is the first.
    pub(super) fn first_timeout_or(&self, seconds: u64) -> u64 {
        *self.lock().first_timeout.get_or_insert(seconds)
    }

    /// A TRQ has come.
    pub(super) fn request(&self, index: usize, port: &[u8]) {
        self.lock().request = Some((index, port.to_vec()));
    }

    /// The last TRQ, once.
    pub(super) fn take_request(&self) -> Option<(usize, Vec<u8>)> {
        self.lock().request.take()
    }
}
