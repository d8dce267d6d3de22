//! A search of every state that a model can reach, the nearest first, and of the states from which a goal
//! can stay unreached for ever.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::hash::{DefaultHasher, Hasher};

/// A system that makes steps.
pub(crate) trait Model: Clone {
    /// One thing that can happen.
    type Action: Copy;

    /// Everything that can happen now, always in the same order.
    fn actions(&self) -> Vec<Self::Action>;

    /// Makes one thing happen and notes it in `log`.
    fn step(&mut self, action: Self::Action, log: &mut Log) -> Result<(), Broken>;

    /// Feeds everything that the future depends on.
    fn fingerprint(&self, hasher: &mut DefaultHasher);

    /// Whether this still happens when there are no more faults and users.
    fn is_calm(action: Self::Action) -> bool;

    /// What every calm course reaches in the end, in any order: the rule, and whether it is reached now.
    fn goals(&self) -> Vec<(&'static str, bool)>;
}

/// A rule that is broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Broken {
    pub(crate) rule: &'static str,
    pub(crate) what: String,
}

/// What happens, in words; nothing if no trace is wanted.
#[derive(Debug, Default)]
pub(crate) struct Log(Option<Vec<String>>);

/// What a search has found.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) states: usize,
    pub(crate) transitions: usize,
    /// Steps to the farthest state.
    pub(crate) depth: u32,
    pub(crate) found: Option<Found>,
}

/// The shortest way to break a rule.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) broken: Broken,
    pub(crate) trace: Vec<String>,
}

/// More states than any world here has. A larger world is taken to have no end.
const LIMIT: usize = 1_000_000;

/// Visits every state; stops at the first broken rule.
pub(crate) fn search<M: Model>(start: &M) -> Outcome {
    let mut graph = Graph::new(start);
    let mut known = BTreeMap::from([(digest(start), 0)]);
    let mut queue = VecDeque::from([start.clone()]);
    let mut at = 0;
    while let Some(model) = queue.pop_front() {
        for action in model.actions() {
            let mut next = model.clone();
            graph.transitions += 1;
            if let Err(broken) = next.step(action, &mut Log::default()) {
                return graph.outcome(Some((at, Some(action), broken)));
            }
            let to = *known.entry(digest(&next)).or_insert(graph.nodes.len());
            if to == graph.nodes.len() {
                graph.add(at, action, &next);
                queue.push_back(next);
            }
            if M::is_calm(action) {
                graph.calm.push((at, to));
            }
        }
        at += 1;
        assert!(graph.nodes.len() < LIMIT, "this world has no end");
    }
    let stuck = graph.inescapable();
    graph.outcome(stuck)
}

/// All states and the calm steps between them.
struct Graph<'a, M: Model> {
    start: &'a M,
    nodes: Vec<Node<M::Action>>,
    /// Calm steps, from and to.
    calm: Vec<(usize, usize)>,
    transitions: usize,
}

struct Node<A> {
    /// The state before, and the action that led here.
    from: Option<(usize, A)>,
    depth: u32,
    goals: Vec<(&'static str, bool)>,
}

impl<'a, M: Model> Graph<'a, M> {
    fn new(start: &'a M) -> Self {
        let node = Node {
            from: None,
            depth: 0,
            goals: start.goals(),
        };
        Self {
            start,
            nodes: vec![node],
            calm: Vec::new(),
            transitions: 0,
        }
    }

    fn add(&mut self, from: usize, action: M::Action, model: &M) {
        self.nodes.push(Node {
            from: Some((from, action)),
            depth: self.nodes[from].depth + 1,
            goals: model.goals(),
        });
    }

    /// The nearest state from which a calm course can miss a goal for ever, because it ends or goes round
    /// in a circle.
    fn inescapable(&self) -> Option<(usize, Option<M::Action>, Broken)> {
        let mut open = vec![0_usize; self.nodes.len()];
        let mut before = vec![Vec::new(); self.nodes.len()];
        for (from, to) in &self.calm {
            open[*from] += 1;
            before[*to].push(*from);
        }
        if let Some(at) = open.iter().position(|steps| *steps == 0) {
            let what = "nothing can happen any more".to_owned();
            return Some((
                at,
                None,
                Broken {
                    rule: "stuck",
                    what,
                },
            ));
        }
        for goal in 0..self.nodes[0].goals.len() {
            let mut open = open.clone();
            let reached = |at: &usize| self.nodes[*at].goals[goal].1;
            let mut sure: Vec<bool> = (0..self.nodes.len()).map(|at| reached(&at)).collect();
            let mut queue: Vec<usize> = (0..self.nodes.len()).filter(reached).collect();
            while let Some(at) = queue.pop() {
                for from in &before[at] {
                    open[*from] -= 1;
                    if open[*from] == 0 && !sure[*from] {
                        sure[*from] = true;
                        queue.push(*from);
                    }
                }
            }
            if let Some(at) = sure.iter().position(|sure| !sure) {
                let rule = self.nodes[at].goals[goal].0;
                let what =
                    "from here on the goal can stay unreached for ever, without a fault".to_owned();
                return Some((at, None, Broken { rule, what }));
            }
        }
        None
    }

    fn outcome(&self, found: Option<(usize, Option<M::Action>, Broken)>) -> Outcome {
        let deepest = self.nodes.iter().map(|node| node.depth).max();
        Outcome {
            states: self.nodes.len(),
            transitions: self.transitions,
            depth: deepest.unwrap_or_default(),
            found: found.map(|(at, last, broken)| Found {
                trace: self.trace(at, last),
                broken,
            }),
        }
    }

    /// The way to a state: makes its steps again and logs them.
    fn trace(&self, mut at: usize, last: Option<M::Action>) -> Vec<String> {
        let mut actions: Vec<M::Action> = last.into_iter().collect();
        while let Some((from, action)) = self.nodes[at].from {
            actions.push(action);
            at = from;
        }
        let mut model = self.start.clone();
        let mut log = Log(Some(Vec::new()));
        for action in actions.into_iter().rev() {
            // Only the last step breaks a rule, and the caller reports that.
            let _ = model.step(action, &mut log);
        }
        log.0.unwrap_or_default()
    }
}

/// 64 bits: the chance that two of a million states have the same digest is 1 in 30 million.
fn digest(model: &impl Model) -> u64 {
    let mut hasher = DefaultHasher::new();
    model.fingerprint(&mut hasher);
    hasher.finish()
}

impl Broken {
    pub(crate) fn new(rule: &'static str, what: impl Into<String>) -> Self {
        let what = what.into();
        Self { rule, what }
    }
}

impl Log {
    pub(crate) fn note(&mut self, what: impl FnOnce() -> String) {
        if let Some(lines) = &mut self.0 {
            lines.push(what());
        }
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.trace {
            writeln!(f, "{line}")?;
        }
        write!(f, "[{}] {}", self.broken.rule, self.broken.what)
    }
}
