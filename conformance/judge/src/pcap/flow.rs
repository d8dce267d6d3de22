//! The packets of one TCP connection.

use std::net::Ipv4Addr;

use etherparse::PacketBuilder;

use crate::recording::Sender;

/// The two sides of a connection.
#[derive(Debug)]
pub(super) struct Flow {
    opener: Peer,
    acceptor: Peer,
    /// Whether there was a reset. No packet follows it.
    over: bool,
}

#[derive(Debug)]
struct Peer {
    address: (Ipv4Addr, u16),
    /// The sequence number of the next byte.
    sequence: u32,
    /// Whether it has ended its direction.
    ended: bool,
}

/// The TCP flags of a packet.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Flag {
    Syn,
    SynAck,
    Ack,
    Push,
    Fin,
    Reset,
}

/// Bytes in a packet, as on an Ethernet.
const SEGMENT: usize = 1460;
const WINDOW: u16 = 65_535;
const HOPS: u8 = 64;

impl Flow {
    pub(super) fn new(opener: (Ipv4Addr, u16), acceptor: (Ipv4Addr, u16)) -> Self {
        let peer = |address, sequence| Peer {
            address,
            sequence,
            ended: false,
        };
        Self {
            opener: peer(opener, 1_000),
            acceptor: peer(acceptor, 2_000),
            over: false,
        }
    }

    pub(super) fn handshake(&mut self) -> Vec<Vec<u8>> {
        let packets = vec![
            self.packet(Sender::Opener, Flag::Syn, &[]),
            self.packet(Sender::Acceptor, Flag::SynAck, &[]),
            self.packet(Sender::Opener, Flag::Ack, &[]),
        ];
        packets.into_iter().flatten().collect()
    }

    /// The packets of these bytes. Each segment is acknowledged at once, so that no window fills.
    pub(super) fn data(&mut self, sender: Sender, bytes: &[u8]) -> Vec<Vec<u8>> {
        let mut packets = Vec::new();
        for segment in bytes.chunks(SEGMENT) {
            packets.extend(self.packet(sender, Flag::Push, segment));
            packets.extend(self.packet(sender.other(), Flag::Ack, &[]));
        }
        packets
    }

    pub(super) fn fin(&mut self, sender: Sender) -> Vec<Vec<u8>> {
        let fin = self.packet(sender, Flag::Fin, &[]);
        let ack = fin
            .as_ref()
            .and_then(|_| self.packet(sender.other(), Flag::Ack, &[]));
        fin.into_iter().chain(ack).collect()
    }

    pub(super) fn reset(&mut self, sender: Sender) -> Vec<Vec<u8>> {
        self.packet(sender, Flag::Reset, &[]).into_iter().collect()
    }

    /// One packet; `None` after a reset, and for bytes or a FIN after a FIN.
    fn packet(&mut self, sender: Sender, flag: Flag, bytes: &[u8]) -> Option<Vec<u8>> {
        let (from, to) = match sender {
            Sender::Opener => (&mut self.opener, &self.acceptor),
            Sender::Acceptor => (&mut self.acceptor, &self.opener),
        };
        let ended = from.ended && matches!(flag, Flag::Push | Flag::Fin);
        if self.over || ended {
            return None;
        }
        let builder = PacketBuilder::ethernet2(mac(sender), mac(sender.other()))
            .ipv4(from.address.0.octets(), to.address.0.octets(), HOPS)
            .tcp(from.address.1, to.address.1, from.sequence, WINDOW);
        let builder = match flag {
            Flag::Syn => builder.syn(),
            Flag::SynAck => builder.syn().ack(to.sequence),
            Flag::Ack => builder.ack(to.sequence),
            Flag::Push => builder.psh().ack(to.sequence),
            Flag::Fin => builder.fin().ack(to.sequence),
            Flag::Reset => builder.rst().ack(to.sequence),
        };
        let takes = match flag {
            Flag::Syn | Flag::SynAck | Flag::Fin => 1,
            Flag::Ack | Flag::Push | Flag::Reset => u32::try_from(bytes.len()).unwrap_or(0),
        };
        from.sequence = from.sequence.wrapping_add(takes);
        from.ended |= flag == Flag::Fin;
        self.over |= flag == Flag::Reset;
        let mut packet = Vec::with_capacity(builder.size(bytes.len()));
        // Writing a short segment to a vector does not fail.
        builder.write(&mut packet, bytes).ok()?;
        Some(packet)
    }
}

fn mac(sender: Sender) -> [u8; 6] {
    [2, 0, 0, 0, 0, 1 + u8::from(sender == Sender::Acceptor)]
}
