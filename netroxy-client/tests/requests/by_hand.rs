//! A person decides about requests by commands.

use std::fs;
use std::process::Stdio;
use std::time::Instant;

use netroxy_client::admin::{MappingState, RequestStanding, Requests, State};

use crate::scene::{Scene, is_closed, only};
use crate::support::{LONG, Program, client, echo, free_port, greeting, served, user};

/// Exit code, stdout and stderr of a command that is given in the folder of the client.
fn run(scene: &Scene, args: &[&str]) -> (Option<i32>, String, String) {
    let output = client(scene.folder.path()).args(args).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
    )
}

#[track_caller]
fn done(scene: &Scene, args: &[&str]) -> String {
    let (code, stdout, stderr) = run(scene, args);
    assert_eq!(code, Some(0), "{args:?}: {stderr}");
    stdout
}

#[track_caller]
fn refused(scene: &Scene, args: &[&str], code: i32, part: &str) {
    let (actual, _, stderr) = run(scene, args);
    assert_eq!(actual, Some(code), "{args:?}: {stderr}");
    assert!(stderr.contains(part), "{args:?}: {stderr}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_lists_accepts_and_refuses_requests() {
    let (asked, other) = (echo("asked").await, echo("other").await);
    let [first, second, third] = [free_port(), free_port(), free_port()];
    let scene = Scene::plain().await;
    scene.file(&[], &only(asked, "byHand"));
    let log = fs::File::create(scene.folder.path().join("log")).unwrap();
    let running = client(scene.folder.path())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .unwrap();
    let _running = Program(running);

    let one = scene.ask(asked, first).await;
    let two = scene.ask(asked, second).await;
    let outside = scene.ask(other, third).await;
    // A request that is not allowed needs no person.
    let reason = scene.becomes(&outside, "refused").await;
    assert!(reason.contains("does not allow the target"), "{reason}");
    is_closed(first).await;

    // Waits until the client has read that the server knows the decision.
    let start = Instant::now();
    while done(&scene, &["requests"]).contains(&outside) {
        assert!(start.elapsed() < LONG);
    }
    let list = done(&scene, &["requests"]);
    assert_eq!(list, done(&scene, &["requests", "list"]));
    let rows: Vec<_> = list.lines().collect();
    let head: Vec<_> = rows[0].split_whitespace().collect();
    assert_eq!(head, ["ID", "REMOTE", "TARGET", "BY", "STATE"], "{list}");
    assert_eq!(rows.len(), 3, "{list}");
    for (id, port) in [(&one, first), (&two, second)] {
        let row = rows
            .iter()
            .find(|row| row.starts_with(id.as_str()))
            .unwrap();
        let cells: Vec<_> = row.split_whitespace().skip(1).collect();
        let expected = [&port.to_string(), &asked.to_string(), "u", "waiting"];
        assert_eq!(cells, expected, "{list}");
    }

    let accepted = done(&scene, &["requests", "accept", &one]);
    let expected =
        format!("request {one}, {first} -> {asked}: accepted; added 1, removed 0, changed 0\n");
    assert_eq!(accepted, expected);
    scene.becomes(&one, "mapped").await;
    let mut tunnel = user(first).await;
    assert_eq!(greeting(&mut tunnel, 5).await, "asked");
    let mappings = done(&scene, &["map", "list", "--json"]);
    let mappings: Vec<MappingState> = serde_json::from_str(&mappings).unwrap();
    assert_eq!(mappings.len(), 1);
    let mapping = &mappings[0];
    assert_eq!((mapping.remote_port, mapping.state), (first, State::Mapped));
    assert_eq!(
        mapping.request.as_ref().map(ToString::to_string),
        Some(one.clone())
    );
    assert!(done(&scene, &["map", "list"]).contains("mapped, requested"));

    let answer = done(
        &scene,
        &["requests", "refuse", &two, "ask the other office"],
    );
    assert!(
        answer.contains("refused: ask the other office; added 0, removed 0"),
        "{answer}"
    );
    let reason = scene.becomes(&two, "refused").await;
    assert_eq!(reason, "ask the other office");
    is_closed(second).await;

    refused(&scene, &["requests", "accept", &one], 1, "accepted already");
    refused(&scene, &["requests", "accept", &two], 1, &two);
    let unknown = "0123456789abcdef";
    refused(
        &scene,
        &["requests", "refuse", unknown],
        1,
        "there is no request",
    );
    refused(
        &scene,
        &["requests", "accept", "1"],
        2,
        "must be the 16 hex digits",
    );
    let long = "x".repeat(201);
    refused(
        &scene,
        &["requests", "refuse", &one, &long],
        2,
        "200 characters",
    );
    refused(
        &scene,
        &["requests", "refuse", &one, "a\nb"],
        2,
        "control characters",
    );

    // A mapped request can be refused too: its port is closed, its tunnels stay.
    let json = done(&scene, &["requests", "list", "--json"]);
    let json: Requests = serde_json::from_str(&json).unwrap();
    assert_eq!(json.problem, None);
    let standing = json.requests.iter().find(|r| r.id.to_string() == one);
    assert_eq!(standing.unwrap().state, RequestStanding::Mapped);
    let answer = done(&scene, &["requests", "refuse", &one]);
    assert!(answer.contains("logs in anew"), "{answer}");
    let reason = scene.becomes(&one, "refused").await;
    assert_eq!(reason, "refused at the client");
    is_closed(first).await;
    assert!(served(&mut tunnel).await, "a tunnel was cut");

    let log = fs::read_to_string(scene.folder.path().join("log")).unwrap();
    assert!(log.contains(&format!("requests accept {one}")), "{log}");
    assert!(!log.contains("bug"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_without_requests_in_its_file_refuses_the_commands() {
    let service = echo("").await;
    let port = free_port();
    let scene = Scene::plain().await;
    let text = crate::support::config(scene.server, &[(port, service)], r#""controlSocket": "s","#);
    fs::write(scene.folder.path().join("client_config.json"), text).unwrap();
    let running = client(scene.folder.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let _running = Program(running);
    drop(user(port).await);
    refused(&scene, &["requests"], 1, "this client takes no requests");
    let accept = ["requests", "accept", "0123456789abcdef"];
    refused(&scene, &accept, 1, "this client takes no requests");
}
