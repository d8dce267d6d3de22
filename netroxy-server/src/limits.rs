//! The limits of a server, with their defaults.

use serde::{Deserialize, Deserializer};

/// Descriptors that a server uses beside its connections: for its log, the event queue and the timer.
const BASE: usize = 16;

/// The limits that a configuration sets: the key `limits`. 0 turns a limit off.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Limits {
    /// Fresh connections in all. They have not logged in or become a tunnel yet. `None` is an eighth of the
    /// descriptors, at most 1,024.
    #[serde(deserialize_with = "some_count")]
    pub fresh_connections: Option<usize>,
    /// Fresh connections of one address.
    #[serde(deserialize_with = "count")]
    pub fresh_connections_per_address: usize,
    /// Seconds of penalty for a wrong password. An address is refused while its penalty is that of three wrong
    /// passwords or more.
    #[serde(deserialize_with = "count")]
    pub wrong_password_seconds: usize,
    /// TLS handshakes at a time. A handshake does not count after its first second. `None` is 64 for each core.
    #[serde(deserialize_with = "some_count")]
    pub handshakes: Option<usize>,
    /// Clients that are logged in.
    #[serde(deserialize_with = "count")]
    pub clients: usize,
    /// Mappings of one client.
    #[serde(deserialize_with = "count")]
    pub ports_per_client: usize,
    /// Users in all, including those that wait. `None` is as many as the descriptors allow.
    #[serde(deserialize_with = "some_count")]
    pub tunnels: Option<usize>,
    /// Users of one client. `None` is half of `tunnels`.
    #[serde(deserialize_with = "some_count")]
    pub tunnels_per_client: Option<usize>,
    /// Users from one address.
    #[serde(deserialize_with = "count")]
    pub users_per_address: usize,
    /// Users that wait on one mapping.
    #[serde(deserialize_with = "count")]
    pub waiting_per_port: usize,
    /// Users that wait in all.
    #[serde(deserialize_with = "count")]
    pub waiting: usize,
    /// Descriptors that users and strangers do not get. `None` is a twentieth of all, at least 32.
    #[serde(deserialize_with = "some_count")]
    pub reserved_descriptors: Option<usize>,
    /// Messages to one client that wait to be sent.
    #[serde(deserialize_with = "count")]
    pub unread_answers: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            fresh_connections: None,
            fresh_connections_per_address: 64,
            wrong_password_seconds: 5,
            handshakes: None,
            clients: 1024,
            ports_per_client: 256,
            tunnels: None,
            tunnels_per_client: None,
            users_per_address: 256,
            waiting_per_port: 1024,
            waiting: 4096,
            reserved_descriptors: None,
            unread_answers: 4096,
        }
    }
}

impl Limits {
    /// The limits in figures, for a process that may open so many `descriptors`.
    #[must_use]
    pub fn figures(&self, descriptors: u64) -> Figures {
        let descriptors = usize::try_from(descriptors).unwrap_or(usize::MAX);
        let reserve = match self.reserved_descriptors {
            Some(reserve) => reserve,
            None => (descriptors / 20).max(32),
        };
        let free = descriptors.saturating_sub(reserve + BASE);
        let tunnels = self.tunnels.map_or(free / 2, bound);
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Figures {
            descriptors: descriptors.saturating_sub(BASE),
            free,
            fresh: self
                .fresh_connections
                .map_or_else(|| (descriptors / 8).clamp(1, 1024), bound),
            fresh_per_address: bound(self.fresh_connections_per_address),
            wrong_password_seconds: u64::try_from(self.wrong_password_seconds).unwrap_or(u64::MAX),
            handshakes: self.handshakes.map_or(64 * cores, bound),
            clients: bound(self.clients),
            ports_per_client: bound(self.ports_per_client),
            tunnels,
            tunnels_per_client: self
                .tunnels_per_client
                .map_or_else(|| (tunnels / 2).max(1), bound),
            users_per_address: bound(self.users_per_address),
            waiting_per_port: bound(self.waiting_per_port),
            waiting: bound(self.waiting),
            unread_answers: bound(self.unread_answers),
        }
    }
}

/// The [`Limits`] in figures. A limit that is off is `usize::MAX`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Figures {
    /// Descriptors that connections may use, including the reserve.
    pub descriptors: usize,
    /// Descriptors that users and strangers may use.
    pub free: usize,
    /// See [`Limits::fresh_connections`].
    pub fresh: usize,
    /// See [`Limits::fresh_connections_per_address`].
    pub fresh_per_address: usize,
    /// See [`Limits::wrong_password_seconds`].
    pub wrong_password_seconds: u64,
    /// See [`Limits::handshakes`].
    pub handshakes: usize,
    /// See [`Limits::clients`].
    pub clients: usize,
    /// See [`Limits::ports_per_client`].
    pub ports_per_client: usize,
    /// See [`Limits::tunnels`].
    pub tunnels: usize,
    /// See [`Limits::tunnels_per_client`].
    pub tunnels_per_client: usize,
    /// See [`Limits::users_per_address`].
    pub users_per_address: usize,
    /// See [`Limits::waiting_per_port`].
    pub waiting_per_port: usize,
    /// See [`Limits::waiting`].
    pub waiting: usize,
    /// See [`Limits::unread_answers`].
    pub unread_answers: usize,
}

fn bound(limit: usize) -> usize {
    if limit == 0 { usize::MAX } else { limit }
}

/// The largest limit of the configuration. Sums of such limits do not overflow.
const MOST: i64 = 1_000_000_000;

pub(crate) fn count<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    let what = "a whole number from 0 (no limit) to 1000000000";
    let number = netroxy_net::config_file::within(deserializer, 0, MOST, what)?;
    usize::try_from(number).map_err(serde::de::Error::custom)
}

pub(crate) fn some_count<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<usize>, D::Error> {
    count(deserializer).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_computed_from_the_descriptors() {
        let figures = Limits::default().figures(10_016);
        assert_eq!(figures.free, 10_000 - 500);
        assert_eq!((figures.tunnels, figures.tunnels_per_client), (4750, 2375));
        assert_eq!(figures.fresh, 1024);
        let small = Limits::default().figures(64);
        assert_eq!((small.free, small.tunnels, small.fresh), (16, 8, 8));
        // These limits are at least 1, even without free descriptors.
        let none = Limits::default().figures(10);
        assert_eq!(
            (none.free, none.tunnels, none.tunnels_per_client, none.fresh),
            (0, 0, 1, 1)
        );
    }

    #[test]
    fn zero_turns_a_limit_off() {
        let limits =
            r#"{"clients": 0, "tunnels": 0, "freshConnections": 0, "reservedDescriptors": 0}"#;
        let limits: Limits = serde_json::from_str(limits).unwrap();
        let figures = limits.figures(1016);
        assert_eq!(figures.free, 1000);
        assert_eq!(
            (figures.clients, figures.tunnels, figures.fresh),
            (usize::MAX, usize::MAX, usize::MAX)
        );
    }

    #[test]
    fn an_invalid_limit_is_refused() {
        for wrong in [
            r#"{"clients": -1}"#,
            r#"{"clients": "9"}"#,
            r#"{"tunnels": 1e12}"#,
        ] {
            assert!(serde_json::from_str::<Limits>(wrong).is_err(), "{wrong}");
        }
    }
}
