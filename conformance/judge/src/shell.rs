//! Quotes words for a POSIX shell.

use std::borrow::Cow;

/// The word, quoted if necessary, so that a shell reads exactly this word. NUL bytes are removed.
pub fn quoted(word: &str) -> String {
    // A NUL byte is the only one that cannot be quoted, and no argument of a program contains one.
    shlex::try_quote(word).map_or_else(|_| word.replace('\0', ""), Cow::into_owned)
}

/// An assignment to a variable of the environment.
pub(crate) fn assigned(name: &str, value: &str) -> String {
    format!("{name}={}", quoted(value))
}

/// An assignment of a variable of the environment to itself. The shell stops if the variable is not set. The value is
/// not printed, because it may be a secret.
pub(crate) fn handed_on(name: &str) -> String {
    format!("{name}=\"${{{name}:?}}\"")
}

/// The password as a variable. If it is not set the shell stops, so that no wrong password is sent.
pub(crate) const PASSWORD: &str = "\"${NETROXY_PASS:?}\"";
