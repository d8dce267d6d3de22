//! MAP and MRS.

use std::collections::{HashSet, VecDeque};
use std::io;
use std::time::Duration;

use tokio::io::{AsyncWriteExt as _, WriteHalf};
use tokio::time::Instant;

use super::shared::{Ended, LONG, Mapping, SLOW_PAUSE, Shared};
use crate::lines::{Message, Stream, bytes, shaped};
use crate::{Bug, Manner};

/// The pause before a rejected MAP is sent again.
const RETRY: Duration = Duration::from_secs(2);

impl Shared {
    /// The mappings in the order of their MAPs.
    fn order(&self) -> Vec<&Mapping> {
        let mut order: Vec<&Mapping> = self.mappings.iter().collect();
        match self.bug {
            Some(Bug::MapsReversed) => order.reverse(),
            Some(Bug::LastMapMissing) => drop(order.pop()),
            Some(Bug::ClosedMapMissing) => order.retain(|mapping| mapping.open),
            Some(Bug::MapsAtMost50) => order.truncate(50),
            Some(Bug::MapsAtMost64) => order.truncate(64),
            Some(Bug::MapsAtMost99) => order.truncate(99),
            Some(Bug::MapsOnce) if self.past.logins() > 1 => order.clear(),
            Some(Bug::MapsInFourLogins) if self.past.logins() > 4 => order.clear(),
            Some(Bug::HighestPortLost) => order.retain(|mapping| mapping.remote_port < u16::MAX),
            Some(Bug::LowestPortLost) => order.retain(|mapping| mapping.remote_port > 1),
            _ => {}
        }
        // The last one goes first, so no order of the configuration gives the right order by chance.
        if self.manner == Manner::MapsInAnyOrder && !order.is_empty() {
            order.rotate_right(1);
        }
        order
    }

    /// Sends a MAP for each mapping.
    pub(super) async fn send_maps(&self, writer: &mut WriteHalf<Stream>) -> io::Result<()> {
        let order = self.order();
        if self.has(Bug::MapWithoutMappings) && order.is_empty() {
            writer.write_all(b"MAP\n1\nnowhere:1\ntrue\n").await?;
        }
        for mapping in order {
            self.send_map(mapping, writer).await?;
        }
        Ok(())
    }

    async fn send_map(&self, mapping: &Mapping, writer: &mut WriteHalf<Stream>) -> io::Result<()> {
        let open: &[u8] = if mapping.open { b"true" } else { b"false" };
        let plus = if self.has(Bug::IntegerWithPlus) {
            "+"
        } else {
            ""
        };
        let port = format!("{plus}{}", mapping.remote_port);
        let lines: [&[u8]; 4] = [b"MAP", port.as_bytes(), mapping.target.as_bytes(), open];
        if self.has(Bug::MessagesInterleaved) {
            writer.write_all(&bytes(&lines[..2])).await?;
            writer.write_all(b"SRQ\n").await?;
            writer.write_all(&bytes(&lines[2..])).await?;
            return writer.flush().await;
        }
        writer.write_all(&shaped(self.bug, &bytes(&lines))).await?;
        writer.flush().await
    }
}

/// The mappings of a login, and what became of each.
pub(super) struct Maps<'a> {
    shared: &'a Shared,
    /// The mappings whose MAP waits for an earlier MRS.
    held: VecDeque<&'a Mapping>,
    /// The mapping whose MRS the next MAP waits for.
    awaited: Option<&'a Mapping>,
    accepted: HashSet<u16>,
    /// The ports that a bug serves no longer, or whose MAP was rejected.
    dropped: HashSet<u16>,
    /// The ports whose MAP is sent again, and when.
    again: Vec<(Instant, u16)>,
    rejections: u32,
}

impl<'a> Maps<'a> {
    pub(super) fn new(shared: &'a Shared) -> Self {
        Self {
            shared,
            held: VecDeque::new(),
            awaited: None,
            accepted: HashSet::new(),
            dropped: HashSet::new(),
            again: Vec::new(),
            rejections: 0,
        }
    }

    /// Sends the first MAPs of the login.
    pub(super) async fn begin(&mut self, writer: &mut WriteHalf<Stream>) -> io::Result<()> {
        let shared = self.shared;
        if shared.manner == Manner::WaitsForMrs {
            self.held = shared.order().into();
            return self.send_held(writer).await;
        }
        match shared.bug {
            Some(Bug::MapsBeforeArs | Bug::MapsBeforeAth) => Ok(()),
            _ => shared.send_maps(writer).await,
        }
    }

    /// Sends the next MAP that waits.
    async fn send_held(&mut self, writer: &mut WriteHalf<Stream>) -> io::Result<()> {
        self.awaited = self.held.pop_front();
        match self.awaited {
            Some(next) => self.shared.send_map(next, writer).await,
            None => Ok(()),
        }
    }

    /// Handles an MRS of this mapping. Returns how the login ends, if it does.
    pub(super) async fn answered(
        &mut self,
        index: usize,
        mrs: &Message,
        writer: &mut WriteHalf<Stream>,
    ) -> Option<Ended> {
        let shared = self.shared;
        let port = shared.mappings[index].remote_port;
        if self
            .awaited
            .is_some_and(|mapping| mapping.remote_port == port)
            && self.send_held(writer).await.is_err()
        {
            return Some(Ended::Reset);
        }
        if mrs[2] == b"true" {
            self.accepted.insert(port);
            return None;
        }
        if mrs[2] == b"false" && shared.has(Bug::AthAfterFalse) {
            let _ = writer.write_all(&shared.ath()).await;
            let _ = writer.flush().await;
        }
        match shared.bug {
            Some(Bug::RefusedMapCloses) => return Some(Ended::Violation),
            Some(Bug::RefusedMapDropsOthers) => {
                let ports = shared.mappings.iter().map(|mapping| mapping.remote_port);
                self.dropped.extend(ports);
            }
            Some(Bug::AllFalseCloses) => {
                self.dropped.insert(port);
                if self.dropped.len() == shared.mappings.len() {
                    return Some(Ended::Violation);
                }
            }
            Some(Bug::RefusedMapForgotten) => {}
            _ => {
                self.rejections += 1;
                let wait = match shared.bug {
                    None if shared.manner == Manner::Slow => SLOW_PAUSE,
                    Some(Bug::MapsAgainAtOnce) => Duration::ZERO,
                    Some(Bug::MapsAgainAtOnceLater) if self.rejections > 1 => Duration::ZERO,
                    Some(Bug::MapsAgainLate) => Duration::from_secs(18),
                    _ => RETRY,
                };
                self.again.push((Instant::now() + wait, port));
            }
        }
        None
    }

    /// When the next rejected MAP is sent again.
    pub(super) fn retry_at(&self) -> Instant {
        let first = self.again.first();
        first.map_or_else(|| Instant::now() + LONG * 60, |(at, _)| *at)
    }

    /// Sends the next rejected MAP again.
    pub(super) async fn retry(&mut self, writer: &mut WriteHalf<Stream>) {
        let (_, port) = self.again.remove(0);
        let mut mappings = self.shared.mappings.iter();
        if let Some(mapping) = mappings.find(|mapping| mapping.remote_port == port) {
            let _ = self.shared.send_map(mapping, writer).await;
        }
    }

    /// Whether MRS true has come for this mapping.
    pub(super) fn is_accepted(&self, mapping: &Mapping) -> bool {
        self.accepted.contains(&mapping.remote_port)
    }

    /// Whether a bug ignores every TRQ of this mapping.
    pub(super) fn is_dropped(&self, mapping: &Mapping) -> bool {
        self.dropped.contains(&mapping.remote_port) && !self.shared.has(Bug::AllFalseCloses)
    }
}
