//! The command of a manifest. Environment variables are filled in here, other placeholders when an instance starts.

use std::path::Path;

use netroxy_specification::notation::ast::Side;
use netroxy_specification::position::position;

use super::context::{Context, example};
use super::model::{ManifestError, Place, Variable};
use super::placeholder::{Cut, cut, lookup};
use super::word::{Piece, Word};
use crate::input::{Part, locate};

impl Context<'_> {
    /// The program with its absolute path, and its arguments.
    pub(super) fn command(self, words: &[String], role: Side) -> Result<Vec<Word>, ManifestError> {
        let mut command = Vec::new();
        for (index, written) in words.iter().enumerate() {
            let word = self.word(index, written, role)?;
            command.push(match index {
                0 => self.program(&word, written)?,
                _ => word,
            });
        }
        Ok(command)
    }

    /// The environment variables that the words name, each once.
    pub(super) fn variables(self, words: &[String]) -> Vec<Variable> {
        let mut found: Vec<Variable> = Vec::new();
        for (index, written) in words.iter().enumerate() {
            for piece in cut(written).unwrap_or_default() {
                let Cut::Placeholder(inside) = piece else {
                    continue;
                };
                let Some(name) = inside.strip_prefix("env:") else {
                    continue;
                };
                if found.iter().all(|known| known.name != name) {
                    found.push(Variable {
                        name: name.to_owned(),
                        program: (self.env)(name).filter(|_| index == 0),
                    });
                }
            }
        }
        found
    }

    fn word(self, index: usize, written: &str, role: Side) -> Result<Word, ManifestError> {
        let wrong = |message: &str, hint| Err(self.wrong_word(index, message, hint));
        let Some(pieces) = cut(written) else {
            return wrong("`{{` without `}}`", None);
        };
        let values = example(role);
        let mut word = Word {
            pieces: Vec::new(),
            shown: written.to_owned(),
        };
        for piece in pieces {
            let inside = match piece {
                Cut::Text(text) => {
                    word.pieces.push(Piece::Text(text.to_owned()));
                    continue;
                }
                Cut::Placeholder(inside) => inside,
            };
            if let Some(name) = inside.strip_prefix("env:") {
                let Some(value) = (self.env)(name).filter(|value| !value.is_empty()) else {
                    let message = format!("the environment variable {name} is not set");
                    let hint = format!(
                        "set it to the program that is to be judged: {name}=/path/to/program"
                    );
                    return wrong(&message, Some(hint));
                };
                word.pieces.push(Piece::Text(value));
                continue;
            }
            let name = inside.split(':').next().unwrap_or_default();
            if values.mappings.iter().any(|one| one.contains_key(name)) {
                let message = format!("`{name}` has a value for each mapping, a command only one");
                let hint = "write the mappings into a file of `files`: {\"each\": \"mapping\", \"item\": ...}";
                return wrong(&message, Some(hint.to_owned()));
            }
            if let Err(misfit) = lookup(inside, &values.common, inside, "") {
                return wrong(&misfit.message, None);
            }
            word.pieces.push(Piece::Placeholder(inside.to_owned()));
        }
        Ok(word)
    }

    /// The program runs in a directory of its own, so its path has to be absolute.
    fn program(self, word: &Word, written: &str) -> Result<Word, ManifestError> {
        let Some(program) = word.text() else {
            let hint = "the path of the program comes from the manifest or from {{env:NAME}}";
            let message = "is the program, and has a placeholder";
            return Err(self.wrong_word(0, message, Some(hint.to_owned())));
        };
        let named = |program: String| Word {
            pieces: vec![Piece::Text(program.clone())],
            shown: program,
        };
        if !program.contains('/') {
            return Ok(named(program));
        }
        // A path in the environment is relative to the current directory, a path in the manifest to its folder.
        let base = match written.contains("{{env:") {
            true => Path::new(""),
            false => self.folder,
        };
        let path = base.join(&program);
        let why = match std::fs::canonicalize(&path) {
            Ok(found) if found.is_file() => {
                let found = found.to_string_lossy().into_owned();
                return Ok(named(found));
            }
            Ok(_) => format!("{} is no file", path.display()),
            Err(error) => format!("cannot find {}: {error}", path.display()),
        };
        Err(self.wrong_word(0, &why, None))
    }

    fn wrong_word(self, index: usize, message: &str, hint: Option<String>) -> ManifestError {
        let path = [
            Part::Key("launch"),
            Part::Key("command"),
            Part::Index(index),
        ];
        ManifestError {
            file: self.file.to_owned(),
            place: Place {
                position: locate(self.text, &path).map(|at| position(self.text, at)),
                path: format!("launch.command[{index}]"),
            },
            message: message.to_owned(),
            hint,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Launch, Manifest};
    use super::*;
    use crate::embedded::NoPeers;

    fn command(role: &str, words: &str) -> Result<Vec<Word>, String> {
        let text =
            format!("{{\"name\":\"x\",\"role\":\"{role}\",\n\"launch\":{{\"command\":{words}}}}}");
        let env = |name: &str| (name == "BRACES").then(|| "{{port}}".to_owned());
        let manifest = Manifest::parse("x.json", &text, Path::new("."), &env, &NoPeers);
        match manifest.map_err(|error| error.to_string())?.launch {
            Launch::Command(command) => Ok(command),
            Launch::Embedded(_) => Err("embedded".to_owned()),
        }
    }

    #[test]
    fn placeholders_are_filled_in_but_not_those_in_environment_variables() {
        let words =
            r#"["env", "--at={{host}}:{{port}}", "{{tls:bool}}", "{{env:BRACES}}{{user}}"]"#;
        let words = command("client", words).unwrap();
        let mut vars = example(Side::Client);
        vars.common.insert("port", 7.into());
        let filled: Vec<String> = words.iter().map(|word| word.fill(&vars).unwrap()).collect();
        assert_eq!(filled, ["env", "--at=text:7", "true", "{{port}}text"]);
    }

    #[test]
    fn a_placeholder_that_cannot_be_filled_in_is_an_error_with_its_place() {
        for (role, words, wrong) in [
            (
                "server",
                r#"["env", "{{prt}}"]"#,
                "x.json:2:29: launch.command[1]: no placeholder is called `prt`; here are host, pass, port, timeout, tls_port, user, web_port",
            ),
            (
                "server",
                r#"["env", "{{port"]"#,
                "x.json:2:29: launch.command[1]: `{{` without `}}`",
            ),
            (
                "server",
                r#"["env", "{{port:float}}"]"#,
                "x.json:2:29: launch.command[1]: `float` is no type; there are int and bool",
            ),
            (
                "client",
                r#"["env", "7", "{{remote_port}}"]"#,
                "x.json:2:34: launch.command[2]: `remote_port` has a value for each mapping, a command only one",
            ),
            (
                "server",
                r#"["{{user}}"]"#,
                "x.json:2:22: launch.command[0]: is the program, and has a placeholder",
            ),
        ] {
            assert_eq!(command(role, words), Err(wrong.to_owned()));
        }
    }
}
