//! Long sessions that are played at the same time as the others, because they wait for most of their time.

use std::sync::Arc;

use tokio::task::{JoinError, JoinSet};

use super::plan::Plan;
use super::runner::{PlayedSession, Runner};

/// Sessions and their results. The result of an interrupted session is `None`.
type PlayedPlans = Vec<(Plan, Option<PlayedSession>)>;

/// The long sessions that are being played.
#[derive(Debug, Default)]
pub(super) struct LongSessions {
    tasks: JoinSet<PlayedPlans>,
    /// How many sessions the tasks play.
    sessions: usize,
}

impl LongSessions {
    /// Starts to play these sessions.
    pub(super) fn start(&mut self, runner: &Arc<Runner>, plans: Vec<Plan>) {
        if plans.is_empty() {
            return;
        }
        self.sessions += plans.len();
        let runner = Arc::clone(runner);
        self.tasks.spawn(async move {
            let played = runner.play(&plans).await;
            plans.into_iter().zip(played).collect()
        });
    }

    /// Some sessions that have ended. Waits for them while more than `most` are being played, else returns `None` if
    /// none have ended.
    ///
    /// # Errors
    /// A task has panicked.
    pub(super) async fn ended(&mut self, most: usize) -> Option<Result<PlayedPlans, JoinError>> {
        let ended = match self.sessions > most {
            true => self.tasks.join_next().await,
            false => self.tasks.try_join_next(),
        }?;
        if let Ok(some) = &ended {
            self.sessions -= some.len();
        }
        Some(ended)
    }
}
