//! What the monitor knows of a login: its token, its mappings, and which messages have no answer yet.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use netroxy_specification::message::{FieldName, value};
use netroxy_specification::notation::ast::Transport;

/// How many unanswered messages of one word are remembered on a connection.
pub(super) const PENDING: usize = 1_000;

/// A port that was answered by `MRS false`, until a MAP asks for it again in time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Refusal {
    /// When the first `MRS false` came. A MAP that follows it closely was sent before.
    pub(super) first: Duration,
    /// When the last one came.
    pub(super) last: Duration,
    /// Whether a MAP for the port has come since the last one.
    pub(super) asked_again: bool,
}

/// A login: `ARS true` begins it.
#[derive(Debug)]
pub(super) struct Login {
    pub(super) connection: String,
    /// The lines of its ATH.
    pub(super) ath: Vec<Vec<u8>>,
    pub(super) token: Vec<u8>,
    pub(super) timeout: Duration,
    pub(super) since: Duration,
    pub(super) ended: Option<Duration>,
    /// Whether another login with its client name and username has begun.
    pub(super) replaced: bool,
    /// The MAPs that are not answered, in their order.
    pub(super) asked: VecDeque<Asked>,
    /// More MAPs were unanswered than are remembered. From then on their answers are not judged.
    pub(super) too_many_maps: bool,
    /// The listener on which its token is valid.
    pub(super) over: Transport,
    /// The ports answered by `MRS true`, and whether each mapping is open.
    pub(super) mapped: BTreeMap<i64, bool>,
    /// The ports answered by `MRS false`.
    pub(super) refused: BTreeMap<i64, Refusal>,
    /// When each unanswered SRQ came, and whether it was reported.
    pub(super) srqs: VecDeque<(Duration, bool)>,
    /// How many more SRQ are unanswered than are remembered.
    pub(super) more_srqs: u64,
    /// When each unanswered TRQ came, by port, and whether it was reported.
    pub(super) trqs: BTreeMap<i64, VecDeque<(Duration, bool)>>,
    /// More TRQs were unanswered than are remembered. From then on a TRS without a TRQ is not reported.
    pub(super) too_many_trqs: bool,
    /// Until when the tap held up its connection.
    pub(super) held_up: Duration,
    pub(super) last_srq: Duration,
    pub(super) last_srs: Duration,
    /// What was reported since the last SRQ or SRS: the client sends no SRQ; the server does not expire the login; the
    /// client does not give up.
    pub(super) silence_reported: [bool; 3],
}

/// A MAP that is not answered.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) port: i64,
    pub(super) open: bool,
    pub(super) at: Duration,
    pub(super) reported: bool,
}

impl Login {
    pub(super) fn new(
        connection: &str,
        ath: Vec<Vec<u8>>,
        token: Vec<u8>,
        timeout: Duration,
        (now, over): (Duration, Transport),
    ) -> Self {
        Self {
            connection: connection.to_owned(),
            ath,
            token,
            timeout,
            since: now,
            ended: None,
            replaced: false,
            asked: VecDeque::new(),
            too_many_maps: false,
            over,
            mapped: BTreeMap::new(),
            refused: BTreeMap::new(),
            srqs: VecDeque::new(),
            more_srqs: 0,
            trqs: BTreeMap::new(),
            too_many_trqs: false,
            held_up: now,
            last_srq: now,
            last_srs: now,
            silence_reported: [false; 3],
        }
    }

    /// An SRQ has come.
    pub(super) fn ask(&mut self, now: Duration) {
        match self.srqs.len() {
            0..PENDING => self.srqs.push_back((now, false)),
            _ => self.more_srqs += 1,
        }
    }

    /// An SRS has come; whether it answers an SRQ.
    pub(super) fn answer(&mut self, now: Duration) -> bool {
        let answers = self.srqs.pop_front().is_some();
        if let Some(more) = self.more_srqs.checked_sub(1) {
            // The time of this SRQ is not remembered.
            self.more_srqs = more;
            self.srqs.push_back((now, false));
        }
        answers
    }

    /// Whether another ATH has the same username and the same client name, which is not empty.
    pub(super) fn is_namesake(&self, ath: &[Vec<u8>]) -> bool {
        let same = |name| value(&self.ath, name) == value(ath, name);
        let named = value(ath, FieldName::ClientName).is_some_and(|name| !name.is_empty());
        named && same(FieldName::ClientName) && same(FieldName::Username)
    }
}
