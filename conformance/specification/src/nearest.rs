//! What somebody may have meant.

/// The names that are most like what was written, best first; three at most.
pub fn nearest<'a>(written: &str, names: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let mut near: Vec<(f64, &str)> = names
        .into_iter()
        .map(|name| (likeness(written, name), name))
        .filter(|(likeness, _)| *likeness > LIKE)
        .collect();
    // Of names that are equally like it, the shortest says the least that was not written.
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

/// How much a name is like what was written, which may be its end alone, or a part of it.
fn likeness(written: &str, name: &str) -> f64 {
    let whole = strsim::jaro_winkler(written, name);
    let end = name.rsplit(['.', '/']).next().unwrap_or(name);
    let end = strsim::jaro_winkler(written, end);
    let part = written.len() >= SHORTEST && name.contains(written);
    whole.max(end).max(if part { PART } else { 0.0 })
}

/// A part of a name that is no shorter says something.
const SHORTEST: usize = 4;

/// How much a name is like a part of it.
const PART: f64 = 0.95;

/// Below this, two names have little to do with each other.
const LIKE: f64 = 0.8;

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn the_nearest_name_comes_first_and_strangers_not_at_all() {
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
