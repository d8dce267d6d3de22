//! What the state tables of both machines are made of.

/// One step: in `state`, on `event`, do `action` and go to `next`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row<State, Event, Action> {
    /// Before.
    pub state: State,
    /// What happens.
    pub event: Event,
    /// What the machine does.
    pub action: Action,
    /// After.
    pub next: State,
    /// The rule of the specification behind it.
    pub rule: &'static str,
}

pub(crate) const fn row<S: Copy, E: Copy, A: Copy>(
    state: S,
    event: E,
    action: A,
    next: S,
    rule: &'static str,
) -> Row<S, E, A> {
    Row {
        state,
        event,
        action,
        next,
        rule,
    }
}

pub(crate) fn step<S: PartialEq, E: PartialEq, A>(
    table: &'static [Row<S, E, A>],
    state: S,
    event: E,
) -> Option<&'static Row<S, E, A>> {
    table
        .iter()
        .find(|row| row.state == state && row.event == event)
}
