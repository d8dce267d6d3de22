//! A hash of everything that the future of a client depends on, for a search that visits each state once.

use core::hash::{Hash, Hasher};
use core::time::Duration;

use super::{Client, STABLE, Session, Timer};

impl Client {
    /// Feeds `hasher` everything that the future depends on, except the random part of later delays.
    /// All outputs must be drained. Times are counted from `now`, so two clients that will behave alike
    /// have the same hash.
    pub fn fingerprint(&self, now: Duration, hasher: &mut impl Hasher) {
        // Every field is named, so that a new one cannot be forgotten here.
        let Self {
            config: _,
            index: _,
            state,
            session,
            reconnect,
            ended_early,
            timers,
            outputs: _,
            taken: _,
        } = self;
        hasher.write_u8(*state as u8);
        hasher.write_u32(reconnect.growth());
        hasher.write_u8(*ended_early);
        if let Some(session) = session {
            let Session {
                timeout,
                token,
                since,
                refused,
            } = session;
            timeout.duration().hash(hasher);
            hasher.write(token.expose());
            now.saturating_sub(*since).min(STABLE).hash(hasher);
            for (port, backoff) in refused {
                (port, backoff.growth()).hash(hasher);
            }
        }
        for (left, timer) in timers.left(now) {
            left.hash(hasher);
            match timer {
                Timer::Connect => 'c'.hash(hasher),
                Timer::Open => 'o'.hash(hasher),
                Timer::Login => 'l'.hash(hasher),
                Timer::Keepalive => 'k'.hash(hasher),
                Timer::Answer => 'a'.hash(hasher),
                Timer::Map(port) => port.hash(hasher),
            }
        }
    }
}
