//! Addresses on the command line, and the flags for a server that runs already.

use std::net::{SocketAddr, ToSocketAddrs};

use netroxy_judge::sut::{Running, Subject};

use super::complaint::Complaint;
use super::exit::EXIT_USAGE;

/// The flags for a server that runs already.
#[derive(Debug, clap::Args)]
pub(super) struct RunningServer {
    /// A server that runs already, HOST:PORT
    #[arg(long, value_name = "HOST:PORT", requires = "user", requires = "pass")]
    pub(super) addr: Option<String>,
    /// Its TLS port
    #[arg(long, value_name = "HOST:PORT", requires = "addr")]
    tls_addr: Option<String>,
    /// Its user name
    #[arg(long, requires = "addr")]
    user: Option<String>,
    /// Its password
    #[arg(long, requires = "addr")]
    pass: Option<String>,
}

impl RunningServer {
    /// The server; `None` if none is named.
    pub(super) fn subject(&self) -> Result<Option<Subject>, Complaint> {
        let Some(plain) = &self.addr else {
            return Ok(None);
        };
        Ok(Some(Subject::Running(Running {
            plain: address(plain)?,
            tls: self.tls_addr.as_deref().map(address).transpose()?,
            username: self.user.clone().unwrap_or_default(),
            password: self.pass.clone().unwrap_or_default(),
        })))
    }
}

/// The address of a host and a port; a name is resolved.
pub(super) fn address(text: &str) -> Result<SocketAddr, Complaint> {
    let wrong = |why: &str| {
        let complaint = Complaint::new(EXIT_USAGE, format!("`{text}` is not HOST:PORT: {why}"));
        complaint.hint("for example 127.0.0.1:10000, [::1]:10000 or localhost:10000")
    };
    let (host, port) = text
        .rsplit_once(':')
        .ok_or_else(|| wrong("the port is missing"))?;
    if host.is_empty() {
        return Err(wrong("the host is missing"));
    }
    if !matches!(port.parse::<u16>(), Ok(1..)) {
        return Err(wrong(&format!(
            "`{port}` is not a port, a number from 1 to 65535"
        )));
    }
    let mut found = text
        .to_socket_addrs()
        .map_err(|error| wrong(&format!("`{host}` cannot be found: {error}")))?;
    found
        .next()
        .ok_or_else(|| wrong(&format!("`{host}` has no address")))
}
