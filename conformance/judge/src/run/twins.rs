//! The twins of a run, each played once for all the cases that share it.
//!
//! A case that only expects a refusal would pass against a program that refuses everything. So it has a twin, which
//! differs in one detail and must succeed. The first case that needs a twin plays it; the others wait for its result.
//! Each transport and each round of a repeated run has a twin of its own, because its result depends on both.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use netroxy_specification::notation::ast::Transport;
use tokio::sync::OnceCell;

use super::job::Job;
use crate::player::Waited;
use crate::verdict::Judged;

/// The result of a twin, and the times of its step that was late, if one was.
pub(super) type Control = (Judged, Option<Waited>);

/// The twins of a run.
#[derive(Debug, Default)]
pub(super) struct Twins(Mutex<BTreeMap<Key, Arc<OnceCell<Control>>>>);

/// Subject, twin, transport, round.
type Key = (String, String, Transport, Option<u32>);

impl Twins {
    /// The result of the twin `name` of a job. The first call plays it with `play`; later and concurrent calls wait for
    /// that result.
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
