//! The states of one connection to the server, and every step between them.
//!
//! This table is the only place that decides what a connection may do when; `super::machine`
//! carries out the actions.

use crate::table::row;

/// Where a connection stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// Open; nothing received yet. It may become a control or a data connection.
    Fresh,
    /// Logged in: a control connection.
    Control,
    /// Joined to a user: raw bytes only. The machine has let go of it.
    Data,
    /// Over. The machine has let go of it.
    Closed,
}

/// What can happen to a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Event {
    /// ATH with the right credentials.
    AthGood,
    /// ATH with wrong credentials.
    AthBad,
    /// MAP.
    Map,
    /// SRQ.
    Srq,
    /// TRS whose token and port are right, with a user waiting.
    TrsGood,
    /// Any other TRS.
    TrsBad,
    /// Bytes that are no message.
    Malformed,
    /// The peer ended its direction, or the connection broke.
    Ended,
    /// The time to log in, or to send SRQ, has run out.
    Overdue,
    /// The same client logged in anew on another connection.
    Replaced,
}

/// What the server does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    /// Open a session and answer ARS true.
    Accept,
    /// Answer ARS false, then close.
    Reject,
    /// Try to listen, then answer MRS.
    Listen,
    /// Restart the keepalive deadline and answer SRS.
    Renew,
    /// Join the connection to the user who has waited longest.
    Join,
    /// Close the connection, and its session if there is one.
    Close,
    /// Close what is left of a connection whose client has ended it, and its session if there is one.
    Forget,
}

/// One step of this table.
pub type Row = crate::table::Row<State, Event, Action>;

/// Every step that can happen. `Data` and `Closed` have none: the machine has forgotten the
/// connection.
pub const TABLE: &[Row] = {
    use Action::{Accept, Close, Forget, Join, Listen, Reject, Renew};
    use Event::{AthBad, AthGood, Ended, Malformed, Map, Overdue, Replaced, Srq, TrsBad, TrsGood};
    use State::{Closed, Control, Data, Fresh};
    &[
        row(Fresh, AthGood, Accept, Control, "auth.ok-reply"),
        row(Fresh, AthBad, Reject, Closed, "auth.fail-close"),
        row(Fresh, Map, Close, Closed, "auth.first"),
        row(Fresh, Srq, Close, Closed, "auth.first"),
        row(Fresh, TrsGood, Join, Data, "tunnel.fifo"),
        row(Fresh, TrsBad, Close, Closed, "tunnel.bad-token-close"),
        row(Fresh, Malformed, Close, Closed, "frame.unknown-word"),
        row(Fresh, Ended, Forget, Closed, "life.survives-abort"),
        row(Fresh, Overdue, Close, Closed, "auth.deadline"),
        row(Control, AthGood, Close, Closed, "auth.once"),
        row(Control, AthBad, Close, Closed, "auth.once"),
        row(Control, Map, Listen, Control, "map.one-reply"),
        row(Control, Srq, Renew, Control, "keep.srs"),
        row(Control, TrsGood, Close, Closed, "tunnel.not-on-control"),
        row(Control, TrsBad, Close, Closed, "tunnel.not-on-control"),
        row(Control, Malformed, Close, Closed, "frame.unknown-word"),
        row(Control, Ended, Forget, Closed, "map.released-on-close"),
        row(Control, Overdue, Close, Closed, "keep.expiry-bound"),
        row(Control, Replaced, Close, Closed, "auth.same-name-replaces"),
    ]
};

/// The row for `event` in `state`, if it can happen.
#[must_use]
pub fn step(state: State, event: Event) -> Option<&'static Row> {
    crate::table::step(TABLE, state, event)
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVENTS: [Event; 10] = [
        Event::AthGood,
        Event::AthBad,
        Event::Map,
        Event::Srq,
        Event::TrsGood,
        Event::TrsBad,
        Event::Malformed,
        Event::Ended,
        Event::Overdue,
        Event::Replaced,
    ];

    #[test]
    fn each_event_has_one_row_where_it_can_happen() {
        for state in [State::Fresh, State::Control, State::Data, State::Closed] {
            for event in EVENTS {
                let rows = TABLE
                    .iter()
                    .filter(|r| r.state == state && r.event == event)
                    .count();
                let can_happen = match state {
                    State::Fresh => event != Event::Replaced,
                    State::Control => true,
                    State::Data | State::Closed => false,
                };
                assert_eq!(rows, usize::from(can_happen), "{state:?} {event:?}");
            }
        }
    }
}
