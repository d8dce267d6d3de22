use super::*;

const PORT: u16 = 10_022;

/// Moments, as seconds after its start.
struct Clock(Instant);

impl Clock {
    fn start() -> Self {
        Self(Instant::now())
    }

    fn at(&self, seconds: u64) -> Moment {
        Moment {
            at: self.0 + Duration::from_secs(seconds),
            unix: 1_700_000_000 + seconds,
        }
    }
}

fn account(name: &str) -> Username {
    Username::try_from(name.as_bytes()).unwrap()
}

fn who(user: &str, name: &str) -> Who {
    Who {
        account: account(user),
        name: ClientName::try_from(name.as_bytes()).unwrap(),
    }
}

fn office() -> Who {
    who("bob", "office")
}

fn wish(port: u16, by: &str) -> Wish {
    Wish {
        who: office(),
        target: "127.0.0.1:22".parse().unwrap(),
        port,
        by: account(by),
    }
}

/// A list with a client whose poll does not end.
fn list(now: Moment) -> List {
    let mut list = List::new(1000);
    list.begin_poll(&office(), now).unwrap();
    list
}

fn state(list: &List, id: u64) -> State {
    list.find(Id(id)).unwrap().state
}

fn reason(list: &List, id: u64) -> &str {
    let reason = &list.find(Id(id)).unwrap().reason;
    reason.as_deref().unwrap_or_default()
}

fn accept(list: &mut List, id: u64, now: Moment) -> Result<State, NotDecided> {
    let decided = list.decide(Id(id), &account("bob"), &Decision::Accepted, None, now);
    decided.map(|request| request.state)
}

fn refuse(list: &mut List, id: u64, reason: &str, now: Moment) -> Result<State, NotDecided> {
    let (refused, reason) = (Decision::Refused, Some(reason.to_owned()));
    let decided = list.decide(Id(id), &account("bob"), &refused, reason, now);
    decided.map(|request| request.state)
}

fn changes(list: &mut List) -> Vec<(Option<Kind>, String)> {
    let changes = list.take_changes();
    let texts = changes.iter().map(|c| (c.kind, c.to_string()));
    texts.collect()
}

#[test]
fn a_request_is_mapped_after_it_is_accepted_and_its_port_opened() {
    let clock = Clock::start();
    // The client maps the port after it accepts, or before.
    for port_first in [false, true] {
        let mut list = list(clock.at(0));
        let asked = list.ask(wish(PORT, "alice"), Id(1), clock.at(1)).unwrap();
        assert_eq!((asked.state, asked.asked), (State::Asked, 1_700_000_001));
        if port_first {
            list.opened(PORT, 7, office(), clock.at(2));
            assert_eq!(
                state(&list, 1),
                State::Asked,
                "the client has not accepted it"
            );
            assert_eq!(accept(&mut list, 1, clock.at(3)), Ok(State::Mapped));
        } else {
            assert_eq!(accept(&mut list, 1, clock.at(2)), Ok(State::Accepted));
            list.opened(PORT, 7, office(), clock.at(3));
        }
        let request = list.find(Id(1)).unwrap();
        assert_eq!(request.state, State::Mapped);
        assert_eq!(
            (request.asked, request.changed),
            (1_700_000_001, 1_700_000_003)
        );
        let version = list.version(&office());
        assert_eq!(accept(&mut list, 1, clock.at(4)), Ok(State::Mapped));
        assert_eq!(list.version(&office()), version, "the same decision again");
    }
}

#[test]
fn only_the_requested_port_of_the_requested_client_counts_as_mapped() {
    let clock = Clock::start();
    let mut list = list(clock.at(0));
    list.ask(wish(PORT, "bob"), Id(1), clock.at(0)).unwrap();
    list.opened(PORT, 6, who("bob", "laptop"), clock.at(0));
    list.opened(PORT + 1, 7, office(), clock.at(0));
    assert_eq!(accept(&mut list, 1, clock.at(0)), Ok(State::Accepted));
    list.closed(PORT, 6, clock.at(0));
    list.opened(PORT, 8, who("alice", "office"), clock.at(0));
    assert_eq!(state(&list, 1), State::Accepted);
    list.closed(PORT, 8, clock.at(0));
    list.opened(PORT, 7, office(), clock.at(0));
    assert_eq!(state(&list, 1), State::Mapped);
    // The port is closed, and the login stays.
    list.closed(PORT, 6, clock.at(0));
    assert_eq!(
        state(&list, 1),
        State::Mapped,
        "this login has ended before"
    );
    list.closed(PORT, 7, clock.at(0));
    assert_eq!(state(&list, 1), State::Accepted);
}

#[test]
fn requests_of_a_client_that_disconnects_wait_for_a_new_decision() {
    let clock = Clock::start();
    let mut list = list(clock.at(0));
    for id in 0..4 {
        let port = PORT + u16::try_from(id).unwrap();
        list.ask(wish(port, "bob"), Id(id), clock.at(0)).unwrap();
    }
    accept(&mut list, 1, clock.at(1)).unwrap();
    accept(&mut list, 2, clock.at(1)).unwrap();
    refuse(&mut list, 3, "no", clock.at(1)).unwrap();
    list.opened(PORT + 2, 7, office(), clock.at(1));
    let states = |list: &List| (0..4).map(|id| state(list, id)).collect::<Vec<_>>();
    let before = [State::Asked, State::Accepted, State::Mapped, State::Refused];
    assert_eq!(states(&list), before);
    list.gone(6, &who("alice", "office"), clock.at(2));
    assert_eq!(states(&list), before, "the client of another account");
    list.gone(7, &office(), clock.at(2));
    let after = [State::Asked, State::Asked, State::Asked, State::Refused];
    assert_eq!(states(&list), after);
    // The end of the login has closed its port.
    assert_eq!(accept(&mut list, 2, clock.at(3)), Ok(State::Accepted));
    list.opened(PORT + 2, 8, office(), clock.at(3));
    assert_eq!(state(&list, 2), State::Mapped);
    // The old port is reported as closed only now.
    list.closed(PORT + 2, 7, clock.at(4));
    assert_eq!(state(&list, 2), State::Mapped);
}

#[test]
fn a_refused_request_keeps_its_reason_and_stays_refused() {
    let clock = Clock::start();
    let mut list = list(clock.at(0));
    for id in 0..3 {
        let port = PORT + u16::try_from(id).unwrap();
        list.ask(wish(port, "bob"), Id(id), clock.at(0)).unwrap();
    }
    accept(&mut list, 1, clock.at(0)).unwrap();
    accept(&mut list, 2, clock.at(0)).unwrap();
    list.opened(PORT + 2, 7, office(), clock.at(0));
    for id in 0..3 {
        let refused = refuse(&mut list, id, "not on the list", clock.at(1));
        assert_eq!(refused, Ok(State::Refused));
        assert_eq!(reason(&list, id), "not on the list");
        assert_eq!(
            refuse(&mut list, id, "again", clock.at(2)),
            Ok(State::Refused)
        );
        assert_eq!(reason(&list, id), "not on the list");
        assert_eq!(accept(&mut list, id, clock.at(3)), Err(NotDecided::Over));
    }
    list.opened(PORT, 7, office(), clock.at(4));
    list.gone(7, &office(), clock.at(4));
    assert_eq!(state(&list, 0), State::Refused);
    assert_eq!(list.open(&office()).count(), 0);
    // The port can be asked for again.
    list.ask(wish(PORT, "bob"), Id(9), clock.at(5)).unwrap();
    assert_eq!(list.open(&office()).count(), 1);
}

#[test]
fn only_the_account_of_the_client_decides() {
    let clock = Clock::start();
    let mut list = list(clock.at(0));
    list.ask(wish(PORT, "alice"), Id(1), clock.at(0)).unwrap();
    for (id, by) in [(1, "alice"), (1, ""), (2, "bob")] {
        let decided = list.decide(Id(id), &account(by), &Decision::Accepted, None, clock.at(0));
        assert_eq!(decided.map(|r| r.state), Err(NotDecided::Unknown));
    }
    assert_eq!(state(&list, 1), State::Asked);
}

#[test]
fn a_request_without_an_answer_is_refused_after_a_day() {
    let clock = Clock::start();
    let mut list = list(clock.at(0));
    let day = UNDECIDED.as_secs();
    list.ask(wish(PORT, "bob"), Id(1), clock.at(0)).unwrap();
    list.ask(wish(PORT + 1, "bob"), Id(2), clock.at(0)).unwrap();
    accept(&mut list, 2, clock.at(1)).unwrap();
    list.tick(clock.at(day - 1));
    assert_eq!(state(&list, 1), State::Asked);
    list.tick(clock.at(day));
    assert_eq!(state(&list, 1), State::Refused);
    assert_eq!(reason(&list, 1), "no answer within 24 hours");
    assert_eq!(state(&list, 2), State::Accepted, "it was answered");
    // The day begins again when the client disconnects.
    list.gone(7, &office(), clock.at(day + 5));
    list.tick(clock.at(2 * day + 4));
    assert_eq!(state(&list, 2), State::Asked);
    list.tick(clock.at(2 * day + 5));
    assert_eq!(state(&list, 2), State::Refused);
}

#[test]
fn a_request_that_cannot_be_mapped_is_refused_at_once() {
    let clock = Clock::start();
    let mut list = List::new(0);
    let none = list.ask(wish(PORT, "bob"), Id(1), clock.at(0));
    assert_eq!(
        none.unwrap_err(),
        NotTaken::TakesNone(office().name),
        "it does not poll"
    );
    list.begin_poll(&office(), clock.at(0)).unwrap();
    list.opened(PORT, 7, who("alice", "other"), clock.at(0));
    let mapped = list.ask(wish(PORT, "bob"), Id(1), clock.at(0));
    assert_eq!(mapped.unwrap_err(), NotTaken::Mapped(PORT));
    list.closed(PORT, 7, clock.at(0));
    list.ask(wish(PORT, "bob"), Id(1), clock.at(0)).unwrap();
    // A request with another target of another account is refused, too.
    let mut other = wish(PORT, "alice");
    other.target = "127.0.0.1:23".parse().unwrap();
    let twice = list.ask(other, Id(2), clock.at(0)).unwrap_err();
    assert_eq!(twice, NotTaken::Open(office().name, PORT));
    assert!(!twice.is_bound());
    assert_eq!(list.all().count(), 1);
}

#[test]
fn a_client_takes_requests_while_it_polls_and_a_minute_longer() {
    let clock = Clock::start();
    let mut list = list(clock.at(0));
    // A second poll of the same client, which ends later.
    list.begin_poll(&office(), clock.at(1)).unwrap();
    list.end_poll(&office(), clock.at(5));
    list.tick(clock.at(500));
    assert!(list.takes(&office(), clock.at(500)));
    list.end_poll(&office(), clock.at(600));
    assert!(list.takes(&office(), clock.at(659)));
    assert_eq!(list.takers(clock.at(659)).count(), 1);
    assert!(!list.takes(&office(), clock.at(660)));
    assert_eq!(list.takers(clock.at(660)).count(), 0);
    list.tick(clock.at(660));
    assert!(
        list.takers.is_empty(),
        "a client that has gone uses no memory"
    );
}

#[test]
fn polls_and_polling_clients_are_bounded() {
    let clock = Clock::start();
    let mut list = List::new(0);
    for number in 0..MOST_POLLS {
        let who = who("bob", &number.to_string());
        list.begin_poll(&who, clock.at(0)).unwrap();
    }
    assert_eq!(list.begin_poll(&who("bob", "0"), clock.at(0)), Err(TooMany));
    list.end_poll(&who("bob", "0"), clock.at(0));
    assert_eq!(list.begin_poll(&who("bob", "0"), clock.at(0)), Ok(()));
    // Many clients, which poll one after the other.
    let mut list = List::new(0);
    let once = |list: &mut List, user: usize, name: usize| {
        let who = who(&user.to_string(), &name.to_string());
        list.begin_poll(&who, clock.at(0))?;
        list.end_poll(&who, clock.at(0));
        Ok(())
    };
    for name in 0..MOST_TAKERS.1 {
        assert_eq!(once(&mut list, 0, name), Ok(()));
    }
    assert_eq!(once(&mut list, 0, MOST_TAKERS.1), Err(TooMany));
    assert_eq!(once(&mut list, 0, 0), Ok(()), "a known client");
    for number in MOST_TAKERS.1..MOST_TAKERS.0 {
        assert_eq!(once(&mut list, number, 0), Ok(()));
    }
    assert_eq!(once(&mut list, 1, 0), Err(TooMany));
    list.tick(clock.at(60));
    assert_eq!(once(&mut list, 1, 0), Ok(()));
}

/// Adds `count` requests of one account. `from` is the first id.
fn ask_many(list: &mut List, by: &str, from: u64, count: u64, now: Moment) {
    for id in from..from + count {
        let port = u16::try_from(id + 1).unwrap();
        list.ask(wish(port, by), Id(id), now).unwrap();
    }
}

#[test]
fn an_account_has_a_hundred_requests_and_refused_ones_are_replaced() {
    let clock = Clock::start();
    let mut list = list(clock.at(0));
    ask_many(&mut list, "alice", 0, 100, clock.at(0));
    let over = list.ask(wish(200, "alice"), Id(200), clock.at(1));
    assert_eq!(over.unwrap_err(), NotTaken::ManyOfAccount);
    assert!(NotTaken::ManyOfAccount.is_bound());
    list.ask(wish(201, "bob"), Id(201), clock.at(1)).unwrap();
    // The request that was refused first is dropped, not the one that was asked first.
    refuse(&mut list, 50, "no", clock.at(2)).unwrap();
    refuse(&mut list, 10, "no", clock.at(3)).unwrap();
    refuse(&mut list, 201, "no", clock.at(1)).unwrap();
    list.ask(wish(202, "alice"), Id(202), clock.at(4)).unwrap();
    assert!(list.find(Id(50)).is_none());
    assert!(list.find(Id(10)).is_some() && list.find(Id(201)).is_some());
    assert_eq!(list.all().count(), 101);
}

#[test]
fn a_thousand_requests_are_kept_in_all() {
    let clock = Clock::start();
    let mut list = list(clock.at(0));
    for number in 0..10 {
        let by = number.to_string();
        ask_many(&mut list, &by, 100 * number, 100, clock.at(number));
    }
    let over = list.ask(wish(2000, "new"), Id(2000), clock.at(20));
    assert_eq!(over.unwrap_err(), NotTaken::Many);
    assert!(NotTaken::Many.is_bound());
    refuse(&mut list, 7, "no", clock.at(21)).unwrap();
    list.ask(wish(2000, "new"), Id(2000), clock.at(22)).unwrap();
    assert!(list.find(Id(7)).is_none());
    assert_eq!(list.all().count(), 1000);
    assert_eq!(list.counts().values().sum::<usize>(), 1000);
}

#[test]
fn a_withdrawn_request_is_removed_and_names_the_login_with_its_port() {
    let clock = Clock::start();
    let mut list = list(clock.at(0));
    ask_many(&mut list, "alice", 0, 3, clock.at(0));
    accept(&mut list, 1, clock.at(0)).unwrap();
    list.opened(2, 7, office(), clock.at(0));
    // The client has mapped this port for another reason: it has not accepted the request.
    list.opened(3, 7, office(), clock.at(0));
    for (id, login) in [(0, None), (1, Some(7)), (2, None)] {
        let version = list.version(&office());
        let (request, found) = list.withdraw(Id(id), &account("alice")).unwrap();
        assert_eq!((request.id, found), (Id(id), login));
        assert_ne!(list.version(&office()), version);
        assert!(list.withdraw(Id(id), &account("alice")).is_none());
    }
    assert_eq!(list.all().count(), 0);
}

#[test]
fn a_version_changes_with_its_client_alone_and_is_not_used_twice() {
    let clock = Clock::start();
    let (mut list, laptop) = (list(clock.at(0)), who("bob", "laptop"));
    list.begin_poll(&laptop, clock.at(0)).unwrap();
    let first = list.version(&office()).unwrap();
    assert!(first > 1000);
    let of_laptop = list.version(&laptop);
    list.ask(wish(PORT, "bob"), Id(1), clock.at(0)).unwrap();
    let second = list.version(&office()).unwrap();
    assert!(second > first);
    assert_eq!(list.version(&laptop), of_laptop);
    // The client is removed, and returns without a new request.
    list.end_poll(&office(), clock.at(0));
    list.tick(clock.at(100));
    assert_eq!(list.version(&office()), None);
    list.begin_poll(&office(), clock.at(100)).unwrap();
    assert!(list.version(&office()).unwrap() > second);
    assert_eq!(list.open(&office()).count(), 1);
}

#[test]
fn each_step_of_a_request_is_reported_once() {
    let clock = Clock::start();
    let mut list = list(clock.at(0));
    let about = "request for port 10022 -> 127.0.0.1:22 of client office";
    let told = |kind, text: &str| vec![(kind, format!("{about} {text}"))];
    list.ask(wish(PORT, "alice"), Id(1), clock.at(0)).unwrap();
    let asked = told(Some(Kind::RequestAsked), "asked by alice");
    assert_eq!(changes(&mut list), asked);
    accept(&mut list, 1, clock.at(0)).unwrap();
    let accepted = told(Some(Kind::RequestAccepted), "accepted");
    assert_eq!(changes(&mut list), accepted);
    accept(&mut list, 1, clock.at(0)).unwrap();
    assert_eq!(changes(&mut list), []);
    list.opened(PORT, 7, office(), clock.at(0));
    let mapped = told(Some(Kind::RequestMapped), "mapped");
    assert_eq!(changes(&mut list), mapped);
    // The end of the login is an event of its own.
    list.gone(7, &office(), clock.at(0));
    assert_eq!(changes(&mut list), told(None, "asked by alice"));
    refuse(&mut list, 1, "not on the list", clock.at(0)).unwrap();
    let refused = told(Some(Kind::RequestRefused), "refused: not on the list");
    assert_eq!(changes(&mut list), refused);
    list.withdraw(Id(1), &account("alice")).unwrap();
    let withdrawn = told(Some(Kind::RequestWithdrawn), "withdrawn by alice");
    assert_eq!(changes(&mut list), withdrawn);
}

#[test]
fn a_request_is_shown_as_the_api_document_says() {
    let clock = Clock::start();
    let mut list = list(clock.at(0));
    let told = list.ask(wish(PORT, "alice"), Id(0xab), clock.at(5));
    assert_eq!(
        serde_json::to_value(told.unwrap().view()).unwrap(),
        serde_json::json!({
            "id": "00000000000000ab", "client": "office", "user": "bob",
            "target": "127.0.0.1:22", "port": 10022, "by": "alice",
            "asked": 1_700_000_005, "changed": 1_700_000_005, "state": "asked", "reason": null,
        })
    );
    assert_eq!(Id::parse("00000000000000ab"), Some(Id(0xab)));
    for other in ["ab", "00000000000000AB", "+0000000000000ab", "", "x"] {
        assert_eq!(Id::parse(other), None, "{other}");
    }
}
