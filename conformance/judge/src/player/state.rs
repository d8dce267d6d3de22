//! The state of a player during a case, and its outcome.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use netroxy_specification::notation::ast::Step;
use tokio::sync::mpsc::UnboundedSender;

use super::kept::Kept;
use super::mismatch::{Expected, Mismatch};
use super::newcomers::Newcomers;
use super::scene::{ClientScene, Scene};
use super::turns::Turns;
use crate::skip::Skip;
use crate::times::{STILL, Tempo};
use crate::transcript::{self, Transcript};
use crate::wire::{Connection, Tls};

/// The outcome of a case.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// The step that did not come true, if any.
    pub(crate) broken: Option<Broken>,
    /// Alternatives that are allowed but not recommended.
    pub(crate) remarks: Vec<Remark>,
    /// The rules of the steps that have been judged, whether they came true or not.
    pub(crate) judged_rules: BTreeSet<String>,
    /// Everything that has happened.
    pub(crate) transcript: Transcript,
    /// The wait of the last step for which something came too late or not at all; `None` if the case passed without
    /// remarks.
    pub(crate) waited: Option<Waited>,
    /// The surroundings of a client after the case; `None` for a server or a pair.
    pub(crate) left: Option<Left>,
    /// Why the case does not apply to this peer.
    pub(crate) skip: Option<Skip>,
}

/// The wait of a step.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Waited {
    /// When its clock started.
    pub(crate) from: Instant,
    /// When it ended.
    pub(crate) until: Instant,
    /// Whether the case has an upper bound for it.
    pub(crate) bounded: bool,
}

/// The surroundings of a client after its case.
#[derive(Debug)]
pub(crate) struct Left {
    /// Where it can connect again.
    pub(crate) scene: ClientScene,
    /// The connections that the case has not closed.
    pub(crate) connections: Vec<Connection>,
}

/// A step that did not come true.
#[derive(Debug, Clone)]
pub struct Broken {
    /// In the case file, counted from 1.
    pub line: usize,
    /// The rules that it judges; none for a step that only prepares others.
    pub marks: Vec<String>,
    /// What had to come true.
    pub expected: Expected,
    /// What was seen instead.
    pub got: Mismatch,
}

/// A nonstrict alternative that was seen.
#[derive(Debug, Clone)]
pub struct Remark {
    /// In the case file, counted from 1.
    pub line: usize,
    /// The rules of its step.
    pub marks: Vec<String>,
    /// What was seen.
    pub seen: String,
}

/// Plays one case in one scene.
#[derive(Debug)]
pub(crate) struct Player<'a> {
    pub(super) scene: Scene<'a>,
    pub(super) tls: Tls,
    pub(super) tempo: Tempo,
    pub(super) scale: f64,
    pub(super) vars: BTreeMap<String, Vec<u8>>,
    pub(super) actors: BTreeMap<String, Actor>,
    pub(super) transcript: Transcript,
    pub(super) remarks: Vec<Remark>,
    pub(super) judged_rules: BTreeSet<String>,
    /// When we did something last, on any connection.
    pub(super) last_sent: Instant,
    /// Whether we have done anything at all.
    pub(super) acted: bool,
    /// How long `still` is.
    pub(super) still: Duration,
    /// The extra time that a client may take to answer the last TRQ, because the target does not answer or refuses.
    pub(super) dial: Duration,
    /// The lines of the case on which a control connection of the client is accepted.
    pub(super) control: BTreeSet<usize>,
    /// When anything happened last, on any connection.
    pub(super) last_event: Instant,
    /// The remote ports that a fence can use: the client has sent MAP for them, the mapping is open, its target
    /// listens, and we have not refused it. Those that we have granted come first.
    pub(super) fence_ports: Vec<Vec<u8>>,
    /// The wait of the current step.
    pub(super) clock: Waited,
    /// Whether the current step has waited for something that did not come.
    pub(super) missing: bool,
    /// The last step for which something did not come, or came too late.
    pub(super) in_vain: Option<Waited>,
    /// What `$nth_port` is in each turn of a block.
    pub(super) nth_ports: Vec<u16>,
    /// What `repeat kept` keeps of the turns of blocks.
    pub(super) turns: Turns,
    /// The remark of a step that has come true, for example before its lenient lower bound.
    pub(super) early: Option<String>,
    /// Whether a step waited for an orderly end of a TLS connection, and a FIN without close_notify came.
    pub(super) cut: bool,
    /// Whether the case ends one direction of a tunnel and goes on with the other.
    pub(super) half_closes: bool,
    /// Values that must not be guessable, in the order in which they came.
    pub(super) secrets: Vec<Vec<u8>>,
    /// Why the case does not apply to this peer, if a step found that out.
    pub(super) skip: Option<Skip>,
    /// Connections that a client has opened and on which it has sent nothing yet.
    pub(super) newcomers: Newcomers,
    /// When a connection of the client was last accepted; `None` before the first.
    pub(super) let_in: Option<Instant>,
}

/// A connection that takes part.
#[derive(Debug)]
pub(super) struct Actor {
    /// `None` once we have closed it.
    pub(super) connection: Option<Connection>,
    /// A control connection on which a login has succeeded.
    pub(super) logged_in: bool,
    /// Whether it leads to a TLS port, without TLS.
    pub(super) bare: bool,
    /// Words of messages that are passed over.
    pub(super) ignored: Vec<String>,
    /// When anything happened on it last.
    pub(super) last_event: Instant,
    /// When it was opened.
    pub(super) begun: Instant,
    /// When it was opened, if it was accepted although the client had sent nothing on it: the wait of the next step
    /// counts from then.
    pub(super) mute_since: Option<Instant>,
    /// The timeout that ARS announced.
    pub(super) timeout: Option<Duration>,
    /// Set by `keep`.
    pub(super) kept: Option<Kept>,
    /// The extra time that a client may take on it, because its target does not answer or refuses.
    pub(super) dial: Duration,
}

impl<'a> Player<'a> {
    /// A player before its case; `tempo` says how long things may take.
    pub(crate) fn new(
        scene: Scene<'a>,
        tls: &Tls,
        tempo: Tempo,
        vars: BTreeMap<String, Vec<u8>>,
    ) -> Self {
        let now = Instant::now();
        let (actors, mut transcript) = (BTreeMap::new(), Transcript::start());
        transcript.add_names(vars.clone());
        if let Some(server) = scene.server() {
            transcript.meets(server);
        }
        let (last_sent, last_event) = (now, now);
        let (remarks, fence_ports) = (Vec::new(), Vec::new());
        let judged_rules = BTreeSet::new();
        Self {
            scene,
            tls: tls.clone(),
            tempo,
            scale: tempo.scale(),
            vars,
            actors,
            transcript,
            remarks,
            judged_rules,
            last_sent,
            last_event,
            acted: false,
            still: STILL,
            dial: Duration::ZERO,
            control: BTreeSet::new(),
            fence_ports,
            clock: Waited {
                from: now,
                until: now,
                bounded: false,
            },
            missing: false,
            in_vain: None,
            nth_ports: Vec::new(),
            turns: Turns::default(),
            early: None,
            cut: false,
            half_closes: false,
            secrets: Vec::new(),
            skip: None,
            newcomers: Newcomers::default(),
            let_in: None,
        }
    }

    /// The remote ports that `$nth_port` names, one for each turn of a block.
    pub(crate) fn with_nth_ports(mut self, ports: Vec<u16>) -> Self {
        let numbered = ports.iter().zip(1..);
        let names = numbered.map(|(port, n)| (format!("nth_port{n}"), port.to_string().into()));
        self.transcript.add_names(names);
        self.nth_ports = ports;
        self
    }

    /// Sets how long `still` is.
    pub(crate) fn standing_still(mut self, still: Duration) -> Self {
        self.still = still;
        self
    }

    /// Sends each line of the transcript to `lines` too, when it happens.
    pub(crate) fn telling(mut self, lines: Option<UnboundedSender<transcript::Line>>) -> Self {
        self.transcript.tell(lines);
        self
    }

    /// The wait of a step begins at the last event if it has an upper bound, else now.
    pub(super) fn clock_of(&self, step: &Step) -> Waited {
        let actor = self.actors.get(&step.actor);
        let event = actor.map_or(self.last_event, |actor| actor.last_event);
        let bounded = step.within.is_some_and(|within| within.high.is_some());
        let from = match actor.and_then(|actor| actor.mute_since) {
            Some(mute_since) => mute_since,
            None if bounded => event,
            None => Instant::now(),
        };
        Waited {
            from,
            until: from,
            bounded,
        }
    }

    /// Notes that what the current step waits for has not come, and returns the mismatch.
    pub(super) fn in_vain(&mut self, got: impl Into<Mismatch>) -> Mismatch {
        self.late_if(true);
        self.missing = true;
        got.into()
    }

    /// If `late`, notes how long the current step waited for what has not come, or has come too late.
    pub(super) fn late_if(&mut self, late: bool) {
        if late {
            self.in_vain = Some(Waited {
                until: Instant::now(),
                ..self.clock
            });
        }
    }

    /// How long something may take that should come at once.
    pub(super) fn limit(&self) -> Duration {
        self.tempo.at_once()
    }

    pub(super) fn actor(&mut self, name: &str) -> Result<&mut Actor, Mismatch> {
        self.actors
            .get_mut(name)
            .ok_or_else(|| format!("no connection is called `{name}`").into())
    }

    pub(super) fn connection(&mut self, name: &str) -> Result<&mut Connection, Mismatch> {
        let open = self.actor(name)?.connection.as_mut();
        open.ok_or_else(|| format!("the case has closed `{name}` itself").into())
    }

    /// Adds a connection that was opened at `begun`.
    pub(super) fn enter(&mut self, name: &str, connection: Connection, begun: Instant) {
        let actor = Actor {
            begun,
            mute_since: None,
            timeout: None,
            kept: None,
            dial: Duration::ZERO,
            connection: Some(connection),
            logged_in: false,
            bare: false,
            ignored: Vec::new(),
            last_event: Instant::now(),
        };
        self.actors.insert(name.to_owned(), actor);
    }
}
