//! Checks requests, and limits what a page may do.
//!
//! The reports are for the user of this machine. A page of another site must not read them through a name that resolves
//! to this address, and must not start programs by a form.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{Html, IntoResponse, Response};
use subtle::ConstantTimeEq as _;

use super::pages;

/// What a request must contain.
#[derive(Debug)]
pub(super) struct Guard {
    /// The allowed values of `Host`.
    hosts: Vec<String>,
    /// The token in the forms of this program.
    token: String,
}

impl Guard {
    /// The guard of a server that listens on this address.
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

    /// Whether a token is that of this program.
    pub(super) fn accepts(&self, token: &str) -> bool {
        token.as_bytes().ct_eq(self.token.as_bytes()).into()
    }

    fn is_host(&self, text: &str) -> bool {
        self.hosts
            .iter()
            .any(|host| host.eq_ignore_ascii_case(text))
    }

    /// Why a request is refused; `None` if it is allowed.
    fn refuses(&self, method: &Method, headers: &HeaderMap) -> Option<&'static str> {
        let text = |name: HeaderName| {
            headers
                .get(name)
                .map(|value| value.to_str().unwrap_or_default())
        };
        if !text(header::HOST).is_some_and(|host| self.is_host(host)) {
            return Some("This program does not serve this host name.");
        }
        // A browser sends the origin of a form; other clients need not.
        let own = |origin: &str| {
            origin
                .strip_prefix("http://")
                .is_some_and(|host| self.is_host(host))
        };
        match (method, text(header::ORIGIN)) {
            (&Method::GET | &Method::HEAD, _) | (_, None) => None,
            (_, Some(origin)) if own(origin) => None,
            (_, Some(_)) => Some("The form is from another site."),
        }
    }
}

/// Checks every request, and adds the security headers to every response.
pub(super) async fn watch(
    State(guard): State<Arc<Guard>>,
    request: Request,
    next: Next,
) -> Response {
    let mut response = match guard.refuses(request.method(), request.headers()) {
        None => next.run(request).await,
        Some(why) => pages::error(StatusCode::FORBIDDEN, why).into_response(),
    };
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        // With "no-referrer", a browser would send the origin "null" with a form of these pages.
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

/// A page whose bars have inline widths.
pub(super) fn styled(page: pages::Html) -> Response {
    let policy = [(header::CONTENT_SECURITY_POLICY, STYLED)];
    (policy, page).into_response()
}

/// A page with its own style, and without a script.
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
    fn only_requests_for_this_host_and_forms_of_this_site_are_allowed() {
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
    fn a_token_is_valid_only_for_the_guard_that_made_it() {
        let new = || Guard::new("127.0.0.1:1".parse().unwrap()).unwrap();
        let (one, other) = (new(), new());
        assert!(one.accepts(one.token()) && one.token().len() == 32);
        assert!(!one.accepts(other.token()) && !one.accepts("") && !one.accepts(&one.token()[1..]));
    }
}
