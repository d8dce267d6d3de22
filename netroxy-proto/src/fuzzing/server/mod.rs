//! The server machine against a model of it.

use alloc::vec::Vec;
use core::time::Duration;

use super::source::Source;
use crate::server::table::Row;
use crate::server::{Config, ConnId, Input, Listener, MappingId, Server, UserId};
use crate::{
    Ath, ClientMessage, LocalMisuse, Map, ParseError, ParseErrorKind, Password, Trs, Username,
};

mod model;

use model::{Model, token};

/// After any sequence of inputs the server machine does what a plain model of it does:
///
/// * It sends the same answers in the order of the messages on each connection: ARS, MRS, SRS, and one TRQ
///   for each waiting user. It sends nothing on a connection after Close or Join.
/// * It joins and refuses the same users: in the order in which they connected, on a port of the login
///   whose token TRS has.
/// * It closes every listener of a login that has ended.
/// * It has the same numbers of connections, mappings and users, and the same next deadline, which is never
///   in the past after a Tick.
/// * Misuse is rejected and changes nothing. After the end of all connections nothing is left.
///
/// The first byte chooses the timeout; then each operation is one byte and its arguments.
pub fn server_machine(input: &[u8]) {
    play(input);
}

/// The rows of the state table that the machine takes, for the test that the corpus takes all of them.
pub fn server_rows(input: &[u8]) -> Vec<&'static Row> {
    play(input).server.take_steps().collect()
}

fn play(input: &[u8]) -> Harness {
    let mut source = Source::new(input);
    let timeout = [3, 1, 60, i64::MAX >> 30][source.index(4)];
    let mut config = Config::new(
        username(b"alice"),
        password(b"secret"),
        timeout.try_into().expect("within the bounds"),
    );
    config.max_waiting = 3;
    if source.flag() {
        config.login_deadline = Duration::MAX;
    }
    let mut harness = Harness {
        server: Server::new(config.clone()),
        model: Model::new(config),
        now: Duration::ZERO,
    };
    while !source.is_empty() {
        harness.operation(&mut source);
    }
    harness.end_all();
    harness
}

struct Harness {
    server: Server,
    model: Model,
    now: Duration,
}

impl Harness {
    fn operation(&mut self, source: &mut Source<'_>) {
        match source.byte() % 16 {
            0 => self.accept(source.flag()),
            1 => {
                let conn = self.conn(source);
                let names: [&[u8]; 4] = [b"a", b"b", b"c", b""];
                self.message(conn, ath(names[source.index(4)], b"secret"));
            }
            2 => {
                let conn = self.conn(source);
                self.message(conn, ath(b"a", b"wrong"));
            }
            3 => {
                let conn = self.conn(source);
                let ports = [1, 2, 3, 65535, 0, 65536, -1, i64::MIN];
                let map = Map {
                    remote_port: ports[source.index(8)].into(),
                    target: b"t:1"[..].try_into().expect("no LF"),
                    is_open: !source.byte().is_multiple_of(4),
                };
                self.message(conn, ClientMessage::Map(map));
            }
            4 => {
                let conn = self.conn(source);
                self.message(conn, ClientMessage::Srq);
            }
            5 => {
                let conn = self.conn(source);
                let trs = Trs {
                    token: token(self.conn(source)),
                    remote_port: i64::from(source.byte() % 5).into(),
                };
                self.message(conn, ClientMessage::Trs(trs));
            }
            6 => {
                let conn = self.conn(source);
                let error = ParseError {
                    line: 1,
                    kind: ParseErrorKind::LineTooLong { limit: 1 },
                };
                self.model.malformed(conn, &error);
                self.feed(Input::Malformed { conn, error }, Ok(()));
            }
            7 => {
                let conn = self.conn(source);
                self.end(conn);
            }
            8 | 9 => {
                if let Some(mapping) = self.model.unanswered(source) {
                    self.answer(mapping, !source.byte().is_multiple_of(4));
                }
            }
            10 | 11 => {
                if let Some(mapping) = self.model.any_mapping(source) {
                    let user = self.model.user_accepted(self.now, mapping);
                    self.feed(Input::UserAccepted { mapping, user }, Ok(()));
                }
            }
            12 => {
                let user = UserId(source.byte().into());
                self.model.user_gone(user);
                self.feed(Input::UserGone { user }, Ok(()));
            }
            13 => {
                // Mostly on time, sometimes late, sometimes without a deadline.
                let due = self.server.poll_timeout().unwrap_or_default();
                let late = Duration::from_millis(u64::from(source.byte() / 4) * 250);
                self.now = self.now.max(due) + late;
                self.tick();
            }
            14 => {
                // Time passes; the next input can come before a Tick that is due.
                self.now += Duration::from_millis(u64::from(source.byte()) * 20);
                if source.flag() {
                    self.tick();
                }
            }
            _ => self.misuse(source),
        }
    }

    /// A connection that exists or existed, or one that never existed.
    fn conn(&self, source: &mut Source<'_>) -> ConnId {
        ConnId(u64::from(source.byte()) % (self.model.conns() + 1))
    }

    fn accept(&mut self, tls: bool) {
        let listener = if tls { Listener::Tls } else { Listener::Plain };
        let conn = self.model.accepted(self.now, listener);
        let token = token(conn);
        let input = Input::Accepted {
            conn,
            listener,
            token,
        };
        self.feed(input, Ok(()));
    }

    fn message(&mut self, conn: ConnId, message: ClientMessage) {
        self.model.message(self.now, conn, &message);
        self.feed(Input::Message { conn, message }, Ok(()));
    }

    fn end(&mut self, conn: ConnId) {
        self.model.ended(conn);
        self.feed(Input::Ended { conn }, Ok(()));
    }

    fn answer(&mut self, mapping: MappingId, opened: bool) {
        self.model.listener_answered(mapping, opened);
        self.feed(listener_answer(mapping, opened), Ok(()));
    }

    fn tick(&mut self) {
        self.model.tick(self.now);
        self.feed(Input::Tick, Ok(()));
        let next = self.server.poll_timeout();
        assert!(
            next.is_none_or(|at| at > self.now),
            "a deadline is in the past"
        );
    }

    fn misuse(&mut self, source: &mut Source<'_>) {
        if source.flag() {
            if let Some(mapping) = self.model.open_mapping(source) {
                let input = listener_answer(mapping, source.flag());
                self.feed(input, Err(LocalMisuse::Unexpected));
            }
        } else if let Some(conn) = self.model.live_conn(source) {
            let again = Input::Accepted {
                conn,
                listener: Listener::Plain,
                token: token(conn),
            };
            self.feed(again, Err(LocalMisuse::DuplicateId));
        }
        if let Some((mapping, user)) = self.model.waiting_user() {
            let again = Input::UserAccepted { mapping, user };
            self.feed(again, Err(LocalMisuse::DuplicateId));
        }
        // Any message that a client can send.
        let conn = self.conn(source);
        self.message(conn, source.client_message());
    }

    fn feed(&mut self, input: Input, expected: Result<(), LocalMisuse>) {
        assert_eq!(self.server.handle(self.now, input), expected);
        while let Some(output) = self.server.poll_output() {
            self.model.output(output);
        }
        self.model.settled();
        assert_eq!(self.server.census(), self.model.census());
        assert_eq!(self.server.poll_timeout(), self.model.next_deadline());
    }

    fn end_all(&mut self) {
        for conn in (0..self.model.conns()).map(ConnId) {
            self.end(conn);
        }
        assert_eq!(self.server.census(), (0, 0, 0));
        assert_eq!(self.server.poll_timeout(), None);
        self.model.all_over();
    }
}

fn listener_answer(mapping: MappingId, opened: bool) -> Input {
    if opened {
        Input::ListenerOpened { mapping }
    } else {
        Input::ListenerFailed { mapping }
    }
}

fn username(name: &[u8]) -> Username {
    name.try_into().expect("no LF")
}

fn password(word: &[u8]) -> Password {
    word.try_into().expect("no LF")
}

fn ath(name: &[u8], word: &[u8]) -> ClientMessage {
    ClientMessage::Ath(Ath {
        client_name: name.try_into().expect("no LF"),
        username: username(b"alice"),
        password: password(word),
    })
}
