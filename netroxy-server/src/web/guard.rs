//! The checks of each request: its host, its origin and its time. Each answer gets the headers that restrict
//! what a browser does with it.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tokio::time::timeout;

use super::state::{ConnectionInfo, Web};
use super::{answer, host};

/// How long the body of a request and its answer may take. The stream of events counts as answered when it
/// begins.
const LONGEST: Duration = Duration::from_secs(30);

const HEADERS: &[(&str, &str)] = &[
    (
        "content-security-policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "no-referrer"),
    ("cache-control", "no-store"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
];

pub(super) async fn guard(State(web): State<Arc<Web>>, request: Request, next: Next) -> Response {
    let mut response = match refusal(&web, &request) {
        Some((status, why)) => (status, format!("{why}\n")).into_response(),
        None => match timeout(LONGEST, next.run(request)).await {
            Ok(response) => response,
            Err(_) => answer::error(StatusCode::REQUEST_TIMEOUT, "the request took too long"),
        },
    };
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(
            HeaderName::from_static(name),
            HeaderValue::from_static(value),
        );
    }
    response
}

/// Why a request is refused: its host is not this server, or it comes from a page of another server.
fn refusal(web: &Web, request: &Request) -> Option<(StatusCode, &'static str)> {
    // Health checks use any host name, and their answers hold no secret.
    if request.uri().path().starts_with("/health/") {
        return None;
    }
    let host = host_of(request);
    let connection = request.extensions().get::<ConnectionInfo>();
    let is_own = host.zip(connection).is_some_and(|(host, connection)| {
        web.configured(|web| host::is_own(host, connection.local, web.ip.iter().chain(&web.hosts)))
            == Some(true)
    });
    if !is_own {
        let why =
            "this host name is not in web.hosts; if it is a name of this server, add it there";
        return Some((StatusCode::MISDIRECTED_REQUEST, why));
    }
    let is_safe = matches!(*request.method(), Method::GET | Method::HEAD);
    if !is_safe && !is_from_own_page(request.headers(), host.unwrap_or_default()) {
        let why = "the request comes from a page of another server";
        return Some((StatusCode::FORBIDDEN, why));
    }
    None
}

/// The host of a request; `None` if the request has no host or two different ones.
fn host_of(request: &Request) -> Option<&str> {
    let mut headers = request.headers().get_all(header::HOST).iter();
    let host = headers.next().map(HeaderValue::to_str)?.ok()?;
    if headers.next().is_some() {
        return None;
    }
    match request.uri().authority() {
        Some(authority) => (authority.as_str() == host).then_some(host),
        None => Some(host),
    }
}

/// Whether the request may come from a page of this server. Programs other than browsers send neither header.
fn is_from_own_page(headers: &HeaderMap, host: &str) -> bool {
    let is_own_site = match headers.get("sec-fetch-site") {
        Some(site) => site == "same-origin" || site == "none",
        None => true,
    };
    let is_own_origin = match headers.get(header::ORIGIN) {
        Some(origin) => origin
            .to_str()
            .ok()
            .and_then(|origin| origin.split_once("://"))
            .is_some_and(|(_, authority)| authority.eq_ignore_ascii_case(host)),
        None => true,
    };
    is_own_site && is_own_origin
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_own(fields: &[(&'static str, &'static str)]) -> bool {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.insert(*name, HeaderValue::from_static(value));
        }
        is_from_own_page(&headers, "localhost:8080")
    }

    #[test]
    fn a_change_comes_from_a_page_of_this_server() {
        assert!(is_own(&[]));
        assert!(is_own(&[("origin", "http://localhost:8080")]));
        assert!(is_own(&[
            ("origin", "https://LOCALHOST:8080"),
            ("sec-fetch-site", "same-origin")
        ]));
        assert!(is_own(&[("sec-fetch-site", "none")]));
        for foreign in [
            ("origin", "http://localhost:8081"),
            ("origin", "http://evil.example"),
            ("origin", "http://localhost:8080.evil.example"),
            ("origin", "null"),
            ("origin", ""),
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-site", "same-site"),
        ] {
            assert!(!is_own(&[foreign]), "{foreign:?}");
        }
    }
}
