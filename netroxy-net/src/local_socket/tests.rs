use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;
use tokio::task::spawn_blocking;

use super::*;

/// Listens in the background, and answers each number with its double.
fn doubling(path: &Path) -> tokio::task::JoinHandle<()> {
    let socket = LocalSocket::bind(path).unwrap();
    tokio::spawn(async move { socket.serve(|n: u32| async move { n * 2 }).await })
}

async fn asked(path: &Path, number: u32) -> io::Result<u32> {
    let path = path.to_owned();
    spawn_blocking(move || ask(&path, &number)).await.unwrap()
}

fn socket_path() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    (dir, path)
}

/// Sends bytes; the result is the whole answer.
async fn raw(path: &Path, bytes: &[u8]) -> String {
    let mut stream = UnixStream::connect(path).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn requests_are_answered_in_turn_and_at_the_same_time() {
    let (_dir, path) = socket_path();
    doubling(&path);
    for number in 0..40 {
        assert_eq!(asked(&path, number).await.unwrap(), number * 2);
    }
    let all: Vec<_> = (0..40)
        .map(|n| {
            let path = path.clone();
            tokio::spawn(async move { asked(&path, n).await.unwrap() })
        })
        .collect();
    for (n, answer) in (0..).zip(all) {
        assert_eq!(answer.await.unwrap(), n * 2);
    }
}

#[tokio::test]
async fn only_the_own_account_may_connect() {
    let (_dir, path) = socket_path();
    let _socket = LocalSocket::bind(&path).unwrap();
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[tokio::test]
async fn only_a_socket_file_without_a_listening_program_is_replaced() {
    let (_dir, path) = socket_path();
    // A socket that is closed leaves its file.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let socket = LocalSocket::bind(&path).unwrap();
    let error = LocalSocket::bind(&path).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::AddrInUse, "{error}");
    drop(socket);
    assert!(!path.exists());
    LocalSocket::bind(&path).unwrap();
}

#[tokio::test]
async fn a_file_of_another_program_is_neither_replaced_nor_removed() {
    let (_dir, path) = socket_path();
    fs::write(&path, "precious").unwrap();
    let error = LocalSocket::bind(&path).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::AlreadyExists, "{error}");
    fs::remove_file(&path).unwrap();

    let socket = LocalSocket::bind(&path).unwrap();
    fs::remove_file(&path).unwrap();
    fs::write(&path, "precious").unwrap();
    drop(socket);
    assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
}

#[tokio::test]
async fn an_error_about_a_long_path_names_its_length() {
    let path = PathBuf::from(format!("/tmp/{}", "x".repeat(295)));
    for error in [
        LocalSocket::bind(&path).unwrap_err(),
        ask::<u32>(&path, &1).unwrap_err(),
    ] {
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        assert!(error.to_string().contains("300 bytes"), "{error}");
    }
}

#[tokio::test]
async fn a_request_without_a_listening_program_fails() {
    let (_dir, path) = socket_path();
    let error = asked(&path, 1).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::NotFound);
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let error = asked(&path, 1).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
}

#[tokio::test]
async fn a_malformed_request_gets_an_error_and_others_are_served() {
    let (_dir, path) = socket_path();
    doubling(&path);
    for wrong in [&b"nonsense\n"[..], b"-1\n", b"\"7\"\n", b"\xff\n", b"\n"] {
        let answer = raw(&path, wrong).await;
        let start = r#"{"error":"the request cannot be read: "#;
        assert!(answer.starts_with(start), "{answer}");
    }
    let text_for_a_number = path.clone();
    let error = spawn_blocking(move || ask::<u32>(&text_for_a_number, &"x").unwrap_err());
    assert_eq!(error.await.unwrap().kind(), io::ErrorKind::InvalidData);
    assert_eq!(asked(&path, 4).await.unwrap(), 8);
}

#[tokio::test]
async fn a_request_longer_than_the_limit_gets_an_error() {
    let (_dir, path) = socket_path();
    let socket = LocalSocket::bind(&path).unwrap();
    tokio::spawn(async move { socket.serve(|t: String| async move { t.len() }).await });
    let text = |bytes: usize| format!("\"{}\"", "x".repeat(bytes - 2));
    let longest = raw(&path, format!("{}\n", text(LONGEST_REQUEST)).as_bytes()).await;
    assert_eq!(longest, format!("{{\"ok\":{}}}\n", LONGEST_REQUEST - 2));
    let longer = raw(&path, text(LONGEST_REQUEST + 1).as_bytes()).await;
    assert!(longer.contains("longer than 65536 bytes"), "{longer}");
    let too_long = "x".repeat(LONGEST_REQUEST);
    let error = ask::<usize>(&path, &too_long).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
}

#[tokio::test]
async fn connections_beyond_the_limit_wait_for_a_slot() {
    let (_dir, path) = socket_path();
    let socket = LocalSocket::bind(&path).unwrap();
    let (seen, go) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
    let (count, wait) = (seen.clone(), go.clone());
    let handler = move |n: u32| {
        let wait = wait.clone();
        count.fetch_add(1, Ordering::SeqCst);
        async move {
            wait.notified().await;
            n
        }
    };
    let long = Duration::from_secs(60);
    tokio::spawn(async move { socket.serve_within(long, handler).await });
    let all: Vec<_> = (0..u32::try_from(MOST_CONNECTIONS).unwrap() + 8)
        .map(|n| {
            let path = path.clone();
            tokio::spawn(async move { asked(&path, n).await.unwrap() })
        })
        .collect();
    while seen.load(Ordering::SeqCst) < MOST_CONNECTIONS {
        sleep(Duration::from_millis(5)).await;
    }
    sleep(Duration::from_millis(300)).await;
    assert_eq!(seen.load(Ordering::SeqCst), MOST_CONNECTIONS);
    for _ in &all {
        go.notify_one();
        sleep(Duration::from_millis(10)).await;
    }
    go.notify_waiters();
    for (n, answer) in (0..).zip(all) {
        while !answer.is_finished() {
            go.notify_one();
            sleep(Duration::from_millis(5)).await;
        }
        assert_eq!(answer.await.unwrap(), n);
    }
}

#[tokio::test]
async fn silent_connections_are_closed_so_that_others_are_served() {
    let (_dir, path) = socket_path();
    let socket = LocalSocket::bind(&path).unwrap();
    let brief = Duration::from_millis(200);
    let serving = async move {
        socket
            .serve_within(brief, |n: u32| async move { n + 1 })
            .await;
    };
    tokio::spawn(serving);
    let mut idle = Vec::new();
    for _ in 0..MOST_CONNECTIONS {
        idle.push(UnixStream::connect(&path).await.unwrap());
    }
    assert_eq!(asked(&path, 1).await.unwrap(), 2);
    drop(idle);
}
