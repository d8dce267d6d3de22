//! Words as a POSIX shell reads them.

use std::borrow::Cow;

/// What a shell reads as this word.
pub fn quoted(word: &str) -> String {
    // No argument of a program holds the only byte that cannot be quoted.
    shlex::try_quote(word).map_or_else(|_| word.replace('\0', ""), Cow::into_owned)
}

/// An assignment to a variable of the environment.
pub(crate) fn assigned(name: &str, value: &str) -> String {
    format!("{name}={}", quoted(value))
}

/// An assignment that hands a variable on and stops the shell where there is none. The value may be a secret.
pub(crate) fn handed_on(name: &str) -> String {
    format!("{name}=\"${{{name}:?}}\"")
}

/// What stands for a password: the shell stops where the variable is not set, so no wrong one is ever sent.
pub(crate) const PASSWORD: &str = "\"${NETROXY_PASS:?}\"";
