//! Requests of users at a real server.

use std::fs;
use std::net::SocketAddr;

use netroxy_client::admin::{Answer, Request, RequestStanding};
use tokio::net::TcpListener;

use crate::http::{Browser, Web, past_sign_in, say};
use crate::scene::{Running, Scene, file, is_closed, only};
use crate::support::{echo, free_port, greeting, served, user};

/// Connects as a user, who gets the greeting of the service.
async fn is_served(port: u16, expected: &str) -> tokio::net::TcpStream {
    let mut user = user(port).await;
    assert_eq!(greeting(&mut user, expected.len()).await, expected);
    user
}

/// A port and a service of the client's own mapping.
async fn own_mapping() -> (u16, SocketAddr) {
    (free_port(), echo("own").await)
}

/// A client that accepts the requests for one service, and has mapped it for a user: the service, the
/// remote port and the request. `own` are the client's own mappings.
async fn mapped(scene: &Scene, own: &[(u16, SocketAddr)]) -> (Running, SocketAddr, u16, String) {
    let (asked, port) = (echo("asked").await, free_port());
    let client = scene.client(own, &only(asked, "auto"));
    let id = scene.ask(asked, port).await;
    scene.becomes(&id, "mapped").await;
    (client, asked, port, id)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_allowed_request_is_mapped_at_once_without_a_new_login() {
    let (own, asked) = (echo("own").await, echo("asked").await);
    let (own_port, port) = (free_port(), free_port());
    let scene = Scene::plain().await;
    let client = scene.client(&[(own_port, own)], &only(asked, "auto"));
    let mut tunnel = is_served(own_port, "own").await;
    let id = scene.ask(asked, port).await;
    scene.becomes(&id, "mapped").await;
    is_served(port, "asked").await;
    client.has(&[(RequestStanding::Mapped, port.into())]).await;
    assert!(served(&mut tunnel).await);
    assert_eq!(client.logins().await, 1);
    // The administrator cannot change the mapping by its port.
    let remove = Request::Remove {
        ports: vec![port.to_string()],
    };
    let add = Request::Add {
        map: vec![format!("{port}={asked}")],
    };
    for order in [remove, add] {
        let answer = client.handle.ask(order).await;
        let Some(Answer::Refused(why)) = answer else {
            panic!("{answer:?}");
        };
        assert!(why.contains("mapped for a request of a user"), "{why}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_over_tls_trust_the_fingerprint_of_the_control_connection() {
    let scene = Scene::with_tls().await;
    let (client, asked, port, _) = mapped(&scene, &[]).await;
    let mut tunnel = is_served(port, "asked").await;

    // A web interface with another certificate than the pinned one is not asked, and tunnels stay.
    let wrong = format!(
        r#"{}, "fingerprint": "{}""#,
        only(asked, "auto"),
        "5A".repeat(32)
    );
    client.reload(&scene.file(&[], &wrong)).await;
    let problem = client.problem(|problem| problem.is_some()).await;
    assert!(problem.contains("fingerprint"), "{problem}");
    assert!(served(&mut tunnel).await);
    is_served(port, "asked").await;
    client.reload(&scene.file(&[], &only(asked, "auto"))).await;
    client.problem(|problem| problem.is_none()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_not_allowed_is_refused_with_its_reason() {
    let (own, asked, other) = (echo("own").await, echo("asked").await, echo("other").await);
    let [own_port, port, outside] = [free_port(), free_port(), free_port()];
    let scene = Scene::plain().await;
    let section = format!(r#"{}, "remotePorts": ["{port}"]"#, only(asked, "auto"));
    let client = scene.client(&[(own_port, own)], &section);
    drop(is_served(own_port, "own").await);
    let mapped = SocketAddr::new("::ffff:127.0.0.1".parse().unwrap(), other.port());
    let localhost = SocketAddr::new("::1".parse().unwrap(), asked.port());
    for (target, port, part) in [
        (other, port, "does not allow the target"),
        (mapped, port, "does not allow the target"),
        (localhost, port, "does not allow the target"),
        (asked, outside, "does not allow the remote port"),
    ] {
        let id = scene.ask(target, port).await;
        let reason = scene.becomes(&id, "refused").await;
        assert!(reason.contains(part), "{target} {port}: {reason}");
        is_closed(port).await;
    }
    // The allowed service in another form of its address.
    let mapped = SocketAddr::new("::ffff:127.0.0.1".parse().unwrap(), asked.port());
    let id = scene.ask(mapped, port).await;
    scene.becomes(&id, "mapped").await;
    is_served(port, "asked").await;
    assert_eq!(client.logins().await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_for_a_port_that_is_in_use_is_refused() {
    let asked = echo("asked").await;
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = taken.local_addr().unwrap().port();
    let scene = Scene::plain().await;
    let client = scene.client(&[], &only(asked, "auto"));
    let id = scene.ask(asked, port).await;
    let reason = scene.becomes(&id, "refused").await;
    assert!(reason.contains("cannot listen on the port"), "{reason}");
    client.has(&[]).await;
    // When the port is free, it can be requested again.
    drop(taken);
    let id = scene.ask(asked, port).await;
    scene.becomes(&id, "mapped").await;
    is_served(port, "asked").await;
    assert_eq!(client.logins().await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_mapped_again_after_a_new_login_and_after_a_restart() {
    let scene = Scene::plain().await;
    let own @ (own_port, _) = own_mapping().await;
    let (client, asked, port, id) = mapped(&scene, &[own]).await;
    let mut tunnel = is_served(port, "asked").await;

    // A new login of the same program.
    let remove = Request::Remove {
        ports: vec![own_port.to_string()],
    };
    let answer = client.handle.ask(remove).await;
    assert!(
        matches!(&answer, Some(Answer::Changed(changed)) if changed.logs_in_anew),
        "{answer:?}"
    );
    is_closed(own_port).await;
    scene.becomes(&id, "mapped").await;
    is_served(port, "asked").await;
    assert!(served(&mut tunnel).await);
    assert_eq!(client.logins().await, 2);

    // A new program. The old one would wait until the tunnel ends.
    drop(tunnel);
    client.stop().await;
    scene.becomes(&id, "asked").await;
    let client = scene.client(&[], &only(asked, "auto"));
    scene.becomes(&id, "mapped").await;
    is_served(port, "asked").await;
    client.has(&[(RequestStanding::Mapped, port.into())]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_refuses_mapped_requests_that_are_not_allowed_any_more() {
    let (one, two) = (echo("one").await, echo("two").await);
    let (own_port, first, second) = (free_port(), free_port(), free_port());
    let scene = Scene::plain().await;
    let both = format!(
        r#""accept": "auto", "allow": [{{"networks": ["127.0.0.0/8"], "ports": ["{}", "{}"]}}]"#,
        one.port(),
        two.port()
    );
    let client = scene.client(&[(own_port, one)], &both);
    let [id_one, id_two] = [scene.ask(one, first).await, scene.ask(two, second).await];
    scene.becomes(&id_one, "mapped").await;
    scene.becomes(&id_two, "mapped").await;
    let mut tunnel = is_served(second, "two").await;

    client
        .reload(&scene.file(&[(own_port, one)], &only(one, "auto")))
        .await;
    let reason = scene.becomes(&id_two, "refused").await;
    assert!(reason.contains("does not allow the target"), "{reason}");
    is_closed(second).await;
    scene.becomes(&id_one, "mapped").await;
    is_served(first, "one").await;
    is_served(own_port, "one").await;
    assert!(served(&mut tunnel).await, "a tunnel was cut");

    // The client's own mapping gets the port.
    client
        .reload(&scene.file(&[(own_port, one), (first, two)], &only(one, "auto")))
        .await;
    let reason = scene.becomes(&id_one, "refused").await;
    assert!(reason.contains("the client's own mappings"), "{reason}");
    is_served(first, "two").await;

    // The client takes no requests any more.
    let id = scene.ask(one, second).await;
    scene.becomes(&id, "mapped").await;
    let path = scene.folder.path().join("client_config.json");
    let text = crate::support::config(scene.server, &[(own_port, one)], r#""name": "office","#);
    fs::write(&path, text).unwrap();
    client.reload(&path).await;
    is_closed(second).await;
    is_served(own_port, "one").await;
    let answer = client.handle.ask(Request::Requests).await;
    assert!(
        matches!(&answer, Some(Answer::Refused(why)) if why.contains("takes no requests")),
        "{answer:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_withdrawn_request_is_removed_and_its_port_can_be_requested_again() {
    let scene = Scene::plain().await;
    let own @ (own_port, _) = own_mapping().await;
    let (client, asked, port, id) = mapped(&scene, &[own]).await;
    let mut tunnel = is_served(port, "asked").await;
    scene.withdraw(&id).await;
    is_closed(port).await;
    client.has(&[]).await;
    assert!(served(&mut tunnel).await, "a tunnel was cut");
    assert_eq!(client.logins().await, 1);
    is_served(own_port, "own").await;

    // The server opens the port for another login only.
    let id = scene.ask(asked, port).await;
    scene.becomes(&id, "mapped").await;
    is_served(port, "asked").await;
    assert_eq!(client.logins().await, 2);
    assert!(served(&mut tunnel).await, "a tunnel was cut");
}

#[tokio::test(flavor = "multi_thread")]
async fn mappings_work_while_the_web_interface_is_down() {
    let (own_port, own) = own_mapping().await;
    let scene = Scene::plain().await;
    let down: SocketAddr = ([127, 0, 0, 1], free_port()).into();
    let url = format!("http://{down}");
    let path = file(
        scene.folder.path(),
        scene.server,
        &[(own_port, own)],
        "",
        &url,
        &only(own, "auto"),
    );
    let client = Running::start(&path);
    let problem = client.problem(|problem| problem.is_some()).await;
    assert!(problem.contains("refused"), "{problem}");
    is_served(own_port, "own").await;

    let _web = Web::start(down, |request, stream| async move {
        if let Some(stream) = past_sign_in(&request, stream).await {
            let list = r#"{"version": 1, "requests": []}"#;
            say(stream, "200 OK", "", list).await;
        }
    })
    .await;
    client.problem(|problem| problem.is_none()).await;
    is_served(own_port, "own").await;
    assert_eq!(client.logins().await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_the_server_has_ended_is_replaced() {
    let mut scene = Scene::plain().await;
    let (client, asked, port, _) = mapped(&scene, &[]).await;
    // The server replaces the account by one of the same name and password, so its sessions and its login end.
    let path = scene.folder.path().join("server_config.json");
    let text = fs::read_to_string(&path).unwrap();
    let with_users = text.replace(
        r#""username": "u", "password": "p","#,
        r#""users": [{"username": "u", "password": "p", "maxPorts": 9}],"#,
    );
    assert_ne!(with_users, text);
    fs::write(&path, with_users).unwrap();
    let config = netroxy_server::Config::load(&path).unwrap().0;
    scene.handle.reload(config);
    scene.browser = Browser::sign_in(scene.web, false, "u").await;
    let second = free_port();
    let id = scene.ask(asked, second).await;
    scene.becomes(&id, "mapped").await;
    is_served(second, "asked").await;
    is_served(port, "asked").await;
    assert_eq!(client.logins().await, 2);
    assert_eq!(client.requests().await.problem, None);
    scene.stop();
}
