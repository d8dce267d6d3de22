//! A capture for Wireshark, made from events on connections. The packets are made up, with right handshakes, sequence
//! numbers and checksums, and carry the bytes with their times.
//!
//! Clients have addresses from 198.18.0.0, users from 198.19.0.0, targets 203.0.113.1. The server has its own address
//! if that is an IPv4 address, else 192.0.2.1. Bytes that were sent over TLS are in the clear.

mod block;
mod flow;

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use chrono::{DateTime, Utc};
use flow::Flow;

use crate::recording::{End, Kind, What};

/// Writes packets as events come.
#[derive(Debug)]
pub struct Capture<W> {
    out: W,
    began: Duration,
    server: (Ipv4Addr, u16),
    flows: BTreeMap<String, Flow>,
    /// How many connections there were.
    count: usize,
}

/// The control port if none is known.
const PORT: u16 = 10_000;

impl<W: Write> Capture<W> {
    /// Begins a file. `server` is the address that clients connect to.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn new(mut out: W, server: Option<SocketAddr>, began: DateTime<Utc>) -> io::Result<Self> {
        block::head(&mut out)?;
        let host = match server.map(|address| address.ip()) {
            Some(IpAddr::V4(host)) if !host.is_unspecified() => host,
            _ => Ipv4Addr::new(192, 0, 2, 1),
        };
        let micros = u64::try_from(began.timestamp_micros()).unwrap_or(0);
        Ok(Self {
            out,
            began: Duration::from_micros(micros),
            server: (host, server.map_or(PORT, |address| address.port())),
            flows: BTreeMap::new(),
            count: 0,
        })
    }

    /// Writes the packets of an event. The comment of a packet is the connection and the rules that were judged.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn event(
        &mut self,
        at: Duration,
        connection: &str,
        what: &What,
        marks: &[String],
    ) -> io::Result<()> {
        let mut comment = connection.to_owned();
        if !marks.is_empty() {
            comment.push_str(&format!(" [{}]", marks.join(" ")));
        }
        if let What::Open(kind) = what {
            let flow = self.open(kind);
            self.flows.insert(connection.to_owned(), flow);
        }
        let Some(flow) = self.flows.get_mut(connection) else {
            return Ok(());
        };
        let packets = match what {
            What::Open(_) => flow.handshake(),
            What::Bytes(sender, bytes) => flow.data(*sender, bytes),
            What::Ended(sender, End::Fin) => flow.fin(*sender),
            What::Ended(sender, End::Reset) => flow.reset(*sender),
            What::Gone => Vec::new(),
        };
        if *what == What::Gone {
            self.flows.remove(connection);
        }
        for packet in packets {
            block::packet(&mut self.out, self.began + at, &packet, &comment)?;
        }
        Ok(())
    }

    fn open(&mut self, kind: &Kind) -> Flow {
        // Each connection has another address or port, so that Wireshark keeps them apart.
        let (round, port) = (self.count / EPHEMERAL, self.count % EPHEMERAL);
        self.count += 1;
        let [.., high, low] = round.to_be_bytes();
        let port = u16::try_from(port).unwrap_or(0) + FIRST;
        let (user, to) = match kind {
            Kind::Control(_) | Kind::Foreign => (18, self.server),
            Kind::User(port) => (19, (self.server.0, *port)),
            Kind::Target(address) => {
                let port = address
                    .rsplit_once(':')
                    .and_then(|(_, port)| port.parse().ok());
                (18, (Ipv4Addr::new(203, 0, 113, 1), port.unwrap_or(1)))
            }
        };
        Flow::new((Ipv4Addr::new(198, user, high, low), port), to)
    }
}

impl Capture<Vec<u8>> {
    /// The bytes that were written since the last call.
    pub fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.out)
    }
}

/// The first ephemeral port, and how many there are.
const FIRST: u16 = 49_152;
const EPHEMERAL: usize = 16_384;

#[cfg(test)]
mod tests;
