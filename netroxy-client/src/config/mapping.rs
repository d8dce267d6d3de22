//! Ports and mappings as they are written in flags and in the file.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use netroxy_net::config_file;
use netroxy_proto::RemotePort;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use super::types::Service;

/// One port or a range of ports: `7` or `7-9`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ports {
    first: u16,
    last: u16,
}

/// The error of a text that is not a port, a range or a mapping.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidMapping(String);

impl Ports {
    /// The number of ports.
    #[must_use]
    pub fn count(self) -> usize {
        usize::from(self.last - self.first) + 1
    }

    /// The ports, in order.
    #[must_use]
    pub fn iter(self) -> RangeInclusive<u16> {
        self.first..=self.last
    }

    /// Maps each remote port of `self` to the port of `host` at the same position in `ports`.
    ///
    /// # Errors
    ///
    /// If the two ranges differ in length.
    pub(crate) fn services(
        self,
        host: &str,
        ports: Self,
        is_open: bool,
    ) -> Result<Vec<Service>, InvalidMapping> {
        if self.count() != ports.count() {
            return Err(InvalidMapping(format!(
                "the remote side has {} ports ({self}) and the service {} ({ports}): both must \
                 have the same number",
                self.count(),
                ports.count()
            )));
        }
        let pairs = self.iter().zip(ports.iter());
        let services = pairs.map(|(remote_port, port)| {
            // A range has ports from 1 only.
            let remote_port = RemotePort::try_from(i64::from(remote_port));
            let remote_port = remote_port.map_err(|error| InvalidMapping(error.to_string()))?;
            Ok(Service {
                remote_port,
                host: host.to_owned(),
                port,
                is_open,
            })
        });
        services.collect()
    }
}

impl FromStr for Ports {
    type Err = InvalidMapping;

    fn from_str(text: &str) -> Result<Self, InvalidMapping> {
        let port = |text: &str| {
            let digits = text.bytes().all(|byte| byte.is_ascii_digit());
            let port = text.parse().ok().filter(|port| digits && *port > 0);
            port.ok_or_else(|| {
                InvalidMapping(format!(
                    "{} is not a port from 1 to 65535, nor a range of ports such as 10000-10009",
                    text.escape_debug()
                ))
            })
        };
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let (first, last) = (port(first)?, port(last)?);
        if first > last {
            return Err(InvalidMapping(format!(
                "{first}-{last} is not a range: the first port is greater than the last one"
            )));
        }
        Ok(Self { first, last })
    }
}

impl fmt::Display for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { first, last } = self;
        if first == last {
            write!(f, "{first}")
        } else {
            write!(f, "{first}-{last}")
        }
    }
}

impl<'de> Deserialize<'de> for Ports {
    /// Reads a number, as the original does, or a text with a port or a range.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match serde_json::Value::deserialize(deserializer)? {
            serde_json::Value::String(text) => text.parse().map_err(D::Error::custom),
            other => {
                let port = config_file::port(other).map_err(D::Error::custom)?;
                Ok(Self {
                    first: port,
                    last: port,
                })
            }
        }
    }
}

/// The value of `--map`: `REMOTE=HOST:PORT`, or `REMOTE=PORT` for a service on this machine. Both
/// sides may be ranges of equal length.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MapFlag(pub Vec<Service>);

impl FromStr for MapFlag {
    type Err = InvalidMapping;

    fn from_str(text: &str) -> Result<Self, InvalidMapping> {
        let Some((remote, target)) = text.split_once('=') else {
            return Err(InvalidMapping(
                "expected REMOTE=HOST:PORT, such as 10003=127.0.0.1:3389".to_owned(),
            ));
        };
        let remote: Ports = remote.parse()?;
        let (host, ports) = host_and_ports(target)?;
        remote.services(&host, ports.parse()?, true).map(Self)
    }
}

/// Splits `HOST:PORT`, `[IPV6]:PORT` or `PORT`. The host has no brackets.
fn host_and_ports(text: &str) -> Result<(String, &str), InvalidMapping> {
    let (host, ports) = match text.rsplit_once(':') {
        Some((host, ports)) => (host, ports),
        None => ("", text),
    };
    Ok((bare_host(host)?, ports))
}

/// A host without the brackets of an IPv6 address. An empty host becomes `localhost`.
fn bare_host(host: &str) -> Result<String, InvalidMapping> {
    if host.contains('\n') {
        return Err(InvalidMapping(
            "a host must not contain a line feed".to_owned(),
        ));
    }
    if let Some(bare) = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')) {
        return Ok(bare.to_owned());
    }
    if host.contains(':') {
        return Err(InvalidMapping(format!(
            "write {} in brackets: [{}]",
            host.escape_debug(),
            host.escape_debug()
        )));
    }
    Ok(if host.is_empty() { "localhost" } else { host }.to_owned())
}

/// The value of `--server`: `HOST:PORT`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerFlag {
    /// Name or address, without brackets.
    pub host: String,
    /// The port for clients.
    pub port: u16,
}

impl FromStr for ServerFlag {
    type Err = InvalidMapping;

    fn from_str(text: &str) -> Result<Self, InvalidMapping> {
        let expected =
            || InvalidMapping("expected HOST:PORT, such as example.org:10000".to_owned());
        let (host, ports) = text.rsplit_once(':').ok_or_else(expected)?;
        let ports: Ports = ports.parse()?;
        if ports.count() > 1 {
            return Err(expected());
        }
        Ok(Self {
            host: bare_host(host)?,
            port: ports.first,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(text: &str) -> Result<Vec<String>, String> {
        let MapFlag(services) = text.parse().map_err(|e: InvalidMapping| e.to_string())?;
        let shown = services
            .iter()
            .map(|s| format!("{} {}", s.remote_port, s.target()));
        Ok(shown.collect())
    }

    #[test]
    fn every_form_of_a_mapping_is_read() {
        for (text, expected) in [
            ("10003=127.0.0.1:3389", &["10003 127.0.0.1:3389"][..]),
            ("1=db.example:65535", &["1 db.example:65535"]),
            ("8080=3000", &["8080 localhost:3000"]),
            ("8080=:3000", &["8080 localhost:3000"]),
            ("7=[::1]:80", &["7 [::1]:80"]),
            ("7=[fe80::1%eth0]:80", &["7 [fe80::1%eth0]:80"]),
            ("10-12=h:20-22", &["10 h:20", "11 h:21", "12 h:22"]),
            ("10-11=20-21", &["10 localhost:20", "11 localhost:21"]),
            ("5-5=h:6", &["5 h:6"]),
        ] {
            let expected: Vec<_> = expected.iter().map(|s| (*s).to_owned()).collect();
            assert_eq!(map(text), Ok(expected), "{text}");
        }
        assert_eq!(map("1-65535=h:1-65535").unwrap().len(), 65_535);
    }

    #[test]
    fn the_error_of_a_wrong_mapping_says_what_is_wrong() {
        for (text, part) in [
            ("10003", "expected REMOTE=HOST:PORT"),
            ("0=h:1", "0 is not a port"),
            ("65536=h:1", "65536 is not a port"),
            ("1=h:x", "x is not a port"),
            ("1=h:+1", "+1 is not a port"),
            ("1=h:", " is not a port"),
            ("=h:1", " is not a port"),
            ("1=::1:80", "write ::1 in brackets: [::1]"),
            ("10-12=h:20-21", "has 3 ports (10-12) and the service 2"),
            ("10-12=h:20", "has 3 ports (10-12) and the service 1"),
            ("12-10=h:20-22", "12-10 is not a range"),
            ("1=a\nb:1", "must not contain a line feed"),
        ] {
            let error = map(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn every_form_of_a_server_is_read() {
        let server = |text: &str| {
            let server = text.parse::<ServerFlag>().ok()?;
            Some((server.host, server.port))
        };
        let some = |host: &str, port| Some((host.to_owned(), port));
        assert_eq!(server("example.org:10000"), some("example.org", 10_000));
        assert_eq!(server("[2001:db8::1]:7"), some("2001:db8::1", 7));
        assert_eq!(server(":7"), some("localhost", 7));
        for wrong in ["example.org", "h:0", "h:1-2", "::1:7", "h:", ""] {
            assert_eq!(server(wrong), None, "{wrong}");
        }
    }
}
