//! Starts a server and a client as programs with files of their own, and stops them however a run ends.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use socket2::{Domain, Socket, Type};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

use crate::figures::Report;
use crate::netem::Netem;
use crate::user;

/// How long a program may take to start, and how long it may take until a user is served.
pub(crate) const START: Duration = Duration::from_secs(20);
/// How long a program may take to stop. It gives its tunnels 5 s to end.
const STOP: Duration = Duration::from_secs(15);

/// The paths of the programs.
#[derive(Debug, Clone)]
pub(crate) struct Programs {
    /// The server.
    pub(crate) server: PathBuf,
    /// The client.
    pub(crate) client: PathBuf,
}

/// Running programs, for [`kill_all`].
static RUNNING: Mutex<BTreeSet<u32>> = Mutex::new(BTreeSet::new());

/// Kills all programs that were started. It is for ends that run no destructors.
pub(crate) fn kill_all() {
    let running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
    for pid in running.iter() {
        signal(*pid, Signal::KILL);
    }
}

fn signal(pid: u32, signal: Signal) {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    // It fails if the process has ended. Other code checks that.
    let _ = pid.map(|pid| kill_process(pid, signal));
}

/// A running program. Dropping this kills it.
#[derive(Debug)]
pub(crate) struct Program {
    child: Child,
    /// The id of its process.
    pub(crate) pid: u32,
    role: &'static str,
    log: PathBuf,
}

impl Program {
    fn start(
        role: &'static str,
        path: &Path,
        folder: &Path,
        netem: Option<&Netem>,
    ) -> io::Result<Self> {
        let log = folder.join(format!("{role}.log"));
        let lines = File::options().create(true).append(true).open(&log)?;
        let mut command = match netem {
            None => Command::new(path),
            // `ip` replaces itself by the program, so the id of the process is that of the program.
            Some(netem) => {
                let mut command = Command::new("ip");
                command.args(["netns", "exec", &netem.namespace]).arg(path);
                command
            }
        };
        let child = command
            .arg("--config")
            .arg(folder.join(format!("{role}_config.json")))
            .args(["--log", "warn"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(lines)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| {
                let path = path.display();
                io::Error::new(
                    error.kind(),
                    format!("cannot start {path}: {error}; name the program by --{role}"),
                )
            })?;
        let pid = child
            .id()
            .ok_or_else(|| io::Error::other("a process has no id"))?;
        let mut running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
        running.insert(pid);
        Ok(Self {
            child,
            pid,
            role,
            log,
        })
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, wanted: Signal) {
        signal(self.pid, wanted);
    }

    /// Kills it and waits until it has ended.
    pub(crate) async fn kill(mut self) -> io::Result<()> {
        self.child.kill().await
    }

    /// Fails if it has ended by itself.
    pub(crate) fn still_runs(&mut self) -> io::Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => Err(io::Error::other(format!(
                "the {} has ended by itself: {status}; its log ends with:\n{}",
                self.role,
                tail(&self.log)
            ))),
        }
    }

    /// Stops it by SIGTERM; `None` if it does not end within [`STOP`].
    async fn stop(&mut self) -> io::Result<Option<ExitStatus>> {
        self.signal(Signal::TERM);
        match timeout(STOP, self.child.wait()).await {
            Ok(status) => status.map(Some),
            Err(_) => Ok(None),
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Before the kill: after the wait for its end, another process may have this id.
        RUNNING
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&self.pid);
        let _ = self.child.start_kill();
    }
}

/// The last lines of a log.
fn tail(log: &Path) -> String {
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(10)..].join("\n")
}

/// How a world is configured.
#[derive(Debug, Clone)]
pub(crate) struct Setup {
    /// The key `timeout` of the server, in seconds.
    pub(crate) timeout: u32,
    /// How many seconds a connection has to log in.
    pub(crate) login_timeout: u32,
    /// The longest time in seconds that the client waits before it connects again.
    pub(crate) longest_retry_wait: u32,
    /// The targets. Each gets a remote port.
    pub(crate) targets: Vec<SocketAddr>,
}

/// A server and a client with files and addresses of their own.
#[derive(Debug)]
pub(crate) struct World {
    programs: Programs,
    folder: TempDir,
    setup: Setup,
    /// Where clients connect to the server.
    pub(crate) control: SocketAddr,
    /// Where users connect, in the order of the targets.
    pub(crate) ports: Vec<SocketAddr>,
    /// The server, if it runs.
    pub(crate) server: Option<Program>,
    /// The client, if it runs.
    pub(crate) client: Option<Program>,
}

/// User name and password of all clients.
pub(crate) const LOGIN: (&str, &str) = ("soak", "only for tests");

impl World {
    /// Chooses addresses and writes the file of the server. Nothing runs yet.
    pub(crate) fn new(programs: &Programs, setup: Setup) -> io::Result<Self> {
        let ip = fresh_address();
        // All are bound at the same time, so that the ports differ.
        let held: io::Result<Vec<_>> = (0..=setup.targets.len())
            .map(|_| TcpListener::bind((ip, 0)))
            .collect();
        let addresses: io::Result<Vec<_>> = held?.iter().map(TcpListener::local_addr).collect();
        let mut ports = addresses?;
        let control = ports.remove(0);
        let world = Self {
            programs: programs.clone(),
            folder: tempfile::Builder::new().prefix("netroxy-soak-").tempdir()?,
            setup,
            control,
            ports,
            server: None,
            client: None,
        };
        let file = json!({
            "ip": ip.to_string(),
            "port": control.port(),
            "mappingIp": ip.to_string(),
            "username": LOGIN.0,
            "password": LOGIN.1,
            "timeout": world.setup.timeout,
            "loginTimeout": world.setup.login_timeout,
            // No limits, so that one client can have all tunnels that descriptors allow. With the defaults it gets
            // half.
            "limits": { "tunnels": 0, "tunnelsPerClient": 0 },
        });
        fs::write(
            world.folder.path().join("server_config.json"),
            file.to_string(),
        )?;
        Ok(world)
    }

    /// Starts both, the client directly to the server, and waits until the first port serves a user.
    pub(crate) async fn start(programs: &Programs, setup: Setup) -> io::Result<Self> {
        let mut world = Self::new(programs, setup)?;
        world.start_server().await?;
        world.start_client(world.control, None)?;
        world.served().await?;
        Ok(world)
    }

    /// Starts the server and waits until it listens.
    pub(crate) async fn start_server(&mut self) -> io::Result<()> {
        let program = Program::start("server", &self.programs.server, self.folder.path(), None)?;
        let program = self.server.insert(program);
        let until = Instant::now() + START;
        while TcpStream::connect(self.control).await.is_err() {
            program.still_runs()?;
            if Instant::now() > until {
                return Err(io::Error::other("the server does not listen"));
            }
            sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }

    /// Starts the client, which connects to `server`.
    pub(crate) fn start_client(
        &mut self,
        server: SocketAddr,
        netem: Option<&Netem>,
    ) -> io::Result<()> {
        let targets = self.setup.targets.iter().zip(&self.ports);
        let connections = targets.map(|(target, port)| {
            json!({
                "ip": target.ip().to_string(),
                "port": target.port(),
                "remotePort": port.port(),
                "isOpen": true,
            })
        });
        let file = json!({
            "ip": server.ip().to_string(),
            "port": server.port(),
            "username": LOGIN.0,
            "password": LOGIN.1,
            "name": "soak",
            "loginTimeout": self.setup.login_timeout,
            "longestRetryWait": self.setup.longest_retry_wait,
            // Spare connections would count as leaks.
            "spareConnections": 0,
            "connections": connections.collect::<Vec<_>>(),
        });
        let folder = self.folder.path();
        fs::write(folder.join("client_config.json"), file.to_string())?;
        self.client = Some(Program::start(
            "client",
            &self.programs.client,
            folder,
            netem,
        )?);
        Ok(())
    }

    /// Waits until a user of the first port is served. The target of this port must send the greeting. The result is
    /// how long it took.
    pub(crate) async fn served(&mut self) -> io::Result<Duration> {
        let start = Instant::now();
        let port = self.ports[0];
        while start.elapsed() < START {
            for program in [&mut self.server, &mut self.client].into_iter().flatten() {
                program.still_runs()?;
            }
            // A user who comes too early may be closed late. So the next one comes after 2 s at most.
            if let Ok(Ok(_)) = timeout(Duration::from_secs(2), user::open(port, u64::MAX)).await {
                return Ok(start.elapsed());
            }
            sleep(Duration::from_millis(20)).await;
        }
        Err(io::Error::other(format!(
            "no user was served for {} s; the logs end with:\n{}\n{}",
            START.as_secs(),
            tail(&self.folder.path().join("server.log")),
            tail(&self.folder.path().join("client.log")),
        )))
    }

    /// The process ids of server and client.
    pub(crate) fn pids(&self) -> io::Result<[u32; 2]> {
        match (&self.server, &self.client) {
            (Some(server), Some(client)) => Ok([server.pid, client.pid]),
            _ => Err(io::Error::other("a program does not run")),
        }
    }

    /// Stops both by SIGTERM. It is a violation if one does not end with exit code 0, if a port is not free afterwards,
    /// or if a log reports a bug.
    pub(crate) async fn stop(mut self, report: &mut Report) -> io::Result<()> {
        for program in [&mut self.client, &mut self.server].into_iter().flatten() {
            program.still_runs()?;
            let (start, role) = (Instant::now(), program.role);
            match program.stop().await? {
                Some(status) => report.require(status.code() == Some(0), || {
                    format!("the {role} ended with {status} after SIGTERM")
                }),
                None => report.violation(format!("the {role} does not end after SIGTERM")),
            }
            report.figure(
                format!("{role} stop"),
                crate::figures::millis(start.elapsed()),
                "ms",
            );
            let log = fs::read(&program.log)?;
            let log = String::from_utf8_lossy(&log);
            let bug = |line: &&str| line.contains("bug:") || line.contains("panicked");
            for line in log.lines().filter(bug).take(3) {
                report.violation(format!("the {role} logs: {line}"));
            }
        }
        for port in [self.control].iter().chain(&self.ports) {
            if let Err(error) = free(*port) {
                report.violation(format!(
                    "port {} is not free after the stop: {error}",
                    port.port()
                ));
            }
        }
        Ok(())
    }
}

/// Whether a port can be listened on.
fn free(port: SocketAddr) -> io::Result<()> {
    let socket = Socket::new(Domain::for_address(port), Type::STREAM, None)?;
    // Without it, old connections in TIME_WAIT would keep the port in use.
    socket.set_reuse_address(true)?;
    socket.bind(&port.into())?;
    socket.listen(1)
}

/// A random address of the loopback network. Outgoing connections have the address 127.0.0.1, so they take no port of
/// this address.
pub(crate) fn fresh_address() -> IpAddr {
    let mut random = fastrand::Rng::new();
    let ip = [127, random.u8(64..128), random.u8(..), random.u8(1..255)];
    IpAddr::V4(Ipv4Addr::from(ip))
}
