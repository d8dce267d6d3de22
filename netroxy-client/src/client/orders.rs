//! What a running client does for its administrator.

use std::collections::BTreeSet;

use crate::{
    MapFlag, Ports,
    admin::{Answer, Request},
};

use super::{
    Arc, Changed, Client, Config, Difference, Input, Instant, Order, Server, Spares, State, Status,
    UNIX_EPOCH, info, machine_config,
};

impl Client {
    pub(super) async fn obey(&mut self, order: Order) {
        // Who asked may have gone away.
        match order {
            Order::Answer(request, answer) => {
                let _ = answer.send(self.answer(request).await);
            }
            Order::Reload(config, done) => {
                let _ = done.send(self.change(*config).await);
            }
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
            Some(port) => Err(format!("remote port {port} is not mapped")),
            None => Ok(config),
        }
    }

    /// Takes a new configuration. Connections that are opened from now on follow it.
    async fn change(&mut self, config: Config) -> Changed {
        let was_connected = self.login.is_some();
        let is_same_place = config.server.is_same_place(&self.config.server);
        let peer = self.server.peer().filter(|_| is_same_place);
        self.server = Arc::new(Server::new(config.server.clone(), self.names.clone(), peer));
        let Difference {
            added,
            removed,
            changed,
        } = self.mappings.replace(&config.services, was_connected);
        let input = Input::Configure {
            config: Box::new(machine_config(&config, 0)),
            anew: !is_same_place,
        };
        self.config = config;
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
