//! The section `requests`: which mappings users may request at the web interface of the server.

use netroxy_net::config_file::ConfigError;
use netroxy_net::networks::Networks;
use netroxy_net::tls::{Trust, ascii_host, server_name};

use super::file::RequestsFile;
use super::tls::{Identity, ServerTls, is_loopback, with_trust};
use super::types::{Allowed, RequestsConfig, ServerConfig, TlsConfig};
use super::url::Url;

/// The configuration of requests. `server` is the TLS of the control connection, for keys that the section does not
/// have.
pub(super) fn config(
    file: &RequestsFile,
    server: &ServerTls<'_>,
    warnings: &mut Vec<String>,
) -> Result<RequestsConfig, ConfigError> {
    let origin = server.origin;
    let Url { tls, host, port } = file.url.clone();
    let tls = if tls {
        Some(tls_config(file, server, warnings)?)
    } else {
        if !is_loopback(&host) {
            if !file.plain {
                let message = "http sends the password through the network in clear text";
                let hint =
                    "use https://; if the network to the server is safe, add \"plain\": true";
                return Err(origin.error("requests.url", message).with_hint(hint));
            }
            warnings.push(format!(
                "{}: requests.plain: the password crosses the network in clear text",
                origin.shown()
            ));
        }
        None
    };
    if file.allow.is_empty() {
        warnings.push(format!(
            "{}: requests.allow is empty: every request will be refused",
            origin.shown()
        ));
    }
    let allow = file.allow.iter().map(|allowed| Allowed {
        networks: allowed.networks.iter().copied().collect::<Networks>(),
        ports: allowed.ports.clone(),
    });
    Ok(RequestsConfig {
        api: ServerConfig { host, port, tls },
        plain: file.plain,
        accept: file.accept,
        allow: allow.collect(),
        remote_ports: file.remote_ports.clone(),
    })
}

/// Keys that the section does not have are those of the control connection.
fn tls_config(
    file: &RequestsFile,
    server: &ServerTls<'_>,
    warnings: &mut Vec<String>,
) -> Result<TlsConfig, ConfigError> {
    let origin = server.origin;
    let (trust, key) = match (&file.fingerprint, &file.ca_file, file.verify) {
        (Some(pin), _, _) => (Trust::Fingerprint(*pin), "requests.fingerprint"),
        (None, Some(ca), _) => (Trust::CaFile(origin.relative(ca)), "requests.caFile"),
        (None, None, Some(true)) => (Trust::System, "requests.verify"),
        (None, None, Some(false)) => (Trust::Anyone, "requests.verify"),
        (None, None, None) => server.trust(),
    };
    if matches!(trust, Trust::Anyone) {
        warnings.push(format!(
            "{}: requests: anyone between client and web interface can read the password and send \
             requests; set requests.fingerprint or requests.caFile",
            origin.shown()
        ));
    }
    let host = &file.url.host;
    // All ports of a host have the same name.
    let is_same_host = host.eq_ignore_ascii_case(&ascii_host(server.host));
    let of_server = || server.server_name().filter(|_| is_same_host);
    let name = match file.server_name.as_ref().or_else(of_server) {
        Some(name) => name.clone(),
        None => server_name(host, &trust)
            .map_err(|error| origin.error("requests.url", format!("the host {error} for TLS")))?,
    };
    let own = Identity::of_keys(
        file.cert.as_ref(),
        file.key.as_ref(),
        ["requests.cert", "requests.key"],
        origin,
    )?;
    let identity = match own {
        Some(own) => Some(own),
        None => server.identity()?,
    };
    with_trust(name, &trust, key, identity.as_ref(), origin)
}
