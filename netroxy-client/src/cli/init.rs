//! `netroxy-client init`: a first configuration file.

#[cfg(unix)]
use std::os::unix::ffi::OsStrExt as _;
use std::{
    io::{self, Write},
    path::PathBuf,
};

use clap::Args;
use netroxy_net::{
    new_files::{NewFile, NewFiles, none_exists, shell_word, socket_path},
    program::Failure,
    tls::Fingerprint,
};
use netroxy_proto::Username;
use serde_json::{Value, json};

use crate::{
    Config, MapFlag, ServerFlag,
    config::{
        flags::{self, Flags},
        password,
        sources::{Sources, USUAL_FILE},
    },
};

/// The arguments of `init`. None is a variable too: what is written down is what was typed.
#[derive(Debug, Args)]
pub(super) struct Init {
    /// The server, as 'netroxy-server init' tells it
    #[arg(long, value_name = "HOST:PORT")]
    server: ServerFlag,

    /// User name of the login
    #[arg(long, value_name = "NAME", value_parser = flags::username)]
    user: Username,

    /// SHA-256 fingerprint of the server's certificate: no other one is trusted
    #[arg(long, value_name = "HEX")]
    fingerprint: Fingerprint,

    /// Make a service reachable on a port of the server: REMOTE=HOST:PORT, or REMOTE=PORT for this
    /// machine; may be given several times
    #[arg(long, value_name = "REMOTE=HOST:PORT", required = true)]
    map: Vec<MapFlag>,

    /// File that holds the password; else NETROXY_PASSWORD, or a question on the terminal
    #[arg(long, value_name = "PATH")]
    password_file: Option<PathBuf>,

    /// Folder to write to; it is made if there is none
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
        // What is written is what a client with these flags would start with.
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
                Failure::usage(format!("{what} is not in UTF-8, which a file has to be"))
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
            // A flag is relative to the current folder, a key to that of the file.
            let socket = match &config.control_socket {
                None => socket_path(&self.dir, "netroxy-client", "client.sock"),
                Some(path) => std::path::absolute(path).map_err(Failure::runtime)?,
            };
            file["controlSocket"] = text(socket.as_os_str().as_bytes(), "--control-socket")?.into();
        }
        Ok(in_order(&file))
    }

    /// What to do next.
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
             When the server listens, the client says where users connect:\n\
             \n\
             {}{}",
            self.dir.display(),
            shell_word(&path),
            lines.concat(),
            ask(&path),
        )
    }
}

/// How to look at the client that runs.
#[cfg(unix)]
fn ask(path: &str) -> String {
    let path = shell_word(path);
    format!(
        "\nLook at it while it runs:\n\n\
         \x20   netroxy-client status --config {path}\n"
    )
}

#[cfg(not(unix))]
fn ask(_: &str) -> String {
    String::new()
}

/// A mapping as the file has it: a range stays one entry.
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

/// The keys in the order in which people read them, each mapping on a line of its own.
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

/// JSON has no comments, so they stand beside it.
const EXPLANATION: &str = r#"What client_config.json says

"ip", "port"   The server.
"tls"          The client speaks TLS, and trusts only the certificate with this fingerprint. If the server gets another
               certificate, put its fingerprint here.
"username", "password"
               The account on the server. The password stands here as it is: keep the file to yourself.
"connections"  The mappings. "ip" and "port" are the service, as this machine reaches it. "remotePort" is the port on
               the server at which users connect. "isOpen" says whether users are let through. Ranges stand in
               quotes: "port": "20000-20009" with "remotePort": "10000-10009" are ten mappings.
"controlSocket"
               'netroxy-client status' and 'netroxy-client map' ask the running client at this file. Systems other than
               Unix have none.

After a change, look for mistakes, and let the running client read the file again:

    netroxy-client check-config client_config.json
    kill -HUP PID

The page docs/configuration.md of the project tells all keys.
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
