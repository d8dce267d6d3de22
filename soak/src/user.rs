//! A user, who connects to a remote port and follows a plan.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::talk::{
    End, Fault, GREETING, Manner, Order, PATIENCE, Plan, When, opening, reset, streams,
};

/// The visit of a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Visit {
    /// When the user began to connect.
    pub(crate) start: Instant,
    /// When the visit was over.
    pub(crate) end: Instant,
    /// The time from the start to the first byte of the service, if one came.
    pub(crate) first_byte: Option<Duration>,
    /// How it ended.
    pub(crate) outcome: Outcome,
}

/// How a user's visit ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The port accepted no connection.
    NoPort(io::ErrorKind),
    /// The tunnel ended before a byte of the service came.
    Refused,
    /// The tunnel was used.
    Used(End),
}

/// Connects, waits for the greeting, and follows the plan. The user resets the connection after `resets` bytes of both
/// directions; 0 is before the greeting.
pub(crate) async fn visit(port: SocketAddr, plan: &Plan, resets: u64) -> Visit {
    let start = Instant::now();
    let mut first_byte = None;
    let outcome = match open(port, resets).await {
        Ok(tcp) => {
            first_byte = Some(start.elapsed());
            Outcome::Used(follow(tcp, plan, resets).await)
        }
        Err(outcome) => outcome,
    };
    Visit {
        start,
        end: Instant::now(),
        first_byte,
        outcome,
    }
}

/// Connects and waits for the greeting.
pub(crate) async fn open(port: SocketAddr, resets: u64) -> Result<TcpStream, Outcome> {
    let mut tcp = match timeout(PATIENCE, TcpStream::connect(port)).await {
        Ok(Ok(tcp)) => tcp,
        Ok(Err(error)) => return Err(Outcome::NoPort(error.kind())),
        Err(_) => return Err(Outcome::NoPort(io::ErrorKind::TimedOut)),
    };
    if resets == 0 {
        reset(&tcp);
        return Err(Outcome::Used(End::Reset));
    }
    match opening(&mut tcp).await {
        Ok(greeting) if greeting == GREETING => Ok(tcp),
        Ok(_) => Err(Outcome::Used(End::Fault(Fault::Opening))),
        Err(End::Empty) => Err(Outcome::Refused),
        Err(end) => Err(Outcome::Used(end)),
    }
}

/// Follows the plan on a connection after the greeting.
pub(crate) async fn follow(mut tcp: TcpStream, plan: &Plan, resets: u64) -> End {
    if let Err(error) = tcp.write_all(&plan.encode()).await {
        return End::Aborted(error.kind());
    }
    let manner = Manner {
        outgoing: plan.upload(),
        incoming: plan.download(),
        when: match plan.order {
            Order::ServiceFirst => When::Last,
            Order::Both | Order::UserFirst | Order::Echo => When::Now,
        },
        resets,
        seed: plan.seed,
    };
    streams(tcp, manner).await
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::sync::Arc;

    use super::*;
    use crate::link::{Break, Link};
    use crate::relay::Relay;
    use crate::services::{Ledger, Services};
    use crate::stream::Wrong;

    const IP: std::net::IpAddr = std::net::IpAddr::V4(Ipv4Addr::LOCALHOST);

    async fn seen(ledger: &Arc<Ledger>, id: u64) -> End {
        loop {
            if let Some(end) = ledger.take(id) {
                return end;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    fn plan(order: Order) -> Plan {
        Plan {
            id: 1,
            seed: 77,
            up: 200_000,
            down: 150_000,
            order,
            service_resets: u64::MAX,
        }
    }

    /// The results of user and service through a relay with a fault.
    async fn both(
        order: Order,
        fault: Option<Break>,
        resets: u64,
        service_resets: u64,
    ) -> (Outcome, End) {
        let services = Services::start(IP).await.unwrap();
        let relay = Relay::start(IP, services.talker, Link::PERFECT, fault, 3).unwrap();
        let plan = Plan {
            service_resets,
            ..plan(order)
        };
        let visit = visit(relay.address, &plan, resets).await;
        let end = timeout(Duration::from_secs(60), seen(&services.ledger, 1))
            .await
            .unwrap();
        (visit.outcome, end)
    }

    #[tokio::test]
    async fn a_tunnel_without_faults_is_complete_in_every_order() {
        for order in [
            Order::Both,
            Order::UserFirst,
            Order::ServiceFirst,
            Order::Echo,
        ] {
            let ends = both(order, None, u64::MAX, u64::MAX).await;
            assert_eq!(
                ends,
                (Outcome::Used(End::Complete), End::Complete),
                "{order:?}"
            );
        }
    }

    #[tokio::test]
    async fn a_wrong_byte_is_detected() {
        for order in [
            Order::Both,
            Order::UserFirst,
            Order::ServiceFirst,
            Order::Echo,
        ] {
            let (user, _) = both(order, Some(Break::Byte), u64::MAX, u64::MAX).await;
            let found = matches!(
                user,
                Outcome::Used(End::Fault(Fault::Stream(Wrong::Byte { .. })))
            );
            assert!(found, "{order:?}: {user:?}");
        }
    }

    #[tokio::test]
    async fn an_early_end_is_detected() {
        for order in [
            Order::Both,
            Order::UserFirst,
            Order::ServiceFirst,
            Order::Echo,
        ] {
            let (user, _) = both(order, Some(Break::End), u64::MAX, u64::MAX).await;
            let found = matches!(
                user,
                Outcome::Used(End::Fault(Fault::Stream(Wrong::Missing { .. })))
            );
            assert!(found, "{order:?}: {user:?}");
        }
    }

    #[tokio::test]
    async fn a_reset_by_the_service_is_an_abort_for_the_user() {
        let (user, service) = both(Order::Both, None, u64::MAX, 50_000).await;
        assert!(matches!(user, Outcome::Used(End::Aborted(_))), "{user:?}");
        assert_eq!(service, End::Reset);
    }

    #[tokio::test]
    async fn a_reset_by_the_user_is_an_abort_for_the_service() {
        let (user, service) = both(Order::Both, None, 50_000, u64::MAX).await;
        assert_eq!(user, Outcome::Used(End::Reset));
        assert!(matches!(service, End::Aborted(_)), "{service:?}");
    }
}
