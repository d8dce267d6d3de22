//! Who is signed in: sessions, their cookie and the token that each change needs.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, HeaderValue, header, request::Parts},
    response::Response,
};
use netroxy_proto::{Ath, ClientName, Password, Username};
use subtle::ConstantTimeEq;
use tracing::info;

use super::{Viewer, Way, Web, api};
use crate::{accounts::Account, admission::Refusal, live::Kind};

/// A session ends so long after it began, whatever is done with it.
const LONGEST: Duration = Duration::from_secs(12 * 60 * 60);
/// Sessions in all, and of one account. A new one takes the place of the oldest. Each client that takes
/// requests has one, beside those of people.
const MOST: (usize, usize) = (256, 80);
/// The head in which a change shows that it comes from a page of this server.
pub(super) const CSRF: &str = "x-csrf-token";

/// Sessions, the oldest first.
#[derive(Default)]
pub(super) struct Sessions(Mutex<Vec<Session>>);

/// Somebody who is signed in.
#[derive(Clone)]
pub(super) struct Session {
    token: Secret,
    /// What a change has to show beside the cookie.
    pub(super) csrf: Secret,
    account: Arc<Account>,
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
    fn is(&self, shown: &[u8]) -> bool {
        self.0.as_bytes().ct_eq(shown).into()
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl Sessions {
    fn open(&self, account: Arc<Account>, now: Instant) -> Result<Session, getrandom::Error> {
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

    fn find(&self, token: &[u8], now: Instant) -> Option<Session> {
        let sessions = self.lock();
        let mut found = None;
        // All are compared, and each in constant time.
        for session in sessions.iter() {
            if session.token.is(token) && session.until > now {
                found = Some(session);
            }
        }
        found.cloned()
    }

    fn close(&self, session: &Session) {
        let token = session.token.as_str().as_bytes();
        self.lock().retain(|other| !other.token.is(token));
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

/// Why somebody is not signed in.
pub(super) enum NotSignedIn {
    /// Wrong user name or password.
    Wrong,
    /// Too many wrong passwords from there.
    ShutOut,
    /// The machine has no random bits.
    Random,
}

impl Web {
    /// The session of a request, if its cookie has one and the account is still what it was.
    pub(super) fn session(&self, way: Way, headers: &HeaderMap) -> Option<(Session, Viewer)> {
        let name = self.cookie_name(way);
        let cookies = headers.get_all(header::COOKIE).iter();
        let mut pairs = cookies
            .flat_map(|line| line.as_bytes().split(|byte| *byte == b';'))
            .filter_map(split_pair);
        let (_, token) = pairs.find(|(found, _)| *found == name.as_bytes())?;
        let session = self.sessions.find(token, Instant::now())?;
        let viewer = self.viewer(&session)?;
        Some((session, viewer))
    }

    /// Who a session belongs to now; `None` if it is over.
    pub(super) fn viewer(&self, session: &Session) -> Option<Viewer> {
        let token = session.token.as_str().as_bytes();
        self.sessions.find(token, Instant::now())?;
        let account = session.account.clone();
        if !self.hub.config().accounts.still_has(&account) {
            return None;
        }
        let administrator = self.is_administrator(&account);
        Some(Viewer {
            account,
            administrator,
        })
    }

    /// Checks a user name and a password, as a client's login is checked. Wrong ones count against the
    /// address.
    pub(super) async fn sign_in(
        &self,
        way: Way,
        username: &str,
        password: &str,
    ) -> Result<Session, NotSignedIn> {
        let admission = &self.hub.admission;
        if admission.may_show_a_password(way.peer).is_err() {
            let reason = Refusal::WrongPasswords;
            info!(target: netroxy_net::log::REFUSAL, peer = %way.peer, %reason, "sign-in refused");
            return Err(NotSignedIn::ShutOut);
        }
        let fields = Username::try_from(username.as_bytes())
            .and_then(|username| Ok((username, Password::try_from(password.as_bytes())?)));
        let accounts = self.hub.config().accounts.clone();
        let account = match fields {
            Ok((username, password)) => {
                let client_name = ClientName::empty();
                let ath = Ath {
                    client_name,
                    username,
                    password,
                };
                accounts.check(&ath).await
            }
            // No account has a line feed in its name or password.
            Err(_) => None,
        };
        let Some(account) = account else {
            admission.wrong_password(way.peer);
            info!(target: netroxy_net::log::REFUSAL, peer = %way.peer, "sign-in with a wrong user name or password");
            let text = format_args!("wrong user name or password from {}", way.peer);
            self.hub.note(Kind::LoginRefused, None, text);
            return Err(NotSignedIn::Wrong);
        };
        let user = account.username.clone();
        let session = self
            .sessions
            .open(account, Instant::now())
            .map_err(|_| NotSignedIn::Random)?;
        info!(%user, peer = %way.peer, "signed in to the web interface");
        let text = format_args!("{user} signed in from {}", way.peer);
        self.hub.note(Kind::SignedIn, Some(&user), text);
        Ok(session)
    }

    pub(super) fn sign_out(&self, session: &Session) {
        self.sessions.close(session);
    }

    /// The head that gives a browser its session.
    pub(super) fn cookie(&self, way: Way, session: &Session) -> Option<HeaderValue> {
        let (token, seconds) = (session.token.as_str(), LONGEST.as_secs());
        self.set_cookie(way, token, seconds)
    }

    /// The head that takes the session from a browser.
    pub(super) fn no_cookie(&self, way: Way) -> Option<HeaderValue> {
        self.set_cookie(way, "", 0)
    }

    fn set_cookie(&self, way: Way, value: &str, seconds: u64) -> Option<HeaderValue> {
        let secure = if way.tls { "; Secure" } else { "" };
        let name = self.cookie_name(way);
        let text =
            format!("{name}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}");
        HeaderValue::try_from(text).ok()
    }

    /// With TLS, no other host and nobody on the way can set a cookie of such a name.
    fn cookie_name(&self, way: Way) -> String {
        let prefix = if way.tls { "__Host-" } else { "" };
        format!("{prefix}netroxy-{}", self.port)
    }
}

/// The session of a request; without one the answer is 401.
pub(super) struct SignedIn {
    pub(super) session: Session,
    pub(super) viewer: Viewer,
}

impl FromRequestParts<Arc<Web>> for SignedIn {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, web: &Arc<Web>) -> Result<Self, Response> {
        let way = parts.extensions.get::<Way>().copied();
        way.and_then(|way| web.session(way, &parts.headers))
            .map(|(session, viewer)| Self { session, viewer })
            .ok_or_else(api::not_signed_in)
    }
}

/// The session of a request that changes something: it has shown the session's token as well.
pub(super) struct Changing(pub(super) SignedIn);

impl FromRequestParts<Arc<Web>> for Changing {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, web: &Arc<Web>) -> Result<Self, Response> {
        let signed_in = SignedIn::from_request_parts(parts, web).await?;
        let shown = parts.headers.get(CSRF);
        if !shown.is_some_and(|shown| signed_in.session.csrf.is(shown.as_bytes())) {
            return Err(api::no_csrf_token());
        }
        Ok(Self(signed_in))
    }
}

/// Name and value of a cookie.
fn split_pair(pair: &[u8]) -> Option<(&[u8], &[u8])> {
    let pair = pair.trim_ascii();
    let (name, rest) = pair.split_at_checked(pair.iter().position(|byte| *byte == b'=')?)?;
    Some((name, rest.get(1..)?))
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
    fn a_session_ends_after_its_time() {
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
        // The place of what is over is given away.
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
            "the oldest of the account"
        );
        assert!(is_there(&sessions, &second, now) && is_there(&sessions, &other, now));
        for number in 0..MOST.0 {
            sessions.open(account(&number.to_string()), now).unwrap();
        }
        assert_eq!(sessions.count(now), MOST.0);
        assert!(!is_there(&sessions, &second, now) && !is_there(&sessions, &other, now));
    }
}
