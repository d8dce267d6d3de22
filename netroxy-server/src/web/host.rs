//! The host names of the web interface.
//!
//! The name of a foreign page can be made to resolve to this server (DNS rebinding). Requests of that page
//! then reach this server under the foreign name, and are refused.

use std::net::{IpAddr, Ipv6Addr};

/// Whether `host`, as a request names it, is this server. `local` is the server's address of the connection,
/// `names` are the names of the configuration.
pub(super) fn is_own<'a>(
    host: &str,
    local: IpAddr,
    names: impl IntoIterator<Item = &'a String>,
) -> bool {
    let Some(name) = without_port(host) else {
        return false;
    };
    if let Some(ip) = address(name) {
        // DNS cannot change the meaning of an address.
        return ip.is_loopback()
            || ip == local
            || names.into_iter().any(|own| address(own) == Some(ip));
    }
    let name = name.strip_suffix('.').unwrap_or(name);
    name.eq_ignore_ascii_case("localhost")
        || names.into_iter().any(|own| own.eq_ignore_ascii_case(name))
}

/// The host before `:port`; `None` if the port is invalid.
fn without_port(host: &str) -> Option<&str> {
    let name_end = match host.strip_prefix('[') {
        Some(rest) => rest.find(']')? + 2,
        None => host.find(':').unwrap_or(host.len()),
    };
    let (name, port) = host.split_at_checked(name_end)?;
    let is_port = match port.strip_prefix(':') {
        Some(port) => port.parse::<u16>().is_ok(),
        None => port.is_empty(),
    };
    (is_port && !name.is_empty()).then_some(name)
}

fn address(text: &str) -> Option<IpAddr> {
    let v6 = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'));
    let ip = match v6 {
        Some(v6) => v6.parse::<Ipv6Addr>().ok()?.into(),
        None => text.parse::<IpAddr>().ok()?,
    };
    Some(ip.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_names_are_accepted_with_any_port_and_other_names_are_not() {
        let names = [
            "netroxy.example.org".to_owned(),
            "192.0.2.7".to_owned(),
            "2001:db8::7".to_owned(),
        ];
        let local = "10.0.0.1".parse().unwrap();
        for host in [
            "localhost",
            "LocalHost:8080",
            "127.0.0.1:8080",
            "127.8.9.1",
            "[::1]:8080",
            "[::1]",
            "10.0.0.1:80",
            "192.0.2.7",
            "[2001:db8::7]:1",
            "netroxy.EXAMPLE.org:443",
            "netroxy.example.org.",
            "[::ffff:10.0.0.1]",
        ] {
            assert!(is_own(host, local, &names), "{host}");
        }
        for host in [
            "",
            ":8080",
            "evil.example",
            "localhost.evil.example",
            "evil.example:8080",
            "127.0.0.1.evil.example",
            "10.0.0.2",
            "netroxy.example.org.evil",
            "localhost:port",
            "localhost:80:80",
            "[::1",
            "[::1]x",
            "[127.0.0.1]",
            "user@localhost",
            "localhost:99999",
            "é",
        ] {
            assert!(!is_own(host, local, &names), "{host}");
        }
    }
}
