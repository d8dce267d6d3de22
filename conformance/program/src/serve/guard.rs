//! Who may ask, and what a page may do.
//!
//! The reports are for the person at this machine. Pages of other sites must not read them by a name
//! that leads to this address, and must not start programs by a form that they send here.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{Html, IntoResponse, Response};
use subtle::ConstantTimeEq as _;

use super::{App, pages};

/// What a request has to show.
#[derive(Debug)]
pub(super) struct Guard {
    /// What browsers that mean this program write as `Host`.
    hosts: Vec<String>,
    /// What the forms of this program hold.
    token: String,
}

impl Guard {
    /// For a server that listens there.
    ///
    /// # Errors
    /// When the system gives no random number.
    pub(super) fn new(address: SocketAddr) -> io::Result<Self> {
        let mut hosts = vec![address.to_string()];
        if address.ip().is_loopback() {
            hosts.push(format!("localhost:{}", address.port()));
        }
        let random = || getrandom::u64().map_err(io::Error::other);
        Ok(Self {
            hosts,
            token: format!("{:016x}{:016x}", random()?, random()?),
        })
    }

    pub(super) fn token(&self) -> &str {
        &self.token
    }

    /// Whether it is that of a form of this program.
    pub(super) fn knows(&self, token: &str) -> bool {
        token.as_bytes().ct_eq(self.token.as_bytes()).into()
    }

    fn is_host(&self, text: &str) -> bool {
        self.hosts
            .iter()
            .any(|host| host.eq_ignore_ascii_case(text))
    }

    /// Why a request is refused, if it is.
    fn refuses(&self, method: &Method, headers: &HeaderMap) -> Option<&'static str> {
        let text = |name: HeaderName| {
            headers
                .get(name)
                .map(|value| value.to_str().unwrap_or_default())
        };
        if !text(header::HOST).is_some_and(|host| self.is_host(host)) {
            return Some("This program does not answer under this name.");
        }
        // A browser says where a form was; other clients need not.
        let own = |origin: &str| {
            origin
                .strip_prefix("http://")
                .is_some_and(|host| self.is_host(host))
        };
        match (method, text(header::ORIGIN)) {
            (&Method::GET | &Method::HEAD, _) | (_, None) => None,
            (_, Some(origin)) if own(origin) => None,
            (_, Some(_)) => Some("The form comes from a page of another site."),
        }
    }
}

/// Checks every request, and gives every answer the headers that tell a browser to be careful.
pub(super) async fn watch(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let mut response = match app.guard.refuses(request.method(), request.headers()) {
        None => next.run(request).await,
        Some(why) => pages::error(StatusCode::FORBIDDEN, why).into_response(),
    };
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        // With "no-referrer", a browser says "null" for the origin of a form of these pages.
        (header::REFERRER_POLICY, "same-origin"),
        (header::CACHE_CONTROL, "no-store"),
        (
            HeaderName::from_static("cross-origin-opener-policy"),
            "same-origin",
        ),
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            "same-origin",
        ),
    ] {
        headers
            .entry(name)
            .or_insert(HeaderValue::from_static(value));
    }
    response
}

/// A page whose bars have widths of their own.
pub(super) fn styled(page: pages::Html) -> Response {
    let policy = [(header::CONTENT_SECURITY_POLICY, STYLED)];
    (policy, page).into_response()
}

/// A page that carries its own style, and no script.
pub(super) fn by_itself(page: String) -> Response {
    let policy = [(header::CONTENT_SECURITY_POLICY, BY_ITSELF)];
    (policy, Html(page)).into_response()
}

const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src data:; \
form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

const STYLED: &str = "default-src 'none'; style-src 'self'; style-src-attr 'unsafe-inline'; script-src 'self'; \
connect-src 'self'; img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

const BY_ITSELF: &str = "default-src 'none'; style-src 'unsafe-inline'; form-action 'none'; base-uri 'none'; \
frame-ancestors 'none'";

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(HeaderName, &'static str)]) -> HeaderMap {
        let pairs = pairs.iter().cloned();
        pairs
            .map(|(name, value)| (name, HeaderValue::from_static(value)))
            .collect()
    }

    #[test]
    fn only_who_means_this_program_is_answered() {
        let guard = Guard::new("127.0.0.1:8400".parse().unwrap()).unwrap();
        let get = |host| guard.refuses(&Method::GET, &headers(&[(header::HOST, host)]));
        for host in ["127.0.0.1:8400", "localhost:8400", "LocalHost:8400"] {
            assert_eq!(get(host), None, "{host}");
        }
        for host in [
            "",
            "127.0.0.1",
            "127.0.0.1:8401",
            "example.org:8400",
            "localhost:8400.example.org",
            "[::1]:8400",
        ] {
            assert!(get(host).is_some(), "{host}");
        }
        assert!(guard.refuses(&Method::GET, &HeaderMap::new()).is_some());
        let post = |origin| {
            let headers = headers(&[(header::HOST, "127.0.0.1:8400"), (header::ORIGIN, origin)]);
            guard.refuses(&Method::POST, &headers)
        };
        for origin in ["http://127.0.0.1:8400", "http://localhost:8400"] {
            assert_eq!(post(origin), None, "{origin}");
        }
        for origin in [
            "null",
            "http://example.org",
            "https://127.0.0.1:8400",
            "http://127.0.0.1:8401",
        ] {
            assert!(post(origin).is_some(), "{origin}");
        }
        let remote = Guard::new("192.0.2.1:80".parse().unwrap()).unwrap();
        let localhost = headers(&[(header::HOST, "localhost:80")]);
        assert!(remote.refuses(&Method::GET, &localhost).is_some());
    }

    #[test]
    fn a_token_is_known_only_to_the_program_that_made_it() {
        let new = || Guard::new("127.0.0.1:1".parse().unwrap()).unwrap();
        let (one, other) = (new(), new());
        assert!(one.knows(one.token()) && one.token().len() == 32);
        assert!(!one.knows(other.token()) && !one.knows("") && !one.knows(&one.token()[1..]));
    }
}
