//! The state as server-sent events: one each second, and one at once after a mapping was switched or a
//! request has changed.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use hyper::body::Frame;
use serde::Serialize;
use tokio::sync::mpsc;

use super::access::SignedIn;
use super::board::{self, Snapshot};
use super::state::Web;
use super::viewer::Viewer;
use crate::live::Event;
use crate::requests;

/// The most entries of each list that a page shows.
const MOST_ROWS: usize = 500;
/// The most events that a page shows.
const MOST_EVENTS: usize = 50;

/// The data that a page shows.
#[derive(Serialize)]
struct Shown<'a> {
    status: board::Status,
    clients: Vec<&'a board::Client>,
    mappings: Vec<&'a board::Mapping>,
    tunnels: Vec<&'a board::Tunnel>,
    requests: Vec<&'a requests::RequestView>,
    events: Vec<Event>,
}

pub(super) async fn stream(State(web): State<Arc<Web>>, signed_in: SignedIn) -> Response {
    // A slow page receives fewer events, and each shows the state at its time.
    let (sender, receiver) = mpsc::channel(1);
    let hub = web.hub.clone();
    hub.tasks.clone().spawn(async move {
        hub.stop
            .run_until_cancelled(send(web, signed_in, sender))
            .await;
    });
    let heads = [(header::CONTENT_TYPE, "text/event-stream")];
    (heads, Body::new(Pieces(receiver))).into_response()
}

/// Sends events until the page closes the connection or the session ends.
async fn send(web: Arc<Web>, SignedIn { session, .. }: SignedIn, pieces: mpsc::Sender<Bytes>) {
    let mut snapshots = web.board.subscribe();
    let mut snapshot = Arc::new(web.board.now());
    // Each event is for what the viewer may see at its time.
    while let Some(viewer) = web.viewer(&session) {
        let Some(event) = event(&web, &viewer, &snapshot) else {
            return;
        };
        let next = async {
            pieces.send(event).await.ok()?;
            snapshots.changed().await.ok()
        };
        let gone = tokio::select! {
            next = next => next.is_none(),
            () = pieces.closed() => true,
        };
        if gone {
            return;
        }
        snapshot = snapshots.borrow_and_update().clone();
    }
}

fn event(web: &Web, viewer: &Viewer, snapshot: &Snapshot) -> Option<Bytes> {
    let mut events = web.events(viewer);
    events.truncate(MOST_EVENTS);
    let state = Shown {
        status: web.board.status(snapshot, viewer, &web.client_listeners),
        clients: snapshot.clients(viewer).take(MOST_ROWS).collect(),
        mappings: snapshot.mappings(viewer).take(MOST_ROWS).collect(),
        tunnels: snapshot.tunnels(viewer).take(MOST_ROWS).collect(),
        requests: snapshot.requests(viewer).take(MOST_ROWS).collect(),
        events,
    };
    // A line feed would end the event, and this JSON has none.
    let json = serde_json::to_string(&state).ok()?;
    Some(format!("event: state\ndata: {json}\n\n").into())
}

/// A body that is made while it is sent.
struct Pieces(mpsc::Receiver<Bytes>);

impl HttpBody for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let piece = self.get_mut().0.poll_recv(cx);
        piece.map(|piece| piece.map(|bytes| Ok(Frame::data(bytes))))
    }
}
