//! Which side is judged: the first word names it, or the manifest, or the ids of the cases.

use clap::ValueEnum;
use netroxy_judge::manifest::Manifest;
use netroxy_specification::notation::ast::{Role, Side};

use super::complaint::{Complaint, manifest_complaint};
use super::exit::EXIT_USAGE;
use super::select::SEQUENCES;
use crate::peers;

/// A role on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum RoleName {
    Server,
    Client,
    /// A client with a server
    Pair,
}

impl From<RoleName> for Role {
    fn from(role: RoleName) -> Self {
        match role {
            RoleName::Server => Self::Server,
            RoleName::Client => Self::Client,
            RoleName::Pair => Self::Pair,
        }
    }
}

/// The role, if the first word is one, and the other words.
pub(super) fn split(words: &[String]) -> (Option<Role>, &[String]) {
    let named = words
        .split_first()
        .and_then(|(first, rest)| Some((RoleName::from_str(first, false).ok()?, rest)));
    match named {
        Some((role, rest)) => (Some(role.into()), rest),
        None => (None, words),
    }
}

/// The role of the cases with these ids, if all have the same.
pub(super) fn of_ids(ids: &[String]) -> Option<Role> {
    let folder = |id: &String| {
        let (folder, rest) = id.split_once('/')?;
        let folder = match folder {
            SEQUENCES => rest.split('/').next()?,
            _ => folder,
        };
        RoleName::from_str(folder, false).ok().map(Role::from)
    };
    let first = folder(ids.first()?)?;
    ids.iter()
        .all(|id| folder(id) == Some(first))
        .then_some(first)
}

/// Loads a manifest, and checks that it has the named role, if one is named.
///
/// # Errors
/// When the manifest cannot be used, or is one of the other side.
pub(super) fn manifest(file: &str, named: Option<Role>) -> Result<Manifest, Complaint> {
    let manifest = peers::manifest(file).map_err(manifest_complaint)?;
    let role = Role::from(manifest.role);
    let Some(named) = named.filter(|named| *named != role) else {
        return Ok(manifest);
    };
    if named == Role::Pair {
        let complaint = Complaint::new(EXIT_USAGE, "a pair is two programs, but --sut names one");
        return Err(complaint.hint(format!(
            "name them by --server FILE and --client FILE; {} is a {role}",
            manifest.name
        )));
    }
    let message = format!(
        "{} is a {role} according to its manifest, but the command judges a {named}",
        manifest.name
    );
    let hint = format!("leave out `{named}`, or give the manifest of a {named}: --sut FILE");
    Err(Complaint::new(EXIT_USAGE, message).hint(hint))
}

/// Loads the manifest of a side; without a file, that of the embedded reference.
///
/// # Errors
/// As [`manifest`].
pub(super) fn manifest_or_reference(file: Option<&str>, side: Side) -> Result<Manifest, Complaint> {
    match file {
        Some(file) => manifest(file, Some(side.into())),
        None => peers::reference(side).map_err(manifest_complaint),
    }
}

/// The error about a command line that does not name the role.
pub(super) fn unknown(command: &str, ids: &[String]) -> Complaint {
    let message = match ids.first() {
        None => "the command does not name the role to judge".to_owned(),
        Some(id) => format!("the command does not name the role to judge: `{id}` is not a role"),
    };
    let hint = format!(
        "begin with server, client or pair, such as `netroxy-conformance {command} server`; \
         with --sut FILE, the manifest names the role"
    );
    Complaint::new(EXIT_USAGE, message).hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn the_role_is_the_first_word_or_the_folder_of_all_cases() {
        let some = words("pair tunnel.fifo server");
        assert_eq!(split(&some), (Some(Role::Pair), &some[1..]));
        assert_eq!(split(&some[1..]), (None, &some[1..]));
        assert_eq!(split(&[]), (None, &[][..]));
        assert_eq!(
            of_ids(&words("server/map server/auth/x@tls")),
            Some(Role::Server)
        );
        let session = words("sequence/client/0x1 client/map");
        assert_eq!(of_ids(&session), Some(Role::Client));
        assert_eq!(of_ids(&words("server/map client/map")), None);
        assert_eq!(of_ids(&words("server/map keep")), None);
        assert_eq!(of_ids(&[]), None);
    }
}
