//! The name of a client without a configured name.
//!
//! A server frees the ports of an older login when a client with the same name logs in. So the name stays the same
//! after a restart or a power loss, and differs between clients that may run at the same time.

use std::fs;
use std::path::Path;

use netroxy_proto::{ClientName, Username};
use ring::digest::{Context, SHA256};

use super::types::Service;

/// What the name is made of.
#[derive(Debug, Clone, Copy)]
pub(super) struct Identity<'a> {
    pub(super) host_name: &'a str,
    pub(super) machine_id: Option<&'a str>,
    pub(super) server: (&'a str, u16),
    pub(super) username: &'a Username,
    /// The absolute path of the configuration file, if there is one.
    pub(super) file: Option<&'a Path>,
    /// The services of `--map`.
    pub(super) services: &'a [Service],
}

impl Identity<'_> {
    /// The name of the host, and 16 hex digits of a SHA-256. The id of the machine is 128 random bits, so it cannot be
    /// computed from the name.
    pub(super) fn name(&self) -> ClientName {
        let mut context = Context::new(&SHA256);
        // The length in front separates the parts.
        let mut add = |part: &[u8]| {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        };
        add(b"netroxy client name");
        add(self.machine_id.unwrap_or_default().as_bytes());
        add(self.host_name.as_bytes());
        add(self.server.0.as_bytes());
        add(&self.server.1.to_be_bytes());
        add(self.username.as_bytes());
        add(self
            .file
            .map_or(&b""[..], |path| path.as_os_str().as_encoded_bytes()));
        let mut services: Vec<_> = self.services.iter().collect();
        services.sort_by_key(|service| service.remote_port);
        for service in services {
            add(&service.remote_port.get().to_be_bytes());
            add(service.target().as_bytes());
        }
        let digest = context.finish();
        let digits: String = digest
            .as_ref()
            .iter()
            .take(8)
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let name = format!("{}-{digits}", self.host_name.replace('\n', ""));
        ClientName::try_from(name.as_bytes()).unwrap_or_else(|_| ClientName::empty())
    }
}

/// The id that the system got at its installation, if there is one.
pub(super) fn machine_id() -> Option<String> {
    ["/etc/machine-id", "/var/lib/dbus/machine-id"]
        .iter()
        .filter_map(|path| fs::read_to_string(path).ok())
        .map(|text| text.trim().to_owned())
        // systemd writes this before the first start of an image.
        .find(|id| !id.is_empty() && id != "uninitialized")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(remote_port: i64, port: u16) -> Service {
        Service {
            remote_port: remote_port.try_into().unwrap(),
            host: "t".to_owned(),
            port,
            is_open: true,
        }
    }

    #[test]
    fn each_part_changes_the_name_and_the_order_of_services_does_not() {
        let (one, two) = ([service(1, 80), service(2, 81)], [service(1, 80)]);
        let swapped = [service(2, 81), service(1, 80)];
        let users = ["u", "v"].map(|name| Username::try_from(name.to_owned()).unwrap());
        let [first_user, second_user] = &users;
        let base = Identity {
            host_name: "host",
            machine_id: Some("0123"),
            server: ("server", 10_000),
            username: first_user,
            file: Some(Path::new("/a/client.json")),
            services: &one,
        };
        let name = base.name();
        assert!(name.to_string().starts_with("host-"), "{name}");
        assert_eq!(name.to_string().len(), "host-".len() + 16, "{name}");
        let again = Identity {
            services: &swapped,
            ..base
        };
        assert_eq!(again.name(), name);

        let path = Path::new("/b/client.json");
        let others = [
            Identity {
                host_name: "other",
                ..base
            },
            Identity {
                machine_id: Some("0124"),
                ..base
            },
            Identity {
                machine_id: None,
                ..base
            },
            Identity {
                server: ("server2", 10_000),
                ..base
            },
            Identity {
                server: ("server", 10_001),
                ..base
            },
            Identity {
                username: second_user,
                ..base
            },
            Identity {
                file: Some(path),
                ..base
            },
            Identity { file: None, ..base },
            Identity {
                services: &two,
                ..base
            },
        ];
        let mut names: Vec<_> = others.iter().map(Identity::name).collect();
        names.push(name);
        let count = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), count, "{names:?}");
    }

    #[test]
    fn the_id_of_the_machine_is_not_in_the_name() {
        let username = Username::empty();
        let identity = Identity {
            host_name: "host",
            machine_id: Some("0123456789abcdef0123456789abcdef"),
            server: ("s", 1),
            username: &username,
            file: None,
            services: &[],
        };
        let name = identity.name().to_string();
        assert!(!name.contains("01234567"), "{name}");
        assert!(!name.contains("89abcdef"), "{name}");
    }
}
