//! The origin of a connection, and counts for each origin.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};

/// The origin for which limits count: an IPv4 address, or the 64-bit network of an IPv6 address, because one
/// customer usually gets such a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Origin(IpAddr);

impl Origin {
    pub(crate) fn of(ip: IpAddr) -> Self {
        Self(match ip.to_canonical() {
            IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() & (u128::MAX << 64)).into(),
            ip @ IpAddr::V4(_) => ip,
        })
    }

    /// Whether it has no bounds per address: a proxy on this machine may connect for users of many addresses.
    pub(super) fn is_shared(self) -> bool {
        self.0.is_loopback() || self.0 == IpAddr::V6(Ipv6Addr::UNSPECIFIED)
    }
}

/// Counts connections, in all and of each origin.
#[derive(Default)]
pub(super) struct Tally {
    pub(super) in_all: usize,
    by_origin: BTreeMap<Origin, usize>,
}

impl Tally {
    pub(super) fn of(&self, origin: Origin) -> usize {
        self.by_origin.get(&origin).copied().unwrap_or(0)
    }

    pub(super) fn add(&mut self, origin: Origin) {
        self.in_all += 1;
        *self.by_origin.entry(origin).or_default() += 1;
    }

    pub(super) fn remove(&mut self, origin: Origin) {
        self.in_all = self.in_all.saturating_sub(1);
        if let Some(count) = self.by_origin.get_mut(&origin) {
            *count -= 1;
            if *count == 0 {
                self.by_origin.remove(&origin);
            }
        }
    }
}
