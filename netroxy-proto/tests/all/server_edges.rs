//! What whole sessions do not show of the server machine: order, tokens, limits, misuse.

use std::time::Duration;

use netroxy_proto::server::{
    CloseReason, Config, ConnId, Input, Listener, MappingId, Output, RefuseReason, Server, UserId,
};
use netroxy_proto::{
    Ars, Ath, ClientMessage, LocalMisuse, Map, Mrs, ParseError, ParseErrorKind, PeerMisbehaved,
    ServerMessage, Token, Trq, Trs,
};

#[test]
fn answers_keep_the_order_of_the_messages() {
    let mut server = server();
    login(&mut server, 1, "a");
    let slow = map(&mut server, 1, 8080);
    // After the port that is being opened: a refusal, another port, a keepalive.
    assert_eq!(message(&mut server, 1, map_message(0)), []);
    let fast = map(&mut server, 1, 8081);
    assert_eq!(message(&mut server, 1, ClientMessage::Srq), []);
    assert_eq!(
        feed(&mut server, Input::ListenerOpened { mapping: fast }),
        []
    );
    let user = user_accepted(fast, 1);
    assert_eq!(
        feed(&mut server, user),
        [],
        "TRQ must not come before the MRS of its port"
    );
    assert_eq!(
        feed(&mut server, Input::ListenerFailed { mapping: slow }),
        [
            send(1, mrs(8080, false)),
            send(1, mrs(0, false)),
            send(1, mrs(8081, true)),
            send(1, ServerMessage::Srs),
            send(1, trq(8081)),
        ]
    );
}

#[test]
fn another_connection_does_not_wait_for_a_port_that_is_being_opened() {
    let mut server = server();
    login(&mut server, 1, "a");
    login(&mut server, 2, "b");
    map(&mut server, 1, 8080);
    let srs = [send(2, ServerMessage::Srs)];
    assert_eq!(message(&mut server, 2, ClientMessage::Srq), srs);
}

#[test]
fn a_driver_that_checks_logins_decides_alone() {
    let (timeout, secret) = (300.try_into().unwrap(), "secret".to_owned());
    let mut server = Server::new(Config::checked_by_driver(timeout));
    let ath = |username: &str| Ath {
        client_name: "laptop".to_owned().try_into().unwrap(),
        username: username.to_owned().try_into().unwrap(),
        password: secret.clone().try_into().unwrap(),
    };
    let mut login = |conn, username, granted| {
        feed(&mut server, accepted(conn, Listener::Plain));
        let (conn, ath) = (ConnId(conn), ath(username));
        feed(&mut server, Input::Login { conn, ath, granted })
    };
    let logged_in = |outputs: &[Output]| matches!(outputs, [Output::LoggedIn { .. }, _]);
    assert!(logged_in(&login(1, "alice", true)));
    // The same client name with another user name is another client.
    assert!(logged_in(&login(2, "bob", true)));
    let refused = login(3, "alice", false);
    assert!(matches!(
        refused[..],
        [
            Output::Send { .. },
            Output::Close {
                reason: CloseReason::Rejected,
                ..
            },
        ]
    ));
    let replaced = login(4, "alice", true);
    assert_eq!(replaced[0], close(1, CloseReason::Replaced));
    // A machine without credentials rejects every ATH that it has to check.
    feed(&mut server, accepted(5, Listener::Plain));
    let outputs = message(&mut server, 5, ClientMessage::Ath(ath("alice")));
    assert_eq!(outputs[1], close(5, CloseReason::Rejected));
}

#[test]
fn a_client_keeps_the_timeout_that_it_was_sent() {
    let mut server = server();
    login(&mut server, 1, "a");
    let told = server.poll_timeout().unwrap();
    let mut shorter = config();
    shorter.timeout = 30.try_into().unwrap();
    server.set_config(shorter);
    assert_eq!(message(&mut server, 1, ClientMessage::Srq).len(), 1);
    assert_eq!(server.poll_timeout(), Some(told));
}

#[test]
fn each_user_causes_one_trq_in_their_order() {
    let mut server = server();
    login(&mut server, 1, "a");
    let (first, second) = (open(&mut server, 1, 1001), open(&mut server, 1, 1002));
    for (user, mapping, port) in [(1, second, 1002), (2, first, 1001), (3, second, 1002)] {
        let asked = feed(&mut server, user_accepted(mapping, user));
        assert_eq!(asked, [send(1, trq(port))]);
    }
    assert_eq!(join(&mut server, 2, 1, 1002), joined(2, 1));
    assert_eq!(join(&mut server, 3, 1, 1002), joined(3, 3));
    assert_eq!(join(&mut server, 4, 1, 1001), joined(4, 2));
}

#[test]
fn a_user_that_has_gone_is_not_joined() {
    let mut server = server();
    login(&mut server, 1, "a");
    let mapping = open(&mut server, 1, 8080);
    for user in [1, 2] {
        feed(&mut server, user_accepted(mapping, user));
    }
    assert_eq!(feed(&mut server, Input::UserGone { user: UserId(1) }), []);
    assert_eq!(join(&mut server, 2, 1, 8080), joined(2, 2));
    let unasked = PeerMisbehaved::NoWaitingUser.into();
    assert_eq!(join(&mut server, 3, 1, 8080), [close(3, unasked)]);
}

#[test]
fn a_user_is_refused_if_too_many_wait_on_the_port() {
    let mut server = server();
    login(&mut server, 1, "a");
    let (full, other) = (open(&mut server, 1, 8080), open(&mut server, 1, 8081));
    for user in [1, 2] {
        feed(&mut server, user_accepted(full, user));
    }
    let refused = [refuse(3, RefuseReason::TooManyWaiting)];
    assert_eq!(feed(&mut server, user_accepted(full, 3)), refused);
    let asked = [send(1, trq(8081))];
    assert_eq!(feed(&mut server, user_accepted(other, 4)), asked);
    join(&mut server, 2, 1, 8080);
    let asked = [send(1, trq(8080))];
    assert_eq!(feed(&mut server, user_accepted(full, 5)), asked);
}

#[test]
fn a_token_is_valid_only_on_its_own_listener() {
    let mut server = server();
    login(&mut server, 1, "a");
    let mapping = open(&mut server, 1, 8080);
    feed(&mut server, user_accepted(mapping, 1));
    feed(&mut server, accepted(2, Listener::Tls));
    let unknown = PeerMisbehaved::UnknownToken.into();
    assert_eq!(message(&mut server, 2, trs(1, 8080)), [close(2, unknown)]);
    assert_eq!(join(&mut server, 3, 1, 8080), joined(3, 1));
}

#[test]
fn a_token_is_valid_only_for_the_ports_of_its_client() {
    let mut server = server();
    login(&mut server, 1, "a");
    login(&mut server, 2, "b");
    let mapping = open(&mut server, 1, 8080);
    feed(&mut server, user_accepted(mapping, 1));
    let not_mapped: CloseReason = PeerMisbehaved::PortNotMapped.into();
    assert_eq!(join(&mut server, 3, 2, 8080), [close(3, not_mapped)]);
}

#[test]
fn a_token_is_valid_only_while_its_login_lasts() {
    let mut server = server();
    login(&mut server, 1, "a");
    open(&mut server, 1, 8080);
    feed(&mut server, Input::Ended { conn: ConnId(1) });
    feed(&mut server, accepted(2, Listener::Plain));
    let unknown: CloseReason = PeerMisbehaved::UnknownToken.into();
    assert_eq!(join(&mut server, 3, 1, 8080), [close(3, unknown.clone())]);
    assert_eq!(join(&mut server, 4, 2, 8080), [close(4, unknown)]);
}

#[test]
fn trs_on_a_control_connection_ends_the_login() {
    let mut server = server();
    login(&mut server, 1, "a");
    let mapping = open(&mut server, 1, 8080);
    feed(&mut server, user_accepted(mapping, 1));
    assert_eq!(
        message(&mut server, 1, trs(1, 8080)),
        [
            close(1, PeerMisbehaved::TrsOnControl.into()),
            Output::CloseListener { mapping },
            refuse(1, RefuseReason::ClientGone),
        ]
    );
    assert_eq!(server.census(), (0, 0, 0));
}

#[test]
fn a_login_that_ends_while_its_port_is_being_opened_frees_the_port() {
    let mut server = server();
    login(&mut server, 1, "a");
    let (opens, fails) = (map(&mut server, 1, 8080), map(&mut server, 1, 8081));
    let stop = |mapping| Output::CloseListener { mapping };
    let ended = feed(&mut server, Input::Ended { conn: ConnId(1) });
    assert_eq!(ended, [stop(opens), stop(fails)]);
    let late = feed(&mut server, Input::ListenerOpened { mapping: opens });
    assert_eq!(late, [stop(opens)]);
    assert_eq!(
        feed(&mut server, Input::ListenerFailed { mapping: fails }),
        []
    );
    let late = feed(&mut server, user_accepted(opens, 1));
    assert_eq!(late, [refuse(1, RefuseReason::ClientGone)]);
    // The port is free for the next login at once.
    login(&mut server, 2, "b");
    open(&mut server, 2, 8080);
}

#[test]
fn users_that_connected_before_a_port_failed_are_closed() {
    let mut server = server();
    login(&mut server, 1, "a");
    let mapping = map(&mut server, 1, 8080);
    feed(&mut server, user_accepted(mapping, 1));
    let outputs = feed(&mut server, Input::ListenerFailed { mapping });
    assert!(outputs.contains(&send(1, mrs(8080, false))));
    assert!(outputs.contains(&refuse(1, RefuseReason::ClientGone)));
    assert_eq!(server.census(), (1, 0, 0));
}

#[test]
fn a_login_with_an_empty_client_name_replaces_no_login() {
    let mut server = server();
    login(&mut server, 1, "");
    login(&mut server, 2, "");
    assert_eq!(server.census(), (2, 0, 0));
}

#[test]
fn misuse_is_rejected_and_changes_nothing() {
    let mut server = server();
    login(&mut server, 1, "a");
    let mapping = open(&mut server, 1, 8080);
    feed(&mut server, user_accepted(mapping, 1));
    let before = (server.census(), server.poll_timeout());
    for (input, misuse) in [
        (accepted(1, Listener::Tls), LocalMisuse::DuplicateId),
        (user_accepted(mapping, 1), LocalMisuse::DuplicateId),
        (Input::ListenerOpened { mapping }, LocalMisuse::Unexpected),
        (Input::ListenerFailed { mapping }, LocalMisuse::Unexpected),
    ] {
        assert_eq!(server.handle(Duration::ZERO, input), Err(misuse));
        assert_eq!(server.poll_output(), None);
        assert_eq!((server.census(), server.poll_timeout()), before);
    }
}

#[test]
fn inputs_about_forgotten_connections_and_users_are_ignored() {
    let mut server = server();
    login(&mut server, 1, "a");
    let mapping = open(&mut server, 1, 8080);
    feed(&mut server, user_accepted(mapping, 1));
    assert_eq!(join(&mut server, 2, 1, 8080), joined(2, 1));
    let conn = ConnId(2);
    let error = ParseError {
        line: 1,
        kind: ParseErrorKind::LineTooLong { limit: 1 },
    };
    for input in [
        Input::Ended { conn },
        Input::Malformed { conn, error },
        Input::UserGone { user: UserId(1) },
        Input::UserGone { user: UserId(9) },
        Input::Ended { conn: ConnId(9) },
    ] {
        assert_eq!(feed(&mut server, input), []);
    }
    assert_eq!(message(&mut server, 2, ClientMessage::Srq), []);
    assert_eq!(server.census(), (1, 1, 0));
}

#[test]
fn a_deadline_of_duration_max_never_comes() {
    let mut config = config();
    config.login_deadline = Duration::MAX;
    config.user_deadline = Duration::MAX;
    let mut server = Server::new(config);
    feed(&mut server, accepted(1, Listener::Plain));
    assert_eq!(server.poll_timeout(), None);
    let now = Duration::from_secs(1 << 40);
    server.handle(now, Input::Tick).unwrap();
    assert_eq!(server.poll_output(), None);
}

fn config() -> Config {
    let mut config = Config::new(
        "alice".to_owned().try_into().unwrap(),
        "secret".to_owned().try_into().unwrap(),
        300.try_into().unwrap(),
    );
    config.max_waiting = 2;
    config
}

fn server() -> Server {
    Server::new(config())
}

fn feed(server: &mut Server, input: Input) -> Vec<Output> {
    server.handle(Duration::ZERO, input).unwrap();
    std::iter::from_fn(|| server.poll_output()).collect()
}

fn message(server: &mut Server, conn: u64, message: ClientMessage) -> Vec<Output> {
    let conn = ConnId(conn);
    feed(server, Input::Message { conn, message })
}

fn accepted(conn: u64, listener: Listener) -> Input {
    Input::Accepted {
        conn: ConnId(conn),
        listener,
        token: token(conn),
    }
}

fn token(conn: u64) -> Token {
    Token::from_random(u128::from(conn).to_be_bytes())
}

fn login(server: &mut Server, conn: u64, name: &str) {
    feed(server, accepted(conn, Listener::Plain));
    let ath = ClientMessage::Ath(Ath {
        client_name: name.to_owned().try_into().unwrap(),
        username: "alice".to_owned().try_into().unwrap(),
        password: "secret".to_owned().try_into().unwrap(),
    });
    let outputs = message(server, conn, ath);
    let ars = Ars::Accepted {
        timeout: 300.try_into().unwrap(),
        token: token(conn),
    };
    assert_eq!(outputs.last(), Some(&send(conn, ServerMessage::Ars(ars))));
}

fn map_message(port: i64) -> ClientMessage {
    ClientMessage::Map(Map {
        remote_port: port.into(),
        target: "t:1".to_owned().try_into().unwrap(),
        is_open: true,
    })
}

fn map(server: &mut Server, conn: u64, port: i64) -> MappingId {
    match message(server, conn, map_message(port))[..] {
        [Output::OpenListener { mapping, .. }] => mapping,
        ref other => panic!("{other:?}"),
    }
}

fn open(server: &mut Server, conn: u64, port: i64) -> MappingId {
    let mapping = map(server, conn, port);
    let answered = feed(server, Input::ListenerOpened { mapping });
    assert_eq!(answered, [send(conn, mrs(port, true))]);
    mapping
}

fn user_accepted(mapping: MappingId, user: u64) -> Input {
    let user = UserId(user);
    Input::UserAccepted { mapping, user }
}

fn trs(owner: u64, port: i64) -> ClientMessage {
    ClientMessage::Trs(Trs {
        token: token(owner),
        remote_port: port.into(),
    })
}

/// A new data connection with the token of `owner`.
fn join(server: &mut Server, conn: u64, owner: u64, port: i64) -> Vec<Output> {
    feed(server, accepted(conn, Listener::Plain));
    message(server, conn, trs(owner, port))
}

fn joined(conn: u64, user: u64) -> [Output; 1] {
    let (conn, user) = (ConnId(conn), UserId(user));
    [Output::Join { conn, user }]
}

fn send(conn: u64, message: ServerMessage) -> Output {
    let conn = ConnId(conn);
    Output::Send { conn, message }
}

fn close(conn: u64, reason: CloseReason) -> Output {
    let conn = ConnId(conn);
    Output::Close { conn, reason }
}

fn refuse(user: u64, reason: RefuseReason) -> Output {
    let user = UserId(user);
    Output::RefuseUser { user, reason }
}

fn mrs(port: i64, is_ok: bool) -> ServerMessage {
    let remote_port = port.into();
    ServerMessage::Mrs(Mrs { remote_port, is_ok })
}

fn trq(port: i64) -> ServerMessage {
    let remote_port = port.into();
    ServerMessage::Trq(Trq { remote_port })
}
