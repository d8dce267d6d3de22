//! The settings of a campaign, and where it saves findings.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use std::{fmt, io};

use netroxy_specification::notation::ast::{Side, Transport};

use crate::run::{Job, Options};
use crate::verdict::Judged;

/// What a campaign plays, and which failures count.
#[derive(Debug, Clone)]
pub struct CampaignSettings {
    /// The judged side.
    pub side: Side,
    /// The transport of all connections.
    pub transport: Transport,
    /// The seed of the first session; the next sessions have the next seeds.
    pub seed: u64,
    /// The number of sessions. If it is set, no seed is skipped.
    pub runs: Option<u64>,
    /// How long new sessions start.
    pub time: Option<Duration>,
    /// How many sessions are played at a time.
    pub jobs: usize,
    /// Whether rules beyond those of the wire profile count.
    pub hardened: bool,
    /// Whether nonstrict behaviour counts.
    pub strict: bool,
    /// Where findings are saved.
    pub out: Arc<dyn FindingStore>,
    /// The factor of every deadline.
    pub time_scale: f64,
}

/// Saves findings, and formats them for the report.
pub trait FindingStore: fmt::Debug + Send + Sync {
    /// The path of a file of this name, for messages.
    fn path(&self, name: &str) -> PathBuf;

    /// Saves a finding in a file of this name.
    ///
    /// # Errors
    /// Why the file cannot be written.
    fn save(&self, name: &str, text: &str) -> io::Result<()>;

    /// The text of a report about a failed session.
    fn report(&self, job: &Job, judged: &Judged, options: Options) -> String;
}
