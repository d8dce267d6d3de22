//! Which requests are allowed.

use std::net::SocketAddr;

use netroxy_net::networks::is_of_one_host;
use netroxy_proto::RemotePort;

use crate::RequestsConfig;

impl RequestsConfig {
    /// Checks whether the client may join users of `remote_port` with `target`. There is no other check of a requested
    /// mapping. Returns the address to connect to in canonical form: `::ffff:10.0.0.1` becomes `10.0.0.1`.
    ///
    /// # Errors
    ///
    /// The reason that the user reads, if the mapping is not allowed.
    pub fn permit(
        &self,
        target: SocketAddr,
        remote_port: RemotePort,
    ) -> Result<SocketAddr, String> {
        let has_zone = matches!(target, SocketAddr::V6(six) if six.scope_id() != 0);
        let canonical = SocketAddr::new(target.ip().to_canonical(), target.port());
        let is_allowed = self.allow.iter().any(|allowed| {
            let mut ports = allowed.ports.iter();
            allowed.networks.contain(canonical.ip())
                && ports.any(|ports| ports.contains(canonical.port()))
        });
        if has_zone || !is_of_one_host(canonical.ip()) || !is_allowed {
            return Err(format!("the client does not allow the target {target}"));
        }
        let mut ports = self.remote_ports.iter().flatten();
        if self.remote_ports.is_some() && !ports.any(|ports| ports.contains(remote_port.get())) {
            return Err(format!(
                "the client does not allow the remote port {remote_port}"
            ));
        }
        Ok(canonical)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::{Accept, Allowed, ServerConfig};

    /// A configuration that allows these networks and ports.
    pub(crate) fn terms(allow: &[(&[&str], &str)], remote_ports: Option<&str>) -> RequestsConfig {
        let allowed = |(networks, ports): &(&[&str], &str)| Allowed {
            networks: networks.iter().map(|text| text.parse().unwrap()).collect(),
            ports: vec![ports.parse().unwrap()],
        };
        RequestsConfig {
            api: ServerConfig::plain(([127, 0, 0, 1], 1).into()),
            plain: false,
            accept: Accept::Auto,
            allow: allow.iter().map(allowed).collect(),
            remote_ports: remote_ports.map(|ports| vec![ports.parse().unwrap()]),
        }
    }

    #[test]
    fn a_target_is_permitted_if_one_entry_allows_its_address_and_its_port() {
        let terms = terms(
            &[
                (&["10.0.0.0/8", "2001:db8::/32"], "22, 8000-8010"),
                (&["127.0.0.1"], "80"),
                (&["0.0.0.0/8", "224.0.0.0/4", "::/128"], "1-65535"),
            ],
            Some("10000-10009"),
        );
        for (target, expected) in [
            ("10.0.0.1:22", Some("10.0.0.1:22")),
            ("10.255.0.1:8010", Some("10.255.0.1:8010")),
            ("[2001:db8::1]:22", Some("[2001:db8::1]:22")),
            ("127.0.0.1:80", Some("127.0.0.1:80")),
            ("[::ffff:10.0.0.1]:22", Some("10.0.0.1:22")),
            ("[::ffff:127.0.0.1]:80", Some("127.0.0.1:80")),
            // The port of one entry with the network of another.
            ("127.0.0.1:22", None),
            ("10.0.0.1:80", None),
            ("[::ffff:127.0.0.1]:22", None),
            ("[::ffff:192.168.0.1]:22", None),
            ("[::1]:80", None),
            ("11.0.0.1:22", None),
            ("10.0.0.1:23", None),
            ("10.0.0.1:0", None),
            // These lead to this machine, or to many machines.
            ("0.0.0.0:80", None),
            ("[::ffff:0.0.0.0]:80", None),
            ("[::]:80", None),
            ("224.0.0.1:80", None),
            ("[2001:db8::1%3]:22", None),
        ] {
            let addr = target.parse().unwrap();
            let permitted = terms.permit(addr, 10_000.try_into().unwrap()).ok();
            assert_eq!(permitted, expected.map(|e| e.parse().unwrap()), "{target}");
        }
        let target = "10.0.0.1:22".parse().unwrap();
        for (port, is_permitted) in [
            (9999, false),
            (10_000, true),
            (10_009, true),
            (10_010, false),
        ] {
            let permitted = terms.permit(target, port.try_into().unwrap());
            assert_eq!(permitted.is_ok(), is_permitted, "{port}");
        }
    }

    #[test]
    fn an_empty_list_allows_nothing_and_without_remote_ports_all_are_allowed() {
        let target = "10.0.0.1:22".parse().unwrap();
        let port = 1.try_into().unwrap();
        assert!(terms(&[], None).permit(target, port).is_err());
        assert!(terms(&[(&[], "22")], None).permit(target, port).is_err());
        assert!(
            terms(&[(&["10.0.0.1"], "22")], None)
                .permit(target, port)
                .is_ok()
        );
        let mut none = terms(&[(&["10.0.0.1"], "22")], None);
        none.remote_ports = Some(Vec::new());
        assert!(none.permit(target, port).is_err());
    }
}
