//! Logins: tokens, mappings, and what is owed on them.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use netroxy_specification::notation::ast::Transport;

use super::{Monitor, PENDING, REMEMBERED};

/// A port that was answered by false, until it is asked for again in good time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Refusal {
    /// When the first of these answers came. MAPs that follow it closely were under way.
    pub(super) first: Duration,
    /// When the last of them came.
    pub(super) last: Duration,
    /// Whether the client has asked for the port since the last one.
    pub(super) asked_again: bool,
}

/// What ARS true has begun.
#[derive(Debug)]
pub(super) struct Login {
    pub(super) connection: String,
    /// Client name, user name, password.
    pub(super) fields: Vec<Vec<u8>>,
    pub(super) token: Vec<u8>,
    pub(super) timeout: Duration,
    pub(super) since: Duration,
    pub(super) ended: Option<Duration>,
    /// Another one with its names has begun.
    pub(super) replaced: bool,
    /// MAPs that are not answered, in their order.
    pub(super) asked: VecDeque<Asked>,
    /// There were more MAPs at a time than are remembered: how they are answered is not judged any more.
    pub(super) too_many_maps: bool,
    /// The listener on which its token is good.
    pub(super) over: Transport,
    /// What was answered by true, and whether it is open.
    pub(super) mapped: BTreeMap<i64, bool>,
    /// What was answered by false, by port.
    pub(super) refused: BTreeMap<i64, Refusal>,
    /// When each SRQ came that is not answered; whether that was told.
    pub(super) srqs: VecDeque<(Duration, bool)>,
    /// How many more there are than are remembered.
    pub(super) more_srqs: u64,
    /// When each TRQ came that no TRS has answered, by port; whether that was told.
    pub(super) trqs: BTreeMap<i64, VecDeque<(Duration, bool)>>,
    /// There were more TRQs at a time than are remembered: which TRS answers one is not judged any more.
    pub(super) too_many_trqs: bool,
    /// Until when the tap itself has held up what crosses its connection.
    pub(super) held_up: Duration,
    pub(super) last_srq: Duration,
    pub(super) last_srs: Duration,
    /// Since the last of it: the client sends no SRQ, the server does not expire it, the client does not give up.
    pub(super) silence_told: [bool; 3],
}

/// A MAP that is not answered.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) port: i64,
    pub(super) open: bool,
    pub(super) at: Duration,
    pub(super) told: bool,
}

impl Login {
    pub(super) fn new(
        connection: &str,
        fields: Vec<Vec<u8>>,
        token: Vec<u8>,
        timeout: Duration,
        (now, over): (Duration, Transport),
    ) -> Self {
        Self {
            connection: connection.to_owned(),
            fields,
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
            silence_told: [false; 3],
        }
    }

    /// SRQ has come.
    pub(super) fn ask(&mut self, now: Duration) {
        match self.srqs.len() {
            0..PENDING => self.srqs.push_back((now, false)),
            _ => self.more_srqs += 1,
        }
    }

    /// SRS has come; whether it answers an SRQ.
    pub(super) fn answer(&mut self, now: Duration) -> bool {
        let answers = self.srqs.pop_front().is_some();
        if let Some(more) = self.more_srqs.checked_sub(1) {
            // When it came is not remembered.
            self.more_srqs = more;
            self.srqs.push_back((now, false));
        }
        answers
    }

    /// Whether the other one has the same user name and the same client name, which is not empty.
    pub(super) fn is_namesake(&self, fields: &[Vec<u8>]) -> bool {
        let names = |fields: &[Vec<u8>]| fields.get(..2).map(<[Vec<u8>]>::to_vec);
        names(&self.fields) == names(fields) && fields.first().is_some_and(|name| !name.is_empty())
    }
}

impl Monitor {
    /// The login of a control connection.
    pub(super) fn login(&mut self, id: &str) -> Option<&mut Login> {
        let index = self.connections.get(id)?.login?;
        self.logins.get_mut(index.checked_sub(self.forgotten)?)
    }

    /// The login with a number, if it is remembered.
    pub(super) fn numbered(&mut self, number: usize) -> Option<&mut Login> {
        self.logins.get_mut(number.checked_sub(self.forgotten)?)
    }

    /// A login that begins; its number.
    pub(super) fn begin_login(&mut self, login: Login) -> usize {
        // Half of them at once, because the list moves.
        if self.logins.len() >= REMEMBERED
            && self
                .logins
                .iter()
                .take(REMEMBERED / 2)
                .all(|one| one.ended.is_some())
        {
            self.forgotten += REMEMBERED / 2;
            self.logins.drain(..REMEMBERED / 2);
            let forgotten = self.forgotten;
            self.tokens.retain(|_, number| *number >= forgotten);
        }
        let number = self.forgotten + self.logins.len();
        self.tokens.insert(login.token.clone(), number);
        self.logins.push(login);
        number
    }

    /// The control connection has ended, or one of its directions.
    pub(super) fn end_login(&mut self, id: &str) {
        let now = self.now;
        if let Some(login) = self.login(id) {
            login.ended.get_or_insert(now);
        }
    }
}
