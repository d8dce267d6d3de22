//! Proves that a peer has stopped taking what we send.

use std::time::Instant;

use netroxy_specification::notation::ast::{Action, Expectation};

use super::mismatch::Mismatch;
use super::state::Player;
use crate::note::Note;
use crate::times::{STOPPED_TAKING, TAKEN_POLL};
use crate::wire::transfer;

impl Player<'_> {
    /// Checks that the system has stopped taking our bytes before all were taken, and that the peer still passes a
    /// fence.
    pub(super) async fn stalled(&mut self, name: &str) -> Result<(), Mismatch> {
        let (_, wanted) = self.connection(name)?.progress();
        let until = Instant::now() + self.limit() + transfer(wanted).mul_f64(self.scale);
        let mut taken = self.still(name, until).await?;
        loop {
            self.fence(name).await?;
            let later = self.still(name, until).await?;
            if later == taken {
                break;
            }
            // The peer took more meanwhile, so it was only slow.
            taken = later;
        }
        let note = Some(Note::Taken { taken, wanted });
        self.transcript
            .add(name, Action::Expect(Expectation::Stalled), note);
        Ok(())
    }

    /// Waits until the system has taken nothing for a while. Returns how many bytes it has taken in all.
    ///
    /// # Errors
    /// When it has taken all, or still takes bytes at `until`.
    async fn still(&mut self, name: &str, until: Instant) -> Result<usize, Mismatch> {
        let mut seen = self.connection(name)?.progress();
        let mut since = Instant::now();
        let quiet = STOPPED_TAKING.mul_f64(self.scale.max(1.0));
        while since.elapsed() < quiet {
            let (taken, wanted) = seen;
            if taken == wanted && wanted > 0 {
                return Err(format!("all {wanted} bytes were taken").into());
            }
            if Instant::now() > until {
                let got = format!("{taken} of {wanted} bytes were taken, and still more");
                return Err(self.in_vain(got));
            }
            tokio::time::sleep(TAKEN_POLL).await;
            let now = self.connection(name)?.progress();
            if now != seen {
                (seen, since) = (now, Instant::now());
            }
        }
        Ok(seen.0)
    }
}
