//! Explains why a program cannot be started, and what to do about it.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use rustix::io::Errno;

/// The error of the system about starting `program`, and its likely cause.
///
/// The system also reports "no such file" for a script whose interpreter is missing.
pub(crate) fn explained(program: &str, error: &io::Error) -> String {
    match cause(program, error) {
        Some(cause) => format!("{program}: {error}: {cause}"),
        None => format!("{program}: {error}"),
    }
}

fn cause(program: &str, error: &io::Error) -> Option<String> {
    let path = Path::new(program);
    match Errno::from_io_error(error)? {
        Errno::NOENT if !program.contains('/') => {
            Some("no folder of PATH has a program of this name; name it with its path".to_owned())
        }
        Errno::NOENT if !path.exists() => Some("there is no such file".to_owned()),
        Errno::NOENT => Some(missing_helper(path)),
        Errno::ACCESS if path.is_dir() => Some("it is a folder; name the program in it".to_owned()),
        Errno::ACCESS => Some(format!(
            "it may not be executed; `chmod +x {program}` allows it, unless its file system is mounted with noexec"
        )),
        Errno::NOEXEC => Some(
            "it is no program for this processor, and no script whose first line begins with `#!`"
                .to_owned(),
        ),
        Errno::MFILE | Errno::NFILE => Some("no file descriptor is left".to_owned()),
        _ => None,
    }
}

/// The cause if the file exists, and its interpreter or loader is missing.
fn missing_helper(path: &Path) -> String {
    match interpreter(path) {
        Some(name) if name.ends_with('\r') => format!(
            "its first line ends with CR LF, so its interpreter would be `{}` with a CR; save it with LF alone",
            name.trim_end()
        ),
        Some(name) => format!(
            "its first line names the interpreter `{name}`, which is not there; install it, or name another one"
        ),
        None => {
            "the file is there, and its loader is not: it was built for another system (such as \
                 one with another C library) or another processor"
                .to_owned()
        }
    }
}

/// The interpreter in the first line of a script; `None` if the file is no script.
fn interpreter(path: &Path) -> Option<String> {
    let mut head = Vec::new();
    // The kernel reads at most 256 bytes of the first line too.
    let file = File::open(path).ok()?;
    file.take(256).read_to_end(&mut head).ok()?;
    let line = head
        .strip_prefix(b"#!")?
        .split(|byte| *byte == b'\n')
        .next()?;
    let line = String::from_utf8_lossy(line).into_owned();
    let line = line.trim_start();
    Some(line.split([' ', '\t']).next().unwrap_or(line).to_owned())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::process::Command;

    use tempfile::TempDir;

    use super::*;

    #[test]
    fn the_error_of_a_failed_start_names_its_cause() {
        let folder = TempDir::new().unwrap();
        let file = |name: &str, text: &str, mode| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            path.to_str().unwrap().to_owned()
        };
        let cases = [
            ("no-such-program-here".to_owned(), "no folder of PATH"),
            ("/no/such/program".to_owned(), "there is no such file"),
            (folder.path().to_str().unwrap().to_owned(), "it is a folder"),
            (file("plain", "text", 0o644), "chmod +x"),
            (
                file("script", "#! /no/such/python3 -u\n", 0o755),
                "interpreter `/no/such/python3`",
            ),
            (
                file("dos", "#!/bin/sh\r\necho\r\n", 0o755),
                "ends with CR LF",
            ),
            (
                file("data", "\u{1}\u{2}", 0o755),
                "no script whose first line",
            ),
        ];
        for (program, wanted) in cases {
            let error = Command::new(&program).spawn().unwrap_err();
            let told = explained(&program, &error);
            assert!(
                told.contains(wanted) && told.starts_with(&program),
                "{told}"
            );
        }
    }
}
