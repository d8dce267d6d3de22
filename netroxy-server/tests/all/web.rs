//! The web interface over real connections, used as a browser or a script uses it.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use netroxy_net::tls::{self, Trust};
use netroxy_server::{Config, Server};
use rustls_pki_types::ServerName;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_util::sync::CancellationToken;

use crate::support::http::{Request, Session, Stream, sign_in};
use crate::support::{PATIENCE, Rig, free_port, is_closed, lines, on_free_ports, receives};

/// alice is the administrator, because her account is that of the keys `username` and `password`.
const ACCOUNTS: &str = r#""username": "alice", "password": "rose", "timeout": 30,
    "users": [{"username": "bob", "password": "tulip"}]"#;

async fn start() -> Rig {
    start_with("").await
}

/// `more` are members of the section `web`.
async fn start_with(more: &str) -> Rig {
    Rig::start_with(&members(ACCOUNTS, more)).await
}

fn members(accounts: &str, more: &str) -> String {
    let comma = if more.is_empty() { "" } else { ", " };
    format!(r#"{accounts}, "web": {{"enabled": true, "port": 1{comma}{more}}}"#)
}

fn config(folder: &TempDir, accounts: &str, more: &str) -> Config {
    on_free_ports(Rig::config(folder, &members(accounts, more)))
}

fn document() -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/openapi.json");
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

/// Validates against a schema of the document.
#[track_caller]
fn fits(document: &Value, schema: &Value, value: &Value, about: &str) {
    let mut whole = schema.clone();
    whole["components"] = document["components"].clone();
    let validator = jsonschema::validator_for(&whole).unwrap();
    let faults: Vec<_> = validator
        .iter_errors(value)
        .map(|fault| fault.to_string())
        .collect();
    assert!(faults.is_empty(), "{about}: {faults:?} in {value}");
}

/// Sends the example of each path and method. There is a client, a mapping, a tunnel and a request at that time. A
/// test of the routes shows that the document is complete.
#[tokio::test]
async fn the_api_agrees_with_its_document() {
    let (rig, port, document) = (start().await, free_port(), document());
    let mut client = rig.client("laptop", "alice", "rose").await;
    client.map(port).await;
    let (mut user, mut data) = rig.tunnel(&mut client, port).await;
    user.write_all(b"question").await.unwrap();
    receives(&mut data, b"question").await;
    let alice = rig.sign_in("alice", "rose").await;
    rig.wait_for("/api/v1/status", &alice, |status| {
        status["bytes_from_users"] == 8
    })
    .await;

    // A request, which needs a client that polls.
    rig.get("/api/v1/clients/laptop/requests", &alice).await;
    let wish = json!({"client": "laptop", "target": "127.0.0.1:9", "port": 10_023});
    let asked = rig
        .ask(alice.change("POST", "/api/v1/requests").json(&wish))
        .await;
    let id = asked.json()["id"].as_str().unwrap().to_owned();

    let mut operations = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            operations.push((path, method.to_uppercase(), operation));
        }
    }
    // Requests that end the session or withdraw the request come last.
    operations.sort_by_key(|(_, method, _)| method == "DELETE");
    for (path, method, operation) in operations {
        let about = format!("{method} {path}");
        let at = path.replace("{port}", &port.to_string());
        let at = at.replace("{name}", "laptop").replace("{id}", &id);
        let mut request = alice.change(&method, &at);
        if let Some(body) = operation.pointer("/requestBody/content/application~1json") {
            let mut example = body["example"].clone();
            fits(&document, &body["schema"], &example, &about);
            if let Some(password) = example.get_mut("password") {
                *password = "rose".into();
            }
            request = request.json(&example);
        }
        if path == "/api/v1/stream" {
            let mut stream = Stream::open(&rig, &alice).await;
            let state = stream.next().await.unwrap();
            let schema = &operation["responses"]["200"]["content"]["text/event-stream"]["schema"];
            fits(&document, schema, &state, &about);
            assert_eq!(state["tunnels"][0]["port"], port);
            assert_eq!(state["requests"][1]["id"], id.as_str());
            continue;
        }
        let answer = rig.ask(request).await;
        let told = &operation["responses"][answer.status.to_string()];
        assert!(
            told.is_object() && answer.status < 300,
            "{about}: {answer:?}"
        );
        for head in told["headers"]
            .as_object()
            .into_iter()
            .flat_map(|heads| heads.keys())
        {
            assert!(
                answer.heads.contains_key(&head.to_lowercase()),
                "{about}: {answer:?}"
            );
        }
        match told["content"]
            .as_object()
            .and_then(|content| content.iter().next())
        {
            None => assert_eq!(answer.body, "", "{about}"),
            Some((kind, content)) => {
                assert!(
                    answer.heads["content-type"].starts_with(kind),
                    "{about}: {answer:?}"
                );
                let body = match kind.as_str() {
                    "application/json" => answer.json(),
                    _ => answer.body.into(),
                };
                fits(&document, &content["schema"], &body, &about);
            }
        }
        // The document describes the refusal, too.
        if operation["security"]
            .as_array()
            .is_some_and(|ways| ways.iter().all(|way| way != &json!({})))
            && !operation["security"].as_array().unwrap().is_empty()
        {
            let refused = rig.ask(Request::new(&method, &at)).await;
            assert_eq!(refused.status, 401, "{about}");
            let schema = &operation["responses"]["401"]["content"]["application/json"]["schema"];
            fits(&document, schema, &refused.json(), &about);
        }
    }
}

#[tokio::test]
async fn without_a_session_only_the_sign_in_form_is_shown() {
    let rig = start().await;
    rig.client("secret-name", "alice", "rose").await;
    let page = rig.ask(Request::new("GET", "/")).await;
    assert_eq!(page.status, 200);
    assert!(page.body.contains(r#"type="password""#) && !page.body.contains("alice"));
    let policy = &page.heads["content-security-policy"];
    assert!(
        policy.starts_with("default-src 'none'; script-src 'self';"),
        "{policy}"
    );
    assert!(
        !policy.contains("unsafe") && policy.contains("frame-ancestors 'none'"),
        "{policy}"
    );
    assert_eq!(page.heads["x-content-type-options"], "nosniff");
    assert_eq!(page.heads["cache-control"], "no-store");
    for path in [
        "/page.css",
        "/page.js",
        "/icon.svg",
        "/health/live",
        "/health/ready",
    ] {
        assert_eq!(
            rig.ask(Request::new("GET", path)).await.status,
            200,
            "{path}"
        );
    }
    for path in [
        "/servers/",
        "/clients/",
        "/mappings/",
        "/client/?name=secret-name",
        "/server/?name=plain",
    ] {
        assert_eq!(
            rig.ask(Request::new("GET", path)).await.status,
            401,
            "{path}"
        );
    }
    assert_eq!(
        rig.ask(Request::new("GET", "/../server_config.json"))
            .await
            .status,
        404
    );
    assert_eq!(
        rig.ask(Request::new("PUT", "/api/v1/session")).await.status,
        405
    );
    let forged = Session {
        cookie: format!("netroxy-{}={}", rig.web().port(), "0".repeat(64)),
        csrf: "0".repeat(64),
    };
    assert_eq!(rig.ask(forged.get("/api/v1/status")).await.status, 401);
}

#[tokio::test]
async fn the_cookie_of_a_session_is_hidden_from_scripts_and_other_sites() {
    let rig = start().await;
    let body = json!({"user": "alice", "password": "rose"});
    let answer = rig.ask(sign_in(&body)).await;
    let cookie = answer.heads["set-cookie"].clone();
    let (pair, rest) = cookie.split_once("; ").unwrap();
    assert_eq!(rest, "Path=/; Max-Age=43200; HttpOnly; SameSite=Strict");
    let (name, token) = pair.split_once('=').unwrap();
    assert_eq!(name, format!("netroxy-{}", rig.web().port()));
    assert_eq!(token.len(), 64);
    let alice = Session::of(&answer);
    assert_ne!(
        Session::of(&rig.ask(sign_in(&body)).await).cookie,
        alice.cookie
    );
    let told = rig.get("/api/v1/session", &alice).await;
    assert_eq!(
        (&told["user"], &told["administrator"]),
        (&json!("alice"), &json!(true))
    );
    // The cookie is found among other cookies.
    let crowd = format!("a=b; {}; {name}x=1", alice.cookie);
    let asked = Request::new("GET", "/api/v1/session").with("Cookie", &crowd);
    assert_eq!(rig.ask(asked).await.status, 200);

    let out = rig.ask(alice.change("DELETE", "/api/v1/session")).await;
    assert_eq!(out.status, 204);
    assert!(out.heads["set-cookie"].contains("Max-Age=0"), "{out:?}");
    assert_eq!(rig.ask(alice.get("/api/v1/session")).await.status, 401);
}

#[tokio::test]
async fn a_change_needs_the_token_of_its_session_and_a_page_of_this_server() {
    let (rig, port) = (start().await, free_port());
    rig.client("n", "alice", "rose").await.map(port).await;
    // The client may have disconnected. Then there is no mapping, which is checked last.
    let (alice, other) = (
        rig.sign_in("alice", "rose").await,
        rig.sign_in("alice", "rose").await,
    );
    let path = format!("/api/v1/mappings/{port}");
    let body = json!({"on": false});
    let post = || {
        Request::new("POST", &path)
            .with("Cookie", &alice.cookie)
            .json(&body)
    };
    for (request, status) in [
        (post(), 403),
        (post().with("X-CSRF-Token", &other.csrf), 403),
        (post().with("X-CSRF-Token", ""), 403),
        (
            post()
                .with("X-CSRF-Token", &alice.csrf)
                .with("Origin", "http://evil.example"),
            403,
        ),
        (
            post()
                .with("X-CSRF-Token", &alice.csrf)
                .with("Sec-Fetch-Site", "cross-site"),
            403,
        ),
        (
            alice
                .change("POST", &path)
                .with("Content-Type", "text/plain"),
            415,
        ),
        (alice.change("POST", &path).json(&json!({"on": "yes"})), 400),
        (
            alice
                .change("DELETE", "/api/v1/session")
                .with("Origin", "null"),
            403,
        ),
        (
            Request::new("DELETE", "/api/v1/session").with("Cookie", &alice.cookie),
            403,
        ),
        (
            sign_in(&json!({"user": "alice", "password": "rose"}))
                .with("Origin", "http://evil.example"),
            403,
        ),
        (
            Request::new("POST", "/api/v1/session")
                .with("Content-Type", "application/x-www-form-urlencoded"),
            415,
        ),
        (sign_in(&json!({"user": "alice"})), 400),
    ] {
        let text = request.text();
        let answer = rig.ask(request).await;
        assert_eq!(answer.status, status, "{text}: {answer:?}");
    }
    let own = alice
        .switch(&path, false)
        .with("Origin", "http://localhost")
        .with("Sec-Fetch-Site", "same-origin");
    assert!([200, 404].contains(&rig.ask(own).await.status));
}

#[tokio::test]
async fn a_request_for_a_foreign_host_name_is_refused() {
    let rig = start_with(r#""hosts": ["netroxy.example.org"]"#).await;
    let alice = rig.sign_in("alice", "rose").await;
    let port = rig.web().port();
    let own = [
        "localhost",
        &format!("127.0.0.1:{port}"),
        "[::1]",
        "Netroxy.Example.org:8443",
    ];
    for host in own {
        assert_eq!(
            rig.ask(alice.get("/api/v1/status").host(host)).await.status,
            200,
            "{host}"
        );
    }
    for host in [
        "evil.example",
        &format!("evil.example:{port}"),
        "192.0.2.1",
        "",
        "localhost.evil.example",
    ] {
        for path in ["/", "/api/v1/status", "/metrics"] {
            let answer = rig.ask(alice.get(path).host(host)).await;
            assert!(
                [400, 421].contains(&answer.status),
                "{host} {path}: {answer:?}"
            );
        }
    }
    let twice = alice.get("/api/v1/status").with("Host", "evil.example");
    assert!([400, 421].contains(&rig.ask(twice).await.status));
    let probe = Request::new("GET", "/health/ready").host("10.0.0.7");
    assert_eq!(rig.ask(probe).await.body, "ready\n");
}

#[tokio::test]
async fn an_account_sees_and_switches_only_what_is_its_own() {
    let (rig, of_alice, of_bob) = (start().await, free_port(), free_port());
    let mut clients = (
        rig.client("of-alice", "alice", "rose").await,
        rig.client("of-bob", "bob", "tulip").await,
    );
    clients.0.map(of_alice).await;
    clients.1.map(of_bob).await;
    let _tunnels = (
        rig.tunnel(&mut clients.0, of_alice).await,
        rig.tunnel(&mut clients.1, of_bob).await,
    );
    let alice = rig.sign_in("alice", "rose").await;
    rig.wait_for("/api/v1/status", &alice, |status| status["tunnels"] == 2)
        .await;
    let bob = rig.sign_in("bob", "tulip").await;
    assert_eq!(
        rig.get("/api/v1/session", &bob).await["administrator"],
        false
    );
    let status = rig.get("/api/v1/status", &bob).await;
    assert_eq!(
        (&status["clients"], &status["mappings"], &status["tunnels"]),
        (&json!(1), &json!(1), &json!(1))
    );
    assert!(status["census"].is_null());
    for path in ["clients", "mappings", "tunnels", "events"] {
        let path = format!("/api/v1/{path}");
        let (all, own) = (
            rig.get(&path, &alice).await.to_string(),
            rig.get(&path, &bob).await.to_string(),
        );
        assert!(
            all.contains(&of_alice.to_string()) || all.contains("of-alice"),
            "{all}"
        );
        assert!(
            !own.contains(&format!(r#""port":{of_alice}"#)) && !own.contains("alice"),
            "{own}"
        );
        assert!(
            own.contains("bob") || own.contains(&of_bob.to_string()),
            "{own}"
        );
    }
    let state = Stream::open(&rig, &bob)
        .await
        .next()
        .await
        .unwrap()
        .to_string();
    assert!(
        !state.contains("alice") && state.contains("of-bob"),
        "{state}"
    );
    assert_eq!(rig.ask(bob.get("/client/?name=of-alice")).await.status, 404);
    assert_eq!(rig.ask(bob.get("/client/?name=of-bob")).await.status, 303);
    // The answer is the same for a port of another account and for an unmapped port.
    let (foreign, unmapped) = (format!("/api/v1/mappings/{of_alice}"), "/api/v1/mappings/1");
    let (foreign, unmapped) = (
        rig.ask(bob.switch(&foreign, false)).await,
        rig.ask(bob.switch(unmapped, false)).await,
    );
    assert_eq!((foreign.status, foreign.body), (404, unmapped.body));
    let own = format!("/api/v1/mappings/{of_bob}");
    assert_eq!(rig.ask(bob.switch(&own, false)).await.status, 200);
    assert_eq!(rig.ask(alice.switch(&own, true)).await.status, 200);
}

#[tokio::test]
async fn a_mapping_that_is_off_refuses_new_users_and_keeps_tunnels() {
    let (rig, port) = (start().await, free_port());
    let mut client = rig.client("n", "bob", "tulip").await;
    client.map(port).await;
    let (mut user, mut data) = rig.tunnel(&mut client, port).await;
    let bob = rig.sign_in("bob", "tulip").await;
    let path = format!("/api/v1/mappings/{port}");
    let mut stream = Stream::open(&rig, &bob).await;
    assert_eq!(stream.next().await.unwrap()["mappings"][0]["on"], true);
    let off = rig.ask(bob.switch(&path, false)).await;
    assert_eq!(off.json(), json!({"port": port, "on": false}));
    while stream.next().await.unwrap()["mappings"][0]["on"] != false {}

    let mut refused = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    assert!(is_closed(&mut refused).await);
    user.write_all(b"still here").await.unwrap();
    receives(&mut data, b"still here").await;
    // The client has received no message: the next one is the answer to SRQ.
    client.control.write_all(b"SRQ\n").await.unwrap();
    assert_eq!(lines(&mut client.control, 1).await, "SRS\n");
    let events = rig.get("/api/v1/events", &bob).await;
    let texts: Vec<_> = events["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| e["text"].as_str().unwrap())
        .collect();
    assert!(
        texts.contains(&format!("port {port} switched off by bob").as_str()),
        "{texts:?}"
    );
    assert!(
        texts.contains(
            &format!("user of port {port} refused: the mapping is switched off").as_str()
        ),
        "{texts:?}"
    );

    // A new login of the client does not switch the mapping on.
    drop(client);
    rig.wait_for("/api/v1/clients", &bob, |seen| seen["clients"] == json!([]))
        .await;
    let mut client = rig.client("n", "bob", "tulip").await;
    client.map(port).await;
    let mut refused = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    assert!(is_closed(&mut refused).await);
    assert_eq!(rig.ask(bob.switch(&path, true)).await.status, 200);
    let (mut user, mut data) = rig.tunnel(&mut client, port).await;
    user.write_all(b"in again").await.unwrap();
    receives(&mut data, b"in again").await;
}

#[tokio::test]
async fn the_bytes_of_a_tunnel_are_shown_while_it_is_open_and_after_its_end() {
    let (rig, port) = (start().await, free_port());
    let mut client = rig.client("n", "alice", "rose").await;
    client.map(port).await;
    let (mut user, mut data) = rig.tunnel(&mut client, port).await;
    let alice = rig.sign_in("alice", "rose").await;
    let bulk = vec![7; 3_000_000];
    let (wrote, ()) = tokio::join!(data.write_all(&bulk), receives(&mut user, &bulk));
    wrote.unwrap();
    user.write_all(b"thanks").await.unwrap();
    receives(&mut data, b"thanks").await;
    let is_seen = |seen: &Value| {
        let tunnel = &seen["tunnels"][0];
        tunnel["bytes_to_users"] == bulk.len() && tunnel["bytes_from_users"] == 6
    };
    let seen = rig.wait_for("/api/v1/tunnels", &alice, is_seen).await;
    assert_eq!(
        seen["tunnels"][0]["address"],
        user.local_addr().unwrap().to_string()
    );
    rig.wait_for("/api/v1/history", &alice, |history| {
        let steps = history["to_users"].as_array().unwrap();
        steps.len() == 300
            && steps.iter().map(|step| step.as_u64().unwrap()).sum::<u64>() > 1_000_000
    })
    .await;
    drop((user, data));
    rig.wait_for("/api/v1/tunnels", &alice, |seen| {
        seen["tunnels"] == json!([])
    })
    .await;
    let mapping = &rig.get("/api/v1/mappings", &alice).await["mappings"][0];
    assert_eq!(
        (&mapping["tunnels"], &mapping["tunnels_total"]),
        (&json!(0), &json!(1))
    );
    assert_eq!(mapping["bytes_to_users"], bulk.len());
    // The bytes of a client that has disconnected still count.
    drop(client);
    rig.wait_for("/api/v1/clients", &alice, |seen| {
        seen["clients"] == json!([])
    })
    .await;
    let status = rig.get("/api/v1/status", &alice).await;
    assert_eq!(
        (&status["bytes_to_users"], &status["bytes_from_users"]),
        (&json!(bulk.len()), &json!(6))
    );
}

#[tokio::test]
async fn wrong_passwords_shut_an_address_out() {
    let rig = start().await;
    let alice = rig.sign_in("alice", "rose").await;
    for body in [
        json!({"user": "alice", "password": "tulip"}),
        json!({"user": "nobody", "password": "rose"}),
        json!({"user": "alice\nbob", "password": "rose"}),
        json!({"user": "", "password": ""}),
    ] {
        let answer = rig.ask(sign_in(&body)).await;
        assert_eq!(answer.status, 401, "{answer:?}");
        assert_eq!(
            answer.json(),
            json!({"error": "wrong user name or password"})
        );
        assert!(!answer.heads.contains_key("set-cookie"));
    }
    let right = rig
        .ask(sign_in(&json!({"user": "alice", "password": "rose"})))
        .await;
    assert_eq!(right.status, 429, "{right:?}");
    // The control port refuses the address, too.
    let mut control = TcpStream::connect(rig.clients).await.unwrap();
    assert!(is_closed(&mut control).await);
    let status = rig.get("/api/v1/status", &alice).await;
    assert_eq!(
        status["census"]["refused"]["too many wrong passwords from this address"],
        2
    );
    let events = rig.get("/api/v1/events", &alice).await.to_string();
    assert!(
        events.contains("wrong user name or password from 127.0.0.1"),
        "{events}"
    );
}

#[tokio::test]
async fn metrics_can_be_read_from_this_machine_or_with_the_token() {
    let (rig, port) = (start().await, free_port());
    let mut client = rig.client("n", "alice", "rose").await;
    client.map(port).await;
    let (mut user, mut data) = rig.tunnel(&mut client, port).await;
    user.write_all(b"hello").await.unwrap();
    receives(&mut data, b"hello").await;
    let alice = rig.sign_in("alice", "rose").await;
    rig.wait_for("/api/v1/status", &alice, |status| {
        status["bytes_from_users"] == 5
    })
    .await;
    let answer = rig.ask(Request::new("GET", "/metrics")).await;
    assert_eq!(
        answer.heads["content-type"],
        "text/plain; version=0.0.4; charset=utf-8"
    );
    for line in [
        "netroxy_server_clients 1",
        "netroxy_server_mappings 1",
        "netroxy_server_mappings_off 0",
        "netroxy_server_open_tunnels 1",
        "netroxy_server_tunnels_total 1",
        "netroxy_server_from_users_bytes_total 5",
        "netroxy_server_web_sessions 1",
    ] {
        assert!(
            answer.body.lines().any(|found| found == line),
            "{line} in {}",
            answer.body
        );
    }
    assert!(!answer.body.contains("alice"), "{}", answer.body);

    let rig = start_with(r#""metricsToken": "long-and-random""#).await;
    let with = |token| Request::new("GET", "/metrics").with("Authorization", token);
    for (request, status) in [
        (Request::new("GET", "/metrics"), 401),
        (with("Bearer long-and-rando"), 401),
        (with("Bearer long-and-random2"), 401),
        (with("Basic long-and-random"), 401),
        (with("Bearer long-and-random"), 200),
        (with("bearer long-and-random"), 200),
    ] {
        assert_eq!(rig.ask(request).await.status, status);
    }
    let (alice, bob) = (
        rig.sign_in("alice", "rose").await,
        rig.sign_in("bob", "tulip").await,
    );
    assert_eq!(rig.ask(alice.get("/metrics")).await.status, 200);
    assert_eq!(rig.ask(bob.get("/metrics")).await.status, 401);
}

/// The name is markup. Without escapes it would also break the event in two.
#[tokio::test]
async fn the_name_of_a_client_is_shown_as_text() {
    let rig = start().await;
    let name = "<script>alert(1)</script>\"\r\x1b\u{e9}data: x";
    let _client = rig.client(name, "alice", "rose").await;
    let alice = rig.sign_in("alice", "rose").await;
    let shown = r#"<script>alert(1)</script>\"\r\x1b\xc3\xa9data: x"#;
    let clients = rig.get("/api/v1/clients", &alice).await;
    assert_eq!(clients["clients"][0]["name"], shown);
    let state = Stream::open(&rig, &alice).await.next().await.unwrap();
    assert_eq!(state["clients"][0]["name"], shown);
    let page = rig.ask(alice.get("/")).await;
    assert_eq!(page.heads["content-type"], "text/html; charset=utf-8");
    assert!(
        page.body.contains("Sign out") && !page.body.contains("alert("),
        "{}",
        page.body
    );
}

#[tokio::test]
async fn paths_of_the_original_redirect_to_the_page() {
    let (rig, port) = (start().await, free_port());
    let mut client = rig.client("laptop", "alice", "rose").await;
    client.map(port).await;
    let alice = rig.sign_in("alice", "rose").await;
    for (path, place) in [
        ("/servers/", "/#listeners"),
        ("/clients/", "/#clients"),
        ("/mappings/", "/#mappings"),
        ("/server/?name=plain", "/#listeners"),
        ("/client/?name=laptop", "/#clients"),
    ] {
        let answer = rig.ask(alice.get(path)).await;
        assert_eq!(
            (answer.status, answer.heads["location"].as_str()),
            (303, place),
            "{path}"
        );
    }
    for (path, status) in [
        ("/server/", 400),
        ("/client/", 400),
        ("/server/?name=tls", 404),
        ("/client/?name=nobody", 404),
        ("/mapping/?action=off&port=1", 405),
    ] {
        assert_eq!(rig.ask(alice.get(path)).await.status, status, "{path}");
    }
    for (query, answer) in [
        (format!("action=off&port={port}"), Some("true")),
        (format!("action=on&port=%2B{port}"), Some("true")),
        ("action=on&port=1".to_owned(), Some("false")),
        ("action=on&port=65536".to_owned(), Some("false")),
        ("action=on&port=-1".to_owned(), Some("false")),
        ("action=on".to_owned(), None),
        (format!("port={port}"), None),
        (format!("action=toggle&port={port}"), None),
        ("action=on&port=x".to_owned(), None),
    ] {
        let path = format!("/mapping/?{query}");
        assert_eq!(rig.ask(Request::new("POST", &path)).await.status, 401);
        let foreign = Request::new("POST", &path).with("Cookie", &alice.cookie);
        assert_eq!(rig.ask(foreign).await.status, 403);
        let told = rig.ask(alice.change("POST", &path)).await;
        match answer {
            Some(answer) => {
                assert_eq!((told.status, told.body.as_str()), (200, answer), "{path}");
                assert_eq!(told.heads["content-type"], "text/plain; charset=utf-8");
            }
            None => assert_eq!(told.status, 400, "{path}"),
        }
    }
}

#[tokio::test]
async fn requests_are_bounded_in_size_and_time() {
    let rig = start().await;
    // These wait at the same time.
    let slow = async {
        let mut slow = TcpStream::connect(rig.web()).await.unwrap();
        slow.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
            .await
            .unwrap();
        let start = Instant::now();
        let mut answer = Vec::new();
        let _ = timeout(PATIENCE, slow.read_to_end(&mut answer))
            .await
            .unwrap();
        assert!(
            start.elapsed() >= Duration::from_secs(9),
            "{:?}",
            start.elapsed()
        );
        assert!(!answer.starts_with(b"HTTP/1.1 200"));
    };
    let idle = async {
        let mut idle = TcpStream::connect(rig.web()).await.unwrap();
        let request = "GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n";
        idle.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        timeout(PATIENCE, idle.read_to_end(&mut answer))
            .await
            .unwrap()
            .unwrap();
        assert!(answer.starts_with(b"HTTP/1.1 200"));
    };
    let large = async {
        let long = "x".repeat(20_000);
        let head = rig
            .ask(Request::new("GET", "/").with("X-Long", &long))
            .await;
        assert_eq!(head.status, 431);
        let mut many = Request::new("GET", "/");
        for _ in 0..100 {
            many = many.with("X-Many", "x");
        }
        assert_eq!(rig.ask(many).await.status, 431);
        let body = rig
            .ask(sign_in(&json!({"user": long, "password": "x"})))
            .await;
        assert_eq!(body.status, 413);
    };
    tokio::join!(slow, idle, large);
}

#[tokio::test]
async fn connections_are_bounded() {
    let rig = start().await;
    let mut held = Vec::new();
    for _ in 0..128 {
        held.push(TcpStream::connect(rig.web()).await.unwrap());
    }
    // Connections are accepted in their order, so the next one exceeds the bound.
    let mut next = TcpStream::connect(rig.web()).await.unwrap();
    assert!(is_closed(&mut next).await);
    drop(held);
    let start = Instant::now();
    loop {
        let mut again = TcpStream::connect(rig.web()).await.unwrap();
        again
            .write_all(Request::new("GET", "/health/live").text().as_bytes())
            .await
            .unwrap();
        let mut answer = Vec::new();
        let _ = timeout(PATIENCE, again.read_to_end(&mut answer))
            .await
            .unwrap();
        if answer.starts_with(b"HTTP/1.1 200") {
            break;
        }
        assert!(start.elapsed() < PATIENCE);
    }
}

#[tokio::test]
async fn a_stream_ends_with_its_session_and_with_the_server() {
    let rig = start().await;
    let (alice, bob) = (
        rig.sign_in("alice", "rose").await,
        rig.sign_in("bob", "tulip").await,
    );
    let (mut of_alice, mut of_bob) = (
        Stream::open(&rig, &alice).await,
        Stream::open(&rig, &bob).await,
    );
    assert!(of_alice.next().await.is_some() && of_bob.next().await.is_some());
    // From here on, bob's account has another password.
    let accounts = ACCOUNTS.replace("tulip", "lily");
    let fixed = rig.handle.reload(config(&rig.folder, &accounts, ""));
    assert_eq!(fixed, Vec::<&str>::new());
    while of_bob.next().await.is_some() {}
    assert_eq!(rig.ask(bob.get("/api/v1/status")).await.status, 401);
    assert!(of_alice.next().await.is_some());
    assert_eq!(
        rig.ask(alice.change("DELETE", "/api/v1/session"))
            .await
            .status,
        204
    );
    while of_alice.next().await.is_some() {}

    let alice = rig.sign_in("alice", "rose").await;
    let mut stream = Stream::open(&rig, &alice).await;
    assert!(stream.next().await.is_some());
    let start = Instant::now();
    drop(rig.stop);
    while stream.next().await.is_some() {}
    timeout(PATIENCE, rig.running).await.unwrap().unwrap();
    assert!(
        start.elapsed() < Duration::from_secs(4),
        "{:?}",
        start.elapsed()
    );
}

#[tokio::test]
async fn https_uses_new_certificates_after_a_reload() {
    let https = |name: &str| {
        format!(r#""https": {{"enabled": true, "ca": "{name}.pem", "key": "{name}.key"}}"#)
    };
    let plain = start().await;
    let (first, second) = (
        plain.pair("first", "localhost"),
        plain.pair("second", "localhost"),
    );
    let config_of = |name| config(&plain.folder, ACCOUNTS, &https(name));
    let server = Server::bind(config_of("first")).await.unwrap();
    let (addr, handle) = (server.web_addr().unwrap(), server.handle());
    let stop = CancellationToken::new();
    tokio::spawn(server.run(stop.clone()));
    let _stop = stop.drop_guard();
    let over_tls = async |trust: &Trust, request: Request<'_>| {
        let tcp = TcpStream::connect(addr).await.unwrap();
        let connector = TlsConnector::from(tls::client(trust, None).unwrap());
        let name = ServerName::try_from("localhost").unwrap();
        let stream = connector.connect(name, tcp).await?;
        std::io::Result::Ok(request.send(stream).await)
    };
    let body = json!({"user": "alice", "password": "rose"});
    let answer = over_tls(&first, sign_in(&body)).await.unwrap();
    let cookie = &answer.heads["set-cookie"];
    assert!(
        cookie.starts_with("__Host-netroxy-") && cookie.ends_with("; Secure"),
        "{cookie}"
    );
    let alice = Session::of(&answer);
    assert!(over_tls(&second, alice.get("/")).await.is_err());
    assert_eq!(handle.reload(config_of("second")), Vec::<&str>::new());
    assert!(over_tls(&first, alice.get("/")).await.is_err());
    let status = over_tls(&second, alice.get("/api/v1/status"))
        .await
        .unwrap();
    assert_eq!(status.status, 200, "the session stays");
    // A request without TLS gets no HTTP answer.
    let mut tcp = TcpStream::connect(addr).await.unwrap();
    tcp.write_all(Request::new("GET", "/").text().as_bytes())
        .await
        .unwrap();
    let mut said = Vec::new();
    let _ = timeout(PATIENCE, tcp.read_to_end(&mut said)).await.unwrap();
    assert!(!said.starts_with(b"HTTP"), "{said:?}");
}

#[tokio::test]
async fn a_reload_names_the_keys_that_it_cannot_change() {
    let rig = start().await;
    let alice = rig.sign_in("alice", "rose").await;
    let more = r#""administrators": ["bob"], "hosts": ["new.example"], "ip": "127.0.0.2""#;
    let mut other = config(&rig.folder, ACCOUNTS, more);
    other.web.as_mut().unwrap().port = 1;
    assert_eq!(rig.handle.reload(other), ["web.ip", "web.port"]);
    let told = rig
        .ask(alice.get("/api/v1/session").host("new.example"))
        .await
        .json();
    assert_eq!(told["administrator"], false);
    let mut none = config(&rig.folder, ACCOUNTS, "");
    none.web = None;
    assert_eq!(rig.handle.reload(none), ["web.enabled"]);
    assert_eq!(rig.ask(alice.get("/api/v1/session")).await.status, 200);
}
