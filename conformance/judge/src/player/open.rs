//! The steps in which the suite opens a connection.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Instant;

use netroxy_specification::notation::ast::{
    Action, Endpoint, Expectation, Step, Template, Transport,
};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use super::mismatch::{Mismatch, Seen};
use super::pattern::fill;
use super::scene::Scene;
use super::state::Player;
use crate::descriptors::Noted;
use crate::skip::Skip;
use crate::times::REFUSED_POLL;
use crate::wire::Connection;

impl Player<'_> {
    pub(super) async fn connect(
        &mut self,
        name: &str,
        endpoint: &Endpoint,
    ) -> Result<(), Mismatch> {
        let (address, transport) = self.address(endpoint)?;
        (self.last_sent, self.acted) = (Instant::now(), true);
        let drip = *endpoint == Endpoint::Drip;
        let only12 = *endpoint == Endpoint::Tls12;
        let tls = match only12 {
            true => self.tls.only12(),
            false => self.tls.clone(),
        };
        let opened = Connection::open(address, transport, &tls, self.limit(), drip).await;
        self.late_if(timed_out(&opened));
        let connection = opened.map_err(|error| format!("cannot connect to {address}: {error}"))?;
        if !only12 {
            self.half_close_means_something(&connection)?;
        }
        self.enter(name, connection, self.last_sent);
        self.actor(name)?.bare = *endpoint == Endpoint::Bare && self.over_tls();
        let port = Template::bytes(address.port().to_string());
        let seen = match endpoint {
            Endpoint::Server(_) | Endpoint::Bare | Endpoint::Drip | Endpoint::Tls12 => {
                endpoint.clone()
            }
            Endpoint::Port(_) => Endpoint::Port(port),
        };
        self.transcript.add(name, Action::Connect(seen), None);
        self.transcript.came(self.last_sent);
        Ok(())
    }

    /// Connects until the port refuses. The peer may close the port in another task, so this can take a moment.
    pub(super) async fn refused(&mut self, name: &str, port: &Template) -> Result<(), Mismatch> {
        let (address, _) = self.address(&Endpoint::Port(port.clone()))?;
        let until = Instant::now() + self.limit();
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match timeout(left, TcpStream::connect(address))
                .await
                .map(Noted::noted)
            {
                Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => break,
                // A listener that closes resets the connections in its queue.
                Ok(Err(error)) if error.kind() != io::ErrorKind::ConnectionReset => {
                    return Err(format!("cannot tell whether it refuses: {error}").into());
                }
                Ok(_) if Instant::now() < until => sleep(REFUSED_POLL).await,
                Ok(_) | Err(_) => {
                    let waited = self.limit().as_secs_f64();
                    return Err(self.in_vain(format!(
                        "{address} still accepts connections after {waited:.1} s"
                    )));
                }
            }
        }
        self.transcript.add(
            name,
            Action::Refused(Template::bytes(address.port().to_string())),
            None,
        );
        Ok(())
    }

    /// Checks that a user of a port is rejected: the port refuses the connection, or the connection is closed before a
    /// byte comes.
    pub(super) async fn turned_away(
        &mut self,
        step: &Step,
        port: &Template,
        said: Option<&Template>,
    ) -> Result<(), Mismatch> {
        let name = step.actor.as_str();
        let (address, transport) = self.address(&Endpoint::Port(port.clone()))?;
        let port = Template::bytes(address.port().to_string());
        self.last_sent = Instant::now();
        let opened = Connection::open(address, transport, &self.tls, self.limit(), false).await;
        self.late_if(timed_out(&opened));
        let connection = match opened {
            Ok(connection) => connection,
            Err(error) if is_refusal(&error) => {
                self.transcript.add(name, Action::Refused(port), None);
                return Ok(());
            }
            Err(error) => return Err(format!("cannot tell whether it refuses: {error}").into()),
        };
        self.enter(name, connection, self.last_sent);
        let opened = Action::Connect(Endpoint::Port(port));
        self.transcript.add(name, opened, None);
        self.transcript.came(self.last_sent);
        if let Some(said) = said {
            let said = fill(said, &self.vars)?;
            let recorded = Action::SendRaw(vec![Template::bytes(said.clone())]);
            self.send(name, vec![said], recorded, None).await?;
        }
        self.expect(step, &[Expectation::Closed]).await?;
        self.actors.remove(name);
        Ok(())
    }

    /// Makes the TLS handshake on a connection that was opened without TLS.
    pub(super) async fn handshake(&mut self, name: &str) -> Result<(), Mismatch> {
        let limit = self.limit();
        let actor = self.actor(name)?;
        let (begun, open) = (actor.begun, actor.connection.take());
        let connection = open.ok_or_else(|| format!("the case has closed `{name}` already"))?;
        if let Some(seen) = connection.inbox.look(|state| {
            (state.end.is_some() || !state.unread().is_empty()).then(|| Seen::of(state))
        }) {
            return Err(seen.into());
        }
        self.last_sent = Instant::now();
        let shaken = connection.handshake(&self.tls, limit).await;
        self.late_if(timed_out(&shaken));
        let connection = shaken.map_err(|error| format!("the handshake failed: {error}"))?;
        self.half_close_means_something(&connection)?;
        // It has been open since before the handshake.
        self.enter(name, connection, begun);
        self.done(name, Action::Handshake, None);
        Ok(())
    }

    /// Skips a case about half-closed tunnels if the peer has chosen TLS 1.2, with which it may close both directions
    /// at once. It was offered all versions, so it supports no newer one.
    pub(super) fn half_close_means_something(
        &mut self,
        connection: &Connection,
    ) -> Result<(), Mismatch> {
        if !self.half_closes || !connection.is_tls12() {
            return Ok(());
        }
        self.skip = Some(Skip::Tls12);
        Err(Skip::Tls12.to_string().into())
    }

    fn over_tls(&self) -> bool {
        matches!(
            self.scene,
            Scene::Server {
                transport: Transport::Tls,
                ..
            }
        )
    }

    fn address(&self, endpoint: &Endpoint) -> Result<(SocketAddr, Transport), Mismatch> {
        let find = |named: Option<Transport>| match &self.scene {
            Scene::Server {
                instance,
                transport,
            } => {
                let wanted = named.unwrap_or(*transport);
                let found = instance.address(wanted).map(|address| (address, wanted));
                found.ok_or_else(|| Mismatch::from(format!("the server has no {wanted} port")))
            }
            Scene::Client(_) | Scene::Pair { .. } => {
                Err("here we do not connect to the server".into())
            }
        };
        match endpoint {
            Endpoint::Server(named) => find(*named),
            Endpoint::Bare => Ok((find(None)?.0, Transport::Plain)),
            Endpoint::Drip | Endpoint::Tls12 => find(None),
            Endpoint::Port(port) => {
                let text = fill(port, &self.vars)?;
                let port = std::str::from_utf8(&text)
                    .ok()
                    .and_then(|text| text.parse().ok());
                let port: u16 =
                    port.ok_or_else(|| "a port is a number from 1 to 65535".to_owned())?;
                let host = match &self.scene {
                    Scene::Pair { .. } => Ipv4Addr::LOCALHOST.into(),
                    Scene::Server { .. } | Scene::Client(_) => find(None)?.0.ip(),
                };
                Ok((SocketAddr::new(host, port), Transport::Plain))
            }
        }
    }
}

/// Whether opening a connection took longer than its limit.
pub(super) fn timed_out<T>(outcome: &io::Result<T>) -> bool {
    matches!(outcome, Err(error) if error.kind() == io::ErrorKind::TimedOut)
}

/// Whether the port has refused a connection. A reset counts: a listener that closes resets the connections in its
/// queue.
fn is_refusal(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionReset
    )
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::wire::Tls;

    #[tokio::test]
    async fn a_handshake_that_does_not_end_times_out_and_a_refusal_does_not() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (tls, limit) = (Tls::new().unwrap(), Duration::from_millis(50));
        let open = || Connection::open(address, Transport::Tls, &tls, limit, false);
        assert!(timed_out(&open().await));
        drop(listener);
        let refused = open().await;
        assert!(refused.is_err() && !timed_out(&refused));
    }
}
