//! `netroxy-server init`: a first configuration that is safe without changes.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;
use netroxy_net::new_files::{NewFile, NewFiles, shell_word, socket_path};
use netroxy_net::program::Failure;

use crate::accounts;
use crate::gen_cert::{CERT, KEY, SelfSigned};

/// The arguments of `init`.
#[derive(Debug, Args)]
pub(crate) struct Init {
    /// Folder to write to; it is created if it does not exist
    #[arg(long, value_name = "DIR", default_value = ".")]
    dir: PathBuf,

    /// Port for clients, with TLS only
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u16).range(1..))]
    port: u16,

    /// Name or IP address by which clients reach this server
    #[arg(long, value_name = "NAME", default_value = LOCALHOST)]
    host: String,
}

const LOCALHOST: &str = "localhost";
pub(crate) const CONFIG: &str = "server_config.json";
const EXPLAINED: &str = "server_config.txt";
const USER: &str = "client";

/// The error of `--config`, a flag that every command accepts.
pub(crate) fn takes_no_config() -> Failure {
    Failure::usage(format!("init writes {CONFIG} to the folder of --dir"))
        .hint("leave out --config")
}

impl Init {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        if self.host.starts_with('*') {
            return Err(
                Failure::usage("--host takes the name of one server, not a wildcard")
                    .hint("'netroxy-server gen-cert' makes a certificate for a wildcard"),
            );
        }
        let made = SelfSigned::new(std::slice::from_ref(&self.host))?;
        let password = random_password().map_err(Failure::runtime)?;
        let hash = accounts::hash(password.as_bytes()).map_err(Failure::runtime)?;
        let file = |name, text, is_secret| NewFile {
            name,
            text,
            is_secret,
        };
        let fingerprint = made.fingerprint.to_string();
        // The configuration is written last: when it exists, the files that it names exist, too.
        let files = NewFiles::create(
            &self.dir,
            &[
                file(KEY, made.key, true),
                file(CERT, made.cert, false),
                file(EXPLAINED, explained(self.port, &fingerprint), false),
                file(CONFIG, self.configuration(&hash), true),
            ],
        )?;
        // Without the password the files are useless, so they are removed if it cannot be written.
        io::stdout()
            .write_all(self.instructions(&fingerprint, &password).as_bytes())
            .and_then(|()| io::stdout().flush())
            .map_err(Failure::runtime)?;
        files.keep();
        Ok(())
    }

    fn configuration(&self, hash: &str) -> String {
        let socket = socket_path(&self.dir, "netroxy-server", "server.sock");
        format!(
            r#"{{
    "ip": "0.0.0.0",
    "tls": {{"enabled": true, "port": {}, "ca": "{CERT}", "key": "{KEY}"}},
    "users": [
        {{"username": "{USER}", "passwordHash": "{hash}"}}
    ],
    "timeout": 100,
    "mappingIp": "0.0.0.0",
    "allowedPorts": "10000-19999",
    "controlSocket": "{}"
}}
"#,
            self.port,
            socket.display()
        )
    }

    /// The text that says what to do next.
    fn instructions(&self, fingerprint: &str, password: &str) -> String {
        let Self { dir, port, host } = self;
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let server = if bare.contains(':') {
            format!("[{bare}]:{port}")
        } else {
            format!("{bare}:{port}")
        };
        let server = shell_word(&server);
        let config = dir.join(CONFIG).display().to_string();
        let elsewhere = if host == LOCALHOST {
            "localhost means the same machine. For clients on other machines, replace it by the name or \
             address\nof this machine.\n"
        } else {
            ""
        };
        format!(
            "Wrote {CONFIG}, {CERT} and {KEY} to {}; {EXPLAINED} explains them.\n\
             \n\
             Start the server:\n\
             \n\
             \x20   netroxy-server --config {}\n\
             \n\
             On the machine of a service, here a remote desktop at port 3389, start a client:\n\
             \n\
             \x20   netroxy-client --server {server} --user {USER} --fingerprint {fingerprint} --map \
             10003=127.0.0.1:3389\n\
             \n\
             {elsewhere}\
             The client asks for this password. It is shown only now:\n\
             \n\
             \x20   {password}\n\
             \n\
             'netroxy-client init' with the same flags writes them to a file.\n\
             \n\
             Show the state of the running server:\n\
             \n\
             \x20   netroxy-server status --config {}\n",
            dir.display(),
            shell_word(&config),
            shell_word(&config),
        )
    }
}

/// A password of 120 random bits, in letters that are easy to read out and to type.
fn random_password() -> Result<String, getrandom::Error> {
    /// 32 letters and digits, without l, o, 0 and 1.
    const LETTERS: [u8; 32] = *b"abcdefghijkmnpqrstuvwxyz23456789";
    let mut bytes = [0; 24];
    getrandom::fill(&mut bytes)?;
    let mut password = String::new();
    for (at, byte) in bytes.into_iter().enumerate() {
        if at > 0 && at % 6 == 0 {
            password.push('-');
        }
        password.extend(LETTERS.get(usize::from(byte % 32)).copied().map(char::from));
    }
    Ok(password)
}

/// The explanation of the configuration, in a file of its own because JSON has no comments.
fn explained(port: u16, fingerprint: &str) -> String {
    format!(
        r#"What {CONFIG} says

"ip"            Clients connect to this address. 0.0.0.0 means all addresses of this machine, IPv6 too.
"tls"           Clients connect to port {port}, with TLS only. {CERT} is the certificate and {KEY} its private
                key. There is no port without TLS: a key "port" beside "tls" would open one, and passwords
                would cross the network in clear text.
"users"         The accounts. "{USER}" is the first one. The file holds the hash of its password. The password
                itself was shown once, when this file was written. For a new password or one more account,
                'netroxy-server hash-password' makes a hash.
"timeout"       A client that sends no message for so many seconds is logged out.
"mappingIp"     Users connect to this address. 0.0.0.0 means all addresses.
"allowedPorts"  Clients may open these ports for users, and no others. "443, 10000-19999" allows 443 too.
"controlSocket" 'netroxy-server status' connects to the running server by this socket.

Clients recognize the server by the fingerprint of its certificate:

    {fingerprint}

After a change, check the file, and let the running server read it again:

    netroxy-server check-config {CONFIG}
    kill -HUP PID

The page docs/configuration.md of the project lists all keys, and says how to run the server with systemd.
"#
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn passwords_differ_and_have_only_clear_letters() {
        let one = random_password().unwrap();
        assert_ne!(one, random_password().unwrap());
        let parts: Vec<_> = one.split('-').collect();
        assert_eq!(parts.len(), 4);
        for part in parts {
            assert_eq!(part.len(), 6);
            let is_clear = |c: char| c.is_ascii_lowercase() || ('2'..='9').contains(&c);
            assert!(part.chars().all(is_clear), "{one}");
            assert!(!part.contains(['l', 'o']), "{one}");
        }
    }

    #[test]
    fn every_key_of_the_file_is_explained_and_no_other() {
        let init = Init {
            dir: "/etc/netroxy".into(),
            port: 1,
            host: LOCALHOST.to_owned(),
        };
        let file: serde_json::Value = serde_json::from_str(&init.configuration("x")).unwrap();
        assert_eq!(file["controlSocket"], "/run/netroxy-server/server.sock");
        let keys: BTreeSet<_> = file.as_object().unwrap().keys().cloned().collect();
        let text = explained(1, "x");
        let told = text.lines().filter_map(|line| line.strip_prefix('"'));
        let told = told.map(|line| line.split('"').next().unwrap().to_owned());
        assert_eq!(told.collect::<BTreeSet<_>>(), keys);
    }
}
