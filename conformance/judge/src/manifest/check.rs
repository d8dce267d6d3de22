//! Checks of a manifest beyond its JSON.

use std::collections::BTreeMap;
use std::path::{Component, Path};
use std::time::Duration;

use netroxy_specification::notation::ast::{Side, Transport};
use netroxy_specification::rules::REVISION;

use super::context::{Context, example};
use super::model::{Content, Launch, Manifest, ManifestError};
use super::placeholder::{Misfit, render, render_text};
use super::raw::{Raw, RawFile, RawLaunch};
use crate::times::STILL;

/// The longest timeout, and the one of cases that name none, in seconds.
const LONGEST: u64 = 9_223_372_036;
const USUAL: u64 = 30;

pub(super) fn check(raw: Raw, context: Context<'_>) -> Result<Manifest, ManifestError> {
    let role = Side::from(raw.role);
    if let Some(spec) = raw.spec.filter(|spec| spec != REVISION) {
        let hint = format!("this program judges revision {REVISION}");
        return Err(context.wrong(
            "spec",
            &spec,
            format!("unknown revision `{spec}`"),
            Some(&hint),
        ));
    }
    if let Some(why) = fault_of_name(&raw.name) {
        let hint =
            "letters, digits and signs such as `-`, because reports and files are named after it";
        return Err(context.wrong("name", &raw.name, why, Some(hint)));
    }
    let mut files = BTreeMap::new();
    for (name, file) in raw.launch.files.iter() {
        files.insert(name.clone(), context.content(name, file, role)?);
    }
    let launch = context.launch(&raw.launch, role)?;
    let variables = context.variables(raw.launch.command.as_deref().unwrap_or_default());
    let transports = raw.transports.map_or_else(
        || vec![Transport::Plain, Transport::Tls],
        |list| list.into_iter().map(Transport::from).collect(),
    );
    let deadline = raw.start_deadline_ms.unwrap_or(6_000);
    if !(1..=600_000).contains(&deadline) {
        let message = "is not from 1 to 600000 milliseconds".to_owned();
        return Err(context.wrong("start_deadline_ms", "start_deadline_ms", message, None));
    }
    let timeouts = raw.timeouts.map_or(1..=LONGEST, |given| {
        given.from.unwrap_or(1)..=given.to.unwrap_or(LONGEST)
    });
    // Cases that name no timeout are played with the usual one.
    let usual = (1..=USUAL).contains(timeouts.start());
    if !usual || !(USUAL..=LONGEST).contains(timeouts.end()) {
        let message = format!("is not from 1..{USUAL} to {USUAL}..{LONGEST} seconds");
        return Err(context.wrong("timeouts", "timeouts", message, None));
    }
    if raw.timeouts.is_some() && role == Side::Client {
        let message = "is for servers: a client gets its timeout from the server".to_owned();
        return Err(context.wrong("timeouts", "timeouts", message, None));
    }
    let still = raw.still.map_or(STILL, Duration::from_secs);
    if !(1..=600).contains(&still.as_secs()) {
        let message = "is not from 1 to 600 seconds".to_owned();
        return Err(context.wrong("still", "still", message, None));
    }
    if raw.reconnects.is_some() && role == Side::Server {
        let message = "is for clients: a server opens no connections".to_owned();
        return Err(context.wrong("reconnects", "reconnects", message, None));
    }
    if transports.is_empty() {
        return Err(context.wrong(
            "transports",
            "transports",
            "names no transport".to_owned(),
            None,
        ));
    }
    Ok(Manifest {
        name: raw.name,
        role,
        launch,
        files,
        transports,
        start_deadline_ms: deadline,
        timeouts,
        still,
        reconnects: raw.reconnects.unwrap_or(true),
        argument: context.file.to_owned(),
        variables,
    })
}

/// Why a name cannot be the name of a program; `None` if it can. Files are named after it, such as its baseline.
fn fault_of_name(name: &str) -> Option<String> {
    Some(match name {
        "" => "is empty".to_owned(),
        _ if name.starts_with('.') => format!("`{name}` begins with a dot"),
        _ if name.contains(['/', '\\']) => format!("`{name}` is a path"),
        _ if name.contains(char::is_control) => "holds a control character".to_owned(),
        _ if name.trim() != name => format!("`{name}` begins or ends with a blank"),
        _ if name.len() > LONGEST_NAME => format!("is longer than {LONGEST_NAME} bytes"),
        _ => return None,
    })
}

/// The name of a file has at most 255 bytes, and the suite adds an ending.
const LONGEST_NAME: usize = 128;

impl Context<'_> {
    fn launch(self, raw: &RawLaunch, role: Side) -> Result<Launch, ManifestError> {
        match (&raw.command, raw.embedded) {
            (Some(command), None) if !command.is_empty() => {
                Ok(Launch::Command(self.command(command, role)?))
            }
            (None, Some(embedded)) if Side::from(embedded) == role => {
                Ok(Launch::Embedded(self.peers.reference(role)))
            }
            (None, Some(_)) => Err(self.wrong(
                "launch.embedded",
                "embedded",
                format!("is not the role of this manifest, {role}"),
                None,
            )),
            (Some(_), None) => Err(self.wrong(
                "launch.command",
                "command",
                "names no program".to_owned(),
                None,
            )),
            _ => {
                let hint = "for example \"command\": [\"{{env:NETROXY_SERVER}}\"]";
                let message = "needs either `command` or `embedded`".to_owned();
                Err(self.wrong("launch", "launch", message, Some(hint)))
            }
        }
    }

    fn content(self, name: &str, file: &RawFile, role: Side) -> Result<Content, ManifestError> {
        let inside = Path::new(name)
            .components()
            .all(|part| matches!(part, Component::Normal(_)));
        if !inside || name.is_empty() {
            let message = format!("`{name}` does not stay inside the working directory");
            return Err(self.wrong("launch.files", name, message, None));
        }
        let example = example(role);
        let misfit = |misfit: Misfit| {
            let dot = if misfit.path.is_empty() { "" } else { "." };
            let path = format!("launch.files.{name}{dot}{}", misfit.path);
            self.wrong(&path, &misfit.text, misfit.message, None)
        };
        match file {
            RawFile::Json(value) => {
                render(value, &example).map_err(misfit)?;
                Ok(Content::Json(value.clone()))
            }
            RawFile::Text(text) => {
                render_text(text, &example).map_err(misfit)?;
                Ok(Content::Text(text.clone()))
            }
            RawFile::Fixture(fixture) => {
                match FIXTURES.iter().find(|(known, _)| known == fixture) {
                    Some((_, bytes)) => Ok(Content::Fixture(bytes)),
                    None => {
                        let known: Vec<&str> = FIXTURES.iter().map(|(known, _)| *known).collect();
                        let message = format!("there is no fixture `{fixture}`");
                        let hint = format!("there are {}", known.join(", "));
                        Err(self.wrong(
                            &format!("launch.files.{name}.fixture"),
                            fixture,
                            message,
                            Some(&hint),
                        ))
                    }
                }
            }
        }
    }
}

const FIXTURES: [(&str, &[u8]); 2] = [
    (
        "tls/cert.pem",
        include_bytes!("../../../fixtures/tls/cert.pem"),
    ),
    (
        "tls/key.pem",
        include_bytes!("../../../fixtures/tls/key.pem"),
    ),
];
