//! Requests for mappings: accounts ask over the API, and a client answers over the API and by MAP.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::support::http::{Answer, Request, Session, Stream};
use crate::support::{Client, PATIENCE, Rig, free_port, is_closed, map, receives};

/// alice is the administrator. carol may not map the ports of the tests.
const MEMBERS: &str = r#""username": "alice", "password": "rose", "timeout": 60,
    "users": [{"username": "bob", "password": "tulip"},
        {"username": "carol", "password": "lily", "allowedPorts": "65000"}],
    "web": {"enabled": true, "port": 1}"#;

/// A server, the session of bob, and his client `office`, which takes requests.
struct Scene {
    rig: Rig,
    bob: Session,
    office: Client,
}

impl Scene {
    async fn start() -> Self {
        let rig = Rig::start_with(MEMBERS).await;
        let bob = rig.sign_in("bob", "tulip").await;
        let office = rig.client("office", "bob", "tulip").await;
        let scene = Self { rig, bob, office };
        scene.poll("").await;
        scene
    }

    /// Polls for the client.
    async fn poll(&self, query: &str) -> Value {
        let path = format!("/api/v1/clients/office/requests{query}");
        self.rig.get(&path, &self.bob).await
    }

    /// Bob asks his client for a mapping. The result is the id of the request.
    async fn ask(&self, port: u16) -> String {
        let asked = self.try_to_ask(&self.bob, &wish(port)).await;
        assert_eq!(asked.status, 201, "{asked:?}");
        asked.json()["id"].as_str().unwrap().to_owned()
    }

    async fn try_to_ask(&self, by: &Session, wish: &Value) -> Answer {
        let request = by.change("POST", "/api/v1/requests").json(wish);
        self.rig.ask(request).await
    }

    async fn decide(&self, by: &Session, id: &str, decision: &Value) -> Answer {
        let path = format!("/api/v1/requests/{id}");
        self.rig.ask(by.change("POST", &path).json(decision)).await
    }

    async fn withdraw(&self, by: &Session, id: &str) -> Answer {
        let path = format!("/api/v1/requests/{id}");
        self.rig.ask(by.change("DELETE", &path)).await
    }

    /// The requests that a session sees.
    async fn seen(&self, by: &Session) -> Vec<Value> {
        let seen = self.rig.get("/api/v1/requests", by).await;
        seen["requests"].as_array().unwrap().clone()
    }

    /// The state and the reason of the only request.
    async fn state(&self) -> (String, Value) {
        let seen = self.seen(&self.bob).await;
        assert_eq!(seen.len(), 1, "{seen:?}");
        let state = seen[0]["state"].as_str().unwrap().to_owned();
        (state, seen[0]["reason"].clone())
    }

    /// Disconnects the client, and waits until the server has ended its login.
    async fn lose_client(self) -> (Rig, Session) {
        let Self { rig, bob, office } = self;
        drop(office);
        let none = json!([]);
        rig.wait_for("/api/v1/clients", &bob, |seen| seen["clients"] == none)
            .await;
        (rig, bob)
    }
}

fn wish(port: u16) -> Value {
    json!({"client": "office", "target": "127.0.0.1:22", "port": port})
}

fn accepted() -> Value {
    json!({"state": "accepted"})
}

fn refused(reason: &str) -> Value {
    json!({"state": "refused", "reason": reason})
}

/// The error text of an answer.
#[track_caller]
fn error(answer: &Answer, status: u16) -> String {
    assert_eq!(answer.status, status, "{answer:?}");
    answer.json()["error"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_client_receives_a_request_accepts_it_and_maps_the_port() {
    let (mut scene, port) = (Scene::start().await, free_port());
    let clients = scene.rig.get("/api/v1/clients", &scene.bob).await;
    assert_eq!(clients["clients"][0]["takes_requests"], true);
    let version = scene.poll("").await["version"].as_u64().unwrap();
    let query = format!("?wait=25&version={version}");
    let (told, id) = tokio::join!(scene.poll(&query), scene.ask(port));
    assert_ne!(told["version"], version);
    let request = &told["requests"][0];
    for (member, value) in [
        ("id", json!(id)),
        ("client", json!("office")),
        ("target", json!("127.0.0.1:22")),
        ("port", json!(port)),
        ("by", json!("bob")),
        ("state", json!("asked")),
        ("reason", json!(null)),
    ] {
        assert_eq!(request[member], value, "{member}");
    }
    assert_eq!(id.len(), 16);
    let decided = scene.decide(&scene.bob, &id, &accepted()).await;
    assert_eq!(decided.json()["state"], "accepted");
    scene.office.map(port).await;
    assert_eq!(scene.state().await.0, "mapped");
    let again = scene.decide(&scene.bob, &id, &accepted()).await;
    assert_eq!(
        (again.status, &again.json()["state"]),
        (200, &json!("mapped"))
    );
    let (mut user, mut data) = scene.rig.tunnel(&mut scene.office, port).await;
    user.write_all(b"hello").await.unwrap();
    receives(&mut data, b"hello").await;
}

#[tokio::test]
async fn a_client_may_map_the_port_before_it_accepts_the_request() {
    let (mut scene, port) = (Scene::start().await, free_port());
    let id = scene.ask(port).await;
    scene.office.map(port).await;
    assert_eq!(scene.state().await.0, "asked");
    let decided = scene.decide(&scene.bob, &id, &accepted()).await;
    assert_eq!(decided.json()["state"], "mapped");
}

#[tokio::test]
async fn a_refused_request_shows_its_reason_and_stays_refused() {
    let (scene, port) = (Scene::start().await, free_port());
    let id = scene.ask(port).await;
    let why = "127.0.0.1:22 is not on the list of this client";
    let decided = scene.decide(&scene.bob, &id, &refused(why)).await;
    assert_eq!(decided.json()["reason"], why);
    assert_eq!(scene.state().await, ("refused".to_owned(), json!(why)));
    assert_eq!(scene.poll("").await["requests"], json!([]));
    let late = scene.decide(&scene.bob, &id, &accepted()).await;
    assert_eq!(error(&late, 409), "the request was refused before");
    // The port can be asked for again, and an accepted request can be refused.
    let id = scene.ask(port).await;
    scene.decide(&scene.bob, &id, &accepted()).await;
    let decided = scene
        .decide(&scene.bob, &id, &json!({"state": "refused"}))
        .await;
    let decided = decided.json();
    assert_eq!(
        (&decided["state"], &decided["reason"]),
        (&json!("refused"), &json!(null))
    );
    let events = scene.rig.get("/api/v1/events", &scene.bob).await;
    let events = events["events"].as_array().unwrap();
    let about = format!("request for port {port} -> 127.0.0.1:22 of client office");
    for (kind, text) in [
        ("request_asked", format!("{about} asked by bob")),
        ("request_refused", format!("{about} refused: {why}")),
        ("request_accepted", format!("{about} accepted")),
    ] {
        assert!(
            events
                .iter()
                .any(|e| e["kind"] == kind && e["text"] == text),
            "{text} in {events:?}"
        );
    }
}

#[tokio::test]
async fn a_withdrawn_request_is_removed_and_its_port_is_freed() {
    let (mut scene, port) = (Scene::start().await, free_port());
    let id = scene.ask(port).await;
    scene.decide(&scene.bob, &id, &accepted()).await;
    scene.office.map(port).await;
    let (mut user, mut data) = scene.rig.tunnel(&mut scene.office, port).await;
    let version = scene.poll("").await["version"].as_u64().unwrap();
    let query = format!("?wait=25&version={version}");
    let withdraw = scene.withdraw(&scene.bob, &id);
    let (told, withdrawn) = tokio::join!(scene.poll(&query), withdraw);
    assert_eq!((withdrawn.status, withdrawn.body.as_str()), (204, ""));
    assert_eq!(told["requests"], json!([]));
    assert_eq!(
        error(&scene.withdraw(&scene.bob, &id).await, 404),
        "no such request"
    );
    let decided = scene.decide(&scene.bob, &id, &accepted()).await;
    assert_eq!(error(&decided, 404), "no such request");
    // The port refuses new users, and the open tunnel stays.
    assert!(TcpStream::connect(("127.0.0.1", port)).await.is_err());
    let mappings = scene.rig.get("/api/v1/mappings", &scene.bob).await;
    assert_eq!(mappings["mappings"], json!([]));
    user.write_all(b"still here").await.unwrap();
    receives(&mut data, b"still here").await;
    let again = scene.ask(port).await;
    assert_eq!(scene.withdraw(&scene.bob, &again).await.status, 204);
    // The client has received no message. In the protocol it has this port until its next login.
    assert!(!map(&mut scene.office.control, port).await);
    let mut office = scene.rig.client("office", "bob", "tulip").await;
    assert!(is_closed(&mut scene.office.control).await);
    office.map(port).await;
    scene.rig.tunnel(&mut office, port).await;
}

#[tokio::test]
async fn a_port_that_was_mapped_without_accepting_the_request_stays() {
    let (mut scene, port) = (Scene::start().await, free_port());
    let id = scene.ask(port).await;
    scene.office.map(port).await;
    let asked = scene.withdraw(&scene.bob, &id).await;
    assert_eq!(asked.status, 204);
    scene.rig.tunnel(&mut scene.office, port).await;
}

#[tokio::test]
async fn a_client_decides_again_after_a_new_login() {
    let (mut scene, port) = (Scene::start().await, free_port());
    let id = scene.ask(port).await;
    scene.decide(&scene.bob, &id, &accepted()).await;
    scene.office.map(port).await;
    let (rig, bob) = scene.lose_client().await;
    let seen = rig.get("/api/v1/requests", &bob).await;
    assert_eq!(seen["requests"][0]["state"], "asked");
    // A client may remember its decision and send it again.
    let office = rig.client("office", "bob", "tulip").await;
    let mut scene = Scene { rig, bob, office };
    let decided = scene.decide(&scene.bob, &id, &accepted()).await;
    assert_eq!(decided.json()["state"], "accepted");
    scene.office.map(port).await;
    assert_eq!(scene.state().await.0, "mapped");
    // The same after a login that replaces the other one.
    scene.office = scene.rig.client("office", "bob", "tulip").await;
    assert_eq!(scene.state().await.0, "asked");
}

#[tokio::test]
async fn another_account_cannot_see_ask_or_decide() {
    let (scene, port) = (Scene::start().await, free_port());
    let id = scene.ask(port).await;
    let (carol, path) = (
        scene.rig.sign_in("carol", "lily").await,
        format!("/api/v1/requests/{id}"),
    );
    assert_eq!(scene.seen(&carol).await, Vec::<Value>::new());
    let unknown = scene
        .try_to_ask(
            &carol,
            &json!({"client": "nobody", "target": "127.0.0.1:22", "port": 65_000}),
        )
        .await;
    let foreign = scene
        .try_to_ask(
            &carol,
            &json!({"client": "office", "user": "bob", "target": "127.0.0.1:22", "port": 65_000}),
        )
        .await;
    assert_eq!(error(&foreign, 404), error(&unknown, 404));
    for request in [
        carol.change("POST", &path).json(&accepted()),
        carol.change("DELETE", &path),
        carol.change("DELETE", "/api/v1/requests/0000000000000000"),
        carol.change("DELETE", "/api/v1/requests/x"),
    ] {
        let text = request.text();
        let answer = scene.rig.ask(request).await;
        assert_eq!(error(&answer, 404), "no such request", "{text}");
    }
    // Each account has client names of its own: this answer is about a client of carol.
    let told = scene
        .rig
        .get("/api/v1/clients/office/requests", &carol)
        .await;
    assert_eq!(told["requests"], json!([]));
    let events = scene.rig.get("/api/v1/events", &carol).await.to_string();
    assert!(!events.contains("office"), "{events}");
    let mut stream = Stream::open(&scene.rig, &carol).await;
    assert_eq!(stream.next().await.unwrap()["requests"], json!([]));
    // An administrator cannot decide for a client of another account.
    let alice = scene.rig.sign_in("alice", "rose").await;
    let decided = scene.decide(&alice, &id, &accepted()).await;
    assert_eq!(error(&decided, 404), "no such request");
    assert_eq!(scene.state().await.0, "asked");
}

#[tokio::test]
async fn an_administrator_sees_asks_and_withdraws_everything() {
    let (scene, port) = (Scene::start().await, free_port());
    let (alice, own) = (
        scene.rig.sign_in("alice", "rose").await,
        scene.ask(port).await,
    );
    let asked = scene.try_to_ask(&alice, &wish(port + 1)).await;
    let asked = asked.json();
    assert_eq!(
        (&asked["by"], &asked["user"], &asked["client"]),
        (&json!("alice"), &json!("bob"), &json!("office"))
    );
    let (seen, of_bob) = (scene.seen(&alice).await, scene.seen(&scene.bob).await);
    assert_eq!(seen.len(), 2);
    assert_eq!(seen, of_bob, "the newest first");
    assert_eq!(seen[1]["id"], own.as_str());
    // Bob's client may refuse the request, but bob may not withdraw it: alice has asked.
    let id = asked["id"].as_str().unwrap();
    assert_eq!(
        error(&scene.withdraw(&scene.bob, id).await, 403),
        "only the account that has asked, or an administrator, can withdraw a request"
    );
    for id in [id, &own] {
        assert_eq!(scene.withdraw(&alice, id).await.status, 204);
    }
    assert_eq!(scene.seen(&alice).await, Vec::<Value>::new());
    // Clients of two accounts have the same name.
    let carol = scene.rig.sign_in("carol", "lily").await;
    scene
        .rig
        .get("/api/v1/clients/office/requests", &carol)
        .await;
    let twice = scene.try_to_ask(&alice, &wish(port)).await;
    assert!(error(&twice, 409).contains("several accounts"), "{twice:?}");
    let mut wish = wish(port);
    wish["user"] = "bob".into();
    let once = scene.try_to_ask(&alice, &wish).await;
    assert_eq!((once.status, &once.json()["user"]), (201, &json!("bob")));
}

#[tokio::test]
async fn a_request_that_cannot_be_mapped_is_refused_with_a_reason() {
    let (mut scene, port) = (Scene::start().await, free_port());
    scene.office.map(port).await;
    let taken = scene.try_to_ask(&scene.bob, &wish(port)).await;
    assert_eq!(error(&taken, 409), format!("port {port} is mapped already"));
    // The same for a port of another account's client.
    let other = free_port();
    let mut laptop = scene.rig.client("laptop", "alice", "rose").await;
    laptop.map(other).await;
    let taken = scene.try_to_ask(&scene.bob, &wish(other)).await;
    assert_eq!(
        error(&taken, 409),
        format!("port {other} is mapped already")
    );
    // This client is logged in, but does not poll.
    let alice = scene.rig.sign_in("alice", "rose").await;
    let silent = json!({"client": "laptop", "target": "127.0.0.1:22", "port": free_port()});
    let silent = scene.try_to_ask(&alice, &silent).await;
    let why = error(&silent, 409);
    assert!(
        why.contains("laptop does not take requests") && why.contains("section \"requests\""),
        "{why}"
    );
    let port = free_port();
    scene.ask(port).await;
    let twice = scene.try_to_ask(&scene.bob, &wish(port)).await;
    let why = format!("client office has an open request for port {port} already");
    assert_eq!(error(&twice, 409), why);
    let carol = scene.rig.sign_in("carol", "lily").await;
    scene.rig.get("/api/v1/clients/home/requests", &carol).await;
    let home = |port| json!({"client": "home", "target": "127.0.0.1:22", "port": port});
    let foreign = scene.try_to_ask(&carol, &home(port)).await;
    let why = format!("account carol may not map port {port}");
    assert_eq!(error(&foreign, 409), why);
    // If an administrator asks, the allowed ports of the client's account count.
    let foreign = scene.try_to_ask(&alice, &home(port)).await;
    assert_eq!(error(&foreign, 409), why);
    // A client that polls need not be logged in.
    assert_eq!(scene.try_to_ask(&carol, &home(65_000)).await.status, 201);
    let away = json!({"client": "away", "target": "127.0.0.1:22", "port": port});
    let away = scene.try_to_ask(&scene.bob, &away).await;
    assert!(error(&away, 404).contains("no client of this name"));
}

#[tokio::test]
async fn an_invalid_request_is_refused() {
    let scene = Scene::start().await;
    let id = scene.ask(free_port()).await;
    let (ask, decide) = ("/api/v1/requests", format!("/api/v1/requests/{id}"));
    let good = wish(10_000);
    let with = |member: &str, value: Value| {
        let mut wish = good.clone();
        wish[member] = value;
        wish
    };
    for (body, text) in [
        (
            with("target", json!("localhost:22")),
            "names are not allowed",
        ),
        (
            with("target", json!("printer.example.org:9100")),
            "target: ",
        ),
        (with("target", json!("127.0.0.1")), "target: "),
        (
            with("target", json!("127.0.0.1:0")),
            "a port from 1 to 65535",
        ),
        (
            with("target", json!("0.0.0.0:22")),
            "the address of one machine",
        ),
        (with("target", json!(22)), "expected {"),
        (with("port", json!(0)), "port: must be a port number"),
        (with("port", json!(65_536)), "port: must be a port number"),
        (with("port", json!(-1)), "port: must be a port number"),
        (with("port", json!("10000")), "expected {"),
        (with("port", json!(1.5)), "expected {"),
        (with("client", json!(null)), "expected {"),
        (with("more", json!(1)), "expected {"),
        (json!([]), "expected {"),
        (json!({"client": "office"}), "expected {"),
    ] {
        let answer = scene.try_to_ask(&scene.bob, &body).await;
        assert!(error(&answer, 400).contains(text), "{body}: {answer:?}");
    }
    let long = "x".repeat(201);
    for (body, text) in [
        (json!({"state": "mapped"}), "expected {"),
        (json!({"state": "asked"}), "expected {"),
        (json!({}), "expected {"),
        (json!({"state": "refused", "reason": 1}), "expected {"),
        (refused(&long), "reason: must have at most 200 characters"),
    ] {
        let answer = scene.decide(&scene.bob, &id, &body).await;
        assert!(error(&answer, 400).contains(text), "{body}: {answer:?}");
    }
    let giant = with("client", json!("x".repeat(9000)));
    let giant = scene.try_to_ask(&scene.bob, &giant).await;
    assert_eq!(giant.status, 413, "{giant:?}");
    let (csrf, cookie) = (&scene.bob.csrf, &scene.bob.cookie);
    for (method, path) in [("POST", ask), ("POST", &decide), ("DELETE", &decide)] {
        let plain = || Request::new(method, path).json(&good);
        let in_session = || plain().with("Cookie", cookie);
        for (request, status) in [
            (plain(), 401),
            (plain().with("X-CSRF-Token", csrf), 401),
            (in_session(), 403),
            (in_session().with("X-CSRF-Token", "0"), 403),
            (
                in_session()
                    .with("X-CSRF-Token", csrf)
                    .with("Origin", "http://evil.example"),
                403,
            ),
        ] {
            let text = request.text();
            assert_eq!(scene.rig.ask(request).await.status, status, "{text}");
        }
    }
    for path in [ask, &decide] {
        let form = scene.bob.change("POST", path);
        let form = form.with("Content-Type", "application/x-www-form-urlencoded");
        assert_eq!(scene.rig.ask(form).await.status, 415, "{path}");
    }
    for query in [
        "?wait=26",
        "?wait=-1",
        "?wait=x",
        "?version=x",
        "?version=-1",
    ] {
        let path = format!("/api/v1/clients/office/requests{query}");
        let answer = scene.rig.ask(scene.bob.get(&path)).await;
        assert!(error(&answer, 400).contains("?wait=SECONDS"), "{query}");
    }
    for name in ["%0A", "%FF", ""] {
        let path = format!("/api/v1/clients/{name}/requests");
        let answer = scene.rig.ask(scene.bob.get(&path)).await;
        assert!(error(&answer, 404).contains("needs a name"), "{name}");
    }
    assert_eq!(scene.seen(&scene.bob).await.len(), 1);
    assert_eq!(scene.state().await.0, "asked");
}

#[tokio::test]
async fn an_account_has_a_hundred_open_requests_at_most() {
    let scene = Scene::start().await;
    let mut last = String::new();
    for port in 20_000..20_100 {
        last = scene.ask(port).await;
    }
    let more = scene.try_to_ask(&scene.bob, &wish(20_100)).await;
    assert!(error(&more, 429).contains("100 requests of this account"));
    // A refused request stays in the list until a new one takes its place.
    scene.decide(&scene.bob, &last, &refused("no")).await;
    assert_eq!(scene.seen(&scene.bob).await.len(), 100);
    let next = scene.ask(20_100).await;
    let seen = scene.seen(&scene.bob).await;
    assert_eq!(seen.len(), 100);
    assert!(seen.iter().all(|one| one["id"] != last.as_str()));
    assert_eq!(scene.withdraw(&scene.bob, &next).await.status, 204);
    scene.ask(20_100).await;
}

#[tokio::test]
async fn a_poll_waits_for_a_change_or_for_its_time_limit() {
    let scene = Scene::start().await;
    let told = scene.poll("").await;
    let version = told["version"].as_u64().unwrap();
    // With another version or none, the answer comes at once.
    let start = Instant::now();
    let other = format!("?wait=25&version={}", version + 1);
    for query in ["?wait=25", &other] {
        assert_eq!(scene.poll(query).await, told, "{query}");
    }
    assert!(start.elapsed() < Duration::from_secs(20));
    let start = Instant::now();
    let same = scene.poll(&format!("?wait=1&version={version}")).await;
    assert_eq!(same, told);
    assert!(start.elapsed() >= Duration::from_secs(1));
    let same = scene.poll(&format!("?wait=0&version={version}")).await;
    assert_eq!(same, told);

    // A change for another client does not end the poll.
    scene
        .rig
        .get("/api/v1/clients/home/requests", &scene.bob)
        .await;
    let query = format!("?wait=25&version={version}");
    let changes = async {
        let home = json!({"client": "home", "target": "127.0.0.1:22", "port": 20_000});
        scene.try_to_ask(&scene.bob, &home).await;
        scene.ask(20_001).await
    };
    let (told, id) = tokio::join!(scene.poll(&query), changes);
    assert_eq!(told["requests"].as_array().unwrap().len(), 1);
    assert_eq!(told["requests"][0]["id"], id.as_str());
}

#[tokio::test]
async fn a_poll_ends_with_its_session_and_with_the_server() {
    let scene = Scene::start().await;
    let version = scene.poll("").await["version"].as_u64().unwrap();
    let path = format!("/api/v1/clients/office/requests?wait=25&version={version}");
    let other = scene.rig.sign_in("bob", "tulip").await;
    // The session ends before the change.
    let over = async {
        let out = other.change("DELETE", "/api/v1/session");
        assert_eq!(scene.rig.ask(out).await.status, 204);
        scene.ask(20_000).await;
    };
    let (answer, ()) = tokio::join!(scene.rig.ask(other.get(&path)), over);
    assert_eq!(error(&answer, 401), "not signed in");

    let version = scene.poll("").await["version"].as_u64().unwrap();
    let path = format!("/api/v1/clients/office/requests?wait=25&version={version}");
    let mut waiting = TcpStream::connect(scene.rig.web()).await.unwrap();
    let request = scene.bob.get(&path).text();
    waiting.write_all(request.as_bytes()).await.unwrap();
    // The server has read the request when it answers a later one.
    scene.poll("").await;
    drop(scene.rig.stop);
    let mut answer = Vec::new();
    let read = timeout(PATIENCE, waiting.read_to_end(&mut answer)).await;
    read.unwrap().unwrap();
    let answer = Answer::parse(&String::from_utf8(answer).unwrap());
    assert_eq!(
        (answer.status, &answer.json()["version"]),
        (200, &json!(version))
    );
    timeout(PATIENCE, scene.rig.running).await.unwrap().unwrap();
}

#[tokio::test]
async fn the_number_of_waiting_polls_is_bounded() {
    let scene = Scene::start().await;
    let version = scene.poll("").await["version"].as_u64().unwrap();
    let path = format!("/api/v1/clients/office/requests?wait=25&version={version}");
    let request = scene.bob.get(&path).text();
    let mut held = Vec::new();
    for _ in 0..64 {
        let mut waiting = TcpStream::connect(scene.rig.web()).await.unwrap();
        waiting.write_all(request.as_bytes()).await.unwrap();
        held.push(waiting);
    }
    let is_full = async |full: bool| {
        let start = Instant::now();
        while (scene
            .rig
            .ask(scene.bob.get("/api/v1/clients/office/requests"))
            .await
            .status
            == 429)
            != full
        {
            assert!(start.elapsed() < PATIENCE);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    is_full(true).await;
    // Other requests are answered meanwhile, and polls end when their clients disconnect.
    scene.ask(20_000).await;
    drop(held);
    is_full(false).await;
}

#[tokio::test]
async fn an_open_page_shows_each_step_of_a_request() {
    let (mut scene, port) = (Scene::start().await, free_port());
    let mut stream = Stream::open(&scene.rig, &scene.bob).await;
    let state = stream.next().await.unwrap();
    assert_eq!(state["clients"][0]["takes_requests"], true);
    assert_eq!(
        (&state["requests"], &state["status"]["requests"]),
        (&json!([]), &json!(0))
    );
    let mut sees = async |wanted: &str| {
        let seen = async {
            loop {
                let state = stream.next().await.unwrap();
                if state["requests"][0]["state"] == wanted {
                    assert_eq!(state["status"]["requests"], 1);
                    break;
                }
            }
        };
        timeout(PATIENCE, seen).await.unwrap();
    };
    let id = scene.ask(port).await;
    sees("asked").await;
    scene.decide(&scene.bob, &id, &accepted()).await;
    sees("accepted").await;
    scene.office.map(port).await;
    sees("mapped").await;
    let figures = scene.rig.ask(Request::new("GET", "/metrics")).await.body;
    for (state, count) in [("asked", 0), ("accepted", 0), ("refused", 0), ("mapped", 1)] {
        let line = format!("netroxy_server_mapping_requests{{state=\"{state}\"}} {count}");
        assert!(
            figures.lines().any(|found| found == line),
            "{line}: {figures}"
        );
    }
    scene.decide(&scene.bob, &id, &refused("no")).await;
    sees("refused").await;
}

/// A name is percent-encoded in a path. A request may hold the name itself or its escaped form.
#[tokio::test]
async fn a_client_may_have_any_name() {
    let scene = Scene::start().await;
    let name = "B\u{fc}ro 1/2 <b>";
    let _client = scene.rig.client(name, "bob", "tulip").await;
    let path = "/api/v1/clients/B%C3%BCro%201%2F2%20%3Cb%3E/requests";
    scene.rig.get(path, &scene.bob).await;
    let shown = r"B\xc3\xbcro 1/2 <b>";
    for (name, port) in [(name, 20_000), (shown, 20_001)] {
        let wish = json!({"client": name, "target": "[::1]:22", "port": port});
        let asked = scene.try_to_ask(&scene.bob, &wish).await;
        assert_eq!(
            (asked.status, &asked.json()["client"]),
            (201, &json!(shown))
        );
    }
    let told = scene.rig.get(path, &scene.bob).await;
    assert_eq!(told["requests"].as_array().unwrap().len(), 2);
    assert_eq!(told["requests"][0]["target"], "[::1]:22");
    let clients = scene.rig.get("/api/v1/clients", &scene.bob).await;
    let takes = |client: &Value| client["takes_requests"] == true;
    assert!(clients["clients"].as_array().unwrap().iter().all(takes));
}
