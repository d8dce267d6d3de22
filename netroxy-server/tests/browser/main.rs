//! The page, in a headless Chromium: what a person does with it, by keyboard, wide and on a phone.
//!
//! `NETROXY_SCREENSHOTS` names a folder for pictures of it.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "an unwrap that fails is a failed test")]

use std::{fs, net::SocketAddr, time::Duration};

use netroxy_server::{Config, Server};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinHandle,
    time::timeout,
};
use tokio_util::sync::CancellationToken;

#[path = "../../../netroxy-net/tests/support/free_port.rs"]
mod free_port;
use free_port::free_port;

mod devtools;
use devtools::Browser;

const PATIENCE: Duration = Duration::from_secs(20);
/// What a client may call itself. If it were markup, the page would have another title.
const HOSTILE: &str = "<img src=x onerror=\"document.title='taken'\">";

/// Somebody can sign in, by keyboard from the first moment.
const FORM: &str = "document.readyState === 'complete' && document.activeElement?.id === 'user'";

struct Rig {
    clients: SocketAddr,
    web: SocketAddr,
    stop: CancellationToken,
    running: JoinHandle<()>,
}

impl Rig {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("server_config.json");
        let text = r#"{"ip": "127.0.0.1", "port": 1, "mappingIp": "127.0.0.1", "timeout": 60,
            "username": "alice", "password": "rose",
            "users": [{"username": "bob", "password": "tulip"}],
            "web": {"enabled": true, "port": 1}}"#;
        fs::write(&file, text).unwrap();
        let mut config = Config::load(&file).unwrap().0;
        config.port = Some(0);
        config.web.as_mut().unwrap().port = 0;
        let server = Server::bind(config).await.unwrap();
        let (clients, web) = (server.plain_addr().unwrap(), server.web_addr().unwrap());
        let stop = CancellationToken::new();
        let running = tokio::spawn(server.run(stop.clone()));
        Self {
            clients,
            web,
            stop,
            running,
        }
    }

    async fn client(&self, name: &str, user: &str, password: &str) -> Client {
        let mut control = TcpStream::connect(self.clients).await.unwrap();
        let login = format!("ATH\n{name}\n{user}\n{password}\n");
        control.write_all(login.as_bytes()).await.unwrap();
        let ars = lines(&mut control, 4).await;
        let token = ars.lines().nth(3).unwrap().to_owned();
        Client { control, token }
    }

    async fn tunnel(&self, client: &mut Client, port: u16) -> (TcpStream, TcpStream) {
        let user = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        assert_eq!(
            lines(&mut client.control, 2).await,
            format!("TRQ\n{port}\n")
        );
        let mut data = TcpStream::connect(self.clients).await.unwrap();
        let trs = format!("TRS\n{}\n{port}\n", client.token);
        data.write_all(trs.as_bytes()).await.unwrap();
        (user, data)
    }
}

struct Client {
    control: TcpStream,
    token: String,
}

impl Client {
    async fn map(&mut self, port: u16, target: &str) {
        let map = format!("MAP\n{port}\n{target}\ntrue\n");
        self.control.write_all(map.as_bytes()).await.unwrap();
        assert_eq!(
            lines(&mut self.control, 3).await,
            format!("MRS\n{port}\ntrue\n")
        );
    }
}

async fn lines(stream: &mut TcpStream, count: usize) -> String {
    let read = async {
        let mut seen = Vec::new();
        while seen.iter().filter(|byte| **byte == b'\n').count() < count {
            seen.push(stream.read_u8().await.unwrap());
        }
        String::from_utf8(seen).unwrap()
    };
    timeout(PATIENCE, read).await.unwrap()
}

/// Sends so many bytes through a tunnel to its user.
async fn carry(data: &mut TcpStream, user: &mut TcpStream, count: usize) {
    let (bytes, mut seen) = (vec![7; count], vec![0; count]);
    let (wrote, read) = tokio::join!(data.write_all(&bytes), user.read_exact(&mut seen));
    wrote.unwrap();
    read.unwrap();
}

/// The cell of a table, by the row that holds a text and the label of its column.
fn cell(table: &str, row: &str, label: &str) -> String {
    let row = format!(
        "[...document.querySelectorAll('#{table} tbody tr')].find((r) => r.textContent.includes({row:?}))"
    );
    format!("{row}?.querySelector('td[data-label=\"{label}\"]')?.textContent")
}

#[ignore = "needs Chromium; .ci/run runs it"]
#[tokio::test(flavor = "multi_thread")]
async fn a_person_looks_on_and_switches_a_mapping() {
    let (rig, port, other) = (Rig::start().await, free_port(), free_port());
    let mut client = rig.client(HOSTILE, "alice", "rose").await;
    client.map(port, "127.0.0.1:3389").await;
    let mut bobs = rig.client("office", "bob", "tulip").await;
    bobs.map(other, "printer.example.org:9100").await;

    let mut browser = Browser::start();
    browser.go(&format!("http://{}/", rig.web));
    browser.wait(FORM);
    browser.look_everywhere("sign-in");
    for (key, text) in [("Tab", "alice"), ("Enter", "wrong")] {
        browser.type_text(text);
        browser.press(key);
    }
    browser.wait("document.getElementById('said').textContent === 'wrong user name or password'");
    // That the server refuses is said in the browser's log as well.
    assert_eq!(browser.complaints.len(), 1, "{:?}", browser.complaints);
    browser.complaints.clear();
    browser.wait(
        "document.activeElement?.id === 'password' && !document.querySelector('button').disabled",
    );
    browser.type_text("rose");
    browser.press("Enter");
    browser.wait("document.querySelectorAll('#mappings tbody tr').length === 2");

    // A live tunnel appears, and its bytes grow.
    let (mut user, mut data) = rig.tunnel(&mut client, port).await;
    let address = user.local_addr().unwrap().to_string();
    carry(&mut data, &mut user, 3_000_000).await;
    browser.wait(&format!(
        "{} === '3.0 MB'",
        cell("tunnels", &address, "To users")
    ));
    carry(&mut data, &mut user, 4_000_000).await;
    browser.wait(&format!(
        "{} === '7.0 MB'",
        cell("tunnels", &address, "To users")
    ));
    browser.wait(&format!(
        "{} === '7.0 MB'",
        cell("mappings", "3389", "To users")
    ));
    browser.wait("document.getElementById('path-to-users').getAttribute('d').includes('L300.0')");
    browser.wait("!document.getElementById('most').textContent.startsWith('0 B')");

    // What a client calls itself is text.
    let shown = HOSTILE.replace('"', "\\\"").replace('\'', "\\'");
    let shown = format!("{} === {shown:?}", cell("mappings", "3389", "Client"));
    browser.wait(&shown);
    assert_eq!(browser.eval("document.title"), "Netroxy server");
    assert_eq!(
        browser.eval("document.querySelectorAll('main img').length"),
        0
    );

    // The switch, by keyboard alone.
    let switch = format!("document.querySelector('[aria-label=\"New users of port {port}\"]')");
    let is_focused = format!("document.activeElement === {switch}");
    for _ in 0..20 {
        if browser.eval(&is_focused) == true {
            break;
        }
        browser.press("Tab");
    }
    assert_eq!(browser.eval(&is_focused), true);
    browser.press(" ");
    browser.wait(&format!(
        "{switch}.getAttribute('aria-checked') === 'false'"
    ));
    let mut refused = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let closed = timeout(PATIENCE, refused.read(&mut [0])).await.unwrap();
    assert!(matches!(closed, Ok(0) | Err(_)), "{closed:?}");
    browser.wait(&format!(
        "{} === '1'",
        cell("refusals", "the mapping is switched off", "Count")
    ));
    carry(&mut data, &mut user, 10).await;
    browser.look_everywhere("board");
    assert_eq!(browser.eval(&is_focused), true, "the focus stays");
    browser.press("Enter");
    browser.wait(&format!("{switch}.getAttribute('aria-checked') === 'true'"));
    let again = rig.tunnel(&mut client, port).await;
    browser.wait("document.querySelectorAll('#tunnels tbody tr').length === 2");
    drop((again, user, data));
    browser.wait("document.querySelectorAll('#tunnels tbody tr').length === 0");
    browser
        .wait("getComputedStyle(document.querySelector('#tunnels .nothing')).display !== 'none'");

    browser.eval("document.getElementById('sign-out').click()");
    browser.wait(FORM);
    assert!(browser.complaints.is_empty(), "{:?}", browser.complaints);

    // bob sees his own alone. The end of the server is told.
    for (key, text) in [("Tab", "bob"), ("Enter", "tulip")] {
        browser.type_text(text);
        browser.press(key);
    }
    browser.wait("document.querySelectorAll('#clients tbody tr').length === 1");
    assert_eq!(
        browser.eval("document.body.textContent.includes('3389')"),
        false
    );
    rig.stop.cancel();
    timeout(PATIENCE, rig.running).await.unwrap().unwrap();
    browser.wait("document.getElementById('state').classList.contains('lost')");
}
