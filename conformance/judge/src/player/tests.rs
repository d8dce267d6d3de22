//! How the player follows messages: logins, fences, keep-alive, the start of times, and `maps`.

use std::collections::BTreeMap;
use std::time::Duration;

use netroxy_specification::notation::ast::{Expectation, Template, Transport, Within};

use super::pattern::Pattern;
use super::*;
use crate::times::Tempo;
use crate::transcript::message;
use crate::wire::{Connection, Listener, Tls};

fn lines(text: &str) -> Vec<Vec<u8>> {
    text.split(' ').map(|one| one.as_bytes().to_vec()).collect()
}

/// A player in the role of a server. Its client is connected as `ctl`; the remote port 7001 has a listening target.
async fn with_client(tls: &Tls) -> Player<'_> {
    let (server, target) = (Listener::bind(0).await, Listener::bind(0).await);
    let (server, target) = (server.unwrap(), target.unwrap());
    let (to, limit) = (server.address, Duration::from_secs(5));
    let scene = ClientScene {
        mappings: vec![(7001, target.address, true)],
        targets: [(target.address, target)].into(),
        server,
        silent: None,
        transport: Transport::Plain,
    };
    let vars = BTreeMap::new();
    let mut player = Player::new(Scene::Client(scene), tls, Tempo::new(1.0), vars);
    let connection = Connection::open(to, Transport::Plain, tls, limit, false).await;
    player.enter("ctl", connection.unwrap(), Instant::now());
    player
}

#[tokio::test]
async fn a_client_is_logged_in_after_ars_true_or_its_first_map() {
    let tls = Tls::new().unwrap();
    for (sent, let_in) in [
        ("ARS false", false),
        ("SRS", false),
        ("XYZ true", false),
        ("ARS true 30 token", true),
    ] {
        let mut player = with_client(&tls).await;
        let sent_lines = lines(sent);
        let sending = player.send_message("ctl", &sent_lines, None);
        sending.await.unwrap();
        assert_eq!(player.actors["ctl"].logged_in, let_in, "{sent}");
        assert_eq!(player.can_fence(), let_in, "{sent}");
    }
    for (seen, let_in) in [
        ("ARS false", false),
        ("SRQ", false),
        ("MAP 7001 t true", true),
        ("ARS true 30 token", true),
    ] {
        let mut player = with_client(&tls).await;
        player.learn("ctl", &message(&lines(seen)));
        assert_eq!(player.actors["ctl"].logged_in, let_in, "{seen}");
    }
}

#[tokio::test]
async fn srq_of_a_client_is_passed_over_after_its_login_and_before_its_first_map() {
    let tls = Tls::new().unwrap();
    let mut player = with_client(&tls).await;
    let word = |word: &str| {
        let wanted = Expectation::Message(message(&lines(word)));
        [Pattern::new(&wanted, &BTreeMap::new()).unwrap()]
    };
    let silence = [Pattern::Silence];
    let nothing: [&str; 0] = [];
    assert_eq!(player.passed_over("ctl", &silence).unwrap(), nothing);
    assert_eq!(player.passed_over("ctl", &word("ATH")).unwrap(), nothing);
    assert_eq!(player.passed_over("ctl", &word("SRQ")).unwrap(), nothing);
    // A client that sends MAP has logged in, even if the case sent ARS as raw bytes.
    assert_eq!(player.passed_over("ctl", &word("MAP")).unwrap(), ["SRQ"]);
    player.actor("ctl").unwrap().logged_in = true;
    assert_eq!(player.passed_over("ctl", &silence).unwrap(), ["SRQ"]);
    assert_eq!(player.passed_over("ctl", &word("SRQ")).unwrap(), nothing);
}

#[tokio::test]
async fn a_fence_uses_only_open_mappings_that_were_not_refused() {
    let tls = Tls::new().unwrap();
    let mut player = with_client(&tls).await;
    for useless in ["MAP 7002 t true", "MAP 7001 t false", "SRQ 7001 t true"] {
        player.learn("ctl", &message(&lines(useless)));
        assert!(player.fence_ports.is_empty(), "{useless}");
    }
    let map = message(&lines("MAP 7001 t true"));
    let ports = [b"7001".to_vec()];
    for (answer, left) in [
        ("MRS 7002 false", &ports[..]),
        ("XYZ 7001 false", &ports),
        ("MRS 7001 true", &ports),
        ("MRS 7001 false", &[]),
        ("MRS 7001 true", &[]),
    ] {
        if !left.is_empty() {
            player.learn("ctl", &map);
        }
        let answered = lines(answer);
        let sending = player.send_message("ctl", &answered, None);
        sending.await.unwrap();
        assert_eq!(player.fence_ports, left, "{answer}");
    }
}

#[tokio::test]
async fn a_new_connection_ignores_events_of_an_older_one_of_its_name() {
    let tls = Tls::new().unwrap();
    let mut player = with_client(&tls).await;
    let (past, lately) = (player.last_event, Duration::from_secs(10));
    player.last_event = past + lately;
    player.actor("ctl").unwrap().last_event = past;
    let until = |action| {
        let step = Step {
            actor: "ctl".to_owned(),
            action,
            within: Some(Within {
                low: None,
                high: Some(1000),
                lenient: false,
            }),
            marks: Vec::new(),
            comment: None,
        };
        player.window(&step, &[]).until
    };
    let expected = until(Action::Expect(Expectation::Closed));
    assert_eq!(until(Action::Accept(None)), expected + lately);
}

/// Adds two mappings to the scene. Returns the suite's end of `ctl`, which the test uses as the client, and the target.
async fn other_end(player: &mut Player<'_>) -> (tokio::net::TcpStream, String) {
    let Scene::Client(scene) = &mut player.scene else {
        panic!("the scene of a client");
    };
    let target = scene.mappings[0].1;
    scene.mappings.push((7002, target, false));
    scene.mappings.push((7003, target, true));
    let (stream, _) = scene.server.next(Duration::from_secs(5)).await.unwrap();
    (stream, target.to_string())
}

fn refused(ports: &[&str]) -> Vec<Template> {
    ports.iter().map(|port| Template::bytes(*port)).collect()
}

#[tokio::test]
async fn each_map_is_answered_at_once_in_any_order() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let tls = Tls::new().unwrap();
    let mut player = with_client(&tls).await;
    let (mut stream, target) = other_end(&mut player).await;
    let client = tokio::spawn(async move {
        let mut answers = Vec::new();
        // A client may send a refused MAP again.
        for (port, open) in [(7003, true), (7001, true), (7003, true), (7002, false)] {
            let map = format!("SRQ\nMAP\n{port}\n{target}\n{open}\n");
            stream.write_all(map.as_bytes()).await.unwrap();
            let mut answer = vec![0; "MRS\n7001\ntrue\n".len()];
            if port == 7003 {
                answer.push(0);
            }
            stream.read_exact(&mut answer).await.unwrap();
            answers.push(String::from_utf8(answer).unwrap().replace('\n', " "));
        }
        answers
    });
    let asked = player.maps("ctl", &refused(&["7003"])).await;
    assert_eq!(asked, Ok(()));
    let expected = [
        "MRS 7003 false ",
        "MRS 7001 true ",
        "MRS 7003 false ",
        "MRS 7002 true ",
    ];
    assert_eq!(client.await.unwrap(), expected);
    // A fence uses only mappings that are open and granted.
    assert_eq!(player.fence_ports, [b"7001".to_vec()]);
    let told: Vec<String> = player
        .transcript
        .lines()
        .into_iter()
        .map(|line| line.text)
        .collect();
    let first =
        ["< SRQ", "< MAP 7003"].map(|text| told.iter().position(|one| one.starts_with(text)));
    assert!(first[0] < first[1], "{told:#?}");
}

#[tokio::test]
async fn a_map_for_another_mapping_or_sent_twice_is_an_error() {
    use tokio::io::AsyncWriteExt as _;
    let tls = Tls::new().unwrap();
    for (maps, got) in [
        (
            "MAP\n7004\nT\ntrue\n",
            "< MAP 7004 T true; still missing: < MAP 7001 T true, < MAP 7002 T false, < MAP 7003 T true",
        ),
        (
            "MAP\n7001\nT\nfalse\n",
            "< MAP 7001 T false; still missing: < MAP 7001 T true, < MAP 7002 T false, < MAP 7003 T true",
        ),
        (
            "MAP\n7001\nT\ntrue\nMAP\n7001\nT\ntrue\n",
            "< MAP 7001 T true; still missing: < MAP 7002 T false, < MAP 7003 T true",
        ),
        (
            "MAP\n7001\nT\ntrue\nMAP\n7002\nT\nfalse\nATH\na\nb\nc\n",
            "< ATH a b c; still missing: < MAP 7003 T true",
        ),
    ] {
        let mut player = with_client(&tls).await;
        let (mut stream, target) = other_end(&mut player).await;
        stream
            .write_all(maps.replace("\nT\n", &format!("\n{target}\n")).as_bytes())
            .await
            .unwrap();
        let asked = player.maps("ctl", &[]).await.unwrap_err();
        assert_eq!(asked.to_string().replace(&target, "T"), got);
    }
}
