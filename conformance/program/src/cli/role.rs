//! Which side is judged: the first word says it, or the manifest, or what else names the subject.

use clap::ValueEnum;
use netroxy_judge::manifest::Manifest;
use netroxy_specification::notation::ast::{Role, Side};

use super::select::SEQUENCES;
use super::{Complaint, EXIT_USAGE, manifest_complaint};
use crate::peers;

/// The role as a word of the command line.
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

/// The role that the words begin with, and the rest of them.
pub(super) fn split(words: &[String]) -> (Option<Role>, &[String]) {
    let named = words
        .split_first()
        .and_then(|(first, rest)| Some((RoleName::from_str(first, false).ok()?, rest)));
    match named {
        Some((role, rest)) => (Some(role.into()), rest),
        None => (None, words),
    }
}

/// The role that names of cases begin with, where all of them say the same one.
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

/// The manifest of the side that is named; the side is that of the manifest when none is.
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
        let complaint = Complaint::new(EXIT_USAGE, "a pair is two programs, and --sut names one");
        return Err(complaint.hint(format!(
            "name them by --server FILE and --client FILE; {} is a {role}",
            manifest.name
        )));
    }
    let message = format!(
        "{} is a {role}, as its manifest says, and a {named} is to be judged",
        manifest.name
    );
    let hint = format!("leave `{named}` out, or give the manifest of a {named}: --sut FILE");
    Err(Complaint::new(EXIT_USAGE, message).hint(hint))
}

/// The manifest of a side; that of the embedded reference when none is named.
///
/// # Errors
/// As [`manifest`].
pub(super) fn manifest_or_reference(file: Option<&str>, side: Side) -> Result<Manifest, Complaint> {
    match file {
        Some(file) => manifest(file, Some(side.into())),
        None => peers::reference(side).map_err(manifest_complaint),
    }
}

/// Nothing on the command line says who is judged.
pub(super) fn unknown(command: &str, ids: &[String]) -> Complaint {
    let message = match ids.first() {
        None => "which side is judged? there is no role".to_owned(),
        Some(id) => format!("which side is judged? `{id}` is no role"),
    };
    let hint = format!(
        "begin with server, client or pair, such as `netroxy-conformance {command} server`; \
         the manifest of --sut FILE says its role itself"
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
    fn a_role_is_the_first_word_or_the_folder_of_all_cases() {
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
