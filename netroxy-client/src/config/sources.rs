//! The sources of a configuration: a file, flags, the environment, and a person.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use netroxy_net::config_file::{self, ConfigError, Loaded};
use netroxy_proto::{ClientName, Password, RemotePort, Username};

use super::file::{ConnectionFile, File, KEYS};
use super::flags::Flags;
use super::name::{self, Identity};
use super::origin::{Origin, flag_error};
use super::tls::{self, ServerTls};
use super::types::{Config, ServerConfig, Service};
use super::{password, requests};

/// Asks a person for the password; `None` if there is no terminal.
pub(crate) type Prompt = fn() -> io::Result<Option<Password>>;

/// All sources of a configuration. They can be read again.
#[derive(Debug, Default)]
pub(crate) struct Sources {
    /// The file, if there is one.
    pub(crate) path: Option<PathBuf>,
    pub(crate) flags: Flags,
    /// The value of `NETROXY_PASSWORD`.
    pub(crate) password: Option<String>,
    /// How to ask for the password if no other source has it.
    pub(crate) prompt: Option<Prompt>,
    /// The answer, so that a person is asked once only.
    asked: RefCell<Option<Password>>,
}

/// The file that is read if neither a file nor a server is named.
pub(crate) const USUAL_FILE: &str = "client_config.json";

/// With a random part of a quarter, it is shorter than v0.3 allows (`life.reconnect-time`, `map.client-retries`).
const LONGEST_RETRY_WAIT: Duration = Duration::from_secs(8);
/// Enough for a crowd of users, and far fewer connections than a server allows from one address.
const SPARE_CONNECTIONS: usize = 16;
/// The value of v0.3 (`auth.client-deadline`).
const LOGIN_TIMEOUT: Duration = Duration::from_secs(10);

impl Config {
    /// Reads `client_config.json`, and the certificates that it names. Paths in the file are relative to its folder.
    /// The second part of the result is the warnings.
    ///
    /// # Errors
    ///
    /// [`ConfigError`], with the place in the file and the key.
    pub fn load(path: &Path) -> Result<(Self, Vec<String>), ConfigError> {
        Sources::file(path).load()
    }
}

impl Sources {
    /// A file alone.
    pub(super) fn file(path: &Path) -> Self {
        Self {
            path: Some(path.to_owned()),
            ..Self::default()
        }
    }

    /// The sources of the program: command line, environment and file. [`USUAL_FILE`] is read if neither a file nor a
    /// server is named.
    pub(crate) fn new(path: Option<PathBuf>, flags: Flags, prompt: Option<Prompt>) -> Self {
        let usual = || flags.server.is_none().then(|| USUAL_FILE.into());
        Self {
            path: path.or_else(usual),
            flags,
            password: std::env::var(password::VARIABLE).ok(),
            prompt,
            asked: RefCell::default(),
        }
    }

    /// Reads all sources. The second part of the result is the warnings.
    ///
    /// # Errors
    ///
    /// [`ConfigError`], with the place in the file and the key, or the flag.
    pub(crate) fn load(&self) -> Result<(Config, Vec<String>), ConfigError> {
        let Some(path) = &self.path else {
            return self.put_together(File::default(), Origin(None), Vec::new());
        };
        config_file::load_then(path, KEYS, |mut loaded: Loaded<File>| {
            let warnings = std::mem::take(&mut loaded.warnings);
            let file = std::mem::take(&mut loaded.value);
            self.put_together(file, Origin(Some((path.clone(), loaded))), warnings)
        })
    }

    /// Joins flags and file. Reports all errors at once.
    fn put_together(
        &self,
        mut file: File,
        origin: Origin,
        mut warnings: Vec<String>,
    ) -> Result<(Config, Vec<String>), ConfigError> {
        let flags = &self.flags;
        let mut errors = Vec::new();
        let mut keep = |error| errors.push(error);
        let server = server(flags, &mut file, &origin).map_err(&mut keep).ok();
        let username = username(flags, &mut file, &origin).map_err(&mut keep).ok();
        let host = server.as_ref().map_or("", |(host, _)| host.as_str());
        let server_tls = ServerTls {
            flags,
            file: file.tls.as_ref(),
            host,
            origin: &origin,
        };
        let tls = server_tls.config(&mut warnings);
        let tls = tls.map_err(&mut keep).ok();
        let services = services(flags, file.connections, &origin, &mut warnings);
        let services = services.map_err(&mut keep).ok();
        let section = file.requests.as_ref();
        let requests = section.map(|file| requests::config(file, &server_tls, &mut warnings));
        let requests = requests.transpose().map_err(&mut keep).ok();
        // A person is not asked for a password if the rest is wrong.
        let is_whole = server.is_some()
            && username.is_some()
            && tls.is_some()
            && services.is_some()
            && requests.is_some();
        let password = if is_whole || self.prompt.is_none() {
            self.login_password(file.password, &origin).map(Some)
        } else {
            self.known_password(file.password)
        };
        let password = password.map_err(&mut keep).ok().flatten();
        let (
            Some((host, port)),
            Some(username),
            Some(tls),
            Some(services),
            Some(requests),
            Some(password),
        ) = (server, username, tls, services, requests, password)
        else {
            let all = ConfigError::all(errors);
            return Err(match all {
                Err(error) => error.with_warnings(&warnings),
                Ok(()) => flag_error("", "the configuration is incomplete"),
            });
        };
        warnings.extend(loop_warning(&host, &services, &origin));
        let name = match flags.name.clone().or(file.name) {
            Some(name) => name,
            None => self.default_name((&host, port), &username),
        };
        if requests.is_some() && name == ClientName::empty() {
            let error = origin.error("name", "is empty, and users have to name the client");
            return Err(error.with_hint("give the client a name, or leave out \"requests\""));
        }
        let in_file = file.control_socket.as_ref();
        let in_file = in_file.map(|path| origin.relative(path));
        let config = Config {
            control_socket: flags.control_socket.clone().or(in_file),
            server: ServerConfig {
                host: netroxy_net::tls::ascii_host(&host).into_owned(),
                port,
                tls,
            },
            name,
            username,
            password,
            services,
            peer: flags.peer.or(file.peer).unwrap_or_default(),
            hold_first_bytes: file.hold_first_bytes_ms,
            login_timeout: file.login_timeout.unwrap_or(LOGIN_TIMEOUT),
            longest_retry_wait: file.longest_retry_wait.unwrap_or(LONGEST_RETRY_WAIT),
            spare_connections: flags
                .spare_connections
                .or(file.spare_connections)
                .unwrap_or(SPARE_CONNECTIONS),
            requests,
        };
        Ok((config, warnings))
    }

    /// The control socket of a running client with this configuration. Other keys are not read.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] as for [`load`](Self::load).
    #[cfg(unix)]
    pub(crate) fn control_socket(&self) -> Result<Option<PathBuf>, ConfigError> {
        if let Some(path) = &self.flags.control_socket {
            return Ok(Some(path.clone()));
        }
        let Some(file) = &self.path else {
            return Ok(None);
        };
        let loaded = config_file::load::<super::file::SocketOnly>(file, KEYS)?;
        let socket = loaded.value.control_socket.as_deref();
        Ok(socket.map(|path| loaded.relative(path)))
    }

    /// The password of `--password-file`, of the environment or of the configuration file, in this order.
    fn known_password(&self, in_file: Option<Password>) -> Result<Option<Password>, ConfigError> {
        if let Some(path) = &self.flags.password_file {
            return password::from_file(path).map(Some).map_err(|error| {
                let message = format!("cannot read the password from {}: {error}", path.display());
                flag_error("--password-file", message)
            });
        }
        let in_environment = match &self.password {
            Some(text) => password::from_text(text.clone())
                .map_err(|error| flag_error(password::VARIABLE, error))?,
            None => None,
        };
        Ok(in_environment.or(in_file))
    }

    /// The known password, or the one that a person types.
    fn login_password(
        &self,
        in_file: Option<Password>,
        origin: &Origin,
    ) -> Result<Password, ConfigError> {
        if let Some(password) = self.known_password(in_file)? {
            return Ok(password);
        }
        if let Some(password) = &*self.asked.borrow() {
            return Ok(password.clone());
        }
        let asked = match self.prompt {
            Some(prompt) => prompt().map_err(|error| {
                let message = format!("cannot read it from the terminal: {error}");
                flag_error("password", message)
            })?,
            None => None,
        };
        let Some(password) = asked else {
            return Err(origin.missing("password").with_hint(NO_PASSWORD));
        };
        *self.asked.borrow_mut() = Some(password.clone());
        Ok(password)
    }

    /// The name of a client without a configured name: see [`name`].
    fn default_name(&self, server: (&str, u16), username: &Username) -> ClientName {
        let host_name = gethostname::gethostname();
        let path = self.path.as_ref().and_then(|path| {
            let absolute = std::path::absolute(path).ok()?;
            Some(absolute.canonicalize().unwrap_or(absolute))
        });
        let mapped: Vec<Service> = self.flags.map.iter().flat_map(|m| m.0.clone()).collect();
        Identity {
            host_name: &host_name.to_string_lossy(),
            machine_id: name::machine_id().as_deref(),
            server,
            username,
            file: path.as_deref(),
            services: &mapped,
        }
        .name()
    }
}

const NO_PASSWORD: &str = "set \"password\" in the file, use --password-file PATH, set the \
                           environment variable NETROXY_PASSWORD, or start on a terminal";

fn server(flags: &Flags, file: &mut File, origin: &Origin) -> Result<(String, u16), ConfigError> {
    if let Some(server) = &flags.server {
        return Ok((server.host.clone(), server.port));
    }
    let host = file.ip.take().unwrap_or_default();
    let port = file.port.ok_or_else(|| origin.missing("port"))?;
    Ok((host, port))
}

fn username(flags: &Flags, file: &mut File, origin: &Origin) -> Result<Username, ConfigError> {
    let username = flags.user.clone().or_else(|| file.username.take());
    username.ok_or_else(|| {
        let error = origin.missing("username");
        if origin.is_flags_only() {
            return error.with_hint("give it with --user NAME");
        }
        error
    })
}

/// The services in the order of file and flags. If a remote port is given twice, the later service counts: the original
/// client sends MAP twice, is refused once, and joins users with the later one.
fn services(
    flags: &Flags,
    connections: Vec<ConnectionFile>,
    origin: &Origin,
    warnings: &mut Vec<String>,
) -> Result<Vec<Service>, ConfigError> {
    let mut all = Vec::new();
    for (at, connection) in connections.into_iter().enumerate() {
        let host = connection.ip.unwrap_or_default();
        let ports = connection.port;
        let services = connection
            .remote_port
            .services(&host, ports, connection.is_open);
        let services = services.map_err(|error| {
            origin.error(&format!("connections[{at}].remotePort"), error.to_string())
        })?;
        all.extend(services);
    }
    all.extend(flags.map.iter().flat_map(|map| map.0.clone()));
    let mut last: BTreeMap<RemotePort, usize> = BTreeMap::new();
    for (at, service) in all.iter().enumerate() {
        if last.insert(service.remote_port, at).is_some() {
            warnings.push(format!(
                "{}: remotePort {} is given twice: the later one counts",
                origin.shown(),
                service.remote_port
            ));
        }
    }
    let is_last = |at: usize, service: &Service| last.get(&service.remote_port) == Some(&at);
    let all = all.into_iter().enumerate();
    Ok(all
        .filter(|(at, service)| is_last(*at, service))
        .map(|(_, service)| service)
        .collect())
}

/// Warns of a service that is a mapped port of the server, and so leads back to this client. Only the first one is
/// reported, because a range of them is one mistake.
fn loop_warning(server: &str, services: &[Service], origin: &Origin) -> Option<String> {
    let mapped: BTreeSet<u16> = services.iter().map(|s| s.remote_port.get()).collect();
    let is_server = |host: &str| {
        host.eq_ignore_ascii_case(server) || (tls::is_loopback(host) && tls::is_loopback(server))
    };
    let leads_back = |s: &&Service| mapped.contains(&s.port) && is_server(&s.host);
    let service = services.iter().find(leads_back)?;
    Some(format!(
        "{}: a loop: remotePort {} leads to {}, which is a mapped port of the server itself; its \
         users will be refused",
        origin.shown(),
        service.remote_port,
        service.target()
    ))
}
