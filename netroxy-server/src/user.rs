//! Mapped ports and the tasks of the users who connect to them.

use std::{sync::Arc, time::Instant};

use netroxy_net::{
    relay::relay,
    stream::{Stream, tune},
};
use netroxy_proto::server::{Input, UserId};
use tokio::{io::Interest, net::TcpStream, sync::oneshot};
use tracing::{Instrument, debug, info, info_span};

use crate::hub::{Fate, Hub, MappedPort};

/// Accepts users until the port is closed.
pub(crate) async fn accept(hub: Arc<Hub>, port: Arc<MappedPort>) {
    let accept = async {
        while let Some((tcp, peer)) = port.listener.accept().await {
            if let Err(error) = tune(&tcp) {
                debug!(%error, "user broke the connection at once");
                continue;
            }
            // Here, and not in the task: users are served in the order in which they came (`tunnel.fifo`).
            let (id, fate) = hub.admit_user(port.mapping);
            let span =
                info_span!("tunnel", id = id.0, remote_port = %port.remote_port, user = %peer);
            let user = serve(hub.clone(), id, fate, tcp).instrument(span);
            hub.tasks.spawn(user);
        }
    };
    tokio::select! {
        () = port.closed.cancelled() => {}
        () = hub.stop.cancelled() => port.listener.close(),
        () = accept => {}
    }
}

async fn serve(hub: Arc<Hub>, id: UserId, mut fate: oneshot::Receiver<Fate>, tcp: TcpStream) {
    let fate = tokio::select! {
        biased;
        fate = &mut fate => fate.ok(),
        () = broken(&tcp) => {
            hub.feed(Input::UserGone { user: id });
            debug!("user broke the connection before there was a tunnel");
            fate.try_recv().ok()
        }
        () = hub.stop.cancelled() => None,
    };
    match fate {
        Some(Fate::Joined { data, early }) => tunnel(&hub, tcp, data, early).await,
        Some(Fate::Refused(reason)) => info!(%reason, "user refused"),
        None => {}
    }
}

async fn tunnel(hub: &Hub, user: TcpStream, data: Stream, early: Vec<u8>) {
    info!("tunnel open");
    let start = Instant::now();
    let summary = relay(data, Stream::Plain(user), early, &hub.cut).await;
    info!(
        to_user = summary.a_to_b,
        from_user = summary.b_to_a,
        seconds = start.elapsed().as_secs_f64(),
        reason = summary.reason("the client", "the user"),
        "tunnel closed"
    );
}

/// Returns when the connection is broken. A half-close is none: the user may have said all and
/// wait for the answer.
async fn broken(tcp: &TcpStream) {
    while let Ok(ready) = tcp.ready(Interest::ERROR).await {
        if ready.is_error() {
            return;
        }
    }
}
