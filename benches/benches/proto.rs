//! The cost of parsing and encoding messages, next to a lower bound: `memchr` only finds their line feeds.
//!
//!     cargo bench -p netroxy-benches --bench proto
#![allow(clippy::unwrap_used, reason = "an unwrap that fails ends the bench")]

use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use memchr::memchr_iter;
use netroxy_proto::{
    Ars, Ath, ClientMessage, Decoder, Incoming, Limits, Map, Mrs, RemotePort, ServerMessage, Token,
    Trq, Trs,
};

fn main() {
    divan::main();
}

/// A message of each kind, as programs send it.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Ath,
    Map,
    Srq,
    Trs,
    Ars,
    ArsFalse,
    Mrs,
    Trq,
    Srs,
    /// All three texts as long as a line may be.
    LongestAth,
    /// A target as long as a line may be.
    LongestMap,
}

use Kind::{Ars as A, ArsFalse, LongestAth, LongestMap, Mrs as M, Srq, Srs, Trq as Q, Trs as T};

const KINDS: [Kind; 11] = [
    Kind::Ath,
    Kind::Map,
    Srq,
    T,
    A,
    ArsFalse,
    M,
    Q,
    Srs,
    LongestAth,
    LongestMap,
];

/// A message of either peer. The variant names the peer that sends it.
enum Message {
    Client(ClientMessage),
    Server(ServerMessage),
}

impl Kind {
    fn message(self) -> Message {
        let port = RemotePort::try_from(10_003).unwrap().into();
        let longest = [b'x'; 4096];
        let login = |name: &[u8], user: &[u8], password: &[u8]| {
            Message::Client(ClientMessage::Ath(Ath {
                client_name: name.try_into().unwrap(),
                username: user.try_into().unwrap(),
                password: password.try_into().unwrap(),
            }))
        };
        let map = |target: &[u8]| {
            Message::Client(ClientMessage::Map(Map {
                remote_port: port,
                target: target.try_into().unwrap(),
                is_open: true,
            }))
        };
        let token = Token::from_random([0x5A; 16]);
        match self {
            Self::Ath => login(b"office-0123456789ABCDEF", b"alice", b"correct horse"),
            LongestAth => login(&longest, &longest, &longest),
            Self::Map => map(b"127.0.0.1:3389"),
            LongestMap => map(&longest),
            Srq => Message::Client(ClientMessage::Srq),
            T => Message::Client(ClientMessage::Trs(Trs {
                token,
                remote_port: port,
            })),
            A => Message::Server(ServerMessage::Ars(Ars::Accepted {
                timeout: 100.try_into().unwrap(),
                token,
            })),
            ArsFalse => Message::Server(ServerMessage::Ars(Ars::Rejected)),
            M => Message::Server(ServerMessage::Mrs(Mrs {
                remote_port: port,
                is_ok: true,
            })),
            Q => Message::Server(ServerMessage::Trq(Trq { remote_port: port })),
            Srs => Message::Server(ServerMessage::Srs),
        }
    }

    fn bytes(self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.message().encode(&mut bytes);
        bytes
    }
}

impl Message {
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Client(message) => message.encode(out),
            Self::Server(message) => message.encode(out),
        }
    }
}

/// One message in one piece, with no bytes after it.
#[divan::bench_group]
mod message {
    use super::*;

    #[divan::bench(args = KINDS)]
    fn memchr(bencher: Bencher<'_, '_>, kind: Kind) {
        let bytes = kind.bytes();
        bencher
            .counter(BytesCount::of_slice(&bytes))
            .bench_local(|| find(&bytes));
    }

    /// Only the grammar.
    #[divan::bench(args = KINDS)]
    fn parse(bencher: Bencher<'_, '_>, kind: Kind) {
        fn run<I: Incoming>(bencher: Bencher<'_, '_>, bytes: &[u8]) {
            bencher
                .counter(BytesCount::of_slice(bytes))
                .bench_local(|| I::parse(black_box(bytes)).unwrap().unwrap());
        }
        match kind.message() {
            Message::Client(_) => run::<ClientMessage>(bencher, &kind.bytes()),
            Message::Server(_) => run::<ServerMessage>(bencher, &kind.bytes()),
        }
    }

    /// With a new decoder and its buffer, as for a new connection.
    #[divan::bench(args = KINDS)]
    fn decode(bencher: Bencher<'_, '_>, kind: Kind) {
        fn run<I: Incoming>(bencher: Bencher<'_, '_>, bytes: &[u8]) {
            bencher
                .counter(BytesCount::of_slice(bytes))
                .bench_local(|| {
                    let mut decoder = Decoder::<I>::new(Limits::default());
                    decoder.push(black_box(bytes));
                    decoder.next_message().unwrap().unwrap()
                });
        }
        match kind.message() {
            Message::Client(_) => run::<ClientMessage>(bencher, &kind.bytes()),
            Message::Server(_) => run::<ServerMessage>(bencher, &kind.bytes()),
        }
    }

    #[divan::bench(args = KINDS)]
    fn encode(bencher: Bencher<'_, '_>, kind: Kind) {
        let message = kind.message();
        let mut out = kind.bytes();
        bencher.counter(BytesCount::of_slice(&out)).bench_local(|| {
            out.clear();
            black_box(&message).encode(&mut out);
            black_box(out.len())
        });
    }
}

/// Messages without a pause.
#[derive(Debug, Clone, Copy)]
enum Flood {
    /// The shortest message.
    Srq,
    /// ATH, MAP and SRQ in turn.
    Client,
    /// ARS, MRS, TRQ and SRS in turn.
    Server,
    /// MAP with the longest target.
    LongestMap,
}

const FLOODS: [Flood; 4] = [Flood::Srq, Flood::Client, Flood::Server, Flood::LongestMap];

/// The length of a flood in bytes. It is shorter without optimisation.
const MUCH: usize = if cfg!(debug_assertions) { 16 } else { 1024 } * 1024;

impl Flood {
    /// As many whole messages as fit into [`MUCH`] bytes.
    fn bytes(self) -> Vec<u8> {
        let kinds: &[Kind] = match self {
            Self::Srq => &[Srq],
            Self::Client => &[Kind::Ath, Kind::Map, Srq],
            Self::Server => &[A, M, Q, Srs],
            Self::LongestMap => &[LongestMap],
        };
        let turn: Vec<u8> = kinds.iter().flat_map(|kind| kind.bytes()).collect();
        turn.repeat(MUCH / turn.len())
    }
}

/// Decodes bytes in pieces of this size; the result is the number of messages.
fn decode<I: Incoming>(bytes: &[u8], piece: usize) -> usize {
    let mut decoder = Decoder::<I>::new(Limits::default());
    let mut messages = 0;
    for piece in bytes.chunks(piece) {
        decoder.push(black_box(piece));
        while black_box(decoder.next_message().unwrap()).is_some() {
            messages += 1;
        }
    }
    assert_eq!(decoder.buffered(), 0);
    messages
}

/// Finds each line feed. (Counting them would be less work than any parser needs.)
fn find(bytes: &[u8]) {
    for at in memchr_iter(b'\n', black_box(bytes)) {
        black_box(at);
    }
}

/// 1 MiB in pieces of 4,096 bytes, the size of the reads of both programs.
#[divan::bench_group]
mod stream {
    use super::*;

    #[divan::bench(args = FLOODS)]
    fn memchr(bencher: Bencher<'_, '_>, flood: Flood) {
        let bytes = flood.bytes();
        bencher
            .counter(BytesCount::of_slice(&bytes))
            .bench_local(|| bytes.chunks(4096).for_each(find));
    }

    #[divan::bench(args = FLOODS)]
    fn decode(bencher: Bencher<'_, '_>, flood: Flood) {
        let bytes = flood.bytes();
        bencher
            .counter(BytesCount::of_slice(&bytes))
            .bench_local(|| match flood {
                Flood::Server => super::decode::<ServerMessage>(&bytes, 4096),
                _ => super::decode::<ClientMessage>(&bytes, 4096),
            });
    }
}

/// 1 MiB of ATH, MAP and SRQ in turn, in pieces of several sizes.
#[divan::bench_group]
mod pieces {
    use super::*;

    const SIZES: [usize; 5] = [1, 7, 64, 1448, MUCH];

    #[divan::bench(args = SIZES)]
    fn memchr(bencher: Bencher<'_, '_>, size: usize) {
        let bytes = Flood::Client.bytes();
        bencher
            .counter(BytesCount::of_slice(&bytes))
            .bench_local(|| bytes.chunks(size).for_each(find));
    }

    #[divan::bench(args = SIZES)]
    fn decode(bencher: Bencher<'_, '_>, size: usize) {
        let bytes = Flood::Client.bytes();
        bencher
            .counter(BytesCount::of_slice(&bytes))
            .bench_local(|| super::decode::<ClientMessage>(&bytes, size));
    }

    /// The longest valid login.
    #[divan::bench(args = SIZES)]
    fn longest_ath(bencher: Bencher<'_, '_>, size: usize) {
        let bytes = LongestAth.bytes();
        bencher
            .counter(BytesCount::of_slice(&bytes))
            .bench_local(|| super::decode::<ClientMessage>(&bytes, size));
    }
}
