//! What the state tables of both machines are made of.
//!
//! A machine handles an input in four steps:
//!
//! 1. It decides which event the input is. The state plays no part in this.
//! 2. It looks up the row of the state and the event with [`step`]. A state and an event have one row at
//!    most. If they have none, the event cannot happen in this state: the machine rejects the input or
//!    ignores it.
//! 3. It goes to the next state of the row.
//! 4. It carries out the action of the row, and gives the reason of the row to its driver if the step
//!    closes the connection.
//!
//! So the row decides, and the machine does not look at the state again. If an input can fail in several
//! ways, the event says in which: `TrsBad(UnknownToken)`. The tables of the specification have the same
//! rows without the parts in parentheses; `tests/spec.rs` compares them.

/// One step: in `state`, on `event`, do `action` and go to `next`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row<State, Event, Action, Reason> {
    /// The state before the step.
    pub state: State,
    /// What happens.
    pub event: Event,
    /// What the machine does.
    pub action: Action,
    /// The state after the step.
    pub next: State,
    /// The rule of the specification that this peer follows with the step. If the other peer broke a
    /// rule, that is another one: [`reason`](Self::reason) knows it.
    pub rule: &'static str,
    /// Why the step closes the connection. `None` if it closes nothing, if the other peer or the network
    /// has closed it, or if the input has the reason: a [`ParseError`](crate::ParseError).
    pub reason: Option<Reason>,
}

/// A step without a reason.
pub(crate) const fn row<S: Copy, E: Copy, A: Copy, R>(
    state: S,
    event: E,
    action: A,
    next: S,
    rule: &'static str,
) -> Row<S, E, A, R> {
    Row {
        state,
        event,
        action,
        next,
        rule,
        reason: None,
    }
}

/// A step that closes the connection for `reason`.
pub(crate) const fn closing<S: Copy, E: Copy, A: Copy, R>(
    state: S,
    event: E,
    action: A,
    next: S,
    rule: &'static str,
    reason: R,
) -> Row<S, E, A, R> {
    Row {
        state,
        event,
        action,
        next,
        rule,
        reason: Some(reason),
    }
}

/// The row for `event` in `state`.
pub(crate) fn step<S: PartialEq, E: PartialEq, A, R>(
    table: &'static [Row<S, E, A, R>],
    state: S,
    event: E,
) -> Option<&'static Row<S, E, A, R>> {
    table
        .iter()
        .find(|row| row.state == state && row.event == event)
}

/// Which rows of a table were taken: one bit for each, so a table has at most 64 rows.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Taken(u64);

impl Taken {
    pub(crate) fn note<R: PartialEq>(&mut self, table: &[R], row: &R) {
        if let Some(index) = table.iter().position(|one| one == row) {
            self.0 |= 1 << index;
        }
    }

    /// The rows that were taken since the last call, in the order of the table.
    pub(crate) fn drain<R>(&mut self, table: &'static [R]) -> impl Iterator<Item = &'static R> {
        let taken = core::mem::take(&mut self.0);
        let rows = table.iter().enumerate();
        rows.filter_map(move |(index, row)| (taken >> index & 1 == 1).then_some(row))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn taken_rows_are_returned_once_in_the_order_of_the_table() {
        const TABLE: &[&str] = &["one", "two", "three"];
        let mut taken = Taken::default();
        for row in [&"three", &"one", &"three"] {
            taken.note(TABLE, row);
        }
        assert!(taken.drain(TABLE).eq(&["one", "three"]));
        assert!(taken.drain(TABLE).next().is_none());
    }
}
