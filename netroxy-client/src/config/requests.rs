//! Section `requests`: whether users may ask for mappings, through the web interface of the server.

use std::{fmt, marker::PhantomData, path::PathBuf};

use hyper::Uri;
use netroxy_net::{
    config_file::ConfigError,
    networks::{Network, Networks},
    ports::PortSet,
    tls::{Fingerprint, Trust, ascii_host, server_name},
};
use rustls_pki_types::ServerName;
use serde::{
    Deserialize, Deserializer,
    de::{Error as _, IntoDeserializer, SeqAccess, Visitor},
};

use super::{
    Accept, Allowed, Origin, RequestsConfig, ServerConfig,
    file::{TlsFile, some_parsed, some_server_name},
    flags::Flags,
    tls::{self, Identity, is_loopback},
};

/// The section.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RequestsFile {
    url: Url,
    #[serde(default)]
    accept: Accept,
    allow: Vec<AllowFile>,
    #[serde(default, deserialize_with = "some_or_more")]
    remote_ports: Option<Vec<PortSet>>,
    #[serde(default)]
    plain: bool,
    verify: Option<bool>,
    ca_file: Option<PathBuf>,
    #[serde(default, deserialize_with = "some_parsed")]
    fingerprint: Option<Fingerprint>,
    #[serde(default, deserialize_with = "some_server_name")]
    server_name: Option<ServerName<'static>>,
    cert: Option<PathBuf>,
    key: Option<PathBuf>,
}

/// One of `requests.allow`.
#[derive(Debug, Deserialize)]
struct AllowFile {
    #[serde(deserialize_with = "one_or_more")]
    networks: Vec<Network>,
    #[serde(deserialize_with = "one_or_more")]
    ports: Vec<PortSet>,
}

/// Where the web interface of a server is.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Url {
    tls: bool,
    /// Without brackets.
    host: String,
    port: u16,
}

impl std::str::FromStr for Url {
    type Err = &'static str;

    // The text is not repeated: it may hold a password.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const EXPECTED: &str = "must be the address of the server's web interface, such as \
                                \"https://example.org:8443\"";
        // A URI is ASCII; only the host of this one can be anything else.
        let (scheme, rest) = text.split_once("://").ok_or(EXPECTED)?;
        let end = rest.find([':', '/']).unwrap_or(rest.len());
        let (host, rest) = rest.split_at(end);
        let text = format!("{scheme}://{}{rest}", ascii_host(host));
        let uri: Uri = text.parse().map_err(|_| EXPECTED)?;
        let (tls, usual_port) = match uri.scheme_str() {
            Some("https") => (true, 443),
            Some("http") => (false, 80),
            _ => return Err(EXPECTED),
        };
        let authority = uri.authority().ok_or(EXPECTED)?;
        if authority.as_str().contains('@') {
            return Err("must not hold a user name: the client signs in with its own account");
        }
        if !matches!(uri.path(), "" | "/") || uri.query().is_some() {
            return Err("must end behind the host and the port: the paths are known");
        }
        let host = authority.host();
        let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
        let rest = authority.as_str().strip_prefix(host).ok_or(EXPECTED)?;
        let port = match rest.strip_prefix(':') {
            None if rest.is_empty() => usual_port,
            Some(port) => port.parse().ok().filter(|port| *port > 0).ok_or(EXPECTED)?,
            None => return Err(EXPECTED),
        };
        if host.is_empty() {
            return Err(EXPECTED);
        }
        Ok(Self {
            tls,
            host: bare.unwrap_or(host).to_owned(),
            port,
        })
    }
}

impl<'de> Deserialize<'de> for Url {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}

/// What section and flags come to. `server` is the host of the control connection.
pub(super) fn config(
    flags: &Flags,
    file: &RequestsFile,
    tls_file: Option<&TlsFile>,
    server: &str,
    origin: &Origin,
    warnings: &mut Vec<String>,
) -> Result<RequestsConfig, ConfigError> {
    let Url { tls, host, port } = file.url.clone();
    let tls = if tls {
        Some(tls_config(flags, file, tls_file, server, origin, warnings)?)
    } else {
        if !is_loopback(&host) {
            if !file.plain {
                let message = "http sends the password through the network in clear text";
                let hint = "use https://; if the way to the server is safe, add \"plain\": true";
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

/// As for the control connection, where the section has no key of its own.
fn tls_config(
    flags: &Flags,
    file: &RequestsFile,
    tls_file: Option<&TlsFile>,
    server: &str,
    origin: &Origin,
    warnings: &mut Vec<String>,
) -> Result<super::TlsConfig, ConfigError> {
    let (trust, key) = match (&file.fingerprint, &file.ca_file, file.verify) {
        (Some(pin), _, _) => (Trust::Fingerprint(*pin), "requests.fingerprint"),
        (None, Some(ca), _) => (Trust::CaFile(origin.relative(ca)), "requests.caFile"),
        (None, None, Some(true)) => (Trust::System, "requests.verify"),
        (None, None, Some(false)) => (Trust::Anyone, "requests.verify"),
        (None, None, None) => tls::trust(flags, tls_file, origin),
    };
    if matches!(trust, Trust::Anyone) {
        warnings.push(format!(
            "{}: requests: anyone between client and web interface can read the password and send \
             requests; set requests.fingerprint or requests.caFile",
            origin.shown()
        ));
    }
    let host = &file.url.host;
    // One host has one name, whichever port is asked.
    let is_same_host = host.eq_ignore_ascii_case(&ascii_host(server));
    let of_server = || {
        let in_file = tls_file.and_then(|tls| tls.server_name.as_ref());
        flags
            .server_name
            .as_ref()
            .or(in_file)
            .filter(|_| is_same_host)
    };
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
        None => Identity::find(flags, tls_file, origin)?,
    };
    tls::with_trust(name, &trust, key, identity.as_ref(), origin)
}

fn one_or_more<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    deserializer.deserialize_any(OneOrMore(PhantomData))
}

fn some_or_more<'de, D, T>(deserializer: D) -> Result<Option<Vec<T>>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    one_or_more(deserializer).map(Some)
}

/// One value, or a list of values; an error has the place of its item.
struct OneOrMore<T>(PhantomData<T>);

impl<T> OneOrMore<T> {
    fn one<'de, E, V>(value: V) -> Result<Vec<T>, E>
    where
        T: Deserialize<'de>,
        E: serde::de::Error,
        V: IntoDeserializer<'de, E>,
    {
        Ok(vec![T::deserialize(value.into_deserializer())?])
    }
}

impl<'de, T: Deserialize<'de>> Visitor<'de> for OneOrMore<T> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value or a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Vec<T>, A::Error> {
        let mut all = Vec::new();
        while let Some(item) = items.next_element()? {
            all.push(item);
        }
        Ok(all)
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Vec<T>, E> {
        Self::one(text)
    }

    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Vec<T>, E> {
        Self::one(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_of_a_web_interface_is_read() {
        for (text, expected) in [
            (
                "https://example.org:8443",
                Some((true, "example.org", 8443)),
            ),
            ("https://example.org/", Some((true, "example.org", 443))),
            ("http://127.0.0.1:8080", Some((false, "127.0.0.1", 8080))),
            ("http://[::1]:8080/", Some((false, "::1", 8080))),
            ("http://localhost", Some((false, "localhost", 80))),
            (
                "https://b\u{fc}cher.example",
                Some((true, "xn--bcher-kva.example", 443)),
            ),
            ("", None),
            ("example.org:8443", None),
            ("ftp://example.org", None),
            ("https://", None),
            ("https://:8443", None),
            ("https://h:0", None),
            ("https://h:65536", None),
            ("https://h:", None),
            ("https://alice:secret@h", None),
            ("https://h/api", None),
            ("https://h/?a=b", None),
            ("https://h\n", None),
        ] {
            let url = text.parse::<Url>();
            let url = url.as_ref().ok();
            let read = url.map(|url| (url.tls, url.host.as_str(), url.port));
            assert_eq!(read, expected, "{text}");
        }
        let error = "https://alice:secret@h".parse::<Url>().unwrap_err();
        assert!(!error.contains("secret"), "{error}");
    }
}
