//! Limits messages that repeat to 20 of one kind in 10 seconds.
//!
//! A kind is a place in the source. The limit is for warnings, and for messages of level INFO with a field `rule` or
//! the target [`REFUSAL`]: refusals, which strangers can cause as often as they like. Errors, and messages about normal
//! work such as a login or the end of a tunnel, are never suppressed.

use std::collections::HashMap;
use std::fmt::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tracing::callsite::Identifier;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

/// The target of events that are never suppressed.
pub(crate) const ALWAYS: &str = "netroxy_net::always";

/// The target of refusals. Strangers can cause them as often as they like, so at most 20 of a kind are written in 10 s.
pub const REFUSAL: &str = "netroxy_net::refusal";

const ALLOWED: u32 = 20;
const WINDOW: Duration = Duration::from_secs(10);
/// How many characters of a suppressed message are shown.
const LONGEST: usize = 100;

/// Suppresses messages beyond the limit.
pub(super) struct Limiter(Arc<Repeats>);

impl Limiter {
    pub(super) fn new(repeats: Arc<Repeats>) -> Self {
        Self(repeats)
    }
}

impl<S: Subscriber> Layer<S> for Limiter {
    fn event_enabled(&self, event: &Event<'_>, _: Context<'_, S>) -> bool {
        self.0.admit(event, Instant::now())
    }
}

/// How often each kind of message came. There is one entry for each place in the source.
#[derive(Default)]
pub(super) struct Repeats(Mutex<HashMap<Identifier, Kind>>);

struct Kind {
    /// The beginning of the window.
    since: Instant,
    count: u32,
    /// The suppressed messages that are not reported yet, and when to report them.
    suppressed: Option<(Instant, Suppressed)>,
}

/// Suppressed messages of one kind.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Suppressed {
    pub(super) count: u64,
    pub(super) level: Level,
    /// The beginning of the first one.
    pub(super) message: String,
}

fn is_limited(metadata: &Metadata<'_>) -> bool {
    let carries = |name| metadata.fields().field(name).is_some();
    let repeats = match *metadata.level() {
        Level::WARN => true,
        Level::INFO => carries("rule") || metadata.target() == REFUSAL,
        _ => false,
    };
    repeats && metadata.target() != ALWAYS
}

impl Repeats {
    /// Whether the event is to be written. The caller writes it after the lock is released.
    fn admit(&self, event: &Event<'_>, now: Instant) -> bool {
        let metadata = event.metadata();
        if !is_limited(metadata) {
            return true;
        }
        let mut kinds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let kind = kinds.entry(metadata.callsite()).or_insert(Kind {
            since: now,
            count: 0,
            suppressed: None,
        });
        if now.duration_since(kind.since) >= WINDOW {
            (kind.since, kind.count) = (now, 0);
        }
        if kind.count < ALLOWED {
            kind.count += 1;
            return true;
        }
        let due = kind.since + WINDOW;
        let (_, suppressed) = kind.suppressed.get_or_insert_with(|| {
            let suppressed = Suppressed {
                count: 0,
                level: *metadata.level(),
                message: message(event),
            };
            (due, suppressed)
        });
        suppressed.count += 1;
        false
    }

    /// The messages that were suppressed in a window that is over. Each is returned once.
    pub(super) fn over(&self, now: Instant) -> Vec<Suppressed> {
        self.take(|due| due <= now)
    }

    /// All suppressed messages that are not reported yet.
    pub(super) fn all(&self) -> Vec<Suppressed> {
        self.take(|_| true)
    }

    fn take(&self, is_due: impl Fn(Instant) -> bool) -> Vec<Suppressed> {
        let mut kinds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kinds
            .values_mut()
            .filter_map(|kind| kind.suppressed.take_if(|(due, _)| is_due(*due)))
            .map(|(_, suppressed)| suppressed)
            .collect()
    }
}

/// The beginning of the message of an event, without its fields.
fn message(event: &Event<'_>) -> String {
    struct Message(String);

    impl Visit for Message {
        fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
            if field.name() == "message" {
                // Writing to a string cannot fail.
                let _ = write!(self.0, "{value:?}");
            }
        }
    }

    let mut message = Message(String::new());
    event.record(&mut message);
    message.0.chars().take(LONGEST).collect()
}

#[cfg(test)]
mod tests {
    use tracing::{debug, error, info, warn};
    use tracing_subscriber::Registry;
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    /// Counts admitted events, with a clock that the test moves.
    struct Clocked {
        repeats: Arc<Repeats>,
        now: Arc<Mutex<Instant>>,
        admitted: Arc<Mutex<u32>>,
    }

    impl<S: Subscriber> Layer<S> for Clocked {
        fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
            if self.repeats.admit(event, *self.now.lock().unwrap()) {
                *self.admitted.lock().unwrap() += 1;
            }
        }
    }

    struct Rig {
        repeats: Arc<Repeats>,
        now: Arc<Mutex<Instant>>,
        admitted: Arc<Mutex<u32>>,
        _default: tracing::subscriber::DefaultGuard,
    }

    impl Rig {
        fn new() -> Self {
            let repeats = Arc::new(Repeats::default());
            let now = Arc::new(Mutex::new(Instant::now()));
            let admitted = Arc::new(Mutex::new(0));
            let layer = Clocked {
                repeats: repeats.clone(),
                now: now.clone(),
                admitted: admitted.clone(),
            };
            Self {
                repeats,
                now,
                admitted,
                _default: tracing::subscriber::set_default(Registry::default().with(layer)),
            }
        }

        /// How many of `count` events are admitted.
        fn admitted(&self, count: u32, event: impl Fn(u32)) -> u32 {
            *self.admitted.lock().unwrap() = 0;
            (0..count).for_each(event);
            *self.admitted.lock().unwrap()
        }

        fn pass(&self, time: Duration) -> Instant {
            let mut now = self.now.lock().unwrap();
            *now += time;
            *now
        }
    }

    #[test]
    fn only_warnings_and_refusals_are_limited() {
        let rig = Rig::new();
        assert_eq!(rig.admitted(50, |i| warn!(i, "w")), 20);
        assert_eq!(rig.admitted(50, |i| info!(i, rule = "auth.once", "r")), 20);
        assert_eq!(rig.admitted(50, |i| info!(target: REFUSAL, i, "l")), 20);
        assert_eq!(rig.admitted(50, |i| info!(i, "tunnel closed")), 50);
        assert_eq!(rig.admitted(50, |i| error!(i, rule = "x", "e")), 50);
        assert_eq!(rig.admitted(50, |i| debug!(i, rule = "x", "d")), 50);
        assert_eq!(rig.admitted(50, |i| warn!(target: ALWAYS, i, "a")), 50);
        assert_eq!(rig.repeats.all().len(), 3);
    }

    #[test]
    fn suppressed_messages_are_reported_once_after_their_window() {
        let rig = Rig::new();
        let say = |i: u32| warn!(i, "cannot {}", "x".repeat(200));
        assert_eq!(rig.admitted(25, say), 20);
        assert_eq!(rig.repeats.over(rig.pass(WINDOW / 2)), []);
        assert_eq!(rig.admitted(25, say), 0);
        let over = rig.pass(WINDOW / 2);
        // The next window begins before the last one is reported.
        assert_eq!(rig.admitted(5, say), 5);
        let expected = Suppressed {
            count: 30,
            level: Level::WARN,
            message: format!("cannot {}", "x".repeat(93)),
        };
        assert_eq!(rig.repeats.over(over), [expected]);
        assert_eq!(rig.repeats.over(over), []);
        assert_eq!(rig.repeats.all(), []);
    }
}
