//! Addresses on the command line.

use std::net::{SocketAddr, ToSocketAddrs};

use netroxy_judge::sut::{Running, Subject};

use super::complaint::Complaint;
use super::exit::EXIT_USAGE;

/// A server that runs already, with a user name and its password.
pub(super) fn running(
    addr: &str,
    tls: Option<&str>,
    login: [&Option<String>; 2],
) -> Result<Subject, Complaint> {
    let [username, password] = login.map(|word| word.clone().unwrap_or_default());
    Ok(Subject::Running(Running {
        plain: address(addr)?,
        tls: tls.map(address).transpose()?,
        username,
        password,
    }))
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
