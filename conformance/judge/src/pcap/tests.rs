use std::time::Duration;

use chrono::DateTime;
use etherparse::{NetSlice, SlicedPacket, TransportSlice};
use netroxy_specification::notation::ast::Transport;

use super::*;
use crate::recording::Sender;

/// The packets of a file and their comments.
fn packets(file: &[u8]) -> Vec<(Vec<u8>, String)> {
    let number = |at: usize| {
        let bytes = file[at..at + 4].try_into().unwrap();
        usize::try_from(u32::from_le_bytes(bytes)).unwrap()
    };
    let mut at = 0;
    let mut found = Vec::new();
    while at < file.len() {
        let length = number(at + 4);
        assert_eq!(number(at + length - 4), length);
        if number(at) == 6 {
            let size = number(at + 20);
            let option = at + 28 + size.next_multiple_of(4);
            let text = number(option) >> 16;
            let comment = file[option + 4..option + 4 + text].to_vec();
            let packet = file[at + 28..at + 28 + size].to_vec();
            found.push((packet, String::from_utf8(comment).unwrap()));
        }
        at += length;
    }
    found
}

#[test]
fn packets_have_right_sequence_numbers_and_checksums() {
    let began = DateTime::from_timestamp_micros(1_700_000_000_123_456).unwrap();
    let server = "127.0.0.1:4000".parse().unwrap();
    let mut capture = Capture::new(Vec::new(), Some(server), began).unwrap();
    let long = vec![b'x'; 3000];
    let events = [
        What::Open(Kind::Control(Transport::Plain)),
        What::Bytes(Sender::Opener, b"SRQ\n".to_vec()),
        What::Bytes(Sender::Acceptor, long.clone()),
        What::Ended(Sender::Acceptor, End::Fin),
        What::Bytes(Sender::Opener, b"SRQ\n".to_vec()),
        What::Ended(Sender::Opener, End::Reset),
        What::Bytes(Sender::Opener, b"never".to_vec()),
    ];
    for (event, at) in events.iter().zip(0_u64..) {
        let marks = ["keep.srs".to_owned()];
        let at = Duration::from_millis(at);
        capture
            .event(at, "ctl", event, &marks[..usize::from(at.as_millis() == 1)])
            .unwrap();
    }
    let packets = packets(&capture.out);
    assert_eq!(packets[3].1, "ctl [keep.srs]");
    assert_eq!(packets[0].1, "ctl");
    let mut sums = [(1_000_u32, 0_usize), (2_000, 0)];
    for (packet, _) in &packets {
        let sliced = SlicedPacket::from_ethernet(packet).unwrap();
        let (Some(NetSlice::Ipv4(ip)), Some(TransportSlice::Tcp(tcp))) =
            (sliced.net, sliced.transport)
        else {
            panic!("no TCP: {packet:?}");
        };
        assert_eq!(
            ip.header().header_checksum(),
            ip.header().to_header().calc_header_checksum()
        );
        let header = tcp.to_header();
        let sum = header
            .calc_checksum_ipv4(&ip.header().to_header(), tcp.payload())
            .unwrap();
        assert_eq!(header.checksum, sum);
        let mine = usize::from(header.source_port == 4000);
        assert_eq!(header.sequence_number, sums[mine].0);
        if header.ack {
            assert_eq!(header.acknowledgment_number, sums[1 - mine].0);
        }
        let extra = u32::from(header.syn || header.fin);
        sums[mine].0 += u32::try_from(tcp.payload().len()).unwrap() + extra;
        sums[mine].1 += tcp.payload().len();
    }
    assert_eq!((sums[0].1, sums[1].1), (8, long.len()));
}
