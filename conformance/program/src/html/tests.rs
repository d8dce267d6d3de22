//! What holds for every page.

use std::collections::BTreeSet;

/// Asserts that no id is used twice, that every link leads to an id of the page or to HTTPS, and that nothing is
/// loaded.
pub(crate) fn sound(page: &str) {
    let mut ids = BTreeSet::new();
    for id in values(page, "id") {
        assert!(ids.insert(id), "the id {id} is used twice");
    }
    for link in values(page, "href") {
        match link.strip_prefix('#') {
            Some(target) => assert!(ids.contains(target), "{link} leads nowhere"),
            None => assert!(
                link.starts_with("https://"),
                "{link} is not a link of this page"
            ),
        }
    }
    for loads in [
        " src=", "<link", "@import", "url(", "<iframe", "<object", "fetch(",
    ] {
        assert!(!page.contains(loads), "{loads} loads something");
    }
}

/// The values of an attribute, as they are written.
pub(crate) fn values<'a>(page: &'a str, attribute: &str) -> Vec<&'a str> {
    let before = format!(" {attribute}=\"");
    page.split(&before)
        .skip(1)
        .filter_map(|rest| rest.split('"').next())
        .collect()
}
