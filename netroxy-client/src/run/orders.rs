//! Carries out the orders of the administrator.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Instant, UNIX_EPOCH};

use netroxy_proto::client::Input;
use tracing::info;

use crate::admin::{Answer, Changed, Order, Request, State, Status};
use crate::client::{Client, machine_config};
use crate::dial::Server;
use crate::mappings::{Difference, Replaced};
use crate::requests::Book;
use crate::spare::Spares;
use crate::{Config, MapFlag, Ports};

impl Client {
    pub(super) async fn obey(&mut self, order: Order) {
        // A failed answer is ignored: its receiver may be gone.
        match order {
            Order::Answer(request, answer) => {
                let _ = answer.send(self.answer(request).await);
            }
            Order::Reload(config, done) => {
                let changed = self.change(*config).await;
                self.start_polling();
                let _ = done.send(changed);
            }
            Order::Polled(polled) => self.polled(polled).await,
        }
    }

    async fn answer(&mut self, request: Request) -> Answer {
        match request {
            Request::Add { map } => match self.with_added(&map) {
                Ok(config) => Answer::Changed(self.change(config).await),
                Err(why) => Answer::Refused(why),
            },
            Request::Remove { ports } => match self.without(&ports) {
                Ok(config) => Answer::Changed(self.change(config).await),
                Err(why) => Answer::Refused(why),
            },
            Request::List => Answer::Mappings(self.mappings.states(Instant::now()).collect()),
            Request::Status => Answer::Status(self.status()),
            Request::Requests => self.requests(),
            Request::Accept { id } => self.accept(&id).await,
            Request::Refuse { id, reason } => self.refuse(&id, reason.as_deref()).await,
        }
    }

    fn with_added(&self, map: &[String]) -> Result<Config, String> {
        let mut config = self.config.clone();
        let mut new = BTreeSet::new();
        for text in map {
            let MapFlag(services) = text.parse().map_err(|error| format!("{text}: {error}"))?;
            for service in services {
                let port = service.remote_port;
                match self.mappings.get(port) {
                    Some(mapping) if mapping.is_requested() => {
                        return Err(of_a_request(port.get()));
                    }
                    Some(mapping) if *mapping.service == service => continue,
                    Some(mapping) => {
                        return Err(format!(
                            "remote port {port} is mapped to {} already: remove it first",
                            mapping.service.target()
                        ));
                    }
                    None => {}
                }
                if !new.insert(port) {
                    return Err(format!("remote port {port} is given twice"));
                }
                config.services.push(service);
            }
        }
        Ok(config)
    }

    fn without(&self, ports: &[String]) -> Result<Config, String> {
        let mut gone = BTreeSet::new();
        for text in ports {
            let ports: Ports = text.parse().map_err(|error| format!("{error}"))?;
            gone.extend(ports.iter());
        }
        let is_gone = |port: u16| gone.contains(&port);
        let mut config = self.config.clone();
        config
            .services
            .retain(|service| !is_gone(service.remote_port.get()));
        for service in &self.config.services {
            gone.remove(&service.remote_port.get());
        }
        match gone.first() {
            Some(port) if self.is_requested(*port) => Err(of_a_request(*port)),
            Some(port) => Err(format!("remote port {port} is not mapped")),
            None => Ok(config),
        }
    }

    fn is_requested(&self, port: u16) -> bool {
        let mut requested = self.mappings.requested();
        requested.any(|service| service.remote_port.get() == port)
    }

    /// Takes over a new configuration. Connections that are opened from now on follow it.
    async fn change(&mut self, config: Config) -> Changed {
        let was_connected = self.login.is_some();
        let is_same_place = config.server.is_same_place(&self.config.server);
        let peer = self.server.peer().filter(|_| is_same_place);
        self.server = Arc::new(Server::new(config.server.clone(), self.names.clone(), peer));
        // Requests at another server, or for another client, are not known here.
        let knows_requests = self.is_polled_alike(&config);
        let terms = config.requests.as_ref().filter(|_| knows_requests);
        let Replaced {
            difference,
            dropped,
        } = self
            .mappings
            .replace(&config.services, terms, was_connected);
        let Difference {
            added,
            removed,
            changed,
        } = difference;
        let requested = self.mappings.requested();
        let input = Input::Configure {
            config: Box::new(machine_config(&config, requested, 0)),
            anew: !is_same_place || self.has_withdrawn(),
        };
        self.config = config;
        self.dropped(dropped);
        if !knows_requests {
            self.book = Book::default();
        }
        self.feed(input).await;
        self.new_spares();
        let logs_in_anew = was_connected && self.login.is_none();
        info!(
            added,
            removed, changed, logs_in_anew, "the mappings were changed"
        );
        Changed {
            added,
            removed,
            changed,
            logs_in_anew,
            was_connected,
        }
    }

    /// Whether requests are fetched from the same place for the same client.
    fn is_polled_alike(&self, config: &Config) -> bool {
        let old = &self.config;
        let place = |config: &Config| {
            let api = config.requests.as_ref().map(|terms| &terms.api);
            api.map(|api| (api.host.clone(), api.port))
        };
        place(old) == place(config) && old.name == config.name && old.username == config.username
    }

    fn status(&self) -> Status {
        let now = Instant::now();
        let (mut mappings, mut mapped, mut refused) = (0, 0, 0);
        for state in self.mappings.states(now) {
            mappings += 1;
            match state.state {
                State::Mapped => mapped += 1,
                State::Refused => refused += 1,
                State::Asked | State::NotConnected => {}
            }
        }
        let since = self
            .login
            .map(|login| login.since.duration_since(UNIX_EPOCH));
        let lasts = self
            .login
            .map(|login| now.saturating_duration_since(login.at));
        Status {
            server: self.server.to_string(),
            tls: !self.server.is_plain(),
            name: self.config.name.to_string(),
            connected: self.login.is_some(),
            connected_since: since.and_then(Result::ok).map(|since| since.as_secs()),
            connected_for: lasts.map(|lasts| lasts.as_secs()),
            logins: self.logins,
            mappings,
            mapped,
            refused,
            tunnels: self.tunnels.len(),
            most_tunnels: self.most_tunnels,
            tunnels_in_all: self.tunnels_in_all,
            spare_connections: self.spares.as_ref().map_or(0, Spares::count),
        }
    }
}

fn of_a_request(port: u16) -> String {
    format!(
        "remote port {port} is mapped for a request of a user: 'netroxy-client requests' shows the request, and \
         'netroxy-client requests refuse' removes it"
    )
}
