//! A browser, and a web interface of the test.

use std::net::SocketAddr;
use std::sync::Arc;

use netroxy_net::stream::Stream;
use netroxy_net::tls::{self, Trust};
use netroxy_net::tls_stream;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::support::LONG;

/// A person who is signed in at the web interface of a server.
pub(crate) struct Browser {
    web: SocketAddr,
    tls: bool,
    heads: String,
}

impl Browser {
    pub(crate) async fn sign_in(web: SocketAddr, tls: bool, user: &str) -> Self {
        let mut browser = Self {
            web,
            tls,
            heads: String::new(),
        };
        let body = json!({"user": user, "password": "p"});
        let (head, body) = browser.exchange("POST", "/api/v1/session", &body).await;
        let cookie = head
            .lines()
            .find_map(|line| line.strip_prefix("set-cookie: "));
        let cookie = cookie.unwrap_or_else(|| panic!("{head}"));
        let cookie = cookie.split(';').next().unwrap();
        let csrf = body["csrf"].as_str().unwrap();
        browser.heads = format!("Cookie: {cookie}\r\nX-CSRF-Token: {csrf}\r\n");
        browser
    }

    /// Status and body of an answer.
    pub(crate) async fn ask(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let (head, body) = self.exchange(method, path, body).await;
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body)
    }

    async fn exchange(&self, method: &str, path: &str, body: &Value) -> (String, Value) {
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\n{}Content-Type: application/json\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
            self.heads,
            body.len()
        );
        let tcp = TcpStream::connect(self.web).await.unwrap();
        let mut stream: Stream = if self.tls {
            let config = tls::client(&Trust::Anyone, None).unwrap();
            let name = tls::server_name("localhost", &Trust::Anyone).unwrap();
            tls_stream::connect(config, name, tcp).await.unwrap().into()
        } else {
            Stream::Plain(tcp)
        };
        let exchange = async {
            stream.write_all(request.as_bytes()).await.unwrap();
            stream.flush().await.unwrap();
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).await.unwrap();
            answer
        };
        let answer = timeout(LONG, exchange).await.unwrap();
        let answer = String::from_utf8(answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let body = serde_json::from_str(body).unwrap_or(Value::Null);
        (head.to_owned(), body)
    }
}

/// A web interface at an address of this machine. It stops when it is dropped.
pub(crate) struct Web {
    pub(crate) addr: SocketAddr,
    task: JoinHandle<()>,
}

impl Drop for Web {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Web {
    /// `answer` gets each request, its header section and body, and the connection for the answer.
    pub(crate) async fn start<F>(
        addr: SocketAddr,
        answer: impl Fn(String, TcpStream) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind(addr).await.unwrap();
        let addr = listener.local_addr().unwrap();
        let answer = Arc::new(answer);
        let task = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let answer = answer.clone();
                tokio::spawn(async move {
                    if let Some(request) = request(&mut stream).await {
                        answer(request, stream).await;
                    }
                });
            }
        });
        Self { addr, task }
    }
}

/// The header section and the body of a request.
async fn request(stream: &mut (impl AsyncRead + Unpin)) -> Option<String> {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| {
                let (name, value) = line.split_once(": ")?;
                name.eq_ignore_ascii_case("content-length")
                    .then(|| value.parse::<usize>().ok())?
            });
            if body.len() >= length.unwrap_or(0) {
                return Some(text.into_owned());
            }
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
}

/// Sends a whole answer.
pub(crate) async fn say(mut stream: TcpStream, status: &str, heads: &str, body: &str) {
    let text = format!(
        "HTTP/1.1 {status}\r\n{heads}Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    // The client may have gone.
    let _ = stream.write_all(text.as_bytes()).await;
    let _ = stream.shutdown().await;
}

/// Answers a sign-in and returns `None`; returns the connection of any other request.
pub(crate) async fn past_sign_in(request: &str, stream: TcpStream) -> Option<TcpStream> {
    if !request.starts_with("POST /api/v1/session ") {
        return Some(stream);
    }
    let cookie = "Set-Cookie: s=1; Path=/\r\n";
    say(stream, "200 OK", cookie, r#"{"csrf": "token"}"#).await;
    None
}
