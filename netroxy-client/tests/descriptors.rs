//! What a client does that runs out of descriptors: users are refused, none is left hanging.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "an unwrap that fails is a failed test")]

use std::{
    collections::BTreeSet,
    fs,
    process::{Child, Command, Stdio},
    time::Duration,
};

use netroxy_server::Server;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

#[path = "../../netroxy-net/tests/support/free_port.rs"]
mod free_port;
use free_port::free_port;

/// A client with a process of its own, and a server that lets users wait for a long time.
struct Scene {
    remote_port: u16,
    client: Child,
    stop_server: CancellationToken,
    /// A user who is served, and stays: all is up, and nothing is about to end.
    first: Option<TcpStream>,
    _dir: tempfile::TempDir,
}

impl Drop for Scene {
    fn drop(&mut self) {
        let _ = self.client.kill();
        let _ = self.client.wait();
        self.stop_server.cancel();
    }
}

async fn scene(limit: u32) -> Scene {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("server_config.json");
    let text = r#"{"ip": "127.0.0.1", "port": 1, "username": "u", "password": "p", "timeout": 60,
                   "userTimeout": 600}"#;
    fs::write(&file, text).unwrap();
    let (mut config, _) = netroxy_server::Config::load(&file).unwrap();
    config.port = Some(0);
    let server = Server::bind(config).await.unwrap();
    let addr = server.plain_addr().unwrap();
    let stop_server = CancellationToken::new();
    tokio::spawn(server.run(stop_server.clone()));

    let echo = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = echo.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = echo.accept().await {
            tokio::spawn(async move {
                let (mut from, mut to) = stream.split();
                let _ = tokio::io::copy(&mut from, &mut to).await;
            });
        }
    });
    let remote_port = free_port();
    let text = format!(
        r#"{{"ip": "127.0.0.1", "port": {}, "username": "u", "password": "p", "connections":
            [{{"ip": "127.0.0.1", "port": {}, "remotePort": {remote_port}, "isOpen": true}}]}}"#,
        addr.port(),
        target.port(),
    );
    fs::write(dir.path().join("client_config.json"), text).unwrap();
    let program = env!("CARGO_BIN_EXE_netroxy-client");
    let client = Command::new("sh")
        .args(["-c", &format!("ulimit -n {limit} && exec \"$0\""), program])
        .current_dir(dir.path())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut scene = Scene {
        remote_port,
        client,
        stop_server,
        first: None,
        _dir: dir,
    };
    let mut first = scene.user().await;
    assert!(served(&mut first).await);
    scene.first = Some(first);
    scene
}

impl Scene {
    async fn user(&self) -> TcpStream {
        let connecting = async {
            loop {
                match TcpStream::connect(("127.0.0.1", self.remote_port)).await {
                    Ok(stream) => return stream,
                    // Not mapped yet.
                    Err(_) => sleep(Duration::from_millis(20)).await,
                }
            }
        };
        timeout(Duration::from_secs(60), connecting)
            .await
            .expect("the port is mapped in time")
    }
}

/// Whether what a user says comes back; false when the user is closed. The server would let a user
/// without a tunnel wait for ten minutes.
async fn served(user: &mut TcpStream) -> bool {
    let dialogue = async {
        user.write_all(b"x").await?;
        user.read_exact(&mut [0]).await
    };
    timeout(Duration::from_secs(60), dialogue)
        .await
        .expect("a user is served or closed")
        .is_ok()
}

#[tokio::test]
async fn more_users_than_tunnels_are_closed_and_the_others_go_on() {
    let mut scene = scene(64).await;
    let mut users = Vec::new();
    for _ in 0..40 {
        let mut user = scene.user().await;
        let is_served = served(&mut user).await;
        users.push((user, is_served));
    }
    let first: Vec<bool> = users.iter().map(|(_, is_served)| *is_served).collect();
    // 64 without the reserve of 32, two for each tunnel, and the first user has one.
    let count = first.iter().filter(|is_served| **is_served).count();
    assert_eq!(count, 15, "{first:?}");
    for (user, was_served) in &mut users {
        if *was_served {
            assert!(served(user).await, "an open tunnel was cut");
        }
    }
    assert!(served(scene.first.as_mut().unwrap()).await);
    // Room again for those who come later.
    drop(users);
    let mut late = scene.user().await;
    while !served(&mut late).await {
        late = scene.user().await;
        sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_user_is_closed_when_no_descriptor_is_left() {
    let mut scene = scene(256).await;
    let pid = scene.client.id();
    let open: BTreeSet<u64> = fs::read_dir(format!("/proc/{pid}/fd"))
        .unwrap()
        .map(|entry| {
            entry
                .unwrap()
                .file_name()
                .to_str()
                .unwrap()
                .parse()
                .unwrap()
        })
        .collect();
    let none_free = (0..).find(|number| !open.contains(number)).unwrap();
    let pid = i32::try_from(pid).unwrap();
    let limit = Some((none_free, 256));
    rlimit::prlimit(pid, rlimit::Resource::NOFILE, limit, None).unwrap();
    let mut users = Vec::new();
    for _ in 0..8 {
        users.push(scene.user().await);
    }
    for user in &mut users {
        assert!(!served(user).await, "there was a descriptor");
    }
    let first = scene.first.as_mut().unwrap();
    assert!(served(first).await, "an open tunnel was cut");
    let limit = Some((256, 256));
    rlimit::prlimit(pid, rlimit::Resource::NOFILE, limit, None).unwrap();
    assert!(served(&mut scene.user().await).await);
}
