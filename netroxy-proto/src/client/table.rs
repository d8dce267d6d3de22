//! The states of a client, and every step between them.
//!
//! This table is the only place that decides what a client may do when; `super::machine` carries
//! out the actions.

use crate::table::row;

/// Where the client stands with its server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// No connection; the next attempt is due later.
    Offline,
    /// Connecting (and shaking hands, on TLS).
    Connecting,
    /// ATH is sent, ARS is awaited.
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
    Ended,
    /// No ARS in time.
    LoginOverdue,
    /// The next SRQ is due.
    KeepaliveDue,
    /// SRQ has stayed unanswered for one timeout.
    KeepaliveLost,
    /// A refused mapping is to be asked for again.
    MapRetryDue,
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
    /// Note whether the mapping stands; ask again later if it was refused.
    NoteMapping,
    /// Open a data connection, send TRS on it, relay.
    OpenTunnel,
    /// Note that the server is alive.
    NoteAlive,
    /// Send SRQ.
    SendKeepalive,
    /// Send MAP again.
    MapAgain,
    /// Close the control connection and try again later.
    Disconnect,
    /// Close what is left of the connection, if there was one; try again later.
    BackOff,
}

/// One step of this table.
pub type Row = crate::table::Row<State, Event, Action>;

/// Every step that can happen.
pub const TABLE: &[Row] = {
    use Action::{
        BackOff, Connect, Disconnect, LogIn, MapAgain, MapAll, NoteAlive, NoteMapping, OpenTunnel,
        SendKeepalive,
    };
    use Event::{
        ArsFalse, ArsTrue, ConnectFailed, ConnectOverdue, Connected, Ended, KeepaliveDue,
        KeepaliveLost, LoginOverdue, Malformed, MapRetryDue, Mrs, RetryDue, Srs, Trq,
    };
    use State::{Connecting, LoggingIn, Offline, Up};
    &[
        row(Offline, RetryDue, Connect, Connecting, "life.reconnect"),
        row(Connecting, Connected, LogIn, LoggingIn, "auth.client-first"),
        row(
            Connecting,
            ConnectFailed,
            BackOff,
            Offline,
            "life.retry-connect",
        ),
        row(
            Connecting,
            ConnectOverdue,
            Disconnect,
            Offline,
            "life.connect-deadline",
        ),
        row(LoggingIn, ArsTrue, MapAll, Up, "map.client-all"),
        row(
            LoggingIn,
            ArsFalse,
            Disconnect,
            Offline,
            "auth.refused-close",
        ),
        row(LoggingIn, Mrs, Disconnect, Offline, "auth.ars-first"),
        row(LoggingIn, Trq, Disconnect, Offline, "auth.ars-first"),
        row(LoggingIn, Srs, Disconnect, Offline, "auth.ars-first"),
        row(LoggingIn, Malformed, Disconnect, Offline, "auth.ars-first"),
        row(LoggingIn, Ended, BackOff, Offline, "life.reconnect"),
        row(
            LoggingIn,
            LoginOverdue,
            Disconnect,
            Offline,
            "auth.client-deadline",
        ),
        row(Up, ArsTrue, Disconnect, Offline, "auth.one-reply"),
        row(Up, ArsFalse, Disconnect, Offline, "auth.one-reply"),
        row(Up, Mrs, NoteMapping, Up, "map.client-survives-false"),
        row(Up, Trq, OpenTunnel, Up, "tunnel.trs-new-connection"),
        row(Up, Srs, NoteAlive, Up, "keep.client-gives-up"),
        row(Up, Malformed, Disconnect, Offline, "frame.unknown-word"),
        row(Up, Ended, BackOff, Offline, "life.reconnect"),
        row(Up, KeepaliveDue, SendKeepalive, Up, "keep.client-interval"),
        row(
            Up,
            KeepaliveLost,
            Disconnect,
            Offline,
            "keep.client-gives-up",
        ),
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
    fn every_message_and_the_end_are_covered_while_connected() {
        use Event::{ArsFalse, ArsTrue, Ended, Malformed, Mrs, Srs, Trq};
        for state in [State::LoggingIn, State::Up] {
            for event in [ArsTrue, ArsFalse, Mrs, Trq, Srs, Malformed, Ended] {
                assert!(step(state, event).is_some(), "{state:?} {event:?}");
            }
        }
    }
}
