//! Sessions of the web interface: their tokens, their duration and their bounds.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use subtle::ConstantTimeEq;

use crate::accounts::Account;

/// The duration of a session, from its start. Its use does not prolong it.
pub(super) const LONGEST: Duration = Duration::from_secs(12 * 60 * 60);
/// The most sessions in all, and of one account. A new one takes the place of the oldest. Each client that
/// takes requests has a session, too.
const MOST: (usize, usize) = (256, 80);
/// Sessions, the oldest first.
#[derive(Default)]
pub(super) struct Sessions(Mutex<Vec<Session>>);

/// The session of a person or program that is signed in.
#[derive(Clone)]
pub(super) struct Session {
    pub(super) token: Secret,
    /// The token that a change needs beside the cookie.
    pub(super) csrf: Secret,
    pub(super) account: Arc<Account>,
    pub(super) until: Instant,
}

/// 256 random bits, as 64 hex digits.
#[derive(Clone)]
pub(super) struct Secret(String);

impl Secret {
    fn new() -> Result<Self, getrandom::Error> {
        use std::fmt::Write as _;
        let mut bits = [0; 32];
        getrandom::fill(&mut bits)?;
        let mut text = String::with_capacity(2 * bits.len());
        for byte in bits {
            // Writing to a string does not fail.
            let _ = write!(text, "{byte:02x}");
        }
        Ok(Self(text))
    }

    /// Compares in constant time.
    pub(super) fn is_shown_by(&self, shown: &[u8]) -> bool {
        self.0.as_bytes().ct_eq(shown).into()
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl Sessions {
    pub(super) fn open(
        &self,
        account: Arc<Account>,
        now: Instant,
    ) -> Result<Session, getrandom::Error> {
        let session = Session {
            token: Secret::new()?,
            csrf: Secret::new()?,
            account,
            until: now + LONGEST,
        };
        let mut sessions = self.lock();
        sessions.retain(|other| other.until > now);
        let (in_all, of_account) = MOST;
        let is_own = |other: &Session| other.account.username == session.account.username;
        if sessions.iter().filter(|other| is_own(other)).count() >= of_account
            && let Some(oldest) = sessions.iter().position(is_own)
        {
            sessions.remove(oldest);
        } else if sessions.len() >= in_all {
            sessions.remove(0);
        }
        sessions.push(session.clone());
        Ok(session)
    }

    pub(super) fn find(&self, token: &[u8], now: Instant) -> Option<Session> {
        let sessions = self.lock();
        let mut found = None;
        // All tokens are compared, each in constant time.
        for session in sessions.iter() {
            if session.token.is_shown_by(token) && session.until > now {
                found = Some(session);
            }
        }
        found.cloned()
    }

    pub(super) fn close(&self, session: &Session) {
        let token = session.token.as_str().as_bytes();
        self.lock().retain(|other| !other.token.is_shown_by(token));
    }

    pub(super) fn count(&self, now: Instant) -> usize {
        self.lock()
            .iter()
            .filter(|session| session.until > now)
            .count()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Session>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Secret as AccountSecret;

    fn account(name: &str) -> Arc<Account> {
        Arc::new(Account {
            username: name.to_owned().try_into().unwrap(),
            secret: AccountSecret::Plain("p".to_owned().try_into().unwrap()),
            allowed_ports: None,
            max_ports: None,
            max_tunnels: None,
        })
    }

    fn is_there(sessions: &Sessions, session: &Session, now: Instant) -> bool {
        let token = session.token.as_str().as_bytes();
        sessions.find(token, now).is_some()
    }

    #[test]
    fn a_session_is_found_by_its_whole_token_until_it_is_closed() {
        let (sessions, now) = (Sessions::default(), Instant::now());
        let session = sessions.open(account("alice"), now).unwrap();
        let token = session.token.as_str();
        assert_eq!(token.len(), 64);
        assert_ne!(token, session.csrf.as_str());
        assert!(is_there(&sessions, &session, now));
        let mut other = token.to_owned().into_bytes();
        other[63] ^= 1;
        for wrong in [
            &token.as_bytes()[..63],
            b"",
            &other,
            session.csrf.as_str().as_bytes(),
        ] {
            assert!(sessions.find(wrong, now).is_none());
        }
        sessions.close(&session);
        assert!(!is_there(&sessions, &session, now));
    }

    #[test]
    fn a_session_ends_after_its_duration() {
        let (sessions, now) = (Sessions::default(), Instant::now());
        let session = sessions.open(account("alice"), now).unwrap();
        let end = now + LONGEST;
        assert!(is_there(
            &sessions,
            &session,
            end - Duration::from_millis(1)
        ));
        assert!(!is_there(&sessions, &session, end));
        assert_eq!((sessions.count(now), sessions.count(end)), (1, 0));
        // A new session removes those that have ended.
        sessions.open(account("bob"), end).unwrap();
        assert_eq!(sessions.lock().len(), 1);
    }

    #[test]
    fn sessions_are_bounded_for_each_account_and_in_all() {
        let (sessions, now) = (Sessions::default(), Instant::now());
        let other = sessions.open(account("bob"), now).unwrap();
        let first = sessions.open(account("alice"), now).unwrap();
        let second = sessions.open(account("alice"), now).unwrap();
        for _ in 2..MOST.1 + 1 {
            sessions.open(account("alice"), now).unwrap();
        }
        assert_eq!(sessions.count(now), MOST.1 + 1);
        assert!(
            !is_there(&sessions, &first, now),
            "the oldest session of the account ends"
        );
        assert!(is_there(&sessions, &second, now) && is_there(&sessions, &other, now));
        for number in 0..MOST.0 {
            sessions.open(account(&number.to_string()), now).unwrap();
        }
        assert_eq!(sessions.count(now), MOST.0);
        assert!(!is_there(&sessions, &second, now) && !is_there(&sessions, &other, now));
    }
}
