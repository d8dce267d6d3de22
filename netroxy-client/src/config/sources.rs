//! Where a configuration comes from: a file, flags, the environment, a person.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use netroxy_net::config_file::{self, ConfigError, Loaded, Problem};
use netroxy_proto::{ClientName, Password, RemotePort, Username};

use super::{
    Config, ServerConfig, Service,
    file::{ConnectionFile, File, KEYS},
    flags::Flags,
    name::{self, Identity},
    password, requests, tls,
};

/// Asks a person for the password; `None` where there is nobody to ask.
pub(crate) type Prompt = fn() -> io::Result<Option<Password>>;

/// All that a configuration is made of. It can be read again.
#[derive(Debug, Default)]
pub(crate) struct Sources {
    /// The file, if there is one.
    pub(crate) path: Option<PathBuf>,
    pub(crate) flags: Flags,
    /// What the environment says.
    pub(crate) password: Option<String>,
    /// Whom to ask when nothing else gives a password.
    pub(crate) prompt: Option<Prompt>,
    /// What was answered: nobody is asked twice.
    asked: RefCell<Option<Password>>,
}

/// Where errors are to be looked for.
#[derive(Debug)]
pub(super) struct Origin(Option<(PathBuf, Loaded<File>)>);

impl Origin {
    fn loaded(&self) -> Option<&Loaded<File>> {
        self.0.as_ref().map(|(_, loaded)| loaded)
    }

    pub(super) fn is_flags_only(&self) -> bool {
        self.0.is_none()
    }

    /// A file that is named in the configuration file.
    pub(super) fn relative(&self, path: &Path) -> PathBuf {
        let loaded = self.loaded();
        loaded.map_or_else(|| path.to_owned(), |loaded| loaded.relative(path))
    }

    /// How the source is called.
    pub(super) fn shown(&self) -> String {
        match &self.0 {
            Some((path, _)) => path.display().to_string(),
            None => COMMAND_LINE.to_owned(),
        }
    }

    /// An error about a key, or about a flag, which begins with `--`.
    pub(super) fn error(&self, key: &str, message: impl Into<String>) -> ConfigError {
        match self.loaded() {
            Some(loaded) if !key.starts_with("--") => loaded.error(key, message),
            _ => flag_error(key, message),
        }
    }

    pub(super) fn caused(
        &self,
        key: &str,
        error: &(dyn std::error::Error + 'static),
        hint: impl Into<String>,
    ) -> ConfigError {
        match self.loaded() {
            Some(loaded) if !key.starts_with("--") => loaded.caused(key, error, hint),
            _ => {
                let mut message = error.to_string();
                for cause in std::iter::successors(error.source(), |error| error.source()) {
                    message.push_str(&format!(": {cause}"));
                }
                flag_error(key, message).with_hint(hint)
            }
        }
    }
}

/// The file that is read when none is named.
pub(crate) const USUAL_FILE: &str = "client_config.json";

const COMMAND_LINE: &str = "command line";

fn flag_error(flag: &str, message: impl Into<String>) -> ConfigError {
    Problem {
        path: COMMAND_LINE.into(),
        place: None,
        key: flag.to_owned(),
        message: message.into(),
        hint: None,
    }
    .into()
}

/// With a random quarter, less than v0.3 asks for (`life.reconnect-time`, `map.client-retries`).
const LONGEST_RETRY_WAIT: Duration = Duration::from_secs(8);
/// A crowd of users, and far less than a server allows an address.
const SPARE_CONNECTIONS: usize = 16;
/// What v0.3 asks for (`auth.client-deadline`).
const LOGIN_TIMEOUT: Duration = Duration::from_secs(10);

impl Sources {
    /// A file alone.
    pub(super) fn file(path: &Path) -> Self {
        Self {
            path: Some(path.to_owned()),
            ..Self::default()
        }
    }

    /// What the command line says, and the environment. The usual file is read if neither a file
    /// nor a server is named.
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

    /// Reads all of it. The second part of the result are warnings for the user.
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

    /// Puts flags and file together, and tells all that is wrong with them at once.
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
        let tls = tls::config(flags, file.tls.as_ref(), host, &origin, &mut warnings);
        let tls = tls.map_err(&mut keep).ok();
        let services = services(flags, file.connections, &origin, &mut warnings);
        let services = services.map_err(&mut keep).ok();
        let requests = file.requests.as_ref().map(|section| {
            let tls = file.tls.as_ref();
            requests::config(flags, section, tls, host, &origin, &mut warnings)
        });
        let requests = requests.transpose().map_err(&mut keep).ok();
        // Nobody is asked for a password that would be of no use.
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
                Ok(()) => flag_error("", "the configuration is not whole"),
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

    /// Where a running client of this configuration answers. Reads no more of the file than that.
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

    /// The flag's file, the environment, the configuration file; in this order.
    fn known_password(&self, in_file: Option<Password>) -> Result<Option<Password>, ConfigError> {
        if let Some(path) = &self.flags.password_file {
            return password::from_file(path).map(Some).map_err(|error| {
                let message = format!("cannot take the password from {}: {error}", path.display());
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

    /// The password that is known, or the one that a person gives.
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
            return Err(missing(origin, "password").with_hint(NO_PASSWORD));
        };
        *self.asked.borrow_mut() = Some(password.clone());
        Ok(password)
    }

    /// Lasts over restarts: see [`name`].
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

fn missing(origin: &Origin, key: &str) -> ConfigError {
    if origin.is_flags_only() {
        return flag_error("", format!("no {key} is given"));
    }
    origin.error(key, "missing")
}

fn server(flags: &Flags, file: &mut File, origin: &Origin) -> Result<(String, u16), ConfigError> {
    if let Some(server) = &flags.server {
        return Ok((server.host.clone(), server.port));
    }
    let host = file.ip.take().unwrap_or_default();
    let port = file.port.ok_or_else(|| missing(origin, "port"))?;
    Ok((host, port))
}

fn username(flags: &Flags, file: &mut File, origin: &Origin) -> Result<Username, ConfigError> {
    let username = flags.user.clone().or_else(|| file.username.take());
    username.ok_or_else(|| {
        let error = missing(origin, "username");
        if origin.is_flags_only() {
            return error.with_hint("give it with --user NAME");
        }
        error
    })
}

/// The services in the order in which they are written. The original asks twice for a port that is
/// given twice, is refused once, and connects users to the later one.
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

/// A service that is a mapped port of the server leads back to this client. Told for the first one:
/// a range of them is one mistake.
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
