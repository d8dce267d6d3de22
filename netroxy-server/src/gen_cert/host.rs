//! The hosts for which a certificate can be made.

use std::net::IpAddr;

use netroxy_net::tls::ascii_host;
use rustls::pki_types::DnsName;

/// The error that a text is no host, with a hint for the operator.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NoHost {
    pub(super) message: String,
    pub(super) hint: String,
}

/// Reads a DNS name, which may begin with `*.`, or an IP address, whose brackets are removed.
pub(super) fn host(text: &str) -> Result<String, NoHost> {
    let bare = text.strip_prefix('[').and_then(|t| t.strip_suffix(']'));
    if let Ok(address) = bare.unwrap_or(text).parse::<IpAddr>() {
        return Ok(address.to_string());
    }
    let name = text.strip_prefix("*.").unwrap_or(text);
    if !name.ends_with('.') && DnsName::try_from(name).is_ok() {
        return Ok(text.to_owned());
    }
    Err(NoHost {
        message: format!(
            "--host {:?} is neither a DNS name nor an IP address",
            text.chars().take(64).collect::<String>()
        ),
        hint: hint(text),
    })
}

fn hint(text: &str) -> String {
    let take = "--host takes one DNS name or IP address";
    let after_scheme = text.split_once("://").map(|(_, rest)| rest);
    if let Some(rest) = after_scheme {
        let name = rest.split(['/', ':']).next().unwrap_or_default();
        return format!("{take}, not a URL: {name}");
    }
    if text.trim().is_empty() {
        return format!("{take}; without --host it is localhost");
    }
    if text.contains([',', ' ', ';']) {
        let each: Vec<_> = text
            .split([',', ' ', ';'])
            .filter(|part| !part.is_empty())
            .map(|part| format!("--host {part}"))
            .collect();
        return format!("{take}, and may be repeated: {}", each.join(" "));
    }
    if text.contains('%') {
        return format!("{take}; an address in a certificate has no zone (the part from % on)");
    }
    let ascii = ascii_host(text);
    if ascii != text {
        return format!("{take}, an international name in its ASCII form: {ascii}");
    }
    if let Some(name) = text.strip_suffix('.') {
        return format!("{take}, without a dot at its end: {name}");
    }
    if let Some((name, _)) = text.rsplit_once(':') {
        return format!("{take}, without a port: {name}");
    }
    take.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_addresses_are_accepted() {
        for (text, accepted) in [
            ("localhost", "localhost"),
            ("a_b.example.org", "a_b.example.org"),
            ("*.example.org", "*.example.org"),
            ("192.0.2.1", "192.0.2.1"),
            ("::1", "::1"),
            ("[::1]", "::1"),
            ("[2001:DB8::1]", "2001:db8::1"),
        ] {
            assert_eq!(host(text).as_deref(), Ok(accepted));
        }
    }

    #[test]
    fn anything_else_is_refused_with_a_hint() {
        for (text, hinted) in [
            ("", "without --host it is localhost"),
            (" ", "without --host it is localhost"),
            ("a,b", "may be repeated: --host a --host b"),
            ("a b", "may be repeated: --host a --host b"),
            ("https://example.org:10001/x", "not a URL: example.org"),
            ("example.org:10001", "without a port: example.org"),
            ("127.0.0.1:10001", "without a port: 127.0.0.1"),
            ("[::1]:10001", "without a port: [::1]"),
            ("fe80::1%eth0", "has no zone (the part from % on)"),
            ("b\u{fc}cher.example", "ASCII form: xn--bcher-kva.example"),
            ("example.org.", "without a dot at its end: example.org"),
            ("*.*.example", "--host takes one DNS name or IP address"),
            ("a/b", "--host takes one DNS name or IP address"),
        ] {
            let refused = host(text).unwrap_err();
            assert!(refused.hint.ends_with(hinted), "{text}: {}", refused.hint);
            assert!(refused.message.starts_with("--host \""));
        }
    }
}
