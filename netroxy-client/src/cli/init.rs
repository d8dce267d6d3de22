//! `netroxy-client init`: writes a first configuration file.

use std::io::{self, Write};
#[cfg(unix)]
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

use clap::Args;
use netroxy_net::new_files::{NewFile, NewFiles, none_exists, shell_word, socket_path};
use netroxy_net::program::Failure;
use netroxy_net::tls::Fingerprint;
use netroxy_proto::Username;
use serde_json::{Value, json};

use crate::config::flags::{self, Flags};
use crate::config::password;
use crate::config::sources::{Sources, USUAL_FILE};
use crate::{Config, MapFlag, ServerFlag};

/// The arguments of `init`. None is an environment variable too, so the file contains only what was typed.
#[derive(Debug, Args)]
pub(super) struct Init {
    /// The server, as 'netroxy-server init' prints it
    #[arg(long, value_name = "HOST:PORT")]
    server: ServerFlag,

    /// User name of the login
    #[arg(long, value_name = "NAME", value_parser = flags::username)]
    user: Username,

    /// SHA-256 fingerprint of the server's certificate; no other certificate is trusted
    #[arg(long, value_name = "HEX")]
    fingerprint: Fingerprint,

    /// Make a service reachable on a port of the server: REMOTE=HOST:PORT, or REMOTE=PORT for this
    /// machine; may be given several times
    #[arg(long, value_name = "REMOTE=HOST:PORT", required = true)]
    map: Vec<MapFlag>,

    /// File that contains the password; without it, the password is taken from NETROXY_PASSWORD or the
    /// terminal
    #[arg(long, value_name = "PATH")]
    password_file: Option<PathBuf>,

    /// Folder to write to; it is created if it does not exist
    #[arg(long, value_name = "DIR", default_value = ".")]
    dir: PathBuf,
}

const EXPLAINED: &str = "client_config.txt";

/// `--config` may stand after every command.
pub(super) fn takes_no_config() -> Failure {
    let text = format!("init writes {USUAL_FILE} to the folder of --dir");
    Failure::usage(text).hint("leave out --config, and unset NETROXY_CLIENT_CONFIG")
}

impl Init {
    pub(super) fn run(&self, given: &Flags) -> Result<(), Failure> {
        none_exists(&self.dir, [EXPLAINED, USUAL_FILE])?;
        let flags = Flags {
            server: Some(self.server.clone()),
            user: Some(self.user.clone()),
            fingerprint: Some(self.fingerprint),
            map: self.map.clone(),
            password_file: self.password_file.clone(),
            control_socket: given.control_socket.clone(),
            ..Flags::default()
        };
        // The file has the configuration with which a client with these flags would start.
        let sources = Sources::new(None, flags, Some(password::from_terminal));
        let (config, warnings) = sources.load()?;
        for warning in warnings {
            let _ = writeln!(io::stderr(), "warning: {warning}");
        }
        let file = |name, text, is_secret| NewFile {
            name,
            text,
            is_secret,
        };
        let files = NewFiles::create(
            &self.dir,
            &[
                file(EXPLAINED, EXPLANATION.to_owned(), false),
                file(USUAL_FILE, self.configuration(&config)?, true),
            ],
        )?;
        io::stdout()
            .write_all(self.told(&config).as_bytes())
            .and_then(|()| io::stdout().flush())
            .map_err(Failure::runtime)?;
        files.keep();
        Ok(())
    }

    fn configuration(&self, config: &Config) -> Result<String, Failure> {
        let text = |bytes: &[u8], what: &str| {
            String::from_utf8(bytes.to_vec()).map_err(|_| {
                Failure::usage(format!(
                    "{what} is not UTF-8, but a configuration file has to be UTF-8"
                ))
            })
        };
        let connections: Vec<_> = self.map.iter().filter_map(connection).collect();
        #[cfg_attr(not(unix), expect(unused_mut, reason = "only Unix has the socket"))]
        let mut file = json!({
            "ip": self.server.host,
            "port": self.server.port,
            "tls": {"enabled": true, "fingerprint": self.fingerprint.to_string()},
            "username": text(self.user.as_bytes(), "the user name")?,
            "password": text(config.password.expose(), "the password")?,
            "connections": connections,
        });
        #[cfg(unix)]
        {
            // The path of a flag is relative to the current folder, the path of a key to the folder of the file.
            let socket = match &config.control_socket {
                None => socket_path(&self.dir, "netroxy-client", "client.sock"),
                Some(path) => std::path::absolute(path).map_err(Failure::runtime)?,
            };
            file["controlSocket"] = text(socket.as_os_str().as_bytes(), "--control-socket")?.into();
        }
        Ok(in_order(&file))
    }

    /// The text with the next commands.
    fn told(&self, config: &Config) -> String {
        let host = &config.server.host;
        let shown = if host.contains(':') {
            format!("[{host}]")
        } else {
            host.clone()
        };
        let path = self.dir.join(USUAL_FILE).display().to_string();
        let lines: Vec<_> = config
            .services
            .iter()
            .map(|service| {
                format!(
                    "    tcp://{shown}:{} -> {}\n",
                    service.remote_port,
                    service.target()
                )
            })
            .collect();
        format!(
            "Wrote {USUAL_FILE} to {}; {EXPLAINED} explains it. The file holds the password, so you \
             alone can read it.\n\
             \n\
             Start the client:\n\
             \n\
             \x20   netroxy-client --config {}\n\
             \n\
             When the server listens, the client prints the addresses for users:\n\
             \n\
             {}{}",
            self.dir.display(),
            shell_word(&path),
            lines.concat(),
            ask(&path),
        )
    }
}

/// The command that shows the state of the running client.
#[cfg(unix)]
fn ask(path: &str) -> String {
    let path = shell_word(path);
    format!(
        "\nShow the state of the running client:\n\n\
         \x20   netroxy-client status --config {path}\n"
    )
}

#[cfg(not(unix))]
fn ask(_: &str) -> String {
    String::new()
}

/// A mapping as an entry of the file. A range stays one entry.
fn connection(map: &MapFlag) -> Option<Value> {
    let (first, last) = (map.0.first()?, map.0.last()?);
    let ports = |first: u16, last: u16| {
        if first == last {
            json!(first)
        } else {
            json!(format!("{first}-{last}"))
        }
    };
    Some(json!({
        "ip": first.host,
        "port": ports(first.port, last.port),
        "remotePort": ports(first.remote_port.get(), last.remote_port.get()),
        "isOpen": true,
    }))
}

const KEYS: [&str; 7] = [
    "ip",
    "port",
    "tls",
    "username",
    "password",
    "connections",
    "controlSocket",
];

/// The file with its keys in the order of [`KEYS`], and each mapping on a line of its own.
fn in_order(file: &Value) -> String {
    let lines: Vec<_> = KEYS
        .iter()
        .filter(|key| file.get(**key).is_some())
        .map(|key| match file[*key].as_array() {
            None => format!("    \"{key}\": {}", file[*key]),
            Some(all) => {
                let all: Vec<_> = all.iter().map(|one| format!("        {one}")).collect();
                format!("    \"{key}\": [\n{}\n    ]", all.join(",\n"))
            }
        })
        .collect();
    format!("{{\n{}\n}}\n", lines.join(",\n"))
}

/// The text of [`EXPLAINED`]: JSON has no comments.
const EXPLANATION: &str = r#"The keys of client_config.json

"ip", "port"   The server.
"tls"          The client uses TLS, and trusts only the certificate with this fingerprint. If the server gets another
               certificate, put its fingerprint here.
"username", "password"
               The account on the server. The password is not encrypted: protect the file.
"connections"  The mappings. "ip" and "port" are the service, as this machine reaches it. "remotePort" is the port on
               the server to which users connect. "isOpen" says whether users are accepted. Ranges are in quotes:
               "port": "20000-20009" with "remotePort": "10000-10009" are ten mappings.
"controlSocket"
               The socket at which 'netroxy-client status' and 'netroxy-client map' reach the running client. Systems
               other than Unix have none.

After a change, check the file, and let the running client read it again:

    netroxy-client check-config client_config.json
    kill -HUP PID

The page docs/configuration.md of the project describes all keys.
"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_of_the_file_is_explained() {
        for key in KEYS {
            assert!(EXPLANATION.contains(&format!("\"{key}\"")), "{key}");
        }
    }

    #[test]
    fn a_range_stays_one_entry_and_a_text_keeps_its_quotes() {
        let maps = ["10003=[::1]:22", "10010-10011=h:80-81"];
        let maps = maps.map(|text| connection(&text.parse().unwrap()).unwrap());
        let file = json!({"password": "a\"b", "connections": maps});
        let text = in_order(&file);
        let read: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(read["password"], "a\"b");
        assert_eq!(
            read["connections"],
            json!([
                {"ip": "::1", "port": 22, "remotePort": 10_003, "isOpen": true},
                {"ip": "h", "port": "80-81", "remotePort": "10010-10011", "isOpen": true},
            ])
        );
    }
}
