//! The flags that replace or add values of the configuration file.

use std::path::PathBuf;

use clap::Args;
use clap::builder::FalseyValueParser;
use netroxy_net::tls::{self, Fingerprint, Trust};
use netroxy_proto::{ClientName, Username};
use rustls_pki_types::ServerName;

use super::fields::MOST_SPARES;
use super::mapping::{MapFlag, ServerFlag};
use super::types::Peer;

/// Flags of the program. Each one is also an environment variable with the prefix
/// `NETROXY_CLIENT_`. There is no flag for the password, because other accounts can read the
/// arguments of a program.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Flags {
    /// The server; without --config, no configuration file is read
    #[arg(long, value_name = "HOST:PORT", env = "NETROXY_CLIENT_SERVER")]
    pub(crate) server: Option<ServerFlag>,

    /// User name of the login
    #[arg(long, value_name = "NAME", env = "NETROXY_CLIENT_USER", value_parser = username)]
    pub(crate) user: Option<Username>,

    /// Make a service reachable on a port of the server: REMOTE=HOST:PORT, or REMOTE=PORT for this
    /// machine; ranges such as 10000-10009=HOST:20000-20009; may be given several times
    #[arg(
        long,
        value_name = "REMOTE=HOST:PORT",
        env = "NETROXY_CLIENT_MAP",
        value_delimiter = ','
    )]
    pub(crate) map: Vec<MapFlag>,

    /// File that contains the password; without it, the password is taken from NETROXY_PASSWORD, the
    /// configuration file or the terminal
    #[arg(long, value_name = "PATH", env = "NETROXY_CLIENT_PASSWORD_FILE")]
    pub(crate) password_file: Option<PathBuf>,

    /// Use TLS; the default with --server, unless the server is on this machine
    #[arg(long, env = "NETROXY_CLIENT_TLS", value_parser = FalseyValueParser::new())]
    pub(crate) tls: bool,

    /// No TLS: the password crosses the network in clear text
    #[arg(
        long,
        env = "NETROXY_CLIENT_PLAIN",
        value_parser = FalseyValueParser::new(),
        conflicts_with_all = [
            "tls", "ca_file", "fingerprint", "server_name", "insecure", "cert", "key"
        ]
    )]
    pub(crate) plain: bool,

    /// Use TLS, and trust only certificates in this PEM file or signed by one in it
    #[arg(
        long,
        value_name = "PATH",
        env = "NETROXY_CLIENT_CA_FILE",
        conflicts_with_all = ["fingerprint", "insecure"]
    )]
    pub(crate) ca_file: Option<PathBuf>,

    /// Use TLS, and trust only the certificate with this SHA-256 fingerprint
    #[arg(
        long,
        value_name = "HEX",
        env = "NETROXY_CLIENT_FINGERPRINT",
        conflicts_with = "insecure"
    )]
    pub(crate) fingerprint: Option<Fingerprint>,

    /// Use TLS, and send this certificate to the server: a PEM file, in which the certificates that
    /// signed it follow it
    #[arg(long, value_name = "PATH", env = "NETROXY_CLIENT_CERT")]
    pub(crate) cert: Option<PathBuf>,

    /// PEM file with the private key of --cert
    #[arg(long, value_name = "PATH", env = "NETROXY_CLIENT_KEY")]
    pub(crate) key: Option<PathBuf>,

    /// Use TLS, and expect this name in the certificate in place of the server's host
    #[arg(
        long,
        value_name = "NAME",
        env = "NETROXY_CLIENT_SERVER_NAME",
        value_parser = server_name
    )]
    pub(crate) server_name: Option<ServerName<'static>>,

    /// Use TLS, and accept any certificate. Dangerous: an attacker in between can read everything
    #[arg(long, env = "NETROXY_CLIENT_INSECURE", value_parser = FalseyValueParser::new())]
    pub(crate) insecure: bool,

    /// Name of this client: the server replaces an older login of the same name
    #[arg(long, value_name = "NAME", env = "NETROXY_CLIENT_NAME", value_parser = client_name)]
    pub(crate) name: Option<ClientName>,

    /// Kind of server; from the original server of 2016, the first bytes of a service are held back
    #[arg(long, value_name = "KIND", env = "NETROXY_CLIENT_PEER", value_enum)]
    pub(crate) peer: Option<Peer>,

    /// How many data connections are kept open at most for the next users; 0 is none
    #[arg(
        long,
        value_name = "NUMBER",
        env = "NETROXY_CLIENT_SPARE_CONNECTIONS",
        value_parser = spares
    )]
    pub(crate) spare_connections: Option<usize>,

    /// Local socket for the commands `map`, `status` and `requests`, such as /run/netroxy/client.sock
    #[arg(
        long,
        value_name = "PATH",
        env = "NETROXY_CLIENT_CONTROL_SOCKET",
        global = true
    )]
    pub(crate) control_socket: Option<PathBuf>,
}

impl Flags {
    /// Whether a flag asks for TLS.
    pub(super) fn want_tls(&self) -> bool {
        self.tls
            || self.insecure
            || self.ca_file.is_some()
            || self.fingerprint.is_some()
            || self.server_name.is_some()
            || self.cert.is_some()
            || self.key.is_some()
    }
}

pub(crate) fn username(text: &str) -> Result<Username, String> {
    field(text)
}

fn client_name(text: &str) -> Result<ClientName, String> {
    field(text)
}

fn field<T>(text: &str) -> Result<T, String>
where
    T: TryFrom<String>,
    T::Error: std::fmt::Display,
{
    let longest = netroxy_proto::Limits::default().line;
    if text.len() > longest {
        return Err(format!("must not be longer than {longest} bytes"));
    }
    T::try_from(text.to_owned()).map_err(|error| error.to_string())
}

fn spares(text: &str) -> Result<usize, String> {
    let count = text.parse().ok().filter(|count| *count <= MOST_SPARES);
    count.ok_or_else(|| format!("must be a number from 0 to {MOST_SPARES}"))
}

fn server_name(text: &str) -> Result<ServerName<'static>, String> {
    tls::server_name(text, &Trust::System).map_err(|error| error.to_string())
}
