//! The paths of the API about requests.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use netroxy_proto::{ClientName, RemotePort};
use serde::Deserialize;
use serde_json::json;
use tokio::time::timeout;

use super::access::{Changing, SignedIn};
use super::answer::{Unreadable, answer, error, not_signed_in, ok, parse};
use super::state::Web;
use super::viewer::Viewer;
use crate::client::Who;
use crate::hub::Hub;
use crate::requests::{Decision, Id, NotDecided, TooMany, Wish};

/// How long a client may wait for a change, in seconds.
const LONGEST_WAIT: u64 = 25;
/// The most characters of a reason.
const LONGEST_REASON: usize = 200;

const NO_REQUEST: &str = "no such request";

pub(super) async fn list(State(web): State<Arc<Web>>, signed_in: SignedIn) -> Response {
    let snapshot = web.board.now();
    let requests: Vec<_> = snapshot.requests(&signed_in.viewer).collect();
    ok(&json!({ "requests": requests }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    client: String,
    /// The account of the client. It may be left out if the name is unique.
    user: Option<String>,
    target: String,
    port: i64,
}

pub(super) async fn ask(
    State(web): State<Arc<Web>>,
    Changing(SignedIn { viewer, .. }): Changing,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let expected = r#"{"client": "NAME", "target": "ADDRESS:PORT", "port": NUMBER}"#;
    let asked: Asked = match parse(&headers, &body, expected) {
        Ok(asked) => asked,
        Err(Unreadable(status, why)) => return error(status, &why),
    };
    let port = match RemotePort::try_from(asked.port) {
        Ok(port) => port.get(),
        Err(why) => return error(StatusCode::BAD_REQUEST, &format!("port: {why}")),
    };
    let target = match target(&asked.target) {
        Ok(target) => target,
        Err(why) => return error(StatusCode::BAD_REQUEST, &format!("target: {why}")),
    };
    let who = match web.client(&viewer, &asked) {
        Ok(who) => who,
        Err((status, why)) => return error(status, why),
    };
    let accounts = web.hub.config().accounts.clone();
    let account = accounts.named(&who.account);
    if !account.is_some_and(|account| web.hub.may_use(account, port)) {
        let why = format!("account {} may not map port {port}", who.account);
        return error(StatusCode::CONFLICT, &why);
    }
    let mut bits = [0; 8];
    if getrandom::fill(&mut bits).is_err() {
        let why = "the machine has no random bits";
        return error(StatusCode::INTERNAL_SERVER_ERROR, why);
    }
    let (id, by) = (
        Id(u64::from_be_bytes(bits)),
        viewer.account.username.clone(),
    );
    let wish = Wish {
        who,
        target,
        port,
        by,
    };
    match web.hub.requests(|list, now| list.ask(wish, id, now)) {
        Ok(request) => answer(StatusCode::CREATED, &request.view()),
        Err(why) if why.is_bound() => error(StatusCode::TOO_MANY_REQUESTS, &why.to_string()),
        Err(why) => error(StatusCode::CONFLICT, &why.to_string()),
    }
}

/// Reads an address and a port. A host name is refused: it would be looked up in the client's network, where its
/// address may change.
fn target(text: &str) -> Result<SocketAddr, &'static str> {
    let address = text.parse::<SocketAddr>().ok();
    // A percent sign is followed by a network interface, which only one machine has.
    let address = address.filter(|_| !text.contains('%'));
    let address = address.ok_or(
        "must be an address and a port, as in 127.0.0.1:22 or [::1]:22; names are not allowed",
    )?;
    let ip = address.ip().to_canonical();
    if address.port() == 0 {
        return Err("must have a port from 1 to 65535");
    }
    let is_group = match ip {
        IpAddr::V4(ip) => ip.is_multicast() || ip.is_broadcast(),
        IpAddr::V6(ip) => ip.is_multicast(),
    };
    if ip.is_unspecified() || is_group {
        return Err("must be the address of one machine");
    }
    Ok(SocketAddr::new(ip, address.port()))
}

impl Web {
    /// The client of a request, if it is known and the viewer may see it.
    fn client(&self, viewer: &Viewer, asked: &Asked) -> Result<Who, (StatusCode, &'static str)> {
        let is_asked = |who: &Who| {
            let is_user = |user: &String| who.account.to_string() == *user;
            viewer.may_see(Some(&who.account))
                && !who.name.as_bytes().is_empty()
                && is_name(&who.name, &asked.client)
                && asked.user.as_ref().is_none_or(is_user)
        };
        let clients = self.hub.clients();
        let clients = clients.iter().map(|client| client.who());
        let mut found: BTreeSet<_> = clients.filter(is_asked).collect();
        self.hub.requests(|list, now| {
            found.extend(list.takers(now).filter(|who| is_asked(who)).cloned());
        });
        let own = |who: &&Who| who.account == viewer.account.username;
        let mut found: Vec<_> = match found.iter().find(own) {
            Some(own) => vec![own.clone()],
            None => found.into_iter().collect(),
        };
        match (found.pop(), found.is_empty()) {
            (Some(who), true) => Ok(who),
            (Some(_), false) => Err((
                StatusCode::CONFLICT,
                "clients of several accounts have this name: name the account in \"user\"",
            )),
            (None, _) => Err((
                StatusCode::NOT_FOUND,
                "the account has no client of this name that is logged in or takes requests",
            )),
        }
    }
}

pub(super) async fn withdraw(
    State(web): State<Arc<Web>>,
    Changing(SignedIn { viewer, .. }): Changing,
    Path(id): Path<String>,
) -> Response {
    let by = &viewer.account.username;
    let withdrawn = web.hub.requests(|list, _| {
        let id = Id::parse(&id)?;
        let request = list.find(id)?;
        if request.wish.by != *by && !viewer.administrator {
            // A viewer that may not see the request is not told that it exists.
            let may_see = viewer.may_see(Some(&request.wish.who.account));
            return may_see.then_some(None);
        }
        list.withdraw(id, by).map(Some)
    });
    match withdrawn {
        None => error(StatusCode::NOT_FOUND, NO_REQUEST),
        Some(None) => {
            let why =
                "only the account that has asked, or an administrator, can withdraw a request";
            error(StatusCode::FORBIDDEN, why)
        }
        Some(Some((request, login))) => {
            if let Some(login) = login {
                web.hub.withdraw(request.wish.port, login);
            }
            StatusCode::NO_CONTENT.into_response()
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Decided {
    state: Decision,
    reason: Option<String>,
}

pub(super) async fn decide(
    State(web): State<Arc<Web>>,
    Changing(SignedIn { viewer, .. }): Changing,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let expected = r#"{"state": "accepted"} or {"state": "refused", "reason": "..."}"#;
    let Decided { state, reason } = match parse(&headers, &body, expected) {
        Ok(decided) => decided,
        Err(Unreadable(status, why)) => return error(status, &why),
    };
    let reason = match reason.map(|reason| clean(&reason)) {
        Some(Err(why)) => return error(StatusCode::BAD_REQUEST, &format!("reason: {why}")),
        Some(Ok(reason)) => reason,
        None => None,
    };
    let account = &viewer.account.username;
    let decided = web.hub.requests(|list, now| {
        let id = Id::parse(&id).ok_or(NotDecided::Unknown)?;
        list.decide(id, account, &state, reason, now)
    });
    match decided {
        Ok(request) => ok(&request.view()),
        Err(NotDecided::Unknown) => error(StatusCode::NOT_FOUND, NO_REQUEST),
        Err(NotDecided::Over) => error(StatusCode::CONFLICT, "the request was refused before"),
    }
}

/// Makes one line of a reason. An empty line is no reason.
fn clean(reason: &str) -> Result<Option<String>, String> {
    if reason.chars().count() > LONGEST_REASON {
        return Err(format!("must have at most {LONGEST_REASON} characters"));
    }
    let reason = reason.replace(char::is_control, " ");
    let reason = reason.trim();
    Ok((!reason.is_empty()).then(|| reason.to_owned()))
}

#[derive(Deserialize)]
pub(super) struct Waiting {
    #[serde(default)]
    wait: u64,
    version: Option<u64>,
}

/// The poll of a client: its open requests, at once or after a change. Each account has client names of its
/// own, so an account cannot read the requests to clients of another one.
pub(super) async fn open(
    State(web): State<Arc<Web>>,
    SignedIn { session, viewer }: SignedIn,
    name: Result<Path<String>, PathRejection>,
    query: Result<Query<Waiting>, QueryRejection>,
) -> Response {
    let query = query.ok().filter(|query| query.wait <= LONGEST_WAIT);
    let Some(Query(Waiting { wait, version })) = query else {
        let why = format!("expected ?wait=SECONDS, 0 to {LONGEST_WAIT}, and &version=NUMBER");
        return error(StatusCode::BAD_REQUEST, &why);
    };
    // Clients without a name cannot be told apart.
    let name = name.ok().filter(|Path(name)| !name.is_empty());
    let name = name.and_then(|Path(name)| ClientName::try_from(name.as_bytes()).ok());
    let Some(name) = name else {
        let why = "a client needs a name, in UTF-8 and in one line, to take requests";
        return error(StatusCode::NOT_FOUND, why);
    };
    let account = viewer.account.username.clone();
    let mut changed = web.hub.requests.subscribe();
    let Ok(poll) = Poll::begin(&web.hub, Who { account, name }) else {
        let why = "too many clients poll at the same time: wait, and try again";
        return error(StatusCode::TOO_MANY_REQUESTS, why);
    };
    let is_new = async {
        while version.is_some() && poll.version() == version {
            if changed.changed().await.is_err() {
                return;
            }
        }
    };
    let waiting = timeout(Duration::from_secs(wait), is_new);
    // The stop of the server ends the wait, too.
    let _ = web.hub.stop.run_until_cancelled(waiting).await;
    if web.viewer(&session).is_none() {
        return not_signed_in();
    }
    let told = web.hub.requests(|list, _| {
        let requests: Vec<_> = list.open(&poll.who).map(|request| request.view()).collect();
        json!({ "version": list.version(&poll.who), "requests": requests })
    });
    ok(&told)
}

/// A poll of a client. It counts until it is dropped.
struct Poll<'a> {
    hub: &'a Hub,
    who: Who,
}

impl<'a> Poll<'a> {
    fn begin(hub: &'a Hub, who: Who) -> Result<Self, TooMany> {
        hub.requests(|list, now| list.begin_poll(&who, now))?;
        Ok(Self { hub, who })
    }

    fn version(&self) -> Option<u64> {
        self.hub.requests(|list, _| list.version(&self.who))
    }
}

impl Drop for Poll<'_> {
    fn drop(&mut self) {
        self.hub.requests(|list, now| list.end_poll(&self.who, now));
    }
}

/// Whether a text names a client, by its bytes or in the escaped form that is shown.
fn is_name(name: &ClientName, text: &str) -> bool {
    name.as_bytes() == text.as_bytes() || name.to_string() == text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_an_address_and_a_port() {
        for (text, shown) in [
            ("127.0.0.1:22", "127.0.0.1:22"),
            ("[::1]:22", "[::1]:22"),
            ("192.0.2.7:65535", "192.0.2.7:65535"),
            ("[2001:DB8:0:0::7]:1", "[2001:db8::7]:1"),
            // The client's list of targets has one spelling for each address.
            ("[::ffff:127.0.0.1]:22", "127.0.0.1:22"),
        ] {
            assert_eq!(target(text).unwrap().to_string(), shown);
        }
        for text in [
            "",
            "localhost:22",
            "127.0.0.1",
            "127.0.0.1:",
            "127.0.0.1:0",
            "127.0.0.1:65536",
            "127.0.0.1:-1",
            "127.1:22",
            "0x7f000001:22",
            "127.0.0.1:22 ",
            "::1:22",
            "[::1]",
            "[fe80::1%2]:22",
            "[fe80::1%0]:22",
            "0.0.0.0:22",
            "[::]:22",
            "[::ffff:0.0.0.0]:22",
            "224.0.0.1:22",
            "255.255.255.255:22",
            "[ff02::1]:22",
            "http://127.0.0.1:22",
        ] {
            assert!(target(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_reason_is_one_short_line() {
        let most = "ä".repeat(LONGEST_REASON);
        assert_eq!(clean(&most), Ok(Some(most.clone())));
        assert!(clean(&(most + "x")).is_err());
        assert_eq!(clean(" \r\n"), Ok(None));
        assert_eq!(
            clean("not\nallowed\x1b[31m"),
            Ok(Some("not allowed [31m".to_owned()))
        );
    }
}
