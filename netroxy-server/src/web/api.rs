//! The JSON API, as `docs/openapi.json` describes it.

use std::sync::Arc;
use std::time::Instant;

use axum::body::Bytes;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Extension, Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::json;
use tracing::info;

use super::access::{Changing, NotSignedIn, SignedIn};
use super::answer::{Unreadable, error, not_signed_in, ok, parse};
use super::session::Session;
use super::state::{ConnectionInfo, Web};
use super::viewer::Viewer;
use crate::live::Kind;

/// The session and its account, as the API shows them.
fn shown(session: &Session, viewer: &Viewer) -> serde_json::Value {
    let left = session.until.saturating_duration_since(Instant::now());
    json!({
        "user": viewer.account.username.to_string(),
        "administrator": viewer.administrator,
        "csrf": session.csrf.as_str(),
        "expires_in": left.as_secs(),
    })
}

pub(super) async fn session(SignedIn { session, viewer }: SignedIn) -> Response {
    ok(&shown(&session, &viewer))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SignIn {
    user: String,
    password: String,
}

pub(super) async fn sign_in(
    State(web): State<Arc<Web>>,
    Extension(connection): Extension<ConnectionInfo>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let given: SignIn = match parse(&headers, &body, r#"{"user": "...", "password": "..."}"#) {
        Ok(given) => given,
        Err(Unreadable(status, why)) => return error(status, &why),
    };
    let session = match web.sign_in(connection, &given.user, &given.password).await {
        Ok(session) => session,
        Err(NotSignedIn::Wrong) => {
            return error(StatusCode::UNAUTHORIZED, "wrong user name or password");
        }
        Err(NotSignedIn::ShutOut) => {
            let why = "too many wrong passwords from this address: wait, and try again";
            return error(StatusCode::TOO_MANY_REQUESTS, why);
        }
        Err(NotSignedIn::Random) => {
            let why = "the machine has no random bits";
            return error(StatusCode::INTERNAL_SERVER_ERROR, why);
        }
    };
    let Some(viewer) = web.viewer(&session) else {
        return not_signed_in();
    };
    let mut response = ok(&shown(&session, &viewer));
    if let Some(cookie) = web.cookie(connection, &session) {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    response
}

pub(super) async fn sign_out(
    State(web): State<Arc<Web>>,
    Extension(connection): Extension<ConnectionInfo>,
    Changing(SignedIn { session, .. }): Changing,
) -> Response {
    web.sign_out(&session);
    let mut response = StatusCode::NO_CONTENT.into_response();
    if let Some(cookie) = web.no_cookie(connection) {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    response
}

pub(super) async fn status(State(web): State<Arc<Web>>, signed_in: SignedIn) -> Response {
    let snapshot = web.board.now();
    ok(&web
        .board
        .status(&snapshot, &signed_in.viewer, &web.client_listeners))
}

pub(super) async fn clients(State(web): State<Arc<Web>>, signed_in: SignedIn) -> Response {
    let snapshot = web.board.now();
    let clients: Vec<_> = snapshot.clients(&signed_in.viewer).collect();
    ok(&json!({ "clients": clients }))
}

pub(super) async fn mappings(State(web): State<Arc<Web>>, signed_in: SignedIn) -> Response {
    let snapshot = web.board.now();
    let mappings: Vec<_> = snapshot.mappings(&signed_in.viewer).collect();
    ok(&json!({ "mappings": mappings }))
}

pub(super) async fn tunnels(State(web): State<Arc<Web>>, signed_in: SignedIn) -> Response {
    let snapshot = web.board.now();
    let tunnels: Vec<_> = snapshot.tunnels(&signed_in.viewer).collect();
    ok(&json!({ "tunnels": tunnels }))
}

pub(super) async fn events(State(web): State<Arc<Web>>, signed_in: SignedIn) -> Response {
    ok(&json!({ "events": web.events(&signed_in.viewer) }))
}

pub(super) async fn history(State(web): State<Arc<Web>>, signed_in: SignedIn) -> Response {
    ok(&web.board.history(&signed_in.viewer))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Switch {
    on: bool,
}

pub(super) async fn switch(
    State(web): State<Arc<Web>>,
    Path(port): Path<String>,
    Changing(SignedIn { viewer, .. }): Changing,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let wanted: Switch = match parse(&headers, &body, r#"{"on": true} or {"on": false}"#) {
        Ok(wanted) => wanted,
        Err(Unreadable(status, why)) => return error(status, &why),
    };
    let port = port.parse().ok();
    let Some(port) = port.filter(|port| web.switch(&viewer, *port, wanted.on)) else {
        // The same answer for a mapping of another account, so that it stays unknown.
        return error(StatusCode::NOT_FOUND, "no such mapping");
    };
    ok(&json!({ "port": port, "on": wanted.on }))
}

#[derive(Deserialize)]
pub(super) struct OriginalSwitch {
    #[serde(default)]
    action: String,
    #[serde(default)]
    port: String,
}

/// `POST /mapping/?action=on&port=P`, answered as the original server answers it.
pub(super) async fn original_switch(
    State(web): State<Arc<Web>>,
    Changing(SignedIn { viewer, .. }): Changing,
    query: Result<Query<OriginalSwitch>, QueryRejection>,
) -> Response {
    let wanted = query.ok().and_then(|Query(query)| {
        let on = match query.action.as_str() {
            "on" => true,
            "off" => false,
            _ => return None,
        };
        Some((on, query.port.parse::<i64>().ok()?))
    });
    let Some((on, port)) = wanted else {
        return error(
            StatusCode::BAD_REQUEST,
            "expected ?action=on&port=P or ?action=off&port=P",
        );
    };
    let switched = u16::try_from(port).is_ok_and(|port| web.switch(&viewer, port, on));
    switched.to_string().into_response()
}

impl Web {
    /// Switches a mapping. The result is false if there is none that the viewer may switch.
    fn switch(&self, viewer: &Viewer, port: u16, on: bool) -> bool {
        let may = |account: &crate::Account| viewer.may_see(Some(&account.username));
        let Some(mapping) = self.hub.switch(port, on, may) else {
            return false;
        };
        let (user, state) = (&viewer.account.username, if on { "on" } else { "off" });
        info!(remote_port = port, %user, on, "mapping switched");
        let text = format_args!("port {port} switched {state} by {user}");
        let owner = &mapping.client.account.username;
        self.hub.note(Kind::MappingSwitched, Some(owner), text);
        self.board.refresh();
        true
    }

    /// The events that a viewer may see, the latest first.
    pub(super) fn events(&self, viewer: &Viewer) -> Vec<crate::live::Event> {
        let live = self.hub.live.as_ref();
        live.map_or_else(Vec::new, |live| live.events(|owner| viewer.may_see(owner)))
    }
}
