//! The API of the server's web interface (`docs/openapi.json`): the part that requests need.
//!
//! The server is not trusted. Its answers are bounded in length and time, redirects are not followed, and
//! only the members that are named here are kept.

use std::time::Duration;
use std::{fmt, io};

use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::{HeaderMap, Method, Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use netroxy_net::resolve::Resolver;
use netroxy_proto::{Password, Username};
use percent_encoding::{NON_ALPHANUMERIC, percent_encode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use tokio::time::timeout;

use super::types::{Asked, Decision, Post, shortened};
use crate::config::tls::is_loopback;
use crate::dial::Server;
use crate::{Config, RequestsConfig};

/// The longest body of an answer, in bytes. All requests that a server keeps need less.
const LONGEST_BODY: usize = 1024 * 1024;
/// The longest header section of an answer, in bytes, and its most fields.
const LONGEST_HEAD: usize = 16 * 1024;
const MOST_HEADS: usize = 64;
/// How many cookies are kept, and how long each may be in bytes.
const MOST_COOKIES: usize = 4;
const LONGEST_COOKIE: usize = 1024;
/// How much of an error text of the server is shown, in characters.
const LONGEST_ERROR: usize = 120;
/// How long a server waits for a change, in seconds.
const WAIT: u64 = 25;
/// How long an exchange may take, without that wait.
const LIMIT: Duration = Duration::from_secs(30);

/// The answer to a poll.
#[derive(Debug, Deserialize)]
pub(super) struct Open {
    pub(super) version: u64,
    pub(super) requests: Vec<Asked>,
}

/// Why an exchange has failed.
#[derive(Debug)]
pub(super) struct Problem {
    text: String,
    /// Whether to wait long before the next attempt: the server counts wrong passwords.
    pub(super) is_lasting: bool,
}

impl Problem {
    fn new(text: impl fmt::Display) -> Self {
        Self {
            text: text.to_string(),
            is_lasting: false,
        }
    }

    fn lasting(text: impl fmt::Display) -> Self {
        Self {
            is_lasting: true,
            ..Self::new(text)
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The API, with the session of the client.
pub(super) struct Api {
    server: Server,
    /// The value of the field `Host`.
    host: String,
    /// The client name, percent-encoded for a path.
    name: String,
    username: Username,
    password: Password,
    /// Whether the password must not be sent.
    is_unsafe: bool,
    /// How long an exchange may take, without the wait for a change.
    limit: Duration,
    session: Option<Session>,
}

struct Session {
    cookies: String,
    csrf: String,
}

#[derive(Deserialize)]
struct SignedIn {
    csrf: String,
}

struct Answer {
    status: StatusCode,
    heads: HeaderMap,
    body: Vec<u8>,
}

impl Api {
    pub(super) fn new(config: &Config, terms: &RequestsConfig, names: Resolver) -> Self {
        let api = &terms.api;
        let server = Server::new(api.clone(), names, None);
        let usual = if api.tls.is_some() { 443 } else { 80 };
        let host = if api.port == usual {
            server.public_host()
        } else {
            format!("{}:{}", server.public_host(), api.port)
        };
        Self {
            server,
            host,
            name: percent_encode(config.name.as_bytes(), NON_ALPHANUMERIC).to_string(),
            username: config.username.clone(),
            password: config.password.clone(),
            is_unsafe: api.tls.is_none() && !terms.plain && !is_loopback(&api.host),
            limit: LIMIT,
            session: None,
        }
    }

    /// The server, for log lines.
    pub(super) fn server(&self) -> &str {
        &self.host
    }

    /// Fetches the requests. If the list still has the `version`, the server answers after a change or 25 s.
    pub(super) async fn open(&mut self, version: Option<u64>) -> Result<Open, Problem> {
        let version = version.map_or_else(String::new, |version| format!("&version={version}"));
        let path = format!(
            "/api/v1/clients/{}/requests?wait={WAIT}{version}",
            self.name
        );
        let answer = self
            .signed_in(Method::GET, &path, Bytes::new(), Duration::from_secs(WAIT))
            .await?;
        answer.json()
    }

    /// Reports a decision.
    pub(super) async fn post(&mut self, post: &Post) -> Result<(), Problem> {
        let body = match &post.decision {
            Decision::Accepted => json!({"state": "accepted"}),
            Decision::Refused(reason) => json!({"state": "refused", "reason": reason}),
        };
        let path = format!("/api/v1/requests/{}", post.id);
        let body = body.to_string().into();
        let answer = self
            .signed_in(Method::POST, &path, body, Duration::ZERO)
            .await?;
        match answer.status {
            // Withdrawn, or decided meanwhile: the next list shows it.
            StatusCode::NOT_FOUND | StatusCode::CONFLICT => Ok(()),
            status if status.is_success() => Ok(()),
            _ => Err(answer.unexpected()),
        }
    }

    /// Ends the session, because the server keeps only a few for each account.
    pub(super) async fn sign_out(&self) {
        if self.session.is_some() {
            let request = self.request(Method::DELETE, SESSION, Bytes::new());
            // If this fails, the server ends the session after a time.
            let _ = self.exchange(request, Duration::ZERO).await;
        }
    }

    /// Sends a request with a session. A session that the server does not know any more is replaced once.
    async fn signed_in(
        &mut self,
        method: Method,
        path: &str,
        body: Bytes,
        wait: Duration,
    ) -> Result<Answer, Problem> {
        let had_session = self.session.is_some();
        if !had_session {
            self.sign_in().await?;
        }
        let request = self.request(method.clone(), path, body.clone());
        let answer = self.exchange(request, wait).await?;
        if answer.status != StatusCode::UNAUTHORIZED {
            return Ok(answer);
        }
        self.session = None;
        if !had_session {
            return Err(Problem::lasting(
                "the server rejects the session that it has just opened",
            ));
        }
        self.sign_in().await?;
        let request = self.request(method, path, body);
        self.exchange(request, wait).await
    }

    async fn sign_in(&mut self) -> Result<(), Problem> {
        // A configuration file of this kind is refused, but a program can set the values.
        if self.is_unsafe {
            let why = "http would send the password through the network in clear text";
            return Err(Problem::lasting(why));
        }
        let text = |bytes: &[u8], what| match std::str::from_utf8(bytes) {
            Ok(text) => Ok(text.to_owned()),
            Err(_) => Err(Problem::lasting(format!(
                "the {what} is not UTF-8, but the web interface accepts only UTF-8"
            ))),
        };
        let user = text(self.username.as_bytes(), "user name")?;
        let password = text(self.password.expose(), "password")?;
        let body = json!({"user": user, "password": password}).to_string();
        let request = self.request(Method::POST, SESSION, body.into());
        let answer = self.exchange(request, Duration::ZERO).await?;
        if matches!(
            answer.status,
            StatusCode::UNAUTHORIZED | StatusCode::TOO_MANY_REQUESTS
        ) {
            return Err(Problem {
                is_lasting: true,
                ..answer.unexpected()
            });
        }
        let cookies = cookies(&answer.heads);
        let SignedIn { csrf } = answer.json()?;
        if csrf.len() > LONGEST_COOKIE || !csrf.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Problem::new(
                "the server's CSRF token is too long, or not printable ASCII",
            ));
        }
        self.session = Some(Session { cookies, csrf });
        Ok(())
    }

    fn request(&self, method: Method, path: &str, body: Bytes) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method;
        let heads = request.headers_mut();
        let mut put = |name, value: &str| {
            // All values were checked, so this does not fail.
            if let Ok(value) = value.parse() {
                heads.insert(name, value);
            }
        };
        put(header::HOST, &self.host);
        put(header::ACCEPT, JSON);
        put(header::CONTENT_TYPE, JSON);
        put(header::CONNECTION, "close");
        if let Some(session) = &self.session {
            put(header::COOKIE, &session.cookies);
            put(
                header::HeaderName::from_static("x-csrf-token"),
                &session.csrf,
            );
        }
        if let Ok(path) = path.parse() {
            *request.uri_mut() = path;
        }
        request
    }

    /// Sends one request on a new connection, and reads the answer. The server may wait for `wait` before it answers.
    async fn exchange(
        &self,
        request: Request<Full<Bytes>>,
        wait: Duration,
    ) -> Result<Answer, Problem> {
        let limit = self.limit + wait;
        let exchanged = timeout(limit, async {
            let stream = self.server.dial().await.map_err(Problem::new)?;
            let mut builder = http1::Builder::new();
            builder.max_buf_size(LONGEST_HEAD).max_headers(MOST_HEADS);
            let (mut sender, connection) = builder
                .handshake(TokioIo::new(stream))
                .await
                .map_err(broken)?;
            let answer = async {
                let response = sender.send_request(request).await.map_err(broken)?;
                let (parts, body) = response.into_parts();
                Ok(Answer {
                    status: parts.status,
                    heads: parts.headers,
                    body: whole(body).await?,
                })
            };
            let mut answer = std::pin::pin!(answer);
            tokio::select! {
                answer = &mut answer => answer,
                // An answer that arrived before the end can still be read.
                _ = connection => answer.await,
            }
        });
        let late = || Problem::new(format!("no complete answer within {} s", limit.as_secs()));
        exchanged.await.unwrap_or_else(|_| Err(late()))
    }
}

const SESSION: &str = "/api/v1/session";
const JSON: &str = "application/json";

async fn whole(body: Incoming) -> Result<Vec<u8>, Problem> {
    match Limited::new(body, LONGEST_BODY).collect().await {
        Ok(body) => Ok(body.to_bytes().into()),
        Err(error) if error.is::<LengthLimitError>() => Err(Problem::new(format!(
            "the answer is longer than {LONGEST_BODY} bytes"
        ))),
        Err(error) => Err(Problem::new(format!(
            "the connection broke during the answer: {error}"
        ))),
    }
}

fn broken(error: hyper::Error) -> Problem {
    let cause = std::error::Error::source(&error);
    let io = cause.and_then(|cause| cause.downcast_ref::<io::Error>());
    match io {
        Some(io) => Problem::new(io),
        None => Problem::new(error),
    }
}

/// The cookies of an answer, as the field `Cookie` sends them back.
fn cookies(heads: &HeaderMap) -> String {
    let values = heads.get_all(header::SET_COOKIE).iter();
    let pairs = values.filter_map(|value| {
        let pair = value.to_str().ok()?.split(';').next()?.trim();
        (pair.contains('=') && pair.len() <= LONGEST_COOKIE).then_some(pair)
    });
    pairs.take(MOST_COOKIES).collect::<Vec<_>>().join("; ")
}

impl Answer {
    fn json<T: DeserializeOwned>(self) -> Result<T, Problem> {
        if self.status != StatusCode::OK {
            return Err(self.unexpected());
        }
        let read = serde_json::from_slice(&self.body);
        read.map_err(|error| Problem::new(format!("the answer cannot be read: {error}")))
    }

    /// A problem with the unexpected status, and the error text of the server.
    fn unexpected(&self) -> Problem {
        #[derive(Deserialize)]
        struct Error {
            error: String,
        }
        let told = match serde_json::from_slice(&self.body) {
            Ok(Error { error }) => error,
            // The guard in front of the API answers in plain text.
            Err(_) => String::from_utf8_lossy(&self.body).trim_end().to_owned(),
        };
        let told = shortened(&told, LONGEST_ERROR).escape_debug().to_string();
        let colon = if told.is_empty() { "" } else { ": " };
        Problem::new(format!("the answer is {}{colon}{told}", self.status))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::SocketAddr;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;
    use crate::requests::allow::tests::terms;

    /// The API at an address, with a time limit of 200 ms.
    fn api(addr: SocketAddr) -> Api {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("client_config.json");
        let mut file = std::fs::File::create(&path).unwrap();
        let text = r#"{"port": 1, "username": "u", "password": "p", "name": "a/b ?\u00e4"}"#;
        file.write_all(text.as_bytes()).unwrap();
        let (config, _) = Config::load(&path).unwrap();
        let mut terms = terms(&[], None);
        terms.api = crate::ServerConfig::plain(addr);
        Api {
            limit: Duration::from_millis(200),
            ..Api::new(&config, &terms, Resolver::system())
        }
    }

    async fn received(stream: &mut TcpStream) -> String {
        let mut bytes = vec![0; 4096];
        let length = stream.read(&mut bytes).await.unwrap();
        bytes.truncate(length);
        String::from_utf8(bytes).unwrap()
    }

    #[tokio::test]
    async fn an_exchange_with_a_silent_or_slow_server_ends_after_the_limit() {
        for answer in ["", "H", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"] {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let mut api = api(listener.local_addr().unwrap());
            let server = tokio::spawn(async move {
                let (mut stream, _) = listener.accept().await.unwrap();
                received(&mut stream).await;
                stream.write_all(answer.as_bytes()).await.unwrap();
                // Waits until the client closes.
                stream.read(&mut [0]).await
            });
            let problem = api.open(None).await.unwrap_err().to_string();
            assert!(problem.contains("no complete answer within"), "{problem}");
            let ended = timeout(Duration::from_secs(20), server).await;
            assert!(matches!(ended.unwrap().unwrap(), Ok(0) | Err(_)));
        }
    }

    #[tokio::test]
    async fn a_poll_sends_the_session_and_the_encoded_client_name() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let mut api = api(addr);
        api.limit = Duration::from_secs(20);
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let sign_in = received(&mut stream).await;
            let body = r#"{"csrf": "token"}"#;
            let answer = format!(
                "HTTP/1.1 200 OK\r\nSet-Cookie: a=1; Secure\r\nSet-Cookie: b=2\r\n\
                 Set-Cookie: {}=3\r\nContent-Length: {}\r\n\r\n{body}",
                "c".repeat(2000),
                body.len()
            );
            stream.write_all(answer.as_bytes()).await.unwrap();
            let (mut stream, _) = listener.accept().await.unwrap();
            let poll = received(&mut stream).await;
            let answer = "HTTP/1.1 200 OK\r\n\r\n{\"version\": 7, \"requests\": []}";
            stream.write_all(answer.as_bytes()).await.unwrap();
            (sign_in, poll)
        });
        let open = api.open(Some(6)).await.unwrap();
        assert_eq!((open.version, open.requests.len()), (7, 0));
        let (sign_in, poll) = server.await.unwrap();
        assert!(
            sign_in.starts_with("POST /api/v1/session HTTP/1.1\r\n"),
            "{sign_in}"
        );
        assert!(
            sign_in.ends_with(r#"{"password":"p","user":"u"}"#),
            "{sign_in}"
        );
        let path = "/api/v1/clients/a%2Fb%20%3F%C3%A4/requests?wait=25&version=6";
        assert!(
            poll.starts_with(&format!("GET {path} HTTP/1.1\r\n")),
            "{poll}"
        );
        for head in [
            format!("host: {addr}"),
            "cookie: a=1; b=2".to_owned(),
            "x-csrf-token: token".to_owned(),
        ] {
            assert!(poll.lines().any(|line| line == head), "{head} in {poll}");
        }
    }

    #[tokio::test]
    async fn a_password_is_not_sent_to_another_machine_in_clear_text() {
        let mut api = api(([192, 0, 2, 1], 80).into());
        let problem = api.open(None).await.unwrap_err();
        assert!(problem.is_lasting);
        assert!(problem.to_string().contains("in clear text"), "{problem}");
    }
}
