//! Expected noise. It is compared as it arrives, so that neither it nor its pattern is held whole in memory.

use std::time::{Duration, Instant};

use netroxy_specification::noise::Noise;
use netroxy_specification::notation::ast::{Action, Bulk, Expectation, Step};

use super::mismatch::{Mismatch, Seen};
use super::state::Player;
use crate::wire::{State, transfer};

impl Player<'_> {
    /// Waits until this noise has arrived on the connection of the step.
    pub(super) async fn bulk(&mut self, step: &Step, bulk: Bulk) -> Result<(), Mismatch> {
        self.connection(&step.actor)?.resume();
        let window = self.window(step, &[]);
        let total = usize::try_from(bulk.bytes).unwrap_or(usize::MAX);
        let until = match step.within {
            Some(_) => window.until,
            // A transfer takes time. A run with a small time scale does not shorten it.
            None => window.until + transfer(total).mul_f64(self.scale.max(1.0)),
        };
        let begun = Instant::now();
        let inbox = self.connection(&step.actor)?.inbox.clone();
        let mut comparison = Comparison::of(bulk);
        let outcome = inbox.wait(until, |state| comparison.go_on(state)).await;
        let got = comparison.got;
        if got > 0 {
            let came = Expectation::Random(Bulk {
                bytes: u32::try_from(got).unwrap_or(u32::MAX),
                ..bulk
            });
            let came = Action::Expect(came);
            self.transcript.add(&step.actor, came, None);
            comparison
                .came
                .into_iter()
                .for_each(|came| self.transcript.came(came));
        }
        match outcome {
            Some(Ok(())) => {
                self.late_if(comparison.came.is_some_and(|came| window.missed(came)));
                let came = comparison.came;
                let early = came.map_or(Ok(None), |came| window.check(came))?;
                self.early = early.map(|early| early.to_string());
                Ok(())
            }
            Some(Err(why)) => Err(why),
            None => {
                let waited = until.saturating_duration_since(begun);
                Err(self.in_vain(missing(got, total, waited)))
            }
        }
    }
}

fn missing(got: usize, total: usize, waited: Duration) -> Mismatch {
    let waited = waited.as_secs_f64();
    match got {
        0 => format!("nothing in {waited:.1} s; the connection is open"),
        _ => format!("{got} of {total} bytes in {waited:.1} s"),
    }
    .into()
}

/// How much of the expected noise has arrived.
struct Comparison {
    noise: Noise,
    /// The part of the current piece of noise that has not arrived yet.
    rest: Vec<u8>,
    total: usize,
    got: usize,
    /// When the last byte that was right arrived.
    came: Option<Instant>,
}

impl Comparison {
    fn of(bulk: Bulk) -> Self {
        Self {
            noise: Noise::new(bulk.bytes, bulk.seed),
            rest: Vec::new(),
            total: usize::try_from(bulk.bytes).unwrap_or(usize::MAX),
            got: 0,
            came: None,
        }
    }

    /// Takes the bytes that are right. Returns the outcome once all have come, one differs, or the connection has
    /// ended.
    fn go_on(&mut self, state: &mut State) -> Option<Result<(), Mismatch>> {
        while self.got < self.total {
            if self.rest.is_empty() {
                self.rest = self
                    .noise
                    .next_piece()
                    .map(<[u8]>::to_vec)
                    .unwrap_or_default();
            }
            let unread = state.unread();
            let count = unread.len().min(self.rest.len());
            let same = match unread.get(..count) == self.rest.get(..count) {
                true => count,
                false => {
                    let pairs = unread.iter().zip(&self.rest);
                    pairs.take_while(|(got, wanted)| got == wanted).count()
                }
            };
            if same > 0 {
                self.came = state.came(same);
                state.skip(same);
                self.rest.drain(..same);
                self.got += same;
            }
            let (got, total) = (self.got, self.total);
            if same < count {
                return Some(Err(match got {
                    0 => Seen::of(state).into(),
                    _ => format!("byte {got} of {total} differs").into(),
                }));
            }
            if state.unread().is_empty() && got < total {
                let end = Some(state.end.clone()?);
                return Some(Err(match got {
                    0 => Seen::of(state).into(),
                    _ => Mismatch::EndedAfter { got, total, end },
                }));
            }
        }
        Some(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use netroxy_specification::noise::noise;

    use super::*;
    use crate::wire::{End, Inbox};

    fn outcome(pieces: &[&[u8]], end: bool) -> (Option<Result<(), String>>, usize) {
        let inbox = Inbox::default();
        let mut comparison = Comparison::of(Bulk {
            bytes: 100_000,
            seed: 9,
        });
        let mut found = None;
        for piece in pieces {
            assert!(inbox.push(piece));
            found = found.or_else(|| inbox.look(|state| comparison.go_on(state)));
        }
        if end {
            inbox.end(End::Eof);
            found = found.or_else(|| inbox.look(|state| comparison.go_on(state)));
        }
        let found = found.map(|found| found.map_err(|got| got.to_string()));
        (found, inbox.look(|state| state.unread().len()))
    }

    #[test]
    fn noise_may_come_in_any_pieces_and_later_bytes_stay_unread() {
        let wanted = noise(100_000, 9);
        for cut in [0, 1, 32_767, 32_768, 99_999, 100_000] {
            let (first, second) = wanted.split_at(cut);
            let (found, left) = outcome(&[first, second, b"more"], false);
            assert_eq!((found, left), (Some(Ok(())), 4), "{cut}");
        }
        let (found, left) = outcome(&[&wanted[..99_999]], false);
        assert_eq!((found, left), (None, 0));
    }

    #[test]
    fn the_first_wrong_byte_and_an_early_end_are_reported() {
        let mut wanted = noise(100_000, 9);
        wanted[40_000] ^= 1;
        let (found, left) = outcome(&[&wanted], false);
        let told = "byte 40000 of 100000 differs".to_owned();
        assert_eq!((found, left), (Some(Err(told)), 60_000));
        let (found, _) = outcome(&[&wanted[..300]], true);
        let told = "the first 300 of 100000 bytes, then closed (eof)".to_owned();
        assert_eq!(found, Some(Err(told)));
        let (found, _) = outcome(&[b"hello"], false);
        assert_eq!(found, Some(Err("<< \"hello\"".to_owned())));
        let (found, _) = outcome(&[], true);
        assert_eq!(found, Some(Err("closed (eof)".to_owned())));
    }
}
