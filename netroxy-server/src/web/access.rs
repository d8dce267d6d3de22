//! Who is signed in: sign-in, the cookie of a session and the token that each change needs.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::Response;
use netroxy_proto::{Ath, ClientName, Password, Username};
use tracing::info;

use super::answer;
use super::session::{LONGEST, Session};
use super::state::{ConnectionInfo, Web};
use super::viewer::Viewer;
use crate::admission::Refusal;
use crate::live::Kind;

/// The header in which a change shows the token of its session: only a page of this server knows it.
const CSRF: &str = "x-csrf-token";

/// Why a sign-in is refused.
pub(super) enum NotSignedIn {
    /// Wrong user name or password.
    Wrong,
    /// Too many wrong passwords from this address.
    ShutOut,
    /// The system has no random bits.
    Random,
}

impl Web {
    /// The session of a request, if its cookie names one and the account is unchanged.
    pub(super) fn session(
        &self,
        connection: ConnectionInfo,
        headers: &HeaderMap,
    ) -> Option<(Session, Viewer)> {
        let name = self.cookie_name(connection);
        let cookies = headers.get_all(header::COOKIE).iter();
        let mut pairs = cookies
            .flat_map(|line| line.as_bytes().split(|byte| *byte == b';'))
            .filter_map(split_pair);
        let (_, token) = pairs.find(|(found, _)| *found == name.as_bytes())?;
        let session = self.sessions.find(token, Instant::now())?;
        let viewer = self.viewer(&session)?;
        Some((session, viewer))
    }

    /// The viewer of a session; `None` if the session has ended or its account has changed.
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

    /// Checks a user name and a password like a client's login. Wrong ones count against the address.
    pub(super) async fn sign_in(
        &self,
        connection: ConnectionInfo,
        username: &str,
        password: &str,
    ) -> Result<Session, NotSignedIn> {
        let admission = &self.hub.admission;
        if admission.may_show_a_password(connection.peer).is_err() {
            let reason = Refusal::WrongPasswords;
            info!(target: netroxy_net::log::REFUSAL, peer = %connection.peer, %reason, "sign-in refused");
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
            admission.wrong_password(connection.peer);
            info!(target: netroxy_net::log::REFUSAL, peer = %connection.peer, "sign-in with a wrong user name or password");
            let text = format_args!("wrong user name or password from {}", connection.peer);
            self.hub.note(Kind::LoginRefused, None, text);
            return Err(NotSignedIn::Wrong);
        };
        let user = account.username.clone();
        let session = self
            .sessions
            .open(account, Instant::now())
            .map_err(|_| NotSignedIn::Random)?;
        info!(%user, peer = %connection.peer, "signed in to the web interface");
        let text = format_args!("{user} signed in from {}", connection.peer);
        self.hub.note(Kind::SignedIn, Some(&user), text);
        Ok(session)
    }

    pub(super) fn sign_out(&self, session: &Session) {
        self.sessions.close(session);
    }

    /// The header that sets the cookie of a session.
    pub(super) fn cookie(
        &self,
        connection: ConnectionInfo,
        session: &Session,
    ) -> Option<HeaderValue> {
        let (token, seconds) = (session.token.as_str(), LONGEST.as_secs());
        self.set_cookie(connection, token, seconds)
    }

    /// The header that removes the cookie.
    pub(super) fn no_cookie(&self, connection: ConnectionInfo) -> Option<HeaderValue> {
        self.set_cookie(connection, "", 0)
    }

    fn set_cookie(
        &self,
        connection: ConnectionInfo,
        value: &str,
        seconds: u64,
    ) -> Option<HeaderValue> {
        let secure = if connection.tls { "; Secure" } else { "" };
        let name = self.cookie_name(connection);
        let text =
            format!("{name}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}");
        HeaderValue::try_from(text).ok()
    }

    /// The name of the cookie. With TLS its prefix keeps other hosts, and attackers on the network, from setting
    /// a cookie of this name.
    fn cookie_name(&self, connection: ConnectionInfo) -> String {
        let prefix = if connection.tls { "__Host-" } else { "" };
        format!("{prefix}netroxy-{}", self.port)
    }
}

/// The session of a request. A request without a session is answered with 401.
pub(super) struct SignedIn {
    pub(super) session: Session,
    pub(super) viewer: Viewer,
}

impl FromRequestParts<Arc<Web>> for SignedIn {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, web: &Arc<Web>) -> Result<Self, Response> {
        let connection = parts.extensions.get::<ConnectionInfo>().copied();
        connection
            .and_then(|connection| web.session(connection, &parts.headers))
            .map(|(session, viewer)| Self { session, viewer })
            .ok_or_else(answer::not_signed_in)
    }
}

/// The session of a request that changes something: the request must show the session's token as well.
pub(super) struct Changing(pub(super) SignedIn);

impl FromRequestParts<Arc<Web>> for Changing {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, web: &Arc<Web>) -> Result<Self, Response> {
        let signed_in = SignedIn::from_request_parts(parts, web).await?;
        let shown = parts.headers.get(CSRF);
        if !shown.is_some_and(|shown| signed_in.session.csrf.is_shown_by(shown.as_bytes())) {
            return Err(answer::no_csrf_token());
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
