//! What must be true of a case beyond its grammar, so that nothing goes wrong only when it is played.

mod block;

use std::collections::{BTreeMap, BTreeSet};

use super::place::Spot;
use crate::message::lines_after;
use crate::nearest::nearest;
use crate::notation::ast::{
    Action, Case, Endpoint, Expectation, Field, Line, Low, Message, Piece, Role, Setting, Step,
    Template, Transport, Way,
};
use crate::rules::REVISION;

/// What is wrong with a case, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wrong {
    /// Counted from 1.
    pub(super) line: usize,
    pub(super) spot: Spot,
    pub(super) message: String,
    pub(super) hint: Option<String>,
}

/// The first thing that is wrong with a case.
///
/// # Errors
/// See above.
pub(super) fn check(case: &Case) -> Result<(), Wrong> {
    let mut scope = Scope::new(case);
    for (index, setting) in case.config.iter().enumerate() {
        let line = 4 + usize::from(case.twin.is_some()) + index;
        scope
            .setting(&setting.value)
            .map_err(|found| found.on(line))?;
    }
    let mut marked = Vec::new();
    let mut next = case.first_line();
    for line in &case.body {
        match line {
            Line::Blank | Line::Comment(_) => {}
            Line::Step(step) => scope
                .step(step, next, &mut marked)
                .map_err(|found| found.on(next))?,
            Line::Repeat(repeat) => scope.block(repeat, next, &mut marked)?,
        }
        next += line.height();
    }
    marks(&case.rules.value, &marked)
}

/// That the specification has no such rule, and which may have been meant.
pub fn no_rule(id: &str) -> Option<(String, String)> {
    let rules = crate::rules::embedded().ok()?;
    if rules.iter().any(|rule| rule.id == id) {
        return None;
    }
    let meant = nearest(id, rules.iter().map(|rule| rule.id.as_str()));
    let hint = meant.unwrap_or_else(|| "`netroxy-conformance list rules` shows them all".into());
    Some((format!("`{id}` is no rule"), hint))
}

/// The line of `rules`.
pub const RULES: usize = 3;

/// The marks are those that the header names; a misspelt one is told first, because it is why the other is missing.
fn marks(named: &[String], marked: &[(usize, String)]) -> Result<(), Wrong> {
    let stray = marked.iter().filter(|(_, id)| !named.contains(id));
    let stray = stray.map(|(line, id)| (*line, Spot::Mark(id.clone()), id));
    let is_marked = |id: &String| marked.iter().any(|(_, mark)| mark == id);
    let idle = named.iter().zip(1..).filter(|(id, _)| !is_marked(id));
    let idle = idle.map(|(id, word)| (RULES, Spot::Word(word), id));
    let all: Vec<_> = stray.chain(idle).collect();
    for (line, spot, id) in &all {
        if let Some((message, hint)) = no_rule(id) {
            return Err(Wrong {
                line: *line,
                spot: spot.clone(),
                message,
                hint: Some(hint),
            });
        }
    }
    let Some((line, spot, id)) = all.into_iter().next() else {
        return Ok(());
    };
    let (message, hint) = match line {
        RULES => (
            format!("no step is marked [{id}]"),
            "mark the step that judges it".to_owned(),
        ),
        _ => (
            format!("`{id}` marks a step, and `rules` does not list it"),
            format!("add it to line {RULES}"),
        ),
    };
    Err(Wrong {
        line,
        spot,
        message,
        hint: Some(hint),
    })
}

/// So many lines below a line, a part of it, and what is wrong with that.
struct Found(usize, Spot, String);

impl Found {
    fn on(self, line: usize) -> Wrong {
        Wrong {
            line: line + self.0,
            spot: self.1,
            message: self.2,
            hint: None,
        }
    }
}

fn found<T>(spot: Spot, message: impl Into<String>) -> Result<T, Found> {
    Err(Found(0, spot, message.into()))
}

struct Scope {
    role: Role,
    vars: BTreeSet<String>,
    actors: BTreeSet<String>,
    /// The ports of the mappings in the header.
    mapped: Vec<&'static str>,
    /// Whether the case is run over TLS, and nothing else.
    tls_alone: bool,
    /// Whether the client is told whom to trust.
    trusts: bool,
    /// How much noise was sent last on a connection.
    noise: BTreeMap<String, u32>,
    /// Connections of a `repeat kept`, with the number of their turns.
    kept: BTreeMap<String, u32>,
}

impl Scope {
    fn new(case: &Case) -> Self {
        let role = case.role.value;
        let role_vars: &[&str] = match role {
            Role::Server => &SERVER_VARS,
            Role::Client => &CLIENT_VARS,
            Role::Pair => &PAIR_VARS,
        };
        let vars = PORTS
            .iter()
            .chain(role_vars)
            .map(|name| (*name).to_owned())
            .collect();
        Self {
            role,
            vars,
            actors: BTreeSet::new(),
            mapped: Vec::new(),
            tls_alone: case
                .over
                .as_ref()
                .is_some_and(|over| over.value == [Transport::Tls]),
            trusts: case.config.iter().any(|one| one.value == Setting::Trust),
            noise: BTreeMap::new(),
            kept: BTreeMap::new(),
        }
    }

    fn setting(&mut self, setting: &Setting) -> Result<(), Found> {
        match (setting, self.role) {
            (Setting::Timeout(1..=LONGEST), Role::Server | Role::Pair) => Ok(()),
            (Setting::Timeout(_), Role::Server | Role::Pair) => found(
                Spot::Word(2),
                format!("a timeout is from 1 to {LONGEST} seconds"),
            ),
            (Setting::Map { port, target, .. }, Role::Client | Role::Pair) => {
                if let Some(port) = PORTS.into_iter().find(|name| names_one(port, &[name])) {
                    self.mapped.push(port);
                    leads_somewhere(target)
                } else if number_of(port).is_some() {
                    match self.role {
                        Role::Client => leads_somewhere(target),
                        _ => found(
                            Spot::Word(2),
                            "a number can be taken: only a client is given one, which does not listen on it",
                        ),
                    }
                } else {
                    let ports = PORTS.join(" $");
                    let message = format!("the port of a mapping is one of ${ports}");
                    found(Spot::Word(2), message)
                }
            }
            (Setting::Maps { count, target }, Role::Client | Role::Pair) => {
                if *count > 1000 {
                    let message = "more than 1000 mappings need more ports than there are";
                    return found(Spot::Word(2), message);
                }
                leads_somewhere(target)
            }
            (Setting::Verify, Role::Client) => Ok(()),
            (Setting::Trust, Role::Client) if self.tls_alone => Ok(()),
            (Setting::Trust, Role::Client) => found(
                Spot::Word(1),
                "there is nobody to trust without TLS: `over tls`",
            ),
            (Setting::Timeout(_), Role::Client) => found(
                Spot::Word(1),
                "a client has no timeout: the server tells it",
            ),
            (Setting::Verify | Setting::Trust, Role::Pair) => found(
                Spot::Word(1),
                "a client that verifies its server would not log in: nobody vouches for it",
            ),
            (Setting::Verify | Setting::Trust, Role::Server) => found(
                Spot::Word(1),
                "a server has no one to verify: clients show no certificate",
            ),
            (Setting::Map { .. } | Setting::Maps { .. }, Role::Server) => found(
                Spot::Word(1),
                "a server has no mappings: clients ask for them",
            ),
        }
    }

    fn step(
        &mut self,
        step: &Step,
        line: usize,
        marked: &mut Vec<(usize, String)>,
    ) -> Result<(), Found> {
        marked.extend(step.marks.iter().map(|mark| (line, mark.clone())));
        let opens = matches!(
            step.action,
            Action::Connect(_) | Action::Accept(_) | Action::AcceptAs(_)
        );
        let alone = matches!(
            step.action,
            Action::Refused(_)
                | Action::TurnedAway { .. }
                | Action::Restart
                | Action::Distrusts
                | Action::Down(_)
                | Action::Late(_)
                | Action::Certificate(_)
        );
        if step.action == Action::Restart && !["server", "client"].contains(&step.actor.as_str()) {
            let message = "`server` or `client` is restarted, nobody else";
            return found(Spot::Word(0), message);
        }
        if !opens && !alone && !self.actors.contains(&step.actor) {
            return found(Spot::Word(0), self.no_connection(&step.actor));
        }
        let bounded = matches!(
            step.action,
            Action::Accept(_)
                | Action::AcceptAs(_)
                | Action::Distrusts
                | Action::Expect(_)
                | Action::OneOf(_)
        );
        let silent = matches!(step.action, Action::Expect(Expectation::Silence));
        if step.within.is_some() && matches!(step.action, Action::Maps(_)) {
            let message = "`maps` has no bounds: each MAP has the time of any message";
            return found(Spot::Bounds, message);
        }
        let stalls = matches!(step.action, Action::Expect(Expectation::Stalled));
        if step.within.is_some() && stalls {
            let message = "`stalled` has no bounds: it takes as long as it takes";
            return found(Spot::Bounds, message);
        }
        if step
            .within
            .is_some_and(|within| within.lenient && within.low.is_none())
        {
            let message = "`nonstrict` is about the lower bound, and there is none";
            return found(Spot::Bounds, message);
        }
        if step.within.is_some() && !bounded {
            let message = "only a step that waits for something can have bounds";
            return found(Spot::Bounds, message);
        }
        if silent && step.within.is_some_and(|within| within.high.is_some()) {
            let message = "silence lasts at least so long: give the lower bound only";
            return found(Spot::Bounds, message);
        }
        if step.within.is_some_and(|within| {
            let low = match within.low {
                Some(Low::Ms(low)) => Some(low),
                // How long that is, the run decides.
                Some(Low::Still) => Some(u32::MAX),
                None => None,
            };
            low.zip(within.high).is_some_and(|(low, high)| low >= high)
        }) {
            let message = "the bounds are empty";
            return found(Spot::Bounds, message);
        }
        let waits = alone
            && !matches!(
                step.action,
                Action::Down(_) | Action::Late(_) | Action::Certificate(_)
            );
        let opened = matches!(
            step.action,
            Action::Connect(_) | Action::Handshake | Action::Maps(_) | Action::Unguessable(_)
        );
        let judges = bounded || waits || opened;
        if !step.marks.is_empty() && !judges {
            let message = "only a step that can fail can carry a mark";
            return found(Spot::Marks, message);
        }
        if let Action::SendRandom(bulk) = &step.action {
            self.noise.insert(step.actor.clone(), bulk.bytes);
        }
        let noise = self.noise.get(&step.actor).filter(|_| stalls);
        if noise.is_some_and(|bytes| *bytes != BEHIND + BUFFERS) {
            let message = format!(
                "`stalled` needs `>> random {}MiB` before it: a peer may be {} MiB behind, and systems take some too",
                (BEHIND + BUFFERS) >> 20,
                BEHIND >> 20
            );
            return found(Spot::Word(2), message);
        }
        self.action(&step.action)?;
        if matches!(step.action, Action::Close | Action::Reset) {
            self.actors.remove(&step.actor);
        }
        if opens {
            self.actors.insert(step.actor.clone());
        }
        Ok(())
    }

    fn action(&mut self, action: &Action) -> Result<(), Found> {
        match action {
            Action::Connect(Endpoint::Server(_) | Endpoint::Bare | Endpoint::Drip) => {
                self.only(&[Role::Server], "connect server")
            }
            Action::Connect(Endpoint::Tls12) => {
                self.only(&[Role::Server], "connect server")?;
                self.over_tls("tls12", 3)
            }
            Action::Connect(Endpoint::Port(port)) => {
                self.only(&[Role::Server, Role::Pair], "connect $port")?;
                self.template(port, 2)
            }
            Action::Refused(port) => {
                self.only(&[Role::Server, Role::Pair], "refused")?;
                self.template(port, 2)
            }
            Action::TurnedAway { port, said } => {
                self.only(&[Role::Server, Role::Pair], "turned away")?;
                self.template(port, 3)?;
                said.iter().try_for_each(|said| self.template(said, 4))
            }
            Action::Maps(refused) => {
                self.only(&[Role::Client], "< maps")?;
                let mut refused = refused.iter().zip(4..);
                refused.try_for_each(|(port, word)| self.mapped(port, word))
            }
            Action::Accept(None) | Action::AcceptAs(Way::Drip) => {
                self.only(&[Role::Client], "accept")
            }
            Action::AcceptAs(way @ (Way::Tls12 | Way::Bare)) => {
                self.only(&[Role::Client], "accept")?;
                self.over_tls(&way.to_string(), 2)
            }
            Action::Handshake => {
                self.only(&[Role::Server], "handshake")?;
                self.over_tls("handshake", 1)
            }
            Action::Certificate(_) if !self.trusts => found(
                Spot::Word(1),
                "it means something to a client alone that is told whom to trust: `config trust`",
            ),
            Action::Certificate(_) => Ok(()),
            Action::Cut => self.over_tls("cut", 2),
            Action::Accept(Some(target)) => {
                self.only(&[Role::Client, Role::Pair], "accept $target")?;
                self.template(target, 2)
            }
            Action::Restart => self.only(&[Role::Pair], "restart"),
            Action::Distrusts => self.only(&[Role::Client], "distrusts"),
            Action::Down(10_001..) => found(Spot::Word(2), "more than 10 s are too long"),
            Action::Down(_) => self.only(&[Role::Client], "down"),
            Action::Late(10_001..) => found(Spot::Word(2), "more than 10 s are too long"),
            Action::Late(_) => self.only(&[Role::Client, Role::Pair], "late"),
            Action::Keep => self.only(&[Role::Server, Role::Client], "keep"),
            Action::Send(message) => self.sent(message),
            Action::SendRaw(segments) => {
                let mut segments = segments.iter().zip(2..);
                segments.try_for_each(|(one, word)| self.template(one, word))
            }
            Action::SendDrip(bytes) | Action::SendSlow(bytes) => self.template(bytes, 3),
            Action::Unguessable(value) => self.template(value, 2),
            Action::SendEvery(_, segments) => {
                let mut segments = segments.iter().zip(4..);
                segments.try_for_each(|(one, word)| self.template(one, word))
            }
            Action::Expect(expectation) => self.expectation(expectation, 2),
            Action::OneOf(alternatives) => {
                let mut alternatives = alternatives.iter().zip(1..);
                alternatives.try_for_each(|(one, down)| {
                    let checked = match one.expectation {
                        Expectation::Stalled => found(Spot::Word(0), "`stalled` is no alternative"),
                        _ => self.expectation(&one.expectation, 0),
                    };
                    checked.map_err(|Found(_, spot, message)| Found(down, spot, message))
                })
            }
            Action::Ignore(word) if lines_after(word.as_bytes(), None).is_none() => {
                found(Spot::Word(2), format!("`{word}` is no word of v{REVISION}"))
            }
            Action::SendRandom(bulk) => size(bulk.bytes.into(), 3),
            Action::Ignore(_)
            | Action::Pause
            | Action::Shutdown
            | Action::Close
            | Action::Reset => Ok(()),
        }
    }

    /// `< maps` answers the mappings of the header, and a port that is none of them would never be asked for.
    fn mapped(&self, port: &Template, word: usize) -> Result<(), Found> {
        if names_one(port, &self.mapped) {
            return Ok(());
        }
        let known: Vec<String> = self.mapped.iter().map(|port| format!("${port}")).collect();
        let known = known.join(", ");
        let message = match known.is_empty() {
            true => "the header has no `config map`, so there is none to refuse".to_owned(),
            false => format!("only a mapping of the header can be refused: {known}"),
        };
        found(Spot::Word(word), message)
    }

    /// What is about TLS cannot be done without it.
    fn over_tls(&self, what: &str, word: usize) -> Result<(), Found> {
        match self.tls_alone {
            true => Ok(()),
            false => found(
                Spot::Word(word),
                format!("`{what}` is about TLS: the case needs `over tls`, and no other transport"),
            ),
        }
    }

    fn only(&self, roles: &[Role], verb: &str) -> Result<(), Found> {
        if roles.contains(&self.role) {
            return Ok(());
        }
        let names: Vec<String> = roles.iter().map(ToString::to_string).collect();
        let message = format!("`{verb}` is for cases of role {}", names.join(" or "));
        found(Spot::Word(1), message)
    }

    fn sent(&self, message: &Message) -> Result<(), Found> {
        let mut fields = message.fields.iter().zip(3..);
        fields.try_for_each(|(field, word)| match field {
            Field::Text(text) => self.template(text, word),
            Field::Bind(_) | Field::Any => {
                found(Spot::Word(word), "a message that is sent needs values")
            }
        })
    }

    /// `word` is the place of what is expected.
    fn expectation(&mut self, expectation: &Expectation, word: usize) -> Result<(), Found> {
        match expectation {
            Expectation::Message(message) => self.expected(message, word),
            Expectation::Raw(bytes) if bytes.pieces().is_empty() => {
                found(Spot::Word(word), "nothing always comes: give bytes")
            }
            Expectation::Raw(bytes) => self.template(bytes, word),
            Expectation::Random(bulk) if bulk.bytes == 0 => {
                found(Spot::Word(word + 1), "nothing always comes: give a size")
            }
            Expectation::Random(_)
            | Expectation::Closed
            | Expectation::Eof
            | Expectation::Reset
            | Expectation::Silence
            | Expectation::Stalled => Ok(()),
        }
    }

    /// A message with the wrong number of fields could never come true.
    fn expected(&mut self, message: &Message, place: usize) -> Result<(), Found> {
        let first = match message.fields.first() {
            Some(Field::Text(text)) => match text.pieces() {
                [Piece::Bytes(bytes)] => Some(bytes.as_slice()),
                _ => None,
            },
            _ => None,
        };
        let word = &message.word;
        let Some(wanted) = lines_after(word.as_bytes(), first) else {
            return found(
                Spot::Word(place),
                format!("`{word}` is no word of v{REVISION}"),
            );
        };
        let given = message.fields.len();
        if wanted != given {
            let message = format!("`{word}` has {wanted} fields here, not {given}");
            return found(Spot::Word(place), message);
        }
        for (field, place) in message.fields.iter().zip(place + 1..) {
            match field {
                Field::Text(text) => self.template(text, place)?,
                Field::Bind(name) => drop(self.vars.insert(name.clone())),
                Field::Any => {}
            }
        }
        Ok(())
    }

    /// `word` is its place.
    fn template(&self, template: &Template, word: usize) -> Result<(), Found> {
        let once: usize = template
            .pieces()
            .iter()
            .map(|piece| match piece {
                Piece::Bytes(bytes) => bytes.len(),
                Piece::Var(_) | Piece::Near(..) => 1,
            })
            .sum();
        size(
            u64::from(template.times()).saturating_mul(once as u64),
            word,
        )?;
        template.pieces().iter().try_for_each(|piece| match piece {
            Piece::Var(name) | Piece::Near(_, name) if !self.vars.contains(name) => {
                let known: Vec<&str> = self.vars.iter().map(String::as_str).collect();
                let message = format!(
                    "nothing is called ${name} here; there are {}",
                    known.join(", ")
                );
                found(Spot::Variable(name.clone()), message)
            }
            Piece::Var(_) | Piece::Near(..) | Piece::Bytes(_) => Ok(()),
        })
    }
}

fn leads_somewhere(target: &Template) -> Result<(), Found> {
    match names_one(target, &TARGETS) {
        true => Ok(()),
        false => found(
            Spot::Word(4),
            format!("a mapping leads to one of ${}", TARGETS.join(" $")),
        ),
    }
}

fn names_one(template: &Template, names: &[&str]) -> bool {
    template.times() == 1
        && matches!(template.pieces(), [Piece::Var(name)] if names.contains(&name.as_str()))
}

/// A case is held in memory. `word` is the place of what is to be so large.
fn size(bytes: u64, word: usize) -> Result<(), Found> {
    const LIMIT: u64 = 64 << 20;
    if bytes > LIMIT {
        found(Spot::Word(word), "more than 64 MiB at once")
    } else {
        Ok(())
    }
}

const SERVER_VARS: [&str; 5] = ["username", "password", "name", "timeout", "control"];
const CLIENT_VARS: [&str; 7] = [
    "username",
    "password",
    "token",
    "target",
    "target2",
    "dead_target",
    "silent_target",
];
const PAIR_VARS: [&str; 4] = ["target", "target2", "dead_target", "silent_target"];

/// Only inside of a block: a remote port of the turn, and its number.
const OF_TURN: [&str; 2] = ["nth_port", "nth"];

/// How far a peer may let one side of a tunnel fall behind the other, in bytes: `tunnel.backpressure`.
const BEHIND: u32 = 48 << 20;

/// What the systems of a peer and of the suite take for a connection that is not read; Linux takes 10 MB by itself.
const BUFFERS: u32 = 16 << 20;

/// The longest timeout there is, in seconds: `auth.timeout-positive`.
const LONGEST: u64 = 9_223_372_036;

/// The remote port that is written as a number.
pub fn number_of(port: &Template) -> Option<u16> {
    match port.pieces() {
        [Piece::Bytes(digits)] if port.times() == 1 => {
            let digits = std::str::from_utf8(digits).ok()?;
            let number = digits.parse::<u16>().ok().filter(|number| *number > 0)?;
            // Another spelling would be another port for whom compares texts.
            (number.to_string() == digits).then_some(number)
        }
        _ => None,
    }
}

/// Remote ports of a case.
pub const PORTS: [&str; 3] = ["port", "port2", "port3"];

/// Targets of a case; nothing listens at the third, and the last answers nothing.
pub const TARGETS: [&str; 4] = ["target", "target2", "dead_target", "silent_target"];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notation::parse;

    #[test]
    fn a_peer_is_given_as_much_as_the_rule_lets_it_fall_behind() {
        let rules = crate::rules::embedded().unwrap();
        let rule = rules.iter().find(|rule| rule.id == "tunnel.backpressure");
        let number = format!("before {} MiB", BEHIND >> 20);
        assert!(rule.unwrap().text.contains(&number), "{number}");
        let checked = |size: &str| {
            let head = "title x\nrole server\nrules a.b\n\nu connect $port\n";
            let text = format!("{head}u >> random {size} 1\nu < stalled [a.b]\n");
            check(&parse(&text).unwrap())
        };
        assert_eq!(checked("64MiB"), Ok(()));
        let wrong = checked("48MiB").unwrap_err();
        assert!(
            wrong.line == 7 && wrong.message.contains("random 64MiB"),
            "{wrong:?}"
        );
    }

    #[test]
    fn a_mapping_has_one_port_and_leads_to_one_target() {
        let checked = |mapping: &str| {
            let head = "title x\nrole pair\nrules a.b\nconfig map ";
            let text = format!("{head}{mapping}\n\nu refused $port [a.b]\n");
            check(&parse(&text).unwrap())
        };
        let wrong = |mapping: &str| checked(mapping).unwrap_err();
        for port in [
            "\"$port\"*2",
            "\"$port$port\"",
            "$target",
            "080",
            "0",
            "65536",
        ] {
            let found = wrong(&format!("{port} -> $target"));
            let told = "the port of a mapping is one of $port $port2 $port3";
            assert_eq!((found.line, found.message.as_str()), (4, told), "{port}");
        }
        for target in ["\"$target\"*2", "\"$target2$target\"", "$port"] {
            let found = wrong(&format!("$port -> {target}"));
            let told = "a mapping leads to one of $target $target2 $dead_target $silent_target";
            assert_eq!((found.line, found.message.as_str()), (4, told), "{target}");
        }
        for mapping in ["$port -> $target", "\"$port\"*1 -> $silent_target closed"] {
            assert_eq!(checked(mapping), Ok(()), "{mapping}");
        }
    }

    #[test]
    fn only_mappings_of_the_header_can_be_refused_and_maps_has_no_bounds() {
        let checked = |steps: &str| {
            let head =
                "title x\nrole client\nrules a.b\nconfig map $port2 -> $target\n\nc accept\n";
            check(&parse(&format!("{head}{steps}\n")).unwrap())
        };
        assert_eq!(checked("c < maps [a.b]"), Ok(()));
        assert_eq!(checked("c < maps but $port2 [a.b]"), Ok(()));
        for port in ["$port", "80", "\"$port2\"*2"] {
            let found = checked(&format!("c < maps but $port2 {port} [a.b]")).unwrap_err();
            let told = "only a mapping of the header can be refused: $port2";
            assert_eq!((found.line, found.message.as_str()), (7, told), "{port}");
            assert_eq!(found.spot, Spot::Word(5), "{port}");
        }
        let found = checked("c < maps in ..3s [a.b]").unwrap_err();
        assert_eq!(found.spot, Spot::Bounds);
        assert!(found.message.contains("no bounds"), "{}", found.message);
    }

    #[test]
    fn a_client_is_not_turned_away_and_a_server_has_no_maps() {
        let wrong = |role: &str, steps: &str| {
            let text = format!("title x\nrole {role}\nrules a.b\n\n{steps}\n");
            check(&parse(&text).unwrap()).unwrap_err().message
        };
        let away = wrong("client", "u turned away $port [a.b]");
        assert_eq!(away, "`turned away` is for cases of role server or pair");
        let maps = wrong("server", "c connect server\nc < maps [a.b]");
        assert_eq!(maps, "`< maps` is for cases of role client");
    }
}
