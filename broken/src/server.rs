//! The server.

use std::collections::{HashMap, HashSet, VecDeque};
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, ReadHalf, WriteHalf, split};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::drips::written_by;
use crate::lines::{Lines, Message, OF_CLIENTS, Stream, bytes, integer};
use crate::relay::{End, Mixer, relay};
use crate::{Bug, Manner, tls};

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
    acceptor: TlsAcceptor,
    state: Mutex<State>,
    counter: AtomicU64,
    mixer: Mixer,
    /// Set by bugs that end the whole server.
    over: AtomicBool,
    /// Held by a connection, which only a lonely server minds.
    only_one: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct State {
    logins: HashMap<u64, Login>,
    ports: HashMap<u16, Port>,
    /// Tokens that were given once, and where.
    tokens: Vec<(Vec<u8>, bool, u64)>,
}

struct Login {
    name: Vec<u8>,
    token: Vec<u8>,
    /// Whether it came over TLS.
    secure: bool,
    mapped: HashSet<u16>,
    out: UnboundedSender<Vec<u8>>,
    /// Ends the control connection.
    kicked: CancellationToken,
    /// Ends its tunnels, which only a bug does.
    tunnels: CancellationToken,
}

struct Port {
    login: u64,
    open: bool,
    waiting: VecDeque<(u64, TcpStream)>,
    listener: JoinHandle<()>,
}

/// How a control connection ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ended {
    Closed,
    Reset,
    Violation,
    Expired,
    Replaced,
}

const LOGIN_TIME: Duration = Duration::from_secs(6);
const USER_TIME: Duration = Duration::from_secs(7);
const LONG: Duration = Duration::from_secs(60);

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
    /// When the file cannot be read or a port cannot be bound.
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
        Ok(Self {
            plain: TcpListener::bind(SocketAddr::new(ip, port(&config["port"]))).await?,
            secure: TcpListener::bind(SocketAddr::new(ip, port(&secure["port"]))).await?,
            shared: Arc::new(Shared {
                manner,
                bug: manner.bug(),
                username: text(&config["username"]),
                password: text(&config["password"]),
                timeout: config["timeout"].as_u64().unwrap_or(30),
                acceptor: tls::acceptor(&file(&secure["ca"]), &file(&secure["key"]))?,
                state: Mutex::default(),
                counter: AtomicU64::new(1),
                mixer: Mixer::default(),
                over: AtomicBool::new(false),
                only_one: tokio::sync::Mutex::default(),
            }),
        })
    }

    /// Serves for ever.
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

    /// Ends all logins, which only bugs do.
    fn kick_all(&self) {
        self.state()
            .logins
            .values()
            .for_each(|login| login.kicked.cancel());
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
        let door = Arc::clone(&self);
        let only = door.only_one.try_lock();
        if self.manner == Manner::Lonely && only.is_err() {
            return;
        }
        let limit = match self.bug {
            Some(Bug::LoginNeverDue) => LONG,
            Some(Bug::HandshakeNeverDue) if secure => LONG,
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
                    self.kick_all();
                }
                if error.kind() == io::ErrorKind::ConnectionReset
                    && self.has(Bug::AbortBeforeLoginFatal)
                {
                    self.over.store(true, Ordering::Relaxed);
                }
            }
        }
    }

    async fn handshake(&self, tcp: TcpStream, due: Instant) -> Option<Stream> {
        if self.has(Bug::PlainOnTlsServed) || self.has(Bug::PlainOnTlsKept) {
            let mut first = [0];
            tcp.peek(&mut first).await.ok()?;
            if first != [0x16] && self.has(Bug::PlainOnTlsServed) {
                return Some(written_by(self.manner, tcp));
            }
            if first != [0x16] {
                sleep(LONG).await;
            }
        }
        let shaken = tokio::time::timeout_at(due, self.acceptor.accept(tcp)).await;
        match shaken {
            Ok(Ok(stream)) => Some(written_by(self.manner, stream)),
            _ => None,
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
            b"ATH" if self.knows(&message) => self.control(&message, lines, writer, secure).await,
            b"ATH" => {
                if !self.has(Bug::RefusalSilent) {
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
                        if self.knows(&message) {
                            return Box::pin(self.control(&message, lines, writer, secure)).await;
                        }
                    }
                }
                let (reader, _) = lines.into_parts();
                close(reader, writer).await;
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

    /// Whether these are user name and password.
    fn knows(&self, ath: &Message) -> bool {
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

    fn token(&self, name: &[u8]) -> Vec<u8> {
        match self.bug {
            Some(Bug::TokenForAll) => return b"the-token-of-this-server".to_vec(),
            Some(Bug::TokenOfName) => return [b"token-of-", name].concat(),
            _ => {}
        }
        let mut random = [0; 16];
        // Without randomness there is nothing to judge either.
        let _ = getrandom::fill(&mut random);
        random
            .iter()
            .flat_map(|byte| format!("{byte:02X}").into_bytes())
            .collect()
    }

    async fn control(
        self: Arc<Self>,
        ath: &Message,
        mut lines: Lines<ReadHalf<Stream>>,
        writer: WriteHalf<Stream>,
        secure: bool,
    ) {
        let (out, queue) = unbounded_channel();
        let writer = tokio::spawn(write(queue, writer));
        let Some(id) = self.clone().log_in(ath, &out, secure).await else {
            drop(out);
            let (reader, _) = lines.into_parts();
            return finish(reader, writer).await;
        };
        lines.log_in();
        let ended = self.clone().serve(id, &mut lines, &out).await;
        if ended == Ended::Violation && self.has(Bug::ViolationEndsAll) {
            self.kick_all();
        }
        let kept = match self.bug {
            Some(Bug::PortsNeverReleased) => true,
            Some(Bug::PortsKeptOnReset) => ended == Ended::Reset,
            Some(Bug::PortsKeptOnViolation) => ended == Ended::Violation,
            Some(Bug::PortsKeptOnClose) => ended == Ended::Closed,
            Some(Bug::PortsKeptOnExpiry) => ended == Ended::Expired,
            _ => false,
        };
        if ended == Ended::Reset && self.has(Bug::AbortAfterLoginFatal) {
            self.over.store(true, Ordering::Relaxed);
        }
        if self.has(Bug::PortsReleasedLate) {
            let (shared, out) = (self.clone(), out.clone());
            tokio::spawn(async move {
                sleep(LONG).await;
                drop(out);
                shared.log_out(id, false).await;
            });
        } else {
            self.log_out(id, kept).await;
        }
        drop(out);
        let (reader, _) = lines.into_parts();
        finish(reader, writer).await;
    }

    /// Adds a login and answers it.
    async fn log_in(
        self: Arc<Self>,
        ath: &Message,
        out: &UnboundedSender<Vec<u8>>,
        secure: bool,
    ) -> Option<u64> {
        let (id, token, name) = (self.next(), self.token(&ath[1]), ath[1].clone());
        let older: Vec<u64> = {
            let state = self.state();
            let same = |login: &&Login| login.name == name && !name.is_empty();
            if self.has(Bug::OneClientOnly) && !state.logins.is_empty()
                || self.has(Bug::SameNameRefused) && state.logins.values().any(|login| same(&login))
            {
                let _ = out.send(b"ARS\nfalse\n".to_vec());
                return None;
            }
            state
                .logins
                .iter()
                .filter(|(_, login)| same(login))
                .map(|(id, _)| *id)
                .collect()
        };
        for older in older {
            match self.bug {
                Some(Bug::SameNameKept) => {}
                Some(Bug::SameNameReleasedLate) => {
                    let shared = self.clone();
                    tokio::spawn(async move {
                        sleep(Duration::from_millis(500)).await;
                        shared.log_out(older, false).await;
                    });
                }
                _ => self.log_out(older, false).await,
            }
        }
        let seconds = if self.has(Bug::TimeoutZeroSent) {
            0
        } else {
            self.timeout
        };
        let answer = bytes(&[b"ARS", b"true", seconds.to_string().as_bytes(), &token]);
        if self.has(Bug::ArsTwice) {
            let _ = out.send(answer.clone());
        }
        let _ = out.send(answer);
        let mut state = self.state();
        state.tokens.push((token.clone(), secure, id));
        let login = Login {
            name,
            token,
            secure,
            mapped: HashSet::new(),
            out: out.clone(),
            kicked: CancellationToken::new(),
            tunnels: CancellationToken::new(),
        };
        state.logins.insert(id, login);
        Some(id)
    }

    /// Ends a login: nobody listens on its ports when this returns, unless a bug keeps them.
    async fn log_out(&self, id: u64, ports_kept: bool) {
        let mut listeners = Vec::new();
        {
            let mut state = self.state();
            let Some(login) = state.logins.remove(&id) else {
                return;
            };
            login.kicked.cancel();
            if self.has(Bug::TunnelsEndWithControl) {
                login.tunnels.cancel();
            }
            if self.has(Bug::OneEndsAllTunnels) {
                state
                    .logins
                    .values()
                    .for_each(|other| other.tunnels.cancel());
            }
            let all = self.has(Bug::OneEndsAllPorts);
            let gone: Vec<u16> = state
                .ports
                .iter()
                .filter(|(_, port)| all || port.login == id)
                .map(|(number, _)| *number)
                .collect();
            for number in gone {
                if ports_kept || self.has(Bug::PortsKeptWithTunnel) && self.mixer.tunnels() > 0 {
                    continue;
                }
                if let Some(port) = state.ports.remove(&number) {
                    listeners.push(port.listener);
                    if self.has(Bug::WaitingUsersKept) {
                        port.waiting.into_iter().for_each(|(_, user)| keep(user));
                    }
                }
            }
            if self.has(Bug::OneEndsAllWaiting) {
                state
                    .ports
                    .values_mut()
                    .for_each(|port| port.waiting.clear());
            }
        }
        for listener in listeners {
            listener.abort();
            let _ = listener.await;
        }
    }

    /// Answers what a client that has logged in says, until it ends.
    async fn serve(
        self: Arc<Self>,
        id: u64,
        lines: &mut Lines<ReadHalf<Stream>>,
        out: &UnboundedSender<Vec<u8>>,
    ) -> Ended {
        let kicked = match self.state().logins.get(&id) {
            Some(login) => login.kicked.clone(),
            None => return Ended::Replaced,
        };
        let mut alive = Instant::now();
        let (mut srqs, mut held) = (0, None);
        loop {
            let seconds = Duration::from_secs(self.timeout);
            let patience = match self.bug {
                Some(Bug::ExpiryEarly) => seconds.mul_f64(0.7),
                Some(Bug::ExpiryLate) => seconds.mul_f64(2.5),
                Some(Bug::ExpiryNever) => LONG * 60,
                Some(Bug::ExpiryNeverAfterSrq) if srqs > 0 => LONG * 60,
                _ => seconds.mul_f64(1.25),
            };
            let message = tokio::select! {
                message = lines.message() => message,
                () = kicked.cancelled() => return Ended::Replaced,
                () = tokio::time::sleep_until(alive + patience) => {
                    if self.has(Bug::TunnelRenews) && self.mixer.take_bytes() {
                        alive = Instant::now();
                        continue;
                    }
                    return Ended::Expired;
                }
            };
            let message = match message {
                Ok(Some(message)) => message,
                Ok(None) => return Ended::Closed,
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                    return Ended::Violation;
                }
                Err(_) => return Ended::Reset,
            };
            match message[0].as_slice() {
                b"SRQ" => {
                    srqs += 1;
                    if !self.has(Bug::SrqDoesNotRenew) {
                        alive = Instant::now();
                    }
                    if self.has(Bug::SrsEverySecond) && srqs % 2 == 0
                        || self.has(Bug::SrsMissingInCrowd) && srqs % 50 == 0
                    {
                        continue;
                    }
                    let _ = out.send(b"SRS\n".to_vec());
                    if self.has(Bug::SrsTwice) {
                        let _ = out.send(b"SRS\n".to_vec());
                    }
                }
                b"MAP" => {
                    if self.has(Bug::MapRenews) {
                        alive = Instant::now();
                    }
                    let ok = self.clone().map(id, &message).await;
                    let answer = self.mrs(id, &message[1], ok);
                    if self.has(Bug::MrsTwice) {
                        let _ = out.send(answer.clone());
                    }
                    match held.take() {
                        None if self.has(Bug::MrsSwapped) && ok && lines.has_more() => {
                            held = Some(answer)
                        }
                        first => {
                            let _ = out.send(answer);
                            first.map(|first| out.send(first));
                        }
                    }
                    if !ok && self.has(Bug::MrsFalseCloses) {
                        return Ended::Violation;
                    }
                    if !ok && self.has(Bug::MrsFalseDropsOthers) {
                        self.release_all(id).await;
                    }
                }
                b"ATH" if self.has(Bug::SecondLoginAccepted) => {
                    let _ = out.send(bytes(&[b"ARS", b"true", b"30", b"another-token"]));
                }
                b"ATH" if self.has(Bug::SecondLoginRefused) => {
                    let _ = out.send(b"ARS\nfalse\n".to_vec());
                }
                b"ATH" if self.has(Bug::SecondLoginIgnored) => {}
                b"TRS" if self.has(Bug::TrsOnControlIgnored) => {}
                b"TRS" if self.has(Bug::TrsOnControlJudged) => {
                    let known = self
                        .state()
                        .logins
                        .values()
                        .any(|login| login.token == message[1]);
                    if known {
                        return Ended::Violation;
                    }
                }
                _ => return Ended::Violation,
            }
        }
    }

    async fn release_all(&self, id: u64) {
        let listeners: Vec<JoinHandle<()>> = {
            let mut state = self.state();
            let gone: Vec<u16> = state
                .ports
                .iter()
                .filter(|(_, port)| port.login == id)
                .map(|(number, _)| *number)
                .collect();
            gone.into_iter()
                .filter_map(|number| state.ports.remove(&number))
                .map(|port| port.listener)
                .collect()
        };
        for listener in listeners {
            listener.abort();
            let _ = listener.await;
        }
    }

    /// The answer to a MAP.
    fn mrs(&self, id: u64, asked: &[u8], ok: bool) -> Vec<u8> {
        let number = integer(asked);
        let ok: &[u8] = if ok { b"true" } else { b"false" };
        let port = match self.bug {
            Some(Bug::IntegerEchoed) => return bytes(&[b"MRS", asked, ok]),
            Some(Bug::MrsPortOffByOne) => (number + 1).to_string(),
            Some(Bug::IntegerWithPlus) => format!("+{number}"),
            Some(Bug::MrsPortModulo) => (number & 0xffff).to_string(),
            Some(Bug::MrsPortOfFirst) => {
                let state = self.state();
                let first = state
                    .logins
                    .get(&id)
                    .and_then(|login| login.mapped.iter().min().copied());
                first.map_or(number, i64::from).to_string()
            }
            _ => number.to_string(),
        };
        bytes(&[b"MRS", port.as_bytes(), ok])
    }

    /// Listens on a remote port; whether that is so.
    async fn map(self: Arc<Self>, id: u64, map: &Message) -> bool {
        let open = map[3] == b"true" || self.has(Bug::ClosedIsOpen);
        let number = integer(&map[1]);
        let number = match self.bug {
            Some(Bug::PortModulo) => Ok(u16::try_from(number & 0xffff).unwrap_or(0)),
            _ => u16::try_from(number),
        };
        let number = match number {
            Ok(0) | Err(_) => {
                return match self.bug {
                    Some(Bug::PortRangeTrue | Bug::PortModulo) => true,
                    Some(Bug::PortZeroTrue) => integer(&map[1]) == 0,
                    Some(Bug::PortNegativeTrue) => integer(&map[1]) < 0,
                    _ => false,
                };
            }
            Ok(number) => number,
        };
        if self.has(Bug::MappingsAtMost50)
            && self
                .state()
                .logins
                .get(&id)
                .is_some_and(|login| login.mapped.len() >= 50)
        {
            return false;
        }
        if self.has(Bug::ConflictTakesOver) {
            let older = self.state().ports.remove(&number);
            if let Some(older) = older {
                older.listener.abort();
                let _ = older.listener.await;
            }
        }
        if self.has(Bug::ConflictReopens)
            && let Some(port) = self.state().ports.get_mut(&number)
        {
            port.open = open;
            port.login = id;
            return false;
        }
        if self.has(Bug::ConflictDropsFirst) {
            let older = self.state().ports.remove(&number);
            if let Some(older) = older {
                older.listener.abort();
                let _ = older.listener.await;
                return false;
            }
        }
        if self.has(Bug::MrsBeforeBind) {
            let (shared, map) = (self.clone(), map.clone());
            tokio::spawn(async move {
                sleep(Duration::from_millis(150)).await;
                shared.bind(id, number, map[3] == b"true").await;
            });
            return true;
        }
        self.clone().bind(id, number, open).await || self.has(Bug::ConflictTrue)
    }

    async fn bind(self: Arc<Self>, id: u64, number: u16, open: bool) -> bool {
        let Ok(listener) = TcpListener::bind((Ipv4Addr::UNSPECIFIED, number)).await else {
            return false;
        };
        let shared = self.clone();
        let mut state = self.state();
        let Some(login) = state.logins.get_mut(&id) else {
            return false;
        };
        login.mapped.insert(number);
        let listener = tokio::spawn(async move {
            loop {
                if let Ok((user, _)) = listener.accept().await {
                    shared.clone().user(number, user);
                }
            }
        });
        let port = Port {
            login: id,
            open,
            waiting: VecDeque::new(),
            listener,
        };
        state.ports.insert(number, port);
        true
    }

    /// A user has come.
    fn user(self: Arc<Self>, number: u16, user: TcpStream) {
        let id = self.next();
        let mut state = self.state();
        let Some(port) = state.ports.get_mut(&number) else {
            return;
        };
        if !port.open && self.has(Bug::ClosedSendsTrq) {
            let login = port.login;
            if let Some(login) = state.logins.get(&login) {
                let _ = login.out.send(format!("TRQ\n{number}\n").into_bytes());
            }
            return;
        }
        if !port.open {
            if self.has(Bug::ClosedHangs) {
                keep(user);
            }
            return;
        }
        if self.has(Bug::Lifo) {
            port.waiting.push_front((id, user));
        } else if self.has(Bug::SecondComesFirst) && port.waiting.len() >= 2 {
            port.waiting.insert(1, (id, user));
        } else {
            port.waiting.push_back((id, user));
        }
        let crowd = port.waiting.len();
        let (login, others) = (
            port.login,
            state
                .ports
                .iter()
                .any(|(other, port)| *other != number && !port.waiting.is_empty()),
        );
        let first = |login: &Login| login.mapped.iter().min().copied();
        let Some(login) = state.logins.get(&login) else {
            return;
        };
        let named = match self.bug {
            Some(Bug::TrqFirstPort) => first(login).unwrap_or(number),
            _ => number,
        };
        let trq = format!("TRQ\n{named}\n").into_bytes();
        let times = match self.bug {
            Some(Bug::TrqTwice) => 2,
            Some(Bug::TrqTwiceInCrowd) if crowd == 3 => 2,
            Some(Bug::TrqOnlyForFirst) if crowd > 1 => 0,
            Some(Bug::TrqHeldWhileOthersWait) if others => 0,
            Some(Bug::TrqMissingNowAndThen) if id.is_multiple_of(25) => 0,
            _ => 1,
        };
        for _ in 0..times {
            let _ = login.out.send(trq.clone());
        }
        drop(state);
        if self.has(Bug::EarlyUserEndsLogin) {
            let shared = self.clone();
            tokio::spawn(async move {
                sleep(Duration::from_millis(20)).await;
                let state = shared.state();
                let port = state.ports.get(&number);
                let spoken = |(_, user): &(u64, TcpStream)| {
                    user.try_read(&mut [0]).is_ok_and(|count| count > 0)
                };
                if port.is_some_and(|port| port.waiting.iter().any(spoken)) {
                    state
                        .logins
                        .values()
                        .for_each(|login| login.kicked.cancel());
                }
            });
        }
        if self.has(Bug::AbortedUserFatal) {
            let shared = self.clone();
            tokio::spawn(async move {
                sleep(Duration::from_millis(20)).await;
                let state = shared.state();
                let waiting = state
                    .ports
                    .get(&number)
                    .into_iter()
                    .flat_map(|port| &port.waiting);
                let gone = |(_, user): &(u64, TcpStream)| {
                    user.take_error().is_ok_and(|error| error.is_some())
                };
                if waiting.into_iter().any(gone) {
                    shared.over.store(true, Ordering::Relaxed);
                }
            });
        }
        if !self.has(Bug::UserWaitsForever) {
            tokio::spawn(async move {
                sleep(USER_TIME).await;
                if let Some(port) = self.state().ports.get_mut(&number) {
                    port.waiting.retain(|(other, _)| *other != id);
                }
            });
        }
    }

    /// A connection that has begun by TRS.
    async fn data(
        self: Arc<Self>,
        trs: &Message,
        lines: Lines<ReadHalf<Stream>>,
        mut writer: WriteHalf<Stream>,
        secure: bool,
    ) {
        let (token, number) = (&trs[1], integer(&trs[2]));
        let (reader, mut said) = lines.into_parts();
        let joined = self.join(token, number, secure);
        let (user, tunnels) = match joined {
            Ok(joined) => joined,
            Err(refused) => return self.refuse(refused, reader, writer).await,
        };
        match self.bug {
            Some(Bug::EarlyDataLost) => said.clear(),
            Some(Bug::EarlyDataTwice) => said.extend_from_within(..),
            Some(Bug::TrsAnswered) => {
                let _ = writer.write_all(b"TRS\n").await;
            }
            _ => {}
        }
        let mut reader = reader;
        if self.has(Bug::EarlySegmentLost) {
            let mut waste = vec![0; 64 * 1024];
            let _ = timeout(Duration::from_millis(30), reader.read(&mut waste)).await;
        }
        let (mut far_reader, far_writer) = user.into_split();
        let loses = match self.bug {
            Some(Bug::EarlyUserDataLost) => true,
            Some(Bug::EarlyUserDataLostNowAndThen) => self.mixer.ever() % 5 == 4,
            _ => false,
        };
        if loses {
            // What is under way comes in time to be lost too.
            sleep(Duration::from_millis(5)).await;
            let mut waste = [0; 64 * 1024];
            let _ = far_reader.try_read(&mut waste);
        }
        let mut far_said = Vec::new();
        if self.has(Bug::EarlyUserDataLostAtEnd) {
            // What is there is read first; then an end is taken for a user that has gone.
            let mut there = vec![0; 64 * 1024];
            sleep(Duration::from_millis(5)).await;
            if let Ok(count) = far_reader.try_read(&mut there) {
                far_said = there[..count].to_vec();
                if matches!(far_reader.try_read(&mut there), Ok(0)) {
                    return;
                }
            }
        }
        let data = End {
            reader,
            writer,
            said,
        };
        let far = End {
            reader: &mut far_reader,
            writer: far_writer,
            said: far_said,
        };
        tokio::select! {
            broken = relay(data, far, self.bug, &self.mixer) => {
                if broken && self.has(Bug::BrokenTunnelEndsControl) {
                    self.kick_all();
                }
                if broken && self.has(Bug::BrokenTunnelFatal) {
                    self.over.store(true, Ordering::Relaxed);
                }
            }
            () = tunnels.cancelled() => {}
        }
    }

    /// The user for a data connection, and what may end the tunnel.
    fn join(
        &self,
        token: &[u8],
        number: i64,
        secure: bool,
    ) -> Result<(TcpStream, CancellationToken), Refused> {
        let mut state = self.state();
        let fits = |login: &Login| {
            let own = login.token.as_slice();
            let place = login.secure == secure
                || self.has(Bug::TokenOfTlsAnywhere) && login.secure
                || self.has(Bug::TokenOfPlainAnywhere) && !login.secure;
            place
                && match self.bug {
                    Some(Bug::TokenWithMore) => token.starts_with(own),
                    Some(Bug::TokenWithLess) => !token.is_empty() && own.starts_with(token),
                    Some(Bug::TokenInAnyCase) => token.eq_ignore_ascii_case(own),
                    Some(Bug::TokenBehindSomething) => token.ends_with(own),
                    Some(Bug::TokenTrimmed) => token.trim_ascii() == own,
                    Some(Bug::TokenNotCompared) => true,
                    Some(Bug::TokenEmptyAccepted) => token.is_empty() || token == own,
                    Some(Bug::TokenCutTo4095) => token == own || token.len() >= 4095,
                    _ => token == own,
                }
        };
        let found = state
            .logins
            .iter()
            .find(|(_, login)| fits(login))
            .map(|(id, _)| *id);
        let mut port = u16::try_from(number).unwrap_or(0);
        let old = || state.tokens.iter().any(|(old, _, _)| old == token);
        let id = match found {
            Some(id) => id,
            None if self.has(Bug::StaleTokenServed) && old() => match state.ports.get(&port) {
                Some(port) => port.login,
                None => return Err(Refused::Token),
            },
            None if self.has(Bug::StaleTokenKept) && old() => return Err(Refused::Kept),
            None if self.has(Bug::ReplacedTokenServed) && old() => match state.ports.get(&port) {
                Some(port) => port.login,
                None => return Err(Refused::Token),
            },
            None => return Err(Refused::Token),
        };
        let tunnels = state
            .logins
            .get(&id)
            .map(|login| login.tunnels.clone())
            .unwrap_or_default();
        if self.has(Bug::TrsPortGuessed) && port == 0 {
            port = state
                .logins
                .get(&id)
                .and_then(|login| login.mapped.iter().min().copied())
                .unwrap_or(0);
        }
        let owner = state.ports.get(&port).map(|port| port.login);
        if owner != Some(id) && !(owner.is_some() && self.has(Bug::PortOfAnotherServed)) {
            return Err(Refused::Port);
        }
        let port = if self.has(Bug::AnyPortServed) {
            let longest = state
                .ports
                .iter()
                .filter(|(_, port)| !port.waiting.is_empty());
            longest
                .min_by_key(|(_, port)| port.waiting[0].0)
                .map_or(port, |(number, _)| *number)
        } else {
            port
        };
        let Some(port) = state.ports.get_mut(&port) else {
            return Err(Refused::Port);
        };
        while let Some((_, user)) = port.waiting.pop_front() {
            let gone = user.take_error().is_ok_and(|error| error.is_some());
            if !gone || self.has(Bug::GoneUserServed) {
                return Ok((user, tunnels));
            }
            if self.has(Bug::GoneUserKeepsAll) {
                return Err(Refused::Kept);
            }
        }
        Err(Refused::Unsolicited)
    }

    async fn refuse(&self, why: Refused, reader: ReadHalf<Stream>, writer: WriteHalf<Stream>) {
        let kept = why == Refused::Kept
            || match self.bug {
                Some(Bug::BadTokenKept) => why == Refused::Token,
                Some(Bug::BadPortKept) => why == Refused::Port,
                Some(Bug::UnsolicitedKept) => why == Refused::Unsolicited,
                _ => false,
            };
        if kept {
            sleep(LONG).await;
        }
        if self.has(Bug::RefusedTunnelEndsControls) {
            self.kick_all();
        }
        close(reader, writer).await;
    }
}

/// Why a data connection joins nobody.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Refused {
    Token,
    Port,
    Unsolicited,
    /// A bug says nothing.
    Kept,
}

/// Holds a connection open although nobody uses it.
fn keep(user: TcpStream) {
    tokio::spawn(async move {
        sleep(LONG).await;
        drop(user);
    });
}

async fn write(
    mut queue: UnboundedReceiver<Vec<u8>>,
    mut writer: WriteHalf<Stream>,
) -> WriteHalf<Stream> {
    while let Some(bytes) = queue.recv().await {
        if writer.write_all(&bytes).await.is_err() || writer.flush().await.is_err() {
            break;
        }
    }
    writer
}

async fn finish(reader: ReadHalf<Stream>, writer: JoinHandle<WriteHalf<Stream>>) {
    if let Ok(Ok(writer)) = timeout(Duration::from_secs(1), writer).await {
        close(reader, writer).await;
    }
}

/// Ends a connection so that what was said last arrives: what still comes is thrown away for a while.
async fn close(mut reader: ReadHalf<Stream>, mut writer: WriteHalf<Stream>) {
    let _ = writer.shutdown().await;
    let mut waste = vec![0; 4096];
    let rest = async { while let Ok(1..) = reader.read(&mut waste).await {} };
    let _ = timeout(Duration::from_millis(500), rest).await;
}
