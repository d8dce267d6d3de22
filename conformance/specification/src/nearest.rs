//! Known names like one that is unknown, for hints.

/// A hint with the names that are most like `written`, best first; three at most.
pub fn nearest<'a>(written: &str, names: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let mut near: Vec<(f64, &str)> = names
        .into_iter()
        .map(|name| (likeness(written, name), name))
        .filter(|(likeness, _)| *likeness > LIKE)
        .collect();
    // Of equally similar names the shortest has the fewest other characters.
    near.sort_by(|(like, name), (other, with)| {
        let length = name.len().cmp(&with.len());
        other.total_cmp(like).then(length).then(name.cmp(with))
    });
    near.dedup();
    let names: Vec<String> = near
        .iter()
        .take(3)
        .map(|(_, name)| format!("`{name}`"))
        .collect();
    (!names.is_empty()).then(|| format!("did you mean {}?", names.join(" or ")))
}

/// How similar a name is to what was written, from 0 to 1. What was written may be its end or a part of it.
fn likeness(written: &str, name: &str) -> f64 {
    let whole = strsim::jaro_winkler(written, name);
    let end = name.rsplit(['.', '/']).next().unwrap_or(name);
    let end = strsim::jaro_winkler(written, end);
    let part = written.len() >= SHORTEST && name.contains(written);
    whole.max(end).max(if part { PART } else { 0.0 })
}

/// A shorter part of a name proves no similarity.
const SHORTEST: usize = 4;

/// How similar a name is to a part of it.
const PART: f64 = 0.95;

/// Less similar names are not suggested.
const LIKE: f64 = 0.8;

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn the_nearest_name_comes_first_and_other_names_are_left_out() {
        let names = ["tunnel.early-data", "tunnel.half-close", "auth.once"];
        let hint = nearest("tunnel.early-date", names).unwrap();
        assert!(
            hint.starts_with("did you mean `tunnel.early-data`"),
            "{hint}"
        );
        assert_eq!(nearest("xyzzy", names), None);
        for written in ["half-close", "half-cloze", "alf-clos"] {
            let hint = nearest(written, names).unwrap();
            assert_eq!(hint, "did you mean `tunnel.half-close`?", "{written}");
        }
        let twice = ["ab.cd", "ab.ce", "ab.cd", "ab.ce"];
        let hint = nearest("ab.cx", twice).unwrap();
        assert_eq!(hint, "did you mean `ab.cd` or `ab.ce`?");
    }
}
