//! Builds the case of a session step by step.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use netroxy_specification::notation::ast::{
    Action, Case, Expectation, Grade, Line, Noted, Repeat, Role, Setting, Step, Transport, Within,
};
use netroxy_specification::states::{self, Table};

use super::plan::Plan;
use super::steps::{from, one_of, step, until};

/// The steps so far, and what the model has done to get them.
#[derive(Debug)]
pub(super) struct CaseBuilder {
    body: Vec<Line>,
    covers: BTreeSet<TableStep>,
    /// How many connections have a name.
    named: u32,
    /// How many lines the body had at the end of each act.
    ends: Vec<usize>,
}

/// A step of a state table: the name of the table, the state, and the event.
pub(super) type TableStep = (&'static str, &'static str, &'static str);

/// The case of a session.
#[derive(Debug, Clone)]
pub(super) struct SessionCase {
    pub(super) case: Case,
    /// The steps of the state tables that the session takes.
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "a test shows that no step is left out")
    )]
    pub(super) covers: BTreeSet<TableStep>,
    /// For each act, the number of lines from the start of the file to the last step of the act.
    pub(super) ends: Vec<usize>,
}

/// A state table and its name.
#[derive(Debug)]
pub(super) struct NamedTable {
    name: &'static str,
    table: &'static Table,
}

impl NamedTable {
    /// The states of a connection to a server.
    pub(super) fn server() -> Self {
        static TABLE: LazyLock<Table> = LazyLock::new(Table::server);
        let (name, table) = ("server", &*TABLE);
        Self { name, table }
    }

    /// The states of a client.
    pub(super) fn client() -> Self {
        static TABLE: LazyLock<Table> = LazyLock::new(Table::client);
        let (name, table) = ("client", &*TABLE);
        Self { name, table }
    }

    /// The states of a tunnel.
    pub(super) fn tunnel() -> Self {
        static TABLE: LazyLock<Table> = LazyLock::new(Table::tunnel);
        let (name, table) = ("tunnel", &*TABLE);
        Self { name, table }
    }
}

impl CaseBuilder {
    pub(super) fn new() -> Self {
        Self {
            body: Vec::new(),
            covers: BTreeSet::new(),
            named: 0,
            ends: Vec::new(),
        }
    }

    /// What the specification says about an event; `None` if the event cannot happen in this state.
    pub(super) fn event(
        &mut self,
        table: &NamedTable,
        state: &str,
        event: &str,
    ) -> Option<states::Step> {
        let step = table.table.step(state, event)?;
        self.covers.insert((table.name, step.state, step.event));
        Some(step)
    }

    /// Adds a step that no rule judges.
    pub(super) fn act(&mut self, actor: &str, action: Action) {
        self.judge(actor, action, &[]);
    }

    /// Adds a step that is judged by these rules, the most exact one first.
    pub(super) fn judge(&mut self, actor: &str, action: Action, rules: &[&'static str]) {
        self.body.push(Line::Step(step(actor, action, rules)));
    }

    /// As [`Self::judge`], with a time bound.
    pub(super) fn judge_within(
        &mut self,
        actor: &str,
        action: Action,
        within: Within,
        rules: &[&'static str],
    ) {
        let mut step = step(actor, action, rules);
        step.within = Some(within);
        self.body.push(Line::Step(step));
    }

    /// Adds a block that is played `count` times. If it is kept, its connections stay open after each turn.
    pub(super) fn block(&mut self, count: u32, kept: bool, steps: impl IntoIterator<Item = Step>) {
        self.body.push(Line::Repeat(Repeat {
            count,
            kept,
            comment: None,
            body: steps.into_iter().map(Line::Step).collect(),
        }));
    }

    /// The connection stays open for `seconds`, and may be closed after that.
    pub(super) fn open_for(&mut self, actor: &str, seconds: u32, rule: &'static str) {
        let action = one_of(Expectation::Closed, Expectation::Silence, Grade::Pass);
        self.judge_within(actor, action, from(seconds * 1000), &[rule]);
    }

    /// The connection is closed within `seconds`; one that stays open is nonstrict.
    pub(super) fn closed_within(&mut self, actor: &str, seconds: u32, rule: &'static str) {
        let action = one_of(Expectation::Closed, Expectation::Silence, Grade::Nonstrict);
        self.judge_within(actor, action, until(seconds * 1000), &[rule]);
    }

    /// The connection is closed; one that stays open is nonstrict.
    pub(super) fn closed_or_silent(&mut self, actor: &str, rule: &'static str) {
        let action = one_of(Expectation::Closed, Expectation::Silence, Grade::Nonstrict);
        self.judge(actor, action, &[rule]);
    }

    /// One of two things comes; both are right.
    pub(super) fn either(
        &mut self,
        actor: &str,
        one: Expectation,
        other: Expectation,
        rule: &'static str,
    ) {
        self.judge(actor, one_of(one, other, Grade::Pass), &[rule]);
    }

    /// A name for the next connection: the letter and a number that no other connection has.
    pub(super) fn name(&mut self, letter: char) -> String {
        self.named += 1;
        format!("{letter}{}", self.named)
    }

    /// A name for the connections of a kept block. The player appends the number of the turn.
    pub(super) fn kept_name(&mut self, letter: char) -> String {
        self.name(letter) + "n"
    }

    /// Ends an act.
    pub(super) fn end_act(&mut self) {
        self.ends.push(self.height());
    }

    /// The finished case.
    pub(super) fn finish(self, plan: &Plan, config: Vec<Setting>) -> SessionCase {
        fn noted<T>(value: T) -> Noted<T> {
            Noted {
                value,
                comment: None,
            }
        }
        let steps = self.body.iter().flat_map(|line| match line {
            Line::Repeat(repeat) => repeat.body.as_slice(),
            line => std::slice::from_ref(line),
        });
        let mut rules: Vec<String> = Vec::new();
        for line in steps {
            if let Line::Step(step) = line {
                for mark in &step.marks {
                    if !rules.contains(mark) {
                        rules.push(mark.clone());
                    }
                }
            }
        }
        let case = Case {
            title: noted(format!("session {} of the fuzzer", plan.seed)),
            role: noted(Role::from(plan.side)),
            rules: noted(rules),
            twin: None,
            config: config.into_iter().map(noted).collect(),
            over: Some(noted(Transport::ALL.to_vec())),
            body: self.body,
        };
        let header = case.first_line() - 1;
        SessionCase {
            case,
            covers: self.covers,
            ends: self.ends.iter().map(|lines| header + lines).collect(),
        }
    }

    /// How many lines the body has.
    pub(super) fn height(&self) -> usize {
        self.body.iter().map(Line::height).sum()
    }
}
