//! A hostile server: its control port and its web interface request what the client does not allow.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use netroxy_client::admin::{RequestStanding, RequestState};
use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

use crate::http::{Web, past_sign_in, say};
use crate::scene::{Running, file, only};
use crate::support::LONG;

/// A service that counts its connections.
async fn counted() -> (SocketAddr, watch::Receiver<usize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let (counter, count) = watch::channel(0);
    tokio::spawn(async move {
        while listener.accept().await.is_ok() {
            counter.send_modify(|count| *count += 1);
        }
    });
    (addr, count)
}

/// Waits until the count is reached.
async fn reaches(count: &mut watch::Receiver<usize>, often: usize) {
    let reached = count.wait_for(|count| *count >= often);
    timeout(LONG, reached).await.unwrap().unwrap();
}

/// A control port that accepts every login and every mapping, and sends TRQ for any port.
struct Control {
    addr: SocketAddr,
    /// The ports that the client maps.
    mapped: mpsc::UnboundedReceiver<u16>,
    /// The ports for which the client opens a data connection.
    opened: mpsc::UnboundedReceiver<u16>,
    /// Sends TRQ for a port.
    announce: mpsc::UnboundedSender<u16>,
}

impl Control {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let (maps, mapped) = mpsc::unbounded_channel();
        let (opens, opened) = mpsc::unbounded_channel();
        let (announce, mut announced) = mpsc::unbounded_channel::<u16>();
        tokio::spawn(async move {
            // The first connection is the control connection.
            let (control, _) = listener.accept().await.unwrap();
            let (read, mut write) = control.into_split();
            let data = tokio::spawn(async move {
                while let Ok((data, _)) = listener.accept().await {
                    let opens = opens.clone();
                    tokio::spawn(async move {
                        let mut lines = BufReader::new(data).lines();
                        let mut line = async || lines.next_line().await.ok().flatten();
                        if line().await.as_deref() == Some("TRS") {
                            line().await;
                            let port = line().await.unwrap().parse().unwrap();
                            let _ = opens.send(port);
                        }
                    });
                }
            });
            let mut lines = BufReader::new(read).lines();
            loop {
                let answer = tokio::select! {
                    line = lines.next_line() => match line.ok().flatten().as_deref() {
                        Some("ATH") => "ARS\ntrue\n600\ntoken\n".to_owned(),
                        Some("SRQ") => "SRS\n".to_owned(),
                        Some("MAP") => {
                            let port = lines.next_line().await.unwrap().unwrap();
                            let _ = maps.send(port.parse().unwrap());
                            format!("MRS\n{port}\ntrue\n")
                        }
                        Some(_) => continue,
                        None => break,
                    },
                    Some(port) = announced.recv() => format!("TRQ\n{port}\n"),
                };
                if write.write_all(answer.as_bytes()).await.is_err() {
                    break;
                }
            }
            data.abort();
        });
        Self {
            addr,
            mapped,
            opened,
            announce,
        }
    }

    async fn next_mapped(&mut self) -> u16 {
        timeout(LONG, self.mapped.recv()).await.unwrap().unwrap()
    }

    async fn next_opened(&mut self) -> u16 {
        timeout(LONG, self.opened.recv()).await.unwrap().unwrap()
    }
}

fn start(folder: &Path, control: SocketAddr, web: SocketAddr, section: &str) -> Running {
    let url = format!("http://{web}");
    Running::start(&file(folder, control, &[], "", &url, section))
}

/// A web interface that answers each poll with the next list, and at last with the last one. It records all other
/// requests.
async fn telling(lists: Vec<serde_json::Value>) -> (Web, Arc<Mutex<Vec<String>>>) {
    let posts = Arc::new(Mutex::new(Vec::new()));
    let received = posts.clone();
    let polls = AtomicUsize::new(0);
    let addr = ([127, 0, 0, 1], 0).into();
    let web = Web::start(addr, move |request, stream| {
        let is_poll = request.starts_with("GET ");
        let poll = if is_poll {
            polls.fetch_add(1, Ordering::SeqCst)
        } else {
            0
        };
        let list = lists
            .get(poll)
            .or_else(|| lists.last())
            .unwrap()
            .to_string();
        let received = received.clone();
        async move {
            let Some(stream) = past_sign_in(&request, stream).await else {
                return;
            };
            if !is_poll {
                received.lock().unwrap().push(request);
            }
            let body = if is_poll { list.as_str() } else { "{}" };
            say(stream, "200 OK", "", body).await;
        }
    })
    .await;
    (web, posts)
}

fn asked(id: u64, target: &str, port: u16, state: &str) -> serde_json::Value {
    json!({
        "id": format!("{id:016x}"), "client": "office", "target": target, "port": port, "by": "x",
        "asked": 1, "changed": 1, "state": state, "reason": null
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn no_target_outside_of_the_list_is_reached_whatever_the_server_sends() {
    let (allowed, mut reached) = counted().await;
    let (secret, touched) = counted().await;
    let port = secret.port();
    let targets = [
        format!("127.0.0.1:{port}"),
        format!("[::ffff:127.0.0.1]:{port}"),
        format!("[::ffff:7f00:1]:{port}"),
        format!("[::1]:{port}"),
        format!("[::]:{port}"),
        format!("[::%1]:{port}"),
        format!("0.0.0.0:{port}"),
        format!("localhost:{port}"),
        format!("127.1:{port}"),
        format!("2130706433:{port}"),
        format!("0x7f.0.0.1:{port}"),
        format!("0177.0.0.1:{port}"),
        format!("{allowed}\n127.0.0.1:{port}"),
        format!("{allowed}@127.0.0.1:{port}"),
        format!("http://127.0.0.1:{port}/"),
        format!(":{port}"),
        port.to_string(),
        String::new(),
    ];
    let mut list = Vec::new();
    let mut wanted = Vec::new();
    for state in ["asked", "accepted", "mapped", "refused", "sudo"] {
        for target in &targets {
            let number = u64::try_from(list.len()).unwrap();
            let remote = 20_000 + u16::try_from(number).unwrap();
            list.push(asked(number, target, remote, state));
            wanted.push(remote);
        }
    }
    let good = asked(5000, &allowed.to_string(), 30_000, "asked");
    // The accepted request gets another target under the same id.
    let evil = asked(5000, &secret.to_string(), 30_000, "accepted");
    let good_too = asked(5001, &allowed.to_string(), 30_001, "asked");
    let second = [&list[..], &[good.clone(), good_too.clone()]].concat();
    let third = [&list[..], &[evil, good_too]].concat();
    list.push(good);
    let told =
        |version: u64, list: &[serde_json::Value]| json!({"version": version, "requests": list});
    let lists = vec![told(1, &list), told(2, &second), told(3, &third)];

    let folder = tempfile::tempdir().unwrap();
    let mut control = Control::start().await;
    let (web, posts) = telling(lists).await;
    let client = start(
        folder.path(),
        control.addr,
        web.addr,
        &only(allowed, "auto"),
    );
    assert_eq!(control.next_mapped().await, 30_000);
    assert_eq!(control.next_mapped().await, 30_001);
    // When the client has read the third list, the request with the changed target is refused.
    let is_renamed = |r: &&RequestState| r.remote_port == 30_000;
    let requests = client
        .until(|all| {
            let renamed = all.requests.iter().find(is_renamed).unwrap();
            renamed.state == RequestStanding::Refused
        })
        .await;
    let renamed = requests.requests.iter().find(is_renamed).unwrap();
    assert_eq!(renamed.target, secret.to_string());
    // Users are announced for all ports, and at last for the port that is allowed.
    for port in wanted.into_iter().chain([30_000, 1, 22, 30_001]) {
        control.announce.send(port).unwrap();
    }
    assert_eq!(control.next_opened().await, 30_001);
    reaches(&mut reached, 1).await;
    assert_eq!(*reached.borrow(), 1);
    assert_eq!(*touched.borrow(), 0, "the secret service was reached");
    assert!(control.opened.try_recv().is_err());
    assert!(control.mapped.try_recv().is_err());
    client.stop().await;
    assert_eq!(*touched.borrow(), 0, "the secret service was reached");
    // Only two requests were accepted, each with a path of its own.
    let posts = posts.lock().unwrap();
    let mut accepted: Vec<_> = posts
        .iter()
        .filter(|post| post.ends_with(r#"{"state":"accepted"}"#))
        .map(|post| post.split(' ').nth(1).unwrap())
        .collect();
    accepted.sort_unstable();
    accepted.dedup();
    // The client signs out at its end. A request that was under way may arrive later.
    let mut ends = posts
        .iter()
        .filter(|post| post.starts_with("DELETE /api/v1/session "));
    let end = ends.next().unwrap();
    assert!(end.contains("x-csrf-token: token"), "{end}");
    let paths = [5000_u64, 5001].map(|id| format!("/api/v1/requests/{id:016x}"));
    assert_eq!(accepted, paths);
}

/// Starts a client whose web interface answers so after the sign-in, and checks the problem that the client reports.
async fn problem_with<F>(
    answer: impl Fn(TcpStream) -> F + Clone + Send + Sync + 'static,
    part: &str,
) -> Running
where
    F: Future<Output = ()> + Send + 'static,
{
    let folder = tempfile::tempdir().unwrap();
    let control = Control::start().await;
    let addr = ([127, 0, 0, 1], 0).into();
    let web = Web::start(addr, move |request, stream| {
        let answer = answer.clone();
        async move {
            if let Some(stream) = past_sign_in(&request, stream).await {
                answer(stream).await;
            }
        }
    })
    .await;
    let (target, _) = counted().await;
    let client = start(folder.path(), control.addr, web.addr, &only(target, "auto"));
    let problem = client.problem(|problem| problem.is_some()).await;
    assert!(problem.contains(part), "{problem}");
    client
}

/// Writes a text again and again until the client closes, and returns how many bytes were written.
async fn pour(mut stream: TcpStream, begin: &str, text: &str) -> usize {
    let mut taken = 0;
    if stream.write_all(begin.as_bytes()).await.is_err() {
        return 0;
    }
    while stream.write_all(text.as_bytes()).await.is_ok() {
        taken += text.len();
    }
    taken
}

#[tokio::test(flavor = "multi_thread")]
async fn giant_and_endless_answers_are_refused_with_little_memory() {
    // The system buffers bytes on both sides that the client does not read.
    const MOST: usize = 16 * 1024 * 1024;
    let json = r#"{"version": 1, "requests": ["#;
    let item = format!("{},", asked(1, "127.0.0.1:1", 1, "asked")).repeat(100);
    let chunk = format!("{:x}\r\n{item}\r\n", item.len());
    let cases = [
        // With a length, and as many bytes.
        (
            format!("HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n{json}"),
            item.clone(),
            "longer than 1048576 bytes",
        ),
        // In chunks, without end.
        (
            format!(
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{json}\r\n",
                json.len()
            ),
            chunk,
            "longer than 1048576 bytes",
        ),
        // Up to the end of the connection, which does not end.
        (
            format!("HTTP/1.1 200 OK\r\n\r\n{json}"),
            item,
            "longer than 1048576 bytes",
        ),
        // A header section without end.
        (
            "HTTP/1.1 200 OK\r\n".to_owned(),
            "X: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n".repeat(100),
            "too large",
        ),
        (
            "HTTP/1.1 200 OK\r\nX: ".to_owned(),
            "y".repeat(10_000),
            "too large",
        ),
        (
            "HTTP/1.1 100 Continue\r\n\r\n".to_owned(),
            "x".repeat(10_000),
            "invalid HTTP",
        ),
    ];
    for (begin, text, part) in cases {
        let (told, mut taken) = mpsc::unbounded_channel();
        let answer = move |stream| {
            let (told, begin, text) = (told.clone(), begin.clone(), text.clone());
            async move {
                let _ = told.send(pour(stream, &begin, &text).await);
            }
        };
        let client = problem_with(answer, part).await;
        let taken = timeout(LONG, taken.recv()).await.unwrap().unwrap();
        assert!(taken < MOST, "{part}: {taken} bytes");
        client.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_is_not_followed_and_a_wrong_answer_is_reported() {
    let (elsewhere, touched) = counted().await;
    let location = format!("Location: http://{elsewhere}/\r\n");
    for status in [
        "301 Moved Permanently",
        "302 Found",
        "307 Temporary Redirect",
    ] {
        let location = location.clone();
        let answer = move |stream| {
            let location = location.clone();
            async move { say(stream, status, &location, "").await }
        };
        problem_with(answer, status).await.stop().await;
    }
    assert_eq!(*touched.borrow(), 0, "a redirect was followed");
    let cases = [
        ("200 OK", "", "cannot be read"),
        ("200 OK", "[]", "cannot be read"),
        (
            "200 OK",
            r#"{"version": -1, "requests": []}"#,
            "cannot be read",
        ),
        (
            "200 OK",
            r#"{"version": 1, "requests": [{"id": "../../session", "target": "", "port": 1, "by": "", "asked": 1, "state": "asked"}]}"#,
            "must be the 16 hex digits",
        ),
        (
            "500 Internal Server Error",
            r#"{"error": "\u001b[31mred"}"#,
            r"500 Internal Server Error: \u{1b}[31mred",
        ),
        (
            "421 Misdirected Request",
            "add it to web.hosts\n",
            "add it to web.hosts",
        ),
    ];
    for (status, body, part) in cases {
        let answer = move |stream| async move { say(stream, status, "", body).await };
        problem_with(answer, part).await.stop().await;
    }
}

/// A web interface that refuses each sign-in, and counts them.
async fn refusing(status: &'static str, error: &'static str) -> (Web, watch::Receiver<usize>) {
    let (counter, count) = watch::channel(0);
    let web = Web::start(([127, 0, 0, 1], 0).into(), move |request, stream| {
        assert!(request.contains(" /api/v1/session "), "{request}");
        counter.send_modify(|count| *count += 1);
        async move {
            let body = json!({ "error": error }).to_string();
            say(stream, status, "", &body).await;
        }
    })
    .await;
    (web, count)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_is_not_tried_again_soon() {
    let folders = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let (target, _) = counted().await;
    let section = only(target, "auto");
    let wrong = "wrong user name or password";
    let (web, count) = refusing("401 Unauthorized", wrong).await;
    let control = Control::start().await;
    let client = start(folders[0].path(), control.addr, web.addr, &section);
    let problem = client.problem(|problem| problem.is_some()).await;
    assert!(problem.contains(wrong), "{problem}");
    // Meanwhile another client, whose server fails in another way, tries three times.
    let (web, mut tries) = refusing("500 Internal Server Error", "no").await;
    let other_control = Control::start().await;
    let other = start(folders[1].path(), other_control.addr, web.addr, &section);
    reaches(&mut tries, 3).await;
    assert_eq!(*count.borrow(), 1);
    other.stop().await;
    client.stop().await;
}

/// The answer comes byte by byte, with a header field in capitals and unknown members.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_in_small_pieces_is_read() {
    let (allowed, _) = counted().await;
    let folder = tempfile::tempdir().unwrap();
    let mut control = Control::start().await;
    let list = json!({
        "version": 1, "more": {"x": [1, 2]},
        "requests": [asked(1, &allowed.to_string(), 30_000, "asked")]
    });
    let list = list.to_string();
    let web = Web::start(([127, 0, 0, 1], 0).into(), move |request, stream| {
        let list = list.clone();
        async move {
            let Some(mut stream) = past_sign_in(&request, stream).await else {
                return;
            };
            let head = format!("HTTP/1.1 200 OK\r\nCONTENT-LENGTH: {}\r\n\r\n", list.len());
            for byte in format!("{head}{list}").bytes() {
                if stream.write_all(&[byte]).await.is_err() {
                    return;
                }
            }
            // The client closes first.
            let _ = stream.read(&mut [0]).await;
        }
    })
    .await;
    let client = start(
        folder.path(),
        control.addr,
        web.addr,
        &only(allowed, "auto"),
    );
    assert_eq!(control.next_mapped().await, 30_000);
    client.stop().await;
}
