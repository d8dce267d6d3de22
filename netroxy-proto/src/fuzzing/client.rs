//! The client machine against a model of it.

use alloc::collections::BTreeMap;
use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

use super::source::Source;
use crate::client::table::Row;
use crate::client::{Client, Config, DisconnectReason, Input, Mapping, Notice, Output};
use crate::{
    Ars, Ath, ClientMessage, LocalMisuse, Map, ParseError, ParseErrorKind, PeerMisbehaved,
    RemotePort, ServerMessage, Timeout, Token, Trq,
};

/// After any sequence of inputs the client machine does what a plain model of it does:
///
/// * It sends ATH first, and once on each connection. After ARS true it sends every MAP once and in order.
///   It never sends TRS on the control connection, and sends nothing without a connection.
/// * Only one Connect is unanswered at a time. The next attempt comes after a second at least, and little
///   later if the session before it lasted.
/// * It sends SRQ every third of the timeout. It gives up a server that does not accept the connection or
///   answer ATH in time, or that does not answer an SRQ within one timeout.
/// * It opens tunnels only for mapped ports, with the token of the login.
/// * Its next deadline is that of the model, and is never in the past after a Tick.
/// * Inputs that cannot happen are rejected and change nothing.
///
/// The first byte is the jitter; then each operation is one byte and its arguments.
pub fn client_machine(input: &[u8]) {
    play(input);
}

/// The rows of the state table that the machine takes, for the test that the corpus takes all of them.
pub fn client_rows(input: &[u8]) -> Vec<&'static Row> {
    play(input).client.take_steps().collect()
}

fn play(input: &[u8]) -> Harness {
    let mut source = Source::new(input);
    let config = config(source.byte());
    let mut harness = Harness {
        client: Client::new(config.clone()),
        config,
        now: Duration::ZERO,
        state: State::Offline(Duration::ZERO),
    };
    while !source.is_empty() {
        harness.operation(&mut source);
    }
    harness
}

struct Harness {
    client: Client,
    config: Config,
    now: Duration,
    state: State,
}

#[derive(Debug, Clone)]
enum State {
    /// The time of the next attempt.
    Offline(Duration),
    /// The time at which the client gives up.
    Connecting(Duration),
    /// The time at which the client gives up.
    LoggingIn(Duration),
    Up(Session),
}

#[derive(Debug, Clone)]
struct Session {
    since: Duration,
    timeout: Timeout,
    token: Token,
    srq_at: Duration,
    give_up_at: Option<Duration>,
    map_at: BTreeMap<RemotePort, Duration>,
}

impl Harness {
    fn operation(&mut self, source: &mut Source<'_>) {
        match source.byte() % 12 {
            0 | 1 => {
                let due = self.client.poll_timeout().unwrap_or_default();
                let late = Duration::from_millis(u64::from(source.byte() / 4) * 250);
                self.now = self.now.max(due) + late;
                self.tick();
            }
            2 => {
                // Time passes; the next input can come before a Tick that is due.
                self.now += Duration::from_millis(u64::from(source.byte()) * 20);
                if source.flag() {
                    self.tick();
                }
            }
            3 => self.connected(),
            4 => {
                let expected = matches!(self.state, State::Connecting(_)).then(Vec::new);
                self.feed_and_back_off(Input::ConnectFailed, expected);
            }
            5 => self.message(ServerMessage::Ars(Ars::Accepted {
                timeout: [3, 1, 60, 9_223_372_036][source.index(4)]
                    .try_into()
                    .expect("within the bounds"),
                token: Token::from_random([source.byte(); 16]),
            })),
            6 => self.message(ServerMessage::Ars(Ars::Rejected)),
            7 => self.message(ServerMessage::Mrs(crate::Mrs {
                remote_port: i64::from(source.byte() % 4).into(),
                is_ok: source.flag(),
            })),
            8 => {
                let remote_port = i64::from(source.byte() % 4).into();
                self.message(ServerMessage::Trq(Trq { remote_port }));
            }
            9 => self.message(ServerMessage::Srs),
            10 => self.ended_or_malformed(source.byte()),
            _ => self.message(source.server_message()),
        }
    }

    fn connected(&mut self) {
        let ath = ClientMessage::Ath(Ath {
            client_name: self.config.client_name.clone(),
            username: self.config.username.clone(),
            password: self.config.password.clone(),
        });
        let expected = matches!(self.state, State::Connecting(_)).then(|| vec![Output::Send(ath)]);
        if self.feed(Input::Connected, expected) {
            self.state = State::LoggingIn(self.now + self.config.login_deadline);
            self.same_deadline();
        }
    }

    fn ended_or_malformed(&mut self, choice: u8) {
        let is_connected = matches!(self.state, State::LoggingIn(_) | State::Up(_));
        if choice & 1 == 1 {
            let error = ParseError {
                line: 1,
                kind: ParseErrorKind::LineTooLong { limit: 1 },
            };
            let reason = DisconnectReason::Malformed(error.clone());
            let expected = is_connected.then(|| vec![Output::Disconnect(reason)]);
            self.feed_and_back_off(Input::Malformed(error), expected);
        } else {
            let input = if choice & 2 == 2 {
                Input::Broken
            } else {
                Input::Ended
            };
            self.feed_and_back_off(input, is_connected.then(Vec::new));
        }
    }

    fn message(&mut self, message: ServerMessage) {
        let input = Input::Message(message.clone());
        match (self.state.clone(), message) {
            (State::Offline(_) | State::Connecting(_), _) => {
                self.feed(input, None);
            }
            (State::LoggingIn(_), ServerMessage::Ars(Ars::Accepted { timeout, token })) => {
                self.logged_in(input, timeout, token);
            }
            (State::LoggingIn(_), ServerMessage::Ars(Ars::Rejected)) => {
                let rejected = Output::Disconnect(DisconnectReason::Rejected);
                self.feed_and_back_off(input, Some(vec![rejected]));
            }
            (State::LoggingIn(_), _) => self.misbehaved(input, PeerMisbehaved::ExpectedArs),
            (State::Up(_), ServerMessage::Ars(_)) => {
                self.misbehaved(input, PeerMisbehaved::UnaskedArs);
            }
            (State::Up(mut session), ServerMessage::Srs) => {
                session.give_up_at = None;
                self.state = State::Up(session);
                self.feed(input, Some(Vec::new()));
                self.same_deadline();
            }
            (State::Up(session), ServerMessage::Trq(trq)) => {
                let mapping = self.mapping(trq.remote_port);
                let expected = match mapping {
                    Some(mapping) => Output::OpenTunnel {
                        remote_port: mapping.remote_port,
                        token: session.token,
                    },
                    None => Output::Notice(Notice::UnknownPort(trq.remote_port)),
                };
                self.feed(input, Some(vec![expected]));
            }
            (State::Up(session), ServerMessage::Mrs(mrs)) => {
                match self.mapping(mrs.remote_port).map(|m| m.remote_port) {
                    Some(port) => self.map_answered(input, session, port, mrs.is_ok),
                    None => {
                        let notice = Notice::UnknownPort(mrs.remote_port);
                        self.feed(input, Some(vec![Output::Notice(notice)]));
                    }
                }
            }
        }
    }

    fn logged_in(&mut self, input: Input, timeout: Timeout, token: Token) {
        let mut expected = vec![Output::Notice(Notice::LoggedIn(timeout))];
        expected.extend(distinct(&self.config.mappings).map(|m| Output::Send(map(m))));
        self.feed(input, Some(expected));
        self.state = State::Up(Session {
            since: self.now,
            timeout,
            token,
            srq_at: self.now.saturating_add(timeout.duration() / 3),
            give_up_at: None,
            map_at: BTreeMap::new(),
        });
        self.same_deadline();
    }

    fn map_answered(&mut self, input: Input, mut session: Session, port: RemotePort, ok: bool) {
        let outputs = self.accept(input);
        if ok {
            session.map_at.remove(&port);
            assert_eq!(outputs, [Output::Notice(Notice::Mapped(port))]);
        } else {
            let [Output::Notice(Notice::MapRefused(noted, delay))] = outputs[..] else {
                panic!("{outputs:?}");
            };
            assert_eq!(noted, port);
            check_delay(delay);
            session.map_at.insert(port, self.now.saturating_add(delay));
        }
        self.state = State::Up(session);
        self.same_deadline();
    }

    fn misbehaved(&mut self, input: Input, how: PeerMisbehaved) {
        self.feed_and_back_off(input, Some(vec![Output::Disconnect(how.into())]));
    }

    fn tick(&mut self) {
        for output in self.accept(Input::Tick) {
            self.due(output);
        }
        self.same_deadline();
        let next = self.client.poll_timeout();
        assert!(
            next.is_none_or(|at| at > self.now),
            "a deadline is in the past"
        );
    }

    /// Checks that an output of a Tick was due.
    fn due(&mut self, output: Output) {
        let now = self.now;
        match (&mut self.state, output) {
            (State::Offline(at), Output::Connect) if *at <= now => {
                self.state = State::Connecting(now + self.config.connect_deadline);
            }
            (State::Connecting(at), Output::Disconnect(reason)) if *at <= now => {
                assert_eq!(reason, DisconnectReason::ConnectOverdue);
                self.back_off_at_next_notice();
            }
            (State::Offline(at), Output::Notice(Notice::RetryIn(delay))) if *at == now + delay => {}
            (State::LoggingIn(at), Output::Disconnect(reason)) if *at <= now => {
                assert_eq!(reason, PeerMisbehaved::NoAnswer.into());
                self.back_off_at_next_notice();
            }
            (State::Up(session), Output::Send(ClientMessage::Srq)) if session.srq_at <= now => {
                let limit = session.timeout.duration();
                session.srq_at = now.saturating_add(limit / 3);
                session
                    .give_up_at
                    .get_or_insert_with(|| now.saturating_add(limit));
            }
            (State::Up(session), Output::Send(ClientMessage::Map(again))) => {
                let port = again.remote_port.remote_port().expect("was configured");
                let at = session.map_at.remove(&port).expect("was refused");
                assert!(at <= now, "the port was requested again too early");
            }
            (State::Up(session), Output::Disconnect(reason))
                if session.give_up_at.is_some_and(|at| at <= now) =>
            {
                assert_eq!(reason, PeerMisbehaved::KeepaliveUnanswered.into());
                self.back_off_at_next_notice();
            }
            (state, output) => panic!("{output:?} was not due: {state:?}"),
        }
    }

    /// Takes the delay from the machine's deadline. The notice that follows must have the same delay.
    fn back_off_at_next_notice(&mut self) {
        let at = self
            .client
            .poll_timeout()
            .expect("an offline client has a next attempt");
        self.back_off(at - self.now);
    }

    fn back_off(&mut self, delay: Duration) {
        check_delay(delay);
        if let State::Up(session) = &self.state
            && self.now - session.since >= Duration::from_secs(10)
        {
            assert!(
                delay <= Duration::from_millis(1250),
                "the delay after a session that lasted"
            );
        }
        self.state = State::Offline(self.now + delay);
    }

    /// Feeds an input that ends the connection. The outputs must be `before` and then the notice of the
    /// next attempt.
    fn feed_and_back_off(&mut self, input: Input, before: Option<Vec<Output>>) {
        let Some(mut expected) = before else {
            self.feed(input, None);
            return;
        };
        let outputs = self.accept(input);
        let Some(Output::Notice(Notice::RetryIn(delay))) = outputs.last() else {
            panic!("{outputs:?}");
        };
        expected.push(Output::Notice(Notice::RetryIn(*delay)));
        assert_eq!(outputs, expected);
        self.back_off(*delay);
        self.same_deadline();
    }

    /// Whether the input was accepted. It must be accepted with the outputs in `expected`, or rejected if
    /// `expected` is `None`.
    fn feed(&mut self, input: Input, expected: Option<Vec<Output>>) -> bool {
        if let Some(expected) = expected {
            assert_eq!(self.accept(input), expected);
            return true;
        }
        let refused = self.client.handle(self.now, input);
        assert_eq!(refused, Err(LocalMisuse::Unexpected));
        assert_eq!(self.client.poll_output(), None);
        self.same_deadline();
        false
    }

    fn accept(&mut self, input: Input) -> Vec<Output> {
        assert_eq!(self.client.handle(self.now, input), Ok(()));
        core::iter::from_fn(|| self.client.poll_output()).collect()
    }

    fn same_deadline(&self) {
        let expected = match &self.state {
            State::Offline(at) | State::Connecting(at) | State::LoggingIn(at) => Some(*at),
            State::Up(session) => session
                .map_at
                .values()
                .chain(&session.give_up_at)
                .chain([&session.srq_at])
                .min()
                .copied(),
        };
        assert_eq!(self.client.poll_timeout(), expected);
    }

    fn mapping(&self, number: crate::PortNumber) -> Option<Mapping> {
        distinct(&self.config.mappings)
            .find(|m| number == m.remote_port.into())
            .cloned()
    }
}

fn check_delay(delay: Duration) {
    let allowed = Duration::from_secs(1)..=Duration::from_secs(20);
    assert!(allowed.contains(&delay), "{delay:?}");
}

/// The first mapping of each port.
fn distinct(all: &[Mapping]) -> impl Iterator<Item = &Mapping> {
    let is_first = |at: usize| {
        !all[..at]
            .iter()
            .any(|m| m.remote_port == all[at].remote_port)
    };
    (0..all.len())
        .filter(move |at| is_first(*at))
        .map(|at| &all[at])
}

fn map(mapping: &Mapping) -> ClientMessage {
    ClientMessage::Map(Map {
        remote_port: mapping.remote_port.into(),
        target: mapping.target.clone(),
        is_open: mapping.is_open,
    })
}

/// Three mappings. The last one repeats a port.
fn config(jitter: u8) -> Config {
    let mapping = |port: i64, target: &[u8]| Mapping {
        remote_port: port.try_into().expect("a port"),
        target: target.try_into().expect("no LF"),
        is_open: port == 1,
    };
    Config::new(
        b"a"[..].try_into().expect("no LF"),
        b"alice"[..].try_into().expect("no LF"),
        b"secret"[..].try_into().expect("no LF"),
        vec![mapping(2, b"t:2"), mapping(1, b"t:1"), mapping(2, b"t:3")],
        jitter.into(),
    )
}
