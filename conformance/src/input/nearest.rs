//! What somebody may have meant.

/// The names that are most like what was written, best first; three at most.
pub(crate) fn nearest<'a>(
    written: &str,
    names: impl IntoIterator<Item = &'a str>,
) -> Option<String> {
    let mut near: Vec<(f64, &str)> = names
        .into_iter()
        .map(|name| (strsim::jaro_winkler(written, name), name))
        .filter(|(likeness, _)| *likeness > LIKE)
        .collect();
    near.sort_by(|(like, name), (other, with)| other.total_cmp(like).then(name.cmp(with)));
    near.dedup();
    let names: Vec<String> = near
        .iter()
        .take(3)
        .map(|(_, name)| format!("`{name}`"))
        .collect();
    (!names.is_empty()).then(|| format!("did you mean {}?", names.join(" or ")))
}

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
        let twice = ["ab.cd", "ab.ce", "ab.cd", "ab.ce"];
        let hint = nearest("ab.cx", twice).unwrap();
        assert_eq!(hint, "did you mean `ab.cd` or `ab.ce`?");
    }
}
