//! What must be true of a case beyond its grammar, so that nothing goes wrong only when it is played.

use std::collections::BTreeSet;

use crate::message::lines_after;
use crate::notation::ast::{
    Action, Case, Endpoint, Expectation, Field, Line, Message, Piece, Role, Setting, Step, Template,
};

/// The line and what is wrong with it, for the first thing that is.
///
/// # Errors
/// See above.
pub fn check(case: &Case) -> Result<(), (usize, String)> {
    let mut scope = Scope::new(case.role.value);
    for (index, setting) in case.config.iter().enumerate() {
        let line = 4 + usize::from(case.twin.is_some()) + index;
        scope
            .setting(&setting.value)
            .map_err(|message| (line, message))?;
    }
    let mut marked = BTreeSet::new();
    let mut next = case.first_line();
    for line in &case.body {
        match line {
            Line::Blank | Line::Comment(_) => {}
            Line::Step(step) => scope
                .step(step, &mut marked)
                .map_err(|message| (next, message))?,
            Line::Repeat(repeat) => {
                let outside = scope.actors.clone();
                scope.vars.insert(NTH_PORT.to_owned());
                let mut inner = next + 1;
                for line in &repeat.body {
                    if let Line::Step(step) = line {
                        scope
                            .step(step, &mut marked)
                            .map_err(|message| (inner, message))?;
                    }
                    inner += line.height();
                }
                scope.vars.remove(NTH_PORT);
                scope.actors.retain(|name| outside.contains(name));
            }
        }
        next += line.height();
    }
    let named: BTreeSet<String> = case.rules.value.iter().cloned().collect();
    if let Some(rule) = named.difference(&marked).next() {
        return Err((3, format!("no step is marked [{rule}]")));
    }
    if let Some(rule) = marked.difference(&named).next() {
        return Err((3, format!("`{rule}` marks a step and is missing here")));
    }
    Ok(())
}

struct Scope {
    role: Role,
    vars: BTreeSet<String>,
    actors: BTreeSet<String>,
}

impl Scope {
    fn new(role: Role) -> Self {
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
        }
    }

    fn setting(&self, setting: &Setting) -> Result<(), String> {
        match (setting, self.role) {
            (Setting::Timeout(3..), Role::Server | Role::Pair) => Ok(()),
            (Setting::Timeout(_), Role::Server | Role::Pair) => {
                Err("a timeout below 3 s ends the original server".to_owned())
            }
            (Setting::Map { port, target, .. }, Role::Client | Role::Pair) => {
                if names_one(port, &PORTS) {
                    leads_somewhere(target)
                } else {
                    let ports = PORTS.join(" $");
                    Err(format!("the port of a mapping is one of ${ports}"))
                }
            }
            (Setting::Maps { count, target }, Role::Client | Role::Pair) => {
                if *count > 1000 {
                    return Err("more than 1000 mappings need more ports than there are".to_owned());
                }
                leads_somewhere(target)
            }
            (Setting::Verify, Role::Client) => Ok(()),
            (Setting::Timeout(_), Role::Client) => {
                Err("a client has no timeout: the server tells it".to_owned())
            }
            (Setting::Verify, Role::Pair) => Err(
                "a client that verifies its server would not log in: nobody vouches for it"
                    .to_owned(),
            ),
            (Setting::Verify, Role::Server) => {
                Err("a server has no one to verify: clients show no certificate".to_owned())
            }
            (Setting::Map { .. } | Setting::Maps { .. }, Role::Server) => {
                Err("a server has no mappings: clients ask for them".to_owned())
            }
        }
    }

    fn step(&mut self, step: &Step, marked: &mut BTreeSet<String>) -> Result<(), String> {
        marked.extend(step.marks.iter().cloned());
        let opens = matches!(
            step.action,
            Action::Connect(_) | Action::Accept(_) | Action::AcceptDrip
        );
        let alone = matches!(
            step.action,
            Action::Refused(_) | Action::Restart | Action::Distrusts | Action::Down(_)
        );
        if step.action == Action::Restart && !["server", "client"].contains(&step.actor.as_str()) {
            return Err("`server` or `client` is restarted, nobody else".to_owned());
        }
        if !opens && !alone && !self.actors.contains(&step.actor) {
            return Err(format!(
                "`{}` is no connection yet, or closed: it needs `connect` or `accept` first",
                step.actor
            ));
        }
        let bounded = matches!(
            step.action,
            Action::Accept(_)
                | Action::AcceptDrip
                | Action::Distrusts
                | Action::Expect(_)
                | Action::OneOf(_)
        );
        let silent = matches!(step.action, Action::Expect(Expectation::Silence));
        if step.within.is_some() && matches!(step.action, Action::Expect(Expectation::Stalled)) {
            return Err("`stalled` has no bounds: it takes as long as it takes".to_owned());
        }
        if step
            .within
            .is_some_and(|within| within.lenient && within.low.is_none())
        {
            return Err("`nonstrict` is about the lower bound, and there is none".to_owned());
        }
        if step.within.is_some() && !bounded {
            return Err("only a step that waits for something can have bounds".to_owned());
        }
        if silent && step.within.is_some_and(|within| within.high.is_some()) {
            return Err("silence lasts at least so long: give the lower bound only".to_owned());
        }
        if step.within.is_some_and(|within| {
            within
                .low
                .zip(within.high)
                .is_some_and(|(low, high)| low >= high)
        }) {
            return Err("the bounds are empty".to_owned());
        }
        let waits = alone && !matches!(step.action, Action::Down(_));
        let judges = bounded || waits || matches!(step.action, Action::Connect(_));
        if !step.marks.is_empty() && !judges {
            return Err("only a step that can fail can carry a mark".to_owned());
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

    fn action(&mut self, action: &Action) -> Result<(), String> {
        match action {
            Action::Connect(Endpoint::Server(_) | Endpoint::Bare | Endpoint::Drip) => {
                self.only(&[Role::Server], "connect server")
            }
            Action::Connect(Endpoint::Port(port)) => {
                self.only(&[Role::Server, Role::Pair], "connect $port")?;
                self.template(port)
            }
            Action::Refused(port) => {
                self.only(&[Role::Server, Role::Pair], "refused")?;
                self.template(port)
            }
            Action::Accept(None) | Action::AcceptDrip => self.only(&[Role::Client], "accept"),
            Action::Accept(Some(target)) => {
                self.only(&[Role::Client, Role::Pair], "accept $target")?;
                self.template(target)
            }
            Action::Restart => self.only(&[Role::Pair], "restart"),
            Action::Distrusts => self.only(&[Role::Client], "distrusts"),
            Action::Down(10_001..) => Err("more than 10 s are too long".to_owned()),
            Action::Down(_) => self.only(&[Role::Client], "down"),
            Action::Send(message) => self.sent(message),
            Action::SendRaw(segments) => segments.iter().try_for_each(|one| self.template(one)),
            Action::SendDrip(bytes) => self.template(bytes),
            Action::Expect(expectation) => self.expectation(expectation),
            Action::OneOf(alternatives) => {
                alternatives
                    .iter()
                    .try_for_each(|one| match one.expectation {
                        Expectation::Stalled => Err("`stalled` is no alternative".to_owned()),
                        _ => self.expectation(&one.expectation),
                    })
            }
            Action::Ignore(word) if lines_after(word.as_bytes(), None).is_none() => {
                Err(format!("`{word}` is no word of v0.3"))
            }
            Action::SendRandom(bulk) => size(bulk.bytes.into()),
            Action::Ignore(_)
            | Action::Pause
            | Action::Shutdown
            | Action::Close
            | Action::Reset => Ok(()),
        }
    }

    fn only(&self, roles: &[Role], verb: &str) -> Result<(), String> {
        if roles.contains(&self.role) {
            return Ok(());
        }
        let names: Vec<String> = roles.iter().map(ToString::to_string).collect();
        Err(format!(
            "`{verb}` is for cases of role {}",
            names.join(" or ")
        ))
    }

    fn sent(&self, message: &Message) -> Result<(), String> {
        message.fields.iter().try_for_each(|field| match field {
            Field::Text(text) => self.template(text),
            Field::Bind(_) | Field::Any => Err("a message that is sent needs values".to_owned()),
        })
    }

    fn expectation(&mut self, expectation: &Expectation) -> Result<(), String> {
        match expectation {
            Expectation::Message(message) => self.expected(message),
            Expectation::Raw(bytes) if bytes.pieces().is_empty() => {
                Err("nothing always comes: give bytes".to_owned())
            }
            Expectation::Raw(bytes) => self.template(bytes),
            Expectation::Random(bulk) if bulk.bytes == 0 => {
                Err("nothing always comes: give a size".to_owned())
            }
            Expectation::Random(_)
            | Expectation::Closed
            | Expectation::Eof
            | Expectation::Silence
            | Expectation::Stalled => Ok(()),
        }
    }

    /// A message with the wrong number of fields could never come true.
    fn expected(&mut self, message: &Message) -> Result<(), String> {
        let first = match message.fields.first() {
            Some(Field::Text(text)) => match text.pieces() {
                [Piece::Bytes(bytes)] => Some(bytes.as_slice()),
                _ => None,
            },
            _ => None,
        };
        let word = &message.word;
        let wanted = lines_after(word.as_bytes(), first)
            .ok_or_else(|| format!("`{word}` is no word of v0.3"))?;
        if wanted != message.fields.len() {
            return Err(format!(
                "`{word}` has {wanted} fields here, not {}",
                message.fields.len()
            ));
        }
        for field in &message.fields {
            match field {
                Field::Text(text) => self.template(text)?,
                Field::Bind(name) => drop(self.vars.insert(name.clone())),
                Field::Any => {}
            }
        }
        Ok(())
    }

    fn template(&self, template: &Template) -> Result<(), String> {
        let once: usize = template
            .pieces()
            .iter()
            .map(|piece| match piece {
                Piece::Bytes(bytes) => bytes.len(),
                Piece::Var(_) => 1,
            })
            .sum();
        size(u64::from(template.times()).saturating_mul(once as u64))?;
        template.pieces().iter().try_for_each(|piece| match piece {
            Piece::Var(name) if !self.vars.contains(name) => {
                let known: Vec<&str> = self.vars.iter().map(String::as_str).collect();
                Err(format!(
                    "nothing is called ${name} here; there are {}",
                    known.join(", ")
                ))
            }
            Piece::Var(_) | Piece::Bytes(_) => Ok(()),
        })
    }
}

fn leads_somewhere(target: &Template) -> Result<(), String> {
    match names_one(target, &TARGETS) {
        true => Ok(()),
        false => Err(format!("a mapping leads to one of ${}", TARGETS.join(" $"))),
    }
}

fn names_one(template: &Template, names: &[&str]) -> bool {
    matches!(template.pieces(), [Piece::Var(name)] if names.contains(&name.as_str()))
}

/// A case is held in memory.
fn size(bytes: u64) -> Result<(), String> {
    const LIMIT: u64 = 32 << 20;
    if bytes > LIMIT {
        Err("more than 32 MiB at once".to_owned())
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

/// Only inside of a block.
const NTH_PORT: &str = "nth_port";

/// Remote ports of a case.
pub(crate) const PORTS: [&str; 3] = ["port", "port2", "port3"];

/// Targets of a case; nothing listens at the third, and the last answers nothing.
pub(crate) const TARGETS: [&str; 4] = ["target", "target2", "dead_target", "silent_target"];
