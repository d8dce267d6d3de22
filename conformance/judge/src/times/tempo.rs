//! The deadlines by which peers are judged: each is a figure of this file, or of the case itself.
//!
//! Each figure is that of a rule. Tests compare the figures with the texts of the rules, and the bounds of cases with
//! the figures. A long deadline costs time only if a program fails, because an event is handled when it arrives. So
//! deadlines are long, and grow with the round trips that were measured on the judged program.

use std::fmt;
use std::time::Duration;

/// A time limit that a rule sets for peers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bound {
    /// The id of the rule.
    #[cfg_attr(
        not(test),
        expect(
            dead_code,
            reason = "it says where the figure comes from, and a test compares them"
        )
    )]
    pub(crate) rule: &'static str,
    /// The figure in the rule.
    pub(crate) seconds: u64,
}

/// What a peer must do at once.
pub(crate) const PROMPT: Bound = bound("time.prompt", 2);

/// The answer to ATH.
pub(crate) const REPLY: Bound = bound("auth.reply-time", 5);

/// TRS after TRQ, and with it the data connection and the one to the target.
pub(crate) const TRS: Bound = bound("tunnel.trs-time", 5);

/// How much longer a client may take if its target does not answer. A target that refuses can take as long.
const DIAL: Bound = bound("tunnel.dial-deadline", 15);

/// The next control connection of a client.
const RECONNECT: Bound = bound("life.reconnect-time", 15);

/// The first message of a connection. The same figure holds for ARS after ATH, and for a target:
/// `auth.client-deadline`, `tunnel.dial-deadline`.
pub(crate) const FIRST_MESSAGE: Bound = bound("auth.deadline", 15);

/// The next MAP after `MRS false`.
pub(crate) const MAP_RETRY: Bound = bound("map.client-retries", 15);

/// The pause before that MAP.
pub(crate) const MAP_PAUSE: Bound = bound("map.retry-pause", 1);

/// The pause of a client after `ARS false`.
pub(crate) const BACK_OFF: Bound = bound("auth.client-backoff", 1);

/// The pause of a client after a control connection that was shorter than this.
pub(crate) const CLIENT_PAUSE: Bound = bound("life.client-pause", 1);

/// The figures that cases judge with bounds of their own, upper or lower ones.
#[cfg(test)]
const OF_CASES: [Bound; 14] = [
    FIRST_MESSAGE,
    bound("auth.deadline-floor", 8),
    bound("auth.client-deadline", 15),
    bound("auth.client-deadline-floor", 8),
    BACK_OFF,
    MAP_RETRY,
    MAP_PAUSE,
    bound("tunnel.user-timeout", 15),
    bound("tunnel.user-patience", 8),
    bound("tunnel.waiting-closed", 2),
    bound("tunnel.refused-close", 2),
    bound("tunnel.dial-patience", 8),
    bound("life.connect-deadline", 15),
    CLIENT_PAUSE,
];

const fn bound(rule: &'static str, seconds: u64) -> Bound {
    Bound { rule, seconds }
}

/// How long a peer may continue to read after its own FIN, so that its last bytes arrive. No rule limits this time.
pub const LINGER: Duration = Duration::from_secs(6);

/// How long `still` is if neither the manifest nor the command line sets it. It reveals idle limits of 2 to 30 seconds.
pub const STILL: Duration = Duration::from_secs(32);

/// The deadlines for a judged program on this machine.
#[derive(Debug, Clone, Copy)]
pub struct Tempo {
    scale: f64,
    at_once: Duration,
    slack: Duration,
    effort: Duration,
}

/// Round trips of the judged program, as measured before the first case.
#[derive(Debug, Clone, Default)]
pub struct RoundTrips {
    /// In ascending order.
    sorted: Vec<Duration>,
}

impl Tempo {
    /// Deadlines without measured round trips. Each is multiplied by `scale`.
    pub fn new(scale: f64) -> Self {
        Self::measured(scale, &RoundTrips::default())
    }

    /// Deadlines for the round trips of the judged program. Each is multiplied by `scale`.
    pub(crate) fn measured(scale: f64, trips: &RoundTrips) -> Self {
        let slowest = trips.percentile(99).unwrap_or_default();
        let floor = PROMPT.time().mul_f64(scale);
        // One slow round trip in twenty must not make each failure last for minutes.
        let at_once = (slowest * TRIPS).clamp(floor, floor * 5);
        Self {
            scale,
            at_once,
            slack: MACHINE.mul_f64(scale) + slowest * 2,
            effort: Duration::ZERO,
        }
    }

    /// Sets the processor time of a start.
    pub(crate) fn with_effort(self, effort: Duration) -> Self {
        Self { effort, ..self }
    }

    /// The processor time of a start of the judged program; zero if it was not measured.
    pub(crate) fn effort(self) -> Duration {
        self.effort
    }

    /// The factor of deadlines that the user has set.
    pub(crate) fn scale(self) -> f64 {
        self.scale
    }

    /// The deadline for what a peer must do at once.
    pub fn at_once(self) -> Duration {
        self.at_once
    }

    /// How long the answer to ATH may take.
    pub(crate) fn reply(self) -> Duration {
        self.grown(REPLY)
    }

    /// How long a client may take to answer TRQ, or to reach a target that listens.
    pub(crate) fn trs(self) -> Duration {
        self.grown(TRS)
    }

    /// How much longer a client may take if its target does not answer.
    pub(crate) fn dial(self) -> Duration {
        DIAL.time().mul_f64(self.scale)
    }

    /// How long a client may take to connect again.
    pub(crate) fn reconnect(self) -> Duration {
        self.grown(RECONNECT)
    }

    /// How long a pair may take to open a tunnel: the server sends TRQ at once, then the client connects.
    pub(crate) fn tunnel(self) -> Duration {
        self.at_once + self.grown(TRS)
    }

    /// The figure, extended by as much as `at_once` is above its minimum.
    fn grown(self, bound: Bound) -> Duration {
        let more = self
            .at_once
            .saturating_sub(PROMPT.time().mul_f64(self.scale));
        bound.time().mul_f64(self.scale) + more
    }

    /// The time that is added to an upper bound of a case: half a second, because the timers of the peer and of the
    /// suite are late on a busy machine, and two round trips, because the suite sees what the peer does later.
    pub(crate) fn slack(self) -> Duration {
        self.slack
    }

    /// The stall of the machine above which a late step is excused: 50 ms (scaled) for a step with a bound of the case,
    /// else a quarter of [`Self::at_once`].
    pub(crate) fn excuse(self, bounded: bool) -> Duration {
        match bounded {
            true => STALL.mul_f64(self.scale.max(1.0)),
            false => self.at_once / 4,
        }
    }
}

impl Bound {
    pub(crate) const fn time(self) -> Duration {
        Duration::from_secs(self.seconds)
    }
}

impl RoundTrips {
    /// Takes the measured times in any order.
    pub fn new(mut trips: Vec<Duration>) -> Self {
        trips.sort_unstable();
        Self { sorted: trips }
    }

    /// All measured times in ascending order.
    pub(crate) fn all(&self) -> &[Duration] {
        &self.sorted
    }

    /// The shortest measured time that `percent` of all times do not exceed; `None` if nothing was measured.
    pub(crate) fn percentile(&self, percent: usize) -> Option<Duration> {
        let rank = (self.sorted.len() * percent).div_ceil(100);
        self.sorted.get(rank.checked_sub(1)?).copied()
    }
}

/// Such as `round trip 0.21 ms, p99 0.80 ms`.
impl fmt::Display for RoundTrips {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = |time: Duration| time.as_secs_f64() * 1000.0;
        match (self.percentile(50), self.percentile(99)) {
            (Some(usual), Some(slowest)) => {
                let (usual, slowest) = (ms(usual), ms(slowest));
                write!(f, "round trip {usual:.2} ms, p99 {slowest:.2} ms")
            }
            _ => f.write_str("round trip not measured"),
        }
    }
}

/// How many of the slowest round trips a peer has for what it must do at once.
const TRIPS: u32 = 50;

/// By how much a timer may be late on a busy machine.
pub(crate) const MACHINE: Duration = Duration::from_millis(500);

/// A stall that is too short to explain a missed bound.
const STALL: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests {
    use netroxy_specification::catalog::{self, Entry};
    use netroxy_specification::notation::ast::{
        Action, Case, Expectation, Line, Low, Step, Within,
    };
    use netroxy_specification::rules;

    use super::*;

    fn trips(ms: &[u64]) -> RoundTrips {
        RoundTrips::new(ms.iter().copied().map(Duration::from_millis).collect())
    }

    #[test]
    fn every_figure_is_in_the_text_of_its_rule() {
        let rules = rules::embedded().unwrap();
        for Bound { rule: id, seconds } in all() {
            let rule = rules.iter().find(|rule| rule.id == id);
            let text = &rule.unwrap_or_else(|| panic!("there is no rule {id}")).text;
            let unit = if seconds == 1 { "second" } else { "seconds" };
            assert!(text.contains(&format!(" {seconds} {unit}")), "{id}: {text}");
        }
    }

    /// A case that is stricter than its rule fails a program that follows the rule.
    #[test]
    fn no_case_is_stricter_than_its_rule() {
        let entries = catalog::embedded().unwrap();
        let mut compared = 0;
        for entry in entries.values() {
            for step in steps(&entry.case) {
                let Some(within) = step.within else { continue };
                for Bound { rule, seconds } in all() {
                    if !step.marks.iter().any(|mark| mark == rule) {
                        continue;
                    }
                    let figure = u32::try_from(seconds * 1000).unwrap();
                    let at = format!(
                        "{}: {}",
                        entry.id,
                        netroxy_specification::notation::print_step(step)
                    );
                    // A rule that forbids an early event sets a lower bound.
                    let floor = FLOORS.contains(&rule);
                    if let (true, Some(Low::Ms(low))) = (floor, within.low) {
                        assert!(low <= figure, "{at}");
                        compared += 1;
                    } else if let (false, Some(high)) = (floor, within.high) {
                        assert!(
                            high >= figure || begun_before(entry, step, figure - high),
                            "{at}"
                        );
                        compared += 1;
                    }
                }
            }
        }
        assert!(compared > 10, "{compared} bounds");
    }

    /// Whether the steps before this one last at least `ms`: an upper bound counts from the last event.
    fn begun_before(entry: &Entry, judged: &Step, ms: u32) -> bool {
        let before = steps(&entry.case).take_while(|step| !std::ptr::eq(*step, judged));
        let silent = |step: &Step| match &step.action {
            Action::OneOf(all) => all
                .iter()
                .any(|one| one.expectation == Expectation::Silence),
            _ => false,
        };
        let lasts = |step: &Step| match (step.within, &step.action) {
            (
                Some(Within {
                    low: Some(Low::Ms(low)),
                    ..
                }),
                _,
            ) => low,
            // If silence is allowed, the next step begins after the bound.
            (
                Some(Within {
                    high: Some(high), ..
                }),
                _,
            ) if silent(step) => high,
            (_, Action::SendEvery(pause, all)) => pause * u32::try_from(all.len()).unwrap(),
            _ => 0,
        };
        before.map(lasts).sum::<u32>() >= ms
    }

    fn steps(case: &Case) -> impl Iterator<Item = &Step> {
        let lines = case.body.iter().flat_map(|line| match line {
            Line::Repeat(repeat) => repeat.body.as_slice(),
            Line::Step(_) | Line::Blank | Line::Comment(_) => std::slice::from_ref(line),
        });
        lines.filter_map(|line| match line {
            Line::Step(step) => Some(step),
            Line::Blank | Line::Comment(_) | Line::Repeat(_) => None,
        })
    }

    /// The rules that set a lower bound.
    const FLOORS: [&str; 7] = [
        "auth.deadline-floor",
        "auth.client-deadline-floor",
        "auth.client-backoff",
        "map.retry-pause",
        "tunnel.user-patience",
        "tunnel.dial-patience",
        "life.client-pause",
    ];

    fn all() -> impl Iterator<Item = Bound> {
        [PROMPT, REPLY, TRS, DIAL, RECONNECT]
            .into_iter()
            .chain(OF_CASES)
    }

    #[test]
    fn percentiles_are_values_that_were_measured() {
        let many = trips(&[5, 1, 4, 2, 3]);
        let ms = |percent| many.percentile(percent).map(|time| time.as_millis());
        assert_eq!((ms(1), ms(50), ms(99)), (Some(1), Some(3), Some(5)));
        assert_eq!(trips(&[]).percentile(50), None);
        assert_eq!(many.all().len(), 5);
    }

    #[test]
    fn deadlines_grow_with_round_trips_up_to_a_maximum() {
        let at_once = |scale, ms: &[u64]| Tempo::measured(scale, &trips(ms)).at_once().as_millis();
        assert_eq!(at_once(1.0, &[]), 2_000);
        assert_eq!(at_once(1.0, &[1, 2]), 2_000);
        assert_eq!(at_once(1.0, &[100]), 5_000);
        assert_eq!(at_once(1.0, &[100_000]), 10_000);
        assert_eq!(at_once(0.5, &[1]), 1_000);
        let slow = Tempo::measured(1.0, &trips(&[100]));
        assert_eq!(
            (slow.reply().as_secs(), slow.reconnect().as_secs()),
            (8, 18)
        );
        let slack = |scale, ms: &[u64]| Tempo::measured(scale, &trips(ms)).slack().as_millis();
        assert_eq!((slack(1.0, &[]), slack(2.0, &[30])), (500, 1_060));
    }
}
