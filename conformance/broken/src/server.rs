//! The server.

mod control;
mod limits;
mod ports;
mod tunnels;

use std::collections::{HashMap, HashSet, VecDeque};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use std::{fmt, io};

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, ReadHalf, WriteHalf, split};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::drips::written_by;
use crate::lines::{Lines, Message, OF_CLIENTS, Stream, bytes, integer};
use crate::relay::Mixer;
use crate::tls::{self, Secure};
use crate::{Bug, Manner, chance};

/// A server that has bound its ports.
pub struct Server {
    plain: TcpListener,
    secure: TcpListener,
    shared: Arc<Shared>,
}

struct Shared {
    manner: Manner,
    bug: Option<Bug>,
    username: Vec<u8>,
    password: Vec<u8>,
    timeout: u64,
    /// The control ports: plain and TLS.
    control: [u16; 2],
    acceptor: TlsAcceptor,
    state: Mutex<State>,
    counter: AtomicU64,
    mixer: Mixer,
    /// Set by bugs that stop serving.
    over: AtomicBool,
    /// Set by events with which bugs extend a login.
    renewed: AtomicBool,
    /// Locked by the only connection of a server that serves one connection at a time.
    only_one: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct State {
    logins: HashMap<u64, Login>,
    ports: HashMap<u16, Port>,
    /// All tokens so far, whether each was given over TLS, and the login.
    tokens: Vec<(Vec<u8>, bool, u64)>,
    /// How many users have connected, for a bug.
    places: usize,
    /// The names of all logins so far, and the token of each.
    ever: Vec<(Vec<u8>, Vec<u8>)>,
}

struct Login {
    name: Vec<u8>,
    token: Vec<u8>,
    /// Whether the login is over TLS.
    secure: bool,
    mapped: HashSet<u16>,
    out: UnboundedSender<Vec<u8>>,
    /// Ends the control connection.
    ended: CancellationToken,
    /// Ends its tunnels, for a bug.
    tunnels: CancellationToken,
}

struct Port {
    login: u64,
    open: bool,
    waiting: VecDeque<(u64, TcpStream)>,
    listener: JoinHandle<()>,
}

const LOGIN_TIME: Duration = Duration::from_millis(8_200);
const RENEWED_TIME: Duration = Duration::from_secs(10);
const USER_TIME: Duration = Duration::from_millis(8_200);
/// How late a bug is: later than a peer has time for.
const LATE: Duration = Duration::from_secs(3);
const LONG: Duration = Duration::from_secs(60);
/// How long a server that serves one connection at a time pauses after each.
const REST: Duration = Duration::from_secs(1);

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("bug", &self.shared.bug)
            .finish_non_exhaustive()
    }
}

impl Server {
    /// Reads `server_config.json` in this folder and binds the ports that it names.
    ///
    /// # Errors
    /// If a file cannot be read or a port cannot be bound.
    pub async fn bind(folder: &Path, manner: Manner) -> io::Result<Self> {
        let config: Value =
            serde_json::from_slice(&std::fs::read(folder.join("server_config.json"))?)?;
        let text = |value: &Value| value.as_str().unwrap_or_default().as_bytes().to_vec();
        let port = |value: &Value| u16::try_from(value.as_u64().unwrap_or(0)).unwrap_or(0);
        let file = |value: &Value| folder.join(value.as_str().unwrap_or_default());
        let ip: IpAddr = config["ip"]
            .as_str()
            .and_then(|ip| ip.parse().ok())
            .unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
        let secure = &config["tls"];
        let control = [port(&config["port"]), port(&secure["port"])];
        Ok(Self {
            plain: TcpListener::bind(SocketAddr::new(ip, port(&config["port"]))).await?,
            secure: TcpListener::bind(SocketAddr::new(ip, port(&secure["port"]))).await?,
            shared: Arc::new(Shared {
                manner,
                bug: manner.bug(),
                username: text(&config["username"]),
                password: text(&config["password"]),
                timeout: config["timeout"].as_u64().unwrap_or(30),
                control,
                acceptor: tls::acceptor(&file(&secure["ca"]), &file(&secure["key"]), manner)?,
                state: Mutex::default(),
                counter: AtomicU64::new(1),
                mixer: Mixer::default(),
                over: AtomicBool::new(false),
                renewed: AtomicBool::new(false),
                only_one: tokio::sync::Mutex::default(),
            }),
        })
    }

    /// Serves until the future is dropped.
    pub async fn run(self) {
        let Self {
            plain,
            secure,
            shared,
        } = self;
        tokio::join!(
            shared.clone().listen(plain, false),
            shared.listen(secure, true)
        );
    }
}

impl Shared {
    fn has(&self, bug: Bug) -> bool {
        self.bug == Some(bug)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next(&self) -> u64 {
        self.counter.fetch_add(1, Ordering::Relaxed)
    }

    /// Ends all logins, for a bug.
    fn end_all(&self) {
        self.state()
            .logins
            .values()
            .for_each(|login| login.ended.cancel());
    }

    async fn listen(self: Arc<Self>, listener: TcpListener, secure: bool) {
        loop {
            let Ok((tcp, _)) = listener.accept().await else {
                continue;
            };
            let _ = tcp.set_nodelay(true);
            if self.over.load(Ordering::Relaxed) {
                sleep(LONG).await;
            }
            tokio::spawn(self.clone().begin(tcp, secure));
        }
    }

    async fn begin(self: Arc<Self>, tcp: TcpStream, secure: bool) {
        let shared = Arc::clone(&self);
        if self.manner == Manner::OneAtATime {
            let Ok(_only) = shared.only_one.try_lock() else {
                return;
            };
            Box::pin(self.connection(tcp, secure)).await;
            return sleep(REST).await;
        }
        self.connection(tcp, secure).await;
    }

    /// Serves one connection until it ends.
    async fn connection(self: Arc<Self>, tcp: TcpStream, secure: bool) {
        let limit = match self.bug {
            Some(Bug::LoginNeverDue) => LONG,
            Some(Bug::HandshakeNeverDue) if secure => LONG,
            Some(Bug::LoginDueAtOnce) => Duration::from_millis(300),
            Some(Bug::LoginDueEarly) => Duration::from_secs(5),
            Some(Bug::HandshakeDueEarly) if secure => Duration::from_secs(3),
            _ => LOGIN_TIME,
        };
        let due = Instant::now() + limit;
        let stream: Stream = match secure {
            false => written_by(self.manner, tcp),
            true => match self.handshake(tcp, due).await {
                Some(stream) => stream,
                None => return,
            },
        };
        let due = match self.bug {
            Some(Bug::HandshakeRenewsDeadline) => Instant::now() + RENEWED_TIME,
            Some(Bug::HandshakeDueEarly) => Instant::now() + LOGIN_TIME,
            Some(Bug::HandshakeCountsTwice) if secure => Instant::now() + LOGIN_TIME * 2,
            _ => due,
        };
        let (reader, writer) = split(stream);
        let mut lines = Lines::new(reader, OF_CLIENTS, self.bug);
        let first = if self.has(Bug::LoginDueOnlyWhenSilent) {
            lines.first_byte_by(due).await;
            lines.message().await
        } else {
            match tokio::time::timeout_at(due, lines.message()).await {
                Ok(first) => first,
                Err(_) => return,
            }
        };
        match first {
            Ok(Some(message)) => self.first(message, lines, writer, secure).await,
            Ok(None) => {}
            Err(error) => {
                if error.kind() == io::ErrorKind::InvalidData && self.has(Bug::StrangerEndsAll) {
                    self.end_all();
                }
                if error.kind() == io::ErrorKind::ConnectionReset
                    && self.has(Bug::AbortBeforeLoginFatal)
                {
                    self.over.store(true, Ordering::Relaxed);
                }
            }
        }
    }

    async fn handshake(self: &Arc<Self>, tcp: TcpStream, due: Instant) -> Option<Stream> {
        if let Some(
            Bug::PlainOnTlsServed
            | Bug::PlainOnTlsKept
            | Bug::PlainFallback
            | Bug::PlainLoginCounts
            | Bug::PlainTrsCounts,
        ) = self.bug
        {
            let mut first = [0];
            tcp.peek(&mut first).await.ok()?;
            match self.bug {
                _ if first == [0x16] => {}
                Some(Bug::PlainOnTlsKept) => sleep(LONG).await,
                Some(Bug::PlainLoginCounts | Bug::PlainTrsCounts) => {
                    self.obey_plain(tcp).await;
                    return None;
                }
                _ => return Some(written_by(self.manner, tcp)),
            }
        }
        let handshake = tokio::time::timeout_at(due, self.acceptor.accept(tcp)).await;
        match handshake {
            Ok(Ok(stream)) => Some(written_by(self.manner, Secure::new(stream, self.bug))),
            _ => None,
        }
    }

    /// Carries out a plain message on the TLS port without an answer, and closes.
    async fn obey_plain(self: &Arc<Self>, tcp: TcpStream) {
        let mut lines = Lines::new(tcp, OF_CLIENTS, self.bug);
        let read = timeout(LOGIN_TIME, lines.message()).await;
        let Ok(Ok(Some(message))) = read else {
            return;
        };
        match message[0].as_slice() {
            b"ATH" if self.has(Bug::PlainLoginCounts) && self.accepts(&message) => {
                self.clone().replace(&message[1], true).await;
            }
            b"TRS" if self.has(Bug::PlainTrsCounts) => {
                // The drop closes the user.
                drop(self.join(&message[1], integer(&message[2]), true));
            }
            _ => {}
        }
    }

    async fn first(
        self: Arc<Self>,
        message: Message,
        mut lines: Lines<ReadHalf<Stream>>,
        mut writer: WriteHalf<Stream>,
        secure: bool,
    ) {
        match message[0].as_slice() {
            b"ATH" if self.has(Bug::AnswerLate) && self.answers_late(&message) => {
                sleep(Duration::from_secs(6)).await;
                self.control(&message, lines, writer, secure).await;
            }
            b"ATH"
                if self.accepts(&message)
                    && !(self.has(Bug::LoginRefusedByChance) && chance::strikes()) =>
            {
                self.control(&message, lines, writer, secure).await;
            }
            b"ATH" => {
                if self.manner == Manner::Slow {
                    sleep(Duration::from_secs(3)).await;
                }
                if self.has(Bug::RefusalLate) {
                    sleep(Duration::from_secs(7)).await;
                }
                let silent = self.has(Bug::RefusalSilent)
                    || self.has(Bug::RefusalLostWithRest) && lines.has_more();
                if !silent {
                    let answer: &[u8] = if self.has(Bug::RefusalWithFields) {
                        b"ARS\nfalse\n30\nnone\n"
                    } else {
                        b"ARS\nfalse\n"
                    };
                    let _ = writer.write_all(answer).await;
                }
                if self.has(Bug::RefusalKept) {
                    sleep(LONG).await;
                }
                if self.has(Bug::MapAfterRefusal)
                    && let Ok(Some(map)) = lines.message().await
                {
                    let _ = writer.write_all(&bytes(&[b"MRS", &map[1], b"false"])).await;
                }
                if self.has(Bug::RefusalForgotten) {
                    while let Ok(Some(message)) = lines.message().await {
                        if self.accepts(&message) {
                            return Box::pin(self.control(&message, lines, writer, secure)).await;
                        }
                    }
                }
                let (reader, _) = lines.into_parts();
                self.close(reader, writer).await;
            }
            b"TRS" => self.data(&message, lines, writer, secure).await,
            b"SRQ" if self.has(Bug::SrqBeforeLogin) => {
                let _ = writer.write_all(b"SRS\n").await;
            }
            b"MAP" if self.has(Bug::MapBeforeLogin) => {
                let _ = writer
                    .write_all(&bytes(&[b"MRS", &message[1], b"false"]))
                    .await;
            }
            _ if self.has(Bug::BeforeLoginIgnored) => {
                if let Ok(Some(message)) = lines.message().await {
                    Box::pin(self.first(message, lines, writer, secure)).await;
                }
            }
            _ => {}
        }
    }

    /// Whether the answer to this ATH is late: the first two logins are answered in time, so that the server gets
    /// ready.
    fn answers_late(&self, ath: &Message) -> bool {
        self.accepts(ath) && self.state().tokens.len() >= 2
    }

    /// Whether user name and password are valid.
    fn accepts(&self, ath: &Message) -> bool {
        let [_, name, username, password] = ath.as_slice() else {
            return false;
        };
        match self.bug {
            Some(Bug::EmptyNameRefused) if name.is_empty() => false,
            Some(Bug::BinaryNameRefused) if !name.is_ascii() => false,
            Some(Bug::PasswordNotCompared) => *username == self.username,
            Some(Bug::UsernameNotCompared) => *password == self.password,
            Some(Bug::PasswordPrefix) => {
                *username == self.username && password.starts_with(&self.password)
            }
            Some(Bug::PasswordWithLess) => {
                let half = &self.password[..self.password.len() / 2];
                *username == self.username && (*password == self.password || password == half)
            }
            Some(Bug::CredentialsInAnyCase) => {
                username.eq_ignore_ascii_case(&self.username)
                    && password.eq_ignore_ascii_case(&self.password)
            }
            Some(Bug::PasswordEmptyAccepted) if password.is_empty() => true,
            Some(Bug::PasswordCutTo64) => {
                *username == self.username && (*password == self.password || password.len() > 64)
            }
            Some(Bug::CredentialsSwapped) => {
                let mut given = [username, password];
                let mut wanted = [&self.username, &self.password];
                given.sort();
                wanted.sort();
                given == wanted
            }
            Some(Bug::CredentialsTrimmed) => {
                *username.trim_ascii() == self.username && *password.trim_ascii() == self.password
            }
            _ => *username == self.username && *password == self.password,
        }
    }
}

/// Sends a text to a user, which no target has sent.
fn send_text(user: &TcpStream, what: &str) {
    // A user that does not read gets nothing.
    let _ = user.try_write(format!("{what}\r\n").as_bytes());
}

/// Leaves the connection of a user open.
fn keep_open(user: TcpStream) {
    tokio::spawn(async move {
        sleep(LONG).await;
        drop(user);
    });
}

impl Shared {
    /// Ends a connection so that its last bytes arrive: for a while, it reads and drops what still comes.
    async fn close(&self, mut reader: ReadHalf<Stream>, mut writer: WriteHalf<Stream>) {
        let _ = writer.shutdown().await;
        let mut dropped = vec![0; 4096];
        let rest = async { while let Ok(1..) = reader.read(&mut dropped).await {} };
        let linger = match self.manner {
            Manner::Slow => Duration::from_secs(3),
            _ => Duration::from_millis(500),
        };
        let _ = timeout(linger, rest).await;
    }
}
