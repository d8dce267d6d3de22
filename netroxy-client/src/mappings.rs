//! The table of mappings and their states.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use netroxy_proto::RemotePort;

use crate::admin::{MappingState, State};
use crate::requests::{MOST_MAPPINGS, Wanted};
use crate::{RequestId, RequestsConfig, Service};

/// All mappings, by remote port.
#[derive(Debug)]
pub(crate) struct Mappings {
    ports: BTreeMap<RemotePort, Mapping>,
    on_mapped: OnMapped,
}

/// One mapping.
#[derive(Debug)]
pub(crate) struct Mapping {
    pub(crate) service: Arc<Service>,
    /// The request of a user that it comes from; `None` is the client's own configuration.
    request: Option<RequestId>,
    standing: Standing,
    /// Whether `on_mapped` was called for it, and the server has not refused it since.
    is_told: bool,
    /// Whether the server has listened on the port for it.
    was_mapped: bool,
    /// Each open tunnel has a clone.
    open: Arc<()>,
}

/// What the server has answered to MAP.
#[derive(Debug, Clone, Copy)]
enum Standing {
    NotConnected,
    Asked,
    Mapped,
    /// With the time of the next attempt.
    Refused(Option<Instant>),
}

/// What [`Mappings::replace`] has changed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Replaced {
    pub(crate) difference: Difference,
    /// Requested mappings that were removed, each with the reason.
    pub(crate) dropped: Vec<(RequestId, String)>,
}

/// The function that gets each public address.
struct OnMapped(Box<dyn Fn(String) + Send>);

impl fmt::Debug for OnMapped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OnMapped")
    }
}

/// How a new set of mappings differs from the one before.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Difference {
    pub(crate) added: usize,
    pub(crate) removed: usize,
    pub(crate) changed: usize,
}

impl Mappings {
    pub(crate) fn new(services: &[Service]) -> Self {
        let mut mappings = Self {
            ports: BTreeMap::new(),
            on_mapped: OnMapped(Box::new(|_| {})),
        };
        mappings.replace(services, None, false);
        mappings
    }

    pub(crate) fn on_mapped(&mut self, tell: impl Fn(String) + Send + 'static) {
        self.on_mapped = OnMapped(Box::new(tell));
    }

    pub(crate) fn get(&self, port: RemotePort) -> Option<&Mapping> {
        self.ports.get(&port)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.ports.is_empty()
    }

    /// Replaces the client's own services. Of several with one port the first counts. Mappings that stay keep their
    /// state. New ones are asked for if the client is `logged_in`. Requested mappings stay if `terms` allow them and no
    /// service has their port.
    pub(crate) fn replace(
        &mut self,
        services: &[Service],
        terms: Option<&RequestsConfig>,
        logged_in: bool,
    ) -> Replaced {
        let mut difference = Difference::default();
        let mut dropped = Vec::new();
        let mut old = std::mem::take(&mut self.ports);
        for service in services {
            let Entry::Vacant(place) = self.ports.entry(service.remote_port) else {
                continue;
            };
            match old.remove(&service.remote_port) {
                Some(mut mapping) => {
                    if let Some(id) = mapping.request.take() {
                        dropped.push((id, is_own(service.remote_port)));
                    }
                    if *mapping.service != *service {
                        difference.changed += 1;
                        mapping.service = Arc::new(service.clone());
                        mapping.is_told = false;
                    }
                    place.insert(mapping);
                }
                None => {
                    difference.added += 1;
                    place.insert(Mapping::new(service.clone(), None, logged_in));
                }
            }
        }
        for (port, mapping) in old {
            let Some(id) = mapping.request.clone() else {
                difference.removed += 1;
                continue;
            };
            match mapping.permit(terms) {
                Ok(_) => {
                    self.ports.insert(port, mapping);
                }
                Err(reason) => {
                    difference.removed += 1;
                    dropped.push((id, reason));
                }
            }
        }
        Replaced {
            difference,
            dropped,
        }
    }

    /// Adds the mapping of a request. A requested mapping comes into the table here and nowhere else, so the table has
    /// no requested mapping that is not allowed, whatever the server sends.
    ///
    /// # Errors
    ///
    /// The reason for the user, if the mapping is not allowed, or there is no room for it.
    pub(crate) fn request(
        &mut self,
        wanted: &Wanted,
        terms: &RequestsConfig,
        logged_in: bool,
    ) -> Result<(), String> {
        let service = self.may_request(wanted, terms)?;
        let mapping = Mapping::new(service, Some(wanted.id.clone()), logged_in);
        self.ports.insert(wanted.remote_port, mapping);
        Ok(())
    }

    /// The service that [`request`](Self::request) would add, with the same errors.
    pub(crate) fn may_request(
        &self,
        wanted: &Wanted,
        terms: &RequestsConfig,
    ) -> Result<Service, String> {
        let target = terms.permit(wanted.target, wanted.remote_port)?;
        if let Some(mapping) = self.ports.get(&wanted.remote_port) {
            return Err(match &mapping.request {
                None => is_own(wanted.remote_port),
                Some(_) => format!("another request has the remote port {}", wanted.remote_port),
            });
        }
        if self.requested().count() >= MOST_MAPPINGS {
            return Err(format!(
                "the client has {MOST_MAPPINGS} requested mappings, which is the most"
            ));
        }
        Ok(Service {
            remote_port: wanted.remote_port,
            host: target.ip().to_string(),
            port: target.port(),
            is_open: true,
        })
    }

    /// Removes the mapping of a request, and returns its port.
    pub(crate) fn withdraw(&mut self, id: &RequestId) -> Option<RemotePort> {
        let port = self.of_request(id)?.service.remote_port;
        self.ports.remove(&port);
        Some(port)
    }

    /// Whether the server listens for a request.
    pub(crate) fn is_mapped(&self, id: &RequestId) -> bool {
        let mapping = self.of_request(id);
        mapping.is_some_and(|mapping| matches!(mapping.standing, Standing::Mapped))
    }

    fn of_request(&self, id: &RequestId) -> Option<&Mapping> {
        let mut mappings = self.ports.values();
        mappings.find(|mapping| mapping.request.as_ref() == Some(id))
    }

    /// Removes a requested mapping for which the server has never listened, and returns its request.
    pub(crate) fn give_up(&mut self, port: RemotePort) -> Option<RequestId> {
        let mapping = self.ports.get(&port)?;
        let id = mapping.request.clone().filter(|_| !mapping.was_mapped)?;
        self.ports.remove(&port);
        Some(id)
    }

    /// The services that users have asked for.
    pub(crate) fn requested(&self) -> impl Iterator<Item = &Arc<Service>> {
        let requested = self.ports.values().filter(|m| m.request.is_some());
        requested.map(|mapping| &mapping.service)
    }

    /// The client has logged in: all mappings are asked for.
    pub(crate) fn logged_in(&mut self) {
        self.stand(Standing::Asked);
    }

    /// The control connection has ended.
    pub(crate) fn ended(&mut self) {
        self.stand(Standing::NotConnected);
    }

    fn stand(&mut self, standing: Standing) {
        for mapping in self.ports.values_mut() {
            mapping.standing = standing;
        }
    }

    /// The server listens on the port: returns its mapping. Users connect to `host`.
    pub(crate) fn mapped(&mut self, port: RemotePort, host: &str) -> Option<&Mapping> {
        let mapping = self.ports.get_mut(&port)?;
        mapping.standing = Standing::Mapped;
        mapping.was_mapped = true;
        if mapping.service.is_open && !std::mem::replace(&mut mapping.is_told, true) {
            self.on_mapped.0(format!(
                "tcp://{host}:{port} -> {}",
                mapping.service.target()
            ));
        }
        Some(mapping)
    }

    /// The server does not listen on the port. The client asks again at `retry`.
    pub(crate) fn refused(&mut self, port: RemotePort, retry: Option<Instant>) {
        if let Some(mapping) = self.ports.get_mut(&port) {
            mapping.standing = Standing::Refused(retry);
            mapping.is_told = false;
        }
    }

    /// The states of all mappings, in the order of their ports.
    pub(crate) fn states(&self, now: Instant) -> impl Iterator<Item = MappingState> {
        self.ports.values().map(move |mapping| mapping.state(now))
    }
}

/// The reason why a request is refused for a port of the client's own configuration.
fn is_own(port: RemotePort) -> String {
    format!("the remote port {port} belongs to the client's own mappings")
}

impl Mapping {
    fn new(service: Service, request: Option<RequestId>, logged_in: bool) -> Self {
        Self {
            service: Arc::new(service),
            request,
            standing: if logged_in {
                Standing::Asked
            } else {
                Standing::NotConnected
            },
            is_told: false,
            was_mapped: false,
            open: Arc::new(()),
        }
    }

    /// Checks whether the client may connect to the target now. Mappings of the client's own configuration are always
    /// allowed.
    ///
    /// # Errors
    ///
    /// The reason, if the mapping is a requested one and `terms` do not allow it.
    pub(crate) fn permit(&self, terms: Option<&RequestsConfig>) -> Result<(), String> {
        if self.request.is_none() {
            return Ok(());
        }
        let terms = terms.ok_or("the client does not take requests any more")?;
        let Service {
            remote_port,
            host,
            port,
            ..
        } = &*self.service;
        let ip: IpAddr = host.parse().map_err(|_| "the target is no IP address")?;
        terms.permit(SocketAddr::new(ip, *port), *remote_port)?;
        Ok(())
    }

    /// Whether a user has requested it.
    pub(crate) fn is_requested(&self) -> bool {
        self.request.is_some()
    }

    /// Counts a tunnel until it is dropped.
    pub(crate) fn open(&self) -> Arc<()> {
        self.open.clone()
    }

    /// Whether the server listens on the port.
    pub(crate) fn is_mapped(&self) -> bool {
        matches!(self.standing, Standing::Mapped)
    }

    fn state(&self, now: Instant) -> MappingState {
        let (state, retry_in) = match self.standing {
            Standing::NotConnected => (State::NotConnected, None),
            Standing::Asked => (State::Asked, None),
            Standing::Mapped => (State::Mapped, None),
            Standing::Refused(retry) => {
                match retry.map(|at| at.saturating_duration_since(now)) {
                    Some(left) if left.is_zero() => (State::Asked, None),
                    // Rounded up, so that a wait is not shown as 0.
                    left => (State::Refused, left.map(|left| left.as_secs() + 1)),
                }
            }
        };
        MappingState {
            remote_port: self.service.remote_port.get(),
            target: self.service.target(),
            is_open: self.service.is_open,
            state,
            retry_in,
            request: self.request.clone(),
            tunnels: Arc::strong_count(&self.open).saturating_sub(1),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Mutex, PoisonError};
    use std::time::Duration;

    use super::*;

    fn service(remote_port: i64, port: u16) -> Service {
        Service {
            remote_port: remote_port.try_into().unwrap(),
            host: "t".to_owned(),
            port,
            is_open: true,
        }
    }

    #[test]
    fn an_address_is_shown_once_and_again_after_a_refusal_or_a_new_target() {
        let told = Arc::new(Mutex::new(Vec::new()));
        let mut mappings = Mappings::new(&[service(1, 80)]);
        let lines = told.clone();
        mappings.on_mapped(move |line| {
            lines
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(line);
        });
        let port = 1.try_into().unwrap();
        let count = || told.lock().unwrap().len();
        mappings.mapped(port, "h");
        assert_eq!(*told.lock().unwrap(), ["tcp://h:1 -> t:80"]);
        mappings.ended();
        mappings.mapped(port, "h");
        assert_eq!(count(), 1);
        mappings.refused(port, None);
        mappings.mapped(port, "h");
        assert_eq!(count(), 2);
        mappings.replace(&[service(1, 81)], None, true);
        mappings.mapped(port, "h");
        assert_eq!(count(), 3);
        let closed = Service {
            is_open: false,
            ..service(1, 82)
        };
        mappings.replace(&[closed], None, true);
        mappings.mapped(port, "h");
        assert_eq!(count(), 3, "an address whose users are refused was shown");
    }

    #[test]
    fn a_mapping_that_stays_keeps_its_state_and_its_tunnels() {
        let mut mappings = Mappings::new(&[service(1, 80), service(2, 80), service(3, 80)]);
        let now = Instant::now();
        mappings.logged_in();
        let [one, two] = [1, 2].map(|port| RemotePort::try_from(port).unwrap());
        mappings.mapped(one, "h");
        mappings.refused(two, Some(now + Duration::from_millis(2500)));
        let _tunnel = mappings.get(one).unwrap().open();
        let next = [service(1, 80), service(2, 81), service(4, 80)];
        let difference = mappings.replace(&next, None, true).difference;
        let expected = Difference {
            added: 1,
            removed: 1,
            changed: 1,
        };
        assert_eq!(difference, expected);
        let states: Vec<_> = mappings
            .states(now)
            .map(|s| (s.remote_port, s.state, s.retry_in, s.tunnels))
            .collect();
        let expected = [
            (1, State::Mapped, None, 1),
            (2, State::Refused, Some(3), 0),
            (4, State::Asked, None, 0),
        ];
        assert_eq!(states, expected);
        let later = now + Duration::from_secs(9);
        assert_eq!(mappings.states(later).nth(1).unwrap().state, State::Asked);
        mappings.ended();
        let all: Vec<_> = mappings.states(now).map(|s| s.state).collect();
        assert_eq!(all, [State::NotConnected; 3]);
    }
}
