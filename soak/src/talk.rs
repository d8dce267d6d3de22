//! The dialogue of a user and a service through a tunnel, and how each of them sees the end.
//!
//! The service sends a greeting. The user sends a [`Plan`]. Then each of them sends a stream, in the order of the plan,
//! and ends its direction. Each of them checks every byte of the other one.

use std::time::Duration;
use std::{fmt, io};

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::stream::{Checker, Stream, Wrong, mix};

/// The greeting of a service, its first bytes.
pub(crate) const GREETING: [u8; 8] = *b"welcome\n";

/// If no byte comes or goes for this time, the tunnel hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

const MAGIC: &[u8; 4] = b"SOAK";

/// Which stream goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// Both at the same time.
    Both,
    /// The service sends its stream after the end of the user's stream.
    UserFirst,
    /// The user sends its stream after the end of the service's stream.
    ServiceFirst,
    /// The service sends back what it receives.
    Echo,
}

/// The plan of a tunnel, which the user sends to the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Plan {
    /// The number of the tunnel, unique in a run.
    pub(crate) id: u64,
    /// The seed of both streams.
    pub(crate) seed: u64,
    /// Bytes of the user's stream.
    pub(crate) up: u64,
    /// Bytes of the service's stream. With [`Order::Echo`] it is not used.
    pub(crate) down: u64,
    /// Which stream goes first.
    pub(crate) order: Order,
    /// After how many bytes of both directions the service resets the connection; `u64::MAX` is never.
    pub(crate) service_resets: u64,
}

impl Plan {
    /// The length of an encoded plan in bytes.
    pub(crate) const SIZE: usize = 48;

    /// The stream of the user.
    pub(crate) fn upload(&self) -> Stream {
        Stream {
            seed: mix(self.seed),
            body: self.up,
        }
    }

    /// The stream of the service.
    pub(crate) fn download(&self) -> Stream {
        match self.order {
            Order::Echo => self.upload(),
            _ => Stream {
                seed: mix(!self.seed),
                body: self.down,
            },
        }
    }

    /// Encodes the plan. Three of its bytes are a checksum of the others.
    pub(crate) fn encode(&self) -> [u8; Self::SIZE] {
        let mut bytes = [0; Self::SIZE];
        let order = match self.order {
            Order::Both => 0,
            Order::UserFirst => 1,
            Order::ServiceFirst => 2,
            Order::Echo => 3,
        };
        bytes[..4].copy_from_slice(MAGIC);
        bytes[4] = order;
        let numbers = [self.id, self.seed, self.up, self.down, self.service_resets];
        for (i, number) in numbers.into_iter().enumerate() {
            bytes[8 + 8 * i..16 + 8 * i].copy_from_slice(&number.to_le_bytes());
        }
        bytes[5..8].copy_from_slice(&sum(&numbers));
        bytes
    }

    /// Decodes a plan; `None` if the bytes are no encoded plan.
    pub(crate) fn decode(bytes: &[u8; Self::SIZE]) -> Option<Self> {
        let number = |i: usize| {
            let mut word = [0; 8];
            word.copy_from_slice(&bytes[8 + 8 * i..16 + 8 * i]);
            u64::from_le_bytes(word)
        };
        let plan = Self {
            id: number(0),
            seed: number(1),
            up: number(2),
            down: number(3),
            service_resets: number(4),
            order: match bytes[4] {
                0 => Order::Both,
                1 => Order::UserFirst,
                2 => Order::ServiceFirst,
                3 => Order::Echo,
                _ => return None,
            },
        };
        (plan.encode() == *bytes).then_some(plan)
    }
}

fn sum(numbers: &[u64]) -> [u8; 3] {
    let sum = numbers
        .iter()
        .fold(0x50AC, |sum: u64, n| mix(sum.rotate_left(5) ^ n));
    let bytes = sum.to_le_bytes();
    [bytes[0], bytes[1], bytes[2]]
}

/// How one side of a tunnel saw it end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum End {
    /// All bytes and the end of the other side arrived, and all bytes of this side were taken.
    Complete,
    /// This side reset the connection.
    Reset,
    /// It ended before the first byte, in order or by an error.
    Empty,
    /// It broke with an error.
    Aborted(io::ErrorKind),
    /// It did something that a tunnel must never do.
    Fault(Fault),
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Complete => f.write_str("complete"),
            Self::Reset => f.write_str("reset by this side"),
            Self::Empty => f.write_str("ended without a byte"),
            Self::Aborted(kind) => write!(f, "aborted: {kind}"),
            Self::Fault(fault) => write!(f, "fault: {fault}"),
        }
    }
}

/// What a tunnel must never do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The greeting or the plan has a wrong byte.
    Opening,
    /// The greeting or the plan ended in order after so many bytes.
    OpeningCut(usize),
    /// The stream is wrong.
    Stream(Wrong),
    /// Nothing came and nothing was taken for [`PATIENCE`].
    Hangs,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Opening => f.write_str("the first bytes are not those that were sent"),
            Self::OpeningCut(got) => write!(
                f,
                "the first bytes ended in order after {got}: a part that looks like the whole"
            ),
            Self::Stream(wrong) => wrong.fmt(f),
            Self::Hangs => write!(f, "it hangs: nothing moved for {} s", PATIENCE.as_secs()),
        }
    }
}

/// Reads `N` bytes.
pub(crate) async fn opening<const N: usize>(tcp: &mut TcpStream) -> Result<[u8; N], End> {
    let mut bytes = [0; N];
    let mut got = 0;
    while got < N {
        match timeout(PATIENCE, tcp.read(&mut bytes[got..])).await {
            Err(_) => return Err(End::Fault(Fault::Hangs)),
            Ok(Ok(0)) if got == 0 => return Err(End::Empty),
            Ok(Ok(0)) => return Err(End::Fault(Fault::OpeningCut(got))),
            Ok(Ok(count)) => got += count,
            Ok(Err(_)) if got == 0 => return Err(End::Empty),
            Ok(Err(error)) => return Err(End::Aborted(error.kind())),
        }
    }
    Ok(bytes)
}

/// The part of one side in the plan.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Manner {
    /// What it sends.
    pub(crate) outgoing: Stream,
    /// What it should receive.
    pub(crate) incoming: Stream,
    /// When it sends.
    pub(crate) when: When,
    /// After how many bytes of both directions it resets the connection.
    pub(crate) resets: u64,
    /// The seed of the sizes and pauses of its writes.
    pub(crate) seed: u64,
}

/// When a side sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    /// At once.
    Now,
    /// After the end of the incoming stream.
    Last,
    /// Each byte after it was received.
    Echo,
}

/// Sends and receives until both directions have ended, then closes.
pub(crate) async fn streams(mut tcp: TcpStream, manner: Manner) -> End {
    let (reader, writer) = tcp.split();
    let (arrived, progress) = watch::channel((0, false));
    let (sent, sent_too) = watch::channel(0);
    let receive = receive(reader, manner, &arrived, &sent_too);
    let send = send(writer, manner, progress, &sent);
    let end = match tokio::try_join!(receive, send) {
        Ok(_) => End::Complete,
        Err(end) => end,
    };
    if end == End::Reset {
        reset(&tcp);
    }
    end
}

/// Makes the close of a connection a reset.
pub(crate) fn reset(tcp: &TcpStream) {
    // It fails only if the connection is already broken.
    let _ = SockRef::from(tcp).set_linger(Some(Duration::ZERO));
}

async fn receive(
    mut reader: impl AsyncRead + Unpin,
    manner: Manner,
    arrived: &watch::Sender<(u64, bool)>,
    sent: &watch::Receiver<u64>,
) -> Result<(), End> {
    let mut checker = Checker::new(manner.incoming);
    let mut buffer = vec![0; 16 * 1024];
    let mut last = *sent.borrow();
    loop {
        if checker.offset() + *sent.borrow() >= manner.resets {
            return Err(End::Reset);
        }
        let count = match timeout(PATIENCE, reader.read(&mut buffer)).await {
            Ok(Ok(count)) => count,
            Ok(Err(error)) => return Err(End::Aborted(error.kind())),
            // No time-out while the other direction goes on.
            Err(_) if std::mem::replace(&mut last, *sent.borrow()) != *sent.borrow() => continue,
            Err(_) => return Err(End::Fault(Fault::Hangs)),
        };
        let judged = match count {
            0 => checker.end(),
            _ => checker.take(&buffer[..count]),
        };
        judged.map_err(|wrong| End::Fault(Fault::Stream(wrong)))?;
        arrived.send_replace((checker.offset(), count == 0));
        if count == 0 {
            return Ok(());
        }
    }
}

async fn send(
    mut writer: impl AsyncWrite + Unpin,
    manner: Manner,
    mut progress: watch::Receiver<(u64, bool)>,
    sent: &watch::Sender<u64>,
) -> Result<(), End> {
    let mut random = fastrand::Rng::with_seed(manner.seed);
    let mut buffer = Vec::new();
    let mut offset = 0;
    if manner.when == When::Last && progress.wait_for(|(_, ended)| *ended).await.is_err() {
        return Ok(());
    }
    let total = manner.outgoing.total();
    while offset < total {
        let may = match manner.when {
            When::Now | When::Last => total,
            When::Echo => match progress.wait_for(|(got, _)| *got > offset).await {
                Ok(got) => got.0,
                // The receiver returns the reason.
                Err(_) => return Ok(()),
            },
        };
        let got = progress.borrow().0;
        let before_reset = manner.resets.saturating_sub(offset + got);
        if before_reset == 0 {
            return Err(End::Reset);
        }
        let size = (may - offset)
            .min(random.u64(1..=32 * 1024))
            .min(before_reset);
        buffer.resize(usize::try_from(size).unwrap_or(1), 0);
        let count = manner.outgoing.fill(offset, &mut buffer);
        let mut rest = &buffer[..count];
        while !rest.is_empty() {
            match timeout(PATIENCE, writer.write(rest)).await {
                Ok(Ok(taken)) => {
                    rest = rest.get(taken..).unwrap_or_default();
                    offset += taken as u64;
                    sent.send_replace(offset);
                }
                Ok(Err(error)) => return Err(End::Aborted(error.kind())),
                Err(_) => return Err(End::Fault(Fault::Hangs)),
            }
        }
        if random.u8(..) < 8 {
            sleep(Duration::from_millis(random.u64(1..30))).await;
        }
    }
    match writer.shutdown().await {
        Ok(()) => Ok(()),
        Err(error) => Err(End::Aborted(error.kind())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_is_decoded_and_each_changed_byte_is_detected() {
        let plan = Plan {
            id: 7,
            seed: u64::MAX,
            up: 1 << 40,
            down: 3,
            order: Order::Echo,
            service_resets: 9,
        };
        let bytes = plan.encode();
        assert_eq!(Plan::decode(&bytes), Some(plan));
        for at in 0..Plan::SIZE {
            let mut bytes = bytes;
            bytes[at] ^= 0x40;
            assert_eq!(Plan::decode(&bytes), None, "byte {at}");
        }
    }
}
