//! Commands and SIGHUP, given to a running client.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use netroxy_client::admin::{MappingState, State, Status};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;
use tokio_util::sync::DropGuard;

use crate::support::{LONG, Program, client, config, echo, free_port, greeting, served, user};

/// A running client with a control socket.
struct Scene {
    dir: tempfile::TempDir,
    client: Program,
    server: SocketAddr,
    _stop: DropGuard,
}

const SOCKET: &str = r#""controlSocket": "s","#;

async fn scene(mappings: &[(u16, SocketAddr)]) -> Scene {
    let dir = tempfile::tempdir().unwrap();
    let (server, stop) = crate::support::server().await;
    fs::write(
        dir.path().join("client_config.json"),
        config(server, mappings, SOCKET),
    )
    .unwrap();
    let log = fs::File::create(dir.path().join("log")).unwrap();
    let running = client(dir.path())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .unwrap();
    Scene {
        dir,
        client: Program(running),
        server,
        _stop: stop,
    }
}

impl Scene {
    /// Exit code, stdout and stderr of a command.
    fn run(&self, args: &[&str]) -> (Option<i32>, String, String) {
        let output = client(self.dir.path()).args(args).output().unwrap();
        (
            output.status.code(),
            String::from_utf8(output.stdout).unwrap(),
            String::from_utf8(output.stderr).unwrap(),
        )
    }

    #[track_caller]
    fn done(&self, args: &[&str]) -> String {
        let (code, stdout, stderr) = self.run(args);
        assert_eq!(code, Some(0), "{args:?}: {stderr}");
        stdout
    }

    #[track_caller]
    fn refused(&self, args: &[&str], code: i32, part: &str) {
        let (actual, _, stderr) = self.run(args);
        assert_eq!(actual, Some(code), "{args:?}: {stderr}");
        assert!(stderr.contains(part), "{args:?}: {stderr}");
    }

    fn list(&self) -> Vec<MappingState> {
        serde_json::from_str(&self.done(&["--control-socket", "s", "map", "list", "--json"]))
            .unwrap()
    }

    fn status(&self) -> Status {
        serde_json::from_str(&self.done(&["--control-socket", "s", "status", "--json"])).unwrap()
    }

    fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap()
    }

    fn file(&self) -> PathBuf {
        self.dir.path().join("client_config.json")
    }

    fn signal(&self, name: &str) {
        let pid = self.client.0.id().to_string();
        let sent = Command::new("kill").args([name, &pid]).status().unwrap();
        assert!(sent.success());
    }
}

/// Waits until the condition is true. Panics if it is not true after [`LONG`].
async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let start = Instant::now();
    while !is_so().await {
        assert!(start.elapsed() < LONG, "{what}");
        sleep(Duration::from_millis(50)).await;
    }
}

async fn is_closed(port: u16) -> bool {
    TcpStream::connect(("127.0.0.1", port)).await.is_err()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_added_mapping_needs_no_new_login_and_a_removed_one_does() {
    let (one, two) = (echo("one").await, echo("two").await);
    let (first, second) = (free_port(), free_port());
    let scene = scene(&[(first, one)]).await;
    let mut tunnel = user(first).await;
    assert_eq!(greeting(&mut tunnel, 3).await, "one");

    let added = scene.done(&["map", "add", &format!("{second}={two}")]);
    assert_eq!(added, "added 1, removed 0, changed 0\n");
    let mut other = user(second).await;
    assert_eq!(greeting(&mut other, 3).await, "two");
    let status = scene.status();
    assert_eq!((status.logins, status.mappings, status.tunnels), (1, 2, 2));
    let states = scene.list();
    let shown: Vec<_> = states
        .iter()
        .map(|s| (s.remote_port, s.target.clone(), s.state, s.tunnels))
        .collect();
    let mut expected = [
        (first, one.to_string(), State::Mapped, 1),
        (second, two.to_string(), State::Mapped, 1),
    ];
    expected.sort_by_key(|row| row.0);
    assert_eq!(shown, expected);
    let text = scene.done(&["map", "list"]);
    assert_eq!(text.lines().count(), 3, "{text}");
    assert!(text.contains(&two.to_string()), "{text}");

    let removed = scene.done(&["map", "remove", &first.to_string()]);
    assert!(removed.contains("logs in anew"), "{removed}");
    until("the port is given back", async || is_closed(first).await).await;
    assert!(served(&mut tunnel).await, "a tunnel was cut");
    assert!(served(&mut other).await, "a tunnel was cut");
    until("the client has logged in anew", async || {
        scene.status().logins == 2
    })
    .await;
    assert_eq!(greeting(&mut user(second).await, 3).await, "two");
    assert!(scene.log().contains("logging in anew; open tunnels stay"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_change_is_refused_and_changes_nothing() {
    let service = echo("").await;
    let (port, free) = (free_port(), free_port());
    let scene = scene(&[(port, service)]).await;
    drop(user(port).await);
    let other = format!("{port}=127.0.0.1:1");
    let free = free.to_string();
    scene.refused(&["map", "add", &other], 1, "is mapped to");
    scene.refused(&["map", "remove", &free], 1, "is not mapped");
    let twice = [format!("{free}=h:1"), format!("{free}=h:2")];
    scene.refused(&["map", "add", &twice[0], &twice[1]], 1, "is given twice");
    scene.refused(&["map", "add", "nonsense"], 2, "expected REMOTE=HOST:PORT");
    scene.refused(&["map", "remove", "9-8"], 2, "9-8 is not a range");
    scene.refused(&["map", "add"], 2, "required");
    scene.refused(
        &["--control-socket", "none", "status"],
        1,
        "cannot ask the client at none",
    );
    scene.refused(
        &["--server", "h:1", "status"],
        2,
        "no control socket is named",
    );
    // A mapping that exists already is no change.
    let same = scene.done(&["map", "add", &format!("{port}={service}")]);
    assert_eq!(same, "added 0, removed 0, changed 0\n");
    let status = scene.status();
    assert_eq!((status.logins, status.mappings), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_show_a_refused_mapping_and_a_missing_server() {
    let service = echo("").await;
    let taken = TcpListener::bind("[::]:0").await.unwrap();
    let port = taken.local_addr().unwrap().port();
    let mut scene = scene(&[(port, service)]).await;
    until("the mapping is refused", async || {
        let socket = scene.dir.path().join("s").exists();
        socket && scene.list()[0].state == State::Refused
    })
    .await;
    let mapping = &scene.list()[0];
    assert!(mapping.retry_in.is_some(), "{mapping:?}");
    assert_eq!(scene.status().refused, 1);
    // The server does not listen for it, so no new login is needed.
    let removed = scene.done(&["map", "remove", &port.to_string()]);
    assert_eq!(removed, "added 0, removed 1, changed 0\n");

    let (_, stop) = crate::support::server().await;
    drop(std::mem::replace(&mut scene._stop, stop));
    until("the server is gone", async || !scene.status().connected).await;
    let added = scene.done(&["map", "add", &format!("{port}={service}")]);
    assert!(added.contains("its next login makes the change"), "{added}");
    assert_eq!(scene.list()[0].state, State::NotConnected);
    let text = scene.done(&["status"]);
    assert!(text.contains("connected  no"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn sighup_reads_the_file_again_and_a_wrong_file_changes_nothing() {
    let (one, two) = (echo("one").await, echo("two").await);
    let (first, second) = (free_port(), free_port());
    let scene = scene(&[(first, one)]).await;
    let mut tunnel = user(first).await;
    assert_eq!(greeting(&mut tunnel, 3).await, "one");

    fs::write(scene.file(), "{ nonsense").unwrap();
    scene.signal("-HUP");
    until("the log says what is wrong", async || {
        let log = scene.log();
        log.contains("the old one stays") && log.contains("error: client_config.json:1:3")
    })
    .await;
    assert!(served(&mut tunnel).await);
    assert_eq!(scene.list().len(), 1);

    let both = config(scene.server, &[(first, one), (second, two)], SOCKET);
    fs::write(scene.file(), both).unwrap();
    scene.signal("-HUP");
    assert_eq!(greeting(&mut user(second).await, 3).await, "two");
    assert_eq!(scene.status().logins, 1);

    // The first mapping gets another target.
    let swapped = config(scene.server, &[(first, two), (second, two)], SOCKET);
    fs::write(scene.file(), swapped).unwrap();
    scene.signal("-HUP");
    until("the client has logged in anew", async || {
        scene.status().logins == 2
    })
    .await;
    assert_eq!(greeting(&mut user(first).await, 3).await, "two");
    assert!(served(&mut tunnel).await, "a tunnel was cut");

    // Another server.
    let (server, _stop) = crate::support::server().await;
    fs::write(scene.file(), config(server, &[(first, one)], SOCKET)).unwrap();
    scene.signal("-HUP");
    until("the client went to the other server", async || {
        let status = scene.status();
        status.connected && status.server == server.to_string()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_control_socket_has_one_program_and_is_removed_at_its_end() {
    let service = echo("").await;
    let port = free_port();
    let mut scene = scene(&[(port, service)]).await;
    drop(user(port).await);
    let socket = scene.dir.path().join("s");
    until("the socket is there", async || socket.exists()).await;
    scene.refused(&[], 1, "a running program listens at");
    scene.signal("-TERM");
    assert_eq!(scene.client.0.wait().unwrap().code(), Some(0));
    assert!(!socket.exists());
}
