//! Wrong passwords, which shut an address out for some time.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::origin::Origin;

/// The longest penalty of an address.
pub(super) const LONGEST_PENALTY: Duration = Duration::from_secs(600);
/// The most addresses with a penalty. If there are more, the lowest address loses its penalty.
const MOST_PENALTIES: usize = 65_536;

/// The penalties of origins for wrong passwords. Each wrong password adds some seconds.
#[derive(Default)]
pub(super) struct Penalties {
    until: BTreeMap<Origin, Instant>,
    /// When penalties that are over were removed last.
    swept: Option<Instant>,
}

impl Penalties {
    pub(super) fn add(&mut self, origin: Origin, each: Duration, now: Instant) {
        // At most once a second, because many addresses may guess at the same time.
        let is_swept = |at: Instant| now.saturating_duration_since(at) < Duration::from_secs(1);
        if self.until.len() >= MOST_PENALTIES && !self.swept.is_some_and(is_swept) {
            self.until.retain(|_, until| *until > now);
            self.swept = Some(now);
        }
        if self.until.len() >= MOST_PENALTIES {
            self.until.pop_first();
        }
        let until = self.until.get(&origin).copied().unwrap_or(now).max(now);
        self.until
            .insert(origin, (until + each).min(now + LONGEST_PENALTY));
    }

    pub(super) fn left(&self, origin: Origin, now: Instant) -> Duration {
        self.until
            .get(&origin)
            .map_or(Duration::ZERO, |until| until.saturating_duration_since(now))
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::*;

    #[test]
    fn penalties_add_up_to_a_bound_and_end() {
        let (mut penalties, now) = (Penalties::default(), Instant::now());
        let (origin, each) = (
            Origin::of(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1))),
            Duration::from_secs(5),
        );
        for _ in 0..1000 {
            penalties.add(origin, each, now);
        }
        assert_eq!(penalties.left(origin, now), LONGEST_PENALTY);
        let later = now + Duration::from_secs(590);
        assert_eq!(penalties.left(origin, later), Duration::from_secs(10));
        assert_eq!(
            penalties.left(origin, now + LONGEST_PENALTY),
            Duration::ZERO
        );
        for n in 0..70_000_u32 {
            penalties.add(Origin::of(IpAddr::V4(n.into())), each, now);
        }
        assert!(penalties.until.len() <= MOST_PENALTIES);
    }
}
