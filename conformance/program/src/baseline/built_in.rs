//! The schema of baselines, the built-in baselines, and where a baseline is looked for.

use std::path::Path;

/// The JSON Schema of a list.
pub(crate) const SCHEMA: &str = include_str!("../../../baseline.schema.json");

/// The built-in lists, by name.
pub(crate) const BUILT_IN: [(&str, &str); 2] = [
    (
        "go-server",
        include_str!("../../../baselines/go-server.json"),
    ),
    (
        "go-client",
        include_str!("../../../baselines/go-client.json"),
    ),
];

/// The built-in list of that name.
pub(crate) fn built_in(name: &str) -> Option<&'static str> {
    let found = BUILT_IN.iter().find(|(known, _)| *known == name);
    found.map(|(_, text)| *text)
}

/// The default list of a program: its own file if that exists, else the built-in list of this name.
pub(crate) fn usual_place(sut: &str) -> String {
    let own = format!("{sut}.baseline.json");
    match Path::new(&own).exists() || built_in(sut).is_none() {
        true => own,
        false => sut.to_owned(),
    }
}
