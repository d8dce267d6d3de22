//! Carries the bytes of tunnels.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::tcp::OwnedWriteHalf;
use tokio::sync::mpsc::unbounded_channel;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::{Bug, chance};

/// How long a side may still read its last bytes after the other side has closed.
const LINGER: Duration = Duration::from_millis(2500);

/// How long a tunnel may be idle, for a bug.
const IDLE: Duration = Duration::from_secs(2);

/// How late a bug is: later than a peer has time for.
const LATE: Duration = Duration::from_secs(3);
/// How long a bug leaves a tunnel open without carrying bytes.
const STANDSTILL: Duration = Duration::from_secs(60);

/// The offset at which some bugs begin, in bytes.
const LATE_OFFSET: usize = 16 << 20;
/// How long one side may be idle, for a bug.
const SILENT: Duration = Duration::from_secs(3);

/// How long a tunnel may be open, for a bug.
const LIFE: Duration = Duration::from_secs(9);

const FOR_EVER: Duration = Duration::from_secs(1 << 30);

/// One end of a tunnel.
pub(crate) struct End<R, W> {
    pub(crate) reader: R,
    pub(crate) writer: W,
    /// The bytes that were already read.
    pub(crate) received: Vec<u8>,
}

/// What the tunnels of a peer share, which only bugs use.
#[derive(Default)]
pub(crate) struct Mixer {
    tunnels: AtomicUsize,
    ever: AtomicUsize,
    carried: AtomicBool,
    chunks: AtomicUsize,
    stray: Mutex<Option<Vec<u8>>>,
    one_at_a_time: tokio::sync::Mutex<()>,
}

impl Mixer {
    /// How many tunnels are open.
    pub(crate) fn tunnels(&self) -> usize {
        self.tunnels.load(Ordering::Relaxed)
    }

    /// How many tunnels were ever open.
    pub(crate) fn ever(&self) -> usize {
        self.ever.load(Ordering::Relaxed)
    }

    /// Waits until no other tunnel has a turn, and takes it.
    pub(crate) async fn turn(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.one_at_a_time.lock().await
    }

    /// Whether a tunnel has carried bytes since the last call.
    pub(crate) fn take_bytes(&self) -> bool {
        self.carried.swap(false, Ordering::Relaxed)
    }
}

/// A write half that can end by a reset.
pub(crate) trait Abort {
    /// Drops this half. The connection ends by a reset when the other half is dropped too.
    fn abort(self);
}

impl Abort for OwnedWriteHalf {
    fn abort(self) {
        // An error means that the connection is already broken.
        let _ = self.as_ref().set_zero_linger();
        // A drop would send a FIN first.
        self.forget();
    }
}

/// Reads until no more bytes come, and keeps at most the first `most` of them, for a bug.
pub(crate) async fn read_early<R: AsyncRead + Unpin>(reader: &mut R, most: usize) -> Vec<u8> {
    let (mut kept, mut piece) = (Vec::new(), vec![0; 64 * 1024]);
    while let Ok(Ok(count @ 1..)) = timeout(CLOSELY, reader.read(&mut piece)).await {
        let room = most - kept.len();
        kept.extend_from_slice(&piece[..count.min(room)]);
    }
    kept
}

/// How long a bug delays bytes.
const HELD: Duration = Duration::from_millis(800);

/// How long [`read_early`] waits for more bytes.
const CLOSELY: Duration = Duration::from_millis(200);

/// Carries bytes between the data connection and the other end until both directions have ended. Returns whether the
/// tunnel broke.
pub(crate) async fn relay<R1, W1, R2, W2>(
    data: End<R1, W1>,
    far: End<R2, W2>,
    bug: Option<Bug>,
    mixer: &Mixer,
) -> bool
where
    R1: AsyncRead + Unpin,
    W1: AsyncWrite + Unpin,
    R2: AsyncRead + Unpin,
    W2: AsyncWrite + Unpin + Abort,
{
    let (data_gone, far_gone) = (CancellationToken::new(), CancellationToken::new());
    let ended = Ends::default();
    let cut = CancellationToken::new();
    let odd = mixer.ever.fetch_add(1, Ordering::Relaxed) % 2 == 1;
    let unlucky = matches!(
        bug,
        Some(Bug::FirstByteLostByChance | Bug::EndsEarlyByChance)
    ) && chance::strikes();
    let unlucky_inwards = unlucky && chance::coin();
    let direction =
        |inwards: bool, source_gone: &CancellationToken, sink_gone: &CancellationToken| Direction {
            bug,
            mixer,
            inwards,
            odd,
            ended: &ended,
            unlucky: unlucky && inwards == unlucky_inwards,
            source_gone: source_gone.clone(),
            sink_gone: sink_gone.clone(),
            cut: cut.clone(),
        };
    let others = mixer.tunnels.fetch_add(1, Ordering::Relaxed);
    let refused = match bug {
        Some(Bug::TunnelsAtMost8) => others >= 8,
        Some(Bug::TunnelsAtMost99) => others >= 99,
        Some(Bug::TunnelsAtMost64) if others >= 64 => {
            tokio::time::sleep(STANDSTILL).await;
            true
        }
        _ => false,
    };
    if refused {
        mixer.tunnels.fetch_sub(1, Ordering::Relaxed);
        return false;
    }
    // Both ends are dropped together after both directions have ended.
    let (mut data_reader, mut data_writer) = (data.reader, data.writer);
    let (mut far_reader, mut far_writer) = (far.reader, far.writer);
    let both = async {
        tokio::join!(
            direction(true, &data_gone, &far_gone).carry(
                &mut data_reader,
                &mut far_writer,
                data.received
            ),
            direction(false, &far_gone, &data_gone).carry(
                &mut far_reader,
                &mut data_writer,
                far.received
            ),
        );
    };
    // Bugs about time also end a tunnel that carries bytes.
    tokio::select! {
        () = both => {}
        () = ended.over(bug) => {
            data_gone.cancel();
            far_gone.cancel();
        }
    }
    mixer.tunnels.fetch_sub(1, Ordering::Relaxed);
    if cut.is_cancelled() {
        far_writer.abort();
    }
    data_gone.is_cancelled() || far_gone.is_cancelled()
}

/// Which directions of a tunnel have ended, for bugs.
#[derive(Default)]
struct Ends {
    /// When the first direction ended, and whether it was that of the data connection.
    first: Mutex<Option<(Instant, bool)>>,
    changed: tokio::sync::Notify,
    /// How many directions of this tunnel have ended.
    count: AtomicUsize,
}

impl Ends {
    /// Notes the end of a direction. Returns how many had ended before.
    fn note(&self, inwards: bool) -> usize {
        let mut first = self.first.lock().unwrap_or_else(PoisonError::into_inner);
        first.get_or_insert_with(|| (Instant::now(), inwards));
        self.changed.notify_waiters();
        self.count.fetch_add(1, Ordering::Relaxed)
    }

    fn first(&self) -> Option<(Instant, bool)> {
        *self.first.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until a bug ends the tunnel.
    async fn over(&self, bug: Option<Bug>) {
        let limit = Duration::from_secs(6);
        let begun = Instant::now();
        if bug == Some(Bug::TunnelLimited) {
            return tokio::time::sleep_until(begun + LIFE).await;
        }
        loop {
            let changed = self.changed.notified();
            match (bug, self.first()) {
                (Some(Bug::HalfCloseLimited), Some((at, _)))
                | (Some(Bug::HalfCloseInwardsLimited), Some((at, true)))
                | (Some(Bug::HalfCloseOutwardsLimited), Some((at, false))) => {
                    return tokio::time::sleep_until(at + limit).await;
                }
                _ => changed.await,
            }
        }
    }
}

/// One direction of a tunnel.
struct Direction<'a> {
    bug: Option<Bug>,
    mixer: &'a Mixer,
    /// From the data connection to the user or target.
    inwards: bool,
    /// Whether this is the second tunnel, the fourth, and so on.
    odd: bool,
    ended: &'a Ends,
    /// Whether a random bug affects this direction.
    unlucky: bool,
    source_gone: CancellationToken,
    sink_gone: CancellationToken,
    /// Cancelled if the source has ended without close_notify: its bytes may be incomplete.
    cut: CancellationToken,
}

impl Direction<'_> {
    fn has(&self, bug: Bug) -> bool {
        self.bug == Some(bug)
    }

    async fn carry<R: AsyncRead + Unpin, W: AsyncWrite + Unpin>(
        self,
        source: &mut R,
        sink: &mut W,
        received: Vec<u8>,
    ) {
        let unbounded = match self.bug {
            Some(Bug::TunnelUnbounded) => true,
            Some(Bug::TunnelUnboundedInwards) => self.inwards,
            Some(Bug::TunnelUnboundedOutwards) => !self.inwards,
            _ => false,
        };
        if unbounded {
            return self.carry_unbounded(source, sink, received).await;
        }
        let idle = match self.bug {
            Some(Bug::TunnelIdleClosed) => IDLE,
            Some(Bug::TunnelIdleClosedLate) => IDLE * 4,
            Some(Bug::DataSilentClosed) if self.inwards => SILENT,
            Some(Bug::FarSilentClosed) if !self.inwards => SILENT,
            _ => FOR_EVER,
        };
        let stall = match self.bug {
            Some(Bug::StalledWriteCloses) => SILENT,
            Some(Bug::StalledWriteClosesLate) => IDLE * 4,
            _ => FOR_EVER,
        };
        let (mut carried, mut chunk) = (0, received);
        loop {
            if self.has(Bug::TunnelEndsAt16Mib) && carried >= LATE_OFFSET {
                return self.both_gone();
            }
            while self.has(Bug::ResetDropsHeld) && (1..1 << 20).contains(&chunk.len()) {
                match timeout(HELD, source.read_buf(&mut chunk)).await {
                    Ok(Ok(1..)) => {}
                    Ok(Err(_)) => chunk.clear(),
                    Ok(Ok(0)) | Err(_) => break,
                }
            }
            if !chunk.is_empty() {
                self.change(&mut chunk, carried);
                carried += chunk.len();
                self.mixer.carried.store(true, Ordering::Relaxed);
                let _turn = match self.bug {
                    Some(Bug::TunnelsTakeTurns | Bug::DialsHoldTunnels) => {
                        Some(self.mixer.turn().await)
                    }
                    _ => None,
                };
                let written = tokio::select! {
                    () = tokio::time::sleep(stall) => return self.both_gone(),
                    written = async { sink.write_all(&chunk).await.is_ok() && sink.flush().await.is_ok() } => written,
                    () = self.sink_gone.cancelled() => false,
                };
                if !written && self.has(Bug::BrokenSinkIgnored) {
                    let mut dropped = Vec::with_capacity(16 * 1024);
                    while let Ok(1..) = source.read_buf(&mut dropped).await {
                        dropped.clear();
                    }
                    return;
                }
                if !written {
                    self.sink_gone.cancel();
                    break;
                }
            }
            if carried > 0 && self.unlucky && self.has(Bug::EndsEarlyByChance) {
                return self.both_gone();
            }
            chunk.clear();
            chunk.reserve(16 * 1024);
            let count = tokio::select! {
                () = self.half_closed_and_quiet() => return self.both_gone(),
                count = timeout(idle, source.read_buf(&mut chunk)) => count,
                () = self.sink_gone.cancelled() => break,
            };
            match count {
                Ok(Ok(0)) => return self.end(sink).await,
                Ok(Ok(_)) => {}
                Ok(Err(error))
                    if error.kind() == io::ErrorKind::UnexpectedEof
                        && !self.has(Bug::TruncationPassed) =>
                {
                    self.cut.cancel();
                    return self.both_gone();
                }
                Ok(Err(_)) => {
                    if !self.has(Bug::ResetNotPassed) {
                        self.source_gone.cancel();
                        let _ = sink.shutdown().await;
                    }
                    return;
                }
                Err(_) => return self.both_gone(),
            }
        }
        if self.cut.is_cancelled() {
            return;
        }
        if self.has(Bug::BreakCutsBoth) || self.closes_at_an_end() {
            return self.both_gone();
        }
        let _ = sink.shutdown().await;
        let until = Instant::now() + LINGER;
        let mut dropped = Vec::with_capacity(16 * 1024);
        while let Ok(Ok(1..)) = timeout_at(until, source.read_buf(&mut dropped)).await {
            dropped.clear();
        }
    }

    /// Reads without a bound, even if the sink does not read.
    async fn carry_unbounded<R: AsyncRead + Unpin, W: AsyncWrite + Unpin>(
        &self,
        source: &mut R,
        sink: &mut W,
        received: Vec<u8>,
    ) {
        let (queue, mut queued) = unbounded_channel();
        let _ = queue.send(received);
        let reading = async {
            loop {
                let mut chunk = Vec::with_capacity(16 * 1024);
                match source.read_buf(&mut chunk).await {
                    Ok(1..) => drop(queue.send(chunk)),
                    _ => break,
                }
            }
            drop(queue);
        };
        let writing = async {
            while let Some(chunk) = queued.recv().await {
                if sink.write_all(&chunk).await.is_err() || sink.flush().await.is_err() {
                    break;
                }
            }
            let _ = sink.shutdown().await;
        };
        tokio::join!(reading, writing);
    }

    /// Waits until a bug ends the tunnel, because this direction is idle after the other one has ended.
    async fn half_closed_and_quiet(&self) {
        let limit = match self.bug {
            Some(Bug::HalfCloseEndsAfterOne) => Duration::from_secs(1),
            Some(Bug::HalfCloseEndsAfterThree) => SILENT,
            _ => FOR_EVER,
        };
        loop {
            let changed = self.ended.changed.notified();
            if self.ended.first().is_some() {
                return tokio::time::sleep(limit).await;
            }
            changed.await;
        }
    }

    /// The source has ended its direction.
    async fn end<W: AsyncWrite + Unpin>(&self, sink: &mut W) {
        let before = self.ended.note(self.inwards);
        match self.bug {
            Some(Bug::SecondEndSwallowed) if before > 0 => self.sink_gone.cancelled().await,
            Some(Bug::EndLate) => {
                let _ = timeout(LATE, self.sink_gone.cancelled()).await;
                let _ = sink.shutdown().await;
            }
            Some(Bug::HalfCloseInwardsCloses) if !self.inwards => drop(sink.shutdown().await),
            Some(Bug::HalfCloseOutwardsCloses) if self.inwards => drop(sink.shutdown().await),
            _ if self.closes_at_an_end() => self.both_gone(),
            // The other direction has a tenth of a second.
            Some(Bug::HalfCloseHurries) => {
                let _ = sink.shutdown().await;
                let _ = timeout(Duration::from_millis(100), self.sink_gone.cancelled()).await;
                self.both_gone();
            }
            // The end is not passed on before the sink has closed.
            Some(Bug::EndSwallowed) => self.sink_gone.cancelled().await,
            Some(Bug::EndSwallowedInwards) if self.inwards => self.sink_gone.cancelled().await,
            Some(Bug::EndSwallowedOutwards) if !self.inwards => self.sink_gone.cancelled().await,
            _ => {
                let _ = sink.shutdown().await;
            }
        }
    }

    /// Whether a bug ends the tunnel when a direction ends.
    fn closes_at_an_end(&self) -> bool {
        matches!(
            self.bug,
            Some(Bug::HalfCloseCloses | Bug::HalfCloseInwardsCloses | Bug::HalfCloseOutwardsCloses)
        )
    }

    fn both_gone(&self) {
        self.source_gone.cancel();
        self.sink_gone.cancel();
    }

    /// Changes a piece of the stream that begins at this offset, as the bug does.
    fn change(&self, chunk: &mut Vec<u8>, offset: usize) {
        let count = self.mixer.chunks.fetch_add(1, Ordering::Relaxed);
        match self.bug {
            Some(Bug::TunnelNulDropped) => chunk.retain(|byte| *byte != 0),
            Some(Bug::TunnelSevenBits) => chunk.iter_mut().for_each(|byte| *byte &= 0x7f),
            Some(Bug::TunnelCrDropped) => chunk.retain(|byte| *byte != b'\r'),
            Some(Bug::TunnelByteLostAtBorder) if offset > 0 && chunk.len() >= 8 * 1024 => {
                chunk.truncate(chunk.len() - 1)
            }
            Some(Bug::TunnelSwapsBytes) if chunk.len() > 1 => chunk.swap(0, 1),
            Some(Bug::TunnelSingleByteTwice) if chunk.len() == 1 => chunk.push(chunk[0]),
            Some(Bug::TunnelLosesAfterMegabyte) if offset >= 1024 * 1024 => {
                chunk.truncate(chunk.len() - 1)
            }
            Some(Bug::TunnelFlipsAt16Mib) if offset <= LATE_OFFSET => {
                if let Some(byte) = chunk.get_mut(LATE_OFFSET - offset) {
                    *byte ^= 1;
                }
            }
            Some(Bug::TunnelLosesInwardsAfter16Mib) if self.inwards && offset >= LATE_OFFSET => {
                chunk.truncate(chunk.len() - 1)
            }
            Some(Bug::TunnelLosesOutwardsAfter16Mib) if !self.inwards && offset >= LATE_OFFSET => {
                chunk.truncate(chunk.len() - 1)
            }
            Some(Bug::TunnelHearsWords) => {
                if let Some(at) = chunk.windows(4).position(|four| four == b"SRQ\n") {
                    drop(chunk.drain(at..at + 4));
                }
            }
            Some(Bug::FirstByteLostByChance) if self.unlucky && offset == 0 => {
                let _lost = chunk.remove(0);
            }
            Some(Bug::TunnelsOddMute) if self.odd && offset == 0 => chunk.clear(),
            Some(Bug::TunnelLosesNowAndThen) if count % 60 == 59 => chunk.clear(),
            Some(Bug::TunnelsMix) if self.mixer.tunnels() > 1 => self.swap(chunk),
            Some(Bug::TunnelsMixNowAndThen)
                if self.mixer.tunnels() > 1 && count.is_multiple_of(20) =>
            {
                self.swap(chunk)
            }
            _ => {}
        }
    }

    /// Exchanges a piece with the last piece of any tunnel.
    fn swap(&self, chunk: &mut Vec<u8>) {
        let mut stray = self
            .mixer
            .stray
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let mine = chunk.clone();
        if let Some(other) = stray.replace(mine) {
            *chunk = other;
        }
    }
}
