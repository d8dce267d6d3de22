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

/// Which rows of a table have been taken: one bit for each, so at most 64 rows.
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
    fn taken_rows_are_told_once_and_in_the_order_of_the_table() {
        const TABLE: &[&str] = &["one", "two", "three"];
        let mut taken = Taken::default();
        for row in [&"three", &"one", &"three"] {
            taken.note(TABLE, row);
        }
        assert!(taken.drain(TABLE).eq(&["one", "three"]));
        assert!(taken.drain(TABLE).next().is_none());
    }
}
