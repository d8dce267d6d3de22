//! Answers of the API, and the bodies of requests.

use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;

/// An answer in JSON.
pub(super) fn answer(status: StatusCode, body: &impl Serialize) -> Response {
    match serde_json::to_vec(body) {
        Ok(bytes) => (status, [(header::CONTENT_TYPE, "application/json")], bytes).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

pub(super) fn ok(body: &impl Serialize) -> Response {
    answer(StatusCode::OK, body)
}

pub(super) fn error(status: StatusCode, why: &str) -> Response {
    answer(status, &json!({ "error": why }))
}

pub(super) fn not_signed_in() -> Response {
    error(StatusCode::UNAUTHORIZED, "not signed in")
}

pub(super) fn no_csrf_token() -> Response {
    let why = "the header X-CSRF-Token must hold the token of the session";
    error(StatusCode::FORBIDDEN, why)
}

pub(super) async fn not_found() -> Response {
    error(StatusCode::NOT_FOUND, "this path does not exist")
}

pub(super) async fn method_not_allowed() -> Response {
    error(
        StatusCode::METHOD_NOT_ALLOWED,
        "the path does not take this method",
    )
}

/// The status and the text of the answer to an invalid body.
pub(super) struct Unreadable(pub(super) StatusCode, pub(super) String);

/// Reads a JSON body; `what` describes it. The content type is checked, because a page of another server can
/// make a browser send a form, but no JSON.
pub(super) fn parse<T: DeserializeOwned>(
    headers: &HeaderMap,
    body: &[u8],
    what: &str,
) -> Result<T, Unreadable> {
    let kind = headers.get(header::CONTENT_TYPE);
    let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    if !kind.eq_ignore_ascii_case("application/json") {
        let why = "the body must be of type application/json";
        return Err(Unreadable(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            why.to_owned(),
        ));
    }
    // The error does not quote the body, which may hold a password.
    serde_json::from_slice(body)
        .map_err(|_| Unreadable(StatusCode::BAD_REQUEST, format!("expected {what}")))
}
