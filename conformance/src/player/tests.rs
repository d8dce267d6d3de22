//! What the player makes of what is said: who is let in, what can be asked for, and from when on time counts.

use super::pattern::Pattern;
use super::*;
use crate::notation::ast::{Expectation, Transport, Within};
use crate::transcript::message;

fn lines(text: &str) -> Vec<Vec<u8>> {
    text.split(' ').map(|one| one.as_bytes().to_vec()).collect()
}

/// In the role of a server whose client is connected as `ctl`; the port 7001 leads somewhere.
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
async fn a_client_is_let_in_by_ars_true_and_shows_it_by_map() {
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
async fn a_client_may_keep_alive_as_soon_as_it_is_let_in_and_no_sooner() {
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
    // Who maps has been let in, whatever bytes have told it so.
    assert_eq!(player.passed_over("ctl", &word("MAP")).unwrap(), ["SRQ"]);
    player.actor("ctl").unwrap().logged_in = true;
    assert_eq!(player.passed_over("ctl", &silence).unwrap(), ["SRQ"]);
    assert_eq!(player.passed_over("ctl", &word("SRQ")).unwrap(), nothing);
}

#[tokio::test]
async fn a_fence_leads_where_the_client_has_asked_and_we_have_not_refused() {
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
async fn a_new_connection_has_no_past_of_a_namesake() {
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
