//! Long sessions, which wait most of the time: they are played beside the others.

use std::sync::Arc;

use tokio::task::JoinSet;

use super::Plan;
use super::stage::{Played, Stage};

/// Sessions and what has come of them; nothing of one that was interrupted.
type Batch = Vec<(Plan, Option<Played>)>;

/// Long sessions that are being played.
#[derive(Debug, Default)]
pub(super) struct Beside {
    tasks: JoinSet<Batch>,
    /// How many sessions these are.
    sessions: usize,
}

impl Beside {
    /// Begins to play these.
    pub(super) fn play(&mut self, stage: &Arc<Stage>, plans: Vec<Plan>) {
        if plans.is_empty() {
            return;
        }
        self.sessions += plans.len();
        let stage = Arc::clone(stage);
        self.tasks.spawn(async move {
            let played = stage.play(&plans).await;
            plans.into_iter().zip(played).collect()
        });
    }

    /// Some that are over; waits for them while more than `most` are being played.
    pub(super) async fn done(&mut self, most: usize) -> Option<Result<Batch, String>> {
        let done = match self.sessions > most {
            true => self.tasks.join_next().await,
            false => self.tasks.try_join_next(),
        }?;
        let done = done.map_err(|error| format!("the suite panicked: {error}"));
        if let Ok(some) = &done {
            self.sessions -= some.len();
        }
        Some(done)
    }
}
