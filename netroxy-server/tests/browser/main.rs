//! The page in a headless Chromium, used by keyboard, on wide and narrow screens.
//!
//! `NETROXY_SCREENSHOTS` names a folder for screenshots.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "an unwrap that fails is a failed test")]

use serde_json::{Value, json};
use support::http::Session;
use support::{PATIENCE, Rig, free_port};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

#[path = "../support/mod.rs"]
mod support;

mod devtools;
use devtools::Browser;

/// The name of a client. As markup it would change the title of the page.
const HOSTILE: &str = "<img src=x onerror=\"document.title='taken'\">";

/// The form is ready, and its first field has the focus.
const FORM: &str = "document.readyState === 'complete' && document.activeElement?.id === 'user'";

async fn start() -> Rig {
    Rig::start_with(
        r#""timeout": 60, "username": "alice", "password": "rose",
            "users": [{"username": "bob", "password": "tulip"}],
            "web": {"enabled": true, "port": 1}"#,
    )
    .await
}

/// Sends so many bytes through a tunnel to its user.
async fn carry(data: &mut TcpStream, user: &mut TcpStream, count: usize) {
    let (bytes, mut seen) = (vec![7; count], vec![0; count]);
    let (wrote, read) = tokio::join!(data.write_all(&bytes), user.read_exact(&mut seen));
    wrote.unwrap();
    read.unwrap();
}

/// Presses `Tab` until an element has the focus.
#[track_caller]
fn tab_to(browser: &mut Browser, element: &str) {
    let is_focused = format!("document.activeElement === {element}");
    for _ in 0..30 {
        if browser.eval(&is_focused) == true {
            return;
        }
        browser.press("Tab");
    }
    panic!("Tab does not lead to {element}");
}

/// Signs in at the form.
fn sign_in(browser: &mut Browser, user: &str, password: &str) {
    browser.wait(FORM);
    for (key, text) in [("Tab", user), ("Enter", password)] {
        browser.type_text(text);
        browser.press(key);
    }
}

/// An expression for a cell of a table: in the row that holds a text, and in the column of a label.
fn cell(table: &str, row: &str, label: &str) -> String {
    let row = format!(
        "[...document.querySelectorAll('#{table} tbody tr')].find((r) => r.textContent.includes({row:?}))"
    );
    format!("{row}?.querySelector('td[data-label=\"{label}\"]')?.textContent")
}

#[ignore = "needs Chromium; .ci/run runs it"]
#[tokio::test(flavor = "multi_thread")]
async fn a_person_sees_the_state_and_switches_a_mapping() {
    let (rig, port, other) = (start().await, free_port(), free_port());
    let mut client = rig.client(HOSTILE, "alice", "rose").await;
    client.map_to(port, "127.0.0.1:3389").await;
    let mut bobs = rig.client("office", "bob", "tulip").await;
    bobs.map_to(other, "printer.example.org:9100").await;

    let mut browser = Browser::start();
    browser.go(&format!("http://{}/", rig.web()));
    browser.wait(FORM);
    browser.look_everywhere("sign-in");
    for (key, text) in [("Tab", "alice"), ("Enter", "wrong")] {
        browser.type_text(text);
        browser.press(key);
    }
    browser.wait("document.getElementById('said').textContent === 'wrong user name or password'");
    // The browser's log holds the refusal, too.
    assert_eq!(browser.complaints.len(), 1, "{:?}", browser.complaints);
    browser.complaints.clear();
    browser.wait(
        "document.activeElement?.id === 'password' && !document.querySelector('button').disabled",
    );
    browser.type_text("rose");
    browser.press("Enter");
    browser.wait("document.querySelectorAll('#mappings tbody tr').length === 2");

    // An open tunnel appears, and its bytes grow.
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

    // The name of a client is shown as text.
    let shown = HOSTILE.replace('"', "\\\"").replace('\'', "\\'");
    let shown = format!("{} === {shown:?}", cell("mappings", "3389", "Client"));
    browser.wait(&shown);
    assert_eq!(browser.eval("document.title"), "Netroxy server");
    assert_eq!(
        browser.eval("document.querySelectorAll('main img').length"),
        0
    );

    // The switch works by keyboard.
    let switch = format!("document.querySelector('[aria-label=\"New users of port {port}\"]')");
    let is_focused = format!("document.activeElement === {switch}");
    tab_to(&mut browser, &switch);
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

    // bob sees only what is his own. The page shows the end of the server.
    sign_in(&mut browser, "bob", "tulip");
    browser.wait("document.querySelectorAll('#clients tbody tr').length === 1");
    assert_eq!(
        browser.eval("document.body.textContent.includes('3389')"),
        false
    );
    drop(rig.stop);
    timeout(PATIENCE, rig.running).await.unwrap().unwrap();
    browser.wait("document.getElementById('state').classList.contains('lost')");
}

/// A client that takes requests.
struct Taker<'a> {
    rig: &'a Rig,
    session: Session,
    version: u64,
}

impl Taker<'_> {
    /// Waits for a change. The result is the open requests.
    async fn poll(&mut self) -> Vec<Value> {
        let version = self.version;
        let path = format!("/api/v1/clients/office/requests?wait=20&version={version}");
        let told = self.rig.get(&path, &self.session).await;
        self.version = told["version"].as_u64().unwrap();
        told["requests"].as_array().unwrap().clone()
    }

    async fn decide(&self, request: &Value, decision: &Value) {
        let path = format!("/api/v1/requests/{}", request["id"].as_str().unwrap());
        let post = self.session.change("POST", &path).json(decision);
        assert_eq!(self.rig.ask(post).await.status, 200);
    }
}

#[ignore = "needs Chromium; .ci/run runs it"]
#[tokio::test(flavor = "multi_thread")]
async fn a_person_asks_for_a_mapping_and_uses_it() {
    let (rig, port, other) = (start().await, free_port(), free_port());
    let mut office = rig.client("office", "bob", "tulip").await;
    let _silent = rig.client(HOSTILE, "alice", "rose").await;
    let mut taker = Taker {
        rig: &rig,
        session: rig.sign_in("bob", "tulip").await,
        version: 0,
    };
    assert!(taker.poll().await.is_empty());

    let mut browser = Browser::start();
    browser.go(&format!("http://{}/", rig.web()));
    sign_in(&mut browser, "alice", "rose");
    let option = |text: &str| {
        format!(
            "[...document.querySelectorAll('#ask option')].find((o) => o.textContent === {text:?})"
        )
    };
    browser.wait(&format!("{}?.disabled === false", option("office")));
    let disabled = option(
        &format!("{HOSTILE} (takes no requests)")
            .replace('"', "\\\"")
            .replace('\'', "\\'"),
    );
    browser.wait(&format!("{disabled}?.disabled === true"));

    // The form works by keyboard. A client that takes no requests cannot be chosen.
    let field = |name: &str| format!("document.querySelector('#ask [name={name}]')");
    let ask = |browser: &mut Browser, target: &str, port: u16| {
        tab_to(browser, &field("target"));
        browser.type_text(target);
        browser.press("Tab");
        browser.type_text(&port.to_string());
        browser.press("Enter");
    };
    tab_to(&mut browser, &field("client"));
    browser.press("ArrowDown");
    browser
        .wait("document.querySelector('#ask select').selectedOptions[0].textContent === 'office'");
    ask(&mut browser, "localhost:22", port);
    browser.wait(
        "document.querySelector('#ask-said.bad')?.textContent.includes('names are not allowed')",
    );
    // The browser's log holds the refusal, too.
    assert_eq!(browser.complaints.len(), 1, "{:?}", browser.complaints);
    browser.complaints.clear();
    browser.eval("document.querySelector('#ask [name=target]').value = ''");
    browser.eval("document.querySelector('#ask [name=port]').value = ''");
    browser.eval("document.querySelector('.skip').focus()");
    ask(&mut browser, "127.0.0.1:22", port);
    browser.wait("document.getElementById('ask-said').textContent.startsWith('client office is asked for port')");
    let state = |port: u16| cell("requests", &port.to_string(), "State");
    browser.wait(&format!("{} === 'asked'", state(port)));

    // The client accepts the request, and users can connect.
    let asked = taker.poll().await;
    assert_eq!((asked.len(), &asked[0]["by"]), (1, &json!("alice")));
    taker.decide(&asked[0], &json!({"state": "accepted"})).await;
    browser.wait(&format!("{} === 'accepted'", state(port)));
    office.map_to(port, "127.0.0.1:22").await;
    browser.wait(&format!("{} === 'mapped'", state(port)));
    let (mut user, mut data) = rig.tunnel(&mut office, port).await;
    carry(&mut data, &mut user, 1000).await;
    browser.wait(&format!(
        "{} === '1.0 kB'",
        cell("mappings", "127.0.0.1:22", "To users")
    ));

    // The form keeps its client for the next request.
    browser.eval("document.querySelector('.skip').focus()");
    ask(&mut browser, "192.0.2.1:3389", other);
    browser.wait(&format!("{} === 'asked'", state(other)));
    let asked = taker.poll().await;
    assert_eq!(asked.len(), 2);
    browser.look_everywhere("requests-asked");
    let why = "192.0.2.1:3389 is not allowed in the section requests of this client";
    let decision = json!({"state": "refused", "reason": why});
    taker.decide(&asked[1], &decision).await;
    browser.wait(&format!("{} === 'refused'", state(other)));
    let reason = cell("requests", &other.to_string(), "Reason");
    browser.wait(&format!("{reason} === {why:?}"));
    browser.look_everywhere("requests");

    // The request is withdrawn by keyboard. The focus stays at the list.
    let withdraw = format!(
        "document.querySelector('[aria-label=\"Withdraw the request for port {port} of office\"]')"
    );
    tab_to(&mut browser, &withdraw);
    // Another session removes the row above it meanwhile.
    let alice = rig.sign_in("alice", "rose").await;
    let above = format!("/api/v1/requests/{}", asked[1]["id"].as_str().unwrap());
    assert_eq!(rig.ask(alice.change("DELETE", &above)).await.status, 204);
    browser.wait("document.querySelectorAll('#requests tbody tr').length === 1");
    browser.wait(&format!("document.activeElement === {withdraw}"));
    browser.press("Enter");
    browser.wait("document.querySelectorAll('#requests tbody tr').length === 0");
    browser.wait("document.activeElement === document.getElementById('requests')");
    browser.wait("document.querySelectorAll('#mappings tbody tr').length === 0");
    assert!(TcpStream::connect(("127.0.0.1", port)).await.is_err());
    assert!(taker.poll().await.is_empty());
    carry(&mut data, &mut user, 10).await;
    assert!(browser.complaints.is_empty(), "{:?}", browser.complaints);

    // bob sees the request to his client, without a button to withdraw it.
    let wish = json!({"client": "office", "target": "127.0.0.1:22", "port": other});
    let post = alice.change("POST", "/api/v1/requests").json(&wish);
    assert_eq!(rig.ask(post).await.status, 201);
    browser.eval("document.getElementById('sign-out').click()");
    sign_in(&mut browser, "bob", "tulip");
    browser.wait(&format!("{} === 'asked'", state(other)));
    assert_eq!(
        browser.eval("document.querySelectorAll('#requests td button').length"),
        0
    );
}
