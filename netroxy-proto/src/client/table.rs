//! The states of a client, and every step between them.
//!
//! A client goes through `Offline`, `Connecting` and `LoggingIn` to `Up`. Every failure leads back to
//! `Offline`, where the client waits before it connects again.
//!
//! `super::machine` turns each input into an event: a message of the server, the end of the connection,
//! or a deadline that [`Input::Tick`](super::Input::Tick) has reached. `RetryDue`, `KeepaliveDue` and
//! `MapRetryDue` let the client do something; `ConnectOverdue`, `LoginOverdue` and `KeepaliveLost` end the
//! connection. What an event means is decided here alone: ARS logs in during `LoggingIn`, and is an error
//! in `Up`. An input whose event has no row in the state is a bug of the driver, such as a message
//! without a connection. The machine rejects it with
//! [`LocalMisuse::Unexpected`](crate::LocalMisuse::Unexpected).
//!
//! A row that closes the connection names up to two rules. [`Row::rule`] is the rule that the client
//! follows by closing. The [`reason`](Row::reason) knows the rule that the server broke. For an SRQ
//! without an answer these are `keep.client-gives-up` and `keep.srs`.

use super::DisconnectReason;
use crate::PeerMisbehaved;
use crate::table::{closing, row};

/// The state of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// No connection; the next attempt is due later.
    Offline,
    /// Connecting, the TLS handshake included.
    Connecting,
    /// ATH is sent; the client waits for ARS.
    LoggingIn,
    /// Logged in.
    Up,
}

/// What can happen to a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Event {
    /// The next attempt is due.
    RetryDue,
    /// The control connection is open.
    Connected,
    /// The control connection could not be opened.
    ConnectFailed,
    /// The control connection is not open in time.
    ConnectOverdue,
    /// ARS true.
    ArsTrue,
    /// ARS false.
    ArsFalse,
    /// MRS.
    Mrs,
    /// TRQ.
    Trq,
    /// SRS.
    Srs,
    /// Bytes that are no message.
    Malformed,
    /// The server ended its direction of the control connection, or it broke.
    Ended(By),
    /// No ARS in time.
    LoginOverdue,
    /// The next SRQ is due.
    KeepaliveDue,
    /// No SRS has come for one timeout after an SRQ.
    KeepaliveLost,
    /// A refused mapping is to be requested again.
    MapRetryDue,
}

/// Who ended the control connection, or is to blame that this client ends it. Logins that the server ends
/// early make the waits longer: see [`Config::longest_retry_wait`](super::Config::longest_retry_wait).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum By {
    /// The server: it closed the connection, or sent what it must not send.
    Server,
    /// The network, as far as the client can tell: the connection broke, or no answer came.
    Network,
}

/// What the client does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    /// Open a control connection.
    Connect,
    /// Send ATH.
    LogIn,
    /// Send every MAP.
    MapAll,
    /// Note whether the server listens; if not, request the mapping again later.
    NoteMapping,
    /// Open a data connection, send TRS on it, relay.
    OpenTunnel,
    /// Note that the server is alive.
    NoteAlive,
    /// Send SRQ.
    SendKeepalive,
    /// Send MAP again.
    MapAgain,
    /// Close the control connection, or give up opening it; try again later.
    Disconnect(By),
    /// Close what is left of the connection, if there was one; try again later.
    BackOff(By),
}

/// One step of this table.
pub type Row = crate::table::Row<State, Event, Action, DisconnectReason>;

/// Every step that can happen.
#[rustfmt::skip] // One step is one line.
pub const TABLE: &[Row] = {
    use Action::{
        BackOff, Connect, Disconnect, LogIn, MapAgain, MapAll, NoteAlive, NoteMapping, OpenTunnel, SendKeepalive,
    };
    use By::{Network, Server};
    use DisconnectReason::{self as Why, Misbehaved, Rejected};
    use Event::{
        ArsFalse, ArsTrue, ConnectFailed, ConnectOverdue, Connected, Ended, KeepaliveDue, KeepaliveLost, LoginOverdue,
        Malformed, MapRetryDue, Mrs, RetryDue, Srs, Trq,
    };
    use PeerMisbehaved::{ExpectedArs, KeepaliveUnanswered as NoSrs, NoAnswer, UnaskedArs};
    use State::{Connecting, LoggingIn, Offline, Up};
    &[
        row(Offline, RetryDue, Connect, Connecting, "life.reconnect"),
        row(Connecting, Connected, LogIn, LoggingIn, "auth.client-first"),
        row(Connecting, ConnectFailed, BackOff(Network), Offline, "life.retry-connect"),
        closing(Connecting, ConnectOverdue, Disconnect(Network), Offline, "life.connect-deadline", Why::ConnectOverdue),
        row(LoggingIn, ArsTrue, MapAll, Up, "map.client-all"),
        closing(LoggingIn, ArsFalse, Disconnect(Server), Offline, "auth.refused-close", Rejected),
        closing(LoggingIn, Mrs, Disconnect(Server), Offline, "auth.ars-first", Misbehaved(ExpectedArs)),
        closing(LoggingIn, Trq, Disconnect(Server), Offline, "auth.ars-first", Misbehaved(ExpectedArs)),
        closing(LoggingIn, Srs, Disconnect(Server), Offline, "auth.ars-first", Misbehaved(ExpectedArs)),
        row(LoggingIn, Malformed, Disconnect(Server), Offline, "auth.ars-first"),
        row(LoggingIn, Ended(Server), BackOff(Server), Offline, "life.reconnect"),
        row(LoggingIn, Ended(Network), BackOff(Network), Offline, "life.reconnect"),
        closing(LoggingIn, LoginOverdue, Disconnect(Network), Offline, "auth.client-deadline", Misbehaved(NoAnswer)),
        closing(Up, ArsTrue, Disconnect(Server), Offline, "auth.one-reply", Misbehaved(UnaskedArs)),
        closing(Up, ArsFalse, Disconnect(Server), Offline, "auth.one-reply", Misbehaved(UnaskedArs)),
        row(Up, Mrs, NoteMapping, Up, "map.client-survives-false"),
        row(Up, Trq, OpenTunnel, Up, "tunnel.trs-new-connection"),
        row(Up, Srs, NoteAlive, Up, "keep.client-gives-up"),
        row(Up, Malformed, Disconnect(Server), Offline, "frame.unknown-word"),
        row(Up, Ended(Server), BackOff(Server), Offline, "life.reconnect"),
        row(Up, Ended(Network), BackOff(Network), Offline, "life.reconnect"),
        row(Up, KeepaliveDue, SendKeepalive, Up, "keep.client-interval"),
        closing(Up, KeepaliveLost, Disconnect(Network), Offline, "keep.client-gives-up", Misbehaved(NoSrs)),
        row(Up, MapRetryDue, MapAgain, Up, "map.client-retries"),
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

    #[test]
    fn no_event_has_two_rows() {
        for row in TABLE {
            let same = TABLE
                .iter()
                .filter(|r| r.state == row.state && r.event == row.event);
            assert_eq!(same.count(), 1, "{row:?}");
        }
    }

    #[test]
    fn a_connected_client_has_a_row_for_each_message_and_each_end() {
        use Event::{ArsFalse, ArsTrue, Ended, Malformed, Mrs, Srs, Trq};
        for state in [State::LoggingIn, State::Up] {
            let ends = [Ended(By::Server), Ended(By::Network)];
            for event in [ArsTrue, ArsFalse, Mrs, Trq, Srs, Malformed]
                .into_iter()
                .chain(ends)
            {
                assert!(step(state, event).is_some(), "{state:?} {event:?}");
            }
        }
    }
    #[test]
    fn a_row_has_a_reason_if_it_disconnects_and_the_input_has_none() {
        for row in TABLE {
            let closes = matches!(row.action, Action::Disconnect(_));
            let has_reason = closes && row.event != Event::Malformed;
            assert_eq!(row.reason.is_some(), has_reason, "{row:?}");
            let ends = closes || matches!(row.action, Action::BackOff(_));
            assert_eq!(ends, row.next == State::Offline, "{row:?}");
        }
    }

    /// The other reasons name the rule that the server broke.
    #[test]
    fn a_reason_without_misbehaviour_has_the_rule_of_its_row() {
        for row in TABLE {
            use DisconnectReason::{ConnectOverdue, Rejected};
            if let Some(reason @ (Rejected | ConnectOverdue)) = &row.reason {
                assert_eq!(reason.rule(), row.rule, "{row:?}");
            }
        }
    }
}
