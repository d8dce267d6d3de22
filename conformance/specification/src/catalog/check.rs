//! Checks of a case beyond its grammar, so that its errors are found before it is played.

mod action;
mod block;
mod header;
mod scope;
mod step;

pub use header::number_of;
pub use scope::{PORTS, TARGETS};
use scope::{Scope, Wrong};

use super::place::Spot;
use crate::nearest::nearest;
use crate::notation::ast::{Case, Line};

/// Checks a case.
///
/// # Errors
/// The first thing that is wrong with it.
pub(super) fn check(case: &Case) -> Result<(), Wrong> {
    let mut scope = Scope::new(case);
    for (index, setting) in case.config.iter().enumerate() {
        let line = 4 + usize::from(case.twin.is_some()) + index;
        scope
            .setting(&setting.value)
            .map_err(|found| found.on(line))?;
    }
    let mut marked = Vec::new();
    let mut next = case.first_line();
    for line in &case.body {
        match line {
            Line::Blank | Line::Comment(_) => {}
            Line::Step(step) => scope
                .step(step, next, &mut marked)
                .map_err(|found| found.on(next))?,
            Line::Repeat(repeat) => scope.block(repeat, next, &mut marked)?,
        }
        next += line.height();
    }
    marks(&case.rules.value, &marked)
}

/// The message and the hint for an id that is no rule of the specification; `None` if it is one.
pub fn no_rule(id: &str) -> Option<(String, String)> {
    let rules = crate::rules::embedded().ok()?;
    if rules.iter().any(|rule| rule.id == id) {
        return None;
    }
    let meant = nearest(id, rules.iter().map(|rule| rule.id.as_str()));
    let hint = meant.unwrap_or_else(|| "`netroxy-conformance list rules` shows them all".into());
    Some((format!("`{id}` is no rule"), hint))
}

/// The number of the line `rules`.
pub const RULES: usize = 3;

/// Checks that the marks are the rules of the header. An id that is no rule is reported first: it is usually a misspelt
/// one, and the reason why another mark is missing.
fn marks(named: &[String], marked: &[(usize, String)]) -> Result<(), Wrong> {
    let stray = marked.iter().filter(|(_, id)| !named.contains(id));
    let stray = stray.map(|(line, id)| (*line, Spot::Mark(id.clone()), id));
    let is_marked = |id: &String| marked.iter().any(|(_, mark)| mark == id);
    let idle = named.iter().zip(1..).filter(|(id, _)| !is_marked(id));
    let idle = idle.map(|(id, word)| (RULES, Spot::Word(word), id));
    let all: Vec<_> = stray.chain(idle).collect();
    for (line, spot, id) in &all {
        if let Some((message, hint)) = no_rule(id) {
            return Err(Wrong {
                line: *line,
                spot: spot.clone(),
                message,
                hint: Some(hint),
            });
        }
    }
    let Some((line, spot, id)) = all.into_iter().next() else {
        return Ok(());
    };
    let (message, hint) = match line {
        RULES => (
            format!("no step is marked [{id}]"),
            "mark the step that judges it".to_owned(),
        ),
        _ => (
            format!("`{id}` marks a step, and `rules` does not list it"),
            format!("add it to line {RULES}"),
        ),
    };
    Err(Wrong {
        line,
        spot,
        message,
        hint: Some(hint),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notation::parse;

    #[test]
    fn a_mapping_has_one_port_and_leads_to_one_target() {
        let checked = |mapping: &str| {
            let head = "title x\nrole pair\nrules a.b\nconfig map ";
            let text = format!("{head}{mapping}\n\nu refused $port [a.b]\n");
            check(&parse(&text).unwrap())
        };
        let wrong = |mapping: &str| checked(mapping).unwrap_err();
        for port in [
            "\"$port\"*2",
            "\"$port$port\"",
            "$target",
            "080",
            "0",
            "65536",
        ] {
            let found = wrong(&format!("{port} -> $target"));
            let told = "the port of a mapping is one of $port $port2 $port3";
            assert_eq!((found.line, found.message.as_str()), (4, told), "{port}");
        }
        for target in ["\"$target\"*2", "\"$target2$target\"", "$port"] {
            let found = wrong(&format!("$port -> {target}"));
            let told = "a mapping leads to one of $target $target2 $dead_target $silent_target";
            assert_eq!((found.line, found.message.as_str()), (4, told), "{target}");
        }
        for mapping in ["$port -> $target", "\"$port\"*1 -> $silent_target closed"] {
            assert_eq!(checked(mapping), Ok(()), "{mapping}");
        }
    }

    #[test]
    fn only_mappings_of_the_header_can_be_refused_and_maps_has_no_bounds() {
        let checked = |steps: &str| {
            let head =
                "title x\nrole client\nrules a.b\nconfig map $port2 -> $target\n\nc accept\n";
            check(&parse(&format!("{head}{steps}\n")).unwrap())
        };
        assert_eq!(checked("c < maps [a.b]"), Ok(()));
        assert_eq!(checked("c < maps but $port2 [a.b]"), Ok(()));
        for port in ["$port", "80", "\"$port2\"*2"] {
            let found = checked(&format!("c < maps but $port2 {port} [a.b]")).unwrap_err();
            let told = "only a mapping of the header can be refused: $port2";
            assert_eq!((found.line, found.message.as_str()), (7, told), "{port}");
            assert_eq!(found.spot, Spot::Word(5), "{port}");
        }
        let found = checked("c < maps in ..3s [a.b]").unwrap_err();
        assert_eq!(found.spot, Spot::Bounds);
        assert!(found.message.contains("no bounds"), "{}", found.message);
    }

    #[test]
    fn turned_away_is_not_for_clients_and_maps_not_for_servers() {
        let wrong = |role: &str, steps: &str| {
            let text = format!("title x\nrole {role}\nrules a.b\n\n{steps}\n");
            check(&parse(&text).unwrap()).unwrap_err().message
        };
        let away = wrong("client", "u turned away $port [a.b]");
        assert_eq!(away, "`turned away` is for cases of role server or pair");
        let maps = wrong("server", "c connect server\nc < maps [a.b]");
        assert_eq!(maps, "`< maps` is for cases of role client");
    }
}
