//! Reads a password from a file, the environment or the terminal. It is not a flag, because other accounts can read
//! flags.

use std::fs;
use std::io::{self, IsTerminal, Read};
use std::path::Path;

use netroxy_proto::Password;

/// The environment variable.
pub(super) const VARIABLE: &str = "NETROXY_PASSWORD";

/// Reads a file whose only line is a password.
///
/// # Errors
///
/// If it cannot be read, or does not contain one line of 1 to 4096 bytes.
pub(super) fn from_file(path: &Path) -> io::Result<Password> {
    let longest = netroxy_proto::Limits::default().line;
    let mut text = Vec::new();
    let most = u64::try_from(longest).unwrap_or(u64::MAX).saturating_add(3);
    fs::File::open(path)?.take(most).read_to_end(&mut text)?;
    let line = text.strip_suffix(b"\n").unwrap_or(&text);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let wrong = |message: String| io::Error::new(io::ErrorKind::InvalidData, message);
    if line.is_empty() {
        return Err(wrong("the file is empty".to_owned()));
    }
    if line.len() > longest {
        return Err(wrong(format!(
            "a password has at most {longest} bytes, on one line"
        )));
    }
    Password::try_from(line).map_err(|_| wrong("the file has more than one line".to_owned()))
}

/// Reads the value of the environment variable; an empty one is `None`.
///
/// # Errors
///
/// If the text is too long, or contains a line feed.
pub(super) fn from_text(text: String) -> Result<Option<Password>, String> {
    let longest = netroxy_proto::Limits::default().line;
    if text.len() > longest {
        return Err(format!("must not be longer than {longest} bytes"));
    }
    if text.is_empty() {
        return Ok(None);
    }
    let password = Password::try_from(text).map_err(|error| error.to_string())?;
    Ok(Some(password))
}

/// Asks on the terminal, without echo; `None` if there is no terminal, or the answer is empty.
///
/// # Errors
///
/// If the terminal cannot be read, or the answer is too long.
pub(crate) fn from_terminal() -> io::Result<Option<Password>> {
    if !io::stdin().is_terminal() {
        return Ok(None);
    }
    let text = rpassword::prompt_password("Password: ")?;
    from_text(text).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_file_has_one_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("password");
        let read = |text: &[u8]| {
            fs::write(&path, text).unwrap();
            from_file(&path).map(|password| password.expose().to_vec())
        };
        for text in [&b"a b"[..], b"a b\n", b"a b\r\n"] {
            assert_eq!(read(text).unwrap(), b"a b");
        }
        assert_eq!(read(&[b'x'; 4096]).unwrap().len(), 4096);
        for wrong in [&b""[..], b"\n", b"a\nb\n", &[b'x'; 4097], &[b'x'; 10_000]] {
            let error = read(wrong).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{error}");
            assert!(!error.to_string().contains("xx"), "{error}");
        }
        let missing = from_file(&dir.path().join("none")).unwrap_err();
        assert_eq!(missing.kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn an_empty_variable_is_no_password() {
        assert_eq!(from_text(String::new()), Ok(None));
        assert!(from_text("x".to_owned()).unwrap().is_some());
        assert!(from_text("x\ny".to_owned()).is_err());
        assert!(from_text("x".repeat(4097)).is_err());
    }
}
