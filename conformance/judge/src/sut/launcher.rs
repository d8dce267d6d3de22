//! Commands that start a program where the suite's signals do not reach it: in a container, or as another user.

use std::io::{self, Read as _};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::times::{CONTAINER_POLL, CONTAINER_REMOVAL};

/// How to end a program that the suite's own signals cannot end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Launcher {
    container: Option<Container>,
    /// The command that runs others as another user.
    privilege: Option<String>,
}

/// The tool and the label that find a container.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Container {
    /// The words of the command before `run`, such as `docker --context x`.
    tool: Vec<String>,
    label: String,
}

/// Tools that run a program in a container. Its processes are no descendants of the suite.
const CONTAINERS: [&str; 3] = ["docker", "podman", "nerdctl"];

/// Tools that run a program as another user. The suite may send no signal to its processes.
const PRIVILEGES: [&str; 2] = ["sudo", "doas"];

impl Launcher {
    /// Finds out whether a command uses such a tool. Adds a label to a command that runs a container, to find the
    /// container later.
    pub(super) fn prepare(command: &mut Vec<String>, mark: &str) -> Self {
        let privilege = command.first().filter(|word| is_one_of(word, &PRIVILEGES));
        let privilege = privilege.cloned();
        let container = run_word(command).map(|run| {
            let label = format!("netroxy-conformance={mark}");
            let tool = command[..run].to_vec();
            // The command may already name its container, so a label is used. It comes directly after `run`, because
            // the suite does not parse the words after that.
            command.splice(run + 1..run + 1, ["--label".to_owned(), label.clone()]);
            Container { tool, label }
        });
        Self {
            container,
            privilege,
        }
    }

    /// Ends and removes the containers that the command has started.
    ///
    /// # Errors
    /// If the tool fails, so that a container may still run.
    pub(super) fn remove(&self) -> Result<(), NotRemoved> {
        self.container.as_ref().map_or(Ok(()), Container::remove)
    }

    /// Kills processes of another user, with the tool that the command begins with.
    pub(super) fn kill(&self, processes: &[i32]) {
        let Some(tool) = &self.privilege else { return };
        let mut command = [tool, "-n", "kill", "-KILL"].map(str::to_owned).to_vec();
        command.extend(processes.iter().map(ToString::to_string));
        // The caller looks for the processes again, so the result is not needed.
        let _ = output(&command, CONTAINER_REMOVAL);
    }
}

impl Container {
    fn remove(&self) -> Result<(), NotRemoved> {
        let ask = |words: &[&str]| -> Result<String, NotRemoved> {
            let words = words.iter().map(|word| (*word).to_owned());
            let command: Vec<String> = self.tool.iter().cloned().chain(words).collect();
            output(&command, CONTAINER_REMOVAL).map_err(|why| NotRemoved {
                command: command.join(" "),
                why,
            })
        };
        let filter = format!("label={}", self.label);
        let found = ask(&["ps", "--all", "--quiet", "--filter", &filter])?;
        let found: Vec<&str> = found.split_whitespace().collect();
        if !found.is_empty() {
            ask(&[["rm", "--force"].as_slice(), &found].concat())?;
        }
        Ok(())
    }
}

/// The index of the word `run` if the command runs a container.
fn run_word(command: &[String]) -> Option<usize> {
    let tool = command
        .iter()
        .position(|word| is_one_of(word, &CONTAINERS))?;
    // After any other first word, the name of the tool is only an argument.
    let leads = |word: &String| is_one_of(word, &LEADERS);
    if tool > 0 && !command.first().is_some_and(leads) {
        return None;
    }
    let run = command[tool + 1..].iter().position(|word| word == "run")?;
    Some(tool + 1 + run)
}

/// Programs whose arguments are a command.
const LEADERS: [&str; 5] = ["sudo", "doas", "env", "timeout", "nice"];

fn is_one_of(word: &str, names: &[&str]) -> bool {
    let name = Path::new(word).file_name().and_then(|name| name.to_str());
    name.is_some_and(|name| names.contains(&name))
}

/// A container that may still run.
#[derive(Debug, thiserror::Error)]
#[error("a container may still run, because `{command}` failed: {why}")]
pub(super) struct NotRemoved {
    command: String,
    why: CommandError,
}

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
enum CommandError {
    #[error("it is empty")]
    Empty,
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("it has not ended within {} s", .0.as_secs())]
    Unended(Duration),
    #[error("{0}")]
    Failed(ExitStatus),
}

/// Runs a command to its end and returns its standard output.
///
/// # Errors
/// If it cannot be started, fails, or runs longer than `limit`; then it is killed.
fn output(command: &[String], limit: Duration) -> Result<String, CommandError> {
    let (program, arguments) = command.split_first().ok_or(CommandError::Empty)?;
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let until = Instant::now() + limit;
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break status,
            Err(error) => return Err(error.into()),
            Ok(None) if Instant::now() < until => std::thread::sleep(CONTAINER_POLL),
            Ok(None) => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(CommandError::Unended(limit));
            }
        }
    };
    if !status.success() {
        return Err(CommandError::Failed(status));
    }
    let mut text = String::new();
    if let Some(said) = child.stdout.take() {
        // The program has ended, so its output fits into the pipe and this read is short.
        said.take(LONGEST).read_to_string(&mut text)?;
    }
    Ok(text)
}

/// The most bytes that are read of a command's output.
const LONGEST: u64 = 64 << 10;

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use tempfile::TempDir;

    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    fn prepared(text: &str) -> (String, Launcher) {
        let mut command = words(text);
        let launcher = Launcher::prepare(&mut command, "7-1");
        (command.join(" "), launcher)
    }

    #[test]
    fn a_container_gets_a_label_by_which_it_is_found() {
        for (before, tool, after) in [
            ("docker run", "docker", " --rm image --name x"),
            (
                "/usr/bin/podman --log-level error run",
                "/usr/bin/podman --log-level error",
                " image",
            ),
            (
                "sudo -E docker container run",
                "sudo -E docker container",
                " image",
            ),
            ("env A=B nerdctl run", "env A=B nerdctl", " image run"),
        ] {
            let (command, launcher) = prepared(&format!("{before}{after}"));
            assert_eq!(
                command,
                format!("{before} --label netroxy-conformance=7-1{after}")
            );
            assert_eq!(launcher.container.unwrap().tool, words(tool));
        }
        let (_, launcher) = prepared("sudo -E docker run image");
        assert_eq!(launcher.privilege.as_deref(), Some("sudo"));
    }

    #[test]
    fn other_commands_stay_as_they_are() {
        for text in [
            "./server run",
            "sh -c docker run",
            "docker exec x",
            "./server docker run",
        ] {
            let (command, launcher) = prepared(text);
            assert_eq!((command.as_str(), launcher.container), (text, None));
            assert_eq!(launcher.privilege, None);
        }
    }

    /// A launcher with a fake `docker` that records its arguments and lists the containers `found`.
    fn tool(folder: &TempDir, found: &str, end: &str) -> Launcher {
        let (path, asked) = (folder.path().join("docker"), folder.path().join("asked"));
        let text = format!(
            "#!/bin/sh\necho \"$@\" >> {}\n[ $1 = ps ] && printf '{found}'\n{end}\n",
            asked.display()
        );
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        prepared(&format!("{} run image", path.display())).1
    }

    #[test]
    fn only_the_containers_with_the_label_are_removed() {
        let folder = TempDir::new().unwrap();
        let asked = || std::fs::read_to_string(folder.path().join("asked")).unwrap();
        let list = "ps --all --quiet --filter label=netroxy-conformance=7-1\n";
        assert!(tool(&folder, "", "exit 0").remove().is_ok());
        assert_eq!(asked(), list);
        assert!(tool(&folder, "a1\\nb2\\n", "exit 0").remove().is_ok());
        assert_eq!(asked(), format!("{list}{list}rm --force a1 b2\n"));
    }

    #[test]
    fn the_error_of_a_failed_removal_names_its_cause() {
        let folder = TempDir::new().unwrap();
        let why = tool(&folder, "", "exit 3")
            .remove()
            .unwrap_err()
            .to_string();
        assert!(
            why.contains("may still run") && why.contains("exit status: 3"),
            "{why}"
        );
        let (_, gone) = prepared("/no/such/docker run image");
        let why = gone.remove().unwrap_err().to_string();
        assert!(why.contains("No such file"), "{why}");
        assert!(prepared("./server").1.remove().is_ok());
    }
}
