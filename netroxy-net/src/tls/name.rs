//! The name of the server that a client sends in the handshake and looks for in the certificate.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use rustls_pki_types::ServerName;

use super::trust::Trust;

/// The error for a text that is no host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a DNS name or an IP address")]
pub struct InvalidName;

/// A host name for DNS: an international name in its ASCII form (`xn--...`), any other text unchanged.
#[must_use]
pub fn ascii_host(host: &str) -> Cow<'_, str> {
    if host.is_ascii() {
        return Cow::Borrowed(host);
    }
    idna::domain_to_ascii(host).map_or(Cow::Borrowed(host), Cow::Owned)
}

/// The name that a client sends to the server and looks for in its certificate. The zone of an address (`fe80::1%eth0`)
/// is left out, because no certificate has zones. If `trust` does not check the name, any host is accepted; one that is
/// no name is not sent to the server.
///
/// # Errors
///
/// [`InvalidName`] if `trust` checks the name and the host is no name.
pub fn server_name(host: &str, trust: &Trust) -> Result<ServerName<'static>, InvalidName> {
    if let Some((address, _zone)) = host.split_once('%')
        && let Ok(address) = address.parse::<Ipv6Addr>()
    {
        return Ok(ServerName::from(IpAddr::from(address)));
    }
    match ServerName::try_from(ascii_host(host).into_owned()) {
        Ok(name) => Ok(name),
        Err(_) if matches!(trust, Trust::Anyone | Trust::Fingerprint(_)) => {
            // This address stands for no name: TLS does not send addresses.
            Ok(ServerName::from(IpAddr::from(Ipv4Addr::UNSPECIFIED)))
        }
        Err(_) => Err(InvalidName),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_of_every_form_have_a_name() {
        for (host, name) in [
            ("localhost", "localhost"),
            ("my_host.example", "my_host.example"),
            ("192.0.2.1", "192.0.2.1"),
            ("::1", "::1"),
            ("fe80::1%eth0", "fe80::1"),
            ("b\u{fc}cher.example", "xn--bcher-kva.example"),
            ("B\u{dc}CHER.example", "xn--bcher-kva.example"),
        ] {
            let found = server_name(host, &Trust::System).unwrap();
            assert_eq!(found.to_str(), name);
        }
    }

    #[test]
    fn any_host_is_accepted_if_the_name_is_not_checked() {
        let pinned = Trust::Fingerprint(crate::tls::Fingerprint::of(b"x"));
        for host in ["", "a b", "name%eth0", "\u{200b}", "-", "a..b"] {
            assert_eq!(
                server_name(host, &Trust::System),
                Err(InvalidName),
                "{host}"
            );
            let by_file = Trust::CaFile("ca.pem".into());
            assert_eq!(server_name(host, &by_file), Err(InvalidName), "{host}");
            for trust in [&Trust::Anyone, &pinned] {
                assert_eq!(
                    server_name(host, trust).unwrap().to_str(),
                    "0.0.0.0",
                    "{host}"
                );
            }
        }
    }
}
