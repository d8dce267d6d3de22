//! Commands that are printed so that a user can run them again.
//!
//! A command that names no subject judges the embedded reference, which passes. So each printed command is complete: it
//! has the variables that a manifest reads and all flags that change the verdict. Every word is quoted for a shell.

use std::fmt;

use crate::shell::quoted;
use crate::sut::Subject;

/// A command line of this program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Again {
    /// The assignments of variables before the name of the program.
    variables: Vec<String>,
    /// The words after the name of the program, quoted.
    words: Vec<String>,
}

impl Again {
    /// A command of this program with these words.
    pub fn new<'a>(words: impl IntoIterator<Item = &'a str>) -> Self {
        Self {
            variables: Vec::new(),
            words: words.into_iter().map(quoted).collect(),
        }
    }

    /// Adds a word.
    pub fn word(mut self, word: &str) -> Self {
        self.words.push(quoted(word));
        self
    }

    /// Adds a flag and its value.
    pub fn flag(self, flag: &str, value: &str) -> Self {
        self.word(flag).word(value)
    }

    /// Adds the variables and flags that select a subject.
    pub fn subject(self, subject: &Subject) -> Self {
        let mut again = self.variables(subject);
        again.words.push(subject.arguments());
        again
    }

    /// Adds the variables that the manifests of a subject read.
    pub fn variables(mut self, subject: &Subject) -> Self {
        for variable in subject.variables() {
            if !self.variables.contains(&variable) {
                self.variables.push(variable);
            }
        }
        self
    }
}

impl fmt::Display for Again {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for variable in &self.variables {
            write!(f, "{variable} ")?;
        }
        write!(f, "netroxy-conformance {}", self.words.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use netroxy_specification::notation::ast::Side;

    use super::*;
    use crate::embedded::NoPeers;
    use crate::manifest::Manifest;
    use crate::peers;
    use crate::sut::Running;

    /// The variables and words that a shell reads from the command, and the error output of the shell.
    fn read(again: &Again, environment: &[(&str, &str)]) -> (Vec<String>, String) {
        // Some shells allow no hyphen in the name of a function.
        let script = format!(
            "judge() {{ printf '%s\\n' \"TOKEN=$TOKEN PEER=$PEER\" \"$@\"; }}\n{}",
            again.to_string().replace("netroxy-conformance", "judge")
        );
        let output = Command::new("sh")
            .args(["-c", &script])
            .env_remove("NETROXY_PASS")
            .envs(environment.iter().copied())
            .output()
            .unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        let words = text(output.stdout);
        (
            words.lines().map(str::to_owned).collect(),
            text(output.stderr),
        )
    }

    #[test]
    fn a_shell_reads_exactly_the_given_words() {
        let words = ["run", "a b", "it's", "$HOME", "", "*", "ü`x`\"\\"];
        let (read, _) = read(&Again::new(words), &[]);
        assert_eq!(read[1..], words);
    }

    #[test]
    fn the_command_for_a_running_server_does_not_contain_its_password() {
        let running = Subject::Running(Running {
            plain: "127.0.0.1:1".parse().unwrap(),
            tls: Some("[::1]:2".parse().unwrap()),
            username: "a b".to_owned(),
            password: "secret".to_owned(),
        });
        let again = Again::new(["run", "server"]).subject(&running);
        assert!(!again.to_string().contains("secret"), "{again}");
        let (words, _) = read(&again, &[("NETROXY_PASS", "s'e")]);
        let flags = [
            "--addr",
            "127.0.0.1:1",
            "--tls-addr",
            "[::1]:2",
            "--user",
            "a b",
            "--pass",
            "s'e",
        ];
        assert_eq!(words[1..3], ["run", "server"]);
        assert_eq!(words[3..], flags);
        let (words, why) = read(&again, &[]);
        assert!(words.is_empty() && why.contains("NETROXY_PASS"), "{why}");
    }

    #[test]
    fn the_command_begins_with_the_variables_of_the_manifest() {
        let text = r#"{"name":"x","role":"server","launch":{"command":["{{env:PEER}}","{{env:TOKEN}}{{env:PEER}}"]}}"#;
        let env = |name: &str| Some(if name == "PEER" { "sh" } else { "hush" }.to_owned());
        let manifest = Manifest::parse(
            "my server.json",
            text,
            std::path::Path::new("."),
            &env,
            &NoPeers,
        );
        let server = manifest.unwrap();
        let again = Again::new(["run"]).subject(&Subject::Started(server.clone()));
        assert!(!again.to_string().contains("hush"), "{again}");
        let (words, _) = read(&again, &[("TOKEN", "t o")]);
        assert_eq!(
            words,
            ["TOKEN=t o PEER=sh", "run", "--sut", "my server.json"]
        );
        let (words, why) = read(&again, &[]);
        assert!(words.is_empty() && why.contains("TOKEN"), "{why}");
        let client = peers::reference(Side::Client).unwrap();
        let pair = Again::new(["run", "pair"]).subject(&Subject::Pair(Box::new((server, client))));
        let (words, _) = read(&pair, &[("TOKEN", "t")]);
        assert_eq!(words[0], "TOKEN=t PEER=sh");
        assert_eq!(
            words[3..],
            ["--server", "my server.json", "--client", "reference-client"]
        );
    }
}
