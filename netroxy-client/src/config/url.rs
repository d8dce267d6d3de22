//! The address of a web interface, as the key `requests.url` has it.

use hyper::Uri;
use netroxy_net::tls::ascii_host;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

/// The address of the web interface of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Url {
    pub(super) tls: bool,
    /// Without brackets.
    pub(super) host: String,
    pub(super) port: u16,
}

impl std::str::FromStr for Url {
    type Err = &'static str;

    // Errors do not repeat the text, because it may contain a password.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const EXPECTED: &str = "must be the address of the server's web interface, such as \
                                \"https://example.org:8443\"";
        // `Uri` accepts ASCII only, so the host is encoded first.
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
            return Err("must not contain a user name: the client signs in with its own account");
        }
        if !matches!(uri.path(), "" | "/") || uri.query().is_some() {
            return Err("must end after the host and the port: the client adds the paths");
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
