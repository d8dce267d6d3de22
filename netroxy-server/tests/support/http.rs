//! Requests to the web interface, each over a connection of its own.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{PATIENCE, Rig};

/// A session: its cookie and its token.
pub(crate) struct Session {
    pub(crate) cookie: String,
    pub(crate) csrf: String,
}

impl Session {
    pub(crate) fn of(answer: &Answer) -> Self {
        let cookie = &answer.heads["set-cookie"];
        Self {
            cookie: cookie.split(';').next().unwrap().to_owned(),
            csrf: answer.json()["csrf"].as_str().unwrap().to_owned(),
        }
    }

    pub(crate) fn get<'a>(&'a self, path: &'a str) -> Request<'a> {
        Request::new("GET", path).with("Cookie", &self.cookie)
    }

    pub(crate) fn change<'a>(&'a self, method: &'a str, path: &'a str) -> Request<'a> {
        let request = Request::new(method, path).with("Cookie", &self.cookie);
        request.with("X-CSRF-Token", &self.csrf)
    }

    pub(crate) fn switch<'a>(&'a self, path: &'a str, on: bool) -> Request<'a> {
        self.change("POST", path).json(&json!({ "on": on }))
    }
}

pub(crate) fn sign_in(body: &Value) -> Request<'static> {
    Request::new("POST", "/api/v1/session").json(body)
}

#[derive(Clone)]
pub(crate) struct Request<'a> {
    method: &'a str,
    path: &'a str,
    host: &'a str,
    heads: Vec<(&'a str, &'a str)>,
    body: String,
}

impl<'a> Request<'a> {
    pub(crate) fn new(method: &'a str, path: &'a str) -> Self {
        Self {
            method,
            path,
            host: "localhost",
            heads: Vec::new(),
            body: String::new(),
        }
    }

    pub(crate) fn with(mut self, name: &'a str, value: &'a str) -> Self {
        self.heads.push((name, value));
        self
    }

    pub(crate) fn host(mut self, host: &'a str) -> Self {
        self.host = host;
        self
    }

    pub(crate) fn json(mut self, body: &Value) -> Self {
        self.body = body.to_string();
        self.with("Content-Type", "application/json")
    }

    pub(crate) fn text(&self) -> String {
        let mut text = format!(
            "{} {} HTTP/1.1\r\nHost: {}\r\n",
            self.method, self.path, self.host
        );
        for (name, value) in &self.heads {
            text += &format!("{name}: {value}\r\n");
        }
        if !self.body.is_empty() || self.method == "POST" {
            text += &format!("Content-Length: {}\r\n", self.body.len());
        }
        text + "Connection: close\r\n\r\n" + &self.body
    }

    pub(crate) async fn send(self, mut stream: impl AsyncRead + AsyncWrite + Unpin) -> Answer {
        stream.write_all(self.text().as_bytes()).await.unwrap();
        let mut bytes = Vec::new();
        // A server that refuses a request before it has read all may reset the connection after its answer.
        let _ = timeout(PATIENCE, stream.read_to_end(&mut bytes))
            .await
            .unwrap();
        Answer::parse(&String::from_utf8(bytes).unwrap())
    }
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) heads: BTreeMap<String, String>,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn parse(text: &str) -> Self {
        let (head, body) = text
            .split_once("\r\n\r\n")
            .unwrap_or_else(|| panic!("{text:?}"));
        let mut lines = head.lines();
        let status = lines
            .next()
            .unwrap()
            .split(' ')
            .nth(1)
            .unwrap()
            .parse()
            .unwrap();
        let heads = lines.map(|line| {
            let (name, value) = line.split_once(": ").unwrap();
            (name.to_ascii_lowercase(), value.to_owned())
        });
        Self {
            status,
            heads: heads.collect(),
            body: body.to_owned(),
        }
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        assert_eq!(self.heads["content-type"], "application/json", "{self:?}");
        serde_json::from_str(&self.body).unwrap()
    }
}

/// The stream of events.
pub(crate) struct Stream(TcpStream);

impl Stream {
    pub(crate) async fn open(rig: &Rig, session: &Session) -> Self {
        let mut stream = TcpStream::connect(rig.web()).await.unwrap();
        let request = session.get("/api/v1/stream").text();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut stream = Self(stream);
        assert!(
            stream
                .until("\r\n\r\n")
                .await
                .unwrap()
                .contains("text/event-stream")
        );
        stream
    }

    /// Reads up to the end of a text; `None` if the connection ends before.
    pub(crate) async fn until(&mut self, text: &str) -> Option<String> {
        let read = async {
            let mut seen = Vec::new();
            while !seen.ends_with(text.as_bytes()) {
                seen.push(self.0.read_u8().await.ok()?);
            }
            Some(String::from_utf8(seen).unwrap())
        };
        timeout(PATIENCE, read).await.unwrap()
    }

    pub(crate) async fn next(&mut self) -> Option<Value> {
        self.until("event: state\n").await?;
        let data = self.until("\n").await?;
        Some(serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap())
    }
}
