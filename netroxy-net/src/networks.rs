//! IP networks of a configuration: `"10.0.0.0/8"`, `"2001:db8::/32"`, `"192.0.2.1"`.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use ipnet::{IpNet, Ipv4Net};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

/// A network, or a single address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network(IpNet);

/// A list of networks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Networks(Vec<Network>);

/// The error for a text that is no network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is neither an IP address nor a network such as \"10.0.0.0/8\"")]
pub struct InvalidNetwork(String);

impl Network {
    /// Whether the network contains an address. An IPv4 address that is written as IPv6 (`::ffff:10.0.0.1`) counts as
    /// the IPv4 address.
    #[must_use]
    pub fn contains(&self, ip: IpAddr) -> bool {
        self.0.contains(&ip.to_canonical())
    }
}

impl Networks {
    /// Whether one of the networks contains an address.
    #[must_use]
    pub fn contain(&self, ip: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(ip))
    }

    /// Whether the list is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<Network> for Networks {
    fn from_iter<I: IntoIterator<Item = Network>>(networks: I) -> Self {
        Self(networks.into_iter().collect())
    }
}

impl FromStr for Network {
    type Err = InvalidNetwork;

    fn from_str(text: &str) -> Result<Self, InvalidNetwork> {
        let single = text.parse::<IpAddr>().map(IpNet::from);
        let network = single.or_else(|_| text.parse());
        let network = network.map_err(|_| InvalidNetwork(text.to_owned()))?;
        Ok(Self(canonical(network)))
    }
}

/// A network of IPv4 addresses that are written as IPv6, as the IPv4 network. Addresses are compared in that form.
fn canonical(network: IpNet) -> IpNet {
    const MAPPED: u8 = 96;
    let IpNet::V6(six) = network else {
        return network;
    };
    let four = six.addr().to_ipv4_mapped();
    let length = six.prefix_len().checked_sub(MAPPED);
    four.zip(length)
        .and_then(|(address, length)| Ipv4Net::new(address, length).ok())
        .map_or(network, IpNet::from)
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<'de> Deserialize<'de> for Network {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}

/// Whether an address can be that of a service. The unspecified address means all addresses of a machine, and a
/// multicast or broadcast address means many machines.
#[must_use]
pub fn is_of_one_host(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => !ip.is_unspecified() && !ip.is_multicast() && !ip.is_broadcast(),
        IpAddr::V6(ip) => ip != Ipv6Addr::UNSPECIFIED && !ip.is_multicast(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn networks(texts: &[&str]) -> Networks {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn an_ipv4_address_that_is_written_as_ipv6_is_the_same_address() {
        let ten = networks(&["10.0.0.0/8", "2001:db8::/32", "192.0.2.1"]);
        for (address, inside) in [
            ("10.1.2.3", true),
            ("::ffff:10.1.2.3", true),
            ("11.0.0.1", false),
            ("::ffff:11.0.0.1", false),
            ("2001:db8::1", true),
            ("2001:db9::1", false),
            ("192.0.2.1", true),
            ("192.0.2.2", false),
            // No IPv4 address, although it ends like one.
            ("::10.1.2.3", false),
        ] {
            assert_eq!(ten.contain(address.parse().unwrap()), inside, "{address}");
        }
        let mapped = networks(&["::ffff:10.0.0.0/104"]);
        assert!(mapped.contain("10.9.9.9".parse().unwrap()));
        assert!(!mapped.contain("11.0.0.1".parse().unwrap()));
        // All of IPv6 contains no IPv4 address.
        let six = networks(&["::/0"]);
        assert!(!six.contain("::ffff:10.0.0.1".parse().unwrap()));
        assert!(six.contain("::1".parse().unwrap()));
        assert!(!networks(&[]).contain("10.0.0.1".parse().unwrap()));
    }

    #[test]
    fn a_text_that_is_no_network_is_an_error() {
        for text in ["", "10.0.0.0/33", "10.0.0", "host", "::/129", "10.0.0.1:22"] {
            let error = text.parse::<Network>().unwrap_err().to_string();
            assert!(error.contains("neither an IP address"), "{error}");
        }
    }

    #[test]
    fn some_addresses_are_of_no_single_host() {
        for (address, expected) in [
            ("127.0.0.1", true),
            ("::1", true),
            ("0.0.0.0", false),
            ("::ffff:0.0.0.0", false),
            ("::", false),
            ("224.0.0.1", false),
            ("::ffff:224.0.0.1", false),
            ("255.255.255.255", false),
            ("ff02::1", false),
        ] {
            assert_eq!(
                is_of_one_host(address.parse().unwrap()),
                expected,
                "{address}"
            );
        }
    }
}
