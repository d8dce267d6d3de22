//! The states of one connection to the server, and every step between them.
//!
//! A connection begins in `Fresh`, and its first message decides what it becomes. A good ATH makes it a
//! control connection: it stays in `Control` until it is closed. A good TRS makes it a data connection: it
//! goes to `Data`, and the machine forgets it, because the bytes that follow are no messages. Everything
//! else leads to `Closed`.
//!
//! `super::machine` turns each input into an event. The kind of the input is enough for most events. For
//! ATH the machine compares user name and password, for TRS token and port, and the event says what it
//! found. What the event means for the connection is decided here alone: the same TRS is joined in `Fresh`
//! and closes a connection in `Control`. An event of a connection that the machine has forgotten has no
//! effect: the input was under way at that moment.
//!
//! A row that closes the connection names up to two rules. [`Row::rule`] is the rule that the server
//! follows by closing. The [`reason`](Row::reason) knows the rule that the client broke. For a silent
//! client these are `keep.expiry-bound` and `keep.client-interval`.

use super::CloseReason;
use crate::PeerMisbehaved;
use crate::table::{closing, row};

/// The state of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// Open; no message has come yet. It can become a control or a data connection.
    Fresh,
    /// Logged in: a control connection.
    Control,
    /// Joined with a user; only raw bytes follow. The machine has forgotten it.
    Data,
    /// Closed. The machine has forgotten it.
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
    /// TRS with the right token and port, and a user waits.
    TrsGood,
    /// Any other TRS, and what is wrong with it.
    TrsBad(BadTrs),
    /// Bytes that are no message.
    Malformed,
    /// The client ended its direction, or the connection broke.
    Ended,
    /// The time to log in, or to send SRQ, has run out.
    Overdue,
    /// The same client logged in again on another connection.
    Replaced,
}

/// Why a TRS cannot be joined with a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum BadTrs {
    /// No login on this listener has the token.
    UnknownToken,
    /// The login that has the token has not mapped the port.
    PortNotMapped,
    /// No user waits on the port.
    NoWaitingUser,
}

/// What the server does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    /// Begin a login and answer ARS true.
    Accept,
    /// Answer ARS false, then close.
    Reject,
    /// Try to listen, then answer MRS.
    Listen,
    /// Restart the keepalive deadline and answer SRS.
    Renew,
    /// Join the connection with the user who has waited longest.
    Join,
    /// Close the connection, and end its login if there is one.
    Close,
    /// Forget a connection that the client has ended, and end its login if there is one.
    Forget,
}

/// One step of this table.
pub type Row = crate::table::Row<State, Event, Action, CloseReason>;

/// Every step that can happen. `Data` and `Closed` have none, because the machine has forgotten the
/// connection.
#[rustfmt::skip] // One step is one line.
pub const TABLE: &[Row] = {
    use Action::{Accept, Close, Forget, Join, Listen, Reject, Renew};
    use BadTrs::{NoWaitingUser, PortNotMapped, UnknownToken};
    use CloseReason::{Misbehaved, Rejected, Replaced};
    use Event::{AthBad, AthGood, Ended, Malformed, Map, Overdue, Srq, TrsBad, TrsGood};
    use PeerMisbehaved::{self as How, BeforeLogin, LoginOverdue, SecondLogin, Silent, TrsOnControl};
    use State::{Closed, Control, Data, Fresh};
    &[
        row(Fresh, AthGood, Accept, Control, "auth.ok-reply"),
        closing(Fresh, AthBad, Reject, Closed, "auth.fail-close", Rejected),
        closing(Fresh, Map, Close, Closed, "auth.first", Misbehaved(BeforeLogin)),
        closing(Fresh, Srq, Close, Closed, "auth.first", Misbehaved(BeforeLogin)),
        row(Fresh, TrsGood, Join, Data, "tunnel.fifo"),
        closing(Fresh, TrsBad(UnknownToken), Close, Closed, "tunnel.bad-token-close", Misbehaved(How::UnknownToken)),
        closing(Fresh, TrsBad(PortNotMapped), Close, Closed, "tunnel.bad-port-close", Misbehaved(How::PortNotMapped)),
        closing(Fresh, TrsBad(NoWaitingUser), Close, Closed, "tunnel.no-unsolicited", Misbehaved(How::NoWaitingUser)),
        row(Fresh, Malformed, Close, Closed, "frame.unknown-word"),
        row(Fresh, Ended, Forget, Closed, "life.survives-abort"),
        closing(Fresh, Overdue, Close, Closed, "auth.deadline", Misbehaved(LoginOverdue)),
        closing(Control, AthGood, Close, Closed, "auth.once", Misbehaved(SecondLogin)),
        closing(Control, AthBad, Close, Closed, "auth.once", Misbehaved(SecondLogin)),
        row(Control, Map, Listen, Control, "map.one-reply"),
        row(Control, Srq, Renew, Control, "keep.srs"),
        closing(Control, TrsGood, Close, Closed, "tunnel.not-on-control", Misbehaved(TrsOnControl)),
        closing(Control, TrsBad(UnknownToken), Close, Closed, "tunnel.not-on-control", Misbehaved(TrsOnControl)),
        closing(Control, TrsBad(PortNotMapped), Close, Closed, "tunnel.not-on-control", Misbehaved(TrsOnControl)),
        closing(Control, TrsBad(NoWaitingUser), Close, Closed, "tunnel.not-on-control", Misbehaved(TrsOnControl)),
        row(Control, Malformed, Close, Closed, "frame.unknown-word"),
        row(Control, Ended, Forget, Closed, "map.released-on-close"),
        closing(Control, Overdue, Close, Closed, "keep.expiry-bound", Misbehaved(Silent)),
        closing(Control, Event::Replaced, Close, Closed, "auth.same-name-replaces", Replaced),
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

    const EVENTS: [Event; 12] = [
        Event::AthGood,
        Event::AthBad,
        Event::Map,
        Event::Srq,
        Event::TrsGood,
        Event::TrsBad(BadTrs::UnknownToken),
        Event::TrsBad(BadTrs::PortNotMapped),
        Event::TrsBad(BadTrs::NoWaitingUser),
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
    #[test]
    fn a_row_has_a_reason_if_it_closes_and_the_input_has_none() {
        for row in TABLE {
            let closes = matches!(row.action, Action::Close | Action::Reject);
            let has_reason = closes && row.event != Event::Malformed;
            assert_eq!(row.reason.is_some(), has_reason, "{row:?}");
            assert_eq!(
                closes || row.action == Action::Forget,
                row.next == State::Closed
            );
        }
    }

    /// The other reasons name the rule that the client broke.
    #[test]
    fn a_reason_without_misbehaviour_has_the_rule_of_its_row() {
        for row in TABLE {
            if let Some(reason @ (CloseReason::Rejected | CloseReason::Replaced)) = &row.reason {
                assert_eq!(reason.rule(), row.rule, "{row:?}");
            }
        }
    }
}
