//! Mappings that lead back to their own client.

use std::fs;
use std::time::Duration;

use netroxy_client::admin::{Answer, Handle, Request, Status};
use netroxy_client::{Client, Config};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::support::{echo, free_port, greeting, served, user};

async fn status(client: &Handle) -> Status {
    match client.ask(Request::Status).await {
        Some(Answer::Status(status)) => status,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_mapping_that_leads_to_itself_gives_a_warning_and_opens_one_tunnel() {
    let (server, _stop) = crate::support::server().await;
    let [itself, named, there, back, good] = [(); 5].map(|()| free_port());
    let service = echo("good").await;
    let at = |port: u16| format!("127.0.0.1:{port}").parse().unwrap();
    let mappings = [
        (itself, at(itself)),
        (named, at(named)),
        (there, at(back)),
        (back, at(there)),
        (good, service),
    ];
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("client_config.json");
    let by_name = format!(r#""ip": "127.0.0.1", "port": {named}"#);
    let text = crate::support::config(server, &mappings, "")
        .replace(&by_name, &format!(r#""ip": "localhost", "port": {named}"#));
    fs::write(&file, text).unwrap();
    let (config, warnings) = Config::load(&file).unwrap();
    let warned = format!("a loop: remotePort {itself} leads to 127.0.0.1:{itself}");
    assert!(warnings.iter().any(|w| w.contains(&warned)), "{warnings:?}");
    let client = Client::new(config);
    let handle = client.handle();
    let stop = CancellationToken::new();
    let _stop = stop.clone().drop_guard();
    tokio::spawn(client.run(stop));
    while status(&handle).await.mapped < mappings.len() {
        sleep(Duration::from_millis(20)).await;
    }
    for port in [itself, named, there, back] {
        assert!(!served(&mut user(port).await).await, "{port} was served");
    }
    let mut served = user(good).await;
    assert_eq!(greeting(&mut served, 4).await, "good");
    let status = status(&handle).await;
    assert_eq!(status.tunnels_in_all, 5, "a tunnel opened another one");
}

/// An equal port is no loop if the service is on another host.
#[test]
fn a_service_on_another_host_is_no_loop() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("client_config.json");
    let text = r#"{"ip": "127.0.0.1", "port": 1, "username": "u", "password": "p",
                   "connections": [{"ip": "192.0.2.1", "port": 80, "remotePort": 80}]}"#;
    fs::write(&file, text).unwrap();
    let (_, warnings) = Config::load(&file).unwrap();
    assert_eq!(warnings, [""; 0]);
}
