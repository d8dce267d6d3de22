//! A client without free descriptors refuses users, and leaves none waiting.

use std::collections::BTreeSet;
use std::fs;
use std::process::Stdio;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::sleep;
use tokio_util::sync::DropGuard;

use crate::support::{Program, free_port, served, user};

/// A client in a process of its own, and a server at which users wait for a long time.
struct Scene {
    remote_port: u16,
    client: Program,
    /// A user with an open tunnel: the mapping is ready.
    first: TcpStream,
    _stop_server: DropGuard,
    _dir: tempfile::TempDir,
}

/// The client may have `limit` descriptors.
async fn scene(limit: u32) -> Scene {
    let dir = tempfile::tempdir().unwrap();
    let (server, stop_server) = crate::support::server().await;
    let remote_port = free_port();
    let text = crate::support::config(server, &[(remote_port, crate::support::echo("").await)], "");
    fs::write(dir.path().join("client_config.json"), text).unwrap();
    let program = crate::support::client(dir.path()).get_program().to_owned();
    let client = std::process::Command::new("sh")
        .args(["-c", &format!("ulimit -n {limit} && exec \"$0\"")])
        .arg(program)
        .current_dir(dir.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let client = Program(client);
    let mut first = user(remote_port).await;
    assert!(served(&mut first).await);
    Scene {
        remote_port,
        client,
        first,
        _stop_server: stop_server,
        _dir: dir,
    }
}

#[tokio::test]
async fn users_beyond_the_most_tunnels_are_closed_and_open_tunnels_stay() {
    let mut scene = scene(64).await;
    let mut users = Vec::new();
    for _ in 0..40 {
        let mut user = user(scene.remote_port).await;
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
    assert!(served(&mut scene.first).await);
    // Later users find room again.
    drop(users);
    let mut late = user(scene.remote_port).await;
    while !served(&mut late).await {
        late = user(scene.remote_port).await;
        sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_user_is_closed_when_no_descriptor_is_left() {
    let mut scene = scene(256).await;
    let pid = scene.client.0.id();
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
        users.push(user(scene.remote_port).await);
    }
    for user in &mut users {
        assert!(!served(user).await, "a descriptor was free");
    }
    assert!(served(&mut scene.first).await, "an open tunnel was cut");
    let limit = Some((256, 256));
    rlimit::prlimit(pid, rlimit::Resource::NOFILE, limit, None).unwrap();
    assert!(served(&mut user(scene.remote_port).await).await);
}
