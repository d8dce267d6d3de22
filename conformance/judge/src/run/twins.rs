//! Twins, each played once for all the cases that lean on it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use netroxy_specification::notation::ast::Transport;
use tokio::sync::OnceCell;

use super::job::Job;
use crate::player::Waited;
use crate::verdict::Judged;

/// How a twin has been judged, and whether it waited in vain.
pub(super) type Control = (Judged, Option<Waited>);

/// The twins of a run.
#[derive(Debug, Default)]
pub(super) struct Twins(Mutex<BTreeMap<Key, Arc<OnceCell<Control>>>>);

/// Subject, twin, transport, round.
type Key = (String, String, Transport, Option<u32>);

impl Twins {
    /// What `play` gives for the twin of a job; the first one who asks plays it, the others wait for that.
    pub(super) async fn get<F: Future<Output = Control>>(
        &self,
        job: &Job,
        name: &str,
        play: impl FnOnce() -> F,
    ) -> Control {
        let key = (
            job.subject.name(),
            name.to_owned(),
            job.transport,
            job.round,
        );
        let cell = {
            let mut cells = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(cells.entry(key).or_default())
        };
        cell.get_or_init(play).await.clone()
    }
}
