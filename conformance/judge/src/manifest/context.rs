//! Where a manifest comes from, and the places of its errors.

use std::collections::BTreeMap;
use std::path::Path;

use netroxy_specification::notation::ast::Side;
use netroxy_specification::position::position;
use serde_json::Value;

use super::model::{ManifestError, Place};
use super::placeholder::{CA_FILE, Vars};
use crate::embedded::Peers;

/// Where a manifest comes from.
#[derive(Clone, Copy)]
pub(super) struct Context<'a> {
    pub(super) file: &'a str,
    pub(super) text: &'a str,
    pub(super) folder: &'a Path,
    pub(super) env: &'a dyn Fn(&str) -> Option<String>,
    pub(super) peers: &'a dyn Peers,
}

impl Context<'_> {
    /// An error. `word` is a string of the manifest; its first occurrence is the place of the error.
    pub(super) fn wrong(
        self,
        path: &str,
        word: &str,
        message: String,
        hint: Option<&str>,
    ) -> ManifestError {
        let literal = Value::from(word).to_string();
        let at = self.text.find(&literal);
        let position = at.map(|at| position(self.text, at));
        let place = Place {
            position,
            path: path.to_owned(),
        };
        ManifestError {
            file: self.file.to_owned(),
            place,
            message,
            hint: hint.map(str::to_owned),
        }
    }
}

/// A value for each placeholder, to check the placeholders before a program is started.
pub(super) fn example(role: Side) -> Vars {
    let text = || Value::from("text");
    let mut common = BTreeMap::from([("host", text()), ("user", text()), ("pass", text())]);
    let mut mappings = Vec::new();
    match role {
        Side::Server => common
            .extend(["port", "tls_port", "web_port", "timeout"].map(|name| (name, Value::from(1)))),
        Side::Client => {
            common.extend([
                ("port", Value::from(1)),
                ("tls", Value::from(true)),
                ("verify", Value::from(true)),
                (CA_FILE, text()),
            ]);
            mappings.push(BTreeMap::from([
                ("remote_port", Value::from(1)),
                ("target_host", text()),
                ("target_port", Value::from(1)),
                ("open", Value::from(true)),
            ]));
        }
    }
    Vars { common, mappings }
}
