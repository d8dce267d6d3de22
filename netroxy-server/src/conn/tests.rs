//! Events while a login waits for the check of its password.

use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::{Server, hash};

/// The longest wait for an event.
const PATIENCE: Duration = Duration::from_secs(20);

struct Rig {
    hub: Arc<Hub>,
    addr: SocketAddr,
    stop: CancellationToken,
    server: JoinHandle<()>,
    /// No password is checked while this is held.
    _permits: OwnedSemaphorePermit,
    folder: TempDir,
}

impl Rig {
    async fn start(more: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let server = Server::bind(config(&folder, "u", more)).await.unwrap();
        let (hub, addr) = (server.handle().0, server.plain_addr().unwrap());
        let stop = CancellationToken::new();
        Self {
            addr,
            server: tokio::spawn(server.run(stop.clone())),
            stop,
            _permits: hub.config().accounts.all_permits().await,
            hub,
            folder,
        }
    }

    /// A client whose password is being checked.
    async fn login(&self) -> TcpStream {
        let mut client = TcpStream::connect(self.addr).await.unwrap();
        client.write_all(b"ATH\nn\nu\nx\n").await.unwrap();
        // A wrong server needs this time to show its error. A right server passes with any time.
        sleep(Duration::from_millis(100)).await;
        client
    }
}

fn config(folder: &TempDir, user: &str, more: &str) -> Config {
    let file = folder.path().join("server_config.json");
    let hash = hash(b"x").unwrap();
    let text = format!(
        r#"{{"ip": "127.0.0.1", "port": 1, "username": "{user}", "passwordHash": "{hash}",
            "timeout": 30, "loginTimeout": 600 {more}}}"#
    );
    std::fs::write(&file, text).unwrap();
    let mut config = Config::load(&file).unwrap().0;
    config.port = Some(0);
    config
}

#[tokio::test]
async fn a_server_that_stops_does_not_wait_for_passwords() {
    let rig = Rig::start("").await;
    let _client = rig.login().await;
    rig.stop.cancel();
    timeout(PATIENCE, rig.server).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_stranger_in_the_queue_makes_room_for_a_newcomer() {
    let rig = Rig::start(r#", "limits": {"freshConnections": 1}"#).await;
    let mut first = rig.login().await;
    let _second = rig.login().await;
    let end = timeout(PATIENCE, first.read(&mut [0])).await.unwrap();
    assert!(matches!(end, Ok(0) | Err(_)), "{end:?}");
    // Its descriptor is free, although it does not close its end.
    let alone = async {
        while rig.hub.admission.census().fresh_connections > 1 {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, alone).await.unwrap();
}

#[tokio::test]
async fn a_stranger_without_a_proxy_header_makes_room_for_a_newcomer() {
    let more = r#", "trustedProxies": "127.0.0.1", "limits": {"freshConnections": 1}"#;
    let rig = Rig::start(more).await;
    let mut first = TcpStream::connect(rig.addr).await.unwrap();
    let _second = TcpStream::connect(rig.addr).await.unwrap();
    let end = timeout(PATIENCE, first.read(&mut [0])).await.unwrap();
    assert!(matches!(end, Ok(0) | Err(_)), "{end:?}");
}

#[tokio::test]
async fn an_account_that_is_removed_while_its_password_is_checked_does_not_log_in() {
    let rig = Rig::start("").await;
    let account = rig.hub.config().accounts.all()[0].clone();
    let ath = Ath {
        client_name: "n".to_owned().try_into().unwrap(),
        username: account.username.clone(),
        password: "x".to_owned().try_into().unwrap(),
    };
    let log_in = || {
        let seat = rig.hub.admit(Listener::Plain, rig.addr).unwrap();
        rig.hub.login(seat.id, ath.clone(), Some(account.clone()));
        rig.hub.clients().len()
    };
    assert_eq!(log_in(), 1);
    rig.hub.set_config(config(&rig.folder, "other", ""), 1000);
    assert_eq!(log_in(), 0);
}
